//! Time in preview 1: the clocks that a guest sees, and `poll_oneoff` on nothing but clocks, which is how programs sleep.

use super::{SUCCESS, refuse, view};
use crate::guest::Guest;
use crate::shared::SharedRef;
use crate::waker::wait_for_hook;
use crate::wasi::Clock;
use std::ffi::c_void;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::{Caller, Linker, Result};
use wasmtime_wasi::p1::types;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};
use wiggle::{GuestError, GuestMemory, GuestPtr};

/// The functions that look at a clock, for programs whose WASI state is lent: they do without it.
pub fn add_to_linker(linker: &mut Linker<Guest>, module: &str) -> Result<()> {
    linker.func_wrap(
        module,
        "clock_res_get",
        |mut caller: Caller<'_, Guest>, id: i32, resolution: i32| -> Result<i32> {
            let clock = clock(&mut caller, id);
            let nanoseconds = match clock {
                Some((types::Clockid::Realtime, clock)) => HostWallClock::resolution(&clock).as_nanos() as u64,
                Some((_, clock)) => HostMonotonicClock::resolution(&clock),
                None => return Ok(types::Errno::Badf as i32),
            };
            put(&mut caller, resolution, nanoseconds)
        },
    )?;
    linker.func_wrap(
        module,
        "clock_time_get",
        |mut caller: Caller<'_, Guest>, id: i32, _precision: i64, time: i32| -> Result<i32> {
            let clock = clock(&mut caller, id);
            let nanoseconds = match clock {
                Some((types::Clockid::Realtime, clock)) => HostWallClock::now(&clock).as_nanos() as u64,
                Some((_, clock)) => HostMonotonicClock::now(&clock),
                None => return Ok(types::Errno::Badf as i32),
            };
            put(&mut caller, time, nanoseconds)
        },
    )?;
    Ok(())
}

fn clock(caller: &mut Caller<'_, Guest>, id: i32) -> Option<(types::Clockid, Clock)> {
    let guest = caller.data_mut();
    guest.limiter.count_host_call();
    match types::Clockid::try_from(id as u32).ok()? {
        id @ (types::Clockid::Realtime | types::Clockid::Monotonic) => Some((id, Clock(guest.shared))),
        _ => None,
    }
}

/// Writes a result that is 64 bits wide.
fn put(caller: &mut Caller<'_, Guest>, at: i32, value: u64) -> Result<i32> {
    let written = view(caller)?.write(GuestPtr::<u64>::new(at as u32), value);
    written.map_or_else(refuse, |()| Ok(SUCCESS))
}

/// What a guest is told of one subscription.
pub struct Event {
    pub userdata: types::Userdata,
    pub ty: types::Eventtype,
    pub bytes: u64,
    pub hang_up: bool,
}

impl Event {
    pub fn clock(userdata: types::Userdata) -> Event {
        Event { userdata, ty: types::Eventtype::Clock, bytes: 0, hang_up: false }
    }
}

/// Writes the events to `events`, and their number to `size`.
pub fn report(
    memory: &mut GuestMemory<'_>,
    happened: impl Iterator<Item = Event>,
    (events, size): (i32, i32),
) -> Result<(), GuestError> {
    let events = GuestPtr::<types::Event>::new(events as u32);
    let mut written = 0;
    for Event { userdata, ty, bytes, hang_up } in happened {
        let flags = match hang_up {
            true => types::Eventrwflags::FD_READWRITE_HANGUP,
            false => types::Eventrwflags::empty(),
        };
        let event = types::Event {
            userdata,
            error: types::Errno::Success,
            type_: ty,
            fd_readwrite: types::EventFdReadwrite { flags, nbytes: bytes },
        };
        memory.write(events.add(written)?, event)?;
        written += 1;
    }
    memory.write(GuestPtr::<types::Size>::new(size as u32), written)
}

/// Subscriptions to clocks only.
pub struct Clocks {
    /// Of the monotonic clock, with what the guest wants to hear back. Most have one, and one allocates nothing.
    first: (u64, types::Userdata),
    more: Vec<(u64, types::Userdata)>,
    /// The earliest.
    pub deadline_ns: u64,
}

/// With more subscriptions than this a program waits for files, not for clocks.
const CLOCKS_MAX: i32 = 64;

