//! Core modules from start to end: returning, exiting, trapping, with values, with WASI.

use crate::support::*;
use std::sync::atomic::Ordering;
use weft_engine::abi::{Val, ValKind, ValPayload};
use weft_engine::error::ErrorKind;
use weft_engine::outcome::{OutcomeKind, TrapCode};
use weft_engine::wasi::*;

#[test]
fn a_command_returns() {
    let (ended, _) = run(&Host::new(), r#"(module (func (export "_start")))"#, Setup::new());
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    assert_eq!(ended.results, "");
}

/// Every exit code reaches the host unchanged, also 0 and those that wasmtime-wasi refuses; an exit has no backtrace.
#[test]
fn a_command_exits_with_its_code() {
    let host = Host::new();
    for code in [0, 3, 125, 126, 255, -1] {
        let wat = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {code})) unreachable))"#
        );
        let (ended, _) = run(&host, wat, Setup::new());
        assert_eq!((ended.kind, ended.exit_code), (OutcomeKind::Exited, code));
        assert_eq!(ended.backtrace, [] as [&str; 0]);
    }
}

/// A start function may exit and trap as well.
#[test]
fn a_start_function_exits_and_traps() {
    let host = Host::new();
    let exits = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func $s (call $exit (i32.const 7))) (start $s) (func (export "_start")))"#;
    let (ended, _) = run(&host, exits, Setup::new());
    assert_eq!((ended.kind, ended.exit_code), (OutcomeKind::Exited, 7));
    let traps = r#"(module (func $boom unreachable) (start $boom) (func (export "_start")))"#;
    let (ended, _) = run(&host, traps, Setup::new());
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Unreachable), "{ended:?}");
    assert_eq!(ended.backtrace, ["test.wasm!boom"]);
}

#[test]
fn a_trap_has_a_name_a_message_and_a_symbolized_backtrace() {
    let wat = r#"(module (memory 1)
        (func $_ZN4core3ops8function6FnOnce9call_once17h0123456789abcdefE (drop (i32.load (i32.const 1000000))))
        (func $middle call $_ZN4core3ops8function6FnOnce9call_once17h0123456789abcdefE)
        (func (export "_start") call $middle))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new());
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::MemoryOutOfBounds), "{ended:?}");
    assert_eq!(ended.trap_name, "out of bounds memory access");
    assert!(ended.message.contains("0xf4240"), "the address is in the message: {}", ended.message);
    assert_eq!(ended.backtrace[0], "test.wasm!core::ops::function::FnOnce::call_once");
    assert_eq!(ended.backtrace[1], "test.wasm!middle");
    assert_eq!(ended.backtrace.len(), 3);
}

#[test]
fn every_kind_of_value_goes_in_and_out() {
    let host = Host::new();
    let wat = r#"(module (func (export "swap") (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)
        local.get 4 local.get 3 local.get 2 local.get 1 local.get 0))"#;
    let texts = ["-1", "0x10", "1.5", "-inf", "0xff"];
    let (ended, _) = run(&host, wat, Setup::new().entry("swap").text_args(&texts));
    assert_eq!(ended.results, "0x000000000000000000000000000000ff -inf 1.5 16 -1");
    let values = [
        Val { kind: ValKind::I32, of: ValPayload { i32: 5 } },
        Val { kind: ValKind::I64, of: ValPayload { i64: -6 } },
        Val { kind: ValKind::F32, of: ValPayload { f32: 0.5 } },
        Val { kind: ValKind::F64, of: ValPayload { f64: 0.25 } },
        Val { kind: ValKind::V128, of: ValPayload { v128: [1; 16] } },
    ];
    let (ended, _) = run(&host, wat, Setup::new().entry("swap").args(&values));
    assert_eq!(ended.results, "0x01010101010101010101010101010101 0.25 0.5 -6 5");
}

