//! Shows that functions which are left at loops for the rest of them do the same, however a loop is left, and that nobody sees it in backtraces.

use super::alone::{Fiber, Host, check, engine, linker};
use super::*;
use wasmtime::{Store, Trap, Val, WasmBacktrace};

/// Loops that end in each way there is. `$n` is how often they come around, `$way` how they end.
const ENDS: &str = r#"(module
    (func $leaf (export "ends") (param $n i32) (param $way i32) (result i32) (local $i i32) (local $sum i32) (local $wide i64) (local $real f64)
        (local.set $wide (i64.const 1))
        (block $far
            (block $near (result i32)
                (block $table
                    (loop $outer
                        (local.set $i (i32.const 0))
                        (loop $inner
                            (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $i)))
                            (local.set $wide (i64.mul (local.get $wide) (i64.const 3)))
                            (local.set $real (f64.add (local.get $real) (f64.const 0.5)))
                            (if (i32.eq (local.get $i) (local.get $n))
                                (then
                                    (if (i32.eq (local.get $way) (i32.const 1)) (then (return (local.get $sum))))
                                    (br_if $far (i32.eq (local.get $way) (i32.const 2)))
                                    (drop (br_if $near (i32.const 33) (i32.eq (local.get $way) (i32.const 3))))
                                    (if (i32.eq (local.get $way) (i32.const 4)) (then (br $near (i32.const 44))))
                                    (if (i32.eq (local.get $way) (i32.const 8)) (then unreachable)))
                                (else
                                    (local.set $sum (i32.xor (local.get $sum) (local.get $way)))))
                            (local.set $i (i32.add (local.get $i) (i32.const 1)))
                            (br_if $inner (i32.le_u (local.get $i) (local.get $n))))
                        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                        (block $again
                            (br_table $again $table $far $again
                                (select (i32.const 0) (i32.sub (local.get $way) (i32.const 4))
                                    (i32.gt_s (local.get $n) (i32.const 2)))))
                        (br_if $outer (i32.gt_s (local.get $n) (i32.const 0)))))
                (i32.const 55))
            (local.set $sum (i32.add (local.get $sum))))
        (loop $after
            (local.set $sum (i32.add (local.get $sum) (i32.wrap_i64 (local.get $wide))))
            (local.set $wide (i64.shr_u (local.get $wide) (i64.const 7)))
            (br_if $after (i64.ne (local.get $wide) (i64.const 0))))
        (i32.add (local.get $sum) (i32.trunc_f64_s (local.get $real))))
    (func (export "called") (param $n i32) (param $way i32) (result i32)
        (i32.add (i32.const 1) (call $leaf (local.get $n) (local.get $way))))
)"#;

#[test]
fn loops_end_in_all_ways() {
    for way in 0..9 {
        for n in [1, 2, 5, 50] {
            let arguments = [Val::I32(n), Val::I32(way)];
            check(ENDS, &[("ends", &arguments), ("called", &arguments)]);
        }
    }
}

