// CancellationNode: what sources and tokens of weft/cancellation.hpp refer to: one node of a tree.
//
// References: handles and children count; a parent links its children without counting them. The last release unlinks the node from its parent
// and then lets go of the parent, in a loop rather than a recursion: a chain may be long.
//
// Cancelling has two passes, so that a callback finds the whole tree below marked: mark() takes each node's children from their list (those that are not
// about to die: a count of zero is not revived), then each node's callbacks run, one at a time, outside the lock. Who marked a node runs its callbacks.
//
// Locks: a node's mutex, and never two of them; the wheel's below it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic.hpp"
#include "base/intrusive_list.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "sync/waitable.hpp"
#include "weft/cancellation.hpp"

namespace weft::sync {

struct CancellationRegistration : base::ListHook<struct CancellationCallbackLink> {
  std::function<void()> callback;
  base::Ref<CancellationNode> node;  // null: it has run where it was registered
};

class CancellationNode final : public base::ListHook<struct CancellationChildLink> {
 public:
  // With one reference, the caller's. The parent may be null.
  static base::Ref<CancellationNode> create(CancellationNode* parent);
  CancellationNode(const CancellationNode&) = delete;
  CancellationNode& operator=(const CancellationNode&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  // False: it is about to die.
  bool try_retain() noexcept;
  void release() noexcept;

  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  std::string reason();
  bool cancel(const std::string& reason);
  void cancel_at(sched::Scheduler& scheduler, std::uint64_t deadline_ns, std::string reason);

  void add(CancellationRegistration& registration);
  void remove(CancellationRegistration& registration);
  Waitable when_cancelled();

 private:
  class Deadline;
  explicit CancellationNode(CancellationNode* parent);
  ~CancellationNode();

  bool mark(const std::string& reason, std::vector<base::Ref<CancellationNode>>& below);
  void tell();
  void unlink(CancellationNode& child) noexcept;

  base::atomic<std::uint32_t> references_{1};
  CancellationNode* parent_;  // counted; null: a root. Changed by the last release only
  // Writer: mark(), under mutex_; readers: anyone. Publishes nothing that is read without the mutex.
  base::atomic<bool> cancelled_{false};
  base::Mutex mutex_;
  std::string reason_ WEFT_GUARDED_BY(mutex_);
  base::List<CancellationNode, CancellationChildLink> children_ WEFT_GUARDED_BY(mutex_);
  base::List<CancellationRegistration, CancellationCallbackLink> callbacks_ WEFT_GUARDED_BY(mutex_);
  const CancellationRegistration* running_ WEFT_GUARDED_BY(mutex_) = nullptr;  // compared, never used
  std::thread::id running_on_ WEFT_GUARDED_BY(mutex_);
  std::uint32_t waiting_ WEFT_GUARDED_BY(mutex_) = 0;  // for the callback that runs
  base::Condition ran_;
  base::Ref<FlagSource> flag_ WEFT_GUARDED_BY(mutex_);  // once somebody has asked
  std::unique_ptr<Deadline> deadline_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::sync
