// A test of somebody else's that uses the testkit, without gRPC.
#include "dgc/core/ids.h"

int main() { return dgc::ObjectId{1, 2} == dgc::ObjectId{1, 2} ? 0 : 1; }
