//! Shows that rewritten modules run as the originals do, however often their fibers are suspended, and that nothing runs for long without a question.

use super::*;
use std::sync::LazyLock;
use wasmtime::{Caller, Config, Engine, Extern, ExternType, Instance, Linker, Store, ThrownException, Val};

/// No entry is suspended as often.
const SUSPENSIONS_MAX: u32 = 1_000_000;

/// What the host functions see.
#[derive(Default)]
pub struct Host {
    pub arguments: Vec<Val>,
    pub results: Vec<(i32, Val)>,
    /// Whether `tick` answers 1.
    pub preempt: bool,
    pub ticks: u32,
    /// How often `env.wait` is told to wait before it answers.
    pub waits: u32,
    pub waited: u32,
    /// How often it was called, counting each time it was called again.
    pub calls: u32,
    /// The global "work" when the last question was asked, and by how much it became more at most from one to the next.
    pub worked: i64,
    pub worked_max: i64,
    /// How many bytes memories may have more, where that is limited. 0: one was refused some.
    pub memory_left: usize,
}

impl Host {
    pub fn note_work(&mut self, now: i64) {
        let worked = now - std::mem::replace(&mut self.worked, now);
        self.worked_max = worked.max(self.worked_max);
    }
}

impl wasmtime::ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_left = self.memory_left.saturating_sub(desired - current);
        if self.memory_left == 0 { wasmtime::bail!("no more memory") } else { Ok(true) }
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// One for all.
pub fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let mut config = Config::new();
        config.wasm_stack_switching(true).wasm_function_references(true).wasm_gc(true).wasm_exceptions(true);
        config.wasm_memory64(true).wasm_relaxed_simd(true).shared_memory(true).cranelift_nan_canonicalization(true);
        Engine::new(&config).unwrap()
    });
    ENGINE.clone()
}

/// The functions of the host: `env.wait` answers its parameter and one, after a while, `env.pair` two values at once.
pub fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    let wait = |mut caller: Caller<'_, Host>, value: i32| -> i32 {
        caller.data_mut().calls += 1;
        if caller.data().waited < caller.data().waits {
            caller.data_mut().waited += 1;
            let pending = caller.get_export("weft:pending").unwrap().into_global().unwrap();
            pending.set(&mut caller, Val::I32(1)).unwrap();
            return -1;
        }
        caller.data_mut().waited = 0;
        value.wrapping_add(1)
    };
    linker.func_wrap("env", "wait", wait).unwrap();
    let sched_yield = move |caller: Caller<'_, Host>| wait(caller, -1);
    linker.func_wrap(SCHED_YIELD.0, SCHED_YIELD.1, sched_yield).unwrap();
    linker.func_wrap("env", "pair", |a: i32| (a, i64::from(a) + 1)).unwrap();
    let yields = |mut caller: Caller<'_, Host>| {
        if let Some(pending) = caller.get_export("weft:pending") {
            caller.data_mut().calls += 1;
            pending.into_global().unwrap().set(&mut caller, Val::I32(2)).unwrap();
        }
    };
    linker.func_wrap("env", "yield", yields).unwrap();
    let tick = |mut caller: Caller<'_, Host>| {
        caller.data_mut().ticks += 1;
        if let Some(work) = caller.get_export("work").and_then(Extern::into_global) {
            let now = work.get(&mut caller).unwrap_i64();
            caller.data_mut().note_work(now);
        }
        i32::from(caller.data().preempt)
    };
    linker.func_wrap(IMPORT_MODULE, "tick", tick).unwrap();
    linker
}

/// Adds what the rewritten module imports besides.
pub fn add_imports(linker: &mut Linker<Host>, module: &wasmtime::Module) {
    for import in module.imports().filter(|import| import.module() == IMPORT_MODULE && import.name() != "tick") {
        let ExternType::Func(ty) = import.ty() else { panic!() };
        let argument = import.name().starts_with("argument");
        let call = move |mut caller: Caller<'_, Host>, params: &[Val], results: &mut [Val]| {
            // Nothing comes with the news that the entry has ended.
            let Some(place) = params.first().map(Val::unwrap_i32) else { return Ok(()) };
            match argument {
                true => results[0] = caller.data().arguments[place as usize],
                false => caller.data_mut().results.push((place, params[1])),
            }
            Ok(())
        };
        linker.func_new(IMPORT_MODULE, import.name(), ty, call).unwrap();
    }
}

