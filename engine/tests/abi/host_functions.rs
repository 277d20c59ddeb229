//! Host functions of both kinds, defined through the ABI.

use crate::support::*;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use weft_engine::abi::{Poll, Val, ValKind};
use weft_engine::call::Counters;
use weft_engine::error::{Error, ErrorKind, weft_error_new};
use weft_engine::host_function::*;
use weft_engine::linker::*;
use weft_engine::outcome::{OutcomeKind, TrapCode};

/// What the functions below find as `env`.
#[derive(Default)]
struct Env {
    dropped: AtomicUsize,
    polls: AtomicUsize,
    ops_dropped: AtomicUsize,
    /// Polls that answer pending before one is ready.
    pending: AtomicUsize,
}

impl Env {
    fn pointer(&self) -> *mut c_void {
        (self as *const Env).cast_mut().cast()
    }
}

unsafe fn env<'a>(env: *mut c_void) -> &'a Env {
    unsafe { &*env.cast::<Env>() }
}

unsafe extern "C-unwind" fn drop_env(pointer: *mut c_void) {
    unsafe { env(pointer) }.dropped.fetch_add(1, Ordering::SeqCst);
}

/// Adds up all bytes of the memory between two addresses, and one argument of each other kind.
unsafe extern "C-unwind" fn sum(
    _: *mut c_void,
    process: *mut c_void,
    caller: *mut Caller,
    args: *const Val,
    nargs: usize,
    results: *mut Val,
    nresults: usize,
) -> *mut Error {
    assert!(!process.is_null());
    assert_eq!((nargs, nresults), (5, 2));
    let (args, results) = unsafe { (std::slice::from_raw_parts(args, 5), std::slice::from_raw_parts_mut(results, 2)) };
    let (mut base, mut size) = (null_mut(), 0);
    assert!(unsafe { weft_caller_memory(caller, &mut base, &mut size) });
    let memory = unsafe { std::slice::from_raw_parts(base, size) };
    let (from, to) = unsafe { (args[0].of.i32 as usize, args[1].of.i64 as usize) };
    if to > memory.len() {
        return unsafe { weft_error_new(ErrorKind::Host, text("beyond the memory")) };
    }
    let bytes: i64 = memory[from..to].iter().map(|byte| i64::from(*byte)).sum();
    unsafe {
        results[0].of.i64 = bytes + args[2].of.f32 as i64 + args[3].of.f64 as i64;
        results[1].of.v128 = args[4].of.v128;
    }
    null_mut()
}

fn define_sum(linker: &OwnedLinker, env: &Env) {
    let params = [ValKind::I32, ValKind::I64, ValKind::F32, ValKind::F64, ValKind::V128];
    let results = [ValKind::I64, ValKind::V128];
    let defined = unsafe {
        weft_linker_define(
            linker.0,
            text("host"),
            text("sum"),
            params.as_ptr(),
            params.len(),
            results.as_ptr(),
            results.len(),
            Some(sum),
            env.pointer(),
            Some(drop_env),
        )
    };
    check(defined).unwrap();
}

const CALL_SUM: &str = r#"(module (import "host" "sum" (func $sum (param i32 i64 f32 f64 v128) (result i64 v128)))
    (memory (export "memory") 1) (data (i32.const 8) "\01\02\03\04")
    (func (export "f") (param i64) (result i64 v128)
        (call $sum (i32.const 8) (local.get 0) (f32.const 100) (f64.const 1000) (v128.const i64x2 5 6))))"#;

