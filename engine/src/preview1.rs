//! WASI preview 1 for core modules. The functions are wasmtime-wasi's; what is ours is the way into them: every call is counted, a call that waits says so by name and
//! can show the guest's stack while it waits, and `sched_yield`, sleeping and `proc_exit` go to the scheduler instead of nowhere, Tokio and a trap.

use crate::guest::{Absent, Exit, Guest, GuestMemoryRef, Wasi, memory_of, quiet, serve_backtrace};
use crate::shared::{SharedRef, WaitName};
use crate::waker::{YieldThenZero, wait_for_hook};
use crate::wasi::Clock;
use crate::world::{self, Borrowed, Stream, Subscriptions, World};
use std::ffi::c_void;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use wasmtime::{AsContextMut, Caller, Linker, Result, bail};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as functions, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p1::{WasiP1Ctx, types};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};
use wiggle::{GuestMemory, GuestPtr};

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
/// makes no references; it lives as long as any of them, and never moves.
pub fn view<'m>(caller: &mut Caller<'_, Guest>) -> Result<GuestMemory<'m>> {
    match memory_of(caller) {
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

/// Borrows the WASI state of a process with threads; waits while another thread has it.
async fn borrow(caller: &mut Caller<'_, Guest>, name: &'static WaitName) -> Result<(Borrowed, GuestMemory<'static>)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let memory = view(caller)?;
    let guest = caller.data_mut();
    guest.limiter.count_host_call();
    let group = guest.group.clone().ok_or(Absent)?;
    let mut borrowed = watched(caller, name, World::borrow(&group)).await?;
    borrowed.wasi().set_hostcall_fuel(fuel);
    Ok((borrowed, memory))
}

/// Runs a function that may wait.
pub async fn watched<T>(
    caller: &Caller<'_, Guest>,
    name: &'static WaitName,
    function: impl Future<Output = Result<T>>,
) -> Result<T> {
    let shared = caller.data().shared;
    let mut function = pin!(function);
    let mut waited = false;
    let result = poll_fn(|cx| {
        if waited {
            serve_backtrace(caller);
        }
        let answer = function.as_mut().poll(cx);
        if answer.is_pending() {
            shared.set_waiting_for(Some(name));
            waited = true;
        }
        answer
    })
    .await;
    if waited {
        shared.set_waiting_for(None);
    }
    result
}

/// Defines functions that never wait.
macro_rules! immediate {
    ($linker:ident: $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
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
    ($linker:ident: $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
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

/// Defines functions of a process with threads, which borrow its WASI state and may wait for it.
macro_rules! borrowing {
    ($linker:ident: $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap_async(MODULE, stringify!($name), |mut caller: Caller<'_, Guest>, ($($arg,)*): ($($ty,)*)| {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: concat!("wasi ", stringify!($name)).to_string() });
            Box::new(async move {
                let (mut borrowed, mut memory) = borrow(&mut caller, &NAME).await?;
                watched(&caller, &NAME, functions::$name(borrowed.wasi(), &mut memory $(, $arg)*)).await
            })
        })?;
    )*};
}

/// The same for functions that wait for nothing else.
macro_rules! borrowing_immediate {
    ($linker:ident: $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap_async(MODULE, stringify!($name), |mut caller: Caller<'_, Guest>, ($($arg,)*): ($($ty,)*)| {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: concat!("wasi ", stringify!($name)).to_string() });
            Box::new(async move {
                let (mut borrowed, mut memory) = borrow(&mut caller, &NAME).await?;
                functions::$name(borrowed.wasi(), &mut memory $(, $arg)*)
            })
        })?;
    )*};
}

