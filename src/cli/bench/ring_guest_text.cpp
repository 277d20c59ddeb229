#include "cli/bench/ring_guest_text.hpp"

#include <fmt/format.h>

#include <string_view>

#include "cli/bench/ring_layout.hpp"

namespace weft::cli {
namespace {

constexpr std::uint64_t kPageBytes = 65536;

// What stands between the memory and the globals $batch, $patience and $control. Offsets 0 to 32 are the ring's layout (ring_layout.hpp); at $control,
// each on a cache line of its own: +0 n, +4 mask, +8 wait; +64 the ball that the consumer sent back; +128 the ball; +192 the consumer is done; +256 the
// clock; +320 the producer waits; +384 the consumer waits; +448 and +456 how often they did.
//
// Indices are published with xchg: on x86-64 the engine makes a store and an mfence of an atomic store, which costs more.
constexpr std::string_view kRing = R"wat(
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))

  (func $now (result i64)
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.add (global.get $control) (i32.const 256))))
    (i64.load offset=256 (global.get $control)))

  ;; How far this batch may go: to the last item, to `bound`, to the end of the batch, to the end of the array.
  (func $end_of_batch (param $n i32) (param $at i32) (param $bound i32) (param $mask i32) (result i32)
    (local $least i32) (local $other i32)
    (local.set $least (local.get $n))
    (if (i32.lt_u (local.get $bound) (local.get $least)) (then (local.set $least (local.get $bound))))
    (local.set $other (i32.add (local.get $at) (global.get $batch)))
    (if (i32.lt_u (local.get $other) (local.get $least)) (then (local.set $least (local.get $other))))
    (local.set $other (i32.add (i32.or (local.get $at) (local.get $mask)) (i32.const 1)))
    (if (i32.lt_u (local.get $other) (local.get $least)) (then (local.set $least (local.get $other))))
    (local.get $least))

  ;; Items head + 1 to end into their slots. Four at once, as compilers do it with such a loop: so does that of the native ring.
  (func $fill (param $head i32) (param $end i32) (param $mask i32)
    (local $slot i32) (local $four v128)
    (local.set $slot (i32.shl (i32.and (local.get $head) (local.get $mask)) (i32.const 2)))
    (block $few
      (br_if $few (i32.lt_u (i32.sub (local.get $end) (local.get $head)) (i32.const 16)))
      (local.set $four (i32x4.add (i32x4.splat (local.get $head)) (v128.const i32x4 1 2 3 4)))
      (loop $sixteen
        (v128.store offset=32 (local.get $slot) (local.get $four))
        (v128.store offset=48 (local.get $slot) (i32x4.add (local.get $four) (v128.const i32x4 4 4 4 4)))
        (v128.store offset=64 (local.get $slot) (i32x4.add (local.get $four) (v128.const i32x4 8 8 8 8)))
        (v128.store offset=80 (local.get $slot) (i32x4.add (local.get $four) (v128.const i32x4 12 12 12 12)))
        (local.set $four (i32x4.add (local.get $four) (v128.const i32x4 16 16 16 16)))
        (local.set $head (i32.add (local.get $head) (i32.const 16)))
        (local.set $slot (i32.add (local.get $slot) (i32.const 64)))
        (br_if $sixteen (i32.ge_u (i32.sub (local.get $end) (local.get $head)) (i32.const 16)))))
    (block $none
      (br_if $none (i32.eq (local.get $head) (local.get $end)))
      (loop $one
        (local.set $head (i32.add (local.get $head) (i32.const 1)))
        (i32.store offset=32 (local.get $slot) (local.get $head))
        (local.set $slot (i32.add (local.get $slot) (i32.const 4)))
        (br_if $one (i32.ne (local.get $head) (local.get $end))))))

  ;; The sum of the slots from tail to end.
  (func $drain (param $tail i32) (param $end i32) (param $mask i32) (result i64)
    (local $slot i32) (local $sum i64) (local $four v128) (local $low v128) (local $high v128)
    (local.set $slot (i32.shl (i32.and (local.get $tail) (local.get $mask)) (i32.const 2)))
    (block $few
      (br_if $few (i32.lt_u (i32.sub (local.get $end) (local.get $tail)) (i32.const 16)))
      (loop $sixteen
        (local.set $four (v128.load offset=32 (local.get $slot)))
        (local.set $low (i64x2.add (local.get $low) (i64x2.extend_low_i32x4_u (local.get $four))))
        (local.set $high (i64x2.add (local.get $high) (i64x2.extend_high_i32x4_u (local.get $four))))
        (local.set $four (v128.load offset=48 (local.get $slot)))
        (local.set $low (i64x2.add (local.get $low) (i64x2.extend_low_i32x4_u (local.get $four))))
        (local.set $high (i64x2.add (local.get $high) (i64x2.extend_high_i32x4_u (local.get $four))))
        (local.set $four (v128.load offset=64 (local.get $slot)))
        (local.set $low (i64x2.add (local.get $low) (i64x2.extend_low_i32x4_u (local.get $four))))
        (local.set $high (i64x2.add (local.get $high) (i64x2.extend_high_i32x4_u (local.get $four))))
        (local.set $four (v128.load offset=80 (local.get $slot)))
        (local.set $low (i64x2.add (local.get $low) (i64x2.extend_low_i32x4_u (local.get $four))))
        (local.set $high (i64x2.add (local.get $high) (i64x2.extend_high_i32x4_u (local.get $four))))
        (local.set $tail (i32.add (local.get $tail) (i32.const 16)))
        (local.set $slot (i32.add (local.get $slot) (i32.const 64)))
        (br_if $sixteen (i32.ge_u (i32.sub (local.get $end) (local.get $tail)) (i32.const 16))))
      (local.set $four (i64x2.add (local.get $low) (local.get $high)))
      (local.set $sum (i64.add (i64x2.extract_lane 0 (local.get $four)) (i64x2.extract_lane 1 (local.get $four)))))
    (block $none
      (br_if $none (i32.eq (local.get $tail) (local.get $end)))
      (loop $one
        (local.set $sum (i64.add (local.get $sum) (i64.load32_u offset=32 (local.get $slot))))
        (local.set $tail (i32.add (local.get $tail) (i32.const 1)))
        (local.set $slot (i32.add (local.get $slot) (i32.const 4)))
        (br_if $one (i32.ne (local.get $tail) (local.get $end)))))
    (local.get $sum))

  (func $produce (export "produce") (param $n i32) (param $mask i32)
    (local $head i32) (local $tail i32) (local $end i32) (local $spins i64)
    (loop $batch
      ;; Full, as far as is known: look until it is not.
      (if (i32.gt_u (i32.sub (local.get $head) (local.get $tail)) (local.get $mask))
        (then
          (loop $spin
            (local.set $tail (i32.atomic.load offset=4 (i32.const 0)))
            (if (i32.gt_u (i32.sub (local.get $head) (local.get $tail)) (local.get $mask))
              (then
                (local.set $spins (i64.add (local.get $spins) (i64.const 1)))
                (br $spin))))))
      (local.set $end (call $end_of_batch (local.get $n) (local.get $head)
        (i32.add (i32.add (local.get $tail) (local.get $mask)) (i32.const 1)) (local.get $mask)))
      (call $fill (local.get $head) (local.get $end) (local.get $mask))
      (local.set $head (local.get $end))
      (drop (i32.atomic.rmw.xchg offset=0 (i32.const 0) (local.get $head)))
      (br_if $batch (i32.ne (local.get $head) (local.get $n))))
    (i64.store offset=16 (i32.const 0) (local.get $spins)))

  (func $consume (export "consume") (param $n i32) (param $mask i32)
    (local $head i32) (local $tail i32) (local $end i32) (local $sum i64) (local $spins i64)
    (loop $batch
      ;; Empty, as far as is known: look until it is not.
      (if (i32.eq (local.get $head) (local.get $tail))
        (then
          (loop $spin
            (local.set $head (i32.atomic.load offset=0 (i32.const 0)))
            (if (i32.eq (local.get $head) (local.get $tail))
              (then
                (local.set $spins (i64.add (local.get $spins) (i64.const 1)))
                (br $spin))))))
      (local.set $end (call $end_of_batch (local.get $n) (local.get $tail) (local.get $head) (local.get $mask)))
      (local.set $sum (i64.add (local.get $sum) (call $drain (local.get $tail) (local.get $end) (local.get $mask))))
      (local.set $tail (local.get $end))
      (drop (i32.atomic.rmw.xchg offset=4 (i32.const 0) (local.get $tail)))
      (br_if $batch (i32.ne (local.get $tail) (local.get $n))))
    (i64.store offset=8 (i32.const 0) (local.get $sum))
    (i64.store offset=24 (i32.const 0) (local.get $spins)))

  ;; The same, but who has looked $patience times in vain waits. Who waits says so and then looks once more; who publishes looks
  ;; afterwards whether somebody said so. One of the two sees the other, because all of it is sequentially consistent.
  (func $produce_wait (export "produce_wait") (param $n i32) (param $mask i32)
    (local $head i32) (local $tail i32) (local $end i32) (local $spins i64) (local $looks i32) (local $parks i64)
    (loop $batch
      (if (i32.gt_u (i32.sub (local.get $head) (local.get $tail)) (local.get $mask))
        (then
          (local.set $looks (i32.const 0))
          (loop $spin
            (local.set $tail (i32.atomic.load offset=4 (i32.const 0)))
            (if (i32.gt_u (i32.sub (local.get $head) (local.get $tail)) (local.get $mask))
              (then
                (local.set $spins (i64.add (local.get $spins) (i64.const 1)))
                (local.set $looks (i32.add (local.get $looks) (i32.const 1)))
                (br_if $spin (i32.lt_u (local.get $looks) (global.get $patience)))
                (drop (i32.atomic.rmw.xchg offset=320 (global.get $control) (i32.const 1)))
                (if (i32.eq (i32.atomic.load offset=4 (i32.const 0)) (local.get $tail))
                  (then
                    (local.set $parks (i64.add (local.get $parks) (i64.const 1)))
                    (drop (memory.atomic.wait32 offset=4 (i32.const 0) (local.get $tail) (i64.const -1)))))
                (drop (i32.atomic.rmw.xchg offset=320 (global.get $control) (i32.const 0)))
                (local.set $looks (i32.const 0))
                (br $spin))))))
      (local.set $end (call $end_of_batch (local.get $n) (local.get $head)
        (i32.add (i32.add (local.get $tail) (local.get $mask)) (i32.const 1)) (local.get $mask)))
      (call $fill (local.get $head) (local.get $end) (local.get $mask))
      (local.set $head (local.get $end))
      (drop (i32.atomic.rmw.xchg offset=0 (i32.const 0) (local.get $head)))
      (if (i32.atomic.load offset=384 (global.get $control))
        (then (drop (memory.atomic.notify offset=0 (i32.const 0) (i32.const 1)))))
      (br_if $batch (i32.ne (local.get $head) (local.get $n))))
    (i64.store offset=448 (global.get $control) (local.get $parks))
    (i64.store offset=16 (i32.const 0) (local.get $spins)))

  (func $consume_wait (export "consume_wait") (param $n i32) (param $mask i32)
    (local $head i32) (local $tail i32) (local $end i32) (local $sum i64) (local $spins i64) (local $looks i32) (local $parks i64)
    (loop $batch
      (if (i32.eq (local.get $head) (local.get $tail))
        (then
          (local.set $looks (i32.const 0))
          (loop $spin
            (local.set $head (i32.atomic.load offset=0 (i32.const 0)))
            (if (i32.eq (local.get $head) (local.get $tail))
              (then
                (local.set $spins (i64.add (local.get $spins) (i64.const 1)))
                (local.set $looks (i32.add (local.get $looks) (i32.const 1)))
                (br_if $spin (i32.lt_u (local.get $looks) (global.get $patience)))
                (drop (i32.atomic.rmw.xchg offset=384 (global.get $control) (i32.const 1)))
                (if (i32.eq (i32.atomic.load offset=0 (i32.const 0)) (local.get $head))
                  (then
                    (local.set $parks (i64.add (local.get $parks) (i64.const 1)))
                    (drop (memory.atomic.wait32 offset=0 (i32.const 0) (local.get $head) (i64.const -1)))))
                (drop (i32.atomic.rmw.xchg offset=384 (global.get $control) (i32.const 0)))
                (local.set $looks (i32.const 0))
                (br $spin))))))
      (local.set $end (call $end_of_batch (local.get $n) (local.get $tail) (local.get $head) (local.get $mask)))
      (local.set $sum (i64.add (local.get $sum) (call $drain (local.get $tail) (local.get $end) (local.get $mask))))
      (local.set $tail (local.get $end))
      (drop (i32.atomic.rmw.xchg offset=4 (i32.const 0) (local.get $tail)))
      (if (i32.atomic.load offset=320 (global.get $control))
        (then (drop (memory.atomic.notify offset=4 (i32.const 0) (i32.const 1)))))
      (br_if $batch (i32.ne (local.get $tail) (local.get $n))))
    (i64.store offset=456 (global.get $control) (local.get $parks))
    (i64.store offset=8 (i32.const 0) (local.get $sum))
    (i64.store offset=24 (i32.const 0) (local.get $spins)))

  ;; The consumer.
  (func (export "wasi_thread_start") (param $thread i32) (param $argument i32)
    (local $ball i32) (local $last i32)
    ;; Sends every ball back, until the one that means go.
    (loop $spin
      (local.set $ball (i32.atomic.load offset=128 (global.get $control)))
      (br_if $spin (i32.eq (local.get $ball) (local.get $last)))
      (local.set $last (local.get $ball))
      (i32.atomic.store offset=64 (global.get $control) (local.get $ball))
      (br_if $spin (i32.ne (local.get $ball) (i32.const -1))))
    (if (i32.load offset=8 (global.get $control))
      (then (call $consume_wait (i32.load offset=0 (global.get $control)) (i32.load offset=4 (global.get $control))))
      (else (call $consume (i32.load offset=0 (global.get $control)) (i32.load offset=4 (global.get $control)))))
    (i32.atomic.store offset=192 (global.get $control) (i32.const 1))
    (drop (memory.atomic.notify offset=192 (global.get $control) (i32.const 1))))

  ;; The producer, who starts the consumer. `touch` bytes of the slots are written before, so that their pages are there.
  (func (export "run") (param $n i32) (param $mask i32) (param $wait i32) (param $rally i32) (param $touch i32)
    (result i64 i64 i64 i64 i64 i64)
    (local $begun i64) (local $elapsed i64) (local $met i64) (local $ball i32) (local $rounds i32)
    (memory.fill (i32.const 32) (i32.const 0) (local.get $touch))
    (i32.store offset=0 (global.get $control) (local.get $n))
    (i32.store offset=4 (global.get $control) (local.get $mask))
    (i32.store offset=8 (global.get $control) (local.get $wait))
    (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0))
      (then (return (i64.const -1) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))))
    ;; Two threads are not at work before both have a core. They play ball until that is quick, or has been tried for long enough.
    (if (local.get $rally)
      (then
        (local.set $met (call $now))
        (loop $attempt
          (local.set $begun (call $now))
          (local.set $rounds (i32.const 20))
          (loop $round
            (local.set $ball (i32.add (local.get $ball) (i32.const 1)))
            (i32.atomic.store offset=128 (global.get $control) (local.get $ball))
            (loop $spin (br_if $spin (i32.ne (i32.atomic.load offset=64 (global.get $control)) (local.get $ball))))
            (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
            (br_if $round (local.get $rounds)))
          (br_if $attempt (i32.and
            (i64.gt_u (i64.sub (call $now) (local.get $begun)) (i64.const 50000))
            (i64.lt_u (i64.sub (call $now) (local.get $met)) (i64.const 100000000)))))))
    (local.set $begun (call $now))
    (i32.atomic.store offset=128 (global.get $control) (i32.const -1))
    (if (local.get $wait)
      (then
        (call $produce_wait (local.get $n) (local.get $mask))
        (loop $again
          (drop (memory.atomic.wait32 offset=192 (global.get $control) (i32.const 0) (i64.const -1)))
          (br_if $again (i32.eqz (i32.atomic.load offset=192 (global.get $control))))))
      (else
        (call $produce (local.get $n) (local.get $mask))
        (loop $spin (br_if $spin (i32.eqz (i32.atomic.load offset=192 (global.get $control)))))))
    (local.set $elapsed (i64.sub (call $now) (local.get $begun)))
    (local.get $elapsed)
    (i64.load offset=8 (i32.const 0))
    (i64.load offset=16 (i32.const 0))
    (i64.load offset=24 (i32.const 0))
    (i64.load offset=448 (global.get $control))
    (i64.load offset=456 (global.get $control)))
)wat";

