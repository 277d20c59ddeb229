//! Shows that random modules do the same when they are rewritten and suspended at every check: results, traps and where they were, globals, memories and
//! tables. docs/design/testing.md says how to run many. A difference names the seed or the file.

mod loops;

use super::alone::{Fiber, Host, add_imports, engine, linker};
use super::rests::frames;
use super::*;
use loops::Generated;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;
use wasmtime::{Extern, Instance, Linker, Store, ThrownException, Trap, Val, WasmBacktrace};

/// As in tests/fuzz/reference.
const MEMORY_BYTES: usize = 32 << 20;
/// Engines keep about twenty; those of functions that were added count.
const FRAMES: usize = 10;

/// What was looked at.
#[derive(Default)]
struct Figures {
    modules: u32,
    rests: usize,
    calls: u32,
    returned: u32,
    trapped: u32,
    thrown: u32,
    incomparable: u32,
    suspended: u64,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Returned(String),
    /// With functions and offsets, innermost first.
    Trapped(Trap, Vec<(u32, u64)>),
    Thrown,
    Failed(String),
    /// The end of the stack depends on the size of frames, and the end of the memory on when garbage is collected.
    Incomparable,
}

impl Outcome {
    fn new(called: wasmtime::Result<Vec<Val>>, store: &Store<Host>, side: Option<&Side>) -> Outcome {
        let error = match called {
            Ok(values) => return Outcome::Returned(format!("{values:?}")),
            Err(error) => error,
        };
        if store.data().memory_left == 0 {
            return Outcome::Incomparable;
        }
        if error.is::<ThrownException>() {
            return Outcome::Thrown;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Outcome::Incomparable,
            Some(trap) => {
                // There are none where segments are copied when a module is instantiated.
                let mut frames = if error.is::<WasmBacktrace>() { frames(&error, side) } else { Vec::new() };
                frames.truncate(FRAMES);
                // A load may become part of the instruction that needs its value; then that one is said to trap.
                if let (Trap::MemoryOutOfBounds | Trap::NullReference, Some(innermost)) = (trap, frames.first_mut()) {
                    innermost.1 = 0;
                }
                Outcome::Trapped(*trap, frames)
            }
            None => Outcome::Failed(error.root_cause().to_string()),
        }
    }
}

/// The name of an export, and arguments.
type Call = (String, Vec<Val>);

/// What a call came to, and what can be seen of the module afterwards.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: Outcome,
    state: Vec<(String, String)>,
}

impl Seen {
    fn failed(error: wasmtime::Error, store: &Store<Host>, side: Option<&Side>) -> Seen {
        Seen { outcome: Outcome::new(Err(error), store, side), state: Vec::new() }
    }
}

fn until_one_fails(calls: &[Call], mut make: impl FnMut(&Call) -> Seen) -> Vec<Seen> {
    let mut all = Vec::new();
    for call in calls {
        let seen = make(call);
        let returned = matches!(seen.outcome, Outcome::Returned(_));
        all.push(seen);
        if !returned {
            break;
        }
    }
    all
}

/// Everything that is exported, of the original.
fn state(instance: Instance, store: &mut Store<Host>) -> Vec<(String, String)> {
    let exports: Vec<(String, Extern)> =
        instance.exports(&mut *store).map(|export| (export.name().to_string(), export.into_extern())).collect();
    let shown = |value: &Val| match value.ref_() {
        Some(reference) => format!("null: {}", reference.is_null()),
        None => format!("{value:?}"),
    };
    let mut state = Vec::new();
    for (name, item) in exports.into_iter().filter(|(name, _)| !name.starts_with("weft:")) {
        let seen = match item {
            Extern::Global(global) => shown(&global.get(&mut *store)),
            Extern::Memory(memory) => hash(memory.data(&*store)),
            Extern::SharedMemory(memory) => {
                // SAFETY: nobody else has it.
                hash(&memory.data().iter().map(|byte| unsafe { *byte.get() }).collect::<Vec<u8>>())
            }
            Extern::Table(table) => {
                let places = 0..table.size(&*store);
                let nulls = places.map(|place| table.get(&mut *store, place).is_some_and(|element| element.is_null()));
                format!("{:?}", nulls.collect::<Vec<_>>())
            }
            _ => continue,
        };
        state.push((name, seen));
    }
    state
}

fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes, {:x}", bytes.len(), hasher.finish())
}

/// Each check asks in every other module. In the rest some are passed without, so that what has been counted is handed on.
fn budgets(number: u64, loops: u32) -> Budgets {
    match number % 4 {
        1 => Budgets { loops: 10 + number as u32 % 97, calls: 0 },
        3 => Budgets { loops: 1 + loops * (number as u32 / 4 % 4), calls: number as u32 % 7 },
        _ => OFTEN,
    }
}

/// How many instructions of loops may run between two questions. A loop that does not count begins without, and so does a call after another.
fn work_max(budgets: Budgets, made: &Generated) -> i64 {
    let run = budgets.loops + made.loops;
    i64::from(if made.single { run } else { 2 * (budgets.calls + 1) * run })
}

/// Says which module it was when a test fails.
struct Named<'a>(&'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

/// A module to be called, as it was and as it was rewritten.
struct Pair<'a> {
    engine: wasmtime::Engine,
    plain: (wasmtime::Module, Linker<Host>),
    rewritten: (wasmtime::Module, Linker<Host>),
    side: Side,
    /// How much the global "work" may become more between two questions, if it has one.
    work_max: i64,
    /// What the global "left" is set to before each call, if it has one.
    left: i32,
    name: &'a str,
}

impl<'a> Pair<'a> {
    fn new(name: &'a str, wasm: &[u8], budgets: Budgets) -> Pair<'a> {
        let rewritten = rewrite_with(wasm, Kind::Alone, budgets).unwrap();
        is_valid(&rewritten.wasm).unwrap();
        compare(wasm, &rewritten);
        let engine = engine();
        let module = |wasm: &[u8]| {
            let module = wasmtime::Module::new(&engine, wasm).unwrap();
            let mut linker = linker(&engine);
            add_imports(&mut linker, &module);
            (module, linker)
        };
        let (plain, rewritten, side) = (module(wasm), module(&rewritten.wasm), rewritten.side);
        Pair { engine, plain, rewritten, side, work_max: i64::MAX, left: 0, name }
    }

    fn store(&self) -> Store<Host> {
        let host = Host { preempt: true, waits: 1, memory_left: MEMORY_BYTES, ..Host::default() };
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| host);
        store
    }

    fn set_left(&self, instance: Instance, store: &mut Store<Host>) {
        if let Some(global) = instance.get_global(&mut *store, "left") {
            global.set(&mut *store, Val::I32(self.left)).unwrap();
        }
    }

    /// Makes calls one after the other in one instance, until one traps. The start function is the first.
    fn run_plain(&self, calls: &[Call]) -> Vec<Seen> {
        let (module, linker) = &self.plain;
        let mut store = self.store();
        store.data_mut().waits = 0;
        let instance = match linker.instantiate(&mut store, module) {
            Ok(instance) => instance,
            Err(error) => return vec![Seen::failed(error, &store, None)],
        };
        until_one_fails(calls, |(name, arguments)| {
            self.set_left(instance, &mut store);
            let function = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
            let called = function.call(&mut store, arguments, &mut results).map(|()| results);
            Seen { outcome: Outcome::new(called, &store, None), state: state(instance, &mut store) }
        })
    }

    fn run_rewritten(&self, calls: &[Call], figures: &mut Figures) -> Vec<Seen> {
        let (module, linker) = &self.rewritten;
        let (mut store, side) = (self.store(), self.side.clone());
        let instance = match linker.instantiate(&mut store, module) {
            Ok(instance) => instance,
            Err(error) => return vec![Seen::failed(error, &store, Some(&side))],
        };
        let mut fiber = Fiber { store, instance, side };
        if let Some(start) = fiber.side.start
            && let Err(error) = fiber.begin(start)
        {
            return vec![Seen::failed(error, &fiber.store, Some(&self.side))];
        }
        let seen = until_one_fails(calls, |(name, arguments)| {
            self.set_left(fiber.instance, &mut fiber.store);
            let called = fiber.call(name, arguments).map(|(results, _)| results);
            if let Some(work) = fiber.instance.get_global(&mut fiber.store, "work") {
                let now = work.get(&mut fiber.store).unwrap_i64();
                fiber.store.data_mut().note_work(now);
            }
            let outcome = Outcome::new(called, &fiber.store, Some(&self.side));
            Seen { outcome, state: state(fiber.instance, &mut fiber.store) }
        });
        let Host { worked_max, ticks, .. } = *fiber.store.data();
        let (max, name) = (self.work_max, self.name);
        assert!(worked_max <= max, "{name}: {worked_max} instructions, not {max}, between two questions");
        figures.suspended += u64::from(ticks);
        seen
    }

