//! Guest threads, as wasi-threads has them: each is a store and an instance of its own over memory that all threads of the process share. What they have in
//! common, and the functions that only they import: `wasi.thread-spawn`, and what `rewrite` puts in place of instructions that wait, notify and grow.

use crate::call::Limits;
use crate::fibers::calls::{self, Operation};
use crate::guest::{Guest, GuestMemoryRef};
use crate::hooks::{FutexPoll, FutexWait};
use crate::limits::{CountersRef, MemoryTotal};
use crate::program::Threaded;
use crate::shared::{SharedRef, WaitName};
use crate::waiting::{awaited, polled, wait_name, watched};
use crate::waker::wait_for_hook;
use crate::world::World;
use std::ffi::c_void;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use wasmtime::{Caller, InstancePre, Linker, Result, SharedMemory, Store, Trap};

/// The memory that a program with threads imports.
pub const MEMORY: (&str, &str) = ("env", "memory");
pub const SPAWN_MODULE: &str = "wasi";
pub const SPAWN_NAME: &str = "thread-spawn";
/// What a thread begins with: takes the thread's id and what `thread-spawn` was given.
pub const ENTRY: &str = "wasi_thread_start";
/// The module of the imports that `rewrite` adds.
pub const MODULE: &str = "weft_threads";

/// What the threads of one process share. Kept alive by each of them; what it holds refers to the first one's call, which is therefore dropped last (see `weft_call_new_thread`).
pub struct Group {
    /// With the memories of this process.
    pub pre: InstancePre<Guest>,
    memories: Vec<SharedMemory>,
    pub memory_total: Arc<MemoryTotal>,
    /// Held while a memory grows: what fails for the memory's own maximum must not be counted meanwhile, or another thread would find the limit reached.
    growing: Mutex<()>,
    pub world: Arc<World>,
    pub limits: Limits,
}

impl Group {
    /// Makes the memories of a process whose first thread is about to start in `store`. Errors: limits, and what the operating system refuses.
    pub fn new(
        threaded: &Threaded,
        store: &mut Store<Guest>,
        limits: Limits,
        counters: CountersRef,
        world: Arc<World>,
    ) -> Result<Group> {
        let memory_total = Arc::new(MemoryTotal::new(limits.memory_bytes, counters));
        let mut memories = Vec::with_capacity(threaded.memories.len());
        for import in &threaded.memories {
            // Imported twice, it is one memory, which both know.
            let same = threaded.memories[..memories.len()].iter().position(|other| other.is_named_like(import));
            let memory: SharedMemory = match same {
                Some(same) => SharedMemory::clone(&memories[same]),
                None => {
                    memory_total.add(import.ty.minimum().saturating_mul(import.ty.page_size()))?;
                    SharedMemory::new(store.engine(), import.ty.clone())?
                }
            };
            memories.push(memory);
        }
        // The one that names the memories is the only one that changes it, and puts it back: else the last process's memory would live on in it.
        let mut linker = threaded.linker.lock().unwrap_or_else(PoisonError::into_inner);
        for (import, memory) in threaded.memories.iter().zip(&memories) {
            linker.define(&mut *store, &import.module, &import.name, memory.clone())?;
        }
        let pre = linker.instantiate_pre(&threaded.module);
        for import in &threaded.memories {
            linker.define(&mut *store, &import.module, &import.name, import.placeholder.clone())?;
        }
        Ok(Group { pre: pre?, memories, memory_total, growing: Mutex::new(()), world, limits })
    }

    /// The memory that WASI and host functions work on: the first.
    pub fn shared_memory(&self) -> Option<GuestMemoryRef> {
        self.memories.first().cloned().map(GuestMemoryRef::Shared)
    }

    fn indexed(&self, index: i32) -> Result<&SharedMemory> {
        self.memories.get(index as usize).ok_or_else(|| Trap::MemoryOutOfBounds.into())
    }

    /// The host's address of a word, checked as the instruction would.
    fn word(&self, memory: i32, address: u64, offset: i64, bytes: u32) -> Result<(*const c_void, u64)> {
        let address = address.checked_add(offset as u64).ok_or(Trap::MemoryOutOfBounds)?;
        if address % u64::from(bytes) != 0 {
            return Err(Trap::HeapMisaligned.into());
        }
        let data = self.indexed(memory)?.data();
        let end = address.checked_add(u64::from(bytes)).ok_or(Trap::MemoryOutOfBounds)?;
        if end > data.len() as u64 {
            return Err(Trap::MemoryOutOfBounds.into());
        }
        Ok((data[address as usize..].as_ptr().cast(), address))
    }

    /// What `memory.grow` does, with the limit on memory looked at first. -1 if the memory's own maximum or the operating system is in the way.
    fn grow(&self, memory: i32, delta: u64) -> Result<Option<u64>> {
        let memory = self.indexed(memory)?;
        let Some(bytes) = delta.checked_mul(memory.page_size()) else {
            return Ok(None);
        };
        let pages_max = memory.ty().maximum().unwrap_or(u64::MAX);
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.size().checked_add(delta).is_none_or(|pages| pages > pages_max) {
            return Ok(None);
        }
        self.memory_total.add(bytes)?;
        match memory.grow(delta) {
            Ok(before) => Ok(Some(before)),
            Err(_) => {
                self.memory_total.remove(bytes);
                Ok(None)
            }
        }
    }
}

/// One wait on a word. Dropping it takes it out of the queue.
pub struct Wait {
    shared: SharedRef,
    wait: FutexWait,
    op: *mut c_void,
}

// SAFETY: the hook accepts to be continued and cancelled on any thread that polls; the address is only passed on.
unsafe impl Send for Wait {}

