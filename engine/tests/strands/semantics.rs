//! Each function, and each error, on its own.

use crate::host::*;
use Op::*;
use Who::{Id, Strand};
use weft_engine::fibers::scheduler::{FIBER, STRAND};

const WAIT: Op = Again { pending: 1, until: 0, mask: 0 };
const GIVE_WAY: Op = Again { pending: 2, until: 0, mask: 0 };

fn wait_until(until: i64) -> Op {
    Again { pending: 3, until, mask: 0 }
}

fn masked(pending: i32, until: i64) -> Op {
    Again { pending, until, mask: 1 }
}

fn preempt(over: bool) -> Op {
    Preempt { mask: 0, over }
}

/// A host in which the main strand has done this.
fn host(main: &[Op]) -> Host {
    let mut host = Host::new();
    host.script(MAIN, main).main();
    host
}

fn message(result: wasmtime::Result<Left>) -> String {
    format!("{:?}", result.unwrap_err())
}

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

// ---- yield, priorities

#[test]
fn yield_goes_round() {
    let mut host = host(&[Spawn(1, NORMAL), Spawn(2, NORMAL), Yield, Yield]);
    host.script(1, &[Yield, Yield]).script(2, &[Yield]);
    host.run(0);
    host.run(0);
    assert_eq!(host.order(), [0, 0, 0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn a_lone_yield_goes_on_but_asks_the_host_each_256th_time() {
    let mut host = host(&vec![Yield; 600]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.store.data().ticks, 2);
    host.store.data_mut().over_each = 1;
    host.script(MAIN, &vec![Yield; 600]).main();
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.store.data().ticks, 3);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.run(0), Left::MainEnded);
}

#[test]
fn lone_yields_let_deadlines_come() {
    let mut main = vec![Spawn(1, NORMAL), Yield, Pass(10)];
    main.extend([Yield; 256]);
    let mut host = host(&main);
    host.script(1, &[Sleep(5)]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.results(1), [0], "it has slept");
}

#[test]
fn strands_that_yield_to_each_other_ask_the_host() {
    let mut host = host(&[Spawn(1, NORMAL)].into_iter().chain([Yield; 2000]).collect::<Vec<_>>());
    host.script(1, &[Yield; 2000]);
    host.store.data_mut().over_each = 3;
    let mut turns = 1;
    while host.run(0) != Left::MainEnded {
        turns += 1;
    }
    // Some 4,000 choices: the 128th, and each 256th after it.
    assert_eq!(host.store.data().ticks, 16);
    assert_eq!(turns, 1 + 16 / 3);
}

#[test]
fn higher_levels_go_first() {
    let mut host = host(&[Spawn(1, LOW), Spawn(2, NORMAL), Spawn(3, HIGH), Yield]);
    for strand in 1..4 {
        host.script(strand, &[Yield]);
    }
    host.run(0);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.order(), [0, 0, 0, 0, 3, 3, 2, 0, 2, 1, 1]);
}

#[test]
fn each_16th_choice_is_for_the_next_lower_level_and_each_256th_for_the_one_below() {
    let mut host = Host::new();
    for (strand, level) in [(1, HIGH), (2, NORMAL), (3, LOW)] {
        host.script(strand, &[Yield; 3000]);
        host.spawn_host(strand, level);
    }
    host.run(0);
    let order = host.order();
    for (index, strand) in order[..2000].iter().enumerate() {
        let choice = index + 1;
        let expected = if choice % 256 == 0 {
            3
        } else if choice % 16 == 0 {
            2
        } else {
            1
        };
        assert_eq!(*strand, expected, "choice {choice}");
    }
}

#[test]
fn of_two_levels_the_lower_has_each_16th_choice() {
    let mut host = Host::new();
    for (strand, level) in [(1, HIGH), (2, LOW)] {
        host.script(strand, &[Yield; 1000]);
        host.spawn_host(strand, level);
    }
    host.run(0);
    for (index, strand) in host.order()[..900].iter().enumerate() {
        assert_eq!(*strand == 2, (index + 1) % 16 == 0, "choice {}", index + 1);
    }
}

#[test]
fn strands_that_run_one_after_the_other_on_one_stack_are_chosen_by_the_same_rule() {
    let mut host = Host::new();
    for strand in 0..30 {
        host.spawn_host(strand, HIGH);
    }
    for strand in 30..60 {
        host.spawn_host(strand, LOW);
    }
    assert_eq!(host.run(0), Left::Idle(None));
    let expected: Vec<usize> = (0..15).chain([30]).chain(15..30).chain(31..60).collect();
    assert_eq!(host.order(), expected);
    assert_eq!(host.call::<_, i32>("stacks", ()), 1);
}

