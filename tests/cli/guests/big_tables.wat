;; Starts with a table of 1000 elements.
(module
  (memory (export "memory") 1)
  (table 1000 funcref)
  (func (export "_start")))
