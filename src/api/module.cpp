#include "weft/module.hpp"

#include <nlohmann/json.hpp>

#include "api/runtime_state.hpp"

namespace weft {

const std::string& Module::name() const noexcept {
  static const std::string kNone;
  return code_ ? code_->compiled->name() : kNone;
}

bool Module::is_component() const noexcept { return code_ && code_->compiled->is_component(); }

Result<std::vector<std::uint8_t>> Module::serialize() const {
  if (!code_) return fail(ErrorKind::kBadArgument, "an empty module has no code");
  return code_->compiled->serialize();
}

}  // namespace weft
