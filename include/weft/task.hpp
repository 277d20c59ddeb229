// Host code as tasks: C++20 coroutines that the scheduler runs beside guests, on the same workers.
//
//   weft::Task<int> both(weft::Process a, weft::Process b) {
//     weft::ExitStatus first = co_await a.exited();
//     co_await weft::sleep_for(std::chrono::milliseconds(10));
//     weft::ExitStatus second = co_await b.exited();
//     co_return first.code + second.code;
//   }
//   weft::Result<int> sum = runtime.start(both(a, b)).join();
//
// A Task is lazy: nothing runs until it is awaited or started. It belongs to one task at a time; the frame may continue on another
// worker after every co_await, so thread-locals must not be kept across one. Dropping a Task that has not ended destroys its
// frames, innermost first, and whatever they wait for. Inside, block nothing: blocking work goes through weft::blocking().
//
// The model is polling, as in Rust's futures: a leaf awaitable is asked whether it is ready and otherwise arranges a wake-up of the
// task; spurious wake-ups are harmless.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/error.hpp"
#include "weft/units.hpp"

namespace weft {

template <class T = void>
class Task;

namespace detail {

// What a leaf sees while it is polled. Valid during that poll only.
struct TaskContext;

// Something that a task waits for.
class Leaf {
 public:
  virtual ~Leaf() = default;
  // True when ready. False: it has arranged that the task is woken, and has named the reason.
  virtual bool poll(TaskContext& context) = 0;
};

// One chain of coroutines, each awaiting the next. Whoever owns the chain polls it.
struct Chain {
  std::coroutine_handle<> top;     // what to resume: the innermost coroutine
  Leaf* leaf = nullptr;            // what it waits for
  TaskContext* context = nullptr;  // of the poll that is going on

  // Runs the chain until it waits (false) or the outermost coroutine is done (true). Coroutines do not resume each other (symmetric transfer): without
  // optimisation compilers make that an ordinary call, and a loop over tasks that do not wait would fill the stack.
  bool poll(TaskContext& now, std::coroutine_handle<> outermost) {
    context = &now;
    while (!outermost.done()) {
      if (leaf != nullptr) {
        if (!leaf->poll(now)) {
          context = nullptr;
          return false;
        }
        leaf = nullptr;
      }
      top.resume();
      if (leaf != nullptr) break;  // it was asked when it was awaited, and has arranged the wake-up
    }
    if (!outermost.done()) {
      context = nullptr;
      return false;
    }
    context = nullptr;
    return true;
  }
};

struct PromiseBase {
  Chain* chain = nullptr;
  std::coroutine_handle<> parent;

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> self) noexcept {
      PromiseBase& promise = self.promise();
      if (promise.parent) promise.chain->top = promise.parent;
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
};

template <class T>
struct Promise : PromiseBase {
  std::variant<std::monostate, T, std::exception_ptr> outcome;
  Task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { outcome.template emplace<2>(std::current_exception()); }
  template <class U>
  void return_value(U&& value) {
    outcome.template emplace<1>(std::forward<U>(value));
  }
  T take() {
    if (outcome.index() == 2) std::rethrow_exception(std::get<2>(outcome));
    return std::move(std::get<1>(outcome));
  }
};

template <>
struct Promise<void> : PromiseBase {
  std::exception_ptr failure;
  Task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { failure = std::current_exception(); }
  void return_void() noexcept {}
  void take() {
    if (failure) std::rethrow_exception(failure);
  }
};

}  // namespace detail

// Gives a leaf the shape that co_await wants. Derive from it, write poll() and await_resume().
class Awaitable : public detail::Leaf {
 public:
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> self) {
    detail::Chain& chain = *self.promise().chain;
    if (poll(*chain.context)) return false;
    chain.top = self;
    chain.leaf = this;
    return true;
  }
};

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using value_type = T;

  Task() = default;
  Task(Task&& other) noexcept : self_(std::exchange(other.self_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (self_) self_.destroy();
      self_ = std::exchange(other.self_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (self_) self_.destroy();
  }

  explicit operator bool() const noexcept { return static_cast<bool>(self_); }

  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> child) : child_(child) {}
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> self) noexcept {
      child_.promise().parent = self;
      child_.promise().chain = self.promise().chain;
      child_.promise().chain->top = child_;
    }
    T await_resume() { return child_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> child_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(self_); }

  // For whoever owns the chain (the runtime): the outermost coroutine.
  std::coroutine_handle<promise_type> handle() const noexcept { return self_; }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> self) : self_(self) {}
  std::coroutine_handle<promise_type> self_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// Where a started task leaves its result, and who waits for it. Shared by the task and its JoinHandle.
class JoinState {
 public:
  virtual ~JoinState() = default;
  bool done() const noexcept;
  void finish();  // by the task, once
  void wait();    // any host thread, never a worker
  bool wait_for(Duration bound);
  bool poll(TaskContext& context);  // by a task
  void cancel();                    // any thread: the task is dropped at its next suspension
  JoinState();

  struct Inner;
  std::shared_ptr<Inner> inner;
};

template <class T>
struct TypedJoinState final : JoinState {
  std::optional<Result<T>> result;
};

// The body of a started task: owns the outermost coroutine, polls it, stores the outcome.
class Started {
 public:
  virtual ~Started() = default;
  virtual bool poll(TaskContext& context) = 0;  // true when done; the outcome is stored then
  virtual void abandon(Error why) = 0;          // cancelled or shut down: stores `why` and destroys the frames
};

Error error_of(std::exception_ptr failure) noexcept;

