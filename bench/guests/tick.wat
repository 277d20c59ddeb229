;; Tells the host its number in a tight loop and never yields, so that the host sees when a preemption puts another process in its
;; place: the gap between two calls with different numbers is the switch. For the switch benchmark by preemption.
(module
  (import "bench" "number" (func $number (result i32)))
  (import "bench" "tick" (func $tick (param i32) (result i32)))  ;; 0: stop
  (memory (export "memory") 1)
  (func (export "_start") (local $me i32)
    (local.set $me (call $number))
    (loop $again
      (br_if $again (call $tick (local.get $me))))))
