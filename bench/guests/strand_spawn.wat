;; Spawns some strands that do nothing, joins them, and again. For the benchmark of strands.
(module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "join" (func $join (param i64) (result i64)))
  (import "bench" "expected" (func $expected (result i32)))  ;; how many at a time, at most 8,192
  (import "bench" "rounds" (func $rounds (result i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $strand)
  (func $strand (param i32) (result i32) (i32.const 0))
  (func (export "_start") (local $round i32) (local $end i32) (local $at i32)
    (local.set $round (call $rounds))
    (local.set $end (i32.shl (call $expected) (i32.const 3)))
    (loop $again
      (local.set $at (i32.const 0))
      (loop $spawns
        (i64.store (local.get $at) (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))
        (br_if $spawns (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
      (local.set $at (i32.const 0))
      (loop $joins
        (if (i64.ne (call $join (i64.load (local.get $at))) (i64.const 0)) (then (unreachable)))
        (br_if $joins (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
      (br_if $again (local.tee $round (i32.sub (local.get $round) (i32.const 1)))))))
