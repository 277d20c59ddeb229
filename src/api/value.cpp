#include "weft/value.hpp"

#include <fmt/format.h>

namespace weft {

std::string to_string(const Value& value) {
  switch (type_of(value)) {
    case ValueType::kI32:
      return fmt::format("{}", std::get<std::int32_t>(value));
    case ValueType::kI64:
      return fmt::format("{}", std::get<std::int64_t>(value));
    case ValueType::kF32:
      return fmt::format("{}", std::get<float>(value));
    case ValueType::kF64:
      return fmt::format("{}", std::get<double>(value));
    case ValueType::kV128: {
      std::string text = "0x";
      const Vector128& bytes = std::get<Vector128>(value);
      for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) text += fmt::format("{:02x}", static_cast<unsigned>(*byte));
      return text;
    }
  }
  return {};
}

}  // namespace weft
