//! Host functions: what a guest may import besides WASI.

use crate::abi::{Str, Val, ValKind};
use crate::backtrace::Backtrace;
use crate::engine::Engine;
use crate::error::Error;
use std::ffi::c_void;

/// A set of host functions. Filled by one thread, then used by any.
pub struct Linker {}

/// The guest that called a host function; valid only during that call.
pub struct Caller {}

/// Answer of a host function that may wait.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPoll {
    /// The results are written.
    Ready = 0,
    /// The task was registered and will be woken.
    Pending = 1,
    /// The call of the guest ends as trapped, with the error's message.
    Trap = 2,
}

/// An immediate host function. Returns NULL, or an error (owned by the engine from then on) that ends the guest's call. `results` has `nresults` values of the
/// declared kinds, all zero. Runs on the guest's stack: keep stack use below 32 KiB, do not park, do not throw.
pub type HostFn = Option<
    unsafe extern "C-unwind" fn(env: *mut c_void, process: *mut c_void, caller: *mut Caller, args: *const Val, nargs: usize, results: *mut Val, nresults: usize) -> *mut Error,
>;

/// A host function that may wait. First called with `*op` NULL; while it answers pending it is called again, with the same arguments and `op`, after `task`
/// was woken (or without reason). With `WEFT_HOST_POLL_TRAP` it sets `*error`. Rules of `weft_host_fn` apply.
pub type HostPollFn = Option<
    unsafe extern "C-unwind" fn(
        env: *mut c_void,
        process: *mut c_void,
        caller: *mut Caller,
        op: *mut *mut c_void,
        args: *const Val,
        nargs: usize,
        results: *mut Val,
        nresults: usize,
        task: *mut c_void,
        error: *mut *mut Error,
    ) -> HostPoll,
>;

/// Releases the state of a host function that may wait: called exactly once for each `op` that is not NULL when the function was ready, trapped or was cancelled.
/// From the thread that polls or drops the call.
pub type HostDropFn = Option<unsafe extern "C-unwind" fn(env: *mut c_void, process: *mut c_void, op: *mut c_void)>;

/// Releases `env` when the last program that uses it is gone. Any thread. May be NULL.
pub type EnvDropFn = Option<unsafe extern "C-unwind" fn(env: *mut c_void)>;

/// Makes an empty set. WASI needs no entry here: it is added to programs that import it. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_new(engine: *const Engine, linker: *mut *mut Linker) -> *mut Error {
    todo!()
}

/// Frees the set; NULL is allowed. Programs made from it stay valid. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_free(linker: *mut Linker) {
    todo!()
}

/// Defines an immediate host function for core modules. On failure `drop_env` is called before this returns. Errors: BadArgument (defined twice, a name that is not UTF-8, `function` NULL).
/// One thread at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_define(
    linker: *mut Linker,
    module: Str,
    name: Str,
    params: *const ValKind,
    nparams: usize,
    results: *const ValKind,
    nresults: usize,
    function: HostFn,
    env: *mut c_void,
    drop_env: EnvDropFn,
) -> *mut Error {
    todo!()
}

/// Defines a host function that may wait. `drop_op` may be NULL if `op` is never set. Otherwise like `weft_linker_define`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_define_async(
    linker: *mut Linker,
    module: Str,
    name: Str,
    params: *const ValKind,
    nparams: usize,
    results: *const ValKind,
    nresults: usize,
    poll: HostPollFn,
    drop_op: HostDropFn,
    env: *mut c_void,
    drop_env: EnvDropFn,
) -> *mut Error {
    todo!()
}

/// The memory that the calling guest exports as "memory": false if it exports none. Valid until the host function returns (ready or pending). In a host function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_caller_memory(caller: *mut Caller, base: *mut *mut u8, size: *mut usize) -> bool {
    todo!()
}

/// The guest's stack at this host call, owned by whoever asks (`weft_backtrace_free`). In a host function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_caller_backtrace(caller: *mut Caller) -> *mut Backtrace {
    todo!()
}
