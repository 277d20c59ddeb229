;; Sends "a\n", "b\n" and "end\n" to the channel "c", and returns.
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_channel" "send" (func $send (param i32 i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "ca\nb\nend\n")
  (func $say (param $at i32) (param $size i32)
    (if (call $send (call $granted (i32.const 0) (i32.const 1)) (local.get $at) (local.get $size) (i64.const -1)) (then unreachable)))
  (func (export "_start")
    (call $say (i32.const 1) (i32.const 2))
    (call $say (i32.const 3) (i32.const 2))
    (call $say (i32.const 5) (i32.const 4))))