template <class T>
class StartedTask final : public Started {
 public:
  StartedTask(Task<T> task, std::shared_ptr<TypedJoinState<T>> join) : task_(std::move(task)), join_(std::move(join)) {
    chain_.top = task_.handle();
    task_.handle().promise().chain = &chain_;
  }
  bool poll(TaskContext& context) override {
    if (!chain_.poll(context, task_.handle())) return false;
    try {
      if constexpr (std::is_void_v<T>) {
        task_.handle().promise().take();
        join_->result.emplace();
      } else {
        join_->result.emplace(task_.handle().promise().take());
      }
    } catch (...) {
      join_->result.emplace(std::unexpected<Error>(error_of(std::current_exception())));
    }
    task_ = {};
    join_->finish();
    return true;
  }
  void abandon(Error why) override {
    task_ = {};
    join_->result.emplace(std::unexpected<Error>(std::move(why)));
    join_->finish();
  }

 private:
  Task<T> task_;
  detail::Chain chain_;
  std::shared_ptr<TypedJoinState<T>> join_;
};

}  // namespace detail

// A started task. Movable; any one thread at a time. Dropping it detaches: the task runs on.
template <class T>
class JoinHandle {
 public:
  JoinHandle() = default;
  explicit JoinHandle(std::shared_ptr<detail::TypedJoinState<T>> state) : state_(std::move(state)) {}

  bool done() const noexcept { return state_->done(); }

  // Blocks the calling thread until the task has ended; never on a worker (asserted). Take the result once: by join() or co_await.
  // The error is what the task was cancelled for, or kInternal with the text of an exception that escaped it.
  Result<T> join() {
    state_->wait();
    return std::move(*state_->result);
  }
  std::optional<Result<T>> join_for(Duration bound) {
    if (!state_->wait_for(bound)) return std::nullopt;
    return std::move(*state_->result);
  }

  // The task is dropped where it waits; joins report kCancelled unless it ended before.
  void cancel() const { state_->cancel(); }

  // For whoever waits for it in another way (weft/waitable.hpp).
  detail::JoinState& state() const noexcept { return *state_; }

  auto operator co_await() && noexcept {
    struct Awaiter final : Awaitable {
      std::shared_ptr<detail::TypedJoinState<T>> state;
      explicit Awaiter(std::shared_ptr<detail::TypedJoinState<T>> from) : state(std::move(from)) {}
      bool poll(detail::TaskContext& context) override { return state->poll(context); }
      Result<T> await_resume() { return std::move(*state->result); }
    };
    return Awaiter(std::move(state_));
  }

 private:
  std::shared_ptr<detail::TypedJoinState<T>> state_;
};

// Parks the task until the time has passed. Inside a Task only.
class [[nodiscard]] Sleep final : public Awaitable {
 public:
  explicit Sleep(Duration duration) : duration_(duration) {}
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;
  ~Sleep() override;
  bool poll(detail::TaskContext& context) override;
  void await_resume() const noexcept {}

 private:
  Duration duration_;
  std::uint64_t deadline_ns_ = 0;
  void* timer_ = nullptr;
};
inline Sleep sleep_for(Duration duration) { return Sleep(duration); }

// Lets every other task of the same priority that waits for this worker go first.
class [[nodiscard]] Yield final : public Awaitable {
 public:
  bool poll(detail::TaskContext& context) override;
  void await_resume() const noexcept {}

 private:
  bool yielded_ = false;
};
inline Yield yield() { return {}; }

namespace detail {

// Work on the blocking pool, and the task that waits for it.
class BlockingWork {
 public:
  explicit BlockingWork(std::function<void()> work);
  ~BlockingWork();
  BlockingWork(const BlockingWork&) = delete;
  BlockingWork& operator=(const BlockingWork&) = delete;
  bool poll(TaskContext& context);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

template <class F>
class BlockingAwaitable final : public Awaitable {
  using R = std::invoke_result_t<F>;
  struct Void {};
  using Stored = std::conditional_t<std::is_void_v<R>, Void, R>;
  // Shared with the pool: the work may still run when the task that asked for it has been dropped.
  struct Slot {
    F work;
    std::variant<std::monostate, Stored, std::exception_ptr> outcome;
    void run() noexcept {
      try {
        if constexpr (std::is_void_v<R>) {
          work();
          outcome.template emplace<1>();
        } else {
          outcome.template emplace<1>(work());
        }
      } catch (...) {
        outcome.template emplace<2>(std::current_exception());
      }
    }
  };

 public:
  explicit BlockingAwaitable(F work) : slot_(std::make_shared<Slot>(std::move(work))), pooled_([slot = slot_] { slot->run(); }) {}
  bool poll(TaskContext& context) override { return pooled_.poll(context); }
  R await_resume() {
    if (slot_->outcome.index() == 2) std::rethrow_exception(std::get<2>(slot_->outcome));
    if constexpr (!std::is_void_v<R>) return std::move(std::get<1>(slot_->outcome));
  }

 private:
  std::shared_ptr<Slot> slot_;
  BlockingWork pooled_;
};

}  // namespace detail

// Runs `work` on the runtime's blocking pool while the task is parked: co_await weft::blocking([] { return read_file(); }).
// An exception that `work` throws is thrown here, and std::system_error when the pool has no room left. If the task is dropped meanwhile, the work still runs to its end, unseen.
// GCC 12 destroys a lambda that is written inside a co_await expression twice: one that captures more than plain data has to have a name,
//   auto work = [file = std::move(file)] { return file.read(); };
//   co_await weft::blocking(std::move(work));
template <class F>
[[nodiscard]] detail::BlockingAwaitable<std::decay_t<F>> blocking(F&& work) {
  return detail::BlockingAwaitable<std::decay_t<F>>(std::forward<F>(work));
}

}  // namespace weft
