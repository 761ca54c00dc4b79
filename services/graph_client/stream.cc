#include "services/graph_client/stream.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dgc/core/ids.h"

namespace graph_client {
namespace {

// The increment of splitmix64.
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

// Takes the fields of a line one by one.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  bool done() const { return done_; }
  std::string_view Text() {
    missing_ = missing_ || done_;
    const size_t tab = rest_.find('\t');
    done_ = tab == std::string_view::npos;
    const std::string_view field = rest_.substr(0, tab);
    rest_.remove_prefix(done_ ? rest_.size() : tab + 1);
    return field;
  }
  template <typename T>
  T Number() {
    const std::string_view field = Text();
    T value{};
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) malformed_ = true;
    return value;
  }
  bool ok() const { return !missing_ && !malformed_; }

 private:
  std::string_view rest_;
  bool done_ = false;
  bool missing_ = false;
  bool malformed_ = false;
};

}  // namespace

absl::Status ParseNode(std::string_view line, Node* node) {
  Fields fields(line);
  const std::string_view verb = fields.Text();
  node->seed.reset();
  node->edges.clear();
  if (verb == "seeded") {
    node->seed = fields.Number<uint64_t>();
  } else if (verb != "node") {
    return absl::InvalidArgumentError("expected node or seeded");
  }
  node->host = fields.Number<uint32_t>();
  node->type = fields.Text();
  node->label = fields.Text();
  node->payload_bytes = fields.Number<uint64_t>();
  while (fields.ok() && !fields.done()) node->edges.push_back(fields.Number<uint32_t>());
  if (!fields.ok()) return absl::InvalidArgumentError("a field is missing or not a number");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<GraphReader>> GraphReader::Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::setvbuf(file, nullptr, _IOFBF, 1 << 18);
  return std::unique_ptr<GraphReader>(new GraphReader(file));
}

GraphReader::~GraphReader() {
  std::free(line_);
  std::fclose(file_);
}

absl::StatusOr<bool> GraphReader::Next(Node* node) {
  const ssize_t length = getline(&line_, &capacity_, file_);
  if (length < 0) {
    if (std::ferror(file_) != 0) return absl::DataLossError("the graph could not be read");
    return false;
  }
  std::string_view line(line_, static_cast<size_t>(length));
  if (line.back() == '\n') line.remove_suffix(1);
  if (const absl::Status status = ParseNode(line, node); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("node ", nodes_, ": ", status.message()));
  }
  payload_left_ = node->payload_bytes;
  state_ = node->seed;
  if (state_.has_value()) {
    *state_ += nodes_ * kGolden;
  } else if (payload_left_ == 0 && std::fgetc(file_) != '\n') {
    return absl::InvalidArgumentError(absl::StrCat("node ", nodes_, ": no newline after payload"));
  }
  ++nodes_;
  return true;
}

absl::Status GraphReader::ReadPayload(uint64_t bytes, std::string* into) {
  if (bytes > payload_left_) return absl::InvalidArgumentError("more than there is");
  if (bytes == 0) return absl::OkStatus();
  const size_t before = into->size();
  into->resize(before + bytes);
  payload_left_ -= bytes;
  if (state_.has_value()) {
    for (size_t i = before; i < into->size(); i += sizeof(uint64_t)) {
      *state_ += kGolden;
      const uint64_t word = dgc::Mix(*state_);
      std::memcpy(into->data() + i, &word, std::min(sizeof(word), into->size() - i));
    }
    return absl::OkStatus();
  }
  const bool whole = std::fread(into->data() + before, 1, bytes, file_) == bytes;
  if (!whole || (payload_left_ == 0 && std::fgetc(file_) != '\n')) {
    return absl::InvalidArgumentError(
        absl::StrCat("node ", nodes_ - 1, ": the payload is not as long as stated"));
  }
  return absl::OkStatus();
}

}  // namespace graph_client
