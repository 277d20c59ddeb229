//! What a call shares between its fiber, its wakers' thread and those who watch it: the hooks, the name of the host function that is waited in,
//! requests for backtraces.

use crate::backtrace::{Backtrace, BacktraceFn};
use crate::fibers::requests::Requests;
use crate::hooks::Hooks;
use crate::program::Program;
use crate::threads::Group;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

/// The name of a host function, for `weft_call_waiting_for`. Lives as long as the program that can call it.
pub struct WaitName {
    pub text: String,
}

/// States of `Shared::request`.
const REQUEST_NONE: u32 = 0;
/// Somebody is filling in `request_to`.
const REQUEST_FILLING: u32 = 1;
/// `request_to` waits to be served by the polling thread.
const REQUEST_WAITING: u32 = 2;
/// The call ended: no more requests.
const REQUEST_CLOSED: u32 = 3;

/// Part of a call that its fiber points to. Fields in cells belong to the thread that polls the call; polls of one call never overlap, and whoever moves a call
/// between threads orders them.
#[repr(C)]
pub struct Shared {
    /// Of the engine, which the call keeps alive: one table for all calls, so that it stays in the cache.
    hooks: *const Hooks,
    pub process: *mut c_void,
    /// The task of the poll under way.
    pub task: Cell<*mut c_void>,
    /// The host function that is waited in, or NULL. Written by the polling thread (release), read by any (acquire): publishes the name's text.
    waiting_for: AtomicPtr<WaitName>,
    /// State machine of backtrace requests: none → filling → waiting → none, and from none or waiting → closed. Moved to filling by any thread that asks, to
    /// waiting by the same (release: publishes `request_to`), to none and closed by the polling thread (acquire).
    request: AtomicU32,
    /// A yield has answered pending and waits for the next poll (see `waker::YieldNow`); of components, the poll under way ends in a yield.
    pub yielding: Cell<bool>,
    /// A request for a backtrace was answered in the poll under way: one that waits now came later.
    pub answered: Cell<bool>,
    /// The last write of the guest met a reader that is gone.
    pub pipe_closed: Cell<bool>,
    /// `foreign` is not empty.
    any_foreign: Cell<bool>,
    /// The call runs a component.
    pub component: bool,
    request_to: UnsafeCell<(BacktraceFn, *mut c_void)>,
    /// Wakers that are not ours (of futures inside futures) whose owners wait for a hook: a hook can only wake the task, so the next poll wakes them all.
    foreign: UnsafeCell<Vec<Waker>>,
    /// Of a program with strands.
    pub strands: Requests,
    /// What the threads of the process share, once there is any. Set by the first poll of the first thread, and when another one is made.
    pub group: OnceLock<Arc<Group>>,
}

