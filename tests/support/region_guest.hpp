// Guests in text that use shared regions: the imports of weft_region, and a fixture whose runtime bounds them.
#pragma once

#include <string>
#include <string_view>

#include "support/process_guest.hpp"

namespace weft::testing {

inline constexpr std::string_view kRegionImports = R"(
  (import "weft_region" "make" (func $make (param i64) (result i32)))
  (import "weft_region" "open" (func $open (param i32 i32 i64) (result i32)))
  (import "weft_region" "close" (func $close (param i32) (result i32)))
  (import "weft_region" "size" (func $size (param i32) (result i64)))
  (import "weft_region" "read" (func $read (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "write" (func $write (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "load32" (func $load32 (param i32 i64 i32) (result i32)))
  (import "weft_region" "store32" (func $store32 (param i32 i64 i32) (result i32)))
  (import "weft_region" "add32" (func $add32 (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "and32" (func $and32 (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "or32" (func $or32 (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "xchg32" (func $xchg32 (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "cmpxchg32" (func $cmpxchg32 (param i32 i64 i32 i32 i32) (result i32)))
  (import "weft_region" "load64" (func $load64 (param i32 i64 i32) (result i32)))
  (import "weft_region" "store64" (func $store64 (param i32 i64 i64) (result i32)))
  (import "weft_region" "add64" (func $add64 (param i32 i64 i64 i32) (result i32)))
  (import "weft_region" "and64" (func $and64 (param i32 i64 i64 i32) (result i32)))
  (import "weft_region" "or64" (func $or64 (param i32 i64 i64 i32) (result i32)))
  (import "weft_region" "xchg64" (func $xchg64 (param i32 i64 i64 i32) (result i32)))
  (import "weft_region" "cmpxchg64" (func $cmpxchg64 (param i32 i64 i64 i64 i32) (result i32)))
  (import "weft_region" "wait32" (func $wait32 (param i32 i64 i32 i64) (result i32)))
  (import "weft_region" "wait64" (func $wait64 (param i32 i64 i64 i64) (result i32)))
  (import "weft_region" "notify" (func $notify (param i32 i64 i32) (result i32)))
  )";

inline std::string region_guest(std::string_view body) { return guest(body, kRegionImports); }

class RegionGuestTest : public ProcessGuestTest {
 protected:
  static constexpr std::uint64_t kRegionsBytesMax = 4U << 20;
  void adapt(RuntimeOptions& options) override { options.regions_bytes_max = kRegionsBytesMax; }
  Process run(std::string_view body) { return spawn(region_guest(body)); }
};

}  // namespace weft::testing