/// Arguments and results of every kind, the memory, `env` and its release, and the count of host calls.
#[test]
fn an_immediate_function_sees_its_arguments_and_the_memory() {
    let host = Host::new();
    let (linker, env) = (host.linker(), Env::default());
    define_sum(&linker, &env);
    let program = host.link(&linker, &host.compile(CALL_SUM).unwrap()).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let mut counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
    let setup = Setup::new().entry("f").text_args(&["12"]).change(|config| config.counters = &mut counters);
    let call = setup.start(&program, &process).unwrap();
    let ended = call.finish(&process, &task);
    assert_eq!(ended.results, "1110 0x00000000000000060000000000000005", "{ended:?}");
    assert_eq!(counters.host_calls, 1);
    drop(call);
    // Its error is a trap with its message, and a backtrace of the caller.
    let call = Setup::new().entry("f").text_args(&["100000"]).start(&program, &process).unwrap();
    let ended = call.finish(&process, &task);
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Host));
    assert_eq!((ended.message.as_str(), ended.backtrace.len()), ("beyond the memory", 1));
    drop((call, linker));
    assert_eq!(env.dropped.load(Ordering::SeqCst), 0, "the program still uses it");
    drop(program);
    assert_eq!(env.dropped.load(Ordering::SeqCst), 1);
}

/// Pending as often as `env.pending` says, then 7 more than its argument, or a trap if that is negative. Leaves `env` as its op.
unsafe extern "C-unwind" fn slow(
    pointer: *mut c_void,
    _: *mut c_void,
    _: *mut Caller,
    op: *mut *mut c_void,
    args: *const Val,
    nargs: usize,
    results: *mut Val,
    nresults: usize,
    task: *mut c_void,
    error: *mut *mut Error,
) -> HostPoll {
    assert_eq!((nargs, nresults), (1, 1));
    assert!(!task.is_null());
    let env = unsafe { env(pointer) };
    let before = env.polls.fetch_add(1, Ordering::SeqCst);
    assert_eq!(unsafe { *op }.is_null(), before == 0, "the op is the one left behind by the poll before");
    unsafe { *op = pointer };
    if before < env.pending.load(Ordering::SeqCst) {
        return HostPoll::Pending;
    }
    let argument = unsafe { (*args).of.i32 };
    if argument < 0 {
        unsafe { *error = weft_error_new(ErrorKind::Host, text("negative")) };
        return HostPoll::Trap;
    }
    unsafe { (*results).of.i32 = argument + 7 };
    HostPoll::Ready
}

unsafe extern "C-unwind" fn drop_op(pointer: *mut c_void, process: *mut c_void, op: *mut c_void) {
    assert!(op == pointer && !process.is_null());
    unsafe { env(pointer) }.ops_dropped.fetch_add(1, Ordering::SeqCst);
}

struct Slow {
    // Before the engine.
    program: OwnedProgram,
    _host: Host,
    env: Box<Env>,
    process: Box<Process>,
    task: Box<Task>,
}

fn slow_program(pending: usize) -> Slow {
    let host = Host::new();
    let (linker, env) = (host.linker(), Box::<Env>::default());
    env.pending.store(pending, Ordering::SeqCst);
    let kinds = [ValKind::I32];
    let defined = unsafe {
        weft_linker_define_async(
            linker.0,
            text("host"),
            text("slow"),
            kinds.as_ptr(),
            1,
            kinds.as_ptr(),
            1,
            Some(slow),
            Some(drop_op),
            env.pointer(),
            Some(drop_env),
        )
    };
    check(defined).unwrap();
    let wat = r#"(module (import "host" "slow" (func $slow (param i32) (result i32)))
        (func $waits (param i32) (result i32) (call $slow (local.get 0)))
        (func (export "f") (param i32) (result i32) (call $waits (local.get 0))))"#;
    let program = host.link(&linker, &host.compile(wat).unwrap()).unwrap();
    Slow { program, _host: host, env, process: Process::new(), task: Task::new() }
}

impl Slow {
    fn start(&self, argument: &str) -> OwnedCall {
        Setup::new().entry("f").text_args(&[argument]).start(&self.program, &self.process).unwrap()
    }
}