    fn check(&self, calls: &[Call], figures: &mut Figures) {
        let (plain, rewritten) = (self.run_plain(calls), self.run_rewritten(calls, figures));
        let name = self.name;
        for (place, (plain, rewritten)) in plain.iter().zip(&rewritten).enumerate() {
            figures.calls += 1;
            match (&plain.outcome, &rewritten.outcome) {
                (Outcome::Incomparable, _) | (_, Outcome::Incomparable) => {
                    figures.incomparable += 1;
                    return;
                }
                (Outcome::Returned(_), _) => figures.returned += 1,
                (Outcome::Thrown, _) => figures.thrown += 1,
                _ => figures.trapped += 1,
            }
            assert_eq!(plain.outcome, rewritten.outcome, "{name}: {:?}", calls.get(place));
            for (plain, rewritten) in plain.state.iter().zip(&rewritten.state) {
                assert_eq!(plain, rewritten, "{name}: {:?}", calls.get(place));
            }
            assert_eq!(plain.state.len(), rewritten.state.len(), "{name}");
        }
        assert_eq!(plain.len(), rewritten.len(), "{name}");
    }
}

/// What strands add to a module has to be valid, too.
fn check_strands(wasm: &[u8]) {
    let kind = Kind::Strands { preemptive: true };
    let rewritten = rewrite_with(wasm, kind, OFTEN).unwrap();
    is_valid(&rewritten.wasm).unwrap();
    compare(wasm, &rewritten);
}

impl Figures {
    fn print(&self, began: Instant) {
        let Figures { modules, rests, calls, returned, trapped, thrown, incomparable, suspended } = self;
        println!(
            "{modules} modules with {rests} rests; {calls} calls, of which {returned} returned, {trapped} trapped, {thrown} threw and {incomparable} \
             cannot be compared; suspended {suspended} times; {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn loops_do_the_same() {
    let seeds = std::env::var("WEFT_LOOPS_SEEDS").unwrap_or_else(|_| "0..300".to_string());
    let (first, end) = seeds.split_once("..").expect("as in 0..300");
    let (mut figures, began) = (Figures::default(), Instant::now());
    for seed in first.parse::<u64>().unwrap()..end.parse().unwrap() {
        let name = format!("seed {seed}");
        let _named = Named(&name);
        let made = loops::generate(seed);
        is_valid(&made.wasm).unwrap();
        let budgets = budgets(seed, made.loops);
        let pair =
            Pair { left: made.left, work_max: work_max(budgets, &made), ..Pair::new(&name, &made.wasm, budgets) };
        figures.modules += 1;
        figures.rests += pair.side.rests.len();
        pair.check(&made.calls, &mut figures);
        if seed % 4 == 0 {
            check_strands(&made.wasm);
        }
    }
    figures.print(began);
    assert!(figures.rests as u32 > figures.modules, "most of them are not left at loops");
}

#[test]
fn modules_do_the_same() {
    let Some(directory) = std::env::var_os("WEFT_DIFFERENTIAL_DIRECTORY") else { return };
    let (mut figures, began) = (Figures::default(), Instant::now());
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    for path in files {
        let name = path.display().to_string();
        let _named = Named(&name);
        let wasm = std::fs::read(&path).unwrap();
        let pair = Pair::new(&name, &wasm, budgets(figures.modules.into(), 100));
        figures.modules += 1;
        figures.rests += pair.side.rests.len();
        let observers: Vec<_> = pair.side.entries.iter().filter(|entry| entry.name.starts_with("weft run ")).collect();
        for observer in observers {
            pair.check(&[(observer.name.clone(), Vec::new())], &mut figures);
        }
        if figures.modules % 4 == 0 {
            check_strands(&wasm);
        }
    }
    figures.print(began);
    assert!(figures.incomparable * 4 < figures.calls, "too many cannot be compared");
}
