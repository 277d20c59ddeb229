#include "sync/cancellation.hpp"

#include <utility>

#include "base/assert.hpp"
#include "sched/core.hpp"
#include "sched/run_context.hpp"

namespace weft {
namespace sync {
namespace {

// Cancels a node, in a run of its own: what a timer does has to be short, and the last reference to the timer must not go inside of it.
class CancelTask final : public sched::Task {
 public:
  CancelTask(base::Ref<CancellationNode> node, std::string reason)
      : Task({.kind = "deadline", .name = "cancellation"}), node_(std::move(node)), reason_(std::move(reason)) {}

  sched::Poll run(sched::RunContext&) override {
    node_->cancel(reason_);
    return sched::Poll::kDone;
  }
  void on_done() override { node_ = nullptr; }
  // The scheduler did not take it, or gave it up.
  base::Ref<CancellationNode> take() { return std::move(node_); }

 private:
  base::Ref<CancellationNode> node_;
  const std::string reason_;
};

}  // namespace

class CancellationNode::Deadline final : public sched::TimerEntry {
 public:
  Deadline(sched::Scheduler& scheduler, CancellationNode& node, std::uint64_t deadline_ns, std::string reason)
      : core_(&scheduler.core()), node_(node), deadline_ns_(deadline_ns), reason_(std::move(reason)) {}
  ~Deadline() override { cancel(); }
  void arm() { core_->timers().arm(*this, deadline_ns_); }
  std::uint64_t deadline_ns() const { return deadline_ns_; }

 private:
  void fire() noexcept override {
    if (!node_.try_retain()) return;  // its last release waits for this to be over
    auto task = base::make_ref<CancelTask>(base::Ref<CancellationNode>::adopt(&node_), reason_);
    if (core_->spawn(task, sched::SpawnPlace::kNext)) return;
    // The scheduler stops at this moment. As the last one this reference must not go here, where the wheel still refers to the entry: the
    // node stays then, until the program ends.
    CancellationNode* const node = task->take().leak();
    std::uint32_t references = node->references_.load(std::memory_order_relaxed);
    while (references > 1 && !node->references_.compare_exchange_weak(references, references - 1, std::memory_order_release)) {
    }
  }

