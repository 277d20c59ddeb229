//! What a switch costs, in the same run as a bare resume and suspend.
//!
//! cargo test --release -p weft-engine --test strands speed -- --ignored --nocapture --test-threads=1

use crate::host::*;
use std::time::Instant;
use wasmtime::*;

/// The same continuations, 16 colours, resumed one after the other out of a table, without anything else.
const BARE: &str = r#"(module
  (type $job (func)) (type $fiber (cont $job)) (tag $away) (table $fibers 0 (ref null $fiber)) (elem declare func $launch)
  (global $colour (mut i32) (i32.const 0))
  (func $work (loop $for_ever (suspend $away) (br $for_ever)))
  (func $deeper (param i32)
    (if (local.get 0) (then (call $deeper (i32.sub (local.get 0) (i32.const 1)))) (else (call $work))))
  (func $launch (type $job)
    (global.set $colour (i32.and (i32.add (global.get $colour) (i32.const 1)) (i32.const 15)))
    (call $deeper (i32.shl (global.get $colour) (i32.const 1))))
  (func (export "create") (param $count i32) (local $i i32)
    (drop (table.grow $fibers (ref.null $fiber) (local.get $count)))
    (loop $each
      (table.set $fibers (local.get $i) (cont.new $fiber (ref.func $launch)))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count)))))
  (func (export "run") (param $count i32) (param $rounds i32) (local $i i32) (local $round i32) (local $fiber (ref null $fiber))
    (loop $rounds
      (local.set $i (i32.const 0))
      (loop $each
        (block $suspended (result (ref $fiber))
          (resume $fiber (on $away $suspended) (table.get $fibers (local.get $i)))
          unreachable)
        (local.set $fiber)
        (table.set $fibers (local.get $i) (local.get $fiber))
        (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
      (br_if $rounds (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (local.get $rounds))))))"#;

const YIELDS: &str = r#"(module
  (import "strands" "yield" (func $yield))
  (import "strands" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "strands" "detach" (func $detach (param i64) (result i32)))
  (import "strands" "join" (func $join (param i64) (result i64)))
  (func (export "begin") (param $count i32) (local $i i32) (local $k i32)
    (if (i32.gt_s (local.get $count) (i32.const 0))
      (then
        (loop $each
          (drop (call $spawn (i32.const 1) (i32.const 0) (i32.const 1)))
          (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))))
    (if (i32.eq (local.get $count) (i32.const -1))
      (then
        (loop $each
          (drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))))
          (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))))
    (if (i32.eq (local.get $count) (i32.const -100))
      (then
        (loop $each
          (local.set $k (i32.const 100))
          (loop $spawns
            (drop (call $detach (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))))
            (br_if $spawns (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
          (call $yield)
          (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000)))))))
  (func (export "enter") (param $yields i32) (param i32) (result i32)
    (if (local.get $yields) (then (loop $for_ever (call $yield) (br $for_ever))))
    (i32.const 0)))"#;

/// `tick` has been asked so often, and gives the worker up when this is reached.
struct Ticks(u32, u32);

type Driven = (Store<Ticks>, TypedFunc<i64, i32>, TypedFunc<i32, i64>);

fn strands(module: &Module, main: i32) -> Driven {
    let mut store = Store::new(&ENGINE.engine, Ticks(0, u32::MAX));
    let tick = |ticks: &mut Ticks| {
        ticks.0 += 1;
        Ok((ticks.0 >= ticks.1) as i32)
    };
    let scheduler = scheduler(&mut store, tick, |_| 0, |_, _| {});
    link(&mut store, scheduler, module, &[], &["begin", "enter"]);
    let begin = scheduler.get_typed_func::<i32, i64>(&mut store, "main").unwrap();
    begin.call(&mut store, main).unwrap();
    let run = scheduler.get_typed_func(&mut store, "run").unwrap();
    (store, run, begin)
}

fn nanoseconds(count: f64, mut what: impl FnMut()) -> f64 {
    let begin = Instant::now();
    what();
    begin.elapsed().as_nanos() as f64 / count
}

/// Best of `rounds`, the two by turns, for `switches` in all.
fn yields(count: u32, switches: u32, rounds: u32) -> (f64, f64) {
    let bare = Module::new(&ENGINE.engine, wat::parse_str(BARE).unwrap()).unwrap();
    let guest = Module::new(&ENGINE.engine, wat::parse_str(YIELDS).unwrap()).unwrap();
    let (mut store, run, _) = strands(&guest, count as i32);
    assert_eq!(run.call(&mut store, 0).unwrap(), 0);
    let mut turn = |ticks: u32| {
        *store.data_mut() = Ticks(0, ticks);
        assert_eq!(run.call(&mut store, 0).unwrap(), 2);
    };
    let mut bare_store = Store::new(&ENGINE.engine, ());
    let bare = Instance::new(&mut bare_store, &bare, &[]).unwrap();
    let create = bare.get_typed_func::<u32, ()>(&mut bare_store, "create").unwrap();
    let bare = bare.get_typed_func::<(u32, u32), ()>(&mut bare_store, "run").unwrap();
    create.call(&mut bare_store, count).unwrap();
    bare.call(&mut bare_store, (count, 2)).unwrap();
    turn(2 * count / 256 + 1);
    let (ticks, passes) = (switches / rounds / 256 + 1, switches / rounds / count + 1);
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        best.0 = best.0.min(nanoseconds(f64::from(ticks) * 256.0, || turn(ticks)));
        best.1 = best.1.min(nanoseconds(f64::from(passes) * f64::from(count), || {
            bare.call(&mut bare_store, (count, passes)).unwrap();
        }));
    }
    best
}

fn spawns(how: i32, rounds: u32) -> f64 {
    let guest = Module::new(&ENGINE.engine, wat::parse_str(YIELDS).unwrap()).unwrap();
    let (mut store, run, main) = strands(&guest, 0);
    assert_eq!(run.call(&mut store, 0).unwrap(), 0);
    let rounds = (0..rounds).map(|_| {
        nanoseconds(1e6, || {
            main.call(&mut store, how).unwrap();
            assert_eq!(run.call(&mut store, 0).unwrap(), 0);
        })
    });
    rounds.fold(f64::MAX, f64::min)
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    println!("strands   ns a yield   bare resume and suspend   ratio");
    for count in [1, 2, 100, 1000, 10_000] {
        let (strands, bare) = yields(count, 40_000_000, 10);
        println!("{count:7} {strands:12.1} {bare:25.1} {:7.2}", strands / bare);
    }
    println!("spawn, run and end, detached, 100 at once: {:.1} ns", spawns(-100, 10));
    println!("spawn, run, end and join, one by one: {:.1} ns", spawns(-1, 10));
}

/// The measurement itself works.
#[test]
fn speed_briefly() {
    let (strands, bare) = yields(10, 1000, 1);
    assert!(strands > 0.0 && bare > 0.0);
}
