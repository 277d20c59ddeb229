#include "process/together/region.hpp"

#include <atomic>
#include <random>
#include <string>
#include <utility>

#include "process/state.hpp"
#include "process/together/region_copy.hpp"
#include "process/together/society.hpp"

namespace weft::detail {
namespace {

// Where notifies of different offsets meet is not to be known to guests.
std::uint64_t any_seed() {
  std::random_device random;
  return (std::uint64_t{random()} << 32U) | random();
}

template <RegionWord Word>
bool has_value(Word* word, std::uint64_t expected) {
  return std::atomic_ref<Word>(*word).load(std::memory_order_seq_cst) == static_cast<Word>(expected);
}

std::unexpected<Error> not_inside(const RegionState* state, std::uint64_t offset, std::uint64_t size) {
  if (state == nullptr) return fail(ErrorKind::kBadArgument, "a shared region of nothing");
  return fail(ErrorKind::kBadArgument, std::to_string(size) + " bytes at " + std::to_string(offset) + ": the shared region has " +
                                           std::to_string(state->size()));
}

std::unexpected<Error> no_word(const RegionState* state, std::uint64_t offset, std::uint32_t width) {
  if (state != nullptr && offset % width != 0) {
    return fail(ErrorKind::kBadArgument, "a word of " + std::to_string(width) + " bytes cannot be at " + std::to_string(offset) +
                                             ": it has to be a multiple of its size");
  }
  return not_inside(state, offset, width);
}

}  // namespace

Result<std::shared_ptr<RegionState>> RegionState::make(std::uint64_t bytes, const Payers& payers) {
  if (bytes == 0 || bytes > SharedRegion::kBytesMax) {
    return fail(ErrorKind::kBadArgument, "a shared region of " + std::to_string(bytes) + " bytes: 1 to " +
                                             std::to_string(SharedRegion::kBytesMax) + " are possible");
  }
  const std::uint64_t cost = bytes + process::Budget::kOverheadBytes;
  for (std::size_t i = 0; i < payers.size(); ++i) {
    if (!payers[i] || payers[i]->take(cost)) continue;
    for (std::size_t paid = 0; paid < i; ++paid) {
      if (payers[paid]) payers[paid]->give_back(cost);
    }
    return fail(ErrorKind::kExhausted, "a shared region of " + std::to_string(bytes) + " bytes: of the " +
                                           std::to_string(payers[i]->max()) + " that there may be " +
                                           std::to_string(payers[i]->used()) + " are taken");
  }
  // Zeroed, and of a large one only what is used becomes memory.
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  Memory memory(static_cast<std::byte*>(std::calloc((bytes + kWord - 1) / kWord, kWord)));
  if (!memory) {
    for (const auto& payer : payers) {
      if (payer) payer->give_back(cost);
    }
    return fail(ErrorKind::kExhausted, "the machine has no " + std::to_string(bytes) + " bytes for a shared region");
  }
  return std::make_shared<RegionState>(std::move(memory), bytes, payers, any_seed());
}

RegionState::RegionState(Memory memory, std::uint64_t bytes, Payers payers, std::uint64_t seed)
    : memory_(std::move(memory)), bytes_(bytes), payers_(std::move(payers)), queues_(seed, kBuckets) {}

RegionState::~RegionState() {
  for (const auto& payer : payers_) {
    if (payer) payer->give_back(bytes_ + process::Budget::kOverheadBytes);
  }
}

void RegionState::read(std::uint64_t offset, std::span<std::byte> to) const {
  process::copy_from_shared(to.data(), memory_.get() + offset, to.size());
}

void RegionState::write(std::uint64_t offset, std::span<const std::byte> from) {
  process::copy_to_shared(memory_.get() + offset, from.data(), from.size());
}

bool RegionState::enqueue(RegionWaiter& waiter, std::uint64_t offset, std::uint64_t expected, std::uint32_t width) {
  const auto still_equal = [&] {
    return width == sizeof(std::uint64_t) ? has_value(word<std::uint64_t>(offset), expected)
                                          : has_value(word<std::uint32_t>(offset), expected);
  };
  return queues_.enqueue(waiter.entry, memory_.get() + offset, waiter, nullptr, still_equal).queued;
}

// ---- waiting ----

RegionWait::RegionWait(std::shared_ptr<RegionState> state, std::uint64_t offset, std::uint64_t expected, std::uint32_t width,
                       Duration bound)
    : Operation(bound), state_(std::move(state)), offset_(offset), expected_(expected), width_(width) {}

RegionWait::~RegionWait() {
  if (waiter_ == nullptr) return;
  // Woken, but it will never go on: what it was woken for is another's.
  if (!outcome_ && !state_->withdraw(*waiter_)) (void)state_->notify(offset_, 1);
  waiter_->drop();
}

bool RegionWait::begin(const sync::Sleeper& sleeper) {
  if (!state_ || !state_->has_word(offset_, width_)) return true;
  waiter_ = new RegionWaiter(sleeper);
  if (state_->enqueue(*waiter_, offset_, expected_, width_)) return false;
  outcome_ = RegionWake::kNotEqual;
  return true;
}

bool RegionWait::done() {
  if (waiter_->entry.state() == sync::FutexState::kQueued) return false;
  outcome_ = RegionWake::kWoken;
  return true;
}

void RegionWait::expire() { outcome_ = state_->withdraw(*waiter_) ? RegionWake::kTimedOut : RegionWake::kWoken; }

Result<RegionWake> RegionWait::take() const {
  if (outcome_) return *outcome_;
  return no_word(state_.get(), offset_, width_);
}

}  // namespace weft::detail

