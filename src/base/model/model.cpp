#include "base/model/model.hpp"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/assert.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_MODEL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_MODEL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_MODEL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_MODEL_TSAN 1
#endif
#endif
#ifdef WEFT_MODEL_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEFT_MODEL_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::base::model {
namespace {

constexpr size_t kStackBytes = size_t{128} << 10U;

// A stack to run on, known to the sanitizers.
struct Fiber {
  ucontext_t context{};
  std::vector<char> stack;
#ifdef WEFT_MODEL_ASAN
  const void* bottom = nullptr;
  size_t bytes = 0;
#endif
#ifdef WEFT_MODEL_TSAN
  void* tsan = nullptr;
#endif
};

struct Thread {
  std::function<void()> body;
  std::unique_ptr<Fiber> fiber;
  const std::function<bool()>* ready = nullptr;  // blocked until it says true
  bool parked = false;
  bool done = false;
};

// One choice of the depth-first search: which of the threads that could move did.
struct Choice {
  uint32_t taken;
  uint32_t among;
};

class Explorer {
 public:
  explicit Explorer(const Options& options) : options_(options) {}

  Outcome explore(const std::function<void(Scenario&)>& scenario);
  void add_thread(std::function<void()> body) { threads_.push_back({std::move(body), nullptr}); }
  void add_end(std::function<void()> body) { ends_.push_back(std::move(body)); }
  bool inside() const { return current_ >= 0; }
  void point();
  void wait_until(const std::function<bool()>& ready, bool parked);
  // From a thread: does not return, and abandons its frames, so nothing in them may own memory. From at_end: returns.
  void fail(const char* what, const char* detail = "", const char* file = "", int line = 0);

 private:
  void run_once(const std::function<void(Scenario&)>& scenario);
  bool next_path();
  int choose();
  void switch_to(Fiber& from, Fiber& to);
  void arrived(Fiber& here);
  static void entry();
  void leave_thread() { switch_to(*threads_[static_cast<size_t>(current_)].fiber, main_); }