#[test]
fn a_new_level_holds_from_the_next_time_that_it_is_ready() {
    let mut host = host(&[
        Spawn(1, NORMAL),
        Spawn(2, NORMAL),
        SetPriority(Strand(2), HIGH),
        SetPriority(Strand(MAIN), LOW),
        Yield,
    ]);
    host.script(1, &[Yield, Yield]).script(2, &[Yield, Yield]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.order(), [0, 0, 0, 0, 0, 1, 2, 2, 2, 1, 1, 0]);
}

#[test]
fn set_priority_refuses() {
    let mut host = host(&[
        SetPriority(Strand(MAIN), 3),
        SetPriority(Strand(MAIN), -1),
        SetPriority(Id(99), NORMAL),
        Spawn(1, NORMAL),
        Yield,
        SetPriority(Strand(1), NORMAL),
        SetPriority(Id(99), 3),
    ]);
    host.run(0);
    assert_eq!(host.results(MAIN), [28, 28, 71, 0, 0, 71, 28]);
}

// ---- park, unpark

#[test]
fn park_waits_for_unpark() {
    let mut host = host(&[Spawn(1, NORMAL), Yield, Unpark(Strand(1)), Join(Strand(1))]);
    host.script(1, &[Park]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.results(1), [0]);
    let mut host = self::host(&[Park]);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.run_woken(1), Left::Idle(None), "the host does not wake it");
    assert_eq!(host.unpark(1), 0);
    assert_eq!(host.run(0), Left::MainEnded);
}

#[test]
fn there_is_one_permit() {
    let me = Strand(MAIN);
    let mut host = host(&[
        Unpark(me),
        Unpark(me),
        Park,
        ParkUntil(-1),
        Unpark(me),
        ParkUntil(5),
        Unpark(me),
        Sleep(3),
        Park,
        Park,
    ]);
    assert_eq!(host.run(0), Left::Idle(Some(3)));
    assert_eq!(host.run(3), Left::Idle(None));
    assert_eq!(host.results(MAIN), [0, 0, 0, 73, 0, 0, 0, 0, 0]);
}

#[test]
fn a_permit_can_come_before_the_strand_has_begun_or_while_it_does_something_else() {
    let mut host = host(&[Spawn(1, NORMAL), Unpark(Strand(1)), Yield, Unpark(Strand(1))]);
    host.script(1, &[Park, Sleep(5), Park]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.run(0), Left::Idle(Some(5)), "unpark is not for those that sleep");
    assert_eq!(host.run(5), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

#[test]
fn park_until_times_out() {
    let mut host = host(&[ParkUntil(10), Now, ParkUntil(10), ParkUntil(i64::MIN), ParkUntil(11)]);
    assert_eq!(host.run(0), Left::Idle(Some(10)));
    assert_eq!(host.run(9), Left::Idle(Some(10)));
    assert_eq!(host.run(10), Left::Idle(Some(11)));
    assert_eq!(host.unpark(host.id(MAIN)), 0);
    assert_eq!(host.run(10), Left::MainEnded);
    assert_eq!(host.results(MAIN), [73, 10, 73, 73, 0]);
}

#[test]
fn unpark_cancels_the_deadline() {
    let mut host = host(&[Spawn(1, NORMAL), Yield, Unpark(Strand(1)), Yield, Park]);
    host.script(1, &[ParkUntil(10), Park]);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.run(20), Left::Idle(None));
    assert_eq!(host.results(1), [0]);
}

#[test]
fn unpark_of_nobody() {
    let mut host =
        host(&[Spawn(1, NORMAL), Yield, Unpark(Strand(1)), Join(Strand(1)), Unpark(Strand(1)), Unpark(Id(7))]);
    host.run(0);
    assert_eq!(host.results(MAIN), [0, 0, 71, 1, 71, 71], "ended, gone, never born");
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

// ---- sleep

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let mut host = Host::new();
    let lengths = [50, 20, 90, 20, 10, 70, 30, 60, 40, 80, 20];
    for (index, length) in lengths.iter().enumerate() {
        host.script(index + 1, &[Sleep(*length)]);
        host.spawn_host(index + 1, NORMAL);
    }
    let mut order = Vec::new();
    let mut now = 0;
    while let Left::Idle(Some(deadline)) = host.run(now) {
        assert!(deadline > now);
        now = deadline;
        host.take_log();
    }
    let all = host.run(now);
    assert_eq!(all, Left::Idle(None));
    // All at once: by the deadline, and by who came first where that is the same.
    let mut host = Host::new();
    for (index, length) in lengths.iter().enumerate() {
        host.script(index + 1, &[Sleep(*length)]);
        host.spawn_host(index + 1, NORMAL);
    }
    assert_eq!(host.run(0), Left::Idle(Some(10)));
    host.take_log();
    assert_eq!(host.run(100), Left::Idle(None));
    order.extend(host.order());
    assert_eq!(order, [5, 2, 4, 11, 7, 9, 1, 8, 6, 10, 3]);
}

#[test]
fn sleep_is_relative_and_of_nothing_is_a_yield() {
    let mut host = host(&[Spawn(1, NORMAL), Sleep(0), Sleep(-5), Sleep(i64::MIN), Pass(7), Sleep(5)]);
    host.script(1, &[Yield, Yield, Yield]);
    assert_eq!(host.run(100), Left::Idle(Some(112)));
    assert_eq!(host.order(), [0, 0, 1, 0, 1, 0, 1, 0, 0, 1]);
    assert_eq!(host.run(112), Left::MainEnded);
}

#[test]
fn a_sleep_that_is_too_long_is_for_ever() {
    let mut host = host(&[Sleep(i64::MAX)]);
    assert_eq!(host.run(100), Left::Idle(None));
    assert_eq!(host.run(i64::MAX - 1), Left::Idle(None));
}

// ---- again

#[test]
fn again_with_nothing_pending_goes_on() {
    let mut host = host(&[Again { pending: 0, until: 5, mask: 0 }, Again { pending: 0, until: 0, mask: 1 }]);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.results(MAIN), [0, 0]);
}

