// Registry: all tasks that are spawned and not done, so that a dump of them is always one call away, and the counts that say whether any is left. In shards, one a
// worker, one for the rest of the world, and one for what threads of the world wait for (SpawnPlace::kNext): so that spawning and ending touch a few cache lines
// that hardly anybody else does.
//
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/atomic.hpp"
#include "base/cache_line.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "sched/task.hpp"

namespace weft::sched {

class Registry {
 public:
  explicit Registry(uint32_t shards) : count_(shards), shards_(std::make_unique<Shard[]>(shards)) {}

  // The life of a task here: begin_spawn, add, end_spawn; remove, forgotten once the scheduler has released it; memory_gone.
  //
  // Before the spawner looks whether spawns are refused: whoever refuses and then waits for settled() misses none in progress.
  void begin_spawn(uint32_t shard) {
    __builtin_prefetch(&shards_[shard], 1);  // add() needs the other line of the pair
    shards_[shard].spawning.fetch_add(1, std::memory_order_seq_cst);
  }
  void end_spawn(uint32_t shard) { shards_[shard].spawning.fetch_sub(1, std::memory_order_seq_cst); }
  bool settled() const {
    for (uint32_t i = 0; i < count_; ++i) {
      if (shards_[i].spawning.load(std::memory_order_seq_cst) != 0) return false;
    }
    return true;
  }

  // Gives the task its id: unique, and telling by itself which shard it came from.
  void add(Task& task, uint32_t shard) {
    Shard& home = shards_[shard];
    home.references.fetch_add(1, std::memory_order_relaxed);
    home.alive.fetch_add(1, std::memory_order_seq_cst);
    base::Lock lock(home.mutex);
    task.registry_shard_ = shard;
    const uint64_t number = home.spawned.load(std::memory_order_relaxed) + 1;
    home.spawned.store(number, std::memory_order_seq_cst);
    task.id_.store(number * count_ + shard, std::memory_order_relaxed);
    home.tasks.push_back(task);
  }
  // Answers its shard, for forgotten().
  uint32_t remove(Task& task) {
    Shard& home = shards_[task.registry_shard_];
    base::Lock lock(home.mutex);
    decltype(home.tasks)::remove(task);
    return task.registry_shard_;
  }
  // True: no task of this shard is left.
  bool forgotten(uint32_t shard) { return shards_[shard].alive.fetch_sub(1, std::memory_order_seq_cst) == 1; }

  // Each shard counts the tasks whose memory lives, and one for the scheduler. True: it was the last one.
  bool memory_gone(uint32_t shard) { return shards_[shard].references.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  uint32_t shards() const { return count_; }

  // References to all of them. One shard is locked at a time, and none when this returns.
  std::vector<base::Ref<Task>> snapshot() const {
    std::vector<base::Ref<Task>> tasks;
    for (uint32_t i = 0; i < count_; ++i) {
      Shard& home = shards_[i];
      // Room is made outside the lock: a spawn must not wait for the allocator.
      for (uint64_t expected = 0;;) {
        tasks.reserve(tasks.size() + expected);
        base::Lock lock(home.mutex);
        const uint64_t alive = home.alive.load(std::memory_order_relaxed);
        if (alive > tasks.capacity() - tasks.size()) {
          expected = alive + alive / 8;
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
    for (uint32_t i = 0; i < count_; ++i) sum += shards_[i].alive.load(std::memory_order_seq_cst);
    return sum;
  }
  uint64_t spawned() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count_; ++i) sum += shards_[i].spawned.load(std::memory_order_seq_cst);
    return sum;
  }
  // No task is left. alive() alone may answer 0 while a task of a shard that it has not come to spawns one in a shard that it has, and ends; but then another
  // one has been spawned meanwhile.
  bool empty() const {
    const uint64_t before = spawned();
    return alive() == 0 && spawned() == before;
  }

 private:
  struct alignas(base::kCacheLinePair) Shard {
    base::Mutex mutex;
    base::List<Task, RegistryLink> tasks WEFT_GUARDED_BY(mutex);
    // Writer: add(), under the mutex; readers: anyone.
    base::atomic<uint64_t> spawned{0};
    // Writers: whoever spawns here, and the workers that its tasks end on; readers: anyone. seq_cst: empty().
    base::atomic<uint64_t> alive{0};
    // Writers: spawners; reader: whoever refuses spawns. With Core::refusing_ a Dekker pair, seq_cst.
    base::atomic<uint64_t> spawning{0};
    // Writers: add() and whoever frees a task; acq_rel: the last one sees all that the others did.
    base::atomic<uint64_t> references{1};
  };

  const uint32_t count_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace weft::sched
