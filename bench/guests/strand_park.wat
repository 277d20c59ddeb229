;; Strands that are parked for good, while the main one sleeps, or it would be a deadlock. For the benchmark of strands.
(module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "park" (func $park))
  (import "weft_strand" "sleep" (func $sleep (param i64)))
  (import "bench" "expected" (func $expected (result i32)))  ;; how many strands, with the main one: at least 2
  (import "bench" "arrived" (func $arrived))
  (import "bench" "sleep_ns" (func $sleep_ns (result i64)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $strand)
  (func $strand (param i32) (result i32)
    (call $arrived)
    (loop $for_ever
      (call $park)
      (br $for_ever))
    (unreachable))
  (func (export "_start") (local $left i32)
    (local.set $left (i32.sub (call $expected) (i32.const 1)))
    (loop $each
      (if (i64.lt_s (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)) (i64.const 0)) (then (unreachable)))
      (br_if $each (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $arrived)
    (call $sleep (call $sleep_ns))))
