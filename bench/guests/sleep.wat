;; Sleeps for as long as the host says, through WASI as an unmodified program does. For the parked and idle benchmarks.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "bench" "sleep_ns" (func $sleep_ns (result i64)))
  (import "bench" "arrived" (func $arrived))
  (memory (export "memory") 1)
  (func (export "_start")
    ;; A subscription at 0: tag 0 (a clock) at 8, clock 1 (monotonic) at 16, timeout at 24; relative. The event goes to 64.
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (call $sleep_ns))
    (call $arrived)
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)))))
