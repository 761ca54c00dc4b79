// RemoteOwners: owners in a process of their own, of one object each, which end when this one does.
//
// Not thread-safe.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/rpc/host.h"

namespace dgc::testing {

class RemoteOwners {
 public:
  // To be made first: a process with threads is not forked.
  explicit RemoteOwners(int count) {
    int up[2];
    int down[2];
    EXPECT_EQ(pipe(up), 0);
    EXPECT_EQ(pipe(down), 0);
    child_ = fork();
    if (child_ == 0) {
      close(down[1]);
      Serve(count, up[1], down[0]);
    }
    close(up[1]);
    close(down[0]);
    held_open_ = down[1];
    std::string text;
    char buffer[4096];
    for (ssize_t size = 0; (size = read(up[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    close(up[0]);
    objects::v1::CreateResponse all;  // Any message of Refs.
    EXPECT_TRUE(all.ParseFromString(text));
    refs.assign(all.objects().begin(), all.objects().end());
    EXPECT_EQ(refs.size(), static_cast<size_t>(count));
  }
  RemoteOwners(const RemoteOwners&) = delete;
  RemoteOwners& operator=(const RemoteOwners&) = delete;
  ~RemoteOwners() {
    close(held_open_);
    waitpid(child_, nullptr, 0);
  }

  std::vector<v1::Ref> refs;

 private:
  [[noreturn]] static void Serve(int count, int up, int down) {
    std::vector<std::unique_ptr<Host>> hosts;
    std::vector<Ref> kept;
    objects::v1::CreateResponse all;
    for (int i = 0; i < count; ++i) {
      hosts.push_back(std::make_unique<Host>("remote-" + std::to_string(i)));
      kept.push_back(hosts.back()->owner.Export(std::make_shared<int>(i), "number"));
      *all.add_objects() = kept.back().Wire();
    }
    const std::string text = all.SerializeAsString();
    char byte = 0;
    const bool told = write(up, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(up);
    _exit(told && read(down, &byte, 1) == 0 ? 0 : 1);
  }

  pid_t child_ = -1;
  int held_open_ = -1;
};

}  // namespace dgc::testing
