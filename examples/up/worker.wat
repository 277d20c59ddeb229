;; Takes numbers from the channel "numbers" until it is closed and empty, and sends their squares to "squares".
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_channel" "send" (func $send (param i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "receive" (func $receive (param i32 i32 i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "numbers")
  (data (i32.const 16) "squares")
  (func (export "_start") (local $numbers i32) (local $squares i32) (local $error i32)
    (local.set $numbers (call $granted (i32.const 0) (i32.const 7)))
    (local.set $squares (call $granted (i32.const 16) (i32.const 7)))
    (loop $next
      (local.set $error (call $receive (local.get $numbers) (i32.const 64) (i32.const 8) (i32.const 80) (i64.const -1)))
      (if (i32.eq (local.get $error) (i32.const 64)) (then (return)))    ;; EPIPE
      (if (local.get $error) (then unreachable))
      (i64.store (i32.const 64) (i64.mul (i64.load (i32.const 64)) (i64.load (i32.const 64))))
      (if (call $send (local.get $squares) (i32.const 64) (i32.const 8) (i64.const -1)) (then unreachable))
      (br $next))))
