;; As yield.wat, but strands of one process yield to each other. For the benchmark of strands.
(module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "detach" (func $detach (param i64) (result i32)))
  (import "weft_strand" "self" (func $self (result i64)))
  (import "weft_strand" "park" (func $park))
  (import "weft_strand" "unpark" (func $unpark (param i64) (result i32)))
  (import "weft_strand" "yield" (func $yield))
  (import "bench" "expected" (func $expected (result i32)))  ;; how many strands
  (import "bench" "ready" (func $ready (param i32) (result i32)))
  (import "bench" "iterations" (func $iterations (result i32)))
  (import "bench" "done" (func $done))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $strand)
  (global $main (mut i64) (i64.const 0))
  (global $alive (mut i32) (i32.const 0))
  (func $strand (param i32) (result i32) (local $first i32) (local $left i32)
    (local.set $first (i32.const 1))
    (block $all_here
      (loop $wait
        (br_if $all_here (call $ready (local.get $first)))
        (local.set $first (i32.const 0))
        (call $yield)
        (br $wait)))
    (local.set $left (call $iterations))
    (loop $again
      (call $yield)
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $done)
    (global.set $alive (i32.sub (global.get $alive) (i32.const 1)))
    (if (i32.eqz (global.get $alive)) (then (drop (call $unpark (global.get $main)))))
    (i32.const 0))
  (func (export "_start") (local $left i32)
    (global.set $main (call $self))
    (local.set $left (call $expected))
    (global.set $alive (local.get $left))
    (loop $each
      (if (call $detach (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))) (then (unreachable)))
      (br_if $each (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (loop $wait
      (call $park)
      (br_if $wait (global.get $alive)))))
