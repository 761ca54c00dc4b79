// The owner's calls to itself, before something lapses.
#include <utility>
#include <variant>

#include "gtest/gtest.h"
#include "tests/strategies/lease_owner_fixture.h"

namespace dgc::testing {
namespace {

// What came in before a lease ended may still wait in this process.
class LeaseSelfCallTest : public LeaseOwnerTest {
 protected:
  LeaseSelfCallTest() { owner_.answers_itself = false; }

  TimePoint called_at_ = kStart;
  bool CallsItself() const { return !owner_.sends.empty(); }
  void AnswerItself(bool reached) {
    ASSERT_EQ(owner_.sends.size(), 1u);
    const Send call = std::exchange(owner_.sends, {}).front();
    ASSERT_EQ(call.peer, kSelfPeer);
    Response response = Refusal{Refusal::Code::kUnknownOutcome, "not reached"};
    if (reached) response = owner_.Received(call.request);
    owner_.process.Answered(call.peer, call.call, response, owner_.now);
    owner_.Run();
  }
};

TEST_F(LeaseSelfCallTest, ARenewalThatWaitedInThisProcessIsNotLate) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(14));
  ASSERT_TRUE(CallsItself());
  EXPECT_TRUE(Live(id)) << "nothing lapses before the answer";
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  AnswerItself(true);
  owner_.Sleep(seconds(9));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(seconds(2));
  AnswerItself(true);
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseSelfCallTest, WhoHasOnlyHandedOnIsNotForgottenWhileItsRenewalWaits) {
  const ObjectId id = Listed(kAlice, 1);
  const Row row{id, TransitToken{kHolderTokenBit | 5}};
  owner_.Received(TransitRequest{kAlice, kRun, seconds(40), {row}});
  Clean(kAlice, 2, {{id}});
  owner_.Sleep(seconds(14));
  ASSERT_TRUE(CallsItself());
  const RenewResponse response = Renew(kAlice, 2, {});
  EXPECT_EQ(response.result, RenewResult::kOk);
  EXPECT_TRUE(response.hand_ons_open);
}

TEST_F(LeaseSelfCallTest, ADirtyThatWaitedInThisProcessFindsItsTransitLease) {
  const Target handle = owner_.Export();
  const WireRef ref = owner_.Share(handle);
  owner_.Drop(handle);
  owner_.Sleep(seconds(14));
  ASSERT_TRUE(CallsItself());
  EXPECT_TRUE(Dirty(kAlice, 1, {{ref.id, ref.transit}}).failures.empty());
  AnswerItself(true);
  EXPECT_TRUE(Live(ref.id));
}

TEST_F(LeaseSelfCallTest, ACallThatLeftBeforeTheEndOfALeaseSaysNothingOfIt) {
  const ObjectId early = Listed(kAlice, 1);
  owner_.Sleep(seconds(1));
  const ObjectId late = Listed(kBob, 1);
  owner_.Sleep(seconds(11));
  AnswerItself(true);
  EXPECT_FALSE(Live(early));
  EXPECT_TRUE(Live(late));
  AnswerItself(true);
  EXPECT_FALSE(Live(late));
}

TEST_F(LeaseSelfCallTest, ACallThatTimesOutHoldsUpNobodyForLonger) {
  const ObjectId early = Listed(kAlice, 1);
  owner_.Sleep(seconds(1));
  const ObjectId late = Listed(kBob, 1);
  owner_.Sleep(seconds(9));
  const TimePoint end = owner_.now;
  while (Live(late) && owner_.now < end + seconds(100)) {
    if (CallsItself() && owner_.now >= called_at_ + owner_.sends.front().timeout)
      AnswerItself(false);
    if (!CallsItself()) called_at_ = owner_.now + milliseconds(250);
    owner_.Sleep(milliseconds(250));
  }
  EXPECT_FALSE(Live(early));
  EXPECT_LE(owner_.now, end + TestLease().self_call_timeout + seconds(3));
}

TEST_F(LeaseSelfCallTest, NobodyElseCanSpoilOrUseACall) {
  Listed(kAlice, 1);
  Dirty(owner_.client(), 1, {});
  owner_.Sleep(seconds(11));
  ASSERT_TRUE(CallsItself());
  EXPECT_NE(std::get<RenewRequest>(owner_.sends.front().request).client, owner_.client());
  AnswerItself(true);
  EXPECT_EQ(owner_.process.counters().self_calls_failed, 0u);
}

TEST_F(LeaseSelfCallTest, ACallThatFailedIsNotRepeatedAtOnce) {
  Listed(kAlice, 1);
  owner_.Sleep(seconds(10));
  AnswerItself(false);

  owner_.Sleep(milliseconds(99));
  EXPECT_FALSE(CallsItself());
  owner_.Sleep(milliseconds(1));
  EXPECT_TRUE(CallsItself());
}

// Seed 149474 of the simulator.
TEST_F(LeaseSelfCallTest, ALateAnswerIsNotThatOfTheNextCall) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(10));
  ASSERT_TRUE(CallsItself());
  const Send first = owner_.sends.front();
  AnswerItself(false);
  owner_.Sleep(milliseconds(100));
  ASSERT_TRUE(CallsItself());
  const Response response = owner_.Received(first.request);
  owner_.process.Answered(first.peer, first.call, response, owner_.now);
  owner_.Run();
  EXPECT_TRUE(Live(id)) << "the second call is still under way";
  AnswerItself(true);
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseSelfCallTest, AnOwnerThatCannotReachItselfReapsAllTheSame) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(10));
  const TimePoint end = owner_.now;
  while (Live(id) && owner_.now < end + seconds(60)) {
    if (CallsItself()) AnswerItself(false);
    owner_.Sleep(milliseconds(250));
  }
  EXPECT_GE(owner_.now, end + TestLease().self_call_timeout);
  EXPECT_LE(owner_.now, end + TestLease().self_call_timeout + seconds(1));
  EXPECT_GT(owner_.process.counters().self_calls_failed, 10u);
}

}  // namespace
}  // namespace dgc::testing
