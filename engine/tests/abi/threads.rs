//! The first thread of a program with shared memory: what it waits for goes through the functions that threads share.

use crate::support::*;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;
use weft_engine::abi::Poll;
use weft_engine::hooks::{FutexPoll, FutexWait};
use weft_engine::outcome::OutcomeKind;
use weft_engine::wasi::{Stdin, weft_wasi_config_stdin};

/// Reads, writes what it read, sleeps, waits on a word, opens what is not there. Returns each function's answer, and what it read.
const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "env" "memory" (memory 1 1 shared))
    (data (i32.const 0) "\0b") (data (i32.const 16) "\01") (data (i32.const 24) "\f4\01")
    (data (i32.const 400) "\00\02\00\00\02\00\00\00")
    (func (export "f") (result i32 i32 i32 i32 i32 i32 i32)
      (call $read (i32.const 0) (i32.const 400) (i32.const 1) (i32.const 416))
      (call $write (i32.const 1) (i32.const 400) (i32.const 1) (i32.const 416))
      (call $poll (i32.const 0) (i32.const 304) (i32.const 1) (i32.const 208))
      (memory.atomic.wait32 (i32.const 420) (i32.const 0) (i64.const 100))
      (call $close (i32.const 0))
      (call $read (i32.const 0) (i32.const 400) (i32.const 1) (i32.const 416))
      (i32.load8_u (i32.const 304))))"#;

/// Pending once.
unsafe extern "C-unwind" fn futex_wait(
    process: *mut c_void,
    wait: *const FutexWait,
    _: *mut c_void,
    op: *mut *mut c_void,
) -> FutexPoll {
    let wait = unsafe { &*wait };
    assert_eq!((wait.guest_address, wait.bytes, wait.expected, wait.timeout_ns), (420, 4, 0, 100));
    let first = unsafe { (*op).is_null() };
    unsafe { *op = if first { process } else { null_mut() } };
    if first { FutexPoll::Pending } else { FutexPoll::TimedOut }
}

unsafe extern "C-unwind" fn futex_drop(_: *mut c_void, _: *mut c_void) {
    panic!("the hook took its op back");
}

unsafe extern "C-unwind" fn futex_notify(_: *mut c_void, _: *const c_void, _: u32) -> u32 {
    0
}

unsafe extern "C-unwind" fn thread_spawn(_: *mut c_void, _: i32) -> i32 {
    -1
}

#[test]
fn a_thread_waits_by_name_and_goes_on() {
    let host = Host::with(|config| {
        config.hooks.futex_wait = Some(futex_wait);
        config.hooks.futex_drop = Some(futex_drop);
        config.hooks.futex_notify = Some(futex_notify);
        config.hooks.thread_spawn = Some(thread_spawn);
    });
    let (program, process, task) = (host.program(GUEST), Process::new(), Task::new());
    process.input.lock().unwrap().extend([None, Some(b"hi".to_vec())]);
    process.room.lock().unwrap().extend([0]);
    process.writes.lock().unwrap().extend([1, 0]);
    let wasi = wasi(|config| {
        unsafe { weft_wasi_config_stdin(config, Stdin::Hook) };
        null_mut()
    });
    let call = Setup::new().entry("f").wasi(&wasi).start(&program, &process).unwrap();
    for name in ["wasi fd_read", "wasi fd_write", "wasi poll_oneoff"] {
        assert_eq!((call.poll(&task), call.waiting_for()), (Poll::Pending, name.to_string()));
    }
    process.now_ns.store(1_000_000_500, Ordering::SeqCst);
    assert_eq!((call.poll(&task), call.waiting_for()), (Poll::Pending, "memory.atomic.wait32".to_string()));
    assert_eq!(call.poll(&task), Poll::Ready);
    let ended = call.ended();
    assert_eq!(ended.kind, OutcomeKind::Returned, "{ended:?}");
    // 8 = there is no such descriptor, once it is closed.
    assert_eq!((ended.results.as_str(), process.output().as_str()), ("0 0 0 2 0 8 11", "hi"));
}
