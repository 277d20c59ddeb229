// The guests of the chaos test: one of every way in which a guest can behave, with the ways in which it may end by itself.
#pragma once

#include <initializer_list>
#include <set>
#include <string_view>
#include <vector>

#include "support/guests.hpp"
#include "weft/process.hpp"

namespace weft::testing {

struct ChaosGuest {
  std::string_view name;
  std::string_view text;
  std::set<ExitKind> ends;  // by itself, without limit or kill
  bool alone = true;        // it ends without being told to
  bool output = false;      // it writes without end
};

// Sleeps for a quarter of a millisecond, three times.
inline constexpr std::string_view kNaps = R"((module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $times i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 250000))
    (loop $again
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (local.set $times (i32.add (local.get $times) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $times) (i32.const 3)))))))";

// Yields a hundred times.
inline constexpr std::string_view kYields = R"((module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $times i32)
    (loop $again
      (drop (call $yield))
      (local.set $times (i32.add (local.get $times) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $times) (i32.const 100)))))))";

// Computes for a while, then checks that nobody else touched its memory: slots of the pool are used again and again.
inline constexpr std::string_view kComputes = R"((module
  (memory (export "memory") 2)
  (func (export "_start") (local $address i32) (local $round i32)
    (loop $rounds
      (local.set $address (i32.const 0))
      (loop $words
        (if (i32.ne (i32.load (local.get $address)) (local.get $round)) (then (unreachable)))
        (i32.store (local.get $address) (i32.add (local.get $round) (i32.const 1)))
        (local.set $address (i32.add (local.get $address) (i32.const 4)))
        (br_if $words (i32.lt_u (local.get $address) (i32.const 131072))))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 8)))))))";

inline constexpr std::string_view kExitsInStart = R"((module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $early (call $exit (i32.const 3)))
  (start $early)
  (func (export "_start"))))";

inline constexpr std::string_view kTrapsInStart = R"((module
  (memory (export "memory") 1)
  (func $early (unreachable))
  (start $early)
  (func (export "_start"))))";

// Fills a table, one growth at a time.
inline constexpr std::string_view kGrowsTable = R"((module
  (table 1 4000 funcref) (memory (export "memory") 1)
  (func (export "_start")
    (loop $again (br_if $again (i32.ne (table.grow (ref.null func) (i32.const 7)) (i32.const -1)))))))";

// Makes garbage: the engine's collections let others run in the middle of a host call.
inline constexpr std::string_view kMakesGarbage = R"((module
  (type $array (array (mut i64))) (memory (export "memory") 1)
  (func (export "_start") (local $times i32)
    (loop $again
      (drop (array.new $array (i64.const 7) (i32.const 1000)))
      (local.set $times (i32.add (local.get $times) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $times) (i32.const 200)))))))";

// Runs until it is asked to stop.
inline constexpr std::string_view kStopsWhenAsked = R"((module
  (import "weft" "stop_requested" (func $asked (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again (drop (call $yield)) (br_if $again (i32.eqz (call $asked)))))))";

// Host functions, see chaos_test.cpp.
inline constexpr std::string_view kCallsHost = R"((module
  (import "env" "add" (func $add (param i32 i32) (result i32)))
  (import "env" "nap" (func $nap (param i64) (result i32)))
  (import "env" "work" (func $work (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.ne (call $add (call $nap (i64.const 100)) (call $work (i32.const 5))) (i32.const 110)) (then (unreachable))))))";
inline constexpr std::string_view kHostThrows =
    R"((module (import "env" "throws" (func $throws)) (memory (export "memory") 1) (func (export "_start") (call $throws))))";
inline constexpr std::string_view kHostThrowsLater =
    R"((module (import "env" "throws_later" (func $throws)) (memory (export "memory") 1) (func (export "_start") (call $throws))))";
inline constexpr std::string_view kHostNeverReturns =
    R"((module (import "env" "forever" (func $forever)) (memory (export "memory") 1) (func (export "_start") (call $forever))))";

inline const std::vector<ChaosGuest>& chaos_guests() {
  static const std::vector<ChaosGuest> kAll{
      {"returns", kReturns, {ExitKind::kReturned}},
      {"exits", kExits42, {ExitKind::kExited}},
      {"traps", kTraps, {ExitKind::kTrapped}},
      {"spins", kSpins, {}, false},
      {"sleeps", kSleeps, {}, false},
      {"naps", kNaps, {ExitKind::kReturned}},
      {"yields", kYields, {ExitKind::kReturned}},
      {"yields for ever", kYieldsForever, {}, false},
      {"computes", kComputes, {ExitKind::kReturned}},
      {"recurses", kRecurses, {ExitKind::kLimitReached}},
      {"says hello", kHello, {ExitKind::kReturned}},
      {"floods", kFloods, {ExitKind::kExited}, false, true},
      {"echoes", kEchoes, {ExitKind::kReturned}},
      {"exits in start", kExitsInStart, {ExitKind::kExited}},
      {"traps in start", kTrapsInStart, {ExitKind::kTrapped}},
      {"grows a table", kGrowsTable, {ExitKind::kReturned}},
      {"makes garbage", kMakesGarbage, {ExitKind::kReturned}},
      {"stops when asked", kStopsWhenAsked, {ExitKind::kReturned}, false},
      {"calls the host", kCallsHost, {ExitKind::kReturned, ExitKind::kTrapped}},  // trapped: no room in the pool for blocking work
      {"host throws", kHostThrows, {ExitKind::kTrapped}},
      {"host throws later", kHostThrowsLater, {ExitKind::kTrapped}},
      {"host never returns", kHostNeverReturns, {}, false},
  };
  return kAll;
}

}  // namespace weft::testing
