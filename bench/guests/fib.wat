;; The naive Fibonacci function: almost nothing but calls, the worst case for checks at function entries.
(module
  (import "bench" "rounds" (func $rounds (result i32)))
  (memory (export "memory") 1)
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else
        (i32.add
          (call $fib (i32.sub (local.get $n) (i32.const 1)))
          (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "_start") (local $round i32)
    (local.set $round (call $rounds))
    (loop $rounds
      (i32.store (i32.const 0) (call $fib (i32.const 24)))
      (br_if $rounds (local.tee $round (i32.sub (local.get $round) (i32.const 1)))))))
