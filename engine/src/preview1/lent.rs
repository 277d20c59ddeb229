//! Preview 1 for programs whose threads or strands share their WASI state (see `world`): the same functions, each an operation that has borrowed the state when it begins. What may wait
//! for long, and what a program calls often, does without it.

use super::list::{quick_functions, slow_functions, stream_functions};
use super::{MODULE, MODULE_UNSTABLE, SUCCESS, add_exit, add_without_state, clocks, refuse, view};
use crate::fibers::calls::{self, Operation};
use crate::guest::{Absent, Guest};
use crate::shared::{SharedRef, WaitName};
use crate::waiting::{awaited, polled, wait_name, watched};
use crate::world::{Borrowed, World};
use std::sync::{Arc, LazyLock};
use wasmtime::{AsContextMut, Caller, Linker, Result};
use wasmtime_wasi::p1::types;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr};

/// What an operation takes along: nothing of it borrows from the store.
pub struct Access {
    pub shared: SharedRef,
    pub world: Arc<World>,
    /// Never an exclusive view of it: see `view`.
    pub memory: GuestMemory<'static>,
    fuel: usize,
}

impl Access {
    /// For a call that begins; it is counted.
    pub fn new(caller: &mut Caller<'_, Guest>) -> Result<Access> {
        let fuel = caller.as_context_mut().hostcall_fuel();
        let memory = view(caller)?;
        let guest = caller.data_mut();
        guest.limiter.count_host_call();
        let world = guest.world.clone().ok_or(Absent)?;
        Ok(Access { shared: guest.shared, world, memory, fuel })
    }

    /// Borrows the state; waits while another thread or strand has it.
    async fn borrow(self) -> Result<(Borrowed, GuestMemory<'static>)> {
        let mut borrowed = self.world.borrow().await?;
        borrowed.wasi().set_hostcall_fuel(self.fuel);
        Ok((borrowed, self.memory))
    }
}

/// Defines starts: functions that take the call's `Access`, and answer with a future that does the rest.
macro_rules! start {
    ($($name:ident($access:ident $(, $arg:ident: $ty:ty)*) $body:block)*) => {$(
        // As many as WASI has.
        #[allow(clippy::too_many_arguments)]
        pub fn $name(caller: &mut Caller<'_, Guest> $(, $arg: $ty)*) -> Result<impl Future<Output = Result<i32>> + Send + use<>> {
            let $access = Access::new(caller)?;
            Ok(async move $body)
        }
    )*};
}

/// Of functions that wait for the state and for nothing else.
macro_rules! quick {
    ({} $($name:ident($($arg:ident: $ty:ty),*);)*) => {
        start! {$(
            $name(access $(, $arg: $ty)*) {
                let (mut borrowed, mut memory) = access.borrow().await?;
                functions::$name(borrowed.wasi(), &mut memory $(, $arg)*)
            }
        )*}
    };
}

/// Of functions that wait for other things, too.
macro_rules! slow {
    ({} $($name:ident($($arg:ident: $ty:ty),*);)*) => {
        start! {$(
            $name(access $(, $arg: $ty)*) {
                let (mut borrowed, mut memory) = access.borrow().await?;
                functions::$name(borrowed.wasi(), &mut memory $(, $arg)*).await
            }
        )*}
    };
}

/// The starts of preview 1.
mod current {
    use super::super::streams::{self, Subscriptions};
    use super::*;
    use wasmtime_wasi::p1::wasi_snapshot_preview1 as functions;

    quick_functions! { quick! {} }
    slow_functions! { slow! {} }
    quick! { {}
        sock_accept(fd: i32, flags: i32, accepted: i32);
    }
    start! {
        fd_close(access, fd: i32) {
            let world = access.world.clone();
            let (mut borrowed, mut memory) = access.borrow().await?;
            let result = functions::fd_close(borrowed.wasi(), &mut memory, fd).await;
            if let Ok(SUCCESS) = result {
                world.closed(fd);
            }
            result
        }
        fd_renumber(access, from: i32, to: i32) {
            let world = access.world.clone();
            let (mut borrowed, mut memory) = access.borrow().await?;
            let result = functions::fd_renumber(borrowed.wasi(), &mut memory, from, to).await;
            if let Ok(SUCCESS) = result {
                world.renumbered(from, to);
            }
            result
        }
        fd_read(access, fd: i32, iovs: i32, iovs_len: i32, size: i32) {
            if let Some(stream) = access.world.stream(fd) {
                return streams::read(access, stream, (iovs, iovs_len, size)).await;
            }
            let (mut borrowed, mut memory) = access.borrow().await?;
            functions::fd_read(borrowed.wasi(), &mut memory, fd, iovs, iovs_len, size).await
        }
        fd_write(access, fd: i32, iovs: i32, iovs_len: i32, size: i32) {
            if let Some(stream) = access.world.stream(fd) {
                return streams::write(access, stream, (iovs, iovs_len, size)).await;
            }
            let (mut borrowed, mut memory) = access.borrow().await?;
            functions::fd_write(borrowed.wasi(), &mut memory, fd, iovs, iovs_len, size).await
        }
        poll_oneoff(access, subscriptions: i32, events: i32, count: i32, size: i32) {
            if let Some(known) = Subscriptions::read(&access, subscriptions, count) {
                return streams::poll(access, known, (events, size)).await;
            }
            let (mut borrowed, mut memory) = access.borrow().await?;
            functions::poll_oneoff(borrowed.wasi(), &mut memory, subscriptions, events, count, size).await
        }
    }
}

