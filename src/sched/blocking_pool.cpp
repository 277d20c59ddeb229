#include "sched/blocking_pool.hpp"

#include <chrono>
#include <deque>
#include <list>

#include "base/assert.hpp"
#include "base/mutex.hpp"
#include "platform/platform.hpp"

namespace weft::sched {
namespace {

struct Item {
  BlockingPool::Work work;
  base::Ref<Task> wake_after;
};

class ThreadedPool final : public BlockingPool {
 public:
  ThreadedPool(platform::Platform& platform, BlockingPoolConfig config) : platform_(platform), config_(config) {
    WEFT_ASSERT(config.threads_max > 0 && config.queue_max > 0, "a blocking pool needs a thread and a place in its queue");
  }
  ~ThreadedPool() override { stop(); }

  Result<void> submit(Work work, base::Ref<Task> wake_after) override {
    base::Lock lock(mutex_);
    join_retired();
    if (stopping_) return fail(ErrorKind::kCancelled, "the blocking pool is stopping");
    // Each idle or starting thread will take one item: only the items beyond those wait.
    if (queue_.size() >= covered() && threads_ < config_.threads_max) {
      Result<void> started = start_thread();
      // With other threads alive the work only waits longer; without any it would wait for ever.
      if (!started && threads_ == 0) return started;
    }
    if (queue_.size() >= config_.queue_max + covered()) {
      return fail(ErrorKind::kExhausted, "the blocking pool's queue is full (" + std::to_string(config_.queue_max) + " waiting, " +
                                             std::to_string(config_.threads_max) + " threads at most); allow more threads");
    }
    queue_.push_back({std::move(work), std::move(wake_after)});
    work_.notify_one();
    return {};
  }

  BlockingPoolStatistics statistics() const override {
    base::Lock lock(mutex_);
    const size_t waiting = queue_.size() > covered() ? queue_.size() - covered() : 0;
    return {threads_, idle_, static_cast<uint32_t>(waiting), finished_};
  }

  void stop() override {
    base::Lock lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    while (threads_ != 0) gone_.wait(mutex_);
    join_retired();
  }

 private:
  struct Member {
    std::unique_ptr<platform::Thread> thread;
  };
  using Members = std::list<Member>;

  size_t covered() const WEFT_REQUIRES(mutex_) { return idle_ + starting_; }
  Result<void> start_thread() WEFT_REQUIRES(mutex_) {
    const auto place = members_.insert(members_.end(), Member{});
    // The new thread waits for mutex_, which we hold, before it touches its place.
    auto thread = platform_.start_thread("weft-block", [this, place] { serve(place); });
    if (!thread) {
      members_.erase(place);
      return std::unexpected(thread.error());
    }
    place->thread = std::move(*thread);
    ++threads_;
    ++starting_;
    return {};
  }

  void serve(Members::iterator place) {
    base::Lock lock(mutex_);
    --starting_;
    for (;;) {
      while (queue_.empty() && !stopping_) {
        ++idle_;
        const bool woken = work_.wait_for(mutex_, std::chrono::nanoseconds(config_.idle_exit_ns));
        --idle_;
        if (!woken && queue_.empty()) return retire(place);
      }
      if (queue_.empty()) return retire(place);
      Item item = std::move(queue_.front());
      queue_.pop_front();
      mutex_.unlock();
      item.work();
      // The work's captures go before the task hears of it: it may rely on that.
      item.work = nullptr;
      if (item.wake_after) item.wake_after->wake();
      item.wake_after = nullptr;
      mutex_.lock();
      ++finished_;
    }
  }

  // A thread cannot join itself: the next one who comes by, or stop(), does.
  void retire(Members::iterator place) WEFT_REQUIRES(mutex_) {
    retired_.splice(retired_.end(), members_, place);
    --threads_;
    gone_.notify_all();
  }
  // They have nothing left to do but to let go of mutex_, and none of them takes it again: short enough to wait for, but not
  // while holding it.
  void join_retired() WEFT_REQUIRES(mutex_) {
    if (retired_.empty()) return;
    Members members;
    members.swap(retired_);
    mutex_.unlock();
    for (Member& member : members) member.thread->join();
    mutex_.lock();
  }

  platform::Platform& platform_;
  const BlockingPoolConfig config_;
  mutable base::Mutex mutex_;
  base::Condition work_;
  base::Condition gone_;
  std::deque<Item> queue_ WEFT_GUARDED_BY(mutex_);
  Members members_ WEFT_GUARDED_BY(mutex_);
  Members retired_ WEFT_GUARDED_BY(mutex_);
  uint32_t threads_ WEFT_GUARDED_BY(mutex_) = 0;
  uint32_t idle_ WEFT_GUARDED_BY(mutex_) = 0;
  uint32_t starting_ WEFT_GUARDED_BY(mutex_) = 0;  // counted in threads_ already
  uint64_t finished_ WEFT_GUARDED_BY(mutex_) = 0;
  bool stopping_ WEFT_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<BlockingPool> make_blocking_pool(platform::Platform& platform, BlockingPoolConfig config) {
  return std::make_unique<ThreadedPool>(platform, config);
}

}  // namespace weft::sched
