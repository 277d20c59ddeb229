;; Reports once, then loops for ever: only its health check ends it.
(module
  (import "weft" "alive" (func $alive))
  (memory (export "memory") 1)
  (func (export "_start") (call $alive) (loop $again (br $again))))