/// Where the time between is somebody else's business, clocks alone make an operation of their own.
mod timed {
    use super::super::clocks::{Clocks, Sleeping};
    use super::*;

    pub fn poll_oneoff(
        caller: &mut Caller<'_, Guest>,
        subscriptions: i32,
        events: i32,
        count: i32,
        size: i32,
    ) -> Result<Operation> {
        let (shared, memory) = (caller.data().shared, view(caller)?);
        if let Some(clocks) = Clocks::read(shared, &memory, subscriptions, count) {
            caller.data_mut().limiter.count_host_call();
            return Ok(Operation::Sleep(Sleeping::new(shared, clocks, memory, (events, size))));
        }
        current::poll_oneoff(caller, subscriptions, events, count, size).map(Operation::future)
    }
}

/// The starts of what came before preview 1. Structures and numbers differ from it, so that all is left to wasmtime-wasi, also what waits for long: the state is not free meanwhile.
mod unstable {
    use super::*;
    use wasmtime_wasi::p0::wasi_unstable as functions;

    quick_functions! { quick! {} }
    slow_functions! { slow! {} }
    stream_functions! { slow! {} }
    slow! { {}
        fd_write(fd: i32, iovs: i32, iovs_len: i32, size: i32);
        poll_oneoff(subscriptions: i32, events: i32, count: i32, size: i32);
    }
}

/// Adds preview 1 for programs with threads.
pub fn add_to_threaded_linker(linker: &mut Linker<Guest>) -> Result<()> {
    quick_functions! { awaited! {linker, MODULE, current} }
    slow_functions! { awaited! {linker, MODULE, current} }
    stream_functions! { awaited! {linker, MODULE, current} }
    awaited! { {linker, MODULE, current}
        fd_write(fd: i32, iovs: i32, iovs_len: i32, size: i32);
        poll_oneoff(subscriptions: i32, events: i32, count: i32, size: i32);
        sock_accept(fd: i32, flags: i32, accepted: i32);
    }
    add_stateless(linker, MODULE)?;
    add_without_state(linker)
}

/// Adds preview 1, and its predecessor for old programs, for fibers.
pub fn add_to_fiber_linker(linker: &mut Linker<Guest>) -> Result<()> {
    quick_functions! { polled! {linker, MODULE, current, Operation::future} }
    slow_functions! { polled! {linker, MODULE, current, Operation::future} }
    stream_functions! { polled! {linker, MODULE, current, Operation::future} }
    polled! { {linker, MODULE, current, Operation::future}
        fd_write(fd: i32, iovs: i32, iovs_len: i32, size: i32);
        sock_accept(fd: i32, flags: i32, accepted: i32);
    }
    polled! { {linker, MODULE, timed, Operation::from}
        poll_oneoff(subscriptions: i32, events: i32, count: i32, size: i32);
    }
    quick_functions! { polled! {linker, MODULE_UNSTABLE, unstable, Operation::future} }
    slow_functions! { polled! {linker, MODULE_UNSTABLE, unstable, Operation::future} }
    stream_functions! { polled! {linker, MODULE_UNSTABLE, unstable, Operation::future} }
    polled! { {linker, MODULE_UNSTABLE, unstable, Operation::future}
        fd_write(fd: i32, iovs: i32, iovs_len: i32, size: i32);
        poll_oneoff(subscriptions: i32, events: i32, count: i32, size: i32);
    }
    for module in [MODULE, MODULE_UNSTABLE] {
        add_stateless(linker, module)?;
        add_exit(linker, module)?;
        linker.func_wrap(module, "sched_yield", |mut caller: Caller<'_, Guest>| calls::yield_now(&mut caller))?;
    }
    Ok(())
}

/// The functions that need no state.
fn add_stateless(linker: &mut Linker<Guest>, module: &str) -> Result<()> {
    clocks::add_to_linker(linker, module)?;
    linker.func_wrap(module, "random_get", |mut caller: Caller<'_, Guest>, buffer: i32, size: i32| -> Result<i32> {
        caller.data_mut().limiter.count_host_call();
        let mut memory = view(&mut caller)?;
        let mut chunk = [0_u8; 256];
        let (mut at, mut left) = (buffer as u32, size as u32);
        while left > 0 {
            let bytes = left.min(chunk.len() as u32);
            // SAFETY: writes at most so many bytes.
            let got = unsafe { libc::getrandom(chunk.as_mut_ptr().cast(), bytes as usize, 0) };
            let Ok(got @ 1..) = u32::try_from(got) else {
                return Ok(types::Errno::Io as i32);
            };
            if let Err(error) = memory.copy_from_slice(&chunk[..got as usize], GuestPtr::new((at, got))) {
                return refuse(error);
            }
            (at, left) = (at.wrapping_add(got), left - got);
        }
        Ok(SUCCESS)
    })?;
    Ok(())
}