/// What is around the loop: an `if` with its first and its second part, blocks and loops with results, a call, values below.
const AROUND: &str = r#"(module
    (func $f (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "around") (param $n i32) (result i32 i64) (local $i i32) (local $kept i64) (local $late f32)
        (local.set $kept (i64.const 77))
        (if (result i32) (i32.and (local.get $n) (i32.const 1))
            (then
                (loop $first (br_if $first (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
                (local.get $i))
            (else
                (block $out (result i32)
                    (loop $typed (result i32)
                        (loop $second
                            (local.set $i (i32.add (local.get $i) (i32.const 3)))
                            (br_if $second (i32.rem_u (local.get $i) (i32.const 7))))
                        (local.set $i (call $f (local.get $i)))
                        (br_if $typed (i32.lt_u (local.get $i) (local.get $n)))
                        (local.set $kept (i64.add (local.get $kept) (i64.extend_i32_u (local.get $i))))
                        (if (i32.gt_u (local.get $i) (i32.const 100)) (then (br $out (i32.const 100))))
                        (i32.mul (local.get $i) (i32.const 2))))))
        (loop $below (param i32) (result i32)
            (local.set $i)
            (local.set $n (i32.shr_u (local.get $n) (i32.const 1)))
            (i32.add (local.get $i) (local.get $n))
            (br_if $below (local.get $n)))
        (i32.add (loop $value (result i32)
            (local.set $late (f32.add (local.get $late) (f32.const 1)))
            (br_if $value (f32.lt (local.get $late) (f32.const 9)))
            (i32.trunc_f32_s (local.get $late))))
        (local.get $kept))
)"#;

#[test]
fn what_is_around_loops_is_gone_on_with() {
    for n in [1, 2, 9, 10, 300, 301] {
        check(AROUND, &[("around", &[Val::I32(n)])]);
    }
}

#[test]
fn all_types_of_locals_are_handed_on() {
    let module = r#"(module
        (func $set (export "types") (param $n i32) (param $v v128) (result i64 f32 f64 v128 i32) (local $i i64) (local $f f32) (local $d f64)
            (local $ref funcref)
            (local.set $ref (ref.func $set))
            (loop $l
                (local.set $i (i64.add (local.get $i) (i64.const 3)))
                (local.set $f (f32.add (local.get $f) (f32.const 0.5)))
                (local.set $d (f64.sub (local.get $d) (f64.const 0.25)))
                (local.set $v (i32x4.add (local.get $v) (local.get $v)))
                (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $i) (local.get $f) (local.get $d) (local.get $v) (ref.is_null (local.get $ref)))
        (elem declare func $set))"#;
    for n in [1, 2, 17] {
        check(module, &[("types", &[Val::I32(n), Val::V128(0x1_0002_0003.into())])]);
    }
    // What may not be null is not there to begin with.
    let module = r#"(module
        (func $f (export "nonnull") (param $n i32) (result i32) (local $ref (ref func))
            (local.set $ref (ref.func $f))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (ref.is_null (local.get $ref)))
        (elem declare func $f))"#;
    check(module, &[("nonnull", &[Val::I32(5)])]);
}

/// Functions and offsets in the original, innermost first.
pub fn frames(error: &wasmtime::Error, side: Option<&Side>) -> Vec<(u32, u64)> {
    let backtrace = error.downcast_ref::<WasmBacktrace>().expect("has one");
    let frames = backtrace.frames().iter().map(|frame| (frame.func_index(), frame.module_offset().unwrap_or(0) as u64));
    let Some(side) = side else { return frames.collect() };
    frames.filter_map(|(function, at)| Some((side.original_function(function)?, side.offsets.original(at)))).collect()
}

#[test]
fn backtraces_are_as_before() {
    let wasm = wat::parse_str(ENDS).unwrap();
    let engine = engine();
    let mut store = Store::new(&engine, Host::default());
    let module = wasmtime::Module::new(&engine, &wasm).unwrap();
    let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
    for n in [1, 7, 40] {
        let arguments = [Val::I32(n), Val::I32(8)];
        let function = instance.get_func(&mut store, "called").unwrap();
        let error = function.call(&mut store, &arguments, &mut [Val::I32(0)]).unwrap_err();
        let expected = frames(&error, None);
        assert_eq!(expected.len(), 2);
        for preempt in [false, true] {
            let mut fiber = Fiber::asking_often(&wasm, Host { preempt, ..Host::default() });
            let error = fiber.call("called", &arguments).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
            assert_eq!(frames(&error, Some(&fiber.side)), expected);
        }
    }
}

/// A loop that counts for more than is left to count must come around nevertheless.
#[test]
fn long_loops_come_around() {
    let long = "(local.set $x (i32.add (local.get $x) (i32.const 1)))".repeat(30_000);
    let module = format!(
        r#"(module (func (export "long") (param $n i32) (result i32) (local $x i32)
            (loop $l {long} (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $x)))"#
    );
    check(&module, &[("long", &[Val::I32(3)])]);
}

/// Each loop is in many others, and behind many: all of their rests would be as large as a function can be, squared.
#[test]
fn functions_that_would_grow_too_much_are_not_left() {
    let nested = "(loop (br_if 0 (local.get 0)) ".repeat(200) + &")".repeat(200);
    let text = format!("(module (func (param i32) {nested}))");
    let rewritten = rewrite_text(&text, Kind::Alone);
    assert!(rewritten.side.rests.is_empty());
    let behind = "(loop (br_if 0 (local.get 0)))".repeat(50);
    let rewritten = rewrite_text(&format!("(module (func (param i32) {behind}))"), Kind::Alone);
    assert_eq!(rewritten.side.rests.len(), 100);
}

#[test]
fn names_are_those_of_the_functions() {
    let rewritten = rewrite_text(r#"(module (func $spin (loop $l (br $l))))"#, Kind::Alone);
    let names = names(&rewritten.wasm);
    assert_eq!(rewritten.side.rests, [0, 0]);
    let last = bodies(&rewritten.wasm).len() as u32 + rewritten.side.functions.added_imports - 1;
    assert_eq!(names[&format!("function {last}")], "spin");
}
