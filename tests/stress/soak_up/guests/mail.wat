;; Takes the name "post" if it is free and receives; otherwise sends to it. Either ends when it is asked to.
(module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft_process" "register_name" (func $register (param i32 i32) (result i32)))
  (import "weft_process" "send_named" (func $send (param i32 i32 i64 i32 i32 i64) (result i32)))
  (import "weft_process" "receive" (func $receive (param i32 i32 i64 i32 i32 i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "post")
  (func (export "_start") (local $owner i32)
    (i32.store (i32.const 112) (i32.const 1))
    (i64.store (i32.const 120) (i64.const 20000000))
    (loop $again
      (local.set $owner (i32.eqz (call $register (i32.const 16) (i32.const 4))))
      (if (local.get $owner)
        (then (drop (call $receive (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 1024) (i32.const 4096) (i32.const 512) (i64.const 100000000))))
        (else
          (drop (call $send (i32.const 16) (i32.const 4) (i64.const 7) (i32.const 1024) (i32.const 2000) (i64.const 50000000)))
          (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))))
      (br_if $again (i32.eqz (call $stop))))))
