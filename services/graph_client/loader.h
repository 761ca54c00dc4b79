// Loader: puts a graph onto object hosts and holds every object of it.
//
// Objects are created in batches, one being filled per host and a few calls in flight.  An edge
// whose target has been created when its batch leaves goes with it; the others are linked at the
// end, so that any order of nodes, and cycles, will do.  A reference to an object of another host
// is handed on as any third party's reference is: with a transit lease, which that host consumes.
//
// Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "dgc/runtime/holder.h"
#include "objects/v1/objects.grpc.pb.h"
#include "services/graph_client/stream.h"

namespace graph_client {

struct LoaderOptions {
  // Addresses of the hosts, by the numbers that the stream uses.
  std::vector<std::string> hosts;
  // A batch leaves when it has this many objects or about this many bytes.
  int batch_objects = 2048;
  size_t batch_bytes = 1 << 20;
  // Calls in flight, over all hosts.
  int in_flight_max = 6;
  // How many batches are gathered before they are sent.
  size_t ready_max = 4;
  // The largest piece of payload in one call; a longer payload follows in pieces.
  size_t payload_piece_bytes = 1 << 20;
  // How long a host may take for one call; after that the load fails.
  std::chrono::milliseconds call_term{60'000};
  // Called now and then with what has been done so far.
  std::function<void(uint64_t created, uint64_t linked)> progress;
};

class Loader {
 public:
  // `holder` outlives the loader.
  Loader(dgc::Holder* holder, LoaderOptions options);
  ~Loader();

  // Reads to the end.  On an error what was created is held all the same, until this is destroyed.
  absl::Status Load(GraphReader* reader);

  uint64_t created() const;
  // All edges, and those that had to be linked afterwards.
  uint64_t edges() const { return edges_; }
  uint64_t linked_later() const { return linked_later_; }

  // The reference to a node; empty if there is none such.
  dgc::Ref Get(uint64_t node) const;
  // Drops everything.
  void Clear();

 private:
  struct Host {
    std::unique_ptr<objects::v1::ObjectService::Stub> stub;
    // The batch being filled: the objects without their edges, and these.
    objects::v1::CreateRequest filling;
    std::vector<uint32_t> nodes;
    std::vector<std::vector<uint32_t>> edges;
    size_t bytes = 0;
    // Edges from its objects that are to be linked at the end.
    std::vector<std::pair<uint32_t, uint32_t>> later;
  };
  struct Call;
  template <typename Request, typename Response>
  struct CallOf;

  absl::Status Add(Node* node, GraphReader* reader);
  // Makes the batch of a host ready to be sent.
  absl::Status Flush(Host* host);
  // Sends what is ready, once the owners know of all references in it.
  absl::Status SendReady();
  absl::Status WriteRest(Host* host, uint32_t node, uint64_t offset, uint64_t bytes,
                         GraphReader* reader);
  absl::Status LinkLater(Host* host);
  // What to put into a message to `host` for a created node.  Waits where too many are being handed
  // on.
  absl::Status Refer(const Host* host, uint32_t node, dgc::v1::Ref* into);
  // When a call that is made now has to be over.
  std::chrono::system_clock::time_point Deadline() const {
    return std::chrono::system_clock::now() + options_.call_term;
  }
  void OnCreated(CallOf<objects::v1::CreateRequest, objects::v1::CreateResponse>* call,
                 const grpc::Status& status);
  // Waits until fewer than `limit` calls are in flight, and lets go of those that are over; the
  // first error of any of them.
  absl::Status Await(int limit);
  void Finished(Call* call, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Progress();

  dgc::Holder& holder_;
  const LoaderOptions options_;
  std::deque<Host> hosts_;
  // Calls that are ready to be made.
  std::vector<std::unique_ptr<Call>> ready_;
  // Which host each node is on.
  std::vector<uint8_t> placed_;
  uint64_t edges_ = 0;
  uint64_t linked_later_ = 0;
  int64_t last_progress_ = 0;

  mutable absl::Mutex mutex_;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<Call>> over_ ABSL_GUARDED_BY(mutex_);
  uint64_t created_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  // By node; empty until it is created.
  std::vector<dgc::Ref> refs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace graph_client
