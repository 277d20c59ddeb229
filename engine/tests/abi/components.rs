//! Components: commands of WASI 0.2, functions called by name, limits, stopping.

use crate::support::*;
use std::sync::atomic::Ordering;
use weft_engine::error::ErrorKind;
use weft_engine::hooks::Decision;
use weft_engine::outcome::{LimitKind, OutcomeKind, TrapCode};

/// A command of WASI 0.3 is run as well: its `run` is an async function there.
#[test]
fn a_command_of_wasi_0_3_runs() {
    let host = Host::new();
    let newer = |body: &str| {
        let wat = command(body).replace("wasi:cli/run@0.2.0", "wasi:cli/run@0.3.0");
        wat.replace("(result (result))", "async (result (result))")
    };
    let (ended, _) = run(&host, newer("i32.const 0"), Setup::new());
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    let (ended, _) = run(&host, newer("i32.const 1"), Setup::new());
    assert_eq!((ended.kind, ended.exit_code), (OutcomeKind::Exited, 1), "{ended:?}");
    let (ended, _) = run(&host, newer("unreachable"), Setup::new());
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Unreachable), "{ended:?}");
}

/// A command whose `run` does what `body` says, with the result (0 = ok, 1 = failure) on the stack.
fn command(body: &str) -> String {
    format!(
        r#"(component
            (core module $m (memory (export "memory") 1) (func $run (export "run") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (component $c (import "main" (func $main (result (result)))) (export "run" (func $main)))
            (instance $run (instantiate $c (with "main" (func $run))))
            (export "wasi:cli/run@0.2.0" (instance $run)))"#
    )
}

#[test]
fn a_command_component_returns_or_fails() {
    let host = Host::new();
    let (ended, _) = run(&host, command("i32.const 0"), Setup::new());
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    let (ended, _) = run(&host, command("i32.const 1"), Setup::new());
    assert_eq!((ended.kind, ended.exit_code), (OutcomeKind::Exited, 1), "{ended:?}");
    let (ended, _) = run(&host, command("unreachable"), Setup::new());
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Unreachable), "{ended:?}");
    assert!(ended.backtrace[0].ends_with("!run"), "{ended:?}");
}

#[test]
fn a_components_memory_is_limited() {
    let grow = "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable";
    let setup = Setup::new().change(|config| config.limits.memory_bytes = 3 * 65536);
    let (ended, _) = run(&Host::new(), command(grow), setup);
    assert_eq!(
        (ended.kind, ended.limit, ended.limit_value),
        (OutcomeKind::Limit, LimitKind::Memory, 3 * 65536),
        "{ended:?}"
    );
    let setup = Setup::new().change(|config| config.limits.instances = 0);
    let (ended, _) = run(&Host::new(), command(grow), setup);
    assert_eq!(
        (ended.kind, ended.limit, ended.limit_value),
        (OutcomeKind::Limit, LimitKind::Instances, 0),
        "{ended:?}"
    );
}

/// An endless loop in a component yields by epoch, with a wake-up, and is stopped.
#[test]
fn a_component_yields_and_stops_by_epoch() {
    let host = Host::new();
    let program = host.program(command("(loop $l (br $l)) unreachable"));
    let (process, task) = (Process::new(), Task::new());
    process.decide(&[Decision::Continue, Decision::Yield, Decision::Yield, Decision::Stop]);
    let call = Setup::new().start(&program, &process).unwrap();
    let _ticker = Ticker::new(&host);
    let mut pending = 0;
    while call.poll(&task) == weft_engine::abi::Poll::Pending {
        pending += 1;
        assert!(task.is_woken(), "a yield of a component wakes its task");
        assert_eq!(call.waiting_for(), "");
    }
    assert_eq!(pending, 2);
    let ended = call.ended();
    assert_eq!(ended.kind, OutcomeKind::Stopped, "{ended:?}");
}

const FUNCTIONS: &str = r#"(component
    (core module $m
        (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "not") (param i32) (result i32) (i32.eqz (local.get 0))))
    (core instance $i (instantiate $m))
    (func $add (param "left" u32) (param "right" u32) (result u32) (canon lift (core func $i "add")))
    (func $not (param "value" bool) (result bool) (canon lift (core func $i "not")))
    (instance $logic (export "not" (func $not)))
    (export "add" (func $add)) (export "my:own/logic" (instance $logic)))"#;

/// Functions are called by name, also those of exported interfaces, with arguments in WAVE notation.
#[test]
fn functions_of_components_are_called_by_name() {
    let host = Host::new();
    let (ended, _) = run(&host, FUNCTIONS, Setup::new().entry("add").text_args(&["40", "2"]));
    assert_eq!(ended.results, "42", "{ended:?}");
    let (ended, _) = run(&host, FUNCTIONS, Setup::new().entry("my:own/logic#not").text_args(&["false"]));
    assert_eq!(ended.results, "true", "{ended:?}");
    let (program, process) = (host.program(FUNCTIONS), Process::new());
    let refuse = |setup: Setup<'_>, kind: ErrorKind, part: &str| {
        let failure = setup.start(&program, &process).err().expect("refused");
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    };
    refuse(
        Setup::new(),
        ErrorKind::NoEntryPoint,
        "does not export wasi:cli/run; its functions, to be called with --invoke, are: add",
    );
    refuse(
        Setup::new().entry("add").text_args(&["1"]),
        ErrorKind::BadArgument,
        "takes 2 arguments (left, right), not 1",
    );
    refuse(Setup::new().entry("add").text_args(&["1", "-1"]), ErrorKind::BadArgument, "parameter right of add");
}

#[test]
fn what_a_component_misses_is_named() {
    let host = Host::new();
    let wat = r#"(component (import "my:own/thing@1.0.0" (instance (export "f" (func)))))"#;
    let failure = host.link(&host.linker(), &host.compile(wat).unwrap()).err().unwrap();
    assert_eq!(failure.kind, ErrorKind::MissingImport);
    assert!(failure.message.contains("my:own/thing@1.0.0"), "{failure:?}");
}

/// A component that is dropped between two polls is unwound; nobody keeps its task.
#[test]
fn a_component_leaves_when_it_is_dropped_while_it_runs() {
    let host = Host::new();
    let program = host.program(command("(loop $l (br $l)) unreachable"));
    let (process, task) = (Process::new(), Task::new());
    process.decide(&[Decision::Yield]);
    let call = Setup::new().start(&program, &process).unwrap();
    let ticker = Ticker::new(&host);
    assert_eq!(call.poll(&task), weft_engine::abi::Poll::Pending);
    drop(ticker);
    drop(call);
    assert_eq!(task.references.load(Ordering::SeqCst), 0);
}
