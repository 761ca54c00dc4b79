// GraphReader: the text stream from which a graph is loaded, node by node.
//
// Each node is a line of tab-separated fields, `node` with its payload after it, `seeded` without:
//
//     node    HOST  TYPE  LABEL  BYTES  [EDGE...]      then BYTES bytes and a newline
//     seeded  SEED  HOST  TYPE  LABEL  BYTES  [EDGE...]
//
// HOST is a position in the list of hosts.  Nodes count from 0, and EDGEs are such numbers, smaller
// ones (dependency order) or not.  README.md tells the same to those who write streams.
//
// Used by one thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace graph_client {

struct Node {
  uint32_t host = 0;
  std::string type;
  std::string label;
  uint64_t payload_bytes = 0;
  std::vector<uint32_t> edges;
  std::optional<uint64_t> seed;  // The payload is made up from it.
};

// INVALID_ARGUMENT says what is wrong with the line.  Reuses the memory of `node`.
absl::Status ParseNode(std::string_view line, Node* node);

class GraphReader {
 public:
  // NOT_FOUND: cannot be opened.
  static absl::StatusOr<std::unique_ptr<GraphReader>> Open(const std::string& path);
  ~GraphReader();
  GraphReader(const GraphReader&) = delete;
  GraphReader& operator=(const GraphReader&) = delete;

  // The next node; false at the end.  INVALID_ARGUMENT names the node's number.
  // REQUIRES: the payload of the last one was read to its end.
  absl::StatusOr<bool> Next(Node* node);
  // Appends the next `bytes` of the present node's payload, which must not be more than are left.
  absl::Status ReadPayload(uint64_t bytes, std::string* into);

  // How many nodes Next() has given.
  uint64_t nodes() const { return nodes_; }

 private:
  explicit GraphReader(std::FILE* file) : file_(file) {}

  std::FILE* const file_;
  char* line_ = nullptr;  // getline's
  size_t capacity_ = 0;
  uint64_t nodes_ = 0;
  uint64_t payload_left_ = 0;
  // Where the made-up payload of the present node stands.
  std::optional<uint64_t> state_;
};

}  // namespace graph_client
