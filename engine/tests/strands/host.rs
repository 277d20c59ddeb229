//! A host for the scheduler and one scripted guest. Each strand has a number, and does the operations that stand in the script under its number.

use std::collections::HashSet;
use std::sync::LazyLock;
use wasmtime::*;
use weft_engine::fibers::scheduler::STRANDS;

pub const LOW: i32 = 0;
pub const NORMAL: i32 = 1;
pub const HIGH: i32 = 2;

pub const MAIN: usize = 0;
/// Whose script the guest's `allocate` follows.
pub const ALLOCATE: usize = 63;

/// A strand, as an operation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Strand(usize),
    Id(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Finish(i32),
    /// As if a host function had left these in `pending` and `until`.
    Again {
        pending: i32,
        until: i64,
        mask: i32,
    },
    /// With what `tick` will answer.
    Preempt {
        mask: i32,
        over: bool,
    },
    Spawn(usize, i32),
    SpawnAt(usize, i32),
    Yield,
    SelfId,
    Park,
    ParkUntil(i64),
    Unpark(Who),
    Join(Who),
    Detach(Who),
    Sleep(i64),
    SetPriority(Who, i32),
    Now,
    Count,
    /// The clock goes on.
    Pass(i64),
    Trap,
}

/// As if a host function had to wait.
pub const WAIT: Op = Op::Again { pending: 1, until: 0, mask: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Began(usize, Op),
    Did(usize, i64),
    /// The host was told that this strand has ended.
    Finished(usize),
    Stack(i32, i32, i32),
    Allocates(i32),
}

/// Why `run` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    MainEnded,
    /// Nobody is ready, and this is the earliest deadline.
    Idle(Option<i64>),
    Worker,
}

pub struct World {
    pub now: i64,
    pub script: Vec<Vec<Op>>,
    pub step: Vec<usize>,
    /// What each is doing.
    doing: Vec<Op>,
    /// By number; 0: not known.
    pub ids: Vec<i64>,
    pub seen: HashSet<i64>,
    pub log: Vec<Event>,
    /// How often `tick` has been asked by the scheduler for itself, and at which of them the worker is to be given up: each one that this divides.
    pub ticks: u64,
    pub over_each: u64,
    over: Option<bool>,
    globals: Option<(Global, Global, Global)>,
}

impl World {
    pub fn id(&self, who: Who) -> i64 {
        match who {
            Who::Strand(number) => self.ids[number],
            Who::Id(id) => id,
        }
    }

    fn born(&mut self, number: usize, id: i64) {
        assert!(self.seen.insert(id), "id {id:#x} was given twice");
        self.ids[number] = id;
    }
}

pub struct Engines {
    pub engine: Engine,
    pub strands: Module,
    pub guest: Module,
}

pub static ENGINE: LazyLock<Engines> = LazyLock::new(|| {
    let mut config = Config::new();
    config.wasm_stack_switching(true).wasm_function_references(true).wasm_gc(true).wasm_exceptions(true);
    config.async_stack_size(64 << 10).max_wasm_stack(32 << 10);
    let engine = Engine::new(&config).unwrap();
    let strands = Module::new(&engine, STRANDS).unwrap();
    let guest = Module::new(&engine, wat::parse_str(include_str!("guest.wat")).unwrap()).unwrap();
    Engines { engine, strands, guest }
});

