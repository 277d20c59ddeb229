//! How guests leave the worker: by yielding, by epoch, by sleeping; and how they are stopped or dropped there.

use crate::support::*;
use std::sync::atomic::Ordering;
use weft_engine::abi::Poll;
use weft_engine::engine::EngineConfig;
use weft_engine::hooks::Decision;
use weft_engine::outcome::OutcomeKind;

const YIELD_TWICE: &str = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (memory (export "memory") 1)
    (func (export "f") (result i32) (i32.add (call $yield) (call $yield))))"#;

/// `sched_yield` answers pending exactly once, tells the hook before, and wakes nobody; the call names nothing that it waits for.
#[test]
fn sched_yield_leaves_once_without_a_wake_up() {
    let host = Host::new();
    let (program, process, task) = (host.program(YIELD_TWICE), Process::new(), Task::new());
    let call = Setup::new().entry("f").start(&program, &process).unwrap();
    for yields in 1..=2 {
        assert_eq!(call.poll(&task), Poll::Pending);
        assert_eq!(process.yields.load(Ordering::SeqCst), yields);
        assert_eq!(call.waiting_for(), "");
    }
    assert_eq!(call.poll(&task), Poll::Ready);
    assert_eq!(call.ended().results, "0");
    assert_eq!((task.wakes.load(Ordering::SeqCst), task.references.load(Ordering::SeqCst)), (0, 0));
}

/// Without the hook the task is woken instead.
#[test]
fn sched_yield_without_the_hook_wakes_the_task() {
    let host = Host::with(|config| config.hooks.yield_now = None);
    let (program, process, task) = (host.program(YIELD_TWICE), Process::new(), Task::new());
    let call = Setup::new().entry("f").start(&program, &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    assert!(task.is_woken());
}

/// The epoch hook is asked after the epoch moved, and its decision is followed: go on, leave and come back, end. Also in an endless loop.
#[test]
fn epoch_decisions_are_followed() {
    let host = Host::new();
    let (program, process, task) =
        (host.program(r#"(module (func (export "_start") (loop $l (br $l))))"#), Process::new(), Task::new());
    process.decide(&[Decision::Continue, Decision::Yield, Decision::Continue, Decision::Yield, Decision::Stop]);
    let call = Setup::new().start(&program, &process).unwrap();
    let _ticker = Ticker::new(&host);
    let mut pending = 0;
    while call.poll(&task) == Poll::Pending {
        pending += 1;
        assert_eq!(call.waiting_for(), "");
    }
    let ended = call.ended();
    assert_eq!(ended.kind, OutcomeKind::Stopped, "{ended:?}");
    assert_eq!(ended.backtrace, [] as [&str; 0], "stopping costs no backtrace");
    assert_eq!((pending, process.epoch_checks.load(Ordering::SeqCst)), (2, 5));
    assert_eq!(task.wakes.load(Ordering::SeqCst), 0, "a yield by epoch wakes nobody");
}

/// A call moves between threads: each poll on another one.
#[test]
fn a_call_is_polled_on_many_threads() {
    let host = Host::new();
    let (program, process, task) = (host.program(YIELD_TWICE), Process::new(), Task::new());
    let call = Setup::new().entry("f").start(&program, &process).unwrap();
    let (pointer, engine, task) = (call.0 as usize, host.engine.0 as usize, &task);
    let mut polls = 0;
    loop {
        polls += 1;
        let poll = std::thread::scope(|scope| {
            let polled = scope.spawn(move || unsafe {
                let guard = weft_engine::engine::weft_engine_enter(engine as *const _);
                let poll = weft_engine::call::weft_call_poll(pointer as *mut _, task.pointer());
                weft_engine::engine::weft_enter_guard_free(guard);
                poll
            });
            polled.join().unwrap()
        });
        if poll == Poll::Ready {
            break;
        }
    }
    assert_eq!((polls, call.ended().kind), (3, OutcomeKind::Returned));
}

/// Sleeps through preview 1: two subscriptions, relative and absolute, after 500 and 200 ns. Returns the number of events, and the user data of the first.
const SLEEP: &str = r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "f") (result i32 i64 i32)
      ;; first: relative, 500
      (i64.store (i32.const 0) (i64.const 11)) (i32.store8 (i32.const 8) (i32.const 0))
      (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 500))
      ;; second: absolute, now + 200
      (drop (call $now (i32.const 1) (i64.const 0) (i32.const 200)))
      (i64.store (i32.const 48) (i64.const 22)) (i32.store8 (i32.const 56) (i32.const 0))
      (i32.store (i32.const 64) (i32.const 1)) (i64.store (i32.const 72) (i64.add (i64.load (i32.const 200)) (i64.const 200)))
      (i32.store16 (i32.const 88) (i32.const 1))
      (call $poll (i32.const 0) (i32.const 304) (i32.const 2) (i32.const 208))
      (i64.load (i32.const 304)) (i32.load (i32.const 208))))"#;

/// Sleeping goes to the hook: it is asked for the earliest deadline of the virtual clock, asked again after a wake-up, and the guest hears of exactly the deadlines that have passed.
#[test]
fn sleeping_is_the_schedulers_business() {
    let host = Host::new();
    let (program, process, task) = (host.program(SLEEP), Process::new(), Task::new());
    let call = Setup::new().entry("f").start(&program, &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(call.waiting_for(), "wasi poll_oneoff");
    assert_eq!(*process.sleeping.lock().unwrap(), Some((1_000_000_200, 0)));
    // A wake-up without reason changes nothing.
    assert_eq!(call.poll(&task), Poll::Pending);
    process.now_ns.store(1_000_000_300, Ordering::SeqCst);
    assert_eq!(call.poll(&task), Poll::Ready);
    assert_eq!(call.ended().results, "0 22 1");
    assert_eq!(call.waiting_for(), "");
    assert_eq!((process.sleeps.load(Ordering::SeqCst), process.sleeps_dropped.load(Ordering::SeqCst)), (2, 0));
}

/// Without the hook Tokio sleeps, and its wake-up is real.
#[test]
fn without_the_hook_sleeping_works_all_the_same() {
    let host = Host::with(|config: &mut EngineConfig| {
        (config.hooks.sleep, config.hooks.sleep_drop) = (None, None);
        (config.hooks.monotonic_now, config.hooks.wall_now) = (None, None);
    });
    let (ended, _) = run(&host, SLEEP, Setup::new().entry("f"));
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    assert!(ended.results.starts_with("0 "), "{ended:?}");
}

/// A call may be dropped before its first poll, while it yields and while it sleeps; what it waited for is released exactly once.
#[test]
fn calls_are_dropped_wherever_they_are() {
    let host = Host::new();
    let task = Task::new();
    let process = Process::new();
    drop(Setup::new().entry("f").start(&host.program(SLEEP), &process).unwrap());
    let call = Setup::new().entry("f").start(&host.program(YIELD_TWICE), &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    drop(call);
    let call = Setup::new().entry("f").start(&host.program(SLEEP), &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(process.sleeps_dropped.load(Ordering::SeqCst), 0);
    drop(call);
    assert_eq!(process.sleeps_dropped.load(Ordering::SeqCst), 1);
    assert_eq!(task.references.load(Ordering::SeqCst), 0);
}
