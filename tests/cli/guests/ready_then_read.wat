;; Says "ready", then reads standard input to its end and says "end".
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\06\00\00\00")
  (data (i32.const 8) "\26\00\00\00\04\00\00\00")
  (data (i32.const 16) "\00\01\00\00\00\01\00\00")
  (data (i32.const 32) "ready\nend\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (loop $again
      (if (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 68)) (then (unreachable)))
      (br_if $again (i32.load (i32.const 68))))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 64)))))
