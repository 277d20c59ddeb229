;; Takes a lock that all share, holds it for 5 ms, publishes, gives it back; until it is asked to end. A killed holder leaves EOWNERDEAD (62) to the next.
(module
  (import "weft" "stop_requested" (func $stop (result i32)))
  (import "weft_lock" "open" (func $open (param i32 i32 i32) (result i32)))
  (import "weft_lock" "acquire" (func $acquire (param i32 i64) (result i32)))
  (import "weft_lock" "release" (func $release (param i32) (result i32)))
  (import "weft_topic" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "ledger")
  (func (export "_start") (local $lock i32) (local $error i32)
    (i32.store (i32.const 112) (i32.const 1))
    (i64.store (i32.const 120) (i64.const 5000000))
    (local.set $lock (call $open (i32.const 16) (i32.const 6) (i32.const 1)))
    (loop $again
      (local.set $error (call $acquire (local.get $lock) (i64.const 500000000)))
      (if (i32.or (i32.eqz (local.get $error)) (i32.eq (local.get $error) (i32.const 62))) (then
        (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))
        (drop (call $publish (i32.const 16) (i32.const 6) (i32.const 1024) (i32.const 64)))
        (if (call $release (local.get $lock)) (then (unreachable))))
      (else (if (i32.ne (local.get $error) (i32.const 73)) (then (unreachable)))))
      (br_if $again (i32.eqz (call $stop))))))
