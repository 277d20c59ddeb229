// The small things of base: lists keep order and let go, references count, the random generator is the published one, assertions speak.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "base/intrusive_list.hpp"
#include "base/ref.hpp"
#include "base/rng.hpp"

namespace weft::base {
namespace {

struct Item : ListHook<struct OneLink>, ListHook<struct TwoLink> {
  explicit Item(int number) : value(number) {}
  int value;
};

template <class L>
std::vector<int> values(L& list) {
  std::vector<int> all;
  for (Item* item = list.front(); item != nullptr; item = list.next(*item)) all.push_back(item->value);
  return all;
}

TEST(ListTest, KeepsOrderAndUnlinksAnywhere) {
  Item one(1);
  Item two(2);
  Item three(3);
  List<Item, OneLink> list;
  List<Item, TwoLink> other;  // an element may be in two lists of different tags
  list.push_back(two);
  list.push_back(three);
  list.push_front(one);
  other.push_back(three);
  other.push_back(one);
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  List<Item, OneLink>::remove(two);
  EXPECT_EQ(values(list), (std::vector{1, 3}));
  EXPECT_EQ(values(other), (std::vector{3, 1}));
  EXPECT_EQ(list.pop_front(), &one);
  EXPECT_EQ(list.pop_front(), &three);
  EXPECT_EQ(list.pop_front(), nullptr);
  EXPECT_TRUE(list.empty());
  while (other.pop_front() != nullptr) {
  }
}

TEST(ListTest, Splices) {
  Item one(1);
  Item two(2);
  Item three(3);
  List<Item, OneLink> list;
  List<Item, OneLink> more;
  list.push_back(one);
  more.push_back(two);
  more.push_back(three);
  list.splice_back(more);
  EXPECT_TRUE(more.empty());
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  list.splice_back(more);
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  while (list.pop_front() != nullptr) {
  }
}

using Links = List<Item, OneLink>;

TEST(BaseDeathTest, AnElementMustNotDieInAList) {
  EXPECT_DEATH(
      {
        Links list;
        Item item(1);
        list.push_back(item);
      },
      "died while it was in a list");
}

TEST(BaseDeathTest, AnAssertionNamesPlaceAndReason) {
  EXPECT_DEATH(WEFT_ASSERT(2 < 1, "numbers are in order"), "weft: bug: .*base_test.cpp:[0-9]+: numbers are in order \\(2 < 1\\)");
}

TEST(BaseDeathTest, TheHookIsCalledOnceBeforeTheEnd) {
  EXPECT_DEATH(
      {
        set_assertion_hook([]() noexcept { std::fputs("the hook\n", stderr); });
        WEFT_ASSERT(false, "something");
      },
      "something.*\n.*the hook");
}

struct Counted {
  explicit Counted(int& alive_count) : alive(alive_count) { ++alive; }
  ~Counted() { --alive; }
  void retain() { ++references; }
  // Not inlined: GCC 12 at -O3 sees two releases in one function and takes the second for one after the end.
  [[gnu::noinline]] void release() {
    if (--references == 0) delete this;
  }
  int& alive;
  int references = 1;
};

TEST(RefTest, CountsAndLetsGo) {
  int alive = 0;
  {
    Ref<Counted> one = make_ref<Counted>(alive);
    EXPECT_EQ(one->references, 1);
    Ref<Counted> two = one;
    EXPECT_EQ(one->references, 2);
    const Ref<Counted> three = std::move(two);
    EXPECT_FALSE(two);  // NOLINT(bugprone-use-after-move): a moved-from Ref is empty by contract
    EXPECT_EQ(one->references, 2);
    one = nullptr;
    EXPECT_EQ(three->references, 1);
    EXPECT_EQ(alive, 1);
    Counted* const raw = Ref<Counted>(three).leak();
    EXPECT_EQ(raw->references, 2);
    raw->release();
  }
  EXPECT_EQ(alive, 0);
}

TEST(RngTest, SplitmixIsThePublishedOne) {
  uint64_t state = 1234567;
  EXPECT_EQ(splitmix64(state), 6457827717110365317U);
  EXPECT_EQ(splitmix64(state), 3203168211198807973U);
  EXPECT_EQ(splitmix64(state), 9817491932198370423U);
}

TEST(RngTest, IsRepeatableAndEven) {
  Rng one(7);
  Rng two(7);
  Rng three(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = one.next();
    EXPECT_EQ(value, two.next());
    differs = differs || value != three.next();
  }
  EXPECT_TRUE(differs);
  std::map<uint32_t, int> counts;
  for (int i = 0; i < 60'000; ++i) ++counts[one.below(6)];
  EXPECT_EQ(counts.size(), 6U);
  for (const auto& [value, count] : counts) {
    EXPECT_LT(value, 6U);
    EXPECT_NEAR(count, 10'000, 500);
  }
}

}  // namespace
}  // namespace weft::base
