;; Never ends and never calls out. For the fairness benchmark.
(module
  (import "bench" "arrived" (func $arrived))
  (memory (export "memory") 1)
  (func (export "_start") (local $x i32)
    (call $arrived)
    (loop $again
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store (i32.const 0) (local.get $x))
      (br $again))))