// SAFETY: the cells are only touched by the polling thread (see above), the rest is atomic.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// The hooks outlive what is made.
    pub unsafe fn new(hooks: &Hooks, process: *mut c_void, component: bool) -> Shared {
        Shared {
            hooks,
            process,
            task: Cell::new(std::ptr::null_mut()),
            waiting_for: AtomicPtr::new(std::ptr::null_mut()),
            request: AtomicU32::new(REQUEST_NONE),
            yielding: Cell::new(false),
            answered: Cell::new(false),
            pipe_closed: Cell::new(false),
            any_foreign: Cell::new(false),
            component,
            request_to: UnsafeCell::new((None, std::ptr::null_mut())),
            foreign: UnsafeCell::new(Vec::new()),
            strands: Requests::default(),
            group: OnceLock::new(),
        }
    }

    #[inline]
    pub fn hooks(&self) -> &Hooks {
        // SAFETY: see `new`.
        unsafe { &*self.hooks }
    }

    #[inline]
    pub fn set_waiting_for(&self, name: Option<&WaitName>) {
        let name = name.map_or(std::ptr::null_mut(), |name| (name as *const WaitName).cast_mut());
        // Release: partner is the load in `waiting_for`.
        self.waiting_for.store(name, Ordering::Release);
    }

    pub fn waiting_for(&self) -> Option<*const WaitName> {
        // Acquire: partner is the store in `set_waiting_for`.
        let name = self.waiting_for.load(Ordering::Acquire);
        (!name.is_null()).then_some(name.cast_const())
    }

    /// Remembers a waker to be woken by the next poll. Polling thread.
    pub fn add_foreign(&self, waker: &Waker) {
        // SAFETY: polling thread only, and the reference does not leave this function.
        let foreign = unsafe { &mut *self.foreign.get() };
        if !foreign.iter().any(|other| other.will_wake(waker)) {
            foreign.push(waker.clone());
            self.any_foreign.set(true);
        }
    }

    /// Wakes and forgets the remembered wakers. Polling thread, at the start of a poll.
    #[inline]
    pub fn wake_foreign(&self) {
        if self.any_foreign.replace(false) {
            // SAFETY: as above; waking may add none, as nothing polls during it.
            let foreign = unsafe { &mut *self.foreign.get() };
            std::mem::take(foreign).into_iter().for_each(Waker::wake);
        }
    }

    /// Whether a backtrace is asked for. Relaxed: `serve` looks again.
    #[inline]
    pub fn backtrace_wanted(&self) -> bool {
        self.request.load(Ordering::Relaxed) == REQUEST_WAITING
    }

    /// Asks for a backtrace; false if another request is under way or the call has ended. Any thread.
    pub fn request_backtrace(&self, callback: BacktraceFn, context: *mut c_void) -> bool {
        // Acquire: partner is the release store of REQUEST_NONE in `serve`, so that the slot is ours alone.
        let free = self.request.compare_exchange(REQUEST_NONE, REQUEST_FILLING, Ordering::Acquire, Ordering::Relaxed);
        if free.is_err() {
            return false;
        }
        // SAFETY: only the thread that moved the state to filling touches the slot.
        unsafe { *self.request_to.get() = (callback, context) };
        // Release: partner is the acquire load in `serve` and `close`.
        self.request.store(REQUEST_WAITING, Ordering::Release);
        true
    }

    /// Answers the request under way, if any. Polling thread.
    pub fn serve(&self, backtrace: Option<&Backtrace>) {
        // Acquire: partner is the release store in `request_backtrace`.
        if self.request.load(Ordering::Acquire) != REQUEST_WAITING {
            return;
        }
        self.answered.set(true);
        // SAFETY: in state waiting the slot belongs to the polling thread.
        let (callback, context) = unsafe { *self.request_to.get() };
        // Release: partner is the acquire in `request_backtrace`.
        self.request.store(REQUEST_NONE, Ordering::Release);
        if let Some(callback) = callback {
            let backtrace = backtrace.map_or(std::ptr::null(), |backtrace| backtrace as *const Backtrace);
            // SAFETY: the asker promised a callback that can be called once with its context.
            unsafe { callback(context, backtrace) };
        }
    }

    /// No more requests; the one under way is answered with nothing. Polling or dropping thread.
    pub fn close(&self) {
        loop {
            self.serve(None);
            // A thread that is filling the slot is a few instructions away from waiting; served in the next round.
            let closed =
                self.request.compare_exchange(REQUEST_NONE, REQUEST_CLOSED, Ordering::AcqRel, Ordering::Acquire);
            match closed {
                Ok(_) | Err(REQUEST_CLOSED) => return,
                Err(_) => std::hint::spin_loop(),
            }
        }
    }
}

/// A pointer to what a call owns, for what lives inside the call's store, futures and streams: all of that is dropped before it (see `Call`). Not counted: a count that all workers
/// change at once would be paid for by every process.
pub struct CallRef<T>(*const T);

pub type SharedRef = CallRef<Shared>;
pub type ProgramRef = CallRef<Program>;

impl<T> Clone for CallRef<T> {
    fn clone(&self) -> CallRef<T> {
        *self
    }
}

impl<T> Copy for CallRef<T> {}

// SAFETY: it only gives shared access, to something that outlives it.
unsafe impl<T: Sync> Send for CallRef<T> {}
unsafe impl<T: Sync> Sync for CallRef<T> {}

impl<T> CallRef<T> {
    pub fn new(owned: &T) -> CallRef<T> {
        CallRef(owned)
    }

    /// Points to nothing: for a store that never runs anything.
    pub fn dangling() -> CallRef<T> {
        CallRef(std::ptr::NonNull::dangling().as_ptr())
    }
}

impl<T> std::ops::Deref for CallRef<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: see the type.
        unsafe { &*self.0 }
    }
}
