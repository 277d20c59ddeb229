;; Lives for up to two seconds, and traps.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $random_get (i32.const 0) (i32.const 8)))
    (i32.store (i32.const 112) (i32.const 1))
    (i64.store (i32.const 120) (i64.rem_u (i64.load (i32.const 0)) (i64.const 2000000000)))
    (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))
    (unreachable)))
