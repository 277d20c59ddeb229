;; Sleeps 5 ms at a time and reports how late it ran again, by its own clock. For the fairness benchmark.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "bench" "late" (func $late (param i64) (result i32)))  ;; nanoseconds; 0: stop
  (memory (export "memory") 1)
  (global $sleep_ns i64 (i64.const 5000000))
  (func $now (result i64)
    (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 128)))
    (i64.load (i32.const 128)))
  (func (export "_start") (local $before i64)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (global.get $sleep_ns))
    (loop $again
      (local.set $before (call $now))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)))
      (br_if $again
        (call $late
          (i64.sub (i64.sub (call $now) (local.get $before)) (global.get $sleep_ns)))))))
