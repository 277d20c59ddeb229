;; Grows and touches its memory, a page every 20 ms, until its limit ends it.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $page i32)
    (i32.store (i32.const 112) (i32.const 1))
    (i64.store (i32.const 120) (i64.const 20000000))
    (loop $again
      (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.gt_s (local.get $page) (i32.const 0)) (then (i64.store (i32.mul (local.get $page) (i32.const 65536)) (i64.const 1))))
      (br $again))))