  const Options options_;
  std::vector<Thread> threads_;
  std::vector<std::function<void()>> ends_;
  std::vector<std::unique_ptr<Fiber>> spare_;
  Fiber main_;
  int current_ = -1;   // the thread that runs; -1: the explorer
  int previous_ = -1;  // the one that moved last
  std::vector<Choice> path_;
  size_t depth_ = 0;
  int preemptions_ = 0;
  std::vector<int> moves_;
  bool failed_ = false;
  std::string failure_;
};

Explorer* explorer = nullptr;

void Explorer::switch_to(Fiber& from, Fiber& to) {
#ifdef WEFT_MODEL_ASAN
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, to.bottom, to.bytes);
#endif
#ifdef WEFT_MODEL_TSAN
  __tsan_switch_to_fiber(to.tsan, 0);
#endif
  swapcontext(&from.context, &to.context);
#ifdef WEFT_MODEL_ASAN
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Explorer::arrived([[maybe_unused]] Fiber& here) {
#ifdef WEFT_MODEL_ASAN
  // First time on this stack: learn where the explorer's own is.
  __sanitizer_finish_switch_fiber(nullptr, &explorer->main_.bottom, &explorer->main_.bytes);
#endif
}

void Explorer::entry() {
  Explorer& self = *explorer;
  Thread& thread = self.threads_[static_cast<size_t>(self.current_)];
  self.arrived(*thread.fiber);
  thread.body();
  thread.done = true;
  self.leave_thread();
  std::abort();  // a thread that is done is never chosen
}

// Which thread moves now; -1: none can.
int Explorer::choose() {
  // The one that moved last comes first, so that the first run has no preemption and each later choice is one more.
  std::vector<int> able;
  const auto can_move = [this](int index) {
    const Thread& thread = threads_[static_cast<size_t>(index)];
    return !thread.done && (thread.ready == nullptr || (*thread.ready)());
  };
  const bool previous_able = previous_ >= 0 && can_move(previous_);
  if (previous_able) able.push_back(previous_);
  if (!previous_able || options_.preemptions_max < 0 || preemptions_ < options_.preemptions_max) {
    for (int i = 0; i < static_cast<int>(threads_.size()); ++i) {
      if (i != previous_ && can_move(i)) able.push_back(i);
    }
  }
  if (able.empty()) return -1;
  if (depth_ == path_.size()) path_.push_back({0, static_cast<uint32_t>(able.size())});
  const Choice& choice = path_[depth_++];
  if (choice.among != able.size()) {
    std::fprintf(stderr, "model: the scenario does not repeat itself: it depends on something besides its choices\n");
    std::abort();
  }
  const int chosen = able[choice.taken];
  if (previous_able && chosen != previous_) ++preemptions_;
  return chosen;
}

void Explorer::run_once(const std::function<void(Scenario&)>& scenario) {
  threads_.clear();
  ends_.clear();
  moves_.clear();
  depth_ = 0;
  preemptions_ = 0;
  previous_ = -1;
  Scenario run;
  scenario(run);
  for (Thread& thread : threads_) {
    if (spare_.empty()) {
      spare_.push_back(std::make_unique<Fiber>());
      spare_.back()->stack.resize(kStackBytes);
#ifdef WEFT_MODEL_TSAN
      spare_.back()->tsan = __tsan_create_fiber(0);
#endif
    }
    thread.fiber = std::move(spare_.back());
    spare_.pop_back();
    Fiber& fiber = *thread.fiber;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
#ifdef WEFT_MODEL_ASAN
    fiber.bottom = fiber.stack.data();
    fiber.bytes = fiber.stack.size();
#endif
    makecontext(&fiber.context, &Explorer::entry, 0);
  }
  while (!failed_) {
    const int next = choose();
    if (next < 0) break;
    if (moves_.size() >= options_.steps_max) {
      failed_ = true;
      failure_ = "endless: more accesses than steps_max";
      break;
    }
    moves_.push_back(next);
    current_ = next;
    previous_ = next;
    threads_[static_cast<size_t>(next)].ready = nullptr;
    switch_to(main_, *threads_[static_cast<size_t>(next)].fiber);
    current_ = -1;
  }
  for (const Thread& thread : threads_) {
    if (failed_ || thread.done || (thread.parked && options_.parked_is_fine)) continue;
    failed_ = true;
    failure_ = "deadlock: nobody can move, and a thread is not done";
  }
  for (const auto& end : ends_) {
    if (!failed_) end();
  }
  for (Thread& thread : threads_) spare_.push_back(std::move(thread.fiber));
}

bool Explorer::next_path() {
  while (!path_.empty() && path_.back().taken + 1 == path_.back().among) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().taken;
  return true;
}

Outcome Explorer::explore(const std::function<void(Scenario&)>& scenario) {
#ifdef WEFT_MODEL_TSAN
  main_.tsan = __tsan_get_current_fiber();
#endif
  Outcome outcome;
  do {
    run_once(scenario);
    ++outcome.runs;
    if (failed_) {
      outcome.failure = failure_ + " (run " + std::to_string(outcome.runs) + ", threads moved:";
      for (const int move : moves_) outcome.failure += ' ' + std::to_string(move);
      outcome.failure += ')';
      return outcome;
    }
    if (!next_path()) {
      outcome.exhaustive = true;
      break;
    }
  } while (outcome.runs < options_.runs_max);
  outcome.passed = true;
  threads_.clear();
  ends_.clear();
  return outcome;
}

void Explorer::point() { leave_thread(); }

void Explorer::wait_until(const std::function<bool()>& ready, bool parked) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.ready = &ready;
  thread.parked = parked;
  leave_thread();
  thread.parked = false;
}

void Explorer::fail(const char* what, const char* detail, const char* file, int line) {
  failed_ = true;
  failure_ = what;
  if (*file != '\0') failure_ += std::string(" (") + detail + ") at " + file + ':' + std::to_string(line);
  if (current_ >= 0) {
    // Never chosen again: its frames are abandoned as they are.
    threads_[static_cast<size_t>(current_)].done = true;
    leave_thread();
    std::abort();
  }
}

}  // namespace

void Scenario::thread(std::function<void()> body) { explorer->add_thread(std::move(body)); }
void Scenario::at_end(std::function<void()> body) { explorer->add_end(std::move(body)); }

Outcome explore(const Options& options, const std::function<void(Scenario&)>& scenario) {
  Explorer one(options);
  Explorer* const before = std::exchange(explorer, &one);
  const Outcome outcome = one.explore(scenario);
  explorer = before;
  return outcome;
}

void check(bool condition, const char* what) {
  if (!condition) explorer->fail(what);
}

void point() {
  if (explorer != nullptr && explorer->inside()) explorer->point();
}

void wait_until(const std::function<bool()>& ready, bool parked) {
  if (explorer != nullptr && explorer->inside()) {
    explorer->wait_until(ready, parked);
  } else if (!ready()) {
    std::fprintf(stderr, "model: waiting outside of a modelled thread\n");
    std::abort();
  }
}

}  // namespace weft::base::model

namespace weft::base {

// In a model build a broken assertion is a finding, not the end.
void assertion_failed(const char* file, int line, const char* expression, const char* message) noexcept {
  if (model::explorer != nullptr && model::explorer->inside()) {
    model::explorer->fail(message, expression, file, line);
    // Does not get here: fail() leaves a thread for good.
  }
  std::fprintf(stderr, "weft: bug: %s:%d: %s (%s)\n", file, line, message, expression);
  std::abort();
}

}  // namespace weft::base
