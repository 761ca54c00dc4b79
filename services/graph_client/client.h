// Client: a holder that does what it is told, a line at a time.
//
// README.md beside this file lists the commands.  Each is answered with one line, `ok ...` or
// `error ...`; `load` says `progress ...` meanwhile.
//
// Used by one thread.
#pragma once

#include <prometheus/exposer.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dgc/runtime/holder.h"
#include "services/graph_client/loader.h"

namespace graph_client {

class Client {
 public:
  // `say` prints one line.
  explicit Client(std::function<void(const std::string&)> say);

  // Carries out one command and says the answer; false after `exit`.
  bool Do(const std::string& line);

 private:
  using Arguments = std::vector<std::string>;
  using Answer = absl::StatusOr<std::string>;

  Answer Load(const Arguments& arguments);
  Answer Give(const Arguments& arguments);
  Answer Take(const Arguments& arguments);
  Answer Drop(const Arguments& arguments);
  Answer Check(const Arguments& arguments);
  Answer Settle(const Arguments& arguments);
  Answer List(const Arguments& arguments);
  Answer Walk(const Arguments& arguments);
  Answer Counters(const Arguments& arguments);
  Answer Metrics(const Arguments& arguments);
  Answer Exit(const Arguments& arguments);

  // A reference by the name it was taken under, or by the number of a loaded node.
  absl::StatusOr<dgc::Ref> Get(const std::string& name) const;

  const std::function<void(const std::string&)> say_;
  dgc::Holder holder_;
  std::unique_ptr<Loader> loader_;
  std::map<std::string, dgc::Ref> taken_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  bool exiting_ = false;
};

}  // namespace graph_client
