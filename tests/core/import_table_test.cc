#include "dgc/core/import_table.h"

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/least_time.h"

namespace dgc {
namespace {

constexpr Incarnation kRun{1};
constexpr Incarnation kNextRun{2};
constexpr ObjectId kId{1, 2};
constexpr uint64_t kSecret = 0x243f6a8885a308d3;

TEST(ImportTableTest, OneRunOfOneOwnerIsOnePeer) {
  ImportTable table(kSecret);

  const PeerIndex peer = table.InternPeer("a:1", kRun);

  EXPECT_EQ(table.InternPeer("a:1", kRun), peer);
  EXPECT_NE(table.InternPeer("a:1", kNextRun), peer);
  EXPECT_NE(table.InternPeer("b:1", kRun), peer);
  EXPECT_EQ(table.peers(), 3u);
  EXPECT_EQ(table.GetPeer(peer).owner, "a:1");
  EXPECT_EQ(table.GetPeer(peer).incarnation, kRun);
}

TEST(ImportTableTest, AForgottenPeerIsNoLongerFoundAndItsPositionIsReused) {
  ImportTable table(kSecret);
  const PeerIndex old = table.InternPeer("a:1", kRun);
  const PeerIndex next = table.InternPeer("a:1", kNextRun);

  table.ForgetPeer(old);

  EXPECT_EQ(table.peers(), 1u);
  EXPECT_TRUE(table.GetPeer(old).owner.empty());
  EXPECT_EQ(table.InternPeer("a:1", kNextRun), next);
  EXPECT_EQ(table.InternPeer("b:1", kRun), old);
  EXPECT_EQ(table.peers_end(), 2u);
}

TEST(ImportTableDeathTest, APeerWithImportsIsNotForgotten) {
  ImportTable table(kSecret);
  const PeerIndex peer = table.InternPeer("a:1", kRun);
  table.Intern(peer, kId, 0);

  EXPECT_DEATH(table.ForgetPeer(peer), "imports == 0");
}

TEST(ImportTableTest, TheSameObjectOfTheSameRunIsOneRecord) {
  ImportTable table(kSecret);
  const PeerIndex peer = table.InternPeer("a:1", kRun);
  const PeerIndex next = table.InternPeer("a:1", kNextRun);

  const ImportIndex import = table.Intern(peer, kId, 3);

  EXPECT_EQ(table.Intern(peer, kId, 3), import);
  EXPECT_NE(table.Intern(next, kId, 3), import);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.GetPeer(peer).imports, 1u);
  EXPECT_EQ(table[import].id, kId);
  EXPECT_EQ(table[import].type, 3);
  EXPECT_EQ(table[import].uses, 0u);
  EXPECT_TRUE(table[import].in_use);
}

TEST(ImportTableTest, AnErasedRecordIsNotFoundAndItsSuccessorIsAsNew) {
  ImportTable table(kSecret);
  const PeerIndex peer = table.InternPeer("a:1", kRun);
  const ImportIndex import = table.Intern(peer, kId, 3);
  table[import].lost = LossCause::kReclaimed;

  table.Erase(import);

  EXPECT_EQ(table.Find(peer, kId), std::nullopt);
  EXPECT_FALSE(table[import].in_use);
  EXPECT_EQ(table.GetPeer(peer).imports, 0u);
  EXPECT_EQ(table.Intern(peer, {9, 9}, 4), import);
  EXPECT_EQ(table[import].lost, LossCause::kNone);
  EXPECT_EQ(table.end(), 1u);
}

TEST(ImportTableDeathTest, ARecordInUseIsNotErased) {
  ImportTable table(kSecret);
  const ImportIndex import = table.Intern(table.InternPeer("a:1", kRun), kId, 3);
  table[import].uses = 1;

  EXPECT_DEATH(table.Erase(import), "uses == 0");
}

// Whoever sends a reference chooses the id in it.
TEST(ImportTableTest, IdsChosenToBeAlikeCostWhatOthersDo) {
  const auto time = [](bool chosen) {
    return testing::LeastSeconds([chosen] {
      ImportTable table(kSecret);
      const PeerIndex peer = table.InternPeer("a:1", kRun);
      for (uint64_t i = 1; i <= 20'000; ++i) {
        const uint64_t high = Mix(i);
        table.Intern(peer, {high, chosen ? high ^ 42 : Mix(high)}, 0);
      }
    });
  };

  EXPECT_LT(time(true), 20 * time(false));
}

// And the incarnation; each is a peer for a while.
TEST(ImportTableTest, ManyRunsOfOneOwnerCostWhatManyOwnersDo) {
  const auto time = [](bool same) {
    return testing::LeastSeconds([same] {
      ImportTable table(kSecret);
      for (uint64_t i = 1; i <= 20'000; ++i) {
        table.InternPeer(same ? "a:1" : "a:" + std::to_string(i), Incarnation{i});
      }
    });
  };

  EXPECT_LT(time(true), 10 * time(false));
}

TEST(ImportTableTest, AgreesWithAMap) {
  std::mt19937_64 random(3);
  ImportTable table(kSecret);
  std::vector<PeerIndex> peers;
  for (int i = 0; i < 5; ++i) peers.push_back(table.InternPeer("o" + std::to_string(i), kRun));
  std::map<std::pair<PeerIndex, uint64_t>, ImportIndex> model;

  for (int step = 0; step < 100'000; ++step) {
    const PeerIndex peer = peers[random() % peers.size()];
    const uint64_t low = random() % 300;
    const ObjectId id{Mix(low), Mix(~low)};
    const auto it = model.find({peer, low});
    const auto expected = it == model.end() ? std::nullopt : std::optional(it->second);
    ASSERT_EQ(table.Find(peer, id), expected) << "step " << step;
    if (!expected.has_value()) {
      model[{peer, low}] = table.Intern(peer, id, 0);
    } else if (random() % 2 == 0) {
      table.Erase(*expected);
      model.erase(it);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  EXPECT_LE(table.end(), 5u * 300);
}

}  // namespace
}  // namespace dgc