#[test]
fn those_that_wait_in_the_host_are_all_woken() {
    let mut host = host(&[Spawn(1, NORMAL), Spawn(2, HIGH), WAIT]);
    host.script(1, &[WAIT, WAIT]).script(2, &[WAIT]);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.run(99), Left::Idle(None));
    host.take_log();
    assert_eq!(host.run_woken(99), Left::MainEnded);
    assert_eq!(
        host.take_log()[..4],
        [Event::Did(2, 1), Event::Began(2, Finish(2)), Event::Did(0, 1), Event::Began(0, Finish(0))]
    );
    assert_eq!(host.run(99), Left::Idle(None));
    assert_eq!(host.run_woken(99), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

#[test]
fn only_those_that_are_woken_leave_the_host() {
    let mut host = Host::new();
    for strand in 1..=4 {
        host.script(strand, &[WAIT, WAIT]);
        host.spawn_host(strand, NORMAL);
    }
    let id = host.id(2);
    assert!(!host.wake(id), "it has not begun");
    assert_eq!(host.run(0), Left::Idle(None));
    host.take_log();
    for strand in [3, 1] {
        let id = host.id(strand);
        assert!(host.wake(id));
        assert!(!host.wake(id), "it is ready already");
    }
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.order(), [3, 1], "and wait again");
    let id = host.id(1);
    assert!(host.wake(id));
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.live(), 3);
    assert!(!host.wake(id), "it has ended");
    // Another strand has its number now.
    host.script(5, &[WAIT]);
    host.spawn_host(5, NORMAL);
    assert_eq!(host.id(5) as u32, id as u32);
    assert_eq!(host.run(0), Left::Idle(None));
    assert!(!host.wake(id));
    for never in [0, -1, i64::MAX, 1 << 32] {
        assert!(!host.wake(never));
    }
    assert_eq!(host.run_woken(0), Left::Idle(None));
    assert_eq!(host.run_woken(0), Left::Idle(None));
    assert_eq!(host.live(), 0);
}

#[test]
fn one_that_is_woken_before_its_deadline_is_not_woken_by_it() {
    let mut host = host(&[wait_until(10), WAIT]);
    assert_eq!(host.run(0), Left::Idle(Some(10)));
    let id = host.id(MAIN);
    assert!(host.wake(id));
    assert_eq!(host.run(1), Left::Idle(None));
    assert_eq!(host.run(10), Left::Idle(None));
    assert_eq!(host.run_woken(10), Left::MainEnded);
}

