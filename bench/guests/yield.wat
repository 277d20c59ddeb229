;; Yields again and again, as a program does that calls sched_yield(). For the switch benchmark.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  ;; 1 once every process of the run has called it; the argument is 1 on a process's first call.
  (import "bench" "ready" (func $ready (param i32) (result i32)))
  (import "bench" "iterations" (func $iterations (result i32)))
  (import "bench" "done" (func $done))
  (memory (export "memory") 1)
  (func (export "_start") (local $first i32) (local $left i32)
    (local.set $first (i32.const 1))
    (block $all_here
      (loop $wait
        (br_if $all_here (call $ready (local.get $first)))
        (local.set $first (i32.const 0))
        (drop (call $yield))
        (br $wait)))
    (local.set $left (call $iterations))
    (loop $again
      (drop (call $yield))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $done)))
