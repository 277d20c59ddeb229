;; Makes a channel of 1 MiB and a shared region of 1 MiB. Ends with the error of the channel, or with that of the region and 100, or well.
(module
  (import "weft_channel" "make" (func $make_channel (param i32 i32 i32 i32 i32) (result i32)))
  (import "weft_region" "make" (func $make_region (param i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $error i32)
    (local.set $error (call $make_channel (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (if (local.get $error) (then (call $exit (local.get $error))))
    (local.set $error (call $make_region (i64.const 1048576)))
    (if (i32.lt_s (local.get $error) (i32.const 0)) (then (call $exit (i32.sub (i32.const 100) (local.get $error)))))))
