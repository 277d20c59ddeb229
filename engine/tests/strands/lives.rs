//! How strands begin and end: made by strands and by the host, found by their ids, joined and detached, trapped.

use crate::host::*;
use Op::*;
use Who::{Id, Strand};
use weft_engine::fibers::scheduler::{FIBER, STRAND};

// ---- Beginning and ending

#[test]
fn the_main_strand_is_strand_1() {
    let mut host = host(&[SelfId, Count]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.results(MAIN), [0, 1]);
    assert_eq!(host.id(MAIN), 1);
    assert_eq!(host.live(), 0);
}

#[test]
fn run_ends_with_the_main_strand_and_then_goes_on_with_others() {
    let mut host = host(&[Spawn(1, NORMAL), Spawn(2, NORMAL)]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.order(), [0, 0, 0]);
    assert_eq!(host.live(), 2);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.order(), [0, 0, 0, 1, 2]);
}

#[test]
fn a_main_strand_that_has_ended_is_made_anew() {
    let mut host = host(&[Spawn(1, NORMAL)]);
    host.script(1, &[Park]);
    assert_eq!(host.run(0), Left::MainEnded);
    host.script(MAIN, &[Yield, Unpark(Strand(1)), Join(Strand(1))]).main();
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.id(MAIN), 1 << 32 | 1, "another generation of the same record");
    assert_eq!(host.results(MAIN), [0, 0, 0, 1]);
}

#[test]
fn there_is_one_main_strand_at_a_time() {
    let mut host = host(&[]);
    let main = host.scheduler.get_typed_func::<i32, i64>(&mut host.store, "main").unwrap();
    let error = main.call(&mut host.store, 0).unwrap_err();
    assert!(format!("{error:?}").contains("failure 2"), "{error:?}");
}

#[test]
fn main_needs_begin() {
    let mut host = Host::with(&[]);
    let main = host.scheduler.get_typed_func::<i32, i64>(&mut host.store, "main").unwrap();
    assert!(format!("{:?}", main.call(&mut host.store, 0).unwrap_err()).contains("failure 2"));
}

