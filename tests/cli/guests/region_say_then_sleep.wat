;; Adds one to the first word of the region "r" and says what is there now, and the region's KiB, one digit each ("1 of 4"), or "none" if it has no such region; then sleeps
;; for an hour.
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_region" "add32" (func $add32 (param i32 i64 i32 i32) (result i32)))
  (import "weft_region" "size" (func $size (param i32) (result i64)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "r")
  (data (i32.const 16) "\40\00\00\00\05\00\00\00")
  (data (i32.const 64) "none\n")
  (data (i32.const 80) "1 of 0\n")
  (func $nap
    (i32.store (i32.const 112) (i32.const 1))                      ;; a subscription at 96: clock 1 (monotonic)
    (i64.store (i32.const 120) (i64.const 3600000000000))
    (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200))))
  (func (export "_start") (local $r i32)
    (local.set $r (call $granted (i32.const 0) (i32.const 1)))
    (if (i32.gt_s (local.get $r) (i32.const 0)) (then
      (if (call $add32 (local.get $r) (i64.const 0) (i32.const 1) (i32.const 32)) (then unreachable))
      (i32.store8 (i32.const 80) (i32.add (i32.const 49) (i32.load (i32.const 32))))
      (i32.store8 (i32.const 85) (i32.add (i32.const 48) (i32.wrap_i64 (i64.shr_u (call $size (local.get $r)) (i64.const 10)))))
      (i32.store (i32.const 16) (i32.const 80))
      (i32.store (i32.const 20) (i32.const 7))))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 40)))
    (call $nap)))
