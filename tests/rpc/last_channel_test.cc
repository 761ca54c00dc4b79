// A process that only holds references: when its last channel goes, so do gRPC's callback threads.
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "dgc/runtime/holder.h"
#include "gtest/gtest.h"
#include "tests/rpc/host.h"

namespace dgc::testing {
namespace {

// An owner in a process of its own, which ends when this one does.
class RemoteOwner {
 public:
  RemoteOwner() {
    int up[2];
    int down[2];
    if (pipe(up) != 0 || pipe(down) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      close(down[1]);
      Host host("remote");
      const Ref object = host.owner.Export(std::make_shared<int>(1), "number");
      const std::string wire = object.Wire().SerializeAsString();
      char byte = 0;
      if (write(up[1], wire.data(), wire.size()) < 0 || read(down[0], &byte, 1) < 0) _exit(1);
      _exit(0);
    }
    close(up[1]);
    close(down[0]);
    held_open_ = down[1];
    char wire[1024];
    const ssize_t size = read(up[0], wire, sizeof(wire));
    if (size > 0) ref.ParseFromArray(wire, static_cast<int>(size));
    close(up[0]);
  }
  ~RemoteOwner() {
    close(held_open_);
    waitpid(child_, nullptr, 0);
  }

  v1::Ref ref;

 private:
  pid_t child_ = -1;
  int held_open_ = -1;
};

// A channel that was let go of by one of those threads ended the process, about once in a thousand
// times.
TEST(LastChannelTest, IsNotLetGoOfByAThreadThatEndsWithIt) {
  const RemoteOwner owner;  // First: a process with threads is not forked.
  ASSERT_FALSE(owner.ref.owner().empty());
  for (int i = 0; i < 2000; ++i) {
    Holder holder({});
    const Ref ref = holder.Import(owner.ref);
    ASSERT_TRUE(holder.Settle(kLong));
  }
}

}  // namespace
}  // namespace dgc::testing
