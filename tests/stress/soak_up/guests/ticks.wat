;; Says a line every 200 ms and calls weft.alive, until it is asked to end.
(module
  (import "weft" "alive" (func $alive))
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00")
  (data (i32.const 16) "tick\n")
  (func (export "_start")
    (i32.store (i32.const 112) (i32.const 1))                      ;; a subscription at 96: clock 1 (monotonic)
    (i64.store (i32.const 120) (i64.const 200000000))
    (loop $again
      (call $alive)
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))
      (br_if $again (i32.eqz (call $stop))))))
