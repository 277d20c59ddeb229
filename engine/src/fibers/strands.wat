;; The scheduler of strands: stackful fibers inside one instance of a guest.
;;
;; One instance of this module stands beside each guest that has strands, in the same store. The host calls `main`, and then `run` again and again,
;; each time perhaps on another thread; `run` resumes strands one after the other until there is a reason to go back to the host. What the guest may
;; call, and what each function promises, is said in sdk/include/weft/strand.h; what the host does, in scheduler.rs. This comment says how it works.
;;
;; STRANDS AND STACKS. A strand is a record of 64 bytes in the memory. A stack is a continuation in the table $fibers. A strand is given a stack when it
;; runs for the first time, and the stack is free for another strand when it ends: what runs on a stack ($serve) takes the strand that it finds in
;; $running, runs it, and begins again. A stack never ends, it only waits. So a million strands that run one after the other need one stack.
;;
;; SUSPENDING. Whoever gives way first does all the book-keeping (puts itself into a queue, a list or the heap; sets $stop if `run` is to end) and then
;; executes (suspend $away), always without a payload. `run` stores the continuation where it came from, looks at $stop, and takes the next strand. So the
;; shortest way from strand to strand is: queue, suspend, one test, dequeue, resume.
;;
;; WHERE THINGS ARE. A record's address is its index + 1, times 64; 0 is no record. The first 64 bytes of the memory, where record -1 would be:
;;
;;    0  first and last strand of the ready queue of level 0 (low); the same of level 1 (normal) at 8, of level 2 (high) at 16. "last" has no
;;       meaning while "first" is 0.
;;   24  first and last of the strands that wait in the host
;;
;; A record:
;;
;;    0  i64  id: generation << 32 | index + 1. Of a free record: that of the next strand in it.
;;    8  i32  next in the queue, list or free list that it is in
;;   12  i8   state (below)
;;   13  i8   level * 8, which is the address of the queue
;;   14  i8   flags: 1 has a permit, 2 detached, 4 made by the host, 8 the main strand
;;   15  i8   woken by its deadline (1) or by something else (0)
;;   16  i64  deadline, while it is in the heap. Before it first runs: i32 function and i32 argument. When it has ended, or its `join` has: i32 result.
;;   24  i32  when it went into the heap, by a counter: equal deadlines are first come, first served
;;   28  i32  the one before in the list of those that wait in the host
;;   32  i32  where it is in the heap, from 1; 0: not there
;;   36  i32  its stack, an index of $fibers; -1: none yet
;;   40  i32  the record of the strand that waits in `join` for it, or 0
;;   44  i32  where it was made, as the guest has it; -1: unknown
;;   48  i64  id of the strand that made it; 0: the host
;;
;; and two arrays that have as many entries as there are records at most, and so are laid out across them:
;;
;;   56  i32  heap[i], from 1: a record's address. A binary heap, the earliest deadline first.
;;   60  i32  free_stacks[i], from 0, in record i + 1: the numbers of the stacks that are free, as a stack
;;
;; States:
;;
;;         spawn                run                     ended
;;   0 free ----> 1 ready, or running <-> 3, 4, 5, 6 ... ----> 2 ended ----> 0 free
;;                                                                   join, detach
;;   3 parked       in the heap if it has a deadline       unpark, the deadline
;;   4 joins        nowhere but in the other's record      the other's end
;;   5 in the host  list, and in the heap if p was 3       wake, the deadline
;;   6 sleeps       in the heap                            the deadline
;;
;; That a strand is running is not in its record but in $current: that saves two stores a switch.
;;
;; THE GUEST IS NOT TRUSTED. It can call what is exported to it, at any time: also before `run`, or from its `malloc` while a shadow stack is allocated.
;; $running is 0 then, which is how all that would wait know that they cannot. Ids are looked up ($find), levels compared.
(module $weft_strands
  (type $job (func))
  (type $fiber (cont $job))
  (type $begin (func (param i32)))
  (type $enter (func (param i32 i32) (result i32)))
  (type $set_stack (func (param i32 i32 i32)))
  (type $allocate (func (param i32) (result i32)))

  (import "weft_host" "tick" (func $tick (result i32)))
  (import "weft_host" "now" (func $now (result i64)))
  (import "weft_host" "finished" (func $finished (param i64)))
  (import "weft_host" "fail" (func $fail (param i32)))

  (memory 1)
  (table $fibers 0 (ref null $fiber))
  (tag $away)
  (elem declare func $launch)

  ;; Set by the host, before anything runs.
  (global $strands_max (export "strands_max") (mut i32) (i32.const 1048576))
  (global $stack_bytes (export "stack_bytes") (mut i32) (i32.const 0))
  (global $tls_bytes (export "tls_bytes") (mut i32) (i32.const 0))
  (global $main_stack (export "main_stack") (mut i32) (i32.const 0))
  (global $main_stack_low (export "main_stack_low") (mut i32) (i32.const 0))
  (global $preemptive (export "preemptive") (mut i32) (i32.const 0))
  (global $colours (export "colours") (mut i32) (i32.const 16))
  (global $begin (export "begin") (mut (ref null $begin)) (ref.null $begin))
  (global $enter (export "enter") (mut (ref null $enter)) (ref.null $enter))
  (global $set_stack (export "set_stack") (mut (ref null $set_stack)) (ref.null $set_stack))
  (global $allocate (export "allocate") (mut (ref null $allocate)) (ref.null $allocate))

  ;; Set by host functions while a strand is in them, and read and cleared by `again`.
  (global $pending (export "pending") (mut i32) (i32.const 0))
  (global $until (export "until") (mut i64) (i64.const 0))

  ;; Read by the host.
  (global $current (export "current") (mut i64) (i64.const 0))
  (global $deadline (export "deadline") (mut i64) (i64.const 0x7fffffffffffffff))

  ;; The record of the strand that runs, if it may give way: 0 outside of strands, and while its shadow stack is being allocated ($service).
  (global $running (mut i32) (i32.const 0))
  (global $service (mut i32) (i32.const 0))
  ;; The strand that the next `run` has to go on with, before any other and without choosing; or 0.
  (global $held (mut i32) (i32.const 0))
  ;; 0: go on. Otherwise `run` is to end with this, less 1.
  (global $stop (mut i32) (i32.const 0))
  (global $inside (mut i32) (i32.const 0))

  (global $records (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 0))
  (global $used (mut i32) (i32.const 0))
  (global $live (mut i32) (i32.const 0))
  (global $main (mut i32) (i32.const 0))
  (global $stacks (mut i32) (i32.const 0))
  (global $free_stacks (mut i32) (i32.const 0))
  (global $timers (mut i32) (i32.const 0))
  (global $timers_seen (mut i32) (i32.const 0))
  (global $picks (mut i32) (i32.const 0))
  (global $lone_yields (mut i32) (i32.const 0))
  (global $service_low (mut i32) (i32.const 0))
  (global $service_top (mut i32) (i32.const 0))

  ;; ---- Records ----------------------------------------------------------------------------------------------------------------------------------

  ;; The record of a strand that is there (it may have ended), or 0.
  (func $find (param $id i64) (result i32) (local $index i32) (local $record i32)
    (local.set $index (i32.wrap_i64 (local.get $id)))
    (if (i32.ge_u (i32.sub (local.get $index) (i32.const 1)) (global.get $records)) (then (return (i32.const 0))))
    (local.set $record (i32.shl (local.get $index) (i32.const 6)))
    (if (i64.ne (i64.load (local.get $record)) (local.get $id)) (then (return (i32.const 0))))
    (select (local.get $record) (i32.const 0) (i32.load8_u offset=12 (local.get $record))))

  ;; The same of one that has not ended.
  (func $find_live (param $id i64) (result i32) (local $record i32)
    (local.set $record (call $find (local.get $id)))
    (select (i32.const 0) (local.get $record) (i32.eq (i32.load8_u offset=12 (local.get $record)) (i32.const 2 (;ended;)))))

  ;; A new strand, ready to run for the first time; 0 if there is no memory for it.
  (func $bear (param $first i32) (param $second i32) (param $level i32) (param $flags i32) (param $site i32) (result i32) (local $record i32)
    (if (local.tee $record (global.get $free))
      (then (global.set $free (i32.load offset=8 (local.get $record))))
      (else
        ;; 2^26 - 1 records, with the 64 bytes before them, are the whole of a memory.
        (if (i32.ge_u (global.get $records) (i32.const 0x3ffffff)) (then (return (i32.const 0))))
        (local.set $record (i32.shl (i32.add (global.get $records) (i32.const 1)) (i32.const 6)))
        (if (i32.ge_u (i32.shr_u (local.get $record) (i32.const 16)) (memory.size))
          (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const 0))))))
        (global.set $records (i32.add (global.get $records) (i32.const 1)))
        (i64.store (local.get $record) (i64.extend_i32_u (global.get $records)))))
    (i32.store offset=12 (local.get $record)
      (i32.or (i32.shl (local.get $level) (i32.const 11)) (i32.shl (local.get $flags) (i32.const 16))))
    (i32.store offset=16 (local.get $record) (local.get $first))
    (i32.store offset=20 (local.get $record) (local.get $second))
    (i32.store offset=32 (local.get $record) (i32.const 0))
    (i32.store offset=36 (local.get $record) (i32.const -1))
    (i32.store offset=40 (local.get $record) (i32.const 0))
    (i32.store offset=44 (local.get $record) (local.get $site))
    (i64.store offset=48 (local.get $record) (global.get $current))
    (global.set $used (i32.add (global.get $used) (i32.const 1)))
    (global.set $live (i32.add (global.get $live) (i32.const 1)))
    (call $ready (local.get $record))
    (local.get $record))

  ;; Frees a record. From here on its old id is not found: it has that of the next generation.
  (func $bury (param $record i32)
    (i32.store8 offset=12 (local.get $record) (i32.const 0 (;free;)))
    (i64.store (local.get $record)
      (i64.and (i64.add (i64.load (local.get $record)) (i64.const 0x100000000)) (i64.const 0x7fffffffffffffff)))
    (i32.store offset=8 (local.get $record) (global.get $free))
    (global.set $free (local.get $record))
    (global.set $used (i32.sub (global.get $used) (i32.const 1))))

  ;; ---- Ready queues -----------------------------------------------------------------------------------------------------------------------------

  ;; Puts a strand at the end of the queue of its level. ($yield has a copy of this.)
  (func $ready (param $record i32) (local $queue i32)
    (local.set $queue (i32.load8_u offset=13 (local.get $record)))
    (i32.store8 offset=12 (local.get $record) (i32.const 1 (;ready;)))
    (i32.store offset=8 (local.get $record) (i32.const 0))
    (if (i32.load (local.get $queue))
      (then (i32.store offset=8 (i32.load offset=4 (local.get $queue)) (local.get $record)))
      (else (i32.store (local.get $queue) (local.get $record))))
    (i32.store offset=4 (local.get $queue) (local.get $record)))

  (func $any_ready (result i32)
    (i32.or (i32.or (i32.load (i32.const 8)) (i32.load (i32.const 16))) (i32.load (i32.const 0))))

  ;; Each 16th choice of the next strand is made here. That is where lower levels get their turns: it goes to the second highest of the levels that have
  ;; someone, and each 256th to the third, or to the lowest if there are not so many. And it is where a process whose strands keep giving way to each
  ;; other, without ever coming to a preemption point, is made to ask the host: 128 choices after each 256th. 0: nobody is ready, or $stop is set.
  (func $choose_rarely (result i32) (local $skip i32) (local $queue i32) (local $found i32) (local $record i32)
    (if (i32.eq (i32.and (global.get $picks) (i32.const 255)) (i32.const 128))
      (then
        (if (call $tick) (then (global.set $stop (i32.const 3)) (return (i32.const 0))))
        (call $expire_now)))
    (local.set $skip (select (i32.const 1) (i32.const 2) (i32.and (global.get $picks) (i32.const 255))))
    (local.set $queue (i32.const 16))
    (local.set $found (i32.const -1))
    (block $enough
      (loop $levels
        (if (i32.load (local.get $queue))
          (then
            (local.set $found (local.get $queue))
            (br_if $enough (i32.eqz (local.get $skip)))
            (local.set $skip (i32.sub (local.get $skip) (i32.const 1)))))
        (local.set $queue (i32.sub (local.get $queue) (i32.const 8)))
        (br_if $levels (i32.ge_s (local.get $queue) (i32.const 0)))))
    (if (i32.lt_s (local.get $found) (i32.const 0)) (then (return (i32.const 0))))
    (local.set $record (i32.load (local.get $found)))
    (i32.store (local.get $found) (i32.load offset=8 (local.get $record)))
    (local.get $record))

  ;; ---- Deadlines --------------------------------------------------------------------------------------------------------------------------------

  (func $before (param $a i32) (param $b i32) (result i32)
    (if (i64.ne (i64.load offset=16 (local.get $a)) (i64.load offset=16 (local.get $b)))
      (then (return (i64.lt_s (i64.load offset=16 (local.get $a)) (i64.load offset=16 (local.get $b))))))
    ;; The counter may wrap.
    (i32.lt_s (i32.sub (i32.load offset=24 (local.get $a)) (i32.load offset=24 (local.get $b))) (i32.const 0)))

  (func $heap (param $position i32) (result i32) (i32.load offset=56 (i32.shl (local.get $position) (i32.const 6))))

  (func $place (param $record i32) (param $position i32)
    (i32.store offset=56 (i32.shl (local.get $position) (i32.const 6)) (local.get $record))
    (i32.store offset=32 (local.get $record) (local.get $position)))

  ;; Places a record at a position, or nearer to the top if it is earlier than what is above.
  (func $sift_up (param $record i32) (param $position i32) (local $above i32)
    (block $done
      (loop $levels
        (br_if $done (i32.le_u (local.get $position) (i32.const 1)))
        (local.set $above (call $heap (i32.shr_u (local.get $position) (i32.const 1))))
        (br_if $done (i32.eqz (call $before (local.get $record) (local.get $above))))
        (call $place (local.get $above) (local.get $position))
        (local.set $position (i32.shr_u (local.get $position) (i32.const 1)))
        (br $levels)))
    (call $place (local.get $record) (local.get $position)))

  ;; Places a record at a position, or further from the top if it is later than what is below.
  (func $sift_down (param $record i32) (param $position i32) (local $child i32)
    (block $done
      (loop $levels
        (local.set $child (i32.shl (local.get $position) (i32.const 1)))
        (br_if $done (i32.gt_u (local.get $child) (global.get $timers)))
        (if (i32.lt_u (local.get $child) (global.get $timers))
          (then
            (if (call $before (call $heap (i32.add (local.get $child) (i32.const 1))) (call $heap (local.get $child)))
              (then (local.set $child (i32.add (local.get $child) (i32.const 1)))))))
        (br_if $done (i32.eqz (call $before (call $heap (local.get $child)) (local.get $record))))
        (call $place (call $heap (local.get $child)) (local.get $position))
        (local.set $position (local.get $child))
        (br $levels)))
    (call $place (local.get $record) (local.get $position)))

  (func $set_timer (param $record i32) (param $deadline i64)
    (i64.store offset=16 (local.get $record) (local.get $deadline))
    (i32.store offset=24 (local.get $record) (global.get $timers_seen))
    (global.set $timers_seen (i32.add (global.get $timers_seen) (i32.const 1)))
    (global.set $timers (i32.add (global.get $timers) (i32.const 1)))
    (call $sift_up (local.get $record) (global.get $timers)))

  ;; Takes a record out of the heap, if it is there.
  (func $cancel_timer (param $record i32) (local $position i32) (local $last i32)
    (if (i32.eqz (local.tee $position (i32.load offset=32 (local.get $record)))) (then (return)))
    (i32.store offset=32 (local.get $record) (i32.const 0))
    (local.set $last (call $heap (global.get $timers)))
    (global.set $timers (i32.sub (global.get $timers) (i32.const 1)))
    (if (i32.eq (local.get $last) (local.get $record)) (then (return)))
    ;; The last one takes the place that is free now.
    (if (i32.gt_u (local.get $position) (i32.const 1))
      (then
        (if (call $before (local.get $last) (call $heap (i32.shr_u (local.get $position) (i32.const 1))))
          (then (call $sift_up (local.get $last) (local.get $position)) (return)))))
    (call $sift_down (local.get $last) (local.get $position)))

  ;; Makes ready those whose deadline has come, in its order.
  (func $expire (param $now i64) (local $record i32)
    (loop $next
      (if (i32.eqz (global.get $timers)) (then (return)))
      (local.set $record (call $heap (i32.const 1)))
      (if (i64.gt_s (i64.load offset=16 (local.get $record)) (local.get $now)) (then (return)))
      (call $cancel_timer (local.get $record))
      (i32.store8 offset=15 (local.get $record) (i32.const 1))
      (if (i32.eq (i32.load8_u offset=12 (local.get $record)) (i32.const 5 (;in the host;))) (then (call $leave_host (local.get $record))))
      (call $ready (local.get $record))
      (br $next)))

  (func $expire_now
    (if (global.get $timers) (then (call $expire (call $now)))))

  ;; ---- The list of those that wait in the host --------------------------------------------------------------------------------------------------

  (func $enter_host (param $record i32) (local $last i32)
    (local.set $last (i32.load offset=28 (i32.const 0)))
    (i32.store8 offset=12 (local.get $record) (i32.const 5 (;in the host;)))
    (i32.store offset=8 (local.get $record) (i32.const 0))
    (i32.store offset=28 (local.get $record) (local.get $last))
    (if (local.get $last)
      (then (i32.store offset=8 (local.get $last) (local.get $record)))
      (else (i32.store offset=24 (i32.const 0) (local.get $record))))
    (i32.store offset=28 (i32.const 0) (local.get $record)))

  (func $leave_host (param $record i32) (local $next i32) (local $previous i32)
    (local.set $next (i32.load offset=8 (local.get $record)))
    (local.set $previous (i32.load offset=28 (local.get $record)))
    (if (local.get $previous)
      (then (i32.store offset=8 (local.get $previous) (local.get $next)))
      (else (i32.store offset=24 (i32.const 0) (local.get $next))))
    ;; Without a next one, what is written is "last" of the list: it has the offset of "previous", in record 0.
    (i32.store offset=28 (local.get $next) (local.get $previous)))

  ;; ---- Stacks -----------------------------------------------------------------------------------------------------------------------------------

  ;; A stack for a strand that runs for the first time: the one that was freed last, or a new one.
  (func $take_stack (result i32) (local $number i32)
    (if (global.get $free_stacks)
      (then
        (global.set $free_stacks (i32.sub (global.get $free_stacks) (i32.const 1)))
        (return (i32.load offset=60 (i32.shl (i32.add (global.get $free_stacks) (i32.const 1)) (i32.const 6))))))
    (local.set $number (global.get $stacks))
    (if (i32.eq (local.get $number) (table.size $fibers))
      (then
        ;; By a quarter more, so that growing stays linear in all; if that is refused, by one.
        (if (i32.eq (i32.const -1)
              (table.grow $fibers (ref.null $fiber) (i32.add (i32.shr_u (local.get $number) (i32.const 2)) (i32.const 16))))
          (then
            (if (i32.eq (i32.const -1) (table.grow $fibers (ref.null $fiber) (i32.const 1)))
              (then (call $fail (i32.const 3)) (unreachable)))))))
    (global.set $stacks (i32.add (local.get $number) (i32.const 1)))
    (table.set $fibers (local.get $number) (cont.new $fiber (ref.func $launch)))
    (local.get $number))

  ;; What a stack begins with. Stacks are mapped at page boundaries, so that the lines of all of them which are in use would compete for the same few sets of the
  ;; caches: they are given colours, by a number of calls that depends on the number of the stack; two calls a colour, of 16 bytes each. (More was measured, and
  ;; is not better. docs/design/strands.md has figures.)
  (func $launch (type $job) (local $number i32)
    (local.set $number (i32.load offset=36 (global.get $running)))
    (call $deeper
      (i32.shl (i32.rem_u (local.get $number) (select (global.get $colours) (i32.const 1) (global.get $colours))) (i32.const 1))
      (local.get $number)))

  (func $deeper (param $more i32) (param $number i32)
    (if (local.get $more)
      (then (call $deeper (i32.sub (local.get $more) (i32.const 1)) (local.get $number)))
      (else (call $serve (local.get $number)))))

  ;; Runs strands on one stack, one after the other, for ever.
  (func $serve (param $number i32) (local $record i32) (local $flags i32) (local $shadow i32) (local $result i32) (local $queue i32) (local $next i32)
    (loop $strand
      (local.set $record (global.get $running))
      (local.set $flags (i32.load8_u offset=14 (local.get $record)))
      (local.set $result (i32.const 0))
      (if (i32.and (local.get $flags) (i32.const 8 (;main;)))
        (then
          (if (global.get $main_stack)
            (then
              (if (i32.eqz (ref.is_null (global.get $set_stack)))
                (then
                  (call_ref $set_stack (global.get $main_stack) (global.get $main_stack_low) (i32.const 0) (global.get $set_stack))))))
          (call_ref $begin (i32.load offset=16 (local.get $record)) (global.get $begin)))
        (else
          (if (global.get $stack_bytes)
            (then
              (if (i32.eqz (local.get $shadow)) (then (local.set $shadow (call $make_shadow (local.get $record)))))
              (if (local.get $shadow) (then (call $use_shadow (local.get $shadow))))))
          (if (i32.and (local.get $flags) (i32.const 4 (;the host's;)))
            (then
              (call_ref $begin (i32.load offset=16 (local.get $record)) (global.get $begin))
              (call $finished (i64.load (local.get $record))))
            (else
              (local.set $result
                (call_ref $enter (i32.load offset=16 (local.get $record)) (i32.load offset=20 (local.get $record)) (global.get $enter)))))))
      (call $end (local.get $record) (local.get $result))

      ;; If the next choice is an ordinary one, and falls on a strand that has not run yet, it can have this stack without a switch. The same rules as in
      ;; `run`; when in doubt, leave it to that.
      (block $ask
        (br_if $ask (global.get $stop))
        (br_if $ask (i32.eq (i32.and (global.get $picks) (i32.const 15)) (i32.const 15)))
        (block $chosen
          (local.set $queue (i32.const 16))
          (br_if $chosen (local.tee $next (i32.load (i32.const 16))))
          (local.set $queue (i32.const 8))
          (br_if $chosen (local.tee $next (i32.load (i32.const 8))))
          (local.set $queue (i32.const 0))
          (br_if $ask (i32.eqz (local.tee $next (i32.load (i32.const 0))))))
        (br_if $ask (i32.ge_s (i32.load offset=36 (local.get $next)) (i32.const 0)))
        (global.set $picks (i32.add (global.get $picks) (i32.const 1)))
        (i32.store (local.get $queue) (i32.load offset=8 (local.get $next)))
        (i32.store offset=36 (local.get $next) (local.get $number))
        (global.set $current (i64.load (local.get $next)))
        (global.set $running (local.get $next))
        (br $strand))

      (i32.store offset=60 (i32.shl (i32.add (global.get $free_stacks) (i32.const 1)) (i32.const 6)) (local.get $number))
      (global.set $free_stacks (i32.add (global.get $free_stacks) (i32.const 1)))
      (suspend $away)
      (br $strand)))

  ;; A strand has ended.
  (func $end (param $record i32) (param $result i32) (local $joiner i32) (local $flags i32)
    (global.set $live (i32.sub (global.get $live) (i32.const 1)))
    (local.set $flags (i32.load8_u offset=14 (local.get $record)))
    (if (i32.and (local.get $flags) (i32.const 8 (;main;)))
      (then (global.set $main (i32.const 0)) (global.set $stop (i32.const 1))))
    (if (i32.and (local.get $flags) (i32.const 2 (;detached;))) (then (call $bury (local.get $record)) (return)))
    (if (local.tee $joiner (i32.load offset=40 (local.get $record)))
      (then
        (i32.store offset=16 (local.get $joiner) (local.get $result))
        (call $ready (local.get $joiner))
        (call $bury (local.get $record))
        (return)))
    (i32.store offset=16 (local.get $record) (local.get $result))
    (i32.store8 offset=12 (local.get $record) (i32.const 2 (;ended;))))

  ;; ---- Shadow stacks: the stack in its memory that a guest's compiler uses beside the engine's --------------------------------------------------

  (func $round (param $bytes i32) (result i32) (i32.and (i32.add (local.get $bytes) (i32.const 15)) (i32.const -16)))

  ;; Memory for one: the stack, and the guest's thread-local variables above. 0 if the guest cannot be asked for it.
  (func $make_shadow (param $record i32) (result i32) (local $address i32)
    (if (i32.or (ref.is_null (global.get $allocate)) (ref.is_null (global.get $set_stack))) (then (return (i32.const 0))))
    ;; The guest's `malloc` needs a stack as well. There is one for that, so no other strand can have its turn meanwhile.
    (global.set $service (i32.const 1))
    (global.set $running (i32.const 0))
    (if (global.get $service_top)
      (then (call_ref $set_stack (global.get $service_top) (global.get $service_low) (i32.const 0) (global.get $set_stack))))
    (local.set $address
      (call_ref $allocate
        (i32.add (i32.add (call $round (global.get $stack_bytes)) (call $round (global.get $tls_bytes))) (i32.const 16))
        (global.get $allocate)))
    (global.set $service (i32.const 0))
    (global.set $running (local.get $record))
    (if (i32.eqz (local.get $address)) (then (call $fail (i32.const 1)) (unreachable)))
    (call $round (local.get $address)))

  (func $use_shadow (param $low i32) (local $top i32)
    (local.set $top (i32.add (local.get $low) (call $round (global.get $stack_bytes))))
    (call_ref $set_stack
      (local.get $top)
      (local.get $low)
      (select (local.get $top) (i32.const 0) (global.get $tls_bytes))
      (global.get $set_stack)))

  ;; ---- What the host calls ----------------------------------------------------------------------------------------------------------------------

  (func (export "prepare") (local $address i32)
    (if (i32.or (i32.eqz (global.get $stack_bytes)) (i32.or (ref.is_null (global.get $allocate)) (global.get $service_top))) (then (return)))
    (local.set $address (call_ref $allocate (i32.const 16400) (global.get $allocate)))
    (if (i32.eqz (local.get $address)) (then (call $fail (i32.const 1)) (unreachable)))
    (global.set $service_low (call $round (local.get $address)))
    (global.set $service_top (i32.add (global.get $service_low) (i32.const 16384))))

  (func (export "main") (param $k i32) (result i64)
    (if (i32.or (global.get $main) (ref.is_null (global.get $begin))) (then (call $fail (i32.const 2)) (unreachable)))
    (global.set $main
      (call $bear (local.get $k) (i32.const 0) (i32.const 1) (i32.const 10 (;main, detached;)) (i32.const -1)))
    (if (i32.eqz (global.get $main)) (then (call $fail (i32.const 2)) (unreachable)))
    (i64.load (global.get $main)))

  (func (export "spawn_host") (param $k i32) (param $level i32) (result i64)
    (if (ref.is_null (global.get $begin)) (then (return (i64.const -52 (;ENOSYS;)))))
    (call $spawn (local.get $k) (i32.const 0) (local.get $level) (i32.const 6 (;the host's, detached;)) (i32.const -1)))

  (func (export "wake") (param $id i64) (result i32) (local $record i32)
    (if (i32.eqz (local.tee $record (call $find (local.get $id)))) (then (return (i32.const 0))))
    (if (i32.ne (i32.load8_u offset=12 (local.get $record)) (i32.const 5 (;in the host;))) (then (return (i32.const 0))))
    (call $leave_host (local.get $record))
    (call $cancel_timer (local.get $record))
    (call $ready (local.get $record))
    (i32.const 1))

  (func (export "run") (param $now i64) (result i32)
    (local $record i32) (local $queue i32) (local $stack i32) (local $fiber (ref null $fiber))
    ;; Never from inside: not even if a linker gave the guest this function.
    (if (global.get $inside) (then (call $fail (i32.const 2)) (unreachable)))
    (global.set $inside (i32.const 1))
    (global.set $stop (i32.const 0))
    (call $expire (local.get $now))
    (local.set $record (global.get $held))
    (global.set $held (i32.const 0))
    (block $leave
      (loop $turn
        (block $chosen
          (br_if $chosen (local.get $record))
          (global.set $picks (i32.add (global.get $picks) (i32.const 1)))
          (block $none
            (if (i32.and (global.get $picks) (i32.const 15))
              (then
                ;; The head of the highest queue that has one.
                (block $found
                  (local.set $queue (i32.const 16))
                  (br_if $found (local.tee $record (i32.load (i32.const 16))))
                  (local.set $queue (i32.const 8))
                  (br_if $found (local.tee $record (i32.load (i32.const 8))))
                  (local.set $queue (i32.const 0))
                  (br_if $none (i32.eqz (local.tee $record (i32.load (i32.const 0))))))
                (i32.store (local.get $queue) (i32.load offset=8 (local.get $record)))
                (br $chosen))
              (else
                (br_if $chosen (local.tee $record (call $choose_rarely)))
                (br_if $leave (global.get $stop)))))
          ;; Nobody is ready. That was no choice; but a deadline may have come meanwhile.
          (global.set $picks (i32.sub (global.get $picks) (i32.const 1)))
          (call $expire_now)
          (br_if $turn (call $any_ready))
          (global.set $deadline (i64.const 0x7fffffffffffffff))
          (if (global.get $timers) (then (global.set $deadline (i64.load offset=16 (call $heap (i32.const 1))))))
          (global.set $stop (i32.const 2))
          (br $leave))

        (global.set $current (i64.load (local.get $record)))
        (global.set $running (local.get $record))
        (local.set $stack (i32.load offset=36 (local.get $record)))
        (if (i32.lt_s (local.get $stack) (i32.const 0))
          (then (i32.store offset=36 (local.get $record) (local.tee $stack (call $take_stack)))))
        (block $suspended (result (ref $fiber))
          (resume $fiber (on $away $suspended) (table.get $fibers (local.get $stack)))
          ;; A stack never ends.
          (call $fail (i32.const 2))
          (unreachable))
        (local.set $fiber)
        (table.set $fibers (local.get $stack) (local.get $fiber))
        (local.set $record (i32.const 0))
        (br_if $turn (i32.eqz (global.get $stop)))))
    (global.set $current (i64.const 0))
    (global.set $running (i32.const 0))
    (global.set $inside (i32.const 0))
    (i32.sub (global.get $stop) (i32.const 1)))

  (func (export "live") (result i32) (global.get $live))
  (func (export "records") (result i32) (global.get $records))
  (func (export "stacks") (result i32) (global.get $stacks))

  ;; Of the record with this index: the id (0: free), the state as above (or 7: runs, or was held when `run` ended), where it was made, and by whom.
  (func (export "strand") (param $index i32) (result i64 i32 i32 i64) (local $record i32) (local $state i32)
    (if (i32.ge_u (local.get $index) (global.get $records))
      (then (return (i64.const 0) (i32.const 0) (i32.const 0) (i64.const 0))))
    (local.set $record (i32.shl (i32.add (local.get $index) (i32.const 1)) (i32.const 6)))
    (local.set $state (i32.load8_u offset=12 (local.get $record)))
    (if (i32.eqz (local.get $state))
      (then (return (i64.const 0) (i32.const 0) (i32.const 0) (i64.const 0))))
    (if (i32.or
          (i32.eq (local.get $record) (global.get $held))
          (i64.eq (i64.load (local.get $record)) (global.get $current)))
      (then (local.set $state (i32.const 7))))
    (i64.load (local.get $record))
    (local.get $state)
    (i32.load offset=44 (local.get $record))
    (i64.load offset=48 (local.get $record)))

  ;; ---- What the guest's module is rewritten to call: "weft_fiber" -------------------------------------------------------------------------------

  (func (export "again") (param $mask i32) (result i32)
    (if (global.get $pending) (then (return (call $wait (local.get $mask)))))
    (i32.const 0))

  (func $wait (param $mask i32) (result i32) (local $how i32) (local $me i32)
    (local.set $how (global.get $pending))
    (global.set $pending (i32.const 0))
    (if (i32.gt_u (local.get $how) (i32.const 3)) (then (call $fail (i32.const 2)) (unreachable)))
    (local.set $me (global.get $running))
    (if (i32.or (local.get $mask) (i32.eqz (local.get $me)))
      (then
        (if (i64.eqz (global.get $current))
          (then
            ;; Outside of any strand (`prepare`, an initialiser that the host calls itself) nobody can go on meanwhile.
            (if (i32.eq (local.get $how) (i32.const 2)) (then (return (i32.const 0))))
            (call $fail (i32.const 4))
            (unreachable)))
        (global.set $deadline
          (select (global.get $until) (i64.const 0x7fffffffffffffff) (i32.eq (local.get $how) (i32.const 3))))
        (call $hold (select (i32.const 3) (i32.const 2) (i32.eq (local.get $how) (i32.const 2))))
        (return (i32.ne (local.get $how) (i32.const 2)))))
    (if (i32.eq (local.get $how) (i32.const 2))
      (then
        (if (i32.eqz (call $any_ready)) (then (global.set $stop (i32.const 3))))
        (call $ready (local.get $me))
        (suspend $away)
        (return (i32.const 0))))
    (call $enter_host (local.get $me))
    (if (i32.eq (local.get $how) (i32.const 3)) (then (call $set_timer (local.get $me) (global.get $until))))
    (suspend $away)
    (i32.const 1))

  ;; Ends `run`, and makes the next one go on with this very strand.
  (func $hold (param $stop i32)
    (global.set $stop (local.get $stop))
    (global.set $held (i32.shl (i32.wrap_i64 (global.get $current)) (i32.const 6)))
    (suspend $away)
    ;; `run` cannot know that a strand that it resumes may not give way.
    (if (global.get $service) (then (global.set $running (i32.const 0)))))

  (func (export "preempt") (param $mask i32) (local $over i32) (local $me i32)
    (local.set $over (call $tick))
    (local.set $me (global.get $running))
    (if (i32.and (i32.and (i32.ne (local.get $me) (i32.const 0)) (i32.eqz (local.get $mask))) (i32.ne (global.get $preemptive) (i32.const 0)))
      (then
        ;; If this strand never gives way, nobody else looks at the clock.
        (call $expire_now)
        (if (call $any_ready)
          (then
            (if (local.get $over) (then (global.set $stop (i32.const 3))))
            (call $ready (local.get $me))
            (suspend $away)
            (return)))))
    (if (i32.and (i32.ne (local.get $over) (i32.const 0)) (i64.ne (global.get $current) (i64.const 0)))
      (then (call $hold (i32.const 3)))))

  ;; ---- What the guest calls: "weft_strand" ------------------------------------------------------------------------------------------------------

  (func $spawn (param $first i32) (param $second i32) (param $level i32) (param $flags i32) (param $site i32) (result i64) (local $record i32)
    (if (i32.gt_u (local.get $level) (i32.const 2)) (then (return (i64.const -28 (;EINVAL;)))))
    (if (i32.ge_u (global.get $used) (global.get $strands_max)) (then (return (i64.const -6 (;EAGAIN;)))))
    (local.set $record
      (call $bear (local.get $first) (local.get $second) (local.get $level) (local.get $flags) (local.get $site)))
    (if (i32.eqz (local.get $record)) (then (return (i64.const -6 (;EAGAIN;)))))
    (i64.load (local.get $record)))

  (func $spawn_at (export "spawn_at") (param $f i32) (param $argument i32) (param $level i32) (param $site i32) (result i64)
    (if (ref.is_null (global.get $enter)) (then (return (i64.const -52 (;ENOSYS;)))))
    (call $spawn (local.get $f) (local.get $argument) (local.get $level) (i32.const 0) (local.get $site)))

  (func (export "spawn") (param $f i32) (param $argument i32) (param $level i32) (result i64)
    (call $spawn_at (local.get $f) (local.get $argument) (local.get $level) (i32.const -1)))

  (func $yield (export "yield") (local $me i32) (local $queue i32)
    (if (i32.eqz (local.tee $me (global.get $running))) (then (return)))
    (local.set $queue (i32.load8_u offset=13 (local.get $me)))
    ;; This is what has to be fast: somebody of the same level is ready. ($ready, without what is known.)
    (if (i32.load (local.get $queue))
      (then
        (i32.store offset=8 (local.get $me) (i32.const 0))
        (i32.store offset=8 (i32.load offset=4 (local.get $queue)) (local.get $me))
        (i32.store offset=4 (local.get $queue) (local.get $me))
        (suspend $away)
        (return)))
    (if (i32.eqz (call $any_ready)) (then (call $yield_alone (local.get $me)) (return)))
    (call $ready (local.get $me))
    (suspend $away))

  ;; There is nobody to give way to. But who waits for something by yielding until it is there must not keep the worker, nor others from their deadlines: each
  ;; 256th time the host is asked, and the clock.
  (func $yield_alone (param $me i32)
    (global.set $lone_yields (i32.add (global.get $lone_yields) (i32.const 1)))
    (if (i32.and (global.get $lone_yields) (i32.const 255)) (then (return)))
    (if (call $tick) (then (call $hold (i32.const 3)) (return)))
    (call $expire_now)
    (if (call $any_ready) (then (call $ready (local.get $me)) (suspend $away))))

  (func (export "self") (result i64) (global.get $current))
  (func (export "now") (result i64) (call $now))
  (func (export "count") (result i32) (global.get $live))

  ;; Takes the permit of a strand, if it has one.
  (func $take_permit (param $me i32) (result i32) (local $flags i32)
    (local.set $flags (i32.load8_u offset=14 (local.get $me)))
    (i32.store8 offset=14 (local.get $me) (i32.and (local.get $flags) (i32.const 0xfe)))
    (i32.and (local.get $flags) (i32.const 1)))

  (func (export "park") (local $me i32)
    (if (i32.eqz (local.tee $me (global.get $running))) (then (return)))
    (if (call $take_permit (local.get $me)) (then (return)))
    (i32.store8 offset=12 (local.get $me) (i32.const 3 (;parked;)))
    (suspend $away))

  (func (export "park_until") (param $deadline i64) (result i32) (local $me i32)
    (if (i32.eqz (local.tee $me (global.get $running))) (then (return (i32.const 0))))
    (if (call $take_permit (local.get $me)) (then (return (i32.const 0))))
    (if (i64.le_s (local.get $deadline) (call $now)) (then (return (i32.const 73 (;ETIMEDOUT;)))))
    (i32.store8 offset=12 (local.get $me) (i32.const 3 (;parked;)))
    (i32.store8 offset=15 (local.get $me) (i32.const 0))
    (call $set_timer (local.get $me) (local.get $deadline))
    (suspend $away)
    (select (i32.const 73 (;ETIMEDOUT;)) (i32.const 0) (i32.load8_u offset=15 (local.get $me))))

  (func (export "unpark") (param $id i64) (result i32) (local $record i32)
    (if (i32.eqz (local.tee $record (call $find_live (local.get $id)))) (then (return (i32.const 71 (;ESRCH;)))))
    (if (i32.eq (i32.load8_u offset=12 (local.get $record)) (i32.const 3 (;parked;)))
      (then
        (call $cancel_timer (local.get $record))
        (call $ready (local.get $record)))
      (else
        (i32.store8 offset=14 (local.get $record) (i32.or (i32.load8_u offset=14 (local.get $record)) (i32.const 1)))))
    (i32.const 0))

  (func (export "join") (param $id i64) (result i64) (local $me i32) (local $record i32)
    ;; Where nobody can wait, it would be for ever.
    (if (i32.eqz (local.tee $me (global.get $running))) (then (return (i64.const -16 (;EDEADLK;)))))
    (if (i64.eq (local.get $id) (global.get $current)) (then (return (i64.const -16 (;EDEADLK;)))))
    (if (i32.eqz (local.tee $record (call $find (local.get $id)))) (then (return (i64.const -71 (;ESRCH;)))))
    (if (i32.and (i32.load8_u offset=14 (local.get $record)) (i32.const 2 (;detached;))) (then (return (i64.const -71 (;ESRCH;)))))
    (if (i32.load offset=40 (local.get $record)) (then (return (i64.const -28 (;EINVAL;)))))
    (if (i32.eq (i32.load8_u offset=12 (local.get $record)) (i32.const 2 (;ended;)))
      (then
        (call $bury (local.get $record))
        (return (i64.load32_u offset=16 (local.get $record)))))
    (i32.store offset=40 (local.get $record) (local.get $me))
    (i32.store8 offset=12 (local.get $me) (i32.const 4 (;joins;)))
    (suspend $away)
    (i64.load32_u offset=16 (local.get $me)))

  (func (export "detach") (param $id i64) (result i32) (local $record i32)
    (if (i32.eqz (local.tee $record (call $find (local.get $id)))) (then (return (i32.const 71 (;ESRCH;)))))
    (if (i32.and (i32.load8_u offset=14 (local.get $record)) (i32.const 2 (;detached;))) (then (return (i32.const 71 (;ESRCH;)))))
    (if (i32.load offset=40 (local.get $record)) (then (return (i32.const 28 (;EINVAL;)))))
    (if (i32.eq (i32.load8_u offset=12 (local.get $record)) (i32.const 2 (;ended;)))
      (then (call $bury (local.get $record)))
      (else (i32.store8 offset=14 (local.get $record) (i32.or (i32.load8_u offset=14 (local.get $record)) (i32.const 2)))))
    (i32.const 0))

  (func (export "sleep") (param $ns i64) (local $me i32) (local $deadline i64)
    (if (i64.le_s (local.get $ns) (i64.const 0)) (then (call $yield) (return)))
    (if (i32.eqz (local.tee $me (global.get $running))) (then (return)))
    (local.set $deadline (call $now))
    ;; Without overflow: at most the end of time, which is "never".
    (local.set $deadline
      (select
        (i64.const 0x7fffffffffffffff)
        (i64.add (local.get $deadline) (local.get $ns))
        (i64.gt_s (local.get $ns) (i64.sub (i64.const 0x7fffffffffffffff) (local.get $deadline)))))
    (i32.store8 offset=12 (local.get $me) (i32.const 6 (;sleeps;)))
    (call $set_timer (local.get $me) (local.get $deadline))
    (suspend $away))

  (func (export "set_priority") (param $id i64) (param $level i32) (result i32) (local $record i32)
    (if (i32.gt_u (local.get $level) (i32.const 2)) (then (return (i32.const 28 (;EINVAL;)))))
    (if (i32.eqz (local.tee $record (call $find_live (local.get $id)))) (then (return (i32.const 71 (;ESRCH;)))))
    (i32.store8 offset=13 (local.get $record) (i32.shl (local.get $level) (i32.const 3)))
    (i32.const 0)))