impl Future for Wait {
    type Output = Result<i32>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<i32>> {
        let me = self.get_mut();
        let shared = me.shared;
        let wait = shared.hooks().futex_wait.expect("checked when the engine was made");
        // SAFETY: arguments as promised in the header.
        match unsafe { wait(shared.process, &raw const me.wait, shared.task.get(), &raw mut me.op) } {
            FutexPoll::Pending => {
                wait_for_hook(&shared, cx);
                Poll::Pending
            }
            answer => Poll::Ready(Ok(answer as i32)),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.op.is_null()
            && let Some(futex_drop) = self.shared.hooks().futex_drop
        {
            // SAFETY: the op of this wait, which the hook did not take back.
            unsafe { futex_drop(self.shared.process, self.op) };
        }
    }
}

fn group<'a>(caller: &'a mut Caller<'_, Guest>) -> Result<(&'a Group, SharedRef)> {
    let guest = caller.data_mut();
    guest.limiter.count_host_call();
    let shared = guest.shared;
    match &guest.group {
        Some(group) => Ok((group, shared)),
        None => Err(wasmtime::Error::msg("the process has no threads")),
    }
}

/// An operand as wide as an address, or a word that is waited on, of either size.
trait Operand {
    fn bits(self) -> u64;
}

impl Operand for i32 {
    fn bits(self) -> u64 {
        u64::from(self as u32)
    }
}

impl Operand for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
}

/// Starts a wait, with the operands as `rewrite` passes them.
fn wait<T: Operand>(
    caller: &mut Caller<'_, Guest>,
    address: impl Operand,
    expected: T,
    timeout_ns: i64,
    offset: i64,
    memory: i32,
) -> Result<Wait> {
    let bytes = size_of::<T>() as u32;
    let (group, shared) = group(caller)?;
    let (word, guest_address) = group.word(memory, address.bits(), offset, bytes)?;
    let wait = FutexWait { address: word, guest_address, bytes, expected: expected.bits(), timeout_ns };
    Ok(Wait { shared, wait, op: std::ptr::null_mut() })
}

/// The instructions that wait, by what `rewrite` calls them.
mod starts {
    pub(super) use super::wait as wait32;
    pub(super) use super::wait as wait64;
    pub(super) use super::wait as wait32_m64;
    pub(super) use super::wait as wait64_m64;
}

macro_rules! wait_functions {
    ($define:ident! $to:tt) => {
        $define! { $to
            wait32(address: i32, expected: i32, timeout_ns: i64, offset: i64, memory: i32) "memory.atomic.wait32";
            wait64(address: i32, expected: i64, timeout_ns: i64, offset: i64, memory: i32) "memory.atomic.wait64";
            wait32_m64(address: i64, expected: i32, timeout_ns: i64, offset: i64, memory: i32) "memory.atomic.wait32";
            wait64_m64(address: i64, expected: i64, timeout_ns: i64, offset: i64, memory: i32) "memory.atomic.wait64";
        }
    };
}

fn notify(caller: &mut Caller<'_, Guest>, address: u64, offset: i64, memory: i32, count: i32) -> Result<i32> {
    let (group, shared) = group(caller)?;
    let (word, _) = group.word(memory, address, offset, 4)?;
    let notify = shared.hooks().futex_notify.expect("checked when the engine was made");
    // SAFETY: arguments as promised in the header.
    Ok(unsafe { notify(shared.process, word, count as u32) } as i32)
}

fn grow(caller: &mut Caller<'_, Guest>, memory: i32, delta: u64) -> Result<Option<u64>> {
    let (group, _) = group(caller)?;
    group.grow(memory, delta)
}

fn spawn(caller: &mut Caller<'_, Guest>, argument: i32) -> Result<i32> {
    let (_, shared) = group(caller)?;
    let spawn = shared.hooks().thread_spawn.expect("checked when the engine was made");
    // SAFETY: arguments as promised in the header.
    Ok(unsafe { spawn(shared.process, argument) })
}

/// Adds what programs with threads import besides WASI, except for their memories.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    wait_functions! { awaited! {linker, MODULE, starts} }
    add_immediate(linker)
}

/// The same for fibers.
pub fn add_to_fiber_linker(linker: &mut Linker<Guest>) -> Result<()> {
    wait_functions! { polled! {linker, MODULE, starts, Operation::Futex} }
    add_immediate(linker)
}

/// The functions that never wait.
fn add_immediate(linker: &mut Linker<Guest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "notify",
        |mut caller: Caller<'_, Guest>, address: i32, count: i32, offset: i64, memory: i32| -> Result<i32> {
            notify(&mut caller, u64::from(address as u32), offset, memory, count)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "notify_m64",
        |mut caller: Caller<'_, Guest>, address: i64, count: i32, offset: i64, memory: i32| -> Result<i32> {
            notify(&mut caller, address as u64, offset, memory, count)
        },
    )?;
    linker.func_wrap(MODULE, "grow", |mut caller: Caller<'_, Guest>, delta: i32, memory: i32| -> Result<i32> {
        Ok(grow(&mut caller, memory, u64::from(delta as u32))?.map_or(-1, |before| before as i32))
    })?;
    linker.func_wrap(MODULE, "grow_m64", |mut caller: Caller<'_, Guest>, delta: i64, memory: i32| -> Result<i64> {
        Ok(grow(&mut caller, memory, delta as u64)?.map_or(-1, |before| before as i64))
    })?;
    linker.func_wrap(SPAWN_MODULE, SPAWN_NAME, |mut caller: Caller<'_, Guest>, argument: i32| -> Result<i32> {
        spawn(&mut caller, argument)
    })?;
    Ok(())
}
