#include "services/graph_client/client.h"

#include <grpcpp/create_channel.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "dgc/rpc/status.h"
#include "services/graph_client/walker.h"

namespace graph_client {
namespace {

// How long a host may take to list all its objects.
constexpr std::chrono::minutes kListTerm{5};

absl::StatusOr<dgc::Duration> Seconds(const std::string& text) {
  double seconds = 0;
  if (!absl::SimpleAtod(text, &seconds) || !(seconds >= 0 && seconds <= 86400)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a number of seconds"));
  }
  return std::chrono::duration_cast<dgc::Duration>(std::chrono::duration<double>(seconds));
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

absl::StatusOr<File> Create(const std::string& path) {
  File file(std::fopen(path.c_str(), "we"), &std::fclose);
  if (file == nullptr) return absl::ErrnoToStatus(errno, path);
  return file;
}

absl::Status Close(File file, const std::string& path) {
  const bool failed = std::ferror(file.get()) != 0;
  if (std::fclose(file.release()) == 0 && !failed) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": cannot be written: ", std::strerror(errno)));
}

// The value of a metric where one number says it: a counter's, a gauge's, a histogram's sum.
double ValueOf(prometheus::MetricType type, const prometheus::ClientMetric& metric) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return metric.counter.value;
    case prometheus::MetricType::Gauge:
      return metric.gauge.value;
    case prometheus::MetricType::Histogram:
      return metric.histogram.sample_sum;
    default:
      return 0;
  }
}

}  // namespace

Client::Client(std::function<void(const std::string&)> say)
    : say_(std::move(say)), holder_(dgc::Options{}) {}

bool Client::Do(const std::string& line) {
  struct Command {
    const char* name;
    size_t arguments_min;
    size_t arguments_max;
    Answer (Client::*run)(const Arguments&);
  };
  static constexpr Command kCommands[] = {
      {"load", 2, 257, &Client::Load},       {"give", 1, 2, &Client::Give},
      {"take", 2, 2, &Client::Take},         {"drop", 1, 1, &Client::Drop},
      {"check", 0, 0, &Client::Check},       {"settle", 1, 1, &Client::Settle},
      {"list", 2, 2, &Client::List},         {"walk", 3, 3, &Client::Walk},
      {"counters", 0, 0, &Client::Counters}, {"metrics", 1, 1, &Client::Metrics},
      {"exit", 0, 0, &Client::Exit},
  };
  Arguments words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  if (words.empty()) return true;
  const std::string verb = words.front();
  words.erase(words.begin());
  Answer answer = absl::InvalidArgumentError(absl::StrCat("no command '", verb, "'"));
  for (const Command& command : kCommands) {
    if (verb != command.name) continue;
    if (words.size() < command.arguments_min || words.size() > command.arguments_max) {
      answer = absl::InvalidArgumentError("wrong number of arguments");
    } else {
      answer = (this->*command.run)(words);
    }
  }
  if (answer.ok()) {
    say_(answer->empty() ? "ok" : absl::StrCat("ok ", *answer));
  } else {
    say_(absl::StrCat("error ", answer.status().ToString()));
  }
  return !exiting_;
}

Client::Answer Client::Load(const Arguments& arguments) {
  if (loader_ != nullptr) return absl::FailedPreconditionError("loaded already");
  absl::StatusOr<std::unique_ptr<GraphReader>> reader = GraphReader::Open(arguments.front());
  if (!reader.ok()) return reader.status();
  loader_ = std::make_unique<Loader>(
      &holder_, LoaderOptions{.hosts = {arguments.begin() + 1, arguments.end()},
                              .progress = [this](uint64_t created, uint64_t linked) {
                                say_(absl::StrCat("progress ", created, " ", linked));
                              }});
  if (const absl::Status status = loader_->Load(reader->get()); !status.ok()) return status;
  return absl::StrCat("objects=", loader_->created(), " edges=", loader_->edges(),
                      " linked_later=", loader_->linked_later());
}

absl::StatusOr<dgc::Ref> Client::Get(const std::string& name) const {
  const auto found = taken_.find(name);
  if (found != taken_.end()) return found->second;
  uint64_t node = 0;
  if (loader_ != nullptr && absl::SimpleAtoi(name, &node)) {
    dgc::Ref ref = loader_->Get(node);
    if (ref) return ref;
  }
  return absl::NotFoundError(absl::StrCat("nothing is held as '", name, "'"));
}

