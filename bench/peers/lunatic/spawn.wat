;; Lunatic's side of the spawn benchmark: starts processes in batches of 64 and waits for a message from each. peer.py puts the number of
;; batches in, and reads the elapsed nanoseconds (eight bytes, little-endian) from the standard output.
;; A process here sends one empty message, because lunatic has no other way to wait for another's normal end.
(module
  (import "lunatic::process" "spawn" (func $spawn (param i64 i64 i64 i32 i32 i32 i32 i32) (result i32)))
  (import "lunatic::process" "process_id" (func $process_id (result i64)))
  (import "lunatic::message" "create_data" (func $create_data (param i64 i64)))
  (import "lunatic::message" "send" (func $send (param i64) (result i32)))
  (import "lunatic::message" "receive" (func $receive (param i32 i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "child")
  ;; The child's one argument at 16: its type (0x7e, i64), then 16 bytes of value.
  (data (i32.const 16) "\7e")
  (func $now (result i64)
    (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 64)))
    (i64.load (i32.const 64)))
  (func (export "child") (param $parent i64)
    (call $create_data (i64.const 0) (i64.const 0))
    (drop (call $send (local.get $parent))))
  (func (export "_start") (local $batch i32) (local $i i32) (local $start i64)
    (i64.store (i32.const 17) (call $process_id))
    (local.set $batch (i32.const BATCHES))
    (local.set $start (call $now))
    (loop $batches
      (local.set $i (i32.const 64))
      (loop $start_one
        (if (call $spawn (i64.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 17)
              (i32.const 48))
          (then (unreachable)))
        (br_if $start_one (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (local.set $i (i32.const 64))
      (loop $hear_one
        (if (call $receive (i32.const 0) (i32.const 0) (i64.const -1)) (then (unreachable)))
        (br_if $hear_one (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $batches (local.tee $batch (i32.sub (local.get $batch) (i32.const 1)))))
    (i64.store (i32.const 80) (i64.sub (call $now) (local.get $start)))
    (i32.store (i32.const 88) (i32.const 80))
    (i32.store (i32.const 92) (i32.const 8))
    (drop (call $write (i32.const 1) (i32.const 88) (i32.const 1) (i32.const 96)))))