/// A module that is run through `weft:run`.
pub struct Fiber {
    pub store: Store<Host>,
    pub instance: Instance,
    pub side: Side,
}

impl Fiber {
    fn new(text: &str, host: Host) -> Fiber {
        Fiber::of(rewrite_text(text, Kind::Alone), host)
    }

    /// One that asks as often as it can.
    pub fn asking_often(wasm: &[u8], host: Host) -> Fiber {
        Fiber::of(check_rewritten(wasm, Kind::Alone, OFTEN), host)
    }

    fn of(rewritten: Rewritten, host: Host) -> Fiber {
        let engine = engine();
        let module = wasmtime::Module::new(&engine, &rewritten.wasm).unwrap();
        let mut linker = linker(&engine);
        add_imports(&mut linker, &module);
        let mut store = Store::new(&engine, host);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Fiber { store, instance, side: rewritten.side }
    }

    fn run(&mut self, k: i32) -> wasmtime::Result<i32> {
        self.run_with(k, false)
    }

    fn run_with(&mut self, k: i32, call_yield: bool) -> wasmtime::Result<i32> {
        let run = self.instance.get_typed_func::<(i32, i32), i32>(&mut self.store, "weft:run")?;
        run.call(&mut self.store, (k, i32::from(call_yield)))
    }

    /// Runs an entry to its end. How often it was suspended.
    pub fn begin(&mut self, k: u32) -> wasmtime::Result<u32> {
        let mut suspended = 0;
        let mut status = self.run(k as i32)?;
        while status != 0 {
            suspended += 1;
            assert!(suspended < SUSPENSIONS_MAX, "does not end");
            status = self.run(-1)?;
        }
        Ok(suspended)
    }

    /// Calls an export, to its end. What it answers, and how often it was suspended.
    pub fn call(&mut self, name: &str, arguments: &[Val]) -> wasmtime::Result<(Vec<Val>, u32)> {
        self.store.data_mut().arguments = arguments.to_vec();
        let suspended = self.begin(self.side.entry(name).expect("no such entry"))?;
        let mut results = std::mem::take(&mut self.store.data_mut().results);
        results.sort_by_key(|(place, _)| *place);
        Ok((results.into_iter().map(|(_, value)| value).collect(), suspended))
    }
}

fn text(values: &wasmtime::Result<Vec<Val>>) -> String {
    match values {
        Ok(values) => format!("{values:?}"),
        Err(error) if error.is::<ThrownException>() => "thrown".to_string(),
        Err(error) => format!("{:?}", error.downcast_ref::<wasmtime::Trap>().expect("not a trap")),
    }
}

/// Calls the exports, one after the other, in the module as it is and as rewritten, without and with preemption at each question and waits at each call.
pub fn check(module: &str, calls: &[(&str, &[Val])]) {
    check_binary(&wat::parse_str(module).unwrap(), calls);
}

pub fn check_binary(wasm: &[u8], calls: &[(&str, &[Val])]) {
    let engine = engine();
    let mut store = Store::new(&engine, Host::default());
    let original = wasmtime::Module::new(&engine, wasm).unwrap();
    let original = linker(&engine).instantiate(&mut store, &original).unwrap();
    let mut expected = Vec::new();
    for (name, arguments) in calls {
        let function = original.get_func(&mut store, name).unwrap();
        let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
        let called = function.call(&mut store, arguments, &mut results).map(|()| results);
        expected.push(text(&called));
    }
    for (often, preempt, waits) in [(false, false, 0), (false, true, 2), (true, false, 2), (true, true, 0)] {
        let host = Host { preempt, waits, ..Host::default() };
        let mut fiber = match often {
            true => Fiber::asking_often(wasm, host),
            false => Fiber::of(super::check_binary(wasm, Kind::Alone), host),
        };
        if let Some(start) = fiber.side.start {
            fiber.begin(start).unwrap();
        }
        for ((name, arguments), expected) in calls.iter().zip(&expected) {
            let called = fiber.call(name, arguments).map(|(results, _)| results);
            assert_eq!(text(&called), *expected, "{name}{arguments:?}, often: {often}, {preempt}, {waits}");
        }
    }
}

