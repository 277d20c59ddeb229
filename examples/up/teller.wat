;; Waits until the region "board" says that a thousand numbers are done, and writes their sum.
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_region" "load32" (func $load32 (param i32 i64 i32) (result i32)))
  (import "weft_region" "load64" (func $load64 (param i32 i64 i32) (result i32)))
  (import "weft_region" "wait32" (func $wait32 (param i32 i64 i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "board")
  (func $say (param $sum i64) (local $at i32)
    (local.set $at (i32.const 99))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at) (i64.add (i64.const 48) (i64.rem_u (local.get $sum) (i64.const 10))))
      (local.set $sum (i64.div_u (local.get $sum) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $sum) (i64.const 0))))
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (i32.sub (i32.const 100) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start") (local $board i32)
    (local.set $board (call $granted (i32.const 0) (i32.const 5)))
    (loop $again
      (if (call $load32 (local.get $board) (i64.const 4) (i32.const 128)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 128)) (i32.const 1000)) (then
        (drop (call $wait32 (local.get $board) (i64.const 4) (i32.load (i32.const 128)) (i64.const -1)))
        (br $again))))
    (drop (call $load64 (local.get $board) (i64.const 8) (i32.const 128)))
    (call $say (i64.load (i32.const 128)))))
