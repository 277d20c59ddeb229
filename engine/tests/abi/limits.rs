//! Each limit ends its process with an outcome that names the limit, its value and what was asked for.

use crate::support::*;
use std::sync::atomic::Ordering;
use weft_engine::call::Counters;
use weft_engine::error::ErrorKind;
use weft_engine::outcome::{LimitKind, OutcomeKind};

const PAGE: u64 = 65536;

fn expect_limit(ended: &Ended, kind: LimitKind, value: u64, asked: u64) {
    assert_eq!(ended.kind, OutcomeKind::Limit, "{ended:?}");
    assert_eq!((ended.limit, ended.limit_value, ended.limit_asked), (kind, value, asked), "{ended:?}");
    assert!(ended.message.contains("limit"), "{ended:?}");
}

const GROW: &str = r#"(module (memory (export "memory") 1)
    (func $grow (drop (memory.grow (i32.const 2))))
    (func (export "_start") (loop $l call $grow (br $l))))"#;

#[test]
fn growing_memory_beyond_the_limit_ends_the_process() {
    let mut counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
    let setup = Setup::new().change(|config| {
        config.limits.memory_bytes = 4 * PAGE;
        config.counters = &mut counters;
    });
    let (ended, _) = run(&Host::new(), GROW, setup);
    expect_limit(&ended, LimitKind::Memory, 4 * PAGE, 5 * PAGE);
    assert_eq!(ended.backtrace, ["test.wasm!grow", "test.wasm!"], "where it was is known");
    assert_eq!((counters.memory_bytes, counters.memory_bytes_max), (3 * PAGE, 3 * PAGE));
}

#[test]
fn starting_with_more_memory_than_the_limit_ends_the_process() {
    let wat = r#"(module (memory 3) (func (export "_start")))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new().change(|config| config.limits.memory_bytes = 2 * PAGE));
    expect_limit(&ended, LimitKind::Memory, 2 * PAGE, 3 * PAGE);
}

/// All memories count together.
#[test]
fn memories_are_added_up() {
    let wat = r#"(module (memory $a 1) (memory $b 1) (func (export "_start") (drop (memory.grow $b (i32.const 1)))))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new().change(|config| config.limits.memory_bytes = 2 * PAGE));
    expect_limit(&ended, LimitKind::Memory, 2 * PAGE, 3 * PAGE);
}

/// A growth that the memory's own maximum forbids fails in the guest, as WebAssembly says, and is not counted.
#[test]
fn a_memory_that_reaches_its_own_maximum_is_the_guests_affair() {
    let mut counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
    let wat = r#"(module (memory 1 2) (func (export "f") (result i32 i32) (memory.grow (i32.const 2)) (memory.grow (i32.const 1))))"#;
    let setup = Setup::new().entry("f").change(|config| {
        config.limits.memory_bytes = 2 * PAGE;
        config.counters = &mut counters;
    });
    let (ended, _) = run(&Host::new(), wat, setup);
    assert_eq!(ended.results, "-1 1");
    assert_eq!(counters.memory_bytes, 2 * PAGE);
}

#[test]
fn growing_a_table_beyond_the_limit_ends_the_process() {
    let wat = r#"(module (table $t 10 funcref) (func (export "_start") (drop (table.grow $t (ref.null func) (i32.const 91)))))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new().change(|config| config.limits.table_elements = 100));
    expect_limit(&ended, LimitKind::Table, 100, 101);
}

#[test]
fn too_many_instances_memories_or_tables_end_the_process() {
    let host = Host::new();
    let wat = r#"(module (memory 1) (memory 1) (table 1 funcref) (func (export "_start")))"#;
    let (ended, _) = run(&host, wat, Setup::new().change(|config| config.limits.memories = 1));
    expect_limit(&ended, LimitKind::Memories, 1, 2);
    let (ended, _) = run(&host, wat, Setup::new().change(|config| config.limits.tables = 0));
    expect_limit(&ended, LimitKind::Tables, 0, 1);
    let (ended, _) = run(&host, wat, Setup::new().change(|config| config.limits.instances = 0));
    expect_limit(&ended, LimitKind::Instances, 0, 1);
}

