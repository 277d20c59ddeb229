;; A loop with the shortest useful body (one step of a random generator): the worst case for checks at loop ends.
(module
  (import "bench" "rounds" (func $rounds (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $round i32) (local $i i32) (local $x i64)
    (local.set $round (call $rounds))
    (local.set $x (i64.const 88172645463325252))
    (loop $rounds
      (local.set $i (i32.const 1000000))
      (loop $steps
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
        (br_if $steps (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $rounds (local.tee $round (i32.sub (local.get $round) (i32.const 1)))))
    (i64.store (i32.const 0) (local.get $x))))