const LOOPS: &str = r#"(module
    ;; a sum, with both numbers on the stack
    (func (export "params") (param $n i32) (result i32)
        (i32.const 0) (local.get $n)
        (loop $l (param i32 i32) (result i32)
            (local.set $n)
            (i32.add (local.get $n))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.eqz (i32.eqz (local.get $n))))
            (drop)))
    (func (export "nested") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $s i32)
        (block $out
            (loop $a
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (local.set $j (i32.const 0))
                (block $middle
                    (loop $b
                        (local.set $j (i32.add (local.get $j) (i32.const 1)))
                        (loop $c
                            (local.set $s (i32.add (local.get $s) (i32.mul (local.get $i) (local.get $j))))
                            (br_if $c (i32.eq (i32.rem_u (local.get $s) (i32.const 7)) (i32.const 3)))
                            (br_table $b $middle $a $out $b
                                (select (i32.const 3)
                                    (select (i32.const 2) (i32.const 0) (i32.gt_u (local.get $j) (local.get $i)))
                                    (i32.gt_u (local.get $i) (local.get $n))))))
                    unreachable)
                (br $a)))
        (local.get $s))
)"#;

#[test]
fn loops_do_the_same() {
    let n = [[Val::I32(5)], [Val::I32(100)], [Val::I32(5000)]];
    for n in &n {
        check(LOOPS, &[("params", n), ("nested", &[Val::I32(n[0].unwrap_i32() / 10)])]);
    }
}

const CALLS: &str = r#"(module
    (import "env" "wait" (func $wait (param i32) (result i32)))
    (import "env" "pair" (func $pair (param i32) (result i32 i64)))
    (import "env" "yield" (func $yield))
    (type $unary (func (param i32) (result i32)))
    (table $t 3 funcref)
    (elem (table $t) (i32.const 0) func $wait $double $tail)
    (tag $tag (param i32))
    (memory (export "memory") 1)
    (global $started (mut i32) (i32.const 0))
    (global $reference (mut funcref) (ref.func $wait))
    (export "wait" (func $wait))
    (export "pair" (func $pair))
    (export "double" (func $double))
    (start $start)
    (func $start (global.set $started (call $wait (i32.const 41))))
    (func (export "started") (result i32) (global.get $started))
    (func $double (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func $tail (param i32) (result i32) (return_call $wait (local.get 0)))
    (func (export "indirect") (param i32 i32) (result i32)
        (call_indirect (type $unary) (local.get 0) (local.get 1)))
    (func (export "reference") (param i32) (result i32)
        (call_ref $unary (local.get 0) (ref.cast (ref $unary) (global.get $reference))))
    (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add
                (call $fib (i32.sub (local.get 0) (i32.const 1)))
                (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func $down (export "down") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
        (call $yield)
        (return_call $down (i32.sub (local.get 0) (i32.const 1))))
    (func (export "catch") (param $n i32) (result i32) (local $i i32) (local $s i32)
        (loop $again
            (block $caught (result i32)
                (loop $inner
                    (try_table (catch $tag $caught)
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 3)))
                            (then (throw $tag (local.get $i))))
                        (br_if $inner (i32.lt_u (local.get $i) (local.get $n)))))
                (i32.const 1000))
            (local.set $s (i32.add (local.get $s)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $s))
    (func (export "values") (param i64 f32 f64 v128) (result f64 v128 i64 f32)
        (local.get 2) (local.get 3) (local.get 0) (local.get 1))
    (func (export "sum") (param $n i32) (result i32) (local $s i32)
        (loop $l
            (local.set $s (i32.add (local.get $s) (call $wait (local.get $n))))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $s))
    (func (export "bulk") (param $n i32) (result i32) (local $i i32)
        (loop $l
            (memory.fill (local.get $i) (local.get $i) (i32.const 17))
            (memory.copy (i32.const 30000) (local.get $i) (i32.const 1000))
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 7))) (local.get $n))))
        (i32.add (i32.load (i32.const 100)) (i32.load (i32.const 30100))))
    (func (export "trap") (result i32) (i32.load (i32.const -1)))
)"#;