/// What cannot be called, or not so, is refused before anything runs, with a message that says what would be right.
#[test]
fn wrong_entries_and_arguments_are_refused() {
    let host = Host::new();
    let program = host.program(r#"(module (func (export "add") (param i32 i32) (result i32) i32.const 0) (func (export "r") (param externref)))"#);
    let process = Process::new();
    let refuse = |setup: Setup<'_>, kind: ErrorKind, part: &str| {
        let failure = setup.start(&program, &process).err().expect("refused");
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    };
    refuse(
        Setup::new(),
        ErrorKind::NoEntryPoint,
        "does not export _start; its functions, to be called with --invoke, are: add, r",
    );
    refuse(Setup::new().entry("sub"), ErrorKind::NoEntryPoint, "does not export a function sub");
    refuse(Setup::new().entry("add"), ErrorKind::BadArgument, "(i32, i32) -> (i32): it takes 2 arguments, not 0");
    refuse(
        Setup::new().entry("add").text_args(&["1", "x"]),
        ErrorKind::BadArgument,
        "\"x\" is not a value of type i32",
    );
    refuse(Setup::new().entry("add").text_args(&["1", "4294967296"]), ErrorKind::BadArgument, "4294967296");
    refuse(Setup::new().entry("r").text_args(&["null"]), ErrorKind::BadArgument, "takes a reference");
    let values = [Val { kind: ValKind::I64, of: ValPayload { i64: 0 } }; 2];
    refuse(Setup::new().entry("add").args(&values), ErrorKind::BadArgument, "argument 1 of add has to be of type i32");
    refuse(Setup::new().entry("add").change(|config| config.limits.fuel = 5), ErrorKind::BadArgument, "fuel");
}

/// A reactor is initialised before the function that was asked for.
#[test]
fn a_reactor_is_initialised_first() {
    let wat = r#"(module (global $g (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $g (i32.const 41)))
        (func (export "next") (result i32) (i32.add (global.get $g) (i32.const 1))))"#;
    let (ended, _) = run(&Host::new(), wat, Setup::new().entry("next"));
    assert_eq!(ended.results, "42");
}

/// Arguments and environment reach the guest: it adds up the sizes that preview 1 reports.
#[test]
fn arguments_and_environment_reach_the_guest() {
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "sizes") (result i32 i32 i32 i32)
            (drop (call $args (i32.const 0) (i32.const 4))) (drop (call $env (i32.const 8) (i32.const 12)))
            (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.load (i32.const 12))))"#;
    let wasi = wasi(|config| unsafe {
        check(weft_wasi_config_arg(config, text("prog"))).unwrap();
        check(weft_wasi_config_arg(config, text("x"))).unwrap();
        check(weft_wasi_config_env(config, text("A"), text("old"))).unwrap();
        weft_wasi_config_env(config, text("A"), text("1"))
    });
    let (ended, process) = run(&Host::new(), wat, Setup::new().entry("sizes").wasi(&wasi));
    assert_eq!(ended.results, "2 7 1 4");
    assert_eq!(process.epoch_checks.load(Ordering::SeqCst), 0);
}

#[test]
fn a_wrong_wasi_configuration_is_refused() {
    let config = wasi(|_| std::ptr::null_mut());
    let failure =
        check(unsafe { weft_wasi_config_dir(config.0, text("/no/such/place"), text("/"), true) }).unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Io, "/no/such/place: no such file or directory"));
    let file = std::env::current_exe().unwrap();
    let failure =
        check(unsafe { weft_wasi_config_dir(config.0, text(file.to_str().unwrap()), text("/"), true) }).unwrap_err();
    assert!(failure.message.ends_with(": not a directory"), "{failure:?}");
    let failure = check(unsafe { weft_wasi_config_arg(config.0, text("a\0b")) }).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::BadArgument);
    let failure = check(unsafe { weft_wasi_config_env(config.0, text("A=B"), text("")) }).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::BadArgument);
}
