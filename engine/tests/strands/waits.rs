//! What strands wait for: each other, time, the host.

use crate::host::*;
use Op::*;
use Who::{Id, Strand};

const GIVE_WAY: Op = Again { pending: 2, until: 0, mask: 0 };

fn wait_until(until: i64) -> Op {
    Again { pending: 3, until, mask: 0 }
}

fn masked(pending: i32, until: i64) -> Op {
    Again { pending, until, mask: 1 }
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
    let error = host.try_run(0).unwrap_err();
    assert!(format!("{error:?}").contains("failure 2"));
}
