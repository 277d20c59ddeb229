;; Starts and ends: one page of memory, nothing imported. For the spawn benchmark.
(module
  (memory (export "memory") 1)
  (func (export "_start")))
