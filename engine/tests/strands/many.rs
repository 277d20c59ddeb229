//! Many strands, their stacks, and the stacks in the guest's memory.

use crate::host::*;
use std::sync::Mutex;
use wasmtime::*;
use weft_engine::fibers::scheduler::failure;

/// For tests that need a good part of the mappings that a process may have (65,530): one at a time.
static MAPPINGS: Mutex<()> = Mutex::new(());

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// Main spawns `count` strands, of which each does what the name says; `one_by_one`: it lets each one end, and joins it, before the next.
const GUEST: &str = r#"(module
  (import "strands" "spawn" (func $spawn (param i32 i32 i32) (result i64)))
  (import "strands" "yield" (func $yield))
  (import "strands" "park" (func $park))
  (import "strands" "join" (func $join (param i64) (result i64)))
  (import "strands" "detach" (func $detach (param i64) (result i32)))
  (import "test" "spawned" (func $spawned (param i64)))
  (import "test" "stack" (func $stack (param i32 i32 i32)))
  (import "test" "allocate" (func $allocate (param i32) (result i32)))
  (global (export "count") (mut i32) (i32.const 0))
  (global $ended (export "ended") (mut i32) (i32.const 0))
  (func (export "begin") (param $parks i32) (local $i i32) (local $id i64)
    (loop $each
      (local.set $id (call $spawn (local.get $parks) (local.get $i) (i32.const 1)))
      (call $spawned (local.get $id))
      (if (i64.lt_s (local.get $id) (i64.const 0)) (then (return)))
      (if (i32.eq (local.get $parks) (i32.const 1))
        (then (drop (call $detach (local.get $id))))
        (else (if (i64.ne (call $join (local.get $id)) (i64.extend_i32_u (local.get $i))) (then (unreachable)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $i) (global.get 0)))))
  (func (export "enter") (param $parks i32) (param $i i32) (result i32)
    (if (i32.eq (local.get $parks) (i32.const 1)) (then (call $park)))
    (global.set $ended (i32.add (global.get $ended) (i32.const 1)))
    (local.get $i))
  (func (export "set_stack") (param i32 i32 i32) (call $stack (local.get 0) (local.get 1) (local.get 2)))
  (func (export "allocate") (param i32) (result i32) (call $allocate (local.get 0))))"#;

#[derive(Default)]
struct World {
    spawned: Vec<i64>,
    allocated: i32,
    limits: StoreLimits,
}

struct Many {
    store: Store<World>,
    scheduler: Instance,
    guest: Instance,
}

fn many(count: i32) -> Many {
    let mut store = Store::new(&ENGINE.engine, World::default());
    let scheduler = scheduler(&mut store, |_: &mut World| Ok(0), |_| 0, |_, _| {});
    let spawned = Func::wrap(&mut store, |mut caller: Caller<'_, World>, id: i64| caller.data_mut().spawned.push(id));
    let stack = Func::wrap(&mut store, |_: i32, _: i32, _: i32| {});
    let allocate = Func::wrap(&mut store, |mut caller: Caller<'_, World>, bytes: i32| {
        let world = caller.data_mut();
        world.allocated += bytes;
        world.allocated
    });
    let module = Module::new(&ENGINE.engine, wat::parse_str(GUEST).unwrap()).unwrap();
    let imports = [("spawned", spawned), ("stack", stack), ("allocate", allocate)];
    let guest = link(&mut store, scheduler, &module, &imports, &["begin", "enter", "set_stack", "allocate"]);
    guest.get_global(&mut store, "count").unwrap().set(&mut store, count.into()).unwrap();
    Many { store, scheduler, guest }
}

impl Many {
    fn main(&mut self, parks: bool) {
        self.scheduler
            .get_typed_func::<i32, i64>(&mut self.store, "main")
            .unwrap()
            .call(&mut self.store, parks as i32)
            .unwrap();
        assert_eq!(self.run(), 0);
    }

    fn run(&mut self) -> i32 {
        let run = self.scheduler.get_typed_func::<i64, i32>(&mut self.store, "run").unwrap();
        run.call(&mut self.store, 0).unwrap()
    }

    fn ask(&mut self, name: &str) -> i32 {
        self.scheduler.get_typed_func::<(), i32>(&mut self.store, name).unwrap().call(&mut self.store, ()).unwrap()
    }

    fn set(&mut self, name: &str, value: i32) {
        self.scheduler.get_global(&mut self.store, name).unwrap().set(&mut self.store, value.into()).unwrap();
    }

    fn ended(&mut self) -> i32 {
        self.guest.get_global(&mut self.store, "ended").unwrap().get(&mut self.store).unwrap_i32()
    }
}

