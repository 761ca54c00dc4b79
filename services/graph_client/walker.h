// Walker: reads objects, from one reference along edges.
//
// Breadth first, each object once.  What it has found it holds until the walk is over, so that
// nothing goes on the way.
//
// Used by one thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/runtime/holder.h"
#include "objects/v1/objects.grpc.pb.h"

namespace graph_client {

class Walker {
 public:
  // Both outlive the walker.  What is read is appended to `file`, as README.md says of `walk`.
  Walker(dgc::Holder* holder, std::FILE* file) : holder_(*holder), file_(file) {}

  // How many objects were read: at most `objects_max`.
  absl::StatusOr<uint64_t> Walk(const dgc::Ref& from, uint64_t objects_max);

 private:
  absl::Status Read(const dgc::Ref& object);
  absl::Status ReadPart(const dgc::Ref& object, uint64_t offset,
                        objects::v1::ReadResponse* response);
  // Its number; a new one if it was not seen before.
  uint64_t NumberOf(dgc::Ref object);

  dgc::Holder& holder_;
  std::FILE* const file_;
  std::map<std::string, std::unique_ptr<objects::v1::ObjectService::Stub>> stubs_;  // by owner
  std::deque<dgc::Ref> found_;                                                      // by number
  absl::flat_hash_map<dgc::ObjectId, uint64_t> numbers_;
};

}  // namespace graph_client
