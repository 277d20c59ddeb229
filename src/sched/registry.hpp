// Registry: all tasks that are spawned and not done, so that a dump of them is always one call away. In shards, one a worker and one for
// the rest of the world, so that spawning is cheap.
//
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/cache_line.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "sched/task.hpp"

namespace weft::sched {

class Registry {
 public:
  explicit Registry(uint32_t shards) : count_(shards), shards_(std::make_unique<Shard[]>(shards)) {}

  // Gives the task its id: unique, and telling by itself which shard it came from.
  void add(Task& task, uint32_t shard) {
    Shard& home = shards_[shard];
    base::Lock lock(home.mutex);
    task.registry_shard_ = shard;
    task.id_.store(++home.spawned * count_ + shard, std::memory_order_relaxed);
    home.tasks.push_back(task);
    ++home.alive;
  }
  void remove(Task& task) {
    Shard& home = shards_[task.registry_shard_];
    base::Lock lock(home.mutex);
    decltype(home.tasks)::remove(task);
    --home.alive;
  }
  // References to all of them. One shard is locked at a time, and none when this returns.
  std::vector<base::Ref<Task>> snapshot() const {
    std::vector<base::Ref<Task>> tasks;
    for (uint32_t i = 0; i < count_; ++i) {
      Shard& home = shards_[i];
      // Room is made outside the lock: a spawn must not wait for the allocator.
      for (uint64_t expected = 0;;) {
        tasks.reserve(tasks.size() + expected);
        base::Lock lock(home.mutex);
        if (home.alive > tasks.capacity() - tasks.size()) {
          expected = home.alive + home.alive / 8;
          continue;
        }
        for (Task* task = home.tasks.front(); task != nullptr; task = home.tasks.next(*task)) tasks.emplace_back(task);
        break;
      }
    }
    return tasks;
  }
  uint64_t alive() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      base::Lock lock(shards_[i].mutex);
      sum += shards_[i].alive;
    }
    return sum;
  }
  uint64_t spawned() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      base::Lock lock(shards_[i].mutex);
      sum += shards_[i].spawned;
    }
    return sum;
  }

 private:
  struct alignas(base::kCacheLinePair) Shard {
    base::Mutex mutex;
    base::List<Task, RegistryLink> tasks WEFT_GUARDED_BY(mutex);
    uint64_t spawned WEFT_GUARDED_BY(mutex) = 0;
    uint64_t alive WEFT_GUARDED_BY(mutex) = 0;
  };

  const uint32_t count_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace weft::sched