/// The functions that never wait, as long as nobody else has the WASI state.
macro_rules! quick_functions {
    ($define:ident! $linker:ident) => {
        $define! { $linker:
            args_get(argv: i32, argv_buf: i32);
            args_sizes_get(count: i32, size: i32);
            environ_get(environ: i32, environ_buf: i32);
            environ_sizes_get(count: i32, size: i32);
            fd_allocate(fd: i32, offset: i64, len: i64);
            fd_fdstat_set_flags(fd: i32, flags: i32);
            fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64);
            fd_prestat_get(fd: i32, prestat: i32);
            fd_prestat_dir_name(fd: i32, path: i32, path_len: i32);
            fd_tell(fd: i32, offset: i32);
            proc_raise(signal: i32);
            sock_accept(fd: i32, flags: i32, accepted: i32);
            sock_recv(fd: i32, data: i32, data_len: i32, flags: i32, size: i32, out_flags: i32);
            sock_send(fd: i32, data: i32, data_len: i32, flags: i32, size: i32);
            sock_shutdown(fd: i32, how: i32);
        }
    };
}

/// The functions that may wait, for the disk.
macro_rules! slow_functions {
    ($define:ident! $linker:ident) => {
        $define! { $linker:
            fd_advise(fd: i32, offset: i64, len: i64, advice: i32);
            fd_datasync(fd: i32);
            fd_fdstat_get(fd: i32, stat: i32);
            fd_filestat_get(fd: i32, stat: i32);
            fd_filestat_set_size(fd: i32, size: i64);
            fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
            fd_pread(fd: i32, iovs: i32, iovs_len: i32, offset: i64, size: i32);
            fd_pwrite(fd: i32, iovs: i32, iovs_len: i32, offset: i64, size: i32);
            fd_readdir(fd: i32, buf: i32, buf_len: i32, cookie: i64, size: i32);
            fd_seek(fd: i32, offset: i64, whence: i32, position: i32);
            fd_sync(fd: i32);
            path_create_directory(fd: i32, path: i32, path_len: i32);
            path_filestat_get(fd: i32, flags: i32, path: i32, path_len: i32, stat: i32);
            path_filestat_set_times(fd: i32, flags: i32, path: i32, path_len: i32, accessed: i64, modified: i64, set: i32);
            path_link(fd: i32, flags: i32, path: i32, path_len: i32, to_fd: i32, to_path: i32, to_path_len: i32);
            path_open(fd: i32, lookup: i32, path: i32, path_len: i32, oflags: i32, base: i64, inheriting: i64, flags: i32, opened: i32);
            path_readlink(fd: i32, path: i32, path_len: i32, buf: i32, buf_len: i32, size: i32);
            path_remove_directory(fd: i32, path: i32, path_len: i32);
            path_rename(fd: i32, path: i32, path_len: i32, to_fd: i32, to_path: i32, to_path_len: i32);
            path_symlink(target: i32, target_len: i32, fd: i32, path: i32, path_len: i32);
            path_unlink_file(fd: i32, path: i32, path_len: i32);
        }
    };
}

/// Adds all of preview 1, and its predecessor for old programs.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    quick_functions! { immediate! linker }
    immediate! { linker:
        clock_res_get(id: i32, resolution: i32);
        clock_time_get(id: i32, precision: i64, time: i32);
        random_get(buf: i32, buf_len: i32);
    }
    slow_functions! { waiting! linker }
    waiting! { linker:
        fd_close(fd: i32);
        fd_read(fd: i32, iovs: i32, iovs_len: i32, size: i32);
        fd_renumber(fd: i32, to: i32);
    }
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

/// The functions that need no WASI state.
fn add_without_state(linker: &mut Linker<Guest>) -> Result<()> {
    // All that is to be done is done before the future is made: it has no state, so that no allocation is made for it.
    linker.func_wrap_async(MODULE, "sched_yield", |mut caller: Caller<'_, Guest>, ()| {
        serve_backtrace(&caller);
        let guest = caller.data_mut();
        guest.limiter.count_host_call();
        let shared = guest.shared;
        announce_yield(shared);
        Box::new(YieldThenZero)
    })?;
    linker.func_wrap(MODULE, "proc_exit", |mut caller: Caller<'_, Guest>, code: i32| -> Result<()> {
        caller.data_mut().limiter.count_host_call();
        Err(quiet(Exit(code)))
    })?;
    Ok(())
}

