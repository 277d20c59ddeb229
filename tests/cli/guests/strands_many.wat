;; 2^22 strands one after the other, none of them joined: each is made, detached and given a turn. Their records are used again, so that
;; neither memory nor ids run out. Ends with 0 if the last id has another generation than the first, and all have run.
(module
  (import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "weft_strand" "detach" (func $detach (param i64) (result i32)))
  (import "weft_strand" "join" (func $join (param i64) (result i64)))
  (import "weft_strand" "yield" (func $yield))
  (import "weft_strand" "count" (func $count (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table funcref (elem $strand))
  (global $ran (mut i32) (i32.const 0))
  (func $strand (param i32) (result i32) (global.set $ran (i32.add (global.get $ran) (i32.const 1))) (i32.const 0))
  (func $is (param $true i32) (param $number i32) (if (i32.eqz (local.get $true)) (then (call $exit (local.get $number)))))
  (func (export "_start") (local $i i32) (local $id i64) (local $first i64)
    (loop $again
      (local.set $id (call $spawn (i32.const 0) (local.get $i) (i32.const 1)))
      (call $is (i64.gt_s (local.get $id) (i64.const 0)) (i32.const 1))
      (call $is (i64.ne (local.get $id) (local.get $first)) (i32.const 2))
      (if (i32.eqz (local.get $i)) (then (local.set $first (local.get $id))))
      (call $is (i32.eqz (call $detach (local.get $id))) (i32.const 3))
      (call $yield)
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x400000))))
    (call $is (i32.eq (global.get $ran) (i32.const 0x400000)) (i32.const 4))
    (call $is (i32.eq (call $count) (i32.const 1)) (i32.const 5))
    ;; The first id is long somebody else's record, and known not to be.
    (call $is (i32.eq (i32.wrap_i64 (local.get $first)) (i32.wrap_i64 (local.get $id))) (i32.const 6))
    (call $is (i64.eq (call $join (local.get $first)) (i64.const -71)) (i32.const 7))))
