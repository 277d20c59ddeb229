#include "sync/fuel_pool.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "platform/platform.hpp"
#include "sched/scheduler.hpp"
#include "sync/task_context.hpp"
#include "sync/waitable.hpp"

namespace weft {
namespace sync {
namespace {

constexpr std::uint64_t kCapacityMax = std::uint64_t{1} << 53U;
constexpr std::uint64_t kRegenerationMax = 1'000'000'000'000;
constexpr std::uint64_t kBillion = 1'000'000'000;
constexpr std::uint64_t kStackPageBytes = 64U << 10U;

std::uint64_t add_clamped(std::uint64_t a, std::uint64_t b) {
  return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}
std::uint64_t multiply_clamped(std::uint64_t a, std::uint64_t b) {
  return b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b ? std::numeric_limits<std::uint64_t>::max() : a * b;
}

}  // namespace

FuelPoolState::FuelPoolState(FuelPoolOptions options)
    : options_(std::move(options)),
      capacity_(static_cast<std::int64_t>(options_.capacity)),
      clock_(platform::host()),
      available_(static_cast<std::int64_t>(options_.initial.value_or(options_.capacity))) {
  ShortLock lock(mutex_);
  updated_ns_ = now_ns();
}

std::uint64_t FuelPoolState::cost_of(const FuelOperation& operation) const noexcept {
  const FuelRates& rates = options_.rates;
  switch (operation.kind) {
    case FuelOperation::Kind::kSpawn: {
      const std::uint64_t pages = operation.stack_bytes / kStackPageBytes + (operation.stack_bytes % kStackPageBytes != 0 ? 1 : 0);
      return add_clamped(rates.spawn, multiply_clamped(rates.spawn_per_stack_page, pages));
    }
    case FuelOperation::Kind::kJoin:
      return rates.join;
    case FuelOperation::Kind::kSwitch:
      return rates.context_switch;
    case FuelOperation::Kind::kSynchronization:
      return rates.synchronization[static_cast<std::size_t>(operation.sync) % kSyncOperations];
  }
  return 0;
}

// Adds what was gained since the last look.
void FuelPoolState::update() {
  const std::uint64_t rate = options_.regeneration_per_second;
  if (rate == 0) return;
  const std::uint64_t now = now_ns();
  if (now <= updated_ns_) return;
  const std::uint64_t elapsed_ns = now - updated_ns_;
  updated_ns_ = now;
  const auto room = static_cast<std::uint64_t>(capacity_ - available_);  // at most twice the capacity: 2^54
  if (elapsed_ns < kBillion && rate < kBillion) {                        // as it mostly is: the product fits
    const std::uint64_t all = elapsed_ns * rate + billionths_;
    return add_gain(all / kBillion, all % kBillion, room);
  }
  // Whole seconds and the rest apart, so that no product goes beyond 64 bits: a rest below 2^30 times a rate of up to 2^40 would.
  const std::uint64_t seconds = elapsed_ns / kBillion;
  const std::uint64_t rest_ns = elapsed_ns % kBillion;
  const std::uint64_t high = (rate / 1000) * rest_ns;  // thousandths of a billion: below 10^9 * 10^9
  const std::uint64_t low = (rate % 1000) * rest_ns + (high % 1'000'000) * 1000 + billionths_;  // below 10^12 + 10^9 + 10^9
  add_gain(add_clamped(multiply_clamped(seconds, rate), high / 1'000'000 + low / kBillion), low % kBillion, room);
}

void FuelPoolState::add_gain(std::uint64_t units, std::uint64_t billionths, std::uint64_t room) {
  if (units >= room) {
    available_ = capacity_;
    billionths_ = 0;
  } else {
    available_ += static_cast<std::int64_t>(units);
    billionths_ = billionths;
  }
}

void FuelPoolState::serve(Wakes& wakes) {
  bool served = false;
  while (FuelWaiter* const head = waiters_.front()) {
    if (available_ < static_cast<std::int64_t>(head->amount)) {
      if (served) wakes.add(head->sleeper);  // it keeps the time now
      return;
    }
    available_ -= static_cast<std::int64_t>(head->amount);
    taken_ += head->amount;
    ++operations_;
    waiters_.pop_front();
    --waiting_;
    head->granted = true;
    served = true;
    wakes.add(head->sleeper);
  }
}

// From now until so much will be there.
std::uint64_t FuelPoolState::until_ns(std::uint64_t amount) const {
  const std::uint64_t rate = options_.regeneration_per_second;
  if (rate == 0) return sched::kNever;
  const auto missing = static_cast<std::uint64_t>(static_cast<std::int64_t>(amount) - available_);
  const std::uint64_t seconds = missing / rate;
  const std::uint64_t rest = missing % rate;  // below 10^12: times 10^9 does not fit
  const double rest_ns = static_cast<double>(rest) / static_cast<double>(rate) * static_cast<double>(kBillion);
  return add_clamped(multiply_clamped(seconds, kBillion), static_cast<std::uint64_t>(rest_ns) + 1);
}

bool FuelPoolState::try_take(std::uint64_t amount, std::int64_t& available) {
  {
    ShortLock lock(mutex_);
    update();
    if (waiters_.empty() && available_ >= static_cast<std::int64_t>(amount)) {
      available_ -= static_cast<std::int64_t>(amount);
      taken_ += amount;
      ++operations_;
      return true;
    }
  }
  return try_take_slowly(amount, available);
}

bool FuelPoolState::try_take_slowly(std::uint64_t amount, std::int64_t& available) {
  Wakes wakes;
  ShortLock lock(mutex_);
  update();
  serve(wakes);
  available = available_;
  if (!waiters_.empty() || available_ < static_cast<std::int64_t>(amount)) {
    ++refused_;
    return false;
  }
  available_ -= static_cast<std::int64_t>(amount);
  taken_ += amount;
  ++operations_;
  return true;
}

void FuelPoolState::owe(std::uint64_t amount) noexcept {
  ShortLock lock(mutex_);
  update();
  taken_ += amount;
  ++operations_;
  const std::int64_t most = available_ + capacity_;  // what is left until the debt is as large as may be
  available_ -= std::min(static_cast<std::int64_t>(std::min(amount, kCapacityMax)), most);
}

void FuelPoolState::give_back(std::uint64_t amount) {
  Wakes wakes;
  ShortLock lock(mutex_);
  update();
  const auto room = static_cast<std::uint64_t>(capacity_ - available_);
  available_ += static_cast<std::int64_t>(std::min(amount, room));
  serve(wakes);
}

// What was granted to somebody who did not come to take it.
void FuelPoolState::undo(std::uint64_t amount) {
  {
    ShortLock lock(mutex_);
    taken_ -= amount;
    --operations_;
  }
  give_back(amount);
}

void FuelPoolState::refresh() {
  Wakes wakes;
  ShortLock lock(mutex_);
  update();
  serve(wakes);
}

std::int64_t FuelPoolState::available() {
  ShortLock lock(mutex_);
  update();
  return available_;
}

FuelPoolStats FuelPoolState::stats() {
  ShortLock lock(mutex_);
  update();
  return {.capacity = options_.capacity,
          .available = available_,
          .taken = taken_,
          .operations = operations_,
          .refused = refused_,
          .waited = waited_,
          .waiting = waiting_};
}

bool FuelPoolState::enter(FuelWaiter& waiter, std::uint64_t amount) {
  Wakes wakes;
  ShortLock lock(mutex_);
  update();
  if (!waiters_.empty()) serve(wakes);
  if (waiters_.empty() && available_ >= static_cast<std::int64_t>(amount)) {
    available_ -= static_cast<std::int64_t>(amount);
    taken_ += amount;
    ++operations_;
    return true;
  }
  waiter.amount = amount;
  waiters_.push_back(waiter);
  ++waiting_;
  ++waited_;
  return false;
}

bool FuelPoolState::ask(FuelWaiter& waiter, std::uint64_t& again_in_ns) {
  Wakes wakes;
  ShortLock lock(mutex_);
  again_in_ns = sched::kNever;
  if (waiter.granted) return true;
  update();
  serve(wakes);
  if (waiter.granted) return true;
  if (waiters_.front() == &waiter) again_in_ns = until_ns(waiter.amount);
  return false;
}

bool FuelPoolState::leave(FuelWaiter& waiter) {
  Wakes wakes;
  ShortLock lock(mutex_);
  if (waiter.granted) return true;
  const bool head = waiters_.front() == &waiter;
  base::List<FuelWaiter, FuelWaiterLink>::remove(waiter);
  --waiting_;
  if (!head) return false;
  update();
  serve(wakes);
  if (FuelWaiter* const next = waiters_.front()) wakes.add(next->sleeper);
  return false;
}

}  // namespace sync

Result<FuelPool> FuelPool::create(FuelPoolOptions options) {
  const auto bad = [&](const std::string& message) { return fail(ErrorKind::kBadArgument, options.name + ": " + message); };
  if (options.capacity == 0) return bad("a pool of capacity 0 pays for nothing; give it at least 1");
  if (options.capacity > sync::kCapacityMax) {
    return bad("a capacity of " + std::to_string(options.capacity) + ": at most " + std::to_string(sync::kCapacityMax) +
               " is possible");
  }
  if (options.initial.value_or(0) > options.capacity) {
    return bad(std::to_string(*options.initial) + " at first do not fit into a capacity of " + std::to_string(options.capacity));
  }
  if (options.regeneration_per_second > sync::kRegenerationMax) {
    return bad("a regeneration of " + std::to_string(options.regeneration_per_second) + " a second: at most " +
               std::to_string(sync::kRegenerationMax) + " is possible");
  }
  return FuelPool(std::make_shared<sync::FuelPoolState>(std::move(options)));
}

namespace {

Error too_much(const FuelPoolOptions& options, std::uint64_t amount) {
  return {ErrorKind::kBadArgument,
          options.name + ": " + std::to_string(amount) + " were asked for, more than the capacity of " +
              std::to_string(options.capacity) + " can ever give",
          {}};
}
Error exhausted(const FuelPoolOptions& options, std::uint64_t amount, std::int64_t available, bool others) {
  std::string message =
      options.name + ": exhausted: " + std::to_string(amount) + " were asked for, " + std::to_string(available) + " are there";
  if (others) message += ", and others wait for them";
  message += options.regeneration_per_second != 0 ? "; it gains " + std::to_string(options.regeneration_per_second) + " a second"
                                                  : "; it regains nothing by itself";
  return {ErrorKind::kExhausted, std::move(message), {}};
}

}  // namespace

std::uint64_t FuelPool::capacity() const noexcept { return state_->options().capacity; }
OnExhausted FuelPool::on_exhausted() const noexcept { return state_->options().on_exhausted; }
std::uint64_t FuelPool::cost_of(const FuelOperation& operation) const noexcept { return state_->cost_of(operation); }

Result<void> FuelPool::try_take(std::uint64_t amount) const {
  if (amount > state_->options().capacity) return std::unexpected(too_much(state_->options(), amount));
  std::int64_t available = 0;
  if (state_->try_take(amount, available)) return {};
  return std::unexpected(exhausted(state_->options(), amount, available, available >= static_cast<std::int64_t>(amount)));
}

void FuelPool::owe(const FuelOperation& operation) const noexcept {
  if (const std::uint64_t cost = state_->cost_of(operation); cost != 0) state_->owe(cost);
}
void FuelPool::give_back(std::uint64_t amount) const { state_->give_back(amount); }
void FuelPool::refresh() const { state_->refresh(); }
std::int64_t FuelPool::available() const { return state_->available(); }
FuelPoolStats FuelPool::stats() const { return state_->stats(); }

// ---- take ----

FuelPool::Take::Take(std::shared_ptr<sync::FuelPoolState> state, std::uint64_t amount, Duration bound)
    : state_(std::move(state)), amount_(amount), bound_(bound) {}

FuelPool::Take::~Take() {
  if (!waiter_ || outcome_ != Outcome::kNone) return;
  if (state_->leave(*waiter_)) state_->undo(amount_);
}

// True: over at once.
bool FuelPool::Take::begin(std::unique_ptr<sync::FuelWaiter> waiter) {
  if (amount_ > state_->options().capacity) {
    outcome_ = Outcome::kTooMuch;
  } else if (state_->options().on_exhausted == OnExhausted::kFail || bound_ <= Duration::zero()) {
    std::int64_t available = 0;
    outcome_ = state_->try_take(amount_, available) ? Outcome::kTaken : Outcome::kRefused;
  } else if (state_->enter(*waiter, amount_)) {
    outcome_ = Outcome::kTaken;
  } else {
    waiter_ = std::move(waiter);
    return false;
  }
  return true;
}

bool FuelPool::Take::poll(detail::TaskContext& context) {
  if (outcome_ != Outcome::kNone) return true;
  if (!waiter_) {
    if (begin(std::make_unique<sync::FuelWaiter>(sync::Sleeper(context.task())))) return true;
    deadline_ns_ = sync::deadline_after(context.run.now_ns(), bound_);
    waiter_->timer = std::make_unique<sched::TaskTimer>(base::Ref<sched::Task>(&context.task()));
  }
  std::uint64_t again_in_ns = 0;
  if (state_->ask(*waiter_, again_in_ns)) {
    outcome_ = Outcome::kTaken;
    return true;
  }
  const std::uint64_t now_ns = context.run.now_ns();
  if (now_ns >= deadline_ns_) {
    outcome_ = state_->leave(*waiter_) ? Outcome::kTaken : Outcome::kTimedOut;
    return true;
  }
  const std::uint64_t again_ns = again_in_ns < sched::kNever - now_ns ? now_ns + again_in_ns : sched::kNever;
  const std::uint64_t wake_ns = std::min(deadline_ns_, again_ns);
  waiter_->timer->cancel();
  waiter_->timer->clear();
  if (wake_ns != sched::kNever) context.run.scheduler().timers().arm(*waiter_->timer, wake_ns);
  context.run.park("fuel", wake_ns == sched::kNever ? 0 : wake_ns);
  return false;
}

Result<void> FuelPool::Take::block() {
  WEFT_ASSERT(sched::RunContext::current() == nullptr,
              "block() blocks its thread, and this is a worker: co_await the take instead");
  using Clock = sync::ThreadParker::Clock;
  sync::ThreadParker& thread = sync::ThreadParker::mine();
  if (!begin(std::make_unique<sync::FuelWaiter>(sync::Sleeper(thread)))) {
    const Clock::time_point begun = Clock::now();
    const Clock::time_point deadline = bound_ < Clock::time_point::max() - begun ? begun + bound_ : Clock::time_point::max();
    std::uint64_t again_in_ns = 0;
    while (!state_->ask(*waiter_, again_in_ns)) {
      const Clock::time_point now = Clock::now();
      if (now >= deadline) {
        outcome_ = state_->leave(*waiter_) ? Outcome::kTaken : Outcome::kTimedOut;
        return await_resume();
      }
      constexpr std::uint64_t kHourNs = 3'600'000'000'000;
      const Clock::time_point again = now + Duration(static_cast<std::int64_t>(std::min(again_in_ns, kHourNs)));
      (void)thread.park_until(std::min(deadline, again));
    }
    outcome_ = Outcome::kTaken;
  }
  return await_resume();
}

Result<void> FuelPool::Take::await_resume() {
  switch (outcome_) {
    case Outcome::kNone:
    case Outcome::kTaken:
      return {};
    case Outcome::kTooMuch:
      return std::unexpected(too_much(state_->options(), amount_));
    case Outcome::kRefused:
      return std::unexpected(exhausted(state_->options(), amount_, state_->available(), false));
    case Outcome::kTimedOut:
      break;
  }
  return fail(ErrorKind::kTimedOut,
              state_->options().name + ": " + std::to_string(amount_) + " were not there within " + format_duration(bound_));
}

}  // namespace weft
