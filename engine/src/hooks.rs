//! What the engine asks of the C++ side while a guest runs: scheduling decisions, wake-ups, output, sleep, time.

use crate::abi::{Poll, Val};
use crate::error::Error;
use std::ffi::c_void;

/// What a running guest does at an epoch check.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Continue = 0,
    /// Leave the worker: the poll under way returns pending, nothing is woken (whoever answers so re-queues the task).
    Yield = 1,
    /// End the call: its outcome becomes `WEFT_OUTCOME_KIND_STOPPED`.
    Stop = 2,
}

/// Answer of the `write` hook: the reader of the stream is gone; the guest sees a broken pipe.
pub const WRITE_CLOSED: i64 = -1;
/// Answer of the `write` and `write_ready` hooks: the limit on buffered output is reached; the call ends with `WEFT_LIMIT_OUTPUT`.
pub const WRITE_STOP: i64 = -2;
/// Answer of the `read` hook: nothing yet; the task was registered and will be woken.
pub const READ_PENDING: i64 = -1;

/// Answer of the `futex_wait` hook.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutexPoll {
    /// A `futex_notify` took it out of the queue.
    Woken = 0,
    /// The word was not what the guest expected.
    NotEqual = 1,
    /// The time is over.
    TimedOut = 2,
    /// It is queued; the task will be woken.
    Pending = 3,
}

/// A wait of a guest on a word of its shared memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FutexWait {
    /// Of the word, aligned to its size, valid while a thread of the process lives.
    pub address: *const c_void,
    /// What the guest calls it, for people.
    pub guest_address: u64,
    /// 4 or 8.
    pub bytes: u32,
    /// What the word has to be for the guest to wait.
    pub expected: u64,
    /// Nanoseconds; negative = for ever.
    pub timeout_ns: i64,
}