#[test]
fn calls_do_the_same() {
    let i32 = |value| [Val::I32(value)];
    check(
        CALLS,
        &[
            ("started", &[]),
            ("wait", &i32(3)),
            ("pair", &i32(3)),
            ("double", &i32(4)),
            ("indirect", &[Val::I32(8), Val::I32(0)]),
            ("indirect", &[Val::I32(8), Val::I32(1)]),
            ("indirect", &[Val::I32(8), Val::I32(2)]),
            ("reference", &i32(9)),
            ("fib", &i32(17)),
            ("down", &i32(3000)),
            ("catch", &i32(5000)),
            ("values", &[Val::I64(-5), Val::F32(1.5f32.to_bits()), Val::F64(2.5f64.to_bits()), Val::V128(77.into())]),
            ("sum", &i32(30)),
            ("bulk", &i32(5000)),
            ("indirect", &[Val::I32(8), Val::I32(9)]),
        ],
    );
    check(CALLS, &[("trap", &[])]);
}

/// It leaves the fiber, is no trap, and comes out of `weft:run`; from the function, from a rest of it, and from one that it calls.
#[test]
fn exceptions_that_nobody_catches_come_out() {
    let module = r#"(module (tag $tag (param i32))
        (func $throw (throw $tag (i32.const 1)))
        (func (export "run") (param $n i32) (result i32)
            (if (i32.eqz (local.get $n)) (then (throw $tag (i32.const 2))))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (throw $tag (i32.const 3)))
        (func (export "called") (param i32) (result i32) (call $throw) (i32.const 4)))"#;
    for n in [0, 1, 50] {
        check(module, &[("run", &[Val::I32(n)])]);
        check(module, &[("called", &[Val::I32(n)])]);
    }
}

#[test]
fn calls_that_wait_are_made_again() {
    let mut fiber = Fiber::new(CALLS, Host { waits: 2, ..Host::default() });
    let (results, suspended) = fiber.call("wait", &[Val::I32(3)]).unwrap();
    assert_eq!(results[0].unwrap_i32(), 4);
    assert_eq!((suspended, fiber.store.data().calls), (2, 3));
    // One that only gives up the worker is not.
    fiber.store.data_mut().calls = 0;
    let (_, suspended) = fiber.call("down", &[Val::I32(5)]).unwrap();
    assert_eq!((suspended, fiber.store.data().calls), (5, 5));
}

#[test]
fn answers_tell_why_the_fiber_was_left() {
    let mut fiber = Fiber::new(CALLS, Host { waits: 1, arguments: vec![Val::I32(1)], ..Host::default() });
    let (wait, down) = (fiber.side.entry("wait").unwrap(), fiber.side.entry("down").unwrap());
    assert_eq!(fiber.run(wait as i32).unwrap(), 1);
    assert_eq!(fiber.run(-1).unwrap(), 0);
    assert_eq!(fiber.run(down as i32).unwrap(), 2);
    assert_eq!(fiber.run(-1).unwrap(), 0);
    // There is none left to go on with.
    assert!(fiber.run(-1).is_err());
    assert!(fiber.run(1000).is_err());
}

#[test]
fn yields_are_made_without_the_host() {
    const YIELDS: &str = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (func (export "twice") (result i32)
            (i32.add (i32.const 40) (i32.add (call $yield) (call $yield)))))"#;
    let mut fiber = Fiber::new(YIELDS, Host { waits: 0, ..Host::default() });
    let twice = fiber.side.entry("twice").unwrap() as i32;
    assert_eq!(fiber.run(twice).unwrap(), YIELD_ASKED);
    assert_eq!(fiber.store.data().calls, 0);
    // From here on the host function is wanted.
    assert_eq!(fiber.run_with(-1, true).unwrap(), 0);
    assert_eq!(fiber.store.data().calls, 1);
    // One that waits is made again, whatever else is said meanwhile.
    fiber.store.data_mut().waits = 1;
    assert_eq!(fiber.run_with(twice, true).unwrap(), 1);
    assert_eq!(fiber.run(-1).unwrap(), YIELD_ASKED);
    assert_eq!(fiber.store.data().calls, 3);
    assert_eq!(fiber.run(-1).unwrap(), 0);
}

