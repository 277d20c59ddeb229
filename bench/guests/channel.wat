;; Messages of 64 bytes over channels that were granted: "there" (this end of it) and "back". Each entry takes how many.
(module
  (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
  (import "weft_channel" "send" (func $send (param i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "send_many" (func $send_many (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "receive" (func $receive (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_channel" "receive_many" (func $receive_many (param i32 i32 i32 i32 i32 i32 i64) (result i32)))
  (import "weft_wait" "set_new" (func $set_new (result i32)))
  (import "weft_wait" "add" (func $add (param i32 i64 i32 i64) (result i32)))
  (import "weft_wait" "wait" (func $wait (param i32 i32 i32 i32 i64) (result i32)))
  (import "weft_wait" "event_new" (func $event_new (result i32)))
  (import "weft_wait" "event_set" (func $event_set (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "there")
  (data (i32.const 8) "back")
  (func $there (result i32) (call $granted (i32.const 0) (i32.const 5)))
  (func $back (result i32) (call $granted (i32.const 8) (i32.const 4)))
  (func $good (param i32) (if (local.get 0) (then unreachable)))

  (func (export "ping") (param $left i32) (local $there i32) (local $back i32)
    (local.set $there (call $there))
    (local.set $back (call $back))
    (loop $again
      (call $good (call $send (local.get $there) (i32.const 1024) (i32.const 64) (i64.const -1)))
      (call $good (call $receive (local.get $back) (i32.const 1024) (i32.const 64) (i32.const 64) (i64.const -1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
  (func (export "pong") (param $left i32) (local $there i32) (local $back i32)
    (local.set $there (call $there))
    (local.set $back (call $back))
    (loop $again
      (call $good (call $receive (local.get $there) (i32.const 1024) (i32.const 64) (i32.const 64) (i64.const -1)))
      (call $good (call $send (local.get $back) (i32.const 1024) (i32.const 64) (i64.const -1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))

  (func (export "produce") (param $left i32) (local $there i32)
    (local.set $there (call $there))
    (loop $again
      (call $good (call $send (local.get $there) (i32.const 1024) (i32.const 64) (i64.const -1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
  (func (export "consume") (param $left i32) (local $there i32)
    (local.set $there (call $there))
    (loop $again
      (call $good (call $receive (local.get $there) (i32.const 1024) (i32.const 64) (i32.const 64) (i64.const -1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))

  ;; 64 at a time: sizes at 512, messages from 1024 on.
  (func (export "produce_many") (param $left i32) (local $there i32) (local $i i32)
    (local.set $there (call $there))
    (loop $size
      (i32.store (i32.add (i32.const 512) (i32.shl (local.get $i) (i32.const 2))) (i32.const 64))
      (br_if $size (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (loop $again
      (call $good (i32.ne (call $send_many (local.get $there) (i32.const 1024) (i32.const 512) (i32.const 64) (i64.const -1)) (i32.const 64)))
      (br_if $again (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 64))) (i32.const 0)))))
  (func (export "consume_many") (param $left i32) (local $there i32) (local $got i32)
    (local.set $there (call $there))
    (loop $again
      (local.set $got (call $receive_many (local.get $there) (i32.const 1024) (i32.const 4096) (i32.const 512) (i32.const 64) (i32.const 64) (i64.const -1)))
      (if (i32.le_s (local.get $got) (i32.const 0)) (then unreachable))
      (br_if $again (i32.gt_s (local.tee $left (i32.sub (local.get $left) (local.get $got))) (i32.const 0)))))

  ;; Any of 1000 events, of which one is set.
  (func (export "wait") (param $left i32) (local $set i32) (local $i i32) (local $event i32)
    (local.set $set (call $set_new))
    (local.set $event (call $event_new))
    (call $good (call $event_set (local.get $event)))
    (call $good (call $add (local.get $set) (i64.const 0) (i32.const 6) (i64.extend_i32_s (local.get $event))))
    (local.set $event (call $event_new))
    (loop $more
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (call $good (call $add (local.get $set) (i64.extend_i32_u (local.get $i)) (i32.const 6) (i64.extend_i32_s (local.get $event))))
      (br_if $more (i32.lt_u (local.get $i) (i32.const 999))))
    (loop $again
      (call $good (i32.ne (call $wait (local.get $set) (i32.const 1024) (i32.const 64) (i32.const 1) (i64.const -1)) (i32.const 1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
