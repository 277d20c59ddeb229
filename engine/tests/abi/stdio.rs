//! Standard streams through the hooks.

use crate::support::*;
use std::sync::atomic::Ordering;
use weft_engine::abi::Poll;
use weft_engine::hooks::{WRITE_CLOSED, WRITE_STOP};
use weft_engine::outcome::{LimitKind, OutcomeKind};
use weft_engine::wasi::{Stdin, weft_wasi_config_stdin};

/// Writes "hello, stream\n" to a descriptor; returns errno and the number of bytes.
const WRITE: &str = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 100) "hello, stream\n")
    (func (export "write") (param i32) (result i32 i32)
      (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 14))
      (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.load (i32.const 8))))"#;

#[test]
fn output_and_errors_go_to_the_write_hook() {
    let host = Host::new();
    let (ended, process) = run(&host, WRITE, Setup::new().entry("write").text_args(&["1"]));
    assert_eq!((ended.results.as_str(), process.output().as_str()), ("0 14", "hello, stream\n"));
    let (ended, process) = run(&host, WRITE, Setup::new().entry("write").text_args(&["2"]));
    assert_eq!(ended.results, "0 14");
    assert_eq!(*process.errors.lock().unwrap(), b"hello, stream\n");
}

fn start(host: &Host, process: &Process) -> (OwnedProgram, OwnedCall) {
    let program = host.program(WRITE);
    let call = Setup::new().entry("write").text_args(&["1"]).start(&program, process).unwrap();
    (program, call)
}

/// A full buffer parks the guest until the host has room; a hook that takes less than it promised loses nothing.
#[test]
fn a_full_buffer_is_back_pressure() {
    let host = Host::new();
    let (process, task) = (Process::new(), Task::new());
    process.room.lock().unwrap().extend([0, 14, 0]);
    // Five bytes; then none, each time that it is tried before there is room again.
    process.writes.lock().unwrap().extend([5, 0, 0, 0]);
    let (_program, call) = start(&host, &process);
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(call.waiting_for(), "wasi fd_write");
    assert_eq!(process.waiting_task.load(Ordering::SeqCst), task.pointer());
    assert_eq!(process.output(), "");
    assert_eq!(call.poll(&task), Poll::Pending, "five bytes were taken, for the rest there was no room");
    assert_eq!(process.output(), "hello");
    let mut polls = 0;
    while call.poll(&task) == Poll::Pending {
        polls += 1;
        assert!(polls < 10);
    }
    assert_eq!((call.ended().results.as_str(), process.output().as_str()), ("0 14", "hello, stream\n"));
}

/// A reader that is gone is a broken pipe for the guest (errno 64), not its end.
#[test]
fn a_closed_reader_is_a_broken_pipe() {
    let host = Host::new();
    for asked in [true, false] {
        let (process, task) = (Process::new(), Task::new());
        if asked {
            process.room.lock().unwrap().extend([WRITE_CLOSED; 4]);
        } else {
            process.writes.lock().unwrap().push_back(WRITE_CLOSED);
        }
        let (_program, call) = start(&host, &process);
        let ended = call.finish(&process, &task);
        assert_eq!((ended.kind, ended.results.as_str()), (OutcomeKind::Returned, "64 0"), "{ended:?}");
    }
}

#[test]
fn the_output_limit_ends_the_process() {
    let host = Host::new();
    let (process, task) = (Process::new(), Task::new());
    process.writes.lock().unwrap().push_back(WRITE_STOP);
    let (_program, call) = start(&host, &process);
    let ended = call.finish(&process, &task);
    assert_eq!((ended.kind, ended.limit), (OutcomeKind::Limit, LimitKind::Output), "{ended:?}");
}

/// Reads twice at most 4 bytes from standard input; returns errno, count and the bytes as a number, twice.
const READ: &str = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $once (result i32 i32)
      (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 4))
      (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.load (i32.const 8)))
    (func (export "read") (result i32 i32 i32 i32 i32 i32) call $once call $once call $once))"#;

#[test]
fn input_comes_from_the_read_hook() {
    let host = Host::new();
    let wasi = wasi(|config| {
        unsafe { weft_wasi_config_stdin(config, Stdin::Hook) };
        std::ptr::null_mut()
    });
    let (program, process, task) = (host.program(READ), Process::new(), Task::new());
    process.input.lock().unwrap().extend([None, Some(b"abcdef".to_vec())]);
    let call = Setup::new().entry("read").wasi(&wasi).start(&program, &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(call.waiting_for(), "wasi fd_read");
    assert_eq!(call.poll(&task), Poll::Ready);
    assert_eq!(call.ended().results, "0 4 0 2 0 0", "six bytes, then the end");
}

#[test]
fn without_input_there_is_the_end_of_it() {
    let (ended, _) = run(&Host::new(), READ, Setup::new().entry("read"));
    assert_eq!(ended.results, "0 0 0 0 0 0");
}
