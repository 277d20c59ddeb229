//! What the engine costs, through its C ABI: one resume + suspend of a call, by `sched_yield` and by epoch, and one process from spawn to exit.
//!
//! cargo run --release -p weft-engine --example switch [CALLS...]      (default: 1 1000)
//!
//! Medians of several rounds, on one thread. Run it with `perf record` to see where the time goes.

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::null_mut;
use std::time::Instant;
use weft_engine::abi::{Poll, Str, Val};
use weft_engine::call::*;
use weft_engine::engine::*;
use weft_engine::error::*;
use weft_engine::hooks::{Decision, Hooks};
use weft_engine::host_function::*;
use weft_engine::linker::*;
use weft_engine::module::*;
use weft_engine::program::*;

/// Yields by host call, and by epoch, for ever; and does nothing at all.
const GUEST: &str = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "host" "tick" (func $tick)) (memory (export "memory") 1)
    (func (export "by_call") (loop $l (drop (call $yield)) (br $l)))
    (func (export "by_epoch") (loop $l (call $tick) (br $l))))"#;
const EMPTY: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
/// The same with WASI: its state is made and dropped as well.
const EMPTY_WASI: &str = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 0))))"#;

const ROUNDS: usize = 9;

unsafe extern "C-unwind" fn ignore(_: *mut c_void) {}
unsafe extern "C-unwind" fn yields(_: *mut c_void) -> Decision {
    Decision::Yield
}

unsafe extern "C-unwind" fn tick(
    engine: *mut c_void,
    _: *mut c_void,
    _: *mut Caller,
    _: *const Val,
    _: usize,
    _: *mut Val,
    _: usize,
) -> *mut Error {
    unsafe { weft_engine_increment_epoch(engine.cast()) };
    null_mut()
}

fn text(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), size: text.len() }
}

fn check(error: *mut Error) {
    if !error.is_null() {
        let message = unsafe { weft_error_message(error) };
        let bytes = unsafe { std::slice::from_raw_parts(message.data.cast::<u8>(), message.size) };
        panic!("{}", String::from_utf8_lossy(bytes));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Host {
    engine: *mut Engine,
    linker: *mut Linker,
}

impl Host {
    fn new(slots: usize) -> Host {
        let mut config = std::mem::MaybeUninit::<EngineConfig>::uninit();
        let mut config = unsafe {
            weft_engine_config_default(config.as_mut_ptr());
            config.assume_init()
        };
        config.slots_max = slots as u32;
        config.hooks = Hooks {
            task_wake: Some(ignore),
            task_retain: Some(ignore),
            task_release: Some(ignore),
            epoch: Some(yields),
            yield_now: Some(ignore),
            ..config.hooks
        };
        let (mut engine, mut linker) = (null_mut(), null_mut());
        check(unsafe { weft_engine_new(&config, &mut engine) });
        check(unsafe { weft_linker_new(engine, &mut linker) });
        let (none, env) = (std::ptr::null(), engine.cast());
        check(unsafe {
            weft_linker_define(linker, text("host"), text("tick"), none, 0, none, 0, Some(tick), env, None)
        });
        Host { engine, linker }
    }

    fn program(&self, wat: &str) -> *mut Program {
        let (mut module, mut program) = (null_mut(), null_mut());
        check(unsafe { weft_module_compile(self.engine, wat.as_ptr(), wat.len(), std::ptr::null(), &mut module) });
        check(unsafe { weft_program_new(self.linker, module, &mut program) });
        unsafe { weft_module_free(module) };
        program
    }
}

fn start(program: *mut Program, entry: &str) -> *mut Call {
    let mut config = std::mem::MaybeUninit::<CallConfig>::uninit();
    let mut config = unsafe {
        weft_call_config_default(config.as_mut_ptr());
        config.assume_init()
    };
    config.entry = text(entry);
    let mut call = null_mut();
    check(unsafe { weft_call_new(program, &config, null_mut(), &mut call) });
    call
}

/// Nanoseconds for a poll, that is a resume and a suspend. By epoch, the guest itself sees to the tick that its next check finds, by an immediate host call, which is in the figure.
fn switch(program: *mut Program, entry: &str, calls: usize) -> f64 {
    let calls: Vec<*mut Call> = (0..calls).map(|_| start(program, entry)).collect();
    let sweep = || {
        for call in &calls {
            assert_eq!(black_box(unsafe { weft_call_poll(*call, null_mut()) }), Poll::Pending);
        }
    };
    sweep();
    let sweeps = (200_000 / calls.len()).max(10);
    let rounds = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        (0..sweeps).for_each(|_| sweep());
        begin.elapsed().as_nanos() as f64 / (sweeps * calls.len()) as f64
    });
    let result = median(rounds.collect());
    calls.into_iter().for_each(|call| unsafe { weft_call_drop(call) });
    result
}

/// Nanoseconds for a process: made, run to its end, dropped.
fn spawn(program: *mut Program) -> f64 {
    let count = 20_000;
    let rounds = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        for _ in 0..count {
            let call = start(program, "");
            assert_eq!(unsafe { weft_call_poll(call, null_mut()) }, Poll::Ready);
            unsafe { weft_call_drop(call) };
        }
        begin.elapsed().as_nanos() as f64 / f64::from(count)
    });
    median(rounds.collect())
}

fn main() {
    let mut counts: Vec<usize> =
        std::env::args().skip(1).map(|count| count.parse().expect("a number of calls")).collect();
    if counts.is_empty() {
        counts = vec![1, 1000];
    }
    let host = Host::new(counts.iter().max().unwrap() + 8);
    let guard = unsafe { weft_engine_enter(host.engine) };
    let guest = host.program(GUEST);
    for count in counts {
        println!("{count:>6} calls: {:7.1} ns a switch by sched_yield", switch(guest, "by_call", count));
        println!("{count:>6} calls: {:7.1} ns a switch by epoch", switch(guest, "by_epoch", count));
    }
    let (empty, wasi) = (host.program(EMPTY), host.program(EMPTY_WASI));
    println!("spawn + run + exit: {:7.0} ns, with WASI {:7.0} ns", spawn(empty), spawn(wasi));
    unsafe {
        [guest, empty, wasi].into_iter().for_each(|program| weft_program_free(program));
        weft_enter_guard_free(guard);
        weft_linker_free(host.linker);
        weft_engine_free(host.engine);
    }
}
