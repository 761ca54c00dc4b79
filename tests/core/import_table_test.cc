#include "dgc/core/import_table.h"

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr Incarnation kRun{1};
constexpr Incarnation kNextRun{2};
constexpr ObjectId kId{1, 2};

TEST(ImportTableTest, OneRunOfOneOwnerIsOnePeer) {
  ImportTable table;

  const PeerIndex peer = table.InternPeer("a:1", kRun);

  EXPECT_EQ(table.InternPeer("a:1", kRun), peer);
  EXPECT_NE(table.InternPeer("a:1", kNextRun), peer);
  EXPECT_NE(table.InternPeer("b:1", kRun), peer);
  EXPECT_EQ(table.peers(), 3u);
  EXPECT_EQ(table.GetPeer(peer).owner, "a:1");
  EXPECT_EQ(table.GetPeer(peer).incarnation, kRun);
}

TEST(ImportTableTest, AForgottenPeerIsNoLongerFoundAndItsPositionIsReused) {
  ImportTable table;
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
  ImportTable table;
  const PeerIndex peer = table.InternPeer("a:1", kRun);
  table.Intern(peer, kId, 0);

  EXPECT_DEATH(table.ForgetPeer(peer), "imports == 0");
}

TEST(ImportTableTest, TheSameObjectOfTheSameRunIsOneRecord) {
  ImportTable table;
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
  ImportTable table;
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
  ImportTable table;
  const ImportIndex import = table.Intern(table.InternPeer("a:1", kRun), kId, 3);
  table[import].uses = 1;

  EXPECT_DEATH(table.Erase(import), "uses == 0");
}

TEST(ImportTableTest, AgreesWithAMap) {
  std::mt19937_64 random(3);
  ImportTable table;
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
