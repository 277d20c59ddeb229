//! Wakers: a waker IS the task of the C++ side. Polling costs no reference counting; only a waker that is stored somewhere retains the task.
//!
//! Where there are strands, each has a waker of its own, which says which strand it was (`Woken`), and wakes the task.

use crate::hooks::Hooks;
use crate::shared::Shared;
use std::ffi::c_void;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// The waker of a poll under way: borrows the call's `Shared`, which knows the task.
static BORROWED: RawWakerVTable = RawWakerVTable::new(borrowed_clone, borrowed_wake, borrowed_wake, borrowed_drop);

/// A waker that was stored: an `Arc<Stored>`.
static STORED: RawWakerVTable = RawWakerVTable::new(stored_clone, stored_wake, stored_wake_by_ref, stored_drop);

/// The same two of a strand: borrows an `OfStrand`; an `Arc<StoredOfStrand>`.
static BORROWED_OF_STRAND: RawWakerVTable =
    RawWakerVTable::new(borrowed_strand_clone, borrowed_strand_wake, borrowed_strand_wake, borrowed_drop);
static STORED_OF_STRAND: RawWakerVTable =
    RawWakerVTable::new(strand_clone, strand_wake, strand_wake_by_ref, strand_drop);

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
    let stored = Arc::new(retain(unsafe { &*data.cast::<Shared>() }));
    RawWaker::new(Arc::into_raw(stored).cast(), &STORED)
}

/// Polling thread.
fn retain(shared: &Shared) -> Stored {
    let task = shared.task.get();
    if let Some(retain) = shared.hooks().task_retain {
        // SAFETY: the task is being polled, hence alive.
        unsafe { retain(task) };
    }
    Stored { hooks: *shared.hooks(), task }
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

/// Which strands of a process are to ask again whether what they wait for is there. Shared with the wakers, which may outlive the process.
#[derive(Default)]
pub struct Woken {
    lists: Mutex<Lists>,
    /// Some were woken. Set by any thread after it has added one (release), cleared by the polling thread before it takes them (acquire).
    any: AtomicBool,
    /// Some wait for hooks. Written and read by the polling thread only.
    any_hooked: AtomicBool,
}

#[derive(Default)]
struct Lists {
    woken: Vec<i64>,
    /// Wait for something that can only wake the task.
    hooked: Vec<i64>,
    /// How often they were taken: a waker adds its strand once in between.
    taken: u64,
}

impl Woken {
    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any thread; before it wakes the task.
    fn add(&self, strand: i64) {
        self.lists().woken.push(strand);
        self.any.store(true, Ordering::Release);
    }

    /// The strand waits for something that can only wake the task: it is to ask whenever that was woken. Polling thread.
    pub fn add_hooked(&self, strand: i64) {
        self.lists().hooked.push(strand);
        self.any_hooked.store(true, Ordering::Relaxed);
    }

    /// Whether some were woken since they were last taken.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub fn any_hooked(&self) -> bool {
        self.any_hooked.load(Ordering::Relaxed)
    }

    /// Moves all that were woken, and all that wait for hooks, to `strands`: some perhaps twice, and some that have ended. Polling thread; what is woken from
    /// here on is taken the next time.
    pub fn take(&self, strands: &mut Vec<i64>) {
        if !self.any.swap(false, Ordering::Acquire) && !self.any_hooked() {
            return;
        }
        self.any_hooked.store(false, Ordering::Relaxed);
        let mut lists = self.lists();
        lists.taken += 1;
        strands.append(&mut lists.woken);
        strands.append(&mut lists.hooked);
    }
}

/// What the waker of a strand points to during a poll.
struct OfStrand<'a> {
    shared: &'a Shared,
    woken: &'a Arc<Woken>,
    strand: i64,
}

/// A waker of a strand that was stored.
struct StoredOfStrand {
    task: Stored,
    woken: Arc<Woken>,
    strand: i64,
    /// `Lists::taken` when it last added its strand, plus 1. Accessed under the lock of the lists.
    added: AtomicU64,
}

impl StoredOfStrand {
    fn wake(&self) {
        let mut lists = self.woken.lists();
        let taken = lists.taken + 1;
        if self.added.swap(taken, Ordering::Relaxed) != taken {
            lists.woken.push(self.strand);
        }
        drop(lists);
        self.woken.any.store(true, Ordering::Release);
        wake(&self.task.hooks, self.task.task);
    }
}

unsafe fn borrowed_strand_clone(data: *const ()) -> RawWaker {
    // SAFETY: a borrowed waker is only seen during the poll that made it.
    let borrowed = unsafe { &*data.cast::<OfStrand<'_>>() };
    let stored = StoredOfStrand {
        task: retain(borrowed.shared),
        woken: borrowed.woken.clone(),
        strand: borrowed.strand,
        added: AtomicU64::new(0),
    };
    RawWaker::new(Arc::into_raw(Arc::new(stored)).cast(), &STORED_OF_STRAND)
}

unsafe fn borrowed_strand_wake(data: *const ()) {
    // SAFETY: as above.
    let borrowed = unsafe { &*data.cast::<OfStrand<'_>>() };
    borrowed.woken.add(borrowed.strand);
    wake(borrowed.shared.hooks(), borrowed.shared.task.get());
}

unsafe fn strand_clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` came out of `Arc::into_raw`.
    unsafe { Arc::increment_strong_count(data.cast::<StoredOfStrand>()) };
    RawWaker::new(data, &STORED_OF_STRAND)
}

unsafe fn strand_wake(data: *const ()) {
    // SAFETY: as above; takes the reference.
    unsafe { Arc::from_raw(data.cast::<StoredOfStrand>()) }.wake();
}

unsafe fn strand_wake_by_ref(data: *const ()) {
    // SAFETY: as above; borrows the reference.
    unsafe { &*data.cast::<StoredOfStrand>() }.wake();
}

unsafe fn strand_drop(data: *const ()) {
    // SAFETY: as above; takes the reference.
    drop(unsafe { Arc::from_raw(data.cast::<StoredOfStrand>()) });
}

/// The same with a waker that says which strand it was.
pub fn with_strand_waker<R>(
    shared: &Shared,
    woken: &Arc<Woken>,
    strand: i64,
    body: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    let of_strand = OfStrand { shared, woken, strand };
    let raw = RawWaker::new((&raw const of_strand).cast(), &BORROWED_OF_STRAND);
    // SAFETY: the functions of BORROWED_OF_STRAND keep the contract, as the waker does not outlive `of_strand`, and clones do not refer to it.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
    body(&mut Context::from_waker(&waker))
}

/// Sees to it that a future that waits for a hook is polled again: a hook wakes the task, which is enough if the future is polled directly by the call, but not
/// if something in between (a set of futures) only polls those that were woken through a waker of its own.
#[inline]
pub fn wait_for_hook(shared: &Shared, cx: &Context<'_>) {
    let waker = cx.waker();
    if std::ptr::eq(waker.vtable(), &BORROWED_OF_STRAND) {
        // SAFETY: the data of a borrowed waker of a strand is that.
        let of_strand = unsafe { &*waker.data().cast::<OfStrand<'_>>() };
        of_strand.woken.add_hooked(of_strand.strand);
    } else if !std::ptr::eq(waker.vtable(), &BORROWED) {
        shared.add_foreign(waker);
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