#[test]
fn with_no_strand_at_all_run_is_idle() {
    let mut host = Host::new();
    assert_eq!(host.run(5), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

// ---- spawn

#[test]
fn strands_begin_in_order_and_their_results_are_joined() {
    let mut host = host(&[Spawn(1, NORMAL), SpawnAt(2, NORMAL), Count, Join(Strand(2)), Join(Strand(1)), Count]);
    host.script(1, &[Finish(11)]).script(2, &[Finish(-1)]);
    assert_eq!(host.run(0), Left::MainEnded);
    // The second has a result that is negative: it is taken as unsigned.
    assert_eq!(host.results(MAIN), [0, 0, 3, 0xffff_ffff, 11, 1]);
    assert_eq!(host.id(1), 2);
    assert_eq!(host.id(2), 3);
}

#[test]
fn spawn_refuses_levels_that_there_are_not() {
    let mut host = host(&[Spawn(1, -1), Spawn(1, 3), Spawn(1, i32::MIN), SpawnAt(1, i32::MAX)]);
    host.run(0);
    assert_eq!(host.results(MAIN), [-28; 4]);
    assert_eq!(host.live(), 0);
}

#[test]
fn spawn_needs_enter() {
    let mut host = Host::with(&["begin"]);
    host.script(MAIN, &[Spawn(1, NORMAL), SpawnAt(1, 7)]).main();
    host.run(0);
    assert_eq!(host.results(MAIN), [-52, -52]);
}

#[test]
fn strands_max_counts_those_that_have_ended_and_are_not_joined() {
    let mut host = Host::new();
    host.set("strands_max", 3);
    host.script(
        MAIN,
        &[
            Spawn(1, NORMAL),
            Spawn(2, NORMAL),
            Spawn(3, NORMAL),
            Yield,
            Spawn(3, NORMAL),
            Join(Strand(1)),
            Spawn(3, NORMAL),
            Spawn(4, NORMAL),
            Detach(Strand(2)),
            Spawn(4, NORMAL),
        ],
    );
    host.main();
    host.run(0);
    assert_eq!(host.results(MAIN), [0, 0, -6, 0, -6, 1, 0, -6, 0, 0]);
    assert!(host.spawn_host(5, NORMAL) > 0, "the main strand has ended: there is room for one");
    assert_eq!(host.spawn_host(6, NORMAL), -6);
}

#[test]
fn where_a_strand_was_made_can_be_seen() {
    let mut host = host(&[SpawnAt(1, NORMAL), Spawn(2, HIGH), Yield, Park]);
    host.script(1, &[SpawnAt(3, LOW), Sleep(9)]).script(2, &[Finish(0)]).script(3, &[WAIT]);
    assert_eq!(host.run(0), Left::Idle(Some(9)));
    let strands: Vec<(i64, i32, i32, i64)> = (0..5).map(|index| host.call("strand", index)).collect();
    let ids = [host.id(1), host.id(2), host.id(3)];
    assert_eq!(strands[0], (1, 3, -1, 0), "parked");
    assert_eq!(strands[1], (ids[0], 6, 101, 1), "sleeps");
    assert_eq!(strands[2], (ids[1], 2, -1, 1), "ended");
    assert_eq!(strands[3], (ids[2], 5, 103, ids[0]), "in the host");
    assert_eq!(strands[4], (0, 0, 0, 0));
    assert_eq!(host.call::<_, (i64, i32, i32, i64)>("strand", -1), (0, 0, 0, 0));
    assert_eq!(host.call::<_, i32>("records", ()), 4);
}

#[test]
fn the_host_spawns_and_hears_of_the_end() {
    let mut host = Host::new();
    host.script(1, &[Yield, Finish(3)]).script(2, &[SelfId, Join(Strand(1)), Detach(Strand(1)), Unpark(Strand(1))]);
    assert_eq!(host.spawn_host(1, LOW), 1);
    assert_eq!(host.spawn_host(2, HIGH), 2);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.results(2), [0, -71, 71, 0], "it is detached");
    let log = host.take_log();
    let told: Vec<&Event> = log.iter().filter(|event| matches!(event, Event::Finished(_))).collect();
    assert_eq!(told, [&Event::Finished(2), &Event::Finished(1)]);
    assert_eq!(host.live(), 0);
    // Its record is free at once.
    assert_eq!(host.spawn_host(3, LOW), 1 << 32 | 1);
    assert_eq!(host.spawn_host(4, 3), -28);
    assert_eq!(host.spawn_host(4, -1), -28);
    assert_eq!(Host::with(&[]).spawn_host(1, NORMAL), -52);
}

// ---- Ids

#[test]
fn an_id_is_found_only_while_its_strand_is_there() {
    let mut host = host(&[Spawn(1, NORMAL), Join(Strand(1)), Spawn(2, NORMAL), Yield, Yield]);
    host.script(2, &[Yield, Yield, Yield]);
    assert_eq!(host.run(0), Left::MainEnded);
    let (gone, here) = (host.id(1), host.id(2));
    assert_eq!(here, gone + (1 << 32), "the same record");
    assert_eq!(host.unpark(gone), 71);
    assert_eq!(host.unpark(here), 0);
    for id in
        [0, -1, 3, 5, 1 << 32, here + (1 << 32), here | i64::MIN, i64::MAX, i64::MIN, 0xffff_ffff, here + 0x4000_0000]
    {
        assert_eq!(host.unpark(id), 71, "{id:#x}");
        assert_eq!(host.detach(id), 71, "{id:#x}");
        assert_eq!(host.call::<_, i32>("set_priority", (id, 1)), 71, "{id:#x}");
    }
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.detach(here), 0);
    let next = here + (1 << 32);
    assert_eq!((host.unpark(here), host.unpark(next), host.detach(next)), (71, 71, 71), "its record is free");
    host.script(3, &[Join(Id(gone)), Join(Id(0)), Join(Id(-1)), Join(Id(i64::MAX)), Join(Id(here + (5 << 32)))]);
    host.spawn_host(3, HIGH);
    host.run(0);
    assert_eq!(host.results(3), [-71; 5]);
}

// ---- join, detach

#[test]
fn join_before_and_after_the_end() {
    let mut host =
        host(&[Spawn(1, NORMAL), Spawn(2, NORMAL), Join(Strand(1)), Join(Strand(2)), Join(Strand(2)), Join(Strand(1))]);
    host.script(1, &[Yield, Finish(5)]).script(2, &[Finish(6)]);
    host.run(0);
    assert_eq!(host.results(MAIN), [0, 0, 5, 6, -71, -71]);
}

#[test]
fn join_of_oneself_and_of_nobody() {
    let mut host = host(&[Join(Strand(MAIN)), Join(Id(2)), Join(Id(0))]);
    host.run(0);
    assert_eq!(host.results(MAIN), [-16, -71, -71]);
}

#[test]
fn one_strand_can_join_another() {
    let mut host = host(&[
        Spawn(1, NORMAL),
        Spawn(2, NORMAL),
        Spawn(3, NORMAL),
        Yield,
        Detach(Strand(1)),
        Unpark(Strand(1)),
        Park,
    ]);
    host.script(1, &[Park, Finish(9)]).script(2, &[Join(Strand(1))]).script(3, &[Join(Strand(1)), Join(Strand(MAIN))]);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.results(2), [9]);
    assert_eq!(host.results(3), [-28, -71], "one is waiting already; the main strand is not to be joined");
    assert_eq!(host.results(MAIN), [0, 0, 0, 0, 28, 0], "nor can it be detached from the one that waits");
}

#[test]
fn a_cycle_of_joins_is_not_found() {
    let mut host = host(&[Spawn(1, NORMAL), Spawn(2, NORMAL)]);
    host.script(1, &[Yield, Join(Strand(2))]).script(2, &[Join(Strand(1))]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.live(), 2);
}

