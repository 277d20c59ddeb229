// What guests in text import to use channels, grants and wait sets, beside kProcessImports.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/process_guest.hpp"

namespace weft::testing {

inline constexpr std::string_view kChannelImports = R"(
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_process" "grant" (func $grant (param i64 i32 i32 i32) (result i32)))
  (import "weft_process" "drop" (func $drop_handle (param i32) (result i32)))
  (import "weft_channel" "make" (func $make (param i32 i32 i32 i32 i32) (result i32)))
  (import "weft_channel" "send" (func $put (param i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "send_many" (func $put_many (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "receive" (func $get (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "receive_many" (func $get_many (param i32 i32 i32 i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "close" (func $close (param i32) (result i32)))
  (import "weft_channel" "subscribe" (func $subscribe_to (param i32) (result i32)))
  (import "weft_channel" "stats" (func $channel_stats (param i32 i32) (result i32)))
  )";

inline constexpr std::string_view kWaitImports = R"(
  (import "weft_wait" "set_new" (func $set_new (result i32)))
  (import "weft_wait" "add" (func $add (param i32 i64 i32 i64) (result i32)))
  (import "weft_wait" "remove" (func $remove (param i32 i64) (result i32)))
  (import "weft_wait" "wait" (func $wait (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_wait" "event_new" (func $event_new (result i32)))
  (import "weft_wait" "event_set" (func $event_set (param i32) (result i32)))
  (import "weft_wait" "event_reset" (func $event_reset (param i32) (result i32)))
  )";

class ChannelGuestTest : public ProcessGuestTest {
 protected:
  static std::string with_channels(std::string_view body, std::string_view more = {}) {
    return guest(body, std::string(kChannelImports) + std::string(more));
  }
  Process run(std::string_view body, std::vector<Grant> grants = {}, std::string_view more = {}) {
    return run(compile(with_channels(body, more)), std::move(grants));
  }
  Process run(const Module& module, std::vector<Grant> grants) {
    const Program program = runtime_->prepare({.module = module}).value();
    return runtime_->spawn(program, {.grants = std::move(grants)}).value();
  }
  Process named(const Process& process, std::string_view name) {
    EXPECT_TRUE(runtime_->register_name(name, process).has_value());
    return process;
  }
};

inline Bytes text(std::string_view words) { return Bytes::copy_of(words); }
inline Grant grant(std::string_view name, Sender end) { return {.name = std::string(name), .what = std::move(end)}; }
inline Grant grant(std::string_view name, Receiver end) { return {.name = std::string(name), .what = std::move(end)}; }

}  // namespace weft::testing