#[test]
fn a_waiting_function_is_polled_until_it_is_ready() {
    let slow = slow_program(2);
    let call = slow.start("5");
    assert_eq!(call.poll(&slow.task), Poll::Pending);
    assert_eq!(call.waiting_for(), "host.slow");
    assert_eq!(call.poll(&slow.task), Poll::Pending);
    assert_eq!(slow.env.ops_dropped.load(Ordering::SeqCst), 0);
    assert_eq!(call.poll(&slow.task), Poll::Ready);
    assert_eq!(call.ended().results, "12");
    assert_eq!(call.waiting_for(), "");
    assert_eq!(slow.env.ops_dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_waiting_function_may_be_ready_at_once_or_trap() {
    let slow = slow_program(0);
    let call = slow.start("-1");
    assert_eq!(call.poll(&slow.task), Poll::Ready);
    assert_eq!(call.ended().message, "negative");
    assert_eq!(call.ended().backtrace.len(), 2);
    assert_eq!(slow.env.ops_dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_waiting_function_is_cancelled_exactly_once() {
    let slow = slow_program(100);
    let call = slow.start("1");
    assert_eq!(call.poll(&slow.task), Poll::Pending);
    assert_eq!(call.poll(&slow.task), Poll::Pending);
    drop(call);
    assert_eq!(slow.env.ops_dropped.load(Ordering::SeqCst), 1);
    assert_eq!(slow.env.polls.load(Ordering::SeqCst), 2);
}

/// More values than fit on the stack are passed as well.
#[test]
fn many_values_are_passed() {
    unsafe extern "C-unwind" fn last(
        _: *mut c_void,
        _: *mut c_void,
        _: *mut Caller,
        args: *const Val,
        nargs: usize,
        results: *mut Val,
        nresults: usize,
    ) -> *mut Error {
        for index in 0..nresults {
            unsafe { (*results.add(index)).of.i32 = (*args.add(nargs - 1 - index)).of.i32 };
        }
        null_mut()
    }
    let host = Host::new();
    let linker = host.linker();
    let kinds = [ValKind::I32; 40];
    let defined = unsafe {
        let (params, results) = ((kinds.as_ptr(), 40), (kinds.as_ptr(), 20));
        weft_linker_define(
            linker.0,
            text("host"),
            text("last"),
            params.0,
            params.1,
            results.0,
            results.1,
            Some(last),
            null_mut(),
            None,
        )
    };
    check(defined).unwrap();
    let (params, results) = ("i32 ".repeat(40), "i32 ".repeat(20));
    let values: String = (0..40).map(|value| format!("(i32.const {value}) ")).collect();
    let wat = format!(
        r#"(module (import "host" "last" (func $last (param {params}) (result {results})))
            (func (export "f") (result {results}) (call $last {values})))"#
    );
    let program = host.link(&linker, &host.compile(wat).unwrap()).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let ended = Setup::new().entry("f").start(&program, &process).unwrap().finish(&process, &task);
    let expected: Vec<String> = (20..40).rev().map(|value: i32| value.to_string()).collect();
    assert_eq!(ended.results, expected.join(" "));
}

/// All missing imports are listed, with what would provide them; a wrong type is told from a missing one; nothing is defined twice.
#[test]
fn imports_are_checked_when_linking() {
    let host = Host::new();
    let (linker, env) = (host.linker(), Env::default());
    define_sum(&linker, &env);
    let link = |wat: &str| host.link(&linker, &host.compile(wat).unwrap()).err().expect("refused");
    let failure = link(
        r#"(module (import "env" "first" (func)) (import "wasi" "thread-spawn" (func (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "no_such" (func)) (import "gojs" "runtime.wasmExit" (func (param i32))))"#,
    );
    assert_eq!(failure.kind, ErrorKind::MissingImport);
    assert_eq!(
        failure.message,
        "it imports env.first, which nobody provides: a program that embeds it would have to, as a host function (and 3 more)"
    );
    for part in ["wasi.thread-spawn: threads need a shared memory", "no_such: WASI preview 1 has no", "GOOS=wasip1"] {
        assert!(failure.detail.contains(part), "{failure:?}");
    }
    let failure = link(r#"(module (import "host" "sum" (func (param i32))))"#);
    assert_eq!(failure.kind, ErrorKind::MissingImport);
    assert!(failure.message.contains("another type") && failure.message.contains("host::sum"), "{failure:?}");

    let again = unsafe {
        weft_linker_define(
            linker.0,
            text("host"),
            text("sum"),
            std::ptr::null(),
            0,
            std::ptr::null(),
            0,
            Some(sum),
            env.pointer(),
            Some(drop_env),
        )
    };
    assert_eq!(check(again).unwrap_err().message, "the host function host.sum is defined twice");
    assert_eq!(env.dropped.load(Ordering::SeqCst), 1, "the second env is released at once");
}

/// Names are chosen by guests: those that terminals would obey, span lines or never end are shown harmlessly.
#[test]
fn hostile_names_are_shown_harmlessly() {
    let host = Host::new();
    let long = "x".repeat(90_000);
    let wat = format!(r#"(module (import "\1b[2J\nroot:" "{long}" (func)))"#);
    let failure = host.link(&host.linker(), &host.compile(wat).unwrap()).err().unwrap();
    assert!(!failure.message.contains(char::is_control) && failure.message.len() < 2000, "{failure:?}");
    assert!(failure.detail.len() < 2000);
    let wat = format!(r#"(module (func $a (@name "\1b[31m{long}") unreachable) (func (export "_start") call $a))"#);
    let (ended, _) = run(&host, wat, Setup::new());
    assert_eq!(ended.backtrace.len(), 2);
    assert!(!ended.backtrace[0].contains(char::is_control) && ended.backtrace[0].len() < 2000);
}

/// A host function may look at the stack that called it.
#[test]
fn a_host_function_sees_the_guests_stack() {
    static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    unsafe extern "C-unwind" fn look(
        _: *mut c_void,
        _: *mut c_void,
        caller: *mut Caller,
        _: *const Val,
        _: usize,
        _: *mut Val,
        _: usize,
    ) -> *mut Error {
        let backtrace = unsafe { weft_caller_backtrace(caller) };
        *SEEN.lock().unwrap() = frames(backtrace);
        unsafe { weft_engine::backtrace::weft_backtrace_free(backtrace) };
        null_mut()
    }
    let host = Host::new();
    let linker = host.linker();
    let none = std::ptr::null();
    let defined = unsafe {
        weft_linker_define(linker.0, text("host"), text("look"), none, 0, none, 0, Some(look), null_mut(), None)
    };
    check(defined).unwrap();
    let wat = r#"(module (import "host" "look" (func $look)) (func $inner call $look) (func $outer call $inner)
        (export "_start" (func $outer)))"#;
    let program = host.link(&linker, &host.compile(wat).unwrap()).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let ended = Setup::new().start(&program, &process).unwrap().finish(&process, &task);
    assert_eq!(ended.kind, OutcomeKind::Returned);
    assert_eq!(*SEEN.lock().unwrap(), ["test.wasm!inner", "test.wasm!outer"]);
}

/// A host function replaces one of preview 1 of the same name.
#[test]
fn wasi_functions_can_be_replaced() {
    unsafe extern "C-unwind" fn answer(
        _: *mut c_void,
        _: *mut c_void,
        _: *mut Caller,
        _: *const Val,
        _: usize,
        results: *mut Val,
        _: usize,
    ) -> *mut Error {
        unsafe { (*results).of.i32 = 42 };
        null_mut()
    }
    let host = Host::new();
    let linker = host.linker();
    let kinds = [ValKind::I32];
    let (module, name) = (text("wasi_snapshot_preview1"), text("sched_yield"));
    let defined = unsafe {
        weft_linker_define(linker.0, module, name, kinds.as_ptr(), 0, kinds.as_ptr(), 1, Some(answer), null_mut(), None)
    };
    check(defined).unwrap();
    let wat = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1) (func (export "f") (result i32) call $yield))"#;
    let program = host.link(&linker, &host.compile(wat).unwrap()).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let ended = Setup::new().entry("f").start(&program, &process).unwrap().finish(&process, &task);
    assert_eq!(ended.results, "42");
}