Client::Answer Client::Give(const Arguments& arguments) {
  const absl::StatusOr<dgc::Ref> ref = Get(arguments[0]);
  if (!ref.ok()) return ref.status();
  dgc::Duration term = dgc::Duration::zero();
  if (arguments.size() == 2) {
    const absl::StatusOr<dgc::Duration> asked = Seconds(arguments[1]);
    if (!asked.ok()) return asked.status();
    term = *asked;
  }
  dgc::v1::Ref wire;
  if (const absl::Status status = ref->Share(term, &wire); !status.ok()) return status;
  return absl::BytesToHexString(wire.SerializeAsString());
}

Client::Answer Client::Take(const Arguments& arguments) {
  dgc::v1::Ref wire;
  const bool hex = arguments[1].size() % 2 == 0 &&
                   arguments[1].find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex || !wire.ParseFromString(absl::HexStringToBytes(arguments[1]))) {
    return absl::InvalidArgumentError("not a Ref in hexadecimal digits");
  }
  if (taken_.contains(arguments[0])) return absl::AlreadyExistsError(arguments[0]);
  dgc::Ref ref = holder_.Import(wire);
  if (!ref.ok()) return ref.status();
  taken_.emplace(arguments[0], std::move(ref));
  return "";
}

Client::Answer Client::Drop(const Arguments& arguments) {
  if (arguments[0] == "*") {
    taken_.clear();
    if (loader_ != nullptr) loader_->Clear();
    return "";
  }
  if (taken_.erase(arguments[0]) == 0) {
    return absl::NotFoundError(absl::StrCat("nothing was taken as '", arguments[0], "'"));
  }
  return "";
}

Client::Answer Client::Check(const Arguments& /*arguments*/) {
  for (const auto& [name, ref] : taken_) {
    if (const absl::Status status = ref.status(); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
    }
  }
  return absl::StrCat(taken_.size());
}

Client::Answer Client::Settle(const Arguments& arguments) {
  const absl::StatusOr<dgc::Duration> limit = Seconds(arguments[0]);
  if (!limit.ok()) return limit.status();
  if (!holder_.Settle(*limit)) return absl::DeadlineExceededError("the owners have not answered");
  return "";
}

Client::Answer Client::List(const Arguments& arguments) {
  absl::StatusOr<File> file = Create(arguments[1]);
  if (!file.ok()) return file.status();
  const auto stub = objects::v1::ObjectService::NewStub(
      grpc::CreateChannel(arguments[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kListTerm);
  const auto reader = stub->List(&context, {});
  objects::v1::ListResponse response;
  uint64_t count = 0;
  while (reader->Read(&response)) {
    for (const objects::v1::ListResponse::Item& item : response.objects()) {
      std::fprintf(file->get(), "%s\t%llu\n", item.label().c_str(),
                   static_cast<unsigned long long>(item.payload_bytes()));
      ++count;
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return dgc::FromGrpc(status);
  if (absl::Status status = Close(std::move(*file), arguments[1]); !status.ok()) return status;
  return absl::StrCat(count);
}

Client::Answer Client::Walk(const Arguments& arguments) {
  const absl::StatusOr<dgc::Ref> from = Get(arguments[0]);
  if (!from.ok()) return from.status();
  uint64_t objects_max = 0;
  if (!absl::SimpleAtoi(arguments[1], &objects_max)) {
    return absl::InvalidArgumentError(absl::StrCat("'", arguments[1], "' is not a number"));
  }
  absl::StatusOr<File> file = Create(arguments[2]);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> read = Walker(&holder_, file->get()).Walk(*from, objects_max);
  if (!read.ok()) return read.status();
  if (absl::Status status = Close(std::move(*file), arguments[2]); !status.ok()) return status;
  return absl::StrCat(*read);
}

Client::Answer Client::Counters(const Arguments& /*arguments*/) {
  std::string answer;
  for (const prometheus::MetricFamily& family : holder_.metrics()->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::string name = family.name;
      for (const auto& label : metric.label)
        absl::StrAppend(&name, ",", label.name, ":", label.value);
      absl::StrAppendFormat(&answer, "%s%s=%.17g", answer.empty() ? "" : " ", name,
                            ValueOf(family.type, metric));
    }
  }
  return answer;
}

Client::Answer Client::Metrics(const Arguments& arguments) {
  if (exposer_ != nullptr) return absl::FailedPreconditionError("they are served already");
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(arguments[0]);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(arguments[0], ": ", error.what()));
  }
  exposer_->RegisterCollectable(holder_.metrics());
  return absl::StrCat(exposer_->GetListeningPorts().front());
}

Client::Answer Client::Exit(const Arguments& /*arguments*/) {
  exiting_ = true;
  holder_.Shutdown();
  return "";
}

}  // namespace graph_client