/// The scheduler's imports, made of four functions of a host whose state is a `T`.
pub fn scheduler<T: 'static>(
    store: &mut Store<T>,
    tick: impl Fn(&mut T) -> Result<i32> + Send + Sync + 'static,
    now: impl Fn(&mut T) -> i64 + Send + Sync + 'static,
    finished: impl Fn(&mut T, i64) + Send + Sync + 'static,
) -> Instance {
    let tick = Func::wrap(&mut *store, move |mut caller: Caller<'_, T>| tick(caller.data_mut()));
    let now = Func::wrap(&mut *store, move |mut caller: Caller<'_, T>| now(caller.data_mut()));
    let finished = Func::wrap(&mut *store, move |mut caller: Caller<'_, T>, id: i64| finished(caller.data_mut(), id));
    let fail = Func::wrap(&mut *store, |code: i32| -> Result<()> { Err(Error::msg(format!("failure {code}"))) });
    Instance::new(&mut *store, &ENGINE.strands, &[tick.into(), now.into(), finished.into(), fail.into()]).unwrap()
}

/// Gives the guest what it imports from "strands", and the scheduler those of the guest's functions in `references`.
pub fn link<T: 'static>(
    store: &mut Store<T>,
    scheduler: Instance,
    guest: &Module,
    imports: &[(&str, Func)],
    references: &[&str],
) -> Instance {
    let mut linker = Linker::new(store.engine());
    for (name, function) in imports {
        linker.define(&mut *store, "test", name, *function).unwrap();
    }
    linker.instance(&mut *store, "strands", scheduler).unwrap();
    let guest = linker.instantiate(&mut *store, guest).unwrap();
    for name in references {
        let function = guest.get_func(&mut *store, name).unwrap();
        scheduler.get_global(&mut *store, name).unwrap().set(&mut *store, function.into()).unwrap();
    }
    guest
}

pub struct Host {
    pub store: Store<World>,
    pub scheduler: Instance,
    run: TypedFunc<i64, i32>,
    deadline: Global,
    live: TypedFunc<(), i32>,
    detach: TypedFunc<i64, i32>,
    unpark: TypedFunc<i64, i32>,
}

impl Host {
    pub fn new() -> Host {
        Host::with(&["begin", "enter"])
    }

    pub fn with(references: &[&str]) -> Host {
        let world = World {
            now: 0,
            script: vec![Vec::new(); 64],
            step: vec![0; 64],
            doing: vec![Op::Yield; 64],
            ids: vec![0; 64],
            seen: HashSet::new(),
            log: Vec::new(),
            ticks: 0,
            over_each: 0,
            over: None,
            globals: None,
        };
        let mut store = Store::new(&ENGINE.engine, world);
        let scheduler = scheduler(
            &mut store,
            |world: &mut World| {
                if let Some(over) = world.over.take() {
                    return Ok(over as i32);
                }
                world.ticks += 1;
                Ok((world.over_each != 0 && world.ticks.is_multiple_of(world.over_each)) as i32)
            },
            |world: &mut World| world.now,
            |world: &mut World, id| {
                let number = world.ids.iter().position(|known| *known == id).unwrap();
                world.log.push(Event::Finished(number));
            },
        );
        let next = Func::wrap(&mut store, next);
        let done = Func::wrap(&mut store, done);
        let stack = Func::wrap(&mut store, |mut caller: Caller<'_, World>, top: i32, low: i32, tls: i32| {
            caller.data_mut().log.push(Event::Stack(top, low, tls))
        });
        let allocates = Func::wrap(&mut store, |mut caller: Caller<'_, World>, bytes: i32| {
            caller.data_mut().log.push(Event::Allocates(bytes))
        });
        let imports = [("next", next), ("done", done), ("stack", stack), ("allocates", allocates)];
        link(&mut store, scheduler, &ENGINE.guest, &imports, references);
        let mut global = |name| scheduler.get_global(&mut store, name).unwrap();
        let globals = (global("pending"), global("until"), global("current"));
        let deadline = global("deadline");
        store.data_mut().globals = Some(globals);
        let run = scheduler.get_typed_func(&mut store, "run").unwrap();
        let live = scheduler.get_typed_func(&mut store, "live").unwrap();
        let detach = scheduler.get_typed_func(&mut store, "detach").unwrap();
        let unpark = scheduler.get_typed_func(&mut store, "unpark").unwrap();
        Host { store, scheduler, run, deadline, live, detach, unpark }
    }

    pub fn script(&mut self, number: usize, operations: &[Op]) -> &mut Host {
        self.store.data_mut().script[number] = operations.to_vec();
        self.store.data_mut().step[number] = 0;
        self
    }

    pub fn main(&mut self) -> &mut Host {
        self.store.data_mut().ids[MAIN] = 0;
        self.call::<i32, i64>("main", MAIN as i32);
        self
    }

    pub fn spawn_host(&mut self, number: usize, level: i32) -> i64 {
        let id: i64 = self.call("spawn_host", (number as i32, level));
        if id > 0 {
            self.store.data_mut().born(number, id);
        }
        id
    }

    pub fn try_run(&mut self, now: i64) -> Result<Left> {
        self.store.data_mut().now = now;
        let left = self.run.call(&mut self.store, now)?;
        Ok(match left {
            0 => Left::MainEnded,
            1 => {
                let deadline = self.deadline.get(&mut self.store).unwrap_i64();
                Left::Idle((deadline != i64::MAX).then_some(deadline))
            }
            2 => Left::Worker,
            other => panic!("run answered {other}"),
        })
    }

    pub fn run(&mut self, now: i64) -> Left {
        self.try_run(now).unwrap()
    }

    /// Wakes a strand that waits in the host; whether it did.
    pub fn wake(&mut self, id: i64) -> bool {
        self.call::<_, i32>("wake", id) == 1
    }

    /// The same, when all have been woken that wait in the host.
    pub fn run_woken(&mut self, now: i64) -> Left {
        const IN_THE_HOST: i32 = 5;
        for index in 0..self.call("records", ()) {
            let (id, state, ..) = self.call::<i32, (i64, i32, i32, i64)>("strand", index);
            assert_eq!(self.wake(id), state == IN_THE_HOST);
            assert!(!self.wake(id), "it has been woken");
        }
        self.run(now)
    }

    pub fn live(&mut self) -> usize {
        self.live.call(&mut self.store, ()).unwrap() as usize
    }

    pub fn detach(&mut self, id: i64) -> i32 {
        self.detach.call(&mut self.store, id).unwrap()
    }

    pub fn unpark(&mut self, id: i64) -> i32 {
        self.unpark.call(&mut self.store, id).unwrap()
    }

    pub fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, parameters: P) -> R {
        self.scheduler.get_typed_func(&mut self.store, name).unwrap().call(&mut self.store, parameters).unwrap()
    }

    pub fn set(&mut self, name: &str, value: i32) -> &mut Host {
        self.scheduler.get_global(&mut self.store, name).unwrap().set(&mut self.store, value.into()).unwrap();
        self
    }

    pub fn id(&self, number: usize) -> i64 {
        self.store.data().ids[number]
    }

    pub fn take_log(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.store.data_mut().log)
    }

    /// What the operations of one strand have answered, in order.
    pub fn results(&self, number: usize) -> Vec<i64> {
        let log = &self.store.data().log;
        log.iter().filter(|event| matches!(event, Event::Did(who, _) if *who == number)).map(Event::result).collect()
    }

    /// Which strands began an operation, in order.
    pub fn order(&self) -> Vec<usize> {
        let log = &self.store.data().log;
        log.iter().filter_map(|event| if let Event::Began(number, _) = event { Some(*number) } else { None }).collect()
    }
}