#[test]
fn again_gives_others_a_turn_or_the_process() {
    let mut host = host(&[Spawn(1, NORMAL), GIVE_WAY, GIVE_WAY, GIVE_WAY]);
    host.script(1, &[Sleep(5)]);
    assert_eq!(host.run(0), Left::Worker, "nobody else is ready");
    assert_eq!(host.order(), [0, 0, 1, 0]);
    assert_eq!(host.run(1), Left::Worker);
    assert_eq!(host.run(1), Left::MainEnded);
    assert_eq!(host.results(MAIN), [0; 4]);
}

#[test]
fn again_waits_until_the_deadline_or_the_host() {
    let mut host = host(&[wait_until(10), wait_until(20), wait_until(5)]);
    assert_eq!(host.run(0), Left::Idle(Some(10)));
    assert_eq!(host.run(10), Left::Idle(Some(20)));
    assert_eq!(host.run_woken(11), Left::MainEnded, "the last deadline is past");
    assert_eq!(host.results(MAIN), [1, 1, 1]);
}

#[test]
fn one_that_left_the_host_by_its_deadline_leaves_the_others_there() {
    for late in 1..=3 {
        let mut host = Host::new();
        for strand in 1..=3 {
            host.script(strand, &[if strand == late { wait_until(5) } else { WAIT }]);
            host.spawn_host(strand, NORMAL);
        }
        assert_eq!(host.run(0), Left::Idle(Some(5)));
        assert_eq!(host.run(5), Left::Idle(None));
        assert_eq!(host.results(late), [1]);
        assert_eq!(host.live(), 2);
        host.script(4, &[WAIT]);
        host.spawn_host(4, NORMAL);
        assert_eq!(host.run(5), Left::Idle(None));
        host.take_log();
        let expected: Vec<usize> = (1..=4).filter(|strand| *strand != late).collect();
        for &strand in &expected {
            let id = host.id(strand);
            assert!(host.wake(id));
        }
        assert_eq!(host.run(6), Left::Idle(None));
        assert_eq!(host.order(), expected);
    }
}

#[test]
fn masked_nobody_else_runs() {
    let mut host =
        host(&[Spawn(1, HIGH), masked(1, 0), masked(2, 0), masked(3, 50), masked(3, i64::MAX), SelfId, Yield]);
    assert_eq!(host.run(0), Left::Idle(None));
    assert_eq!(host.call::<_, (i64, i32, i32, i64)>("strand", 0).1, 7);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.run(0), Left::Idle(Some(50)));
    assert_eq!(host.run(1), Left::Idle(None));
    assert_eq!(host.order(), [0; 5]);
    assert_eq!(host.run_woken(1), Left::MainEnded);
    assert_eq!(host.results(MAIN), [0, 1, 0, 1, 1, 0, 0]);
    assert_eq!(host.order(), [0, 0, 0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn the_deadline_of_a_masked_wait_is_its_own() {
    let mut host = host(&[Spawn(1, NORMAL), Yield, masked(3, 50), Yield, Yield]);
    host.script(1, &[Sleep(20)]);
    assert_eq!(host.run(0), Left::Idle(Some(50)));
    assert_eq!(host.run(30), Left::MainEnded);
    assert_eq!(host.order(), [0, 0, 1, 0, 0, 1, 0, 0]);
}

#[test]
fn what_the_host_has_to_say_is_checked() {
    let mut host = host(&[Again { pending: 4, until: 0, mask: 0 }]);
    assert!(message(host.try_run(0)).contains("failure 2"));
}

// ---- preempt

#[test]
fn preemption_gives_up_the_worker_but_not_the_turn() {
    let mut host = host(&[Spawn(1, HIGH), preempt(false), preempt(true), preempt(false), Yield]);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.run(0), Left::MainEnded);
    assert_eq!(host.order(), [0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn preemptive_strands_take_turns() {
    let mut host = host(&[
        Spawn(1, NORMAL),
        preempt(false),
        preempt(true),
        Preempt { mask: 1, over: false },
        Preempt { mask: 1, over: true },
    ]);
    host.set("preemptive", 1);
    host.script(1, &[preempt(false), preempt(false)]);
    assert_eq!(host.run(0), Left::Worker);
    assert_eq!(host.order(), [0, 0, 1, 0]);
    assert_eq!(host.run(0), Left::Worker, "masked");
    assert_eq!(host.order(), [0, 0, 1, 0, 1, 0, 0]);
    assert_eq!(host.run(0), Left::MainEnded);
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
