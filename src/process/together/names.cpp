// The registry of names of Society.
#include <algorithm>

#include "process/state.hpp"
#include "process/together/society.hpp"

namespace weft::process {

std::shared_ptr<Society> make_society(Table& table) { return std::make_shared<Society>(table); }

Result<void> Society::register_name(std::string_view name, Process::State& process, bool* taken) {
  const auto odd = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > kNameBytesMax || std::ranges::any_of(name, odd)) {
    return fail(ErrorKind::kBadArgument,
                "a name of a process has 1 to " + std::to_string(kNameBytesMax) + " bytes, none of them a control character");
  }
  base::Lock lock(names_mutex_);
  if (const auto found = names_.find(name); found != names_.end()) {
    if (found->second == process.id) return {};
    if (taken != nullptr) *taken = true;
    return fail(ErrorKind::kBadArgument, "the name " + std::string(name) + " is taken by process " + std::to_string(found->second));
  }
  if (names_.size() >= names_max_) {
    return fail(ErrorKind::kExhausted,
                "there are " + std::to_string(names_max_) + " names already; raise RuntimeOptions::names_max");
  }
  Peer* const peer = process.peer();
  if (peer != nullptr) {
    base::Lock own(peer->mutex);
    if (!peer->ended) {
      if (peer->names.size() >= kNamesOfOneMax) {
        return fail(ErrorKind::kExhausted,
                    "process " + std::to_string(process.id) + " has " + std::to_string(kNamesOfOneMax) + " names already");
      }
      peer->names.emplace_back(name);
      names_.emplace(name, process.id);
      return {};
    }
  }
  return fail(ErrorKind::kNotFound, "process " + std::to_string(process.id) + " has ended");
}

bool Society::unregister_name(std::string_view name, ProcessId owner_or_zero) {
  StateRef owner;  // let go of outside of the lock
  base::Lock lock(names_mutex_);
  const auto found = names_.find(name);
  if (found == names_.end() || (owner_or_zero != 0 && found->second != owner_or_zero)) return false;
  owner = table_.find(found->second);
  names_.erase(found);
  if (Peer* const peer = owner ? owner->peer() : nullptr) {
    base::Lock own(peer->mutex);
    std::erase(peer->names, name);
  }
  return true;
}

ProcessId Society::whereis(std::string_view name) const {
  base::Lock lock(names_mutex_);
  const auto found = names_.find(name);
  return found == names_.end() ? 0 : found->second;
}

std::size_t Society::names() const {
  base::Lock lock(names_mutex_);
  return names_.size();
}

}  // namespace weft::process
