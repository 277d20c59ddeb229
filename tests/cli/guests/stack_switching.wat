;; Needs the stack-switching proposal, which is off.
(module
  (type $f (func))
  (type $k (cont $f))
  (func $g)
  (elem declare func $g)
  (func (export "_start") (drop (cont.new $k (ref.func $g)))))
