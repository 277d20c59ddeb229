;; Its start function, which runs before the entry point, divides by zero.
(module
  (memory (export "memory") 1)
  (func $begin (drop (i32.div_s (i32.const 1) (i32.const 0))))
  (start $begin)
  (func (export "_start")))
