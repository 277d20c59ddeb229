;; Sleeps for ever, whatever it is asked.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 112) (i32.const 1))
    (i64.store (i32.const 120) (i64.const 3600000000000))
    (loop $again
      (drop (call $poll_oneoff (i32.const 96) (i32.const 160) (i32.const 1) (i32.const 200)))
      (br $again))))