/// The table of functions that the engine calls. Copied by `weft_engine_new`.
///
/// `task` is what was passed to `weft_call_poll`, `process` what was passed to `weft_call_new`. Unless said otherwise a hook is
/// called on the thread that polls the call, from inside `weft_call_poll` (on the guest's own stack, so keep stack use below 32 KiB), must
/// not park that thread, and must not throw. Hooks may be called from several threads at once for different calls.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Hooks {
    /// The task should be polled again. From any thread, at any time while the task is retained, also during its own poll. Required.
    pub task_wake: Option<unsafe extern "C-unwind" fn(task: *mut c_void)>,
    /// A waker was stored somewhere: keep the task alive. Any thread. Required.
    pub task_retain: Option<unsafe extern "C-unwind" fn(task: *mut c_void)>,
    /// Undoes one `task_retain`. Any thread. Required.
    pub task_release: Option<unsafe extern "C-unwind" fn(task: *mut c_void)>,
    /// Asked at an epoch check, that is soon after `weft_engine_increment_epoch`. NULL = always continue.
    pub epoch: Option<unsafe extern "C-unwind" fn(process: *mut c_void) -> Decision>,
    /// After `epoch` answered yield: the guest thread was found in a loop that does nothing but look at memory until another thread changes it. NULL = nobody wants to know.
    pub spinning: Option<unsafe extern "C-unwind" fn(process: *mut c_void)>,
    /// The guest called `sched_yield`: the poll returns pending right after this, and nothing is woken, so re-queue the task. NULL = wake it.
    pub yield_now: Option<unsafe extern "C-unwind" fn(process: *mut c_void)>,
    /// Output of the guest, `stream` 1 or 2. Returns how many bytes were taken (possibly fewer than `size`, also 0), or `WEFT_WRITE_CLOSED`, or
    /// `WEFT_WRITE_STOP`. After 0, `write_ready` is asked before the next try. NULL = everything is thrown away.
    pub write:
        Option<unsafe extern "C-unwind" fn(process: *mut c_void, stream: u32, data: *const u8, size: usize) -> i64>,
    /// How many bytes may be written now; 0 = none yet, `task` was registered and will be woken when it is worth asking again; or
    /// `WEFT_WRITE_CLOSED`, `WEFT_WRITE_STOP`. NULL = 64 KiB at any time. `task` may be NULL: then only the number is wanted.
    pub write_ready: Option<unsafe extern "C-unwind" fn(process: *mut c_void, stream: u32, task: *mut c_void) -> i64>,
    /// Input of the guest, asked when its stdin is `WEFT_STDIN_HOOK`: bytes read (> 0), 0 = end of input, `WEFT_READ_PENDING`. `task` may be
    /// NULL: then pending means only "nothing yet". NULL = no input.
    pub read: Option<
        unsafe extern "C-unwind" fn(process: *mut c_void, buffer: *mut u8, capacity: usize, task: *mut c_void) -> i64,
    >,
    /// The guest sleeps until `deadline_ns` of the monotonic clock. First call: `*op` is NULL; when it answers pending it may leave its state
    /// there. Called again with the same `op` after a wake-up. When ready, `*op` has to be released by the hook and set to NULL.
    /// NULL = Tokio's timer.
    pub sleep: Option<
        unsafe extern "C-unwind" fn(
            process: *mut c_void,
            deadline_ns: u64,
            task: *mut c_void,
            op: *mut *mut c_void,
        ) -> Poll,
    >,
    /// The guest stops waiting for the sleep (its call is dropped): release `op`. Called at most once, only with the non-NULL `op` of a pending sleep; from the thread
    /// that polls or drops the call. Required if `sleep` is given.
    pub sleep_drop: Option<unsafe extern "C-unwind" fn(process: *mut c_void, op: *mut c_void)>,
    /// A guest thread waits on a word of shared memory (`memory.atomic.wait32`, `wait64`). First call: `*op` is NULL; the word is compared and the thread queued in one step. When
    /// pending it leaves its state in `*op`, and is called again with it after a wake-up; else `*op` is NULL afterwards. The word is accessed atomically: the guest's
    /// threads change it. NULL = programs with threads are refused.
    pub futex_wait: Option<
        unsafe extern "C-unwind" fn(
            process: *mut c_void,
            wait: *const FutexWait,
            task: *mut c_void,
            op: *mut *mut c_void,
        ) -> FutexPoll,
    >,
    /// The guest thread stops waiting (its call is dropped): release `op`. As `sleep_drop`.
    pub futex_drop: Option<unsafe extern "C-unwind" fn(process: *mut c_void, op: *mut c_void)>,
    /// Wakes up to `count` threads that wait on the word, the longest waiting first; returns how many (`memory.atomic.notify`).
    pub futex_notify:
        Option<unsafe extern "C-unwind" fn(process: *mut c_void, address: *const c_void, count: u32) -> u32>,
    /// A guest calls `wasi.thread-spawn`: makes a call for the new thread with `weft_call_new_thread` and sees to it that it is polled. Returns the thread's id (1 to 2^29 - 1),
    /// or a negative number, which the guest gets as an error.
    pub thread_spawn: Option<unsafe extern "C-unwind" fn(process: *mut c_void, argument: i32) -> i32>,
    /// A strand that `weft_call_spawn_strand` asked for has returned these values (borrowed), or could not begin (`error`, owned by the hook then; else NULL). Once for each, unless
    /// the call ends first. NULL = nobody wants to know.
    pub strand_finished: Option<
        unsafe extern "C-unwind" fn(
            process: *mut c_void,
            token: u64,
            results: *const Val,
            nresults: usize,
            error: *mut Error,
        ),
    >,
    /// The monotonic clock that the guest sees, in nanoseconds; its deadlines are of the same clock. NULL = CLOCK_MONOTONIC.
    pub monotonic_now: Option<unsafe extern "C-unwind" fn(process: *mut c_void) -> u64>,
    /// The wall clock that the guest sees, in nanoseconds since 1970 (UTC). NULL = CLOCK_REALTIME.
    pub wall_now: Option<unsafe extern "C-unwind" fn(process: *mut c_void) -> u64>,
}

impl Hooks {
    pub(crate) const NONE: Hooks = Hooks {
        task_wake: None,
        task_retain: None,
        task_release: None,
        epoch: None,
        spinning: None,
        yield_now: None,
        write: None,
        write_ready: None,
        read: None,
        sleep: None,
        sleep_drop: None,
        futex_wait: None,
        futex_drop: None,
        futex_notify: None,
        thread_spawn: None,
        strand_finished: None,
        monotonic_now: None,
        wall_now: None,
    };
}