#[test]
fn detach() {
    let (one, two, me) = (Strand(1), Strand(2), Strand(MAIN));
    let mut host = host(&[
        Spawn(1, NORMAL),
        Spawn(2, NORMAL),
        Detach(one),
        Detach(one),
        Join(one),
        Yield,
        Unpark(one),
        Detach(two),
        Detach(two),
        Detach(me),
        Detach(Id(77)),
        Spawn(3, NORMAL),
        Yield,
    ]);
    host.script(3, &[Detach(Strand(3)), Finish(1)]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.results(MAIN), [0, 0, 0, 71, -71, 0, 71, 0, 71, 71, 71, 0, 0]);
    assert_eq!(host.results(3), [0]);
    assert_eq!(host.call::<_, i32>("records", ()), 3);
    assert!((0..3).all(|index| host.call::<_, (i64, i32, i32, i64)>("strand", index).0 == 0), "all are free");
}

// ---- Traps, and calls from where they are not expected

#[test]
fn a_trap_in_a_strand_comes_out_of_run() {
    let mut host = host(&[Spawn(1, NORMAL), Spawn(2, NORMAL), Join(Strand(1))]);
    host.script(1, &[Yield, Trap]).script(2, &[Park]);
    let error = host.try_run(0).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(wasmtime::Trap::UnreachableCodeReached)), "{error:?}");
    let trace = format!("{error:?}");
    assert!(trace.contains("weft_strands!serve"), "{trace}");
    assert_eq!(host.call::<_, i64>("self", ()), host.id(1), "it is still known who it was");
    drop(host);
}

#[test]
fn outside_of_strands_nothing_waits() {
    let mut host = Host::new();
    host.script(1, &[Park]);
    let id = host.spawn_host(1, NORMAL);
    host.run(0);
    assert_eq!(host.call::<_, i64>("self", ()), 0);
    host.call::<(), ()>("yield", ());
    host.call::<(), ()>("park", ());
    host.call::<i64, ()>("sleep", 5);
    host.call::<i64, ()>("sleep", -5);
    host.call::<i32, ()>("preempt", 0);
    assert_eq!(host.call::<_, i32>("park_until", i64::MAX), 0);
    assert_eq!(host.call::<_, i64>("join", id), -16);
    assert_eq!(host.call::<_, i64>("join", 0i64), -16);
    assert_eq!(host.call::<_, i32>("again", 0), 0);
    host.set("pending", 2);
    assert_eq!(host.call::<_, i32>("again", 0), 0);
    host.set("pending", 1);
    let again = host.scheduler.get_typed_func::<i32, i32>(&mut host.store, "again").unwrap();
    assert!(format!("{:?}", again.call(&mut host.store, 0).unwrap_err()).contains("failure 4"));
    assert_eq!(host.live(), 1);
    assert_eq!(host.unpark(id), 0);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

#[test]
fn a_call_of_run_from_inside_is_refused() {
    let mut store = wasmtime::Store::new(&ENGINE.engine, ());
    let scheduler = scheduler(&mut store, |_| Ok(0), |_| 0, |_, _| {});
    let guest = r#"(module (import "strands" "run" (func $run (param i64) (result i32)))
        (func (export "begin") (param i32) (drop (call $run (i64.const 0)))))"#;
    let guest = wasmtime::Module::new(&ENGINE.engine, wat::parse_str(guest).unwrap()).unwrap();
    link(&mut store, scheduler, &guest, &[], &["begin"]);
    scheduler.get_typed_func::<i32, i64>(&mut store, "main").unwrap().call(&mut store, 0).unwrap();
    let run = scheduler.get_typed_func::<i64, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 0).unwrap_err();
    assert!(format!("{error:?}").contains("failure 2"), "{error:?}");
}

/// An exception that no strand catches.
#[test]
fn an_exception_that_leaves_a_strand_comes_out_of_run() {
    let mut store = wasmtime::Store::new(&ENGINE.engine, ());
    let scheduler = scheduler(&mut store, |_| Ok(0), |_| 0, |_, _| {});
    let guest = "(module (tag $thrown) (func (export \"begin\") (param i32) (throw $thrown)))";
    let guest = wasmtime::Module::new(&ENGINE.engine, wat::parse_str(guest).unwrap()).unwrap();
    link(&mut store, scheduler, &guest, &[], &["begin"]);
    scheduler.get_typed_func::<i32, i64>(&mut store, "main").unwrap().call(&mut store, 0).unwrap();
    let run = scheduler.get_typed_func::<i64, i32>(&mut store, "run").unwrap();
    assert!(run.call(&mut store, 0).is_err());
}

#[test]
fn what_guests_may_import_is_there_and_the_rest_is_for_the_host() {
    let guests: Vec<&str> = FIBER.iter().chain(&STRAND).copied().collect();
    let functions: Vec<&str> =
        ENGINE.strands.exports().filter(|export| export.ty().func().is_some()).map(|export| export.name()).collect();
    assert!(guests.iter().all(|name| functions.contains(name)));
    let rest: Vec<&str> = functions.into_iter().filter(|name| !guests.contains(name)).collect();
    assert_eq!(rest, ["prepare", "main", "spawn_host", "wake", "run", "live", "records", "stacks", "strand"]);
    assert!(ENGINE.strands.exports().all(|export| export.ty().memory().is_none() && export.ty().table().is_none()));
}
