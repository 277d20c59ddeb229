;; Sends the numbers 1 to 1000 to the channel "numbers", then closes it.
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_channel" "send" (func $send (param i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "numbers")
  (func (export "_start") (local $numbers i32)
    (local.set $numbers (call $granted (i32.const 0) (i32.const 7)))
    (loop $next
      (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (i64.const 1)))
      (if (call $send (local.get $numbers) (i32.const 64) (i32.const 8) (i64.const -1)) (then unreachable))
      (br_if $next (i64.lt_u (i64.load (i32.const 64)) (i64.const 1000))))
    (drop (call $close (local.get $numbers)))))
