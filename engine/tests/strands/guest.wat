;; A guest that does what the host tells it, one step after the other: `next` says what, `done` hears what came of it.
(module
  (import "test" "next" (func $next (param i32) (result i32 i64 i32)))
  (import "test" "done" (func $done (param i32 i64)))
  (import "test" "stack" (func $stack (param i32 i32 i32)))
  (import "test" "allocates" (func $allocates (param i32)))
  (import "strands" "again" (func $again (param i32) (result i32)))
  (import "strands" "preempt" (func $preempt (param i32)))
  (import "strands" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "strands" "spawn_at" (func $spawn_at (param i32 i32 i32 i32) (result i64)))
  (import "strands" "yield" (func $yield))
  (import "strands" "self" (func $self (result i64)))
  (import "strands" "park" (func $park))
  (import "strands" "park_until" (func $park_until (param i64) (result i32)))
  (import "strands" "unpark" (func $unpark (param i64) (result i32)))
  (import "strands" "join" (func $join (param i64) (result i64)))
  (import "strands" "detach" (func $detach (param i64) (result i32)))
  (import "strands" "sleep" (func $sleep (param i64)))
  (import "strands" "now" (func $now (result i64)))
  (import "strands" "set_priority" (func $set_priority (param i64 i32) (result i32)))
  (import "strands" "count" (func $count (result i32)))

  (func $body (param $me i32) (result i32) (local $op i32) (local $a i64) (local $b i32) (local $result i64)
    (loop $steps
      (local.set $result (i64.const 0))
      (call $next (local.get $me))
      (local.set $b) (local.set $a) (local.set $op)
      (block $stepped
        (block $trap (block $nothing (block $at_count (block $at_now (block $at_set_priority (block $at_sleep (block $at_detach (block $at_join
        (block $at_unpark (block $at_park_until (block $at_park (block $at_self (block $at_yield (block $at_spawn_at (block $at_spawn
        (block $at_preempt (block $at_again (block $at_finish
          (br_table $at_finish $at_again $at_preempt $at_spawn $at_spawn_at $at_yield $at_self $at_park $at_park_until $at_unpark $at_join
            $at_detach $at_sleep $at_set_priority $at_now $at_count $nothing $trap (local.get $op)))
          (return (i32.wrap_i64 (local.get $a)))) ;; finish
          (local.set $result (i64.extend_i32_s (call $again (local.get $b)))) (br $stepped))
          (call $preempt (local.get $b)) (br $stepped))
          (local.set $result (call $spawn (i32.const 1) (i32.wrap_i64 (local.get $a)) (local.get $b))) (br $stepped))
          (local.set $result
            (call $spawn_at (i32.const 1) (i32.wrap_i64 (local.get $a)) (local.get $b) (i32.add (i32.wrap_i64 (local.get $a)) (i32.const 100))))
          (br $stepped))
          (call $yield) (br $stepped))
          (local.set $result (call $self)) (br $stepped))
          (call $park) (br $stepped))
          (local.set $result (i64.extend_i32_s (call $park_until (local.get $a)))) (br $stepped))
          (local.set $result (i64.extend_i32_s (call $unpark (local.get $a)))) (br $stepped))
          (local.set $result (call $join (local.get $a))) (br $stepped))
          (local.set $result (i64.extend_i32_s (call $detach (local.get $a)))) (br $stepped))
          (call $sleep (local.get $a)) (br $stepped))
          (local.set $result (i64.extend_i32_s (call $set_priority (local.get $a) (local.get $b)))) (br $stepped))
          (local.set $result (call $now)) (br $stepped))
          (local.set $result (i64.extend_i32_s (call $count))) (br $stepped))
          (br $stepped)) ;; nothing
        (unreachable)) ;; trap
      (call $done (local.get $me) (local.get $result))
      (br $steps))
    (unreachable))

  (func (export "begin") (param i32) (drop (call $body (local.get 0))))
  (func (export "enter") (param i32 i32) (result i32)
    (if (i32.ne (local.get 0) (i32.const 1)) (then (unreachable)))
    (call $body (local.get 1)))
  (func (export "set_stack") (param i32 i32 i32) (call $stack (local.get 0) (local.get 1) (local.get 2)))
  ;; What is done here is done by a strand of its own number; what that one ends with is the address.
  (func (export "allocate") (param i32) (result i32)
    (call $allocates (local.get 0))
    (call $body (i32.const 63))))
