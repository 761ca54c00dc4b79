// A program of somebody else's that uses the installed package.
#include <cstdio>

#include "dgc/core/ids.h"
#include "dgc/v1/ref.pb.h"

int main() {
  dgc::v1::Ref ref;
  ref.set_owner("uploads-0.uploads:7000");
  const bool same = dgc::ObjectId{1, 2} == dgc::ObjectId{1, 2};
  std::printf("%s %d\n", ref.owner().c_str(), same);
  return same ? 0 : 1;
}
