//! Wakers: a waker IS the task of the C++ side. Polling costs no reference counting; only a waker that is stored somewhere retains the task.

use crate::hooks::Hooks;
use crate::shared::Shared;
use std::ffi::c_void;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// The waker of a poll under way: borrows the call's `Shared`, which knows the task.
static BORROWED: RawWakerVTable = RawWakerVTable::new(borrowed_clone, borrowed_wake, borrowed_wake, borrowed_drop);

/// A waker that was stored: an `Arc<Stored>`.
static STORED: RawWakerVTable = RawWakerVTable::new(stored_clone, stored_wake, stored_wake_by_ref, stored_drop);

/// A retained task.
struct Stored {
    hooks: Hooks,
    task: *mut c_void,
}

// SAFETY: the hooks for tasks may be called from any thread.
unsafe impl Send for Stored {}
unsafe impl Sync for Stored {}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(release) = self.hooks.task_release {
            // SAFETY: undoes the retain of `borrowed_clone`.
            unsafe { release(self.task) };
        }
    }
}

fn wake(hooks: &Hooks, task: *mut c_void) {
    if let Some(wake) = hooks.task_wake {
        // SAFETY: the task is retained, or being polled.
        unsafe { wake(task) };
    }
}

unsafe fn borrowed_clone(data: *const ()) -> RawWaker {
    // SAFETY: a borrowed waker is only seen during the poll that made it.
    let shared = unsafe { &*data.cast::<Shared>() };
    let task = shared.task.get();
    if let Some(retain) = shared.hooks().task_retain {
        // SAFETY: the task is being polled, hence alive.
        unsafe { retain(task) };
    }
    let stored = Arc::new(Stored { hooks: *shared.hooks(), task });
    RawWaker::new(Arc::into_raw(stored).cast(), &STORED)
}

unsafe fn borrowed_wake(data: *const ()) {
    // SAFETY: as above.
    let shared = unsafe { &*data.cast::<Shared>() };
    wake(shared.hooks(), shared.task.get());
}

unsafe fn borrowed_drop(_: *const ()) {}

unsafe fn stored_clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` came out of `Arc::into_raw`.
    unsafe { Arc::increment_strong_count(data.cast::<Stored>()) };
    RawWaker::new(data, &STORED)
}

unsafe fn stored_wake(data: *const ()) {
    // SAFETY: as above; takes the reference.
    let stored = unsafe { Arc::from_raw(data.cast::<Stored>()) };
    wake(&stored.hooks, stored.task);
}

unsafe fn stored_wake_by_ref(data: *const ()) {
    // SAFETY: as above; borrows the reference.
    let stored = unsafe { &*data.cast::<Stored>() };
    wake(&stored.hooks, stored.task);
}

unsafe fn stored_drop(data: *const ()) {
    // SAFETY: as above; takes the reference.
    drop(unsafe { Arc::from_raw(data.cast::<Stored>()) });
}

/// Runs `body` with the waker of a poll of the call that `shared` belongs to.
#[inline]
pub fn with_waker<R>(shared: &Shared, body: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let raw = RawWaker::new((shared as *const Shared).cast(), &BORROWED);
    // SAFETY: the functions of BORROWED keep the contract, as the waker does not outlive `shared`, and clones do not refer to it.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
    body(&mut Context::from_waker(&waker))
}

/// Sees to it that a future that waits for a hook is polled again: a hook wakes the task, which is enough if the future is polled directly by the call, but not
/// if something in between (a set of futures) only polls those that were woken through a waker of its own.
#[inline]
pub fn wait_for_hook(shared: &Shared, cx: &Context<'_>) {
    if !std::ptr::eq(cx.waker().vtable(), &BORROWED) {
        shared.add_foreign(cx.waker());
    }
}

/// Answers pending once, waking nobody: who yields is re-queued by whoever told it to. Has no state of its own, so that boxing it allocates nothing; whether this is the poll before
/// or after the yield is kept in `Shared`. Only for futures that the call polls directly (core modules).
pub struct YieldNow;

/// The same as the answer of a host function that returns 0.
pub struct YieldThenZero;

impl Future for YieldThenZero {
    type Output = i32;
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<i32> {
        Pin::new(&mut YieldNow).poll(cx).map(|()| 0)
    }
}

impl Future for YieldNow {
    type Output = ();
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        assert!(std::ptr::eq(cx.waker().vtable(), &BORROWED), "a yield under a waker that is not ours");
        // SAFETY: the data of a borrowed waker is the call's `Shared`.
        let shared = unsafe { &*cx.waker().data().cast::<Shared>() };
        if shared.yielding.replace(!shared.yielding.get()) { Poll::Ready(()) } else { Poll::Pending }
    }
}
