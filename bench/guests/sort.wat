;; Fills 4,096 words with random numbers and sorts them (heapsort), as an optimising compiler would have written it: small functions
;; inlined, loops, branches, memory. The words fit into the first-level cache, so that neighbours disturb little. For the scaling and
;; overhead benchmarks.
(module
  (import "bench" "rounds" (func $rounds (result i32)))
  (memory (export "memory") 1)
  (global $bytes i32 (i32.const 16384))
  ;; Moves the word at byte $root down until no child below byte $end is larger. The children of byte r lie at 2r + 4 and 2r + 8.
  (func $sift (param $root i32) (param $end i32) (local $child i32) (local $value i32) (local $larger i32)
    (local.set $value (i32.load (local.get $root)))
    (block $placed
      (loop $down
        (local.set $child (i32.add (i32.shl (local.get $root) (i32.const 1)) (i32.const 4)))
        (br_if $placed (i32.ge_u (local.get $child) (local.get $end)))
        (local.set $larger (i32.load (local.get $child)))
        (if (i32.lt_u (i32.add (local.get $child) (i32.const 4)) (local.get $end))
          (then
            (if (i32.lt_u (local.get $larger) (i32.load offset=4 (local.get $child)))
              (then
                (local.set $child (i32.add (local.get $child) (i32.const 4)))
                (local.set $larger (i32.load (local.get $child)))))))
        (br_if $placed (i32.ge_u (local.get $value) (local.get $larger)))
        (i32.store (local.get $root) (local.get $larger))
        (local.set $root (local.get $child))
        (br $down)))
    (i32.store (local.get $root) (local.get $value)))
  (func $sort (local $i i32) (local $last i32)
    (local.set $i (i32.shr_u (global.get $bytes) (i32.const 1)))
    (loop $heap
      (local.set $i (i32.sub (local.get $i) (i32.const 4)))
      (call $sift (local.get $i) (global.get $bytes))
      (br_if $heap (local.get $i)))
    (local.set $i (i32.sub (global.get $bytes) (i32.const 4)))
    (loop $take
      (local.set $last (i32.load (local.get $i)))
      (i32.store (local.get $i) (i32.load (i32.const 0)))
      (i32.store (i32.const 0) (local.get $last))
      (call $sift (i32.const 0) (local.get $i))
      (br_if $take (local.tee $i (i32.sub (local.get $i) (i32.const 4))))))
  (func (export "_start") (local $round i32) (local $i i32) (local $seed i32)
    (local.set $round (call $rounds))
    (local.set $seed (i32.const 2463534242))
    (loop $rounds
      (local.set $i (i32.const 0))
      (loop $fill
        (local.set $seed (i32.xor (local.get $seed) (i32.shl (local.get $seed) (i32.const 13))))
        (local.set $seed (i32.xor (local.get $seed) (i32.shr_u (local.get $seed) (i32.const 17))))
        (local.set $seed (i32.xor (local.get $seed) (i32.shl (local.get $seed) (i32.const 5))))
        (i32.store (local.get $i) (local.get $seed))
        (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (global.get $bytes))))
      (call $sort)
      ;; A guest that computes nonsense must not pass for a fast one.
      (local.set $i (i32.const 0))
      (loop $check
        (if (i32.gt_u (i32.load (local.get $i)) (i32.load offset=4 (local.get $i))) (then (unreachable)))
        (br_if $check
          (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.sub (global.get $bytes) (i32.const 4)))))
      (br_if $rounds (local.tee $round (i32.sub (local.get $round) (i32.const 1)))))))