#[test]
fn fuel_runs_out() {
    let mut counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
    let host = Host::with(|config| config.fuel = true);
    let wat = r#"(module (func (export "_start") (loop $l (br $l))))"#;
    let setup = Setup::new().change(|config| {
        config.limits.fuel = 10_000;
        config.counters = &mut counters;
    });
    let (ended, _) = run(&host, wat, setup);
    expect_limit(&ended, LimitKind::Fuel, 10_000, 0);
    assert!((9_990..=10_010).contains(&counters.fuel_consumed), "{}", counters.fuel_consumed);
    // Without a limit fuel is counted all the same.
    let setup = Setup::new().change(|config| config.counters = &mut counters);
    let (ended, _) = run(&host, r#"(module (func (export "_start") nop nop))"#, setup);
    assert_eq!(ended.kind, OutcomeKind::Returned);
    assert!((1..100).contains(&counters.fuel_consumed), "{}", counters.fuel_consumed);
}

#[test]
fn recursion_without_end_reaches_the_stack_limit() {
    let host = Host::with(|config| config.stack_bytes = 64 << 10);
    let wat = r#"(module (func $deeper (param i32) (call $deeper (i32.add (local.get 0) (i32.const 1))) (drop (local.get 0)))
        (func (export "_start") (call $deeper (i32.const 0))))"#;
    let (ended, _) = run(&host, wat, Setup::new());
    expect_limit(&ended, LimitKind::Stack, 64 << 10, 0);
    assert_eq!(ended.backtrace[0], "test.wasm!deeper");
}

/// The heap of garbage-collected objects counts as memory.
#[test]
fn a_heap_of_objects_is_limited() {
    let wat = r#"(module (type $node (struct (field (ref null $node)) (field i64)))
        (func (export "_start") (local $list (ref null $node))
            (loop $l (local.set $list (struct.new $node (local.get $list) (i64.const 1))) (br $l))))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new().change(|config| config.limits.memory_bytes = 8 << 20));
    assert_eq!(
        (ended.kind, ended.limit, ended.limit_value),
        (OutcomeKind::Limit, LimitKind::Memory, 8 << 20),
        "{ended:?}"
    );
}

/// Host calls are counted: WASI's as well as the linker's (the latter in host_functions.rs).
#[test]
fn host_calls_are_counted() {
    let mut counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
    let wat = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $yield)) (drop (call $yield)) (drop (call $random (i32.const 0) (i32.const 8)))))"#;
    let (ended, process) = run(&Host::new(), wat, Setup::new().change(|config| config.counters = &mut counters));
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    assert_eq!(counters.host_calls, 3);
    assert_eq!(process.yields.load(Ordering::SeqCst), 2);
}

/// The pool has as many slots as it was given; the error says what ran out, and a slot that becomes free can be used again.
#[test]
fn a_full_pool_is_an_error_and_not_the_end() {
    let host = Host::with(|config| config.slots_max = 2);
    let program = host.program(
        r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32))) (memory (export "memory") 1)
            (func (export "_start") (drop (call $yield))))"#,
    );
    let (process, task) = (Process::new(), Task::new());
    let start = || Setup::new().start(&program, &process).unwrap();
    let calls = [start(), start(), start()];
    assert_eq!(calls[0].poll(&task), weft_engine::abi::Poll::Pending);
    assert_eq!(calls[1].poll(&task), weft_engine::abi::Poll::Pending);
    assert_eq!(calls[2].poll(&task), weft_engine::abi::Poll::Ready);
    let ended = calls[2].ended();
    assert_eq!((ended.kind, ended.error), (OutcomeKind::Failed, Some(ErrorKind::ResourceExhausted)), "{ended:?}");
    assert!(ended.message.contains("slots_max"), "{}", ended.message);
    drop(calls);
    assert_eq!(start().finish(&process, &task).kind, OutcomeKind::Returned);
}
