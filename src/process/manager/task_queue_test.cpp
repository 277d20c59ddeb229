// The task manager's queue against a plain model, at random; and that the least urgent still comes.
#include "process/manager/task_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.hpp"

namespace weft::process {
namespace {

struct Item : base::ListHook<struct ItemLink> {
  explicit Item(int number_of, unsigned level_of) : number(number_of), level(level_of) {}
  int number;
  unsigned level;
};
using Queue = TaskQueue<Item, ItemLink>;

// The same rules, as a list in the order of arrival and a count of picks.
class Model {
 public:
  Model(unsigned levels, unsigned ageing) : ageing_(ageing), since_(levels) {}
  void push(int number, unsigned level) {
    if (std::ranges::none_of(items_, [&](const auto& item) { return item.level == level; })) since_[level] = picks_;
    items_.push_back({number, level});
  }
  std::optional<std::size_t> next() const {
    std::optional<std::size_t> best;
    const auto age = [&](std::size_t index) { return picks_ - since_[items_[index].level]; };
    for (std::size_t index = 0; index < items_.size(); ++index) {
      if (!best) {
        best = index;
        continue;
      }
      const bool old = age(index) >= ageing_;
      const bool best_old = age(*best) >= ageing_;
      const bool urgent = items_[index].level < items_[*best].level;
      if (old != best_old ? old : old ? age(index) > age(*best) || (age(index) == age(*best) && urgent) : urgent) best = index;
    }
    return best;
  }
  int front() const { return next() ? items_[*next()].number : -1; }
  void pop() {
    const std::size_t index = *next();
    const unsigned level = items_[index].level;
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(index));
    ++picks_;
    since_[level] = picks_;
  }
  void remove(int number) {
    std::erase_if(items_, [&](const auto& item) { return item.number == number; });
  }
  std::size_t size() const { return items_.size(); }
  int at(std::size_t index) const { return items_[index].number; }

 private:
  struct Waiting {
    int number;
    unsigned level;
  };
  unsigned ageing_;
  std::uint64_t picks_ = 0;
  std::vector<std::uint64_t> since_;
  std::vector<Waiting> items_;
};

TEST(TaskQueueTest, AgainstAModel) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Rng rng(seed);
    const unsigned levels = 1 + rng.below(8);
    const unsigned ageing = 1 + rng.below(12);
    Queue queue(levels, ageing);
    Model model(levels, ageing);
    std::vector<std::unique_ptr<Item>> items;
    for (int step = 0; step < 400; ++step) {
      switch (rng.below(5)) {
        case 0:
        case 1: {
          const unsigned level = rng.below(levels);
          items.push_back(std::make_unique<Item>(step, level));
          queue.push(*items.back(), level);
          model.push(step, level);
          break;
        }
        case 2:
        case 3:
          if (queue.empty()) break;
          queue.pop();
          model.pop();
          break;
        default: {
          if (model.size() == 0) break;
          const int number = model.at(rng.below(static_cast<std::uint32_t>(model.size())));
          queue.remove(**std::ranges::find_if(items, [&](const auto& item) { return item->number == number; }));
          model.remove(number);
        }
      }
      Item* const front = queue.front();
      ASSERT_EQ(front != nullptr ? front->number : -1, model.front()) << "step " << step;
      ASSERT_EQ(queue.size(), model.size());
    }
    while (!queue.empty()) queue.pop();
  }
}

// Every priority has somebody waiting at all times; each is served at least every ageing + levels picks, and the most urgent one most.
TEST(TaskQueueTest, TheLeastUrgentStillComes) {
  constexpr unsigned kLevels = 8;
  constexpr unsigned kAgeing = 16;
  Queue queue(kLevels, kAgeing);
  std::vector<std::unique_ptr<Item>> items;
  for (unsigned level = 0; level < kLevels; ++level) {
    for (int copy = 0; copy < 2; ++copy) {
      items.push_back(std::make_unique<Item>(0, level));
      queue.push(*items.back(), level);
    }
  }
  std::vector<unsigned> last(kLevels, 0);
  std::vector<unsigned> served(kLevels, 0);
  for (unsigned pick = 1; pick <= 10'000; ++pick) {
    Item& next = *queue.front();
    queue.pop();
    queue.push(next, next.level);
    EXPECT_LE(pick - last[next.level], kAgeing + kLevels) << "level " << next.level;
    last[next.level] = pick;
    ++served[next.level];
  }
  EXPECT_GT(served[0], 5000U);
  EXPECT_GT(served[7], 400U);
  while (!queue.empty()) queue.pop();
}

}  // namespace
}  // namespace weft::process
