// What guests hold by handles: locks, subscriptions, ends of channels, wait sets, events, shared regions. And ByName, where those are found that have a name.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.hpp"
#include "weft/error.hpp"
#include "weft/process.hpp"

namespace weft::process {

class Shareable {
 public:
  Shareable() = default;
  Shareable(const Shareable&) = delete;
  Shareable& operator=(const Shareable&) = delete;
  virtual ~Shareable() = default;
  // A process that had it has ended. Any thread, no lock held.
  virtual void process_gone(ProcessId) {}
  // What another process gets that is granted this. Null: this very one. Any thread.
  virtual std::shared_ptr<Shareable> for_another() const { return nullptr; }
  virtual bool may_be_granted() const { return true; }
  virtual bool may_be_dropped() const { return true; }
};

// Finds or makes things by name. They live as long as somebody has them; whatever is gone is forgotten when room is wanted. Any thread.
template <class T>
class ByName {
 public:
  static constexpr std::size_t kMax = 16'384;
  static constexpr std::size_t kNameBytesMax = 255;

  // `make` gives a T or the reason why there is none.
  template <class Make>
  Result<std::shared_ptr<T>> open(std::string_view name, const Make& make) {
    if (name.empty() || name.size() > kNameBytesMax)
      return fail(ErrorKind::kBadArgument, "a name has 1 to " + std::to_string(kNameBytesMax) + " bytes");
    base::Lock lock(mutex_);
    const auto found = all_.find(name);
    if (found != all_.end()) {
      if (std::shared_ptr<T> known = found->second.lock()) return known;
      all_.erase(found);
    }
    if (all_.size() >= sweep_at_) {
      std::erase_if(all_, [](const auto& one) { return one.second.expired(); });
      sweep_at_ = std::min(kMax, std::max<std::size_t>(64, 2 * all_.size()));
      if (all_.size() >= kMax) return fail(ErrorKind::kExhausted, "there are " + std::to_string(kMax) + " of them already");
    }
    Result<std::shared_ptr<T>> made = make();
    if (made) all_.emplace(name, *made);
    return made;
  }
  std::shared_ptr<T> find(std::string_view name) const {
    base::Lock lock(mutex_);
    const auto found = all_.find(name);
    return found == all_.end() ? nullptr : found->second.lock();
  }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<T>, Hash, std::equal_to<>> all_ WEFT_GUARDED_BY(mutex_);
  std::size_t sweep_at_ WEFT_GUARDED_BY(mutex_) = 64;
};

}  // namespace weft::process
