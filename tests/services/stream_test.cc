#include "services/graph_client/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace graph_client {
namespace {

using ::dgc::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class GraphReaderTest : public ::testing::Test {
 protected:
  // A reader of a file with that text.
  std::unique_ptr<GraphReader> Read(const std::string& text) {
    const std::string path = folder_.Path("graph");
    std::ofstream(path) << text;
    absl::StatusOr<std::unique_ptr<GraphReader>> reader = GraphReader::Open(path);
    EXPECT_TRUE(reader.ok());
    std::remove(path.c_str());  // Another reader's is another file.
    return *std::move(reader);
  }

  const dgc::testing::TempFolder folder_;
  Node node_;
  std::string payload_;
};

TEST_F(GraphReaderTest, NodesComeWithTheirPayloads) {
  const auto reader = Read("node\t1\tblob\tan id\t3\nab\n\nnode\t0\ttree\tb\t0\t0\t7\n\n");

  ASSERT_TRUE(*reader->Next(&node_));
  EXPECT_EQ(node_.host, 1u);
  EXPECT_EQ(node_.type, "blob");
  EXPECT_EQ(node_.label, "an id");
  EXPECT_THAT(node_.edges, IsEmpty());
  ASSERT_TRUE(reader->ReadPayload(1, &payload_).ok());
  ASSERT_TRUE(reader->ReadPayload(2, &payload_).ok());
  EXPECT_EQ(payload_, "ab\n");

  ASSERT_TRUE(*reader->Next(&node_));
  EXPECT_EQ(node_.label, "b");
  EXPECT_EQ(node_.payload_bytes, 0u);
  EXPECT_THAT(node_.edges, ElementsAre(0, 7));
  EXPECT_FALSE(*reader->Next(&node_));
  EXPECT_EQ(reader->nodes(), 2u);
}

TEST_F(GraphReaderTest, SeededPayloadsDependOnSeedAndNumberOnly) {
  const std::string same = "seeded\t5\t0\tt\ta\t20\n";
  const auto one = Read(same + same + "seeded\t6\t0\tt\ta\t20\n");
  const auto two = Read(same);
  std::string first;
  std::string second;
  std::string other;
  std::string again;

  ASSERT_TRUE(*one->Next(&node_));
  ASSERT_TRUE(one->ReadPayload(20, &first).ok());
  ASSERT_TRUE(*one->Next(&node_));
  ASSERT_TRUE(one->ReadPayload(20, &second).ok());
  ASSERT_TRUE(*one->Next(&node_));
  ASSERT_TRUE(one->ReadPayload(20, &other).ok());
  ASSERT_TRUE(*two->Next(&node_));
  ASSERT_TRUE(two->ReadPayload(20, &again).ok());

  EXPECT_THAT(first, SizeIs(20));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, second);
  EXPECT_NE(second, other);
}

TEST_F(GraphReaderTest, MalformedNodesAreRefusedByNumber) {
  for (const char* text : {
           "nod\t0\tt\ta\t0\n",
           "node\t0\tt\ta\n",
           "node\tx\tt\ta\t0\n",
           "node\t0\tt\ta\t-1\n",
           "node\t0\tt\ta\t0\tx\n",
           "node\t0\tt\ta\t0\t\n",
           "node\t0\tt\ta\t0\t4294967296\n",
           "seeded\t\t0\tt\ta\t0\n",
           "seeded\t1\t0\tt\ta\n",
           "node\t0\tt\ta\t0\nx",
           "\n",
       }) {
    const auto reader = Read(std::string("node\t0\tt\ta\t0\n\n") + text);
    ASSERT_TRUE(*reader->Next(&node_)) << text;
    EXPECT_THAT(reader->Next(&node_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("node 1")))
        << text;
  }
}

TEST_F(GraphReaderTest, APayloadOfAnotherLengthIsRefused) {
  for (const char* text : {"node\t0\tt\ta\t5\nabc", "node\t0\tt\ta\t2\nabc\n"}) {
    const auto reader = Read(text);
    ASSERT_TRUE(*reader->Next(&node_));
    EXPECT_THAT(reader->ReadPayload(node_.payload_bytes, &payload_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not as long")));
  }
}

TEST_F(GraphReaderTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_THAT(GraphReader::Open("/nonexistent/graph").status(),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace graph_client
