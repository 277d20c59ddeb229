//! Host functions of fibers. One that would wait leaves its operation in the store and tells the guest's added code, through a global, that the call has to be made again: with the same
//! arguments, after the task was woken. So a host function is a poll, and no frame of the host is on a stack that is suspended.

use crate::guest::{Exclusive, Guest, serve_backtrace};
use crate::host_function::HostOperation;
use crate::preview1::{Sleeping, announce_yield};
use crate::shared::{SharedRef, WaitName};
use crate::threads::Wait;
use crate::waker::{Woken, with_strand_waker, with_waker};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::{AsContextMut, Caller, Global, Result, StoreContextMut, Val, bail};

/// What a host function tells the guest's added code, which sets it back to 0.
#[repr(i32)]
#[derive(Clone, Copy)]
enum Pending {
    /// To be called again after the task was woken.
    Wait = 1,
    /// To give up the worker once; the call has been made.
    Yield = 2,
    /// To be called again when the time is over that `FiberState::until` says. Only where there are strands.
    Sleep = 3,
}

/// What the store of a fiber knows besides.
pub struct FiberState {
    /// Where the guest's added code looks for a `Pending`: (mut i32).
    pending: Global,
    /// The deadline of a sleep, on the monotonic clock: (mut i64). None: the `sleep` hook is used.
    until: Option<Global>,
    /// The strand that runs: (mut i64). None: there is one, 0.
    current: Option<Global>,
    /// What is under way. Dropped with the store, whereby hooks and host functions are told.
    operations: Exclusive<PerStrand<UnderWay>>,
    /// Where there are strands: those that are to ask again. Each has a waker of its own then.
    woken: Option<Arc<Woken>>,
    /// Fuel left when the fiber was last known to leave off: what the store says afterwards is of no use, as the function that resumes a continuation puts back what it knew before.
    fuel_left: Option<u64>,
    /// Strands that the host asked for, and what it calls them.
    pub tokens: HashMap<i64, u64>,
    /// The scheduler was told to leave only so that strands can be made that the host asked for, or those that wait in the host looked after.
    pub left_for_requests: bool,
    /// When those of them that wait for hooks are to be looked after next, although others still run.
    look_ns: i64,
    /// What each strand's entry was given, to be asked for by its first function.
    pub arguments: PerStrand<Vec<Val>>,
    /// Zeros of the right types and number at first; what each strand's entry answered in the end.
    pub results: PerStrand<Vec<Val>>,
}

impl FiberState {
    pub fn new(pending: Global, until: Option<Global>, current: Option<Global>) -> FiberState {
        let operations = Exclusive::new(PerStrand::default());
        let (arguments, results) = Default::default();
        FiberState {
            pending,
            until,
            current,
            operations,
            woken: current.map(|_| Arc::default()),
            fuel_left: None,
            tokens: HashMap::new(),
            left_for_requests: false,
            look_ns: 0,
            arguments,
            results,
        }
    }

    /// Goes on with what was woken, and with what waits for hooks, which can only wake the task. Adds the strands that are to make their calls again to
    /// `strands`, some perhaps twice.
    pub fn look(&mut self, shared: SharedRef, now_ns: i64, strands: &mut Vec<i64>) {
        // Asking those that wait for hooks is to take a few per cent of the time at most.
        const LEAST_NS: i64 = 1_000_000;
        const EACH_NS: i64 = 5_000;
        let Some(woken) = &self.woken else { return };
        woken.take(strands);
        let each = EACH_NS.saturating_mul(strands.len() as i64);
        self.look_ns = now_ns.saturating_add(LEAST_NS + each);
        let operations = self.operations.get();
        // Those that have ended, or have been answered, were woken in vain.
        strands.retain(|&strand| match operations.get(strand) {
            Some(under_way) => with_strand_waker(&shared, woken, strand, |cx| under_way.operation.advance(cx)),
            None => false,
        });
    }

    /// Whether it is time to look again. Nobody else would find out while others keep running and no other task wants the worker.
    pub fn has_to_look(&self, now_ns: impl FnOnce() -> i64) -> bool {
        let woken = self.woken.as_ref();
        woken.is_some_and(|woken| woken.any() || (woken.any_hooked() && now_ns() >= self.look_ns))
    }

    /// Whether no host function is under way.
    pub fn is_idle(&mut self) -> bool {
        self.operations.get().is_empty()
    }
}