impl Clocks {
    /// None if there is no hook to sleep with, anything else among the subscriptions, or anything wrong with them: wasmtime-wasi knows what to answer then.
    pub fn read(shared: SharedRef, memory: &GuestMemory<'_>, subscriptions: i32, count: i32) -> Option<Clocks> {
        if shared.hooks().sleep.is_none() || !(1..=CLOCKS_MAX).contains(&count) {
            return None;
        }
        let subscriptions = GuestPtr::<[types::Subscription]>::new((subscriptions as u32, count as u32));
        let mut first = None;
        let mut more = Vec::new();
        for subscription in subscriptions.iter() {
            let subscription = memory.read(subscription.ok()?).ok()?;
            let types::SubscriptionU::Clock(clock) = subscription.u else {
                return None;
            };
            let one = (deadline_of(&clock, shared)?, subscription.userdata);
            match first {
                None => first = Some(one),
                Some(_) => more.push(one),
            }
        }
        let first = first?;
        let deadline_ns = more.iter().map(|(deadline_ns, _)| *deadline_ns).fold(first.0, u64::min);
        Some(Clocks { first, more, deadline_ns })
    }

    /// Writes an event for each deadline that has passed: at least for the one that was slept until.
    pub fn report(&self, shared: SharedRef, memory: &mut GuestMemory<'_>, to: (i32, i32)) -> Result<i32> {
        let now = HostMonotonicClock::now(&Clock(shared)).max(self.deadline_ns);
        let passed = std::iter::once(&self.first).chain(&self.more).filter(|(deadline_ns, _)| *deadline_ns <= now);
        report(memory, passed.map(|(_, userdata)| Event::clock(*userdata)), to)?;
        Ok(SUCCESS)
    }
}

/// When a subscription to a clock is over, on the monotonic clock. None for clocks that do not exist.
pub fn deadline_of(clock: &types::SubscriptionClock, shared: SharedRef) -> Option<u64> {
    let absolute = clock.flags.contains(types::Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
    let now = HostMonotonicClock::now(&Clock(shared));
    Some(match (clock.id, absolute) {
        (types::Clockid::Monotonic, true) => clock.timeout,
        (types::Clockid::Monotonic | types::Clockid::Realtime, false) => now.saturating_add(clock.timeout),
        (types::Clockid::Realtime, true) => {
            let wall = u64::try_from(HostWallClock::now(&Clock(shared)).as_nanos()).ok()?;
            now.saturating_add(clock.timeout.saturating_sub(wall))
        }
        _ => return None,
    })
}

/// Waits for the `sleep` hook. Dropping it releases what the hook left behind.
pub struct Sleep {
    shared: SharedRef,
    deadline_ns: u64,
    op: *mut c_void,
}

// SAFETY: the hook accepts to be continued and cancelled on any thread that polls.
unsafe impl Send for Sleep {}

impl Sleep {
    /// Only with a `sleep` hook.
    pub fn new(shared: SharedRef, deadline_ns: u64) -> Sleep {
        Sleep { shared, deadline_ns, op: std::ptr::null_mut() }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.get_mut();
        let shared = me.shared;
        let sleep = shared.hooks().sleep.expect("checked before sleeping");
        // SAFETY: arguments as promised in the header.
        match unsafe { sleep(shared.process, me.deadline_ns, shared.task.get(), &raw mut me.op) } {
            crate::abi::Poll::Ready => Poll::Ready(()),
            crate::abi::Poll::Pending => {
                wait_for_hook(&shared, cx);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.op.is_null()
            && let Some(sleep_drop) = self.shared.hooks().sleep_drop
        {
            // SAFETY: the op of this sleep, which the hook did not take back.
            unsafe { sleep_drop(self.shared.process, self.op) };
        }
    }
}

/// `poll_oneoff` on clocks only, as an operation of its own: the sleep, and what is to be reported after it.
pub struct Sleeping {
    sleep: Sleep,
    clocks: Clocks,
    memory: GuestMemory<'static>,
    to: (i32, i32),
}

impl Sleeping {
    pub fn new(shared: SharedRef, clocks: Clocks, memory: GuestMemory<'static>, to: (i32, i32)) -> Sleeping {
        Sleeping { sleep: Sleep::new(shared, clocks.deadline_ns), clocks, memory, to }
    }

    pub fn deadline_ns(&self) -> u64 {
        self.sleep.deadline_ns
    }

    /// Asks the clock instead of the hook: for who is told by somebody else when the time is over.
    pub fn poll_by_clock(&mut self) -> Poll<Result<i32>> {
        if HostMonotonicClock::now(&Clock(self.sleep.shared)) < self.sleep.deadline_ns {
            return Poll::Pending;
        }
        Poll::Ready(self.clocks.report(self.sleep.shared, &mut self.memory, self.to))
    }
}

impl Future for Sleeping {
    type Output = Result<i32>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<i32>> {
        let me = self.get_mut();
        match Pin::new(&mut me.sleep).poll(cx) {
            Poll::Ready(()) => Poll::Ready(me.clocks.report(me.sleep.shared, &mut me.memory, me.to)),
            Poll::Pending => Poll::Pending,
        }
    }
}
