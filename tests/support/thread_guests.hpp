// Guests with threads, as WebAssembly text: what every one of them imports, and small functions that all of them need. A test adds what is particular to it.
//
//   thread_guest(R"(
//     (func (export "_start") (call $is (call $spawn (i32.const 0)) (i32.const 1) (i32.const 1)))
//     (func (export "wasi_thread_start") (param $id i32) (param $argument i32)))");
//
// A guest checks itself: `$is` ends the process where two numbers differ, with an exit code that says which check it was, and what it got.
#pragma once

#include <string>
#include <string_view>

namespace weft::testing {

inline constexpr std::string_view kThreadImports = R"(
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
)";

inline constexpr std::string_view kThreadFunctions = R"(
  (export "memory" (memory 0))
  ;; Exits with 1000 * $number + $got (of which 9 bits) if they differ.
  (func $is (param $got i32) (param $wanted i32) (param $number i32)
    (if (i32.ne (local.get $got) (local.get $wanted))
      (then (call $exit (i32.add (i32.mul (local.get $number) (i32.const 1000)) (i32.and (local.get $got) (i32.const 511)))))))
  ;; Waits until the word at $address is at least $count.
  (func $await (param $address i32) (param $count i32) (local $seen i32)
    (loop $again
      (local.set $seen (i32.atomic.load (local.get $address)))
      (if (i32.ge_u (local.get $seen) (local.get $count)) (then (return)))
      (drop (memory.atomic.wait32 (local.get $address) (local.get $seen) (i64.const -1)))
      (br $again)))
  ;; One more in the word at $address, and tells all that wait for it.
  (func $tell (param $address i32)
    (drop (i32.atomic.rmw.add (local.get $address) (i32.const 1)))
    (drop (memory.atomic.notify (local.get $address) (i32.const -1))))
  ;; Sleeps; uses 160 bytes at $scratch.
  (func $nap (param $scratch i32) (param $ns i64)
    (i32.store offset=16 (local.get $scratch) (i32.const 1))
    (i64.store offset=24 (local.get $scratch) (local.get $ns))
    (i64.store offset=32 (local.get $scratch) (i64.const 0))
    (i64.store offset=40 (local.get $scratch) (i64.const 0))
    (drop (call $poll_oneoff (local.get $scratch) (i32.add (local.get $scratch) (i32.const 64)) (i32.const 1)
      (i32.add (local.get $scratch) (i32.const 128)))))
  (func $spin (loop $again (br $again)))
  (func $wait_for_ever (param $address i32)
    (loop $again (drop (memory.atomic.wait32 (local.get $address) (i32.atomic.load (local.get $address)) (i64.const -1))) (br $again)))
)";

// `memory`: its limits, in pages. `imports`: more of them.
inline std::string thread_guest(std::string_view body, std::string_view memory = "1 64", std::string_view imports = "") {
  return "(module (import \"env\" \"memory\" (memory " + std::string(memory) + " shared))" + std::string(kThreadImports) +
         std::string(imports) + std::string(kThreadFunctions) + std::string(body) + ")";
}

}  // namespace weft::testing
