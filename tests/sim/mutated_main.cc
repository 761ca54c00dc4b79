// Runs the unit tests of the pure layers against their mutated copy: $DGC_MUTATION names the defect
// that is awake.  None is an ordinary run.

#include <cstdio>
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/sim/mutation.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const char* mutation = std::getenv("DGC_MUTATION");
  if (mutation != nullptr && !dgc::simulation::ActivateMutation(mutation)) {
    std::fprintf(stderr, "no mutation \"%s\" in this build\n", mutation);
    return 2;
  }
  return RUN_ALL_TESTS();
}