impl Event {
    fn result(&self) -> i64 {
        match self {
            Event::Did(_, result) => *result,
            other => panic!("{other:?} has no result"),
        }
    }
}

fn next(mut caller: Caller<'_, World>, number: i32) -> (i32, i64, i32) {
    let number = number as usize;
    let (pending, until, current) = caller.data().globals.unwrap();
    let current = current.get(&mut caller).unwrap_i64();
    let world = caller.data_mut();
    if number != ALLOCATE {
        if world.ids[number] == 0 {
            world.born(number, current);
        }
        assert_eq!(world.ids[number], current, "`current` while strand {number} runs");
    }
    let op = world.script[number].get(world.step[number]).copied().unwrap_or(Op::Finish(number as i32));
    world.step[number] += 1;
    world.doing[number] = op;
    world.log.push(Event::Began(number, op));
    match op {
        Op::Finish(result) => (0, result.into(), 0),
        Op::Again { pending: how, until: deadline, mask } => {
            pending.set(&mut caller, how.into()).unwrap();
            until.set(&mut caller, deadline.into()).unwrap();
            (1, 0, mask)
        }
        Op::Preempt { mask, over } => {
            world.over = Some(over);
            (2, 0, mask)
        }
        Op::Spawn(other, level) => (3, other as i64, level),
        Op::SpawnAt(other, level) => (4, other as i64, level),
        Op::Yield => (5, 0, 0),
        Op::SelfId => (6, 0, 0),
        Op::Park => (7, 0, 0),
        Op::ParkUntil(deadline) => (8, deadline, 0),
        Op::Unpark(who) => (9, world.id(who), 0),
        Op::Join(who) => (10, world.id(who), 0),
        Op::Detach(who) => (11, world.id(who), 0),
        Op::Sleep(ns) => (12, ns, 0),
        Op::SetPriority(who, level) => (13, world.id(who), level),
        Op::Now => (14, 0, 0),
        Op::Count => (15, 0, 0),
        Op::Pass(ns) => {
            world.now += ns;
            (16, 0, 0)
        }
        Op::Trap => (17, 0, 0),
    }
}

fn done(mut caller: Caller<'_, World>, number: i32, result: i64) {
    let number = number as usize;
    let world = caller.data_mut();
    assert_eq!(world.over, None, "`tick` was not asked");
    let mut result = result;
    match world.doing[number] {
        // Numbers are compared, not ids.
        Op::Spawn(other, _) | Op::SpawnAt(other, _) if result > 0 => {
            world.born(other, result);
            result = 0;
        }
        Op::SelfId if number != ALLOCATE => result = (result != world.ids[number]) as i64,
        _ => {}
    }
    world.log.push(Event::Did(number, result));
}

/// A host in which the main strand has done this.
pub fn host(main: &[Op]) -> Host {
    let mut host = Host::new();
    host.script(MAIN, main).main();
    host
}