#[test]
fn a_million_strands_one_after_the_other_need_one_stack_and_one_record() {
    let count = 1 << 20;
    let mut many = many(count);
    many.set("stack_bytes", 1000);
    many.main(false);
    assert_eq!(many.ended(), count);
    // One more for the main strand.
    assert_eq!((many.ask("records"), many.ask("stacks"), many.ask("live")), (2, 2, 0));
    assert_eq!(many.store.data().allocated, 1008 + 16, "and one stack in the guest's memory");
    for (generation, id) in many.store.data().spawned.iter().enumerate() {
        assert_eq!(*id, (generation as i64) << 32 | 2);
    }
}

#[test]
fn a_store_can_be_dropped_with_its_strands() {
    let _alone = MAPPINGS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = mappings();
    let mut many = many(10_000);
    many.main(true);
    assert_eq!(many.run(), 1);
    assert_eq!((many.ask("live"), many.ask("stacks")), (10_000, 10_000));
    let meanwhile = mappings();
    drop(many);
    let after = mappings();
    // Other tests run meanwhile, with a few strands each, but some of them thousands in all.
    assert!(meanwhile > before + 15_000, "{before} {meanwhile} {after}");
    assert!(after < before + 3000, "{before} {meanwhile} {after}");
}

#[test]
fn thirty_thousand_strands_at_once() {
    let _alone = MAPPINGS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let count = 30_000;
    let mut many = many(count);
    many.main(true);
    assert_eq!(many.run(), 1);
    assert_eq!((many.ask("live"), many.ask("records"), many.ended()), (count, count + 1, 0));
    let ids = many.store.data().spawned.clone();
    let unpark = many.scheduler.get_typed_func::<i64, i32>(&mut many.store, "unpark").unwrap();
    for id in ids {
        assert_eq!(unpark.call(&mut many.store, id).unwrap(), 0);
    }
    assert_eq!(many.run(), 1);
    assert_eq!((many.ask("live"), many.ended()), (0, count));
    // Once more, with the same stacks.
    many.main(true);
    assert_eq!(many.run(), 1);
    assert_eq!((many.ask("live"), many.ask("stacks")), (count, count), "the main strand's is one of them");
}

#[test]
fn when_there_is_no_memory_for_a_record_spawn_says_so() {
    let mut many = many(5000);
    // One page has 1,023 records.
    many.store.data_mut().limits = StoreLimitsBuilder::new().memory_size(2 << 16).build();
    many.store.limiter(|world| &mut world.limits);
    many.main(true);
    assert_eq!(many.store.data().spawned.len(), 2047, "with the one that was refused");
    assert_eq!(many.store.data().spawned.last(), Some(&-6));
    assert_eq!((many.ask("records"), many.ask("live")), (2047, 2046));
    assert_eq!(many.run(), 1);
}

#[test]
fn an_id_beyond_the_end_of_the_memory_is_of_nobody() {
    // With the main strand's, as many records as one page has.
    let mut many = many(1022);
    many.main(true);
    assert_eq!(many.ask("records"), 1023);
    let unpark = many.scheduler.get_typed_func::<i64, i32>(&mut many.store, "unpark").unwrap();
    for id in [1024, 1025, 0x3ff_ffff, 0x400_0000, 0xffff_ffff] {
        assert_eq!(unpark.call(&mut many.store, id).unwrap(), 71);
    }
    assert_eq!(unpark.call(&mut many.store, 1023).unwrap(), 0);
}

#[test]
fn when_there_can_be_no_more_stacks_the_process_ends() {
    let mut many = many(200);
    many.store.data_mut().limits = StoreLimitsBuilder::new().table_elements(100).build();
    many.store.limiter(|world| &mut world.limits);
    many.main(true);
    let run = many.scheduler.get_typed_func::<i64, i32>(&mut many.store, "run").unwrap();
    let error = run.call(&mut many.store, 0).unwrap_err();
    assert!(format!("{error:?}").contains(&format!("failure {}", failure::STACKS)), "{error:?}");
    assert_eq!(many.ask("stacks"), 100, "as many as there may be");
}

// ---- Stacks in the guest's memory

fn with_stacks(stack_bytes: i32, tls_bytes: i32, address: i32) -> Host {
    let mut host = Host::with(&["begin", "enter", "set_stack", "allocate"]);
    host.set("stack_bytes", stack_bytes).set("tls_bytes", tls_bytes);
    host.script(ALLOCATE, &[Op::Finish(address)]);
    host.call::<(), ()>("prepare", ());
    host
}

fn memory_events(host: &mut Host) -> Vec<Event> {
    let mut log = host.take_log();
    log.retain(|event| matches!(event, Event::Stack(..) | Event::Allocates(_)));
    log
}