  const base::Ref<sched::Core> core_;  // the wheel is a part of it
  CancellationNode& node_;
  const std::uint64_t deadline_ns_;
  const std::string reason_;
};

CancellationNode::CancellationNode(CancellationNode* parent) : parent_(parent) {}

CancellationNode::~CancellationNode() = default;

base::Ref<CancellationNode> CancellationNode::create(CancellationNode* parent) {
  auto node = base::Ref<CancellationNode>::adopt(new CancellationNode(parent));
  if (parent == nullptr) return node;
  parent->retain();
  base::Lock lock(parent->mutex_);
  if (!parent->cancelled()) {
    parent->children_.push_back(*node);
  } else {
    // Nobody else knows the node yet: no lock of its own, and no callback.
    [&]() WEFT_NO_THREAD_SAFETY {
      node->reason_ = parent->reason_;
      node->cancelled_.store(true, std::memory_order_release);
    }();
  }
  return node;
}

bool CancellationNode::try_retain() noexcept {
  std::uint32_t references = references_.load(std::memory_order_relaxed);
  while (references != 0) {
    if (references_.compare_exchange_weak(references, references + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void CancellationNode::unlink(CancellationNode& child) noexcept {
  base::Lock lock(mutex_);
  // Taken out already if this was cancelled.
  if (child.linked()) base::List<CancellationNode, CancellationChildLink>::remove(child);
}

void CancellationNode::release() noexcept {
  CancellationNode* node = this;
  // Release what this owner did; acquire, by the last one, what all others did.
  while (node != nullptr && node->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    CancellationNode* const parent = std::exchange(node->parent_, nullptr);
    if (parent != nullptr) parent->unlink(*node);
    delete node;
    node = parent;
  }
}

std::string CancellationNode::reason() {
  base::Lock lock(mutex_);
  return reason_;
}

// Cancels this one, and gives its children to `below`. False: it was cancelled already.
bool CancellationNode::mark(const std::string& reason, std::vector<base::Ref<CancellationNode>>& below) {
  base::Lock lock(mutex_);
  if (cancelled()) return false;
  reason_ = reason;
  cancelled_.store(true, std::memory_order_release);
  while (CancellationNode* const child = children_.pop_front()) {
    if (child->try_retain()) below.push_back(base::Ref<CancellationNode>::adopt(child));
  }
  return true;
}

// Runs the callbacks and wakes who waits. By whoever marked it.
void CancellationNode::tell() {
  std::unique_ptr<Deadline> deadline;  // disarmed outside the lock
  base::Ref<FlagSource> flag;
  mutex_.lock();
  deadline.swap(deadline_);
  flag = flag_;
  while (CancellationRegistration* const registration = callbacks_.pop_front()) {
    running_ = registration;
    running_on_ = std::this_thread::get_id();
    // Out of the registration, which the callback may drop; and gone with what it has captured before anybody hears that it is over.
    std::function<void()> callback = std::move(registration->callback);
    mutex_.unlock();
    callback();
    callback = nullptr;
    mutex_.lock();
    running_ = nullptr;
    if (waiting_ != 0) ran_.notify_all();
  }
  mutex_.unlock();
  if (flag) flag->set();
}

bool CancellationNode::cancel(const std::string& reason) {
  std::vector<base::Ref<CancellationNode>> below;
  const base::Ref<CancellationNode> self(this);  // a callback may drop the last handle
  if (!mark(reason, below)) return false;
  // Those whom another call got to first are its affair, with all below them.
  std::size_t marked = 0;
  for (std::size_t next = 0; next < below.size(); ++next) {
    const base::Ref<CancellationNode> child = below[next];
    if (child->mark(reason, below)) below[marked++] = child;
  }
  tell();
  for (std::size_t index = 0; index < marked; ++index) below[index]->tell();
  return true;
}

void CancellationNode::cancel_at(sched::Scheduler& scheduler, std::uint64_t deadline_ns, std::string reason) {
  if (deadline_ns <= scheduler.now_ns()) {
    cancel(reason);
    return;
  }
  if (deadline_ns == sched::kNever) return;
  auto deadline = std::make_unique<Deadline>(scheduler, *this, deadline_ns, std::move(reason));
  Deadline* arming = nullptr;
  {
    base::Lock lock(mutex_);
    if (cancelled() || (deadline_ && deadline_->deadline_ns() <= deadline_ns)) return;
    deadline.swap(deadline_);
    arming = deadline_.get();
    // Under the lock, so that whoever takes the deadline out finds it armed.
    arming->arm();
  }
}

void CancellationNode::add(CancellationRegistration& registration) {
  {
    base::Lock lock(mutex_);
    if (!cancelled()) {
      registration.node = base::Ref<CancellationNode>(this);
      callbacks_.push_back(registration);
      return;
    }
  }
  std::exchange(registration.callback, nullptr)();
}

void CancellationNode::remove(CancellationRegistration& registration) {
  base::Lock lock(mutex_);
  if (registration.linked()) {
    base::List<CancellationRegistration, CancellationCallbackLink>::remove(registration);
    return;
  }
  if (running_ != &registration || running_on_ == std::this_thread::get_id()) return;
  ++waiting_;
  while (running_ == &registration) ran_.wait(mutex_);
  --waiting_;
}

Waitable CancellationNode::when_cancelled() {
  base::Ref<FlagSource> flag;
  bool set = false;
  {
    base::Lock lock(mutex_);
    if (!flag_) flag_ = base::make_ref<FlagSource>("cancellation");
    flag = flag_;
    set = cancelled();
  }
  if (set) flag->set();
  return to_waitable(std::move(flag));
}

}  // namespace sync

void CancellationCallback::deregister() noexcept {
  sync::CancellationRegistration* const registration = std::exchange(registration_, nullptr);
  if (registration == nullptr) return;
  if (registration->node) registration->node->remove(*registration);
  delete registration;
}

CancellationToken::CancellationToken(const CancellationToken& other) noexcept : node_(other.node_) {
  if (node_ != nullptr) node_->retain();
}
CancellationToken::~CancellationToken() {
  if (node_ != nullptr) node_->release();
}
bool CancellationToken::cancelled() const noexcept { return node_ != nullptr && node_->cancelled(); }
std::string CancellationToken::reason() const { return node_ != nullptr ? node_->reason() : std::string(); }

Result<void> CancellationToken::check() const {
  if (!cancelled()) return {};
  return fail(ErrorKind::kCancelled, reason());
}

CancellationCallback CancellationToken::on_cancel(std::function<void()> callback) const {
  if (node_ == nullptr) return {};
  WEFT_ASSERT(callback != nullptr, "on_cancel() needs a function to call");
  auto registration = std::make_unique<sync::CancellationRegistration>();
  registration->callback = std::move(callback);
  node_->add(*registration);
  return CancellationCallback(registration.release());
}

Waitable CancellationToken::when_cancelled() const { return node_ != nullptr ? node_->when_cancelled() : Waitable(); }

CancellationSource::CancellationSource() : token_(sync::CancellationNode::create(nullptr).leak()) {}
CancellationSource::CancellationSource(const CancellationToken& parent)
    : token_(sync::CancellationNode::create(parent.node_).leak()) {}

bool CancellationSource::cancel(std::string reason) const { return token_.node_ != nullptr && token_.node_->cancel(reason); }

void CancellationSource::cancel_after(Duration after, std::string reason) const {
  const sched::RunContext* const context = sched::RunContext::current();
  WEFT_ASSERT(context != nullptr, "cancel_after() takes its clock from the task that calls it: elsewhere, give it the runtime");
  cancel_at(context->scheduler(), sync::deadline_after(context->now_ns(), after), std::move(reason));
}

void CancellationSource::cancel_at(sched::Scheduler& scheduler, std::uint64_t deadline_ns, std::string reason) const {
  if (token_.node_ != nullptr) token_.node_->cancel_at(scheduler, deadline_ns, std::move(reason));
}

}  // namespace weft
