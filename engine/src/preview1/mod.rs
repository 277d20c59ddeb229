//! WASI preview 1 for core modules. The functions are wasmtime-wasi's; what is ours is the way into them: every call is counted, a call that waits says so by name and
//! can show the guest's stack while it waits, and `sched_yield`, sleeping and `proc_exit` go to the scheduler instead of nowhere, Tokio and a trap.

mod clocks;
mod lent;
mod list;
mod streams;

pub use clocks::{Sleep, Sleeping};
pub use lent::{add_to_fiber_linker, add_to_threaded_linker};

use crate::guest::{Exit, Guest, GuestMemoryRef, Wasi, memory_of, quiet, serve_backtrace};
use crate::shared::WaitName;
use crate::waiting::watched;
use crate::waker::YieldThenZero;
use clocks::Clocks;
use list::{quick_functions, slow_functions, stream_functions};
use std::cell::UnsafeCell;
use std::pin::Pin;
use std::sync::LazyLock;
use wasmtime::{AsContextMut, Caller, Linker, Result, bail};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as functions, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p1::{WasiP1Ctx, types};
use wiggle::{GuestError, GuestMemory};

pub const MODULE: &str = "wasi_snapshot_preview1";
/// The name before the snapshot; programs older than 2020 use it.
pub const MODULE_UNSTABLE: &str = "wasi_unstable";

/// Takes what a function works on out of the store: the WASI state, and the guest's memory.
fn enter<'m>(caller: &mut Caller<'_, Guest>) -> Result<(Box<WasiP1Ctx>, GuestMemory<'m>)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let memory = view(caller)?;
    let guest = caller.data_mut();
    guest.limiter.count_host_call();
    let mut wasi = guest.wasi.take(guest.shared)?;
    wasi.set_hostcall_fuel(fuel);
    Ok((wasi, memory))
}

/// The guest's memory, as a raw view of what the store owns, so that the store itself stays free while a function waits (to look at the guest's stack). That is sound because nothing
/// else touches the memory meanwhile: the guest is suspended in this very call, the store has no other thread, and the view ends with the call. Of memory that threads share, wiggle
/// makes no references; it lives as long as any of them, and never moves. So it is with the memory of a fiber, which other strands may change, and let grow, while a function waits.
fn view<'m>(caller: &mut Caller<'_, Guest>) -> Result<GuestMemory<'m>> {
    match memory_of(caller) {
        Some(GuestMemoryRef::Own(memory)) if caller.data().fiber.is_some() => {
            let data = memory.data_ptr(&*caller).cast::<UnsafeCell<u8>>();
            // SAFETY: the store keeps the memory, and what waits, in its data, touches none of it when it is dropped. Engines of fibers never move memories, so that the pointer stays
            // valid when it grows. Cells, because the guest runs meanwhile; all of it on one thread at a time.
            Ok(GuestMemory::Shared(unsafe { std::slice::from_raw_parts(data, memory.data_size(&*caller)) }))
        }
        Some(GuestMemoryRef::Own(memory)) => {
            // SAFETY: see above.
            let view = unsafe { std::slice::from_raw_parts_mut(memory.data_ptr(&*caller), memory.data_size(&*caller)) };
            Ok(GuestMemory::Unshared(view))
        }
        Some(GuestMemoryRef::Shared(memory)) => {
            let data = memory.data();
            // SAFETY: the group of the process keeps the memory, and the call the group.
            Ok(GuestMemory::Shared(unsafe { std::slice::from_raw_parts(data.as_ptr(), data.len()) }))
        }
        None => bail!("the program calls WASI but exports no memory"),
    }
}

/// Defines functions that never wait.
macro_rules! immediate {
    ($linker:tt $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap(MODULE, stringify!($name), |mut caller: Caller<'_, Guest> $(, $arg: $ty)*| -> Result<i32> {
            let (mut wasi, mut memory) = enter(&mut caller)?;
            let result = functions::$name(&mut *wasi, &mut memory $(, $arg)*);
            caller.data_mut().wasi = Wasi::ready(wasi);
            result
        })?;
    )*};
}

/// Defines functions that may wait.
macro_rules! waiting {
    ($linker:tt $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap_async(MODULE, stringify!($name), |mut caller: Caller<'_, Guest>, ($($arg,)*): ($($ty,)*)| {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: concat!("wasi ", stringify!($name)).to_string() });
            Box::new(async move {
                let (mut wasi, mut memory) = enter(&mut caller)?;
                let result = watched(&caller, &NAME, functions::$name(&mut *wasi, &mut memory $(, $arg)*)).await;
                caller.data_mut().wasi = Wasi::ready(wasi);
                result
            })
        })?;
    )*};
}

