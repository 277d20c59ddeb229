// Guests in text that use the import modules of processes: the imports that most of them want, and a host that listens to what they find out.
//
//   Process one = spawn(guest(R"((func (export "_start") (call $expect (call $whereis …) (i64.const -71) (i32.const __LINE__)))"));
//
// Memory: 2 pages. `expect(got, wanted, where)` fails the test when they differ; `note(value)` keeps a value for the test.
#pragma once

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "support/runtime_fixture.hpp"

namespace weft::testing {

inline constexpr std::string_view kProcessImports = R"(
  (import "env" "expect" (func $expect (param i64 i64 i32)))
  (import "env" "note" (func $note (param i64)))
  (import "env" "gate" (func $gate))
  (import "weft_process" "self" (func $self (result i64)))
  (import "weft_process" "send" (func $send (param i64 i64 i32 i32 i64) (result i32)))
  (import "weft_process" "send_named" (func $send_named (param i32 i32 i64 i32 i32 i64) (result i32)))
  (import "weft_process" "receive" (func $receive (param i32 i32 i64 i32 i32 i32 i64) (result i32)))
  (import "weft_process" "pending" (func $pending (result i32)))
  (import "weft_process" "link" (func $link (param i64) (result i32)))
  (import "weft_process" "unlink" (func $unlink (param i64) (result i32)))
  (import "weft_process" "trap_exits" (func $trap_exits (param i32)))
  (import "weft_process" "monitor" (func $monitor (param i64) (result i64)))
  (import "weft_process" "demonitor" (func $demonitor (param i64 i32) (result i32)))
  (import "weft_process" "register_name" (func $register (param i32 i32) (result i32)))
  (import "weft_process" "unregister_name" (func $unregister (param i32 i32) (result i32)))
  (import "weft_process" "whereis" (func $whereis (param i32 i32) (result i64)))
  )";

// `more`: further imports. `body`: functions and data.
inline std::string guest(std::string_view body, std::string_view more = {}) {
  return "(module " + std::string(kProcessImports) + std::string(more) + R"(
  (memory (export "memory") 2)
  (func $is (param $got i32) (param $wanted i32) (param $where i32)
    (call $expect (i64.extend_i32_s (local.get $got)) (i64.extend_i32_s (local.get $wanted)) (local.get $where)))
  )" + std::string(body) +
         ")";
}

class ProcessGuestTest : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    RuntimeOptions options = usual_options();
    options.names_max = 40;
    adapt(options);
    options.host.define("env", "expect", [this](Caller& caller, std::int64_t got, std::int64_t wanted, std::int32_t where) {
      std::lock_guard lock(mutex_);
      EXPECT_EQ(got, wanted) << "process " << caller.process_id() << ", at " << where;
      ++expectations_;
    });
    options.host.define("env", "note", [this](Caller&, std::int64_t value) {
      std::lock_guard lock(mutex_);
      notes_.push_back(value);
    });
    options.host.define("env", "gate", [gate = gate_](Caller&) -> Task<void> { (void)co_await gate.when_set().wait(); });
    start(std::move(options));
  }
  virtual void adapt(RuntimeOptions&) {}

  std::vector<std::int64_t> notes() {
    std::lock_guard lock(mutex_);
    return notes_;
  }
  void wait_for_notes(std::size_t count) {
    while (notes().size() < count) std::this_thread::yield();
  }
  static void ends_well(const Process& process) {
    const ExitStatus status = process.join();
    EXPECT_TRUE(status.success()) << status.message << "\n" << status.detail;
  }

  Event gate_;
  std::mutex mutex_;
  std::vector<std::int64_t> notes_;
  int expectations_ = 0;
};

}  // namespace weft::testing