/// Adds preview 1 for programs with threads: the same functions, over the WASI state that the threads of a process share. What may wait for long, and what a program calls often, does
/// without it: see `world`.
pub fn add_to_threaded_linker(linker: &mut Linker<Guest>) -> Result<()> {
    quick_functions! { borrowing_immediate! linker }
    slow_functions! { borrowing! linker }
    add_without_state(linker)?;
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Caller<'_, Guest>, (fd,): (i32,)| {
        Box::new(async move {
            let (mut borrowed, mut memory) = borrow(&mut caller, &FD_CLOSE).await?;
            let result = watched(&caller, &FD_CLOSE, functions::fd_close(borrowed.wasi(), &mut memory, fd)).await;
            if let (Ok(SUCCESS), Some(group)) = (&result, &caller.data().group) {
                group.world.closed(fd);
            }
            result
        })
    })?;
    linker.func_wrap_async(MODULE, "fd_renumber", |mut caller: Caller<'_, Guest>, (from, to): (i32, i32)| {
        Box::new(async move {
            let (mut borrowed, mut memory) = borrow(&mut caller, &FD_RENUMBER).await?;
            let renumbering = functions::fd_renumber(borrowed.wasi(), &mut memory, from, to);
            let result = watched(&caller, &FD_RENUMBER, renumbering).await;
            if let (Ok(SUCCESS), Some(group)) = (&result, &caller.data().group) {
                group.world.renumbered(from, to);
            }
            result
        })
    })?;
    linker.func_wrap_async(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, Guest>, (fd, iovs, iovs_len, size): (i32, i32, i32, i32)| {
            Box::new(async move {
                if let Some(stream) = stream_of(&mut caller, fd) {
                    return world::read(caller, stream, (iovs, iovs_len, size)).await;
                }
                let (mut borrowed, mut memory) = borrow(&mut caller, &FD_READ).await?;
                let reading = functions::fd_read(borrowed.wasi(), &mut memory, fd, iovs, iovs_len, size);
                watched(&caller, &FD_READ, reading).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, Guest>, (fd, iovs, iovs_len, size): (i32, i32, i32, i32)| {
            Box::new(async move {
                if let Some(stream) = stream_of(&mut caller, fd) {
                    return world::write(caller, stream, (iovs, iovs_len, size)).await;
                }
                let (mut borrowed, mut memory) = borrow(&mut caller, &FD_WRITE).await?;
                let writing = functions::fd_write(borrowed.wasi(), &mut memory, fd, iovs, iovs_len, size);
                watched(&caller, &FD_WRITE, writing).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, Guest>, (subscriptions, events, count, size): (i32, i32, i32, i32)| {
            Box::new(async move {
                let shared = caller.data().shared;
                let memory = view(&mut caller)?;
                let group = caller.data().group.clone().ok_or(Absent)?;
                if let Some(known) = Subscriptions::read(&group.world, shared, &memory, subscriptions, count) {
                    caller.data_mut().limiter.count_host_call();
                    return world::poll(caller, known, (events, size)).await;
                }
                let (mut borrowed, mut memory) = borrow(&mut caller, &POLL_ONEOFF).await?;
                let polling = functions::poll_oneoff(borrowed.wasi(), &mut memory, subscriptions, events, count, size);
                watched(&caller, &POLL_ONEOFF, polling).await
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
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
        MODULE,
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
    linker.func_wrap(MODULE, "random_get", |mut caller: Caller<'_, Guest>, buffer: i32, size: i32| -> Result<i32> {
        caller.data_mut().limiter.count_host_call();
        let mut memory = view(&mut caller)?;
        let mut chunk = [0; 256];
        let (mut at, mut left) = (buffer as u32, size as u32);
        while left > 0 {
            let bytes = left.min(chunk.len() as u32);
            // SAFETY: writes at most so many bytes.
            let got = unsafe { libc::getrandom(chunk.as_mut_ptr().cast(), bytes as usize, 0) };
            let Ok(got @ 1..) = u32::try_from(got) else {
                return Ok(types::Errno::Io as i32);
            };
            if let Err(error) = memory.copy_from_slice(&chunk[..got as usize], GuestPtr::new((at, got))) {
                return Ok(world::errno_of(&error));
            }
            (at, left) = (at.wrapping_add(got), left - got);
        }
        Ok(SUCCESS)
    })?;
    Ok(())
}

const SUCCESS: i32 = types::Errno::Success as i32;

static FD_CLOSE: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_close".to_string() });
static FD_RENUMBER: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_renumber".to_string() });
static FD_READ: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_read".to_string() });
static FD_WRITE: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_write".to_string() });

/// The standard stream that `fd` is; the call is counted if it is one.
fn stream_of(caller: &mut Caller<'_, Guest>, fd: i32) -> Option<Stream> {
    let guest = caller.data_mut();
    let stream = guest.group.as_ref()?.world.stream(fd)?;
    guest.limiter.count_host_call();
    Some(stream)
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
    Ok(written.map_or_else(|error| world::errno_of(&error), |()| SUCCESS))
}

/// Tells the scheduler that the poll under way is about to answer pending without waiting for anything.
fn announce_yield(shared: SharedRef) {
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
    if shared.hooks().sleep.is_some()
        && let Some(clocks) = Clocks::read(shared, &view(&mut caller)?, subscriptions, count)
    {
        caller.data_mut().limiter.count_host_call();
        let sleep = Sleep::new(shared, clocks.deadline_ns);
        watched(&caller, &POLL_ONEOFF, sleep).await?;
        return clocks.report(shared, &mut view(&mut caller)?, events, size);
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

/// Subscriptions to clocks only.
struct Clocks {
    /// Of the monotonic clock, with what the guest wants to hear back.
    deadlines: Vec<(u64, types::Userdata)>,
    /// The earliest.
    deadline_ns: u64,
}

/// With more subscriptions than this a program waits for files, not for clocks.
const CLOCKS_MAX: i32 = 64;

impl Clocks {
    /// None if there is anything else among the subscriptions, or anything wrong with them: wasmtime-wasi knows what to answer then.
    fn read(shared: SharedRef, memory: &GuestMemory<'_>, subscriptions: i32, count: i32) -> Option<Clocks> {
        if !(1..=CLOCKS_MAX).contains(&count) {
            return None;
        }
        let subscriptions = GuestPtr::<[types::Subscription]>::new((subscriptions as u32, count as u32));
        let mut deadlines = Vec::with_capacity(count as usize);
        for subscription in subscriptions.iter() {
            let subscription = memory.read(subscription.ok()?).ok()?;
            let types::SubscriptionU::Clock(clock) = subscription.u else {
                return None;
            };
            deadlines.push((deadline_of(&clock, shared)?, subscription.userdata));
        }
        let deadline_ns = deadlines.iter().map(|(deadline_ns, _)| *deadline_ns).min()?;
        Some(Clocks { deadlines, deadline_ns })
    }

    /// Writes an event for each deadline that has passed: at least for the one that was slept until.
    fn report(&self, shared: SharedRef, memory: &mut GuestMemory<'_>, events: i32, size: i32) -> Result<i32> {
        let now = HostMonotonicClock::now(&Clock(shared)).max(self.deadline_ns);
        let events = GuestPtr::<[types::Event]>::new((events as u32, self.deadlines.len() as u32));
        let mut events = events.iter();
        let mut written = 0;
        for (_, userdata) in self.deadlines.iter().filter(|(deadline_ns, _)| *deadline_ns <= now) {
            let event = types::Event {
                userdata: *userdata,
                error: types::Errno::Success,
                type_: types::Eventtype::Clock,
                fd_readwrite: types::EventFdReadwrite { flags: types::Eventrwflags::empty(), nbytes: 0 },
            };
            let slot = events.next().expect("as many events as subscriptions")?;
            memory.write(slot, event)?;
            written += 1;
        }
        memory.write(GuestPtr::<types::Size>::new(size as u32), written)?;
        Ok(types::Errno::Success as i32)
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
    type Output = Result<()>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let me = self.get_mut();
        let shared = me.shared;
        let sleep = shared.hooks().sleep.expect("checked before sleeping");
        // SAFETY: arguments as promised in the header.
        match unsafe { sleep(shared.process, me.deadline_ns, shared.task.get(), &raw mut me.op) } {
            crate::abi::Poll::Ready => Poll::Ready(Ok(())),
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