#[cfg(test)]
impl FiberState {
    /// Has a strand wait for a future, which is polled once.
    pub fn wait_for(
        &mut self,
        shared: SharedRef,
        strand: i64,
        future: impl Future<Output = Result<i32>> + Send + 'static,
    ) {
        let mut operation = Operation::future(future);
        let woken = self.woken.as_ref().unwrap();
        assert!(with_strand_waker(&shared, woken, strand, |cx| operation.poll(cx)).is_pending());
        self.operations.get().put(strand, UnderWay { function: 0, operation });
    }

    /// What a strand waited for, if that is there.
    pub fn answer_of(&mut self, strand: i64) -> Option<i32> {
        match self.operations.get().take(strand)?.operation {
            Operation::Done(answer) => answer.ok(),
            _ => None,
        }
    }
}

/// Something that strands may have, one each: the first in place, others in a map.
pub struct PerStrand<T> {
    first: Option<(i64, T)>,
    others: HashMap<i64, T>,
}

impl<T> Default for PerStrand<T> {
    fn default() -> PerStrand<T> {
        PerStrand { first: None, others: HashMap::new() }
    }
}

impl<T> PerStrand<T> {
    /// In place of what the strand had.
    pub fn put(&mut self, strand: i64, one: T) {
        match &mut self.first {
            Some((first, old)) if *first == strand => *old = one,
            None if !self.others.contains_key(&strand) => self.first = Some((strand, one)),
            None | Some(_) => {
                self.others.insert(strand, one);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    pub fn get(&mut self, strand: i64) -> Option<&mut T> {
        match &mut self.first {
            Some((first, one)) if *first == strand => Some(one),
            None | Some(_) => self.others.get_mut(&strand),
        }
    }

    pub fn take(&mut self, strand: i64) -> Option<T> {
        match &self.first {
            Some((first, _)) if *first == strand => self.first.take().map(|(_, one)| one),
            // Asked at every call, and empty nearly always.
            _ if self.others.is_empty() => None,
            None | Some(_) => self.others.remove(&strand),
        }
    }
}

/// A host function under way. What is called often allocates nothing.
pub enum Operation {
    Sleep(Sleeping),
    Futex(Wait),
    Host(HostOperation),
    Future(Pin<Box<dyn Future<Output = Result<i32>> + Send>>),
    /// Its answer, until the strand comes for it.
    Done(Result<i32>),
}

impl Operation {
    pub fn future(future: impl Future<Output = Result<i32>> + Send + 'static) -> Operation {
        Operation::Future(Box::pin(future))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<i32>> {
        match self {
            Operation::Sleep(sleeping) => Pin::new(sleeping).poll(cx),
            Operation::Futex(wait) => Pin::new(wait).poll(cx),
            Operation::Host(_) => unreachable!("polled with the values of its call"),
            Operation::Future(future) => future.as_mut().poll(cx),
            Operation::Done(answer) => Poll::Ready(std::mem::replace(answer, Ok(0))),
        }
    }

    /// Goes on with it whether its strand has a turn or not: what it has borrowed others may wait for, one of whom may keep that strand from its turn.
    /// Whether its strand is to ask for it.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let Operation::Future(future) = self else {
            return true;
        };
        let polled = future.as_mut().poll(cx);
        if let Poll::Ready(answer) = polled {
            *self = Operation::Done(answer);
            return true;
        }
        false
    }

    /// Whether nothing but the waker of its last poll, or the time, wakes its strand. Otherwise what it waits for wakes the task.
    fn has_waker(&self, timed: bool) -> bool {
        match self {
            Operation::Sleep(_) => timed,
            // Those of its parts that wait for hooks say so themselves.
            Operation::Future(_) | Operation::Done(_) => true,
            Operation::Futex(_) | Operation::Host(_) => false,
        }
    }
}

/// An operation that is pending.
struct UnderWay {
    /// The address of its function's name, which tells it from all others: what a call leaves behind may only be gone on with by the same.
    function: usize,
    operation: Operation,
}

fn state<'a>(caller: &'a mut Caller<'_, Guest>) -> Result<&'a mut FiberState> {
    match &mut caller.data_mut().fiber {
        Some(state) => Ok(state),
        None => bail!("the guest waits before there is a fiber"),
    }
}

/// The strand that calls.
pub fn strand(caller: &mut Caller<'_, Guest>) -> Result<i64> {
    match state(caller)?.current {
        None => Ok(0),
        Some(current) => Ok(current.get(caller).unwrap_i64()),
    }
}

/// Before a fiber leaves off.
pub fn note_fuel(store: &mut StoreContextMut<'_, Guest>) -> Result<()> {
    if store.data().fuel.is_some() {
        let left = store.get_fuel()?;
        if let Some(state) = &mut store.data_mut().fiber {
            state.fuel_left = Some(left);
        }
    }
    Ok(())
}

/// After it has left off.
pub fn restore_fuel(store: &mut StoreContextMut<'_, Guest>) -> Result<()> {
    match store.data_mut().fiber.as_mut().and_then(|state| state.fuel_left.take()) {
        Some(left) => store.set_fuel(left),
        None => Ok(()),
    }
}

fn tell(caller: &mut Caller<'_, Guest>, pending: Pending) -> Result<()> {
    note_fuel(&mut caller.as_context_mut())?;
    let global = state(caller)?.pending;
    global.set(caller, Val::I32(pending as i32))
}

/// One call of a function that may wait: goes on with the operation that the strand has under way, or starts one. None if it is pending, which the guest's added code has been told.
pub fn call<T>(
    caller: &mut Caller<'_, Guest>,
    name: &WaitName,
    start: impl FnOnce(&mut Caller<'_, Guest>) -> Result<Operation>,
    poll: impl FnOnce(&mut Caller<'_, Guest>, &mut Operation) -> Poll<Result<T>>,
) -> Result<Option<T>> {
    let shared = caller.data().shared;
    let strand = strand(caller)?;
    let under_way = state(caller)?.operations.get().take(strand);
    let waited = under_way.is_some();
    let function = std::ptr::from_ref(name).addr();
    let mut operation = match under_way {
        Some(under_way) if under_way.function != function => {
            bail!("{} is called while another call of the strand is under way", name.text)
        }
        Some(under_way) => {
            serve_backtrace(&*caller);
            under_way.operation
        }
        None => start(caller)?,
    };
    // With strands it is their scheduler that keeps the time.
    let timed = match (&operation, state(caller)?.until) {
        (Operation::Sleep(sleeping), Some(until)) => Some((until, sleeping.deadline_ns())),
        _ => None,
    };
    match poll(caller, &mut operation) {
        Poll::Ready(answer) => {
            if waited {
                shared.set_waiting_for(None);
            }
            answer.map(Some)
        }
        Poll::Pending => {
            shared.set_waiting_for(Some(name));
            let state_of_all = state(caller)?;
            if let Some(woken) = &state_of_all.woken
                && !operation.has_waker(timed.is_some())
            {
                woken.add_hooked(strand);
            }
            state_of_all.operations.get().put(strand, UnderWay { function, operation });
            match timed {
                Some((until, deadline_ns)) => {
                    until.set(&mut *caller, Val::I64(deadline_ns as i64))?;
                    tell(caller, Pending::Sleep)?;
                }
                None => tell(caller, Pending::Wait)?,
            }
            Ok(None)
        }
    }
}

/// The same for functions whose operations need nothing of the call; 0 while it is pending.
pub fn answer(
    caller: &mut Caller<'_, Guest>,
    name: &WaitName,
    start: impl FnOnce(&mut Caller<'_, Guest>) -> Result<Operation>,
) -> Result<i32> {
    let strand = strand(caller)?;
    let answer = call(caller, name, start, |caller, operation| {
        let guest = caller.data();
        let woken = guest.fiber.as_ref().and_then(|state| state.woken.as_ref());
        match (operation, woken) {
            (Operation::Sleep(sleeping), Some(_)) => sleeping.poll_by_clock(),
            (operation, Some(woken)) => with_strand_waker(&guest.shared, woken, strand, |cx| operation.poll(cx)),
            (operation, None) => with_waker(&guest.shared, |cx| operation.poll(cx)),
        }
    })?;
    Ok(answer.unwrap_or(0))
}

/// `sched_yield`.
pub fn yield_now(caller: &mut Caller<'_, Guest>) -> Result<i32> {
    serve_backtrace(&*caller);
    announce_yield(caller.data_mut());
    tell(caller, Pending::Yield)?;
    Ok(0)
}
