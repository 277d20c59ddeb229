;; Fills 16,384 words with random numbers and sorts them (heapsort): loops, calls, branches and memory as in ordinary programs.
;; For the scaling and overhead benchmarks.
(module
  (import "bench" "rounds" (func $rounds (result i32)))
  (memory (export "memory") 2)
  (global $words i32 (i32.const 16384))
  (global $seed (mut i32) (i32.const 2463534242))
  (func $random (result i32)
    (global.set $seed (i32.xor (global.get $seed) (i32.shl (global.get $seed) (i32.const 13))))
    (global.set $seed (i32.xor (global.get $seed) (i32.shr_u (global.get $seed) (i32.const 17))))
    (global.set $seed (i32.xor (global.get $seed) (i32.shl (global.get $seed) (i32.const 5))))
    (global.get $seed))
  (func $at (param $index i32) (result i32)
    (i32.load (i32.shl (local.get $index) (i32.const 2))))
  (func $put (param $index i32) (param $value i32)
    (i32.store (i32.shl (local.get $index) (i32.const 2)) (local.get $value)))
  ;; Moves the word at $root down until no child within $size is larger.
  (func $sift (param $root i32) (param $size i32) (local $child i32) (local $value i32)
    (local.set $value (call $at (local.get $root)))
    (block $placed
      (loop $down
        (local.set $child (i32.add (i32.shl (local.get $root) (i32.const 1)) (i32.const 1)))
        (br_if $placed (i32.ge_u (local.get $child) (local.get $size)))
        (if (i32.lt_u (i32.add (local.get $child) (i32.const 1)) (local.get $size))
          (then
            (local.set $child
              (i32.add (local.get $child)
                (i32.lt_u (call $at (local.get $child)) (call $at (i32.add (local.get $child) (i32.const 1))))))))
        (br_if $placed (i32.ge_u (local.get $value) (call $at (local.get $child))))
        (call $put (local.get $root) (call $at (local.get $child)))
        (local.set $root (local.get $child))
        (br $down)))
    (call $put (local.get $root) (local.get $value)))
  (func $sort (local $i i32) (local $last i32)
    (local.set $i (i32.shr_u (global.get $words) (i32.const 1)))
    (loop $heap
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (call $sift (local.get $i) (global.get $words))
      (br_if $heap (local.get $i)))
    (local.set $i (i32.sub (global.get $words) (i32.const 1)))
    (loop $take
      (local.set $last (call $at (local.get $i)))
      (call $put (local.get $i) (call $at (i32.const 0)))
      (call $put (i32.const 0) (local.get $last))
      (call $sift (i32.const 0) (local.get $i))
      (br_if $take (local.tee $i (i32.sub (local.get $i) (i32.const 1))))))
  (func (export "_start") (local $round i32) (local $i i32)
    (local.set $round (call $rounds))
    (loop $rounds
      (local.set $i (i32.const 0))
      (loop $fill
        (call $put (local.get $i) (call $random))
        (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (global.get $words))))
      (call $sort)
      ;; A guest that computes nonsense must not pass for a fast one.
      (local.set $i (i32.const 1))
      (loop $check
        (if (i32.lt_u (call $at (local.get $i)) (call $at (i32.sub (local.get $i) (i32.const 1)))) (then (unreachable)))
        (br_if $check (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (global.get $words))))
      (br_if $rounds (local.tee $round (i32.sub (local.get $round) (i32.const 1)))))))
