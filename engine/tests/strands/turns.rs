//! Whose turn it is: yields, priorities, preemption.

use crate::host::*;
use Op::*;
use Who::{Id, Strand};

fn preempt(over: bool) -> Op {
    Preempt { mask: 0, over }
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