/// Runs what never ends, or not soon, for a hundred rounds.
fn is_interrupted(module: &str) {
    let host = Host { preempt: true, arguments: vec![Val::I32(1000)], ..Host::default() };
    let mut fiber = Fiber::new(module, host);
    let mut status = fiber.run(fiber.side.entry("run").unwrap() as i32).unwrap();
    for _ in 0..100 {
        assert_eq!(status, 2);
        status = fiber.run(-1).unwrap();
    }
    assert!(fiber.store.data().ticks > 100);
}

#[test]
fn nothing_runs_for_long_without_a_question() {
    is_interrupted(r#"(module (func (export "run") (loop $l (br $l))))"#);
    is_interrupted(r#"(module (func (export "run") (loop $l (loop $m (br_table $l $m $l (i32.const 0))))))"#);
    is_interrupted(r#"(module (func $f (export "run") (return_call $f)))"#);
    // The call is not on each path.
    is_interrupted(r#"(module (func $f) (func (export "run") (loop $l (br_if $l (i32.const 1)) (call $f) (br $l))))"#);
    is_interrupted(
        r#"(module (func $f) (func (export "run") (loop $l (block $b (br_if $b (i32.const 1)) (call $f)) (br $l))))"#,
    );
    // It is, but not in the inner loop.
    is_interrupted(r#"(module (func $f) (func (export "run") (loop $l (call $f) (loop $m (br $m)) (br $l))))"#);
    is_interrupted(r#"(module (func $f) (func (export "run") (loop $l (call $f) (br $l))))"#);
    // What was passed before the loop, or on a path that is not taken, is no check of what comes later.
    is_interrupted(r#"(module (func $f) (func (export "run") (call $f) (loop $l (call $f) (br $l))))"#);
    is_interrupted(
        r#"(module (func $f) (func (export "run")
            (loop $l (block $b (br_if $b (i32.const 1)) (call $f)) (call $f) (br $l))))"#,
    );
    is_interrupted(
        r#"(module (func $g) (func $f (export "run")
            (if (i32.const 0) (then (call $g)) (else (return_call $f)))))"#,
    );
    is_interrupted(
        r#"(module (tag $t) (func (export "run")
            (loop $l (try_table (catch $t $l) (throw $t)))))"#,
    );
    is_interrupted(r#"(module (func (export "run") (loop $l (drop (block $b (result i32) (br $l))))))"#);
    // 2 to the power of 1000 calls, of functions that each end soon.
    is_interrupted(
        r#"(module (func $f (export "run") (param i32)
            (if (local.get 0) (then
                (call $f (i32.sub (local.get 0) (i32.const 1)))
                (call $f (i32.sub (local.get 0) (i32.const 1)))))))"#,
    );
    // Straight code in functions that call nothing.
    let long = "(local.set 0 (i32.add (local.get 0) (i32.const 1)))".repeat(2000);
    is_interrupted(&format!(
        r#"(module (func $f (param i32) {long}) (func (export "run") (loop $l (call $f (i32.const 0)) (br $l))))"#
    ));
    is_interrupted(
        r#"(module (memory 1) (func (export "run") (loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 60000)) (br $l))))"#,
    );
}

#[test]
fn recursion_asks_too() {
    let module = r#"(module (func $f (export "run") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;
    let mut fiber = Fiber::new(module, Host { preempt: true, ..Host::default() });
    let (results, suspended) = fiber.call("run", &[Val::I32(10_000)]).unwrap();
    assert_eq!(results[0].unwrap_i32(), 10_000);
    assert!(suspended >= 1 && fiber.store.data().ticks == suspended);
}

#[test]
fn a_guest_may_have_continuations_of_its_own() {
    let module = r#"(module
        (type $f (func)) (type $k (cont $f)) (tag $t)
        (func $inner (suspend $t) (suspend $t))
        (elem declare func $inner)
        (func (export "run") (param i32) (result i32) (local $c (ref null $k)) (local $n i32)
            (local.set $c (cont.new $k (ref.func $inner)))
            (block $done
                (loop $l
                    (loop $m
                        (block $on (result (ref $k))
                            (resume $k (on $t $on) (local.get $c))
                            (br $done))
                        (local.set $c)
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_if $m (i32.const 0))
                        (br $l))))
            (local.get $n)))"#;
    let rewritten = rewrite_text(module, Kind::Alone);
    is_valid(&rewritten.wasm).unwrap();
    check(module, &[("run", &[Val::I32(0)])]);
}
