// Values that cross between host and guest. Plain data, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace weft {

using Vector128 = std::array<std::byte, 16>;
using Value = std::variant<std::int32_t, std::int64_t, float, double, Vector128>;

enum class ValueType : std::uint8_t { kI32, kI64, kF32, kF64, kV128 };  // the order of the alternatives of Value

constexpr ValueType type_of(const Value& value) noexcept { return static_cast<ValueType>(value.index()); }

// As wasm text would write it, without the type: 42, -1.5, 0x… for vectors.
std::string to_string(const Value& value);

}  // namespace weft