// At 0: +0 blocks for each thread; +64 threads that are there; +128 go; +192 threads that are done; +256 the clock; +320 errors.
// A thread's own 16 KiB from 65536 on: +0 the file's name, +16 what is read or written, +24 how much it was, +32 the descriptor; +4096 the
// block to write; +8192 the block that was read.
constexpr std::string_view kFile = R"wat((module
  (import "env" "memory" (memory 17 17 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))

  (func $now (result i64)
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 256)))
    (i64.load offset=256 (i32.const 0)))

  (func $count_error_if (param $wrong i32)
    (if (local.get $wrong) (then (drop (i64.atomic.rmw.add offset=320 (i32.const 0) (i64.const 1))))))

  ;; Words that no other thread's block and no other block has.
  (func $make_block (param $area i32) (param $thread i32) (param $block i32)
    (local $word i32) (local $value i32)
    (local.set $value (i32.add (i32.mul (local.get $block) (i32.const 0x9e3779b1)) (local.get $thread)))
    (loop $next
      (i32.store offset=4096 (i32.add (local.get $area) (local.get $word)) (local.get $value))
      (local.set $value (i32.add (local.get $value) (i32.const 0x10001)))
      (local.set $word (i32.add (local.get $word) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $word) (i32.const 4096)))))

  (func $differs (param $area i32) (result i32)
    (local $word i32) (local $difference i32)
    (loop $next
      (local.set $difference (i32.or (local.get $difference) (i32.xor
        (i32.load offset=4096 (i32.add (local.get $area) (local.get $word)))
        (i32.load offset=8192 (i32.add (local.get $area) (local.get $word))))))
      (local.set $word (i32.add (local.get $word) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $word) (i32.const 4096))))
    (local.get $difference))

  (func $transfer (param $area i32) (param $thread i32) (param $block i32) (param $write i32)
    (local $at i64) (local $io i32)
    (local.set $at (i64.extend_i32_u (i32.shl (i32.and (local.get $block) (i32.const 255)) (i32.const 12))))
    (local.set $io (i32.add (local.get $area) (i32.const 16)))
    (i32.store offset=24 (local.get $area) (i32.const 0))
    (call $make_block (local.get $area) (local.get $thread) (local.get $block))
    (i32.store offset=20 (local.get $area) (i32.const 4096))
    (if (local.get $write)
      (then
        (i32.store offset=16 (local.get $area) (i32.add (local.get $area) (i32.const 4096)))
        (call $count_error_if (call $fd_pwrite (i32.load offset=32 (local.get $area)) (local.get $io) (i32.const 1)
          (local.get $at) (i32.add (local.get $area) (i32.const 24)))))
      (else
        (i32.store offset=16 (local.get $area) (i32.add (local.get $area) (i32.const 8192)))
        (call $count_error_if (call $fd_pread (i32.load offset=32 (local.get $area)) (local.get $io) (i32.const 1)
          (local.get $at) (i32.add (local.get $area) (i32.const 24))))
        (call $count_error_if (call $differs (local.get $area)))))
    (call $count_error_if (i32.ne (i32.load offset=24 (local.get $area)) (i32.const 4096))))

  ;; Writes as many blocks as the file holds, reads them back, and again until all are done.
  (func $work (param $thread i32)
    (local $area i32) (local $first i32) (local $block i32) (local $end i32) (local $blocks i32)
    (local.set $blocks (i32.load offset=0 (i32.const 0)))
    (local.set $area (i32.add (i32.const 65536) (i32.mul (local.get $thread) (i32.const 16384))))
    ;; "f" and a letter or so of its own
    (i32.store8 offset=0 (local.get $area) (i32.const 0x66))
    (i32.store8 offset=1 (local.get $area) (i32.add (i32.const 0x30) (i32.div_u (local.get $thread) (i32.const 10))))
    (i32.store8 offset=2 (local.get $area) (i32.add (i32.const 0x30) (i32.rem_u (local.get $thread) (i32.const 10))))
    ;; create | exclusive | truncate; may read, write and seek
    (if (call $path_open (i32.const 3) (i32.const 0) (local.get $area) (i32.const 3) (i32.const 13) (i64.const 0x66)
          (i64.const 0) (i32.const 0) (i32.add (local.get $area) (i32.const 32)))
      (then (call $count_error_if (i32.const 1)) (return)))
    (block $done
      (loop $pass
        (br_if $done (i32.ge_u (local.get $first) (local.get $blocks)))
        (local.set $end (i32.add (local.get $first) (i32.const 256)))
        (if (i32.gt_u (local.get $end) (local.get $blocks)) (then (local.set $end (local.get $blocks))))
        (local.set $block (local.get $first))
        (loop $write
          (call $transfer (local.get $area) (local.get $thread) (local.get $block) (i32.const 1))
          (local.set $block (i32.add (local.get $block) (i32.const 1)))
          (br_if $write (i32.lt_u (local.get $block) (local.get $end))))
        (local.set $block (local.get $first))
        (loop $read
          (call $transfer (local.get $area) (local.get $thread) (local.get $block) (i32.const 0))
          (local.set $block (i32.add (local.get $block) (i32.const 1)))
          (br_if $read (i32.lt_u (local.get $block) (local.get $end))))
        (local.set $first (local.get $end))
        (br $pass)))
    (call $count_error_if (call $fd_close (i32.load offset=32 (local.get $area))))
    (call $count_error_if (call $path_unlink_file (i32.const 3) (local.get $area) (i32.const 3))))

  (func $arrive (param $address i32)
    (drop (i32.atomic.rmw.add (local.get $address) (i32.const 1)))
    (drop (memory.atomic.notify (local.get $address) (i32.const -1))))

  (func $await (param $address i32) (param $wanted i32)
    (local $value i32)
    (loop $again
      (local.set $value (i32.atomic.load (local.get $address)))
      (if (i32.ne (local.get $value) (local.get $wanted))
        (then
          (drop (memory.atomic.wait32 (local.get $address) (local.get $value) (i64.const -1)))
          (br $again)))))

  (func (export "wasi_thread_start") (param $id i32) (param $thread i32)
    (call $arrive (i32.const 64))
    (call $await (i32.const 128) (i32.const 1))
    (call $work (local.get $thread))
    (call $arrive (i32.const 192)))

  (func (export "run") (param $threads i32) (param $blocks i32) (result i64 i64)
    (local $thread i32) (local $begun i64) (local $elapsed i64)
    (i32.store offset=0 (i32.const 0) (local.get $blocks))
    (local.set $thread (i32.const 1))
    (block $all
      (loop $next
        (br_if $all (i32.ge_u (local.get $thread) (local.get $threads)))
        (if (i32.lt_s (call $spawn (local.get $thread)) (i32.const 0)) (then (return (i64.const -1) (i64.const 0))))
        (local.set $thread (i32.add (local.get $thread) (i32.const 1)))
        (br $next)))
    (call $await (i32.const 64) (i32.sub (local.get $threads) (i32.const 1)))
    (local.set $begun (call $now))
    (call $arrive (i32.const 128))
    (call $work (i32.const 0))
    (call $await (i32.const 192) (i32.sub (local.get $threads) (i32.const 1)))
    (local.set $elapsed (i64.sub (call $now) (local.get $begun)))
    (local.get $elapsed)
    (i64.atomic.load offset=320 (i32.const 0)))
)
)wat";

}  // namespace

std::string ring_guest_text(std::uint64_t slots, std::uint64_t batch, std::uint64_t patience) {
  const std::uint64_t control = (RingLayout::bytes(slots) + 63) / 64 * 64;
  const std::uint64_t pages = (control + RingLayout::kControlBytes + kPageBytes - 1) / kPageBytes;
  // Imports come first in a module, so the constants stand at its end.
  return fmt::format(
      "(module\n  (import \"env\" \"memory\" (memory {0} {0} shared))\n{1}\n  (global $batch i32 (i32.const {2}))\n"
      "  (global $patience i32 (i32.const {3}))\n  (global $control i32 (i32.const {4})))\n",
      pages, kRing, batch, patience, control);
}

std::string file_guest_text() { return std::string(kFile); }

}  // namespace weft::cli