/// Adds all of preview 1, and its predecessor for old programs.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    quick_functions! { immediate! linker }
    immediate! { linker
        sock_accept(fd: i32, flags: i32, accepted: i32);
        clock_res_get(id: i32, resolution: i32);
        clock_time_get(id: i32, precision: i64, time: i32);
        random_get(buf: i32, buf_len: i32);
    }
    slow_functions! { waiting! linker }
    stream_functions! { waiting! linker }
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, Guest>, (fd, iovs, iovs_len, size): (i32, i32, i32, i32)| {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_write".to_string() });
            Box::new(async move {
                let (mut wasi, mut memory) = enter(&mut caller)?;
                let shared = caller.data().shared;
                shared.pipe_closed.set(false);
                let writing = functions::fd_write(&mut *wasi, &mut memory, fd, iovs, iovs_len, size);
                let result = watched(&caller, &NAME, writing).await;
                caller.data_mut().wasi = Wasi::ready(wasi);
                // To wasmtime-wasi a stream whose reader is gone is an input/output error like any other.
                let pipe = shared.pipe_closed.get();
                result.map(
                    |errno| if pipe && errno == types::Errno::Io as i32 { types::Errno::Pipe as i32 } else { errno },
                )
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |caller: Caller<'_, Guest>, (subscriptions, events, count, size): (i32, i32, i32, i32)| {
            Box::new(poll_oneoff(caller, subscriptions, events, count, size))
        },
    )?;
    add_without_state(linker)?;
    wasmtime_wasi::p0::add_to_linker_async(linker, |guest: &mut Guest| {
        guest.wasi.state(guest.shared).expect("a program that imports WASI has WASI state")
    })
}

/// The functions that end the program or its turn.
fn add_without_state(linker: &mut Linker<Guest>) -> Result<()> {
    // All that is to be done is done before the future is made: it has no state, so that no allocation is made for it.
    linker.func_wrap_async(MODULE, "sched_yield", |mut caller: Caller<'_, Guest>, ()| {
        serve_backtrace(&caller);
        announce_yield(caller.data_mut());
        Box::new(YieldThenZero)
    })?;
    add_exit(linker, MODULE)
}

fn add_exit(linker: &mut Linker<Guest>, module: &str) -> Result<()> {
    linker.func_wrap(module, "proc_exit", |mut caller: Caller<'_, Guest>, code: i32| -> Result<()> {
        caller.data_mut().limiter.count_host_call();
        Err(quiet(Exit(code)))
    })?;
    Ok(())
}

const SUCCESS: i32 = types::Errno::Success as i32;

/// What wasmtime-wasi makes of what a guest got wrong: a trap for a pointer that cannot be used, as WASI says, an answer for the rest.
fn refuse(error: GuestError) -> Result<i32> {
    use types::Errno;
    let errno = match error {
        GuestError::PtrOutOfBounds(_) | GuestError::PtrOverflow | GuestError::PtrNotAligned(..) => {
            return Err(error.into());
        }
        GuestError::InvalidUtf8(_) => Errno::Ilseq,
        GuestError::TryFromIntError(_) => Errno::Overflow,
        _ => Errno::Inval,
    };
    Ok(errno as i32)
}

/// Tells the scheduler that the poll under way is about to answer pending without waiting for anything.
pub fn announce_yield(guest: &mut Guest) {
    guest.limiter.count_host_call();
    let shared = guest.shared;
    let hooks = shared.hooks();
    // SAFETY: hooks accept the call's process and task.
    unsafe {
        match (hooks.yield_now, hooks.task_wake) {
            (Some(yield_now), _) => yield_now(shared.process),
            (None, Some(wake)) => wake(shared.task.get()),
            (None, None) => {}
        }
    }
}

/// Sleeping programs call this with nothing but clocks; that is done by the `sleep` hook, and needs no WASI state. Everything else is wasmtime-wasi's business.
async fn poll_oneoff(
    mut caller: Caller<'_, Guest>,
    subscriptions: i32,
    events: i32,
    count: i32,
    size: i32,
) -> Result<i32> {
    let shared = caller.data().shared;
    if let Some(clocks) = Clocks::read(shared, &view(&mut caller)?, subscriptions, count) {
        caller.data_mut().limiter.count_host_call();
        let sleep = Sleep::new(shared, clocks.deadline_ns);
        watched(&caller, &POLL_ONEOFF, sleep).await;
        return clocks.report(shared, &mut view(&mut caller)?, (events, size));
    }
    general_poll(caller, subscriptions, events, count, size).await
}

/// Its future is in a box of its own, made where nobody else's stack frame grows by it: a sleeper keeps one page of stack, not two.
#[inline(never)]
fn general_poll<'a>(
    mut caller: Caller<'a, Guest>,
    subscriptions: i32,
    events: i32,
    count: i32,
    size: i32,
) -> Pin<Box<dyn Future<Output = Result<i32>> + Send + 'a>> {
    Box::pin(async move {
        let (mut wasi, mut memory) = enter(&mut caller)?;
        let waiting = functions::poll_oneoff(&mut *wasi, &mut memory, subscriptions, events, count, size);
        let result = watched(&caller, &POLL_ONEOFF, waiting).await;
        caller.data_mut().wasi = Wasi::ready(wasi);
        result
    })
}

static POLL_ONEOFF: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi poll_oneoff".to_string() });