#[test]
fn a_stack_of_the_guest_goes_with_each_stack_and_is_used_again() {
    use Op::*;
    let mut host = with_stacks(1000, 20, 0x10001);
    assert_eq!(memory_events(&mut host), [Event::Allocates(16400)]);
    host.script(ALLOCATE, &[Finish(0x20008), Finish(0x30010)]);
    host.script(MAIN, &[Spawn(1, NORMAL), Yield, Spawn(2, NORMAL), Spawn(3, NORMAL), Yield]);
    host.script(3, &[Yield]);
    host.main();
    assert_eq!(host.run(0), Left::MainEnded);
    let service = Event::Stack(0x10010 + 16384, 0x10010, 0);
    let allocates = Event::Allocates(1008 + 32 + 16);
    let (one, two) =
        (Event::Stack(0x20010 + 1008, 0x20010, 0x20010 + 1008), Event::Stack(0x30010 + 1008, 0x30010, 0x30010 + 1008));
    // The main strand needs none. The second and third: strand 2 ends on the stack of the first, and strand 3 is there then.
    assert_eq!(memory_events(&mut host), [service, allocates, one, one, one]);
    host.run(0);
    assert_eq!(memory_events(&mut host), []);
    host.script(4, &[Yield]);
    host.spawn_host(4, NORMAL);
    host.script(5, &[Yield]);
    host.spawn_host(5, NORMAL);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(memory_events(&mut host), [one, service, allocates, two], "the main strand's stack has got one now");
}

#[test]
fn without_thread_local_variables_there_is_no_block_of_them() {
    let mut host = with_stacks(64, 0, 0x1000);
    host.script(ALLOCATE, &[Op::Finish(0x8000)]);
    host.take_log();
    host.script(1, &[Op::Park]);
    host.spawn_host(1, NORMAL);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.live(), 1, "once it has its stack it can wait");
    let expected = [Event::Stack(0x5000, 0x1000, 0), Event::Allocates(64 + 16), Event::Stack(0x8040, 0x8000, 0)];
    assert_eq!(memory_events(&mut host), expected);
}

#[test]
fn the_main_strand_gets_its_stack_back_when_the_host_says_where_it_is() {
    let mut host = with_stacks(64, 0, 0x1000);
    host.set("main_stack", 0x900).set("main_stack_low", 0x100);
    host.take_log();
    host.main();
    host.run(0);
    assert_eq!(memory_events(&mut host), [Event::Stack(0x900, 0x100, 0)]);
}

#[test]
fn a_guest_without_such_stacks_is_not_asked() {
    let mut host = Host::with(&["begin", "enter", "set_stack", "allocate"]);
    host.call::<(), ()>("prepare", ());
    host.spawn_host(1, NORMAL);
    host.run(0);
    assert_eq!(memory_events(&mut host), []);
    let mut host = Host::new();
    host.set("stack_bytes", 64);
    host.call::<(), ()>("prepare", ());
    host.spawn_host(1, NORMAL);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

#[test]
fn no_memory_for_a_stack_ends_the_process() {
    let mut host = with_stacks(64, 0, 0x1000);
    host.script(ALLOCATE, &[Op::Finish(0)]);
    host.spawn_host(1, NORMAL);
    let error = host.try_run(0).unwrap_err();
    assert!(format!("{error:?}").contains("failure 1"), "{error:?}");
}

#[test]
fn nobody_has_a_turn_while_the_guest_allocates() {
    use Op::*;
    let mut host = with_stacks(64, 0, 0x1000);
    host.set("preemptive", 1);
    host.script(
        ALLOCATE,
        &[
            Yield,
            Park,
            ParkUntil(100),
            Sleep(10),
            Sleep(0),
            Join(Who::Strand(2)),
            Join(Who::Strand(1)),
            Preempt { mask: 0, over: false },
            Preempt { mask: 0, over: true },
            Again { pending: 2, until: 0, mask: 0 },
            Yield,
            Again { pending: 1, until: 0, mask: 0 },
            Again { pending: 3, until: 70, mask: 0 },
            SpawnAt(3, HIGH),
            Unpark(Who::Strand(1)),
            Finish(0x2000),
            Finish(0x3000),
        ],
    );
    host.script(1, &[Park]).script(2, &[Park]);
    host.spawn_host(1, NORMAL);
    host.spawn_host(2, NORMAL);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.run(0), Left::Idle(Some(70)));
    assert_eq!(host.results(ALLOCATE), [0, 0, 0, 0, 0, -16, -16, 0, 0, 0, 0, 1]);
    assert!(host.order().iter().all(|number| *number == ALLOCATE));
    assert_eq!(host.run(0), Left::Idle(None));
    // Strand 1 had the permit; 3 is higher than 2, and took over the stack that 1 had.
    let order: Vec<usize> = host.order().into_iter().filter(|number| *number != ALLOCATE).collect();
    assert_eq!(order, [1, 1, 3, 2]);
}

#[test]
fn prepare_does_not_wait() {
    let mut host = Host::with(&["begin", "enter", "set_stack", "allocate"]);
    host.set("stack_bytes", 64);
    host.script(
        ALLOCATE,
        &[
            Op::Yield,
            Op::Preempt { mask: 0, over: true },
            Op::Again { pending: 2, until: 0, mask: 0 },
            Op::Finish(0x1000),
        ],
    );
    host.call::<(), ()>("prepare", ());
    host.call::<(), ()>("prepare", ());
    assert_eq!(memory_events(&mut host), [Event::Allocates(16400)], "once");
}