namespace weft {

std::uint64_t SharedRegion::size() const noexcept { return state_ ? state_->size() : 0; }

Result<void> SharedRegion::read(std::uint64_t offset, std::span<std::byte> to) const {
  if (!state_ || !state_->has(offset, to.size())) return detail::not_inside(state_.get(), offset, to.size());
  state_->read(offset, to);
  return {};
}

Result<void> SharedRegion::write(std::uint64_t offset, std::span<const std::byte> from) const {
  if (!state_ || !state_->has(offset, from.size())) return detail::not_inside(state_.get(), offset, from.size());
  state_->write(offset, from);
  return {};
}

Result<std::uint32_t> SharedRegion::notify(std::uint64_t offset, std::uint32_t count) const {
  if (!state_ || !state_->has_word(offset, sizeof(std::uint32_t)))
    return detail::no_word(state_.get(), offset, sizeof(std::uint32_t));
  return state_->notify(offset, count);
}

namespace {

template <RegionWord Word, class Do>
auto on_word(const std::shared_ptr<detail::RegionState>& state, std::uint64_t offset, const Do& action)
    -> Result<decltype(action(std::declval<std::atomic_ref<Word>>()))> {
  if (!state || !state->has_word(offset, sizeof(Word))) return detail::no_word(state.get(), offset, sizeof(Word));
  const std::atomic_ref<Word> word(*state->word<Word>(offset));
  if constexpr (std::is_void_v<decltype(action(word))>) {
    action(word);
    return {};
  } else {
    return action(word);
  }
}

}  // namespace

template <RegionWord Word>
Result<Word> SharedRegion::load(std::uint64_t offset) const {
  return on_word<Word>(state_, offset, [](auto word) { return word.load(); });
}
template <RegionWord Word>
Result<void> SharedRegion::store(std::uint64_t offset, Word value) const {
  return on_word<Word>(state_, offset, [value](auto word) { word.store(value); });
}
template <RegionWord Word>
Result<Word> SharedRegion::add(std::uint64_t offset, Word value) const {
  return on_word<Word>(state_, offset, [value](auto word) { return word.fetch_add(value); });
}
template <RegionWord Word>
Result<Word> SharedRegion::and_with(std::uint64_t offset, Word value) const {
  return on_word<Word>(state_, offset, [value](auto word) { return word.fetch_and(value); });
}
template <RegionWord Word>
Result<Word> SharedRegion::or_with(std::uint64_t offset, Word value) const {
  return on_word<Word>(state_, offset, [value](auto word) { return word.fetch_or(value); });
}
template <RegionWord Word>
Result<Word> SharedRegion::exchange(std::uint64_t offset, Word value) const {
  return on_word<Word>(state_, offset, [value](auto word) { return word.exchange(value); });
}
template <RegionWord Word>
Result<Word> SharedRegion::compare_exchange(std::uint64_t offset, Word expected, Word desired) const {
  return on_word<Word>(state_, offset, [=](auto word) {
    Word before = expected;
    word.compare_exchange_strong(before, desired);
    return before;
  });
}

#define WEFT_REGION_WORD(Word)                                             \
  template Result<Word> SharedRegion::load(std::uint64_t) const;           \
  template Result<void> SharedRegion::store(std::uint64_t, Word) const;    \
  template Result<Word> SharedRegion::add(std::uint64_t, Word) const;      \
  template Result<Word> SharedRegion::and_with(std::uint64_t, Word) const; \
  template Result<Word> SharedRegion::or_with(std::uint64_t, Word) const;  \
  template Result<Word> SharedRegion::exchange(std::uint64_t, Word) const; \
  template Result<Word> SharedRegion::compare_exchange(std::uint64_t, Word, Word) const;
WEFT_REGION_WORD(std::uint32_t)
WEFT_REGION_WORD(std::uint64_t)
#undef WEFT_REGION_WORD

Result<SharedRegion> make_shared_region(std::uint64_t bytes) {
  auto made = detail::RegionState::make(bytes);
  if (!made) return std::unexpected(std::move(made.error()));
  return SharedRegion(std::move(*made));
}

}  // namespace weft

namespace weft::process {

Society::RegionResult Society::make_region(std::uint64_t bytes, Process::State* maker) {
  std::shared_ptr<Budget> own;
  if (maker != nullptr) {
    Peer* const peer = maker->peer();
    if (peer == nullptr) return fail(ErrorKind::kNotFound, "process " + std::to_string(maker->id) + " has ended");
    base::Lock lock(peer->mutex);
    if (!peer->regions) peer->regions = std::make_shared<Budget>(maker->limits().region_bytes);
    own = peer->regions;
  }
  return detail::RegionState::make(bytes, {std::move(own), regions_});
}

Society::RegionResult Society::open_region(std::string_view name, std::uint64_t bytes, Process::State* maker) {
  auto opened = regions_by_name_.open(name, [&] { return make_region(bytes, maker); });
  if (opened && (*opened)->size() != bytes) {
    return fail(ErrorKind::kBadArgument, "the shared region " + std::string(name) + " has " + std::to_string((*opened)->size()) +
                                             " bytes, not " + std::to_string(bytes));
  }
  return opened;
}

void Society::set_regions_bytes_max(std::uint64_t max) { regions_ = std::make_shared<Budget>(max); }
std::uint64_t Society::region_bytes() const { return regions_ ? regions_->used() : 0; }

}  // namespace weft::process
