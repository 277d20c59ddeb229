// Small guests as WebAssembly text, shared by the tests that cross rooms.
#pragma once

#include <string_view>

namespace weft::testing {

inline constexpr std::string_view kReturns = R"((module (memory (export "memory") 1) (func (export "_start"))))";

inline constexpr std::string_view kExits42 = R"((module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 42)))))";

inline constexpr std::string_view kSpins = R"((module (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (func (export "_start") (call $spin))))";

// Sleeps for an hour.
inline constexpr std::string_view kSleeps = R"((module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $nap
    (i32.store (i32.const 16) (i32.const 1))                      ;; clock: monotonic
    (i64.store (i32.const 24) (i64.const 3600000000000))          ;; timeout, ns
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func (export "_start") (call $nap))))";

inline constexpr std::string_view kTraps = R"((module (memory (export "memory") 1)
  (func $inner (unreachable))
  (func $middle (call $inner))
  (func (export "_start") (call $middle))))";

inline constexpr std::string_view kYieldsForever = R"((module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (drop (call $yield)) (br $again)))))";

// Grows its memory page by page.
inline constexpr std::string_view kGrows = R"((module (memory (export "memory") 1)
  (func (export "_start") (loop $again (drop (memory.grow (i32.const 1))) (br $again)))))";

inline constexpr std::string_view kRecurses = R"((module (memory (export "memory") 1)
  (func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (i32.add (local.get 0) (i32.const 1)))))
  (func (export "_start") (drop (call $down (i32.const 0))))))";

// Writes "hello\n" to standard output.
inline constexpr std::string_view kHello = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 32))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))))";

// Writes 4 KiB pieces to standard output for ever; ends with exit(7) when a write fails.
inline constexpr std::string_view kFloods = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 4096))
    (loop $again
      (br_if $again (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
    (call $exit (i32.const 7)))))";

// Copies standard input to standard output until its end.
inline constexpr std::string_view kEchoes = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $size i32)
    (loop $again
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 4096))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (return)))
      (local.set $size (i32.load (i32.const 8)))
      (if (i32.eqz (local.get $size)) (then (return)))
      (i32.store (i32.const 4) (local.get $size))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $again)))))";

}  // namespace weft::testing
