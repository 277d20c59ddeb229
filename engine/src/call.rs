//! Calls: one process's main call, from its store to its outcome, polled by whoever schedules it.

use crate::abi::{Poll, Str, Val};
use crate::backtrace::Backtrace;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::program::Program;
use crate::wasi::WasiConfig;
use std::ffi::c_void;

/// No limit.
pub const UNLIMITED: u64 = u64::MAX;

/// What one process may use. `weft_call_config_default` sets all of them to `WEFT_UNLIMITED`. Growing beyond one ends the process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    /// All linear memories together.
    pub memory_bytes: u64,
    /// All tables together.
    pub table_elements: u64,
    pub instances: u64,
    pub memories: u64,
    pub tables: u64,
    /// Executed instructions, roughly; needs an engine with `fuel`.
    pub fuel: u64,
}

/// Owned by the C++ side and kept alive until the call is dropped. Written by the thread that polls the call, with relaxed atomic stores, readable from any thread with relaxed
/// atomic loads; publishes nothing else.
#[repr(C)]
pub struct Counters {
    /// Size of all linear memories together.
    pub memory_bytes: u64,
    /// The most that was.
    pub memory_bytes_max: u64,
    /// Host functions called: WASI preview 1 and those of the linker (WASI calls of components are not counted).
    pub host_calls: u64,
    /// Fuel used; brought up to date at epoch checks and at the end.
    pub fuel_consumed: u64,
}

/// How to start a process. Fill it with `weft_call_config_default` first. Everything in it is borrowed for `weft_call_new` only, except `counters`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CallConfig {
    /// What the process sees of the world; NULL = nothing, and a program that imports WASI then sees an empty world.
    pub wasi: *const WasiConfig,
    /// The exported function to call; empty = `_start`, or `wasi:cli/run` of a component. A reactor's `_initialize` is called before it.
    pub entry: Str,
    /// Values to pass, for core modules. Either these, or `text_args`.
    pub args: *const Val,
    pub nargs: usize,
    /// Values to pass, as text, read according to the function's type: numbers for core modules, WAVE notation for components.
    pub text_args: *const Str,
    pub ntext_args: usize,
    pub limits: Limits,
    /// May be NULL.
    pub counters: *mut Counters,
}

/// The main call of one process. Used by one thread at a time, except where said otherwise.
pub struct Call {}

/// Receives a backtrace, exactly once: the guest's stack, or NULL if the call ended first or could not look at its stack. Borrowed for the call. From the
/// thread that polls or drops the call.
pub type BacktraceFn = Option<unsafe extern "C-unwind" fn(context: *mut c_void, backtrace: *const Backtrace)>;

/// Writes the default settings to `config`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_config_default(config: *mut CallConfig) {
    todo!()
}

/// Prepares a call; nothing of the guest runs before the first poll, and no slot of the pool is taken. `process` is passed to all hooks. Errors: NoEntryPoint, BadArgument. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_new(program: *const Program, config: *const CallConfig, process: *mut c_void, call: *mut *mut Call) -> *mut Error {
    todo!()
}

/// Runs the call until it ends (ready) or waits (pending). `task` is borrowed for the poll; wakers that outlive it retain it. Not called again after ready. On a thread that has
/// entered the engine; another poll may be on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_poll(call: *mut Call, task: *mut c_void) -> Poll {
    todo!()
}

/// Ends the call wherever it is, and frees it; NULL is allowed. Its stack is unwound, waiting host functions are cancelled. On a thread that has entered the engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_drop(call: *mut Call) {
    todo!()
}

/// How the call ended; only after ready. Borrowed until the call is dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_outcome(call: *const Call, outcome: *mut Outcome) {
    todo!()
}

/// After a pending poll: the host function that is waited in ("wasi poll_oneoff", "env.my_function"); empty if the call yielded. Lives as long as the program. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_waiting_for(call: *const Call) -> Str {
    todo!()
}

/// Asks for the guest's stack, taken at the next epoch check or at the next poll while the guest waits in a host function: so wake the task and increment the
/// epoch after this. False if another request is under way, or the call ended. Any thread, while the call is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_request_backtrace(call: *const Call, callback: BacktraceFn, context: *mut c_void) -> bool {
    todo!()
}
