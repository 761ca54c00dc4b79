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

class ImportTableTest : public ::testing::Test {
 protected:
  ImportIndex Add(PeerIndex peer, const ObjectId& id, const char* type = "t") {
    return table_.Add(peer, id, *types_.Use(type, 10));
  }

  TypeTable types_;
  ImportTable table_{&types_, kSecret};
};
using ImportTableDeathTest = ImportTableTest;

TEST_F(ImportTableTest, OneRunOfOneOwnerIsOnePeer) {
  const PeerIndex peer = table_.InternPeer("a:1", kRun);

  EXPECT_EQ(table_.InternPeer("a:1", kRun), peer);
  EXPECT_NE(table_.InternPeer("a:1", kNextRun), peer);
  EXPECT_NE(table_.InternPeer("b:1", kRun), peer);
  EXPECT_EQ(table_.peers(), 3u);
  EXPECT_EQ(table_.GetPeer(peer).owner, "a:1");
  EXPECT_EQ(table_.GetPeer(peer).incarnation, kRun);
}

TEST_F(ImportTableTest, AForgottenPeerIsNoLongerFoundAndItsPositionIsReused) {
  const PeerIndex old = table_.InternPeer("a:1", kRun);
  const PeerIndex next = table_.InternPeer("a:1", kNextRun);

  table_.ForgetPeer(old);

  EXPECT_EQ(table_.peers(), 1u);
  EXPECT_TRUE(table_.GetPeer(old).owner.empty());
  EXPECT_EQ(table_.InternPeer("a:1", kNextRun), next);
  EXPECT_EQ(table_.InternPeer("b:1", kRun), old);
  EXPECT_EQ(table_.peers_end(), 2u);
}

TEST_F(ImportTableDeathTest, APeerWithImportsIsNotForgotten) {
  const PeerIndex peer = table_.InternPeer("a:1", kRun);
  Add(peer, kId);

  EXPECT_DEATH(table_.ForgetPeer(peer), "imports == 0");
}

TEST_F(ImportTableTest, TheSameObjectOfTheSameRunIsOneRecord) {
  const PeerIndex peer = table_.InternPeer("a:1", kRun);
  const PeerIndex next = table_.InternPeer("a:1", kNextRun);

  const ImportIndex import = Add(peer, kId, "a");

  EXPECT_EQ(table_.Find(peer, kId), import);
  EXPECT_EQ(table_.Find(next, kId), std::nullopt);
  EXPECT_NE(Add(next, kId), import);
  EXPECT_EQ(table_.size(), 2u);
  EXPECT_EQ(table_.GetPeer(peer).imports, 1u);
  EXPECT_EQ(table_[import].id, kId);
  EXPECT_EQ(types_.NameOf(table_[import].type), "a");
  EXPECT_EQ(table_[import].uses, 0u);
  EXPECT_TRUE(table_[import].in_use);
}

TEST_F(ImportTableTest, AnErasedRecordIsNotFoundAndItsSuccessorIsAsNew) {
  const PeerIndex peer = table_.InternPeer("a:1", kRun);
  const ImportIndex import = Add(peer, kId);
  table_[import].lost = LossCause::kReclaimed;

  table_.Erase(import);

  EXPECT_EQ(table_.Find(peer, kId), std::nullopt);
  EXPECT_FALSE(table_[import].in_use);
  EXPECT_EQ(table_.GetPeer(peer).imports, 0u);
  EXPECT_EQ(Add(peer, {9, 9}), import);
  EXPECT_EQ(table_[import].lost, LossCause::kNone);
  EXPECT_EQ(table_.end(), 1u);
}

TEST_F(ImportTableTest, ATypeIsKeptForAsLongAsARecordHasIt) {
  const PeerIndex peer = table_.InternPeer("a:1", kRun);
  const ImportIndex first = Add(peer, {1, 1});
  const ImportIndex second = Add(peer, {1, 2});

  table_.Erase(first);
  EXPECT_EQ(types_.size(), 1u);
  table_.Erase(second);
  EXPECT_EQ(types_.size(), 0u);
}

TEST_F(ImportTableDeathTest, ARecordInUseIsNotErased) {
  const ImportIndex import = Add(table_.InternPeer("a:1", kRun), kId);
  table_[import].uses = 1;

  EXPECT_DEATH(table_.Erase(import), "uses == 0");
}

// Whoever sends a reference chooses the id in it.
TEST_F(ImportTableTest, IdsChosenToBeAlikeCostWhatOthersDo) {
  const auto time = [](bool chosen) {
    return testing::LeastSeconds([chosen] {
      TypeTable types;
      ImportTable table(&types, kSecret);
      const PeerIndex peer = table.InternPeer("a:1", kRun);
      for (uint64_t i = 1; i <= 20'000; ++i) {
        const uint64_t high = Mix(i);
        const ObjectId id{high, chosen ? high ^ 42 : Mix(high)};
        table.Add(peer, id, *types.Use("t", 1));
      }
    });
  };

  EXPECT_LT(time(true), 20 * time(false));
}

// And the incarnation; each is a peer for a while.
TEST_F(ImportTableTest, ManyRunsOfOneOwnerCostWhatManyOwnersDo) {
  const auto time = [](bool same) {
    return testing::LeastSeconds([same] {
      TypeTable types;
      ImportTable table(&types, kSecret);
      for (uint64_t i = 1; i <= 20'000; ++i) {
        table.InternPeer(same ? "a:1" : "a:" + std::to_string(i), Incarnation{i});
      }
    });
  };

  EXPECT_LT(time(true), 10 * time(false));
}

TEST_F(ImportTableTest, AgreesWithAMap) {
  std::mt19937_64 random(3);
  std::vector<PeerIndex> peers;
  for (int i = 0; i < 5; ++i) peers.push_back(table_.InternPeer("o" + std::to_string(i), kRun));
  std::map<std::pair<PeerIndex, uint64_t>, ImportIndex> model;

  for (int step = 0; step < 100'000; ++step) {
    const PeerIndex peer = peers[random() % peers.size()];
    const uint64_t low = random() % 300;
    const ObjectId id{Mix(low), Mix(~low)};
    const auto it = model.find({peer, low});
    const auto expected = it == model.end() ? std::nullopt : std::optional(it->second);
    ASSERT_EQ(table_.Find(peer, id), expected) << "step " << step;
    if (!expected.has_value()) {
      model[{peer, low}] = Add(peer, id);
    } else if (random() % 2 == 0) {
      table_.Erase(*expected);
      model.erase(it);
    }
    ASSERT_EQ(table_.size(), model.size());
  }
  EXPECT_LE(table_.end(), 5u * 300);
}

}  // namespace
}  // namespace dgc
