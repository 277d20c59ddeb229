//! The data of a store: everything that host functions and Wasmtime's callbacks know about the process whose guest is running.

use crate::backtrace::{Backtrace, no_backtrace};
use crate::call::CallConfig;
use crate::error::Error;
use crate::fibers::calls::FiberState;
use crate::hooks::Decision;
use crate::limits::{CountersRef, Limiter};
use crate::shared::{ProgramRef, SharedRef};
use crate::threads::Group;
use crate::waker::YieldNow;
use crate::wasi::WasiConfig;
use crate::world::World;
use std::sync::Arc;
use wasmtime::{AsContext, Caller, Extern, Memory, SharedMemory, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxView, WasiView};

pub struct Guest {
    pub shared: SharedRef,
    pub program: ProgramRef,
    pub limiter: Limiter,
    pub wasi: Wasi,
    /// The memory that the main instance exports as "memory", once it is instantiated, or the first that its threads share; saves looking it up by name.
    pub memory: Option<GuestMemoryRef>,
    /// The WASI state that the threads or strands of the process share, in place of `wasi`; None where there is but one to use it.
    pub world: Option<Arc<World>>,
    /// What the threads of the process share; None without threads.
    pub group: Option<Arc<Group>>,
    /// Whether the store runs a component: then futures between the call and the guest have wakers of their own.
    pub component: bool,
    /// Fuel given at start, if the engine counts fuel.
    pub fuel: Option<u64>,
    /// Of a store whose guest is told to call again where it would wait; None where it waits inside of the call.
    pub fiber: Option<Box<FiberState>>,
}

impl Guest {
    /// For a store that is only there to define things in, and never runs anything.
    pub fn for_linking() -> Guest {
        let limits = CallConfig::DEFAULT.limits;
        Guest {
            shared: SharedRef::dangling(),
            program: ProgramRef::dangling(),
            limiter: Limiter::new(limits, CountersRef(std::ptr::null_mut())),
            wasi: Wasi::None,
            memory: None,
            world: None,
            group: None,
            component: false,
            fuel: None,
            fiber: None,
        }
    }
}

/// The memory that host functions work on.
#[derive(Clone)]
pub enum GuestMemoryRef {
    Own(Memory),
    Shared(SharedMemory),
}

/// The memory that host functions called by `caller` work on.
pub fn memory_of(caller: &mut Caller<'_, Guest>) -> Option<GuestMemoryRef> {
    if let Some(memory) = &caller.data().memory {
        return Some(memory.clone());
    }
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Some(GuestMemoryRef::Own(memory)),
        Some(Extern::SharedMemory(memory)) => Some(GuestMemoryRef::Shared(memory)),
        _ => None,
    }
}

/// WASI state of a process: of preview 1 (core modules), which contains that of 0.2 and 0.3 (components).
pub enum Wasi {
    /// The program does not import WASI; or a preview 1 function runs that has taken the state out, so that it borrows nothing from the store; or the process has
    /// threads, which share another one (see `World`).
    None,
    /// To be made on first use: it takes a microsecond and five kilobytes, and many programs only sleep, yield and exit.
    Later(Option<Arc<WasiConfig>>),
    Ready(Exclusive<Box<WasiP1Ctx>>),
}

impl Wasi {
    /// For a process that is about to start. Errors: see `WasiConfig::build`.
    pub fn new(config: Option<Arc<WasiConfig>>, shared: SharedRef, component: bool) -> Result<Wasi, Error> {
        // Components look at theirs at any time; and directories are opened now, so that one that is gone is an error of the start.
        match config {
            Some(config) if component || config.has_directories() => Ok(Wasi::ready(config.build(shared)?)),
            None if component => Ok(Wasi::ready(WasiConfig::default().build(shared)?)),
            later => Ok(Wasi::Later(later)),
        }
    }

    pub fn ready(state: Box<WasiP1Ctx>) -> Wasi {
        Wasi::Ready(Exclusive::new(state))
    }

    /// Takes the state out, made now if it has not been.
    pub fn take(&mut self, shared: SharedRef) -> Result<Box<WasiP1Ctx>, Absent> {
        self.state(shared)?;
        match std::mem::replace(self, Wasi::None) {
            Wasi::Ready(state) => Ok(state.into_inner()),
            Wasi::None | Wasi::Later(_) => Err(Absent),
        }
    }

    /// The state in its place, made now if it has not been.
    pub fn state(&mut self, shared: SharedRef) -> Result<&mut WasiP1Ctx, Absent> {
        if let Wasi::Later(config) = self {
            let built = match config {
                Some(config) => config.build(shared),
                None => WasiConfig::default().build(shared),
            };
            *self = Wasi::ready(built.unwrap_or_else(|error| unreachable!("only directories fail: {}", error.message)));
        }
        match self {
            Wasi::Ready(state) => Ok(state.get()),
            Wasi::None | Wasi::Later(_) => Err(Absent),
        }
    }
}

/// A value that is only reachable exclusively, which makes sharing the wrapper harmless.
pub struct Exclusive<T>(T);

// SAFETY: a shared `Exclusive` gives access to nothing.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub fn new(value: T) -> Exclusive<T> {
        Exclusive(value)
    }

    pub fn get(&mut self) -> &mut T {
        &mut self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.state(self.shared).expect("components get their WASI state at the start").ctx()
    }
}

/// The guest called exit.
#[derive(Debug)]
pub struct Exit(pub i32);

/// The `epoch` hook answered stop.
#[derive(Debug)]
pub struct Stopped;

macro_rules! plain_error {
    ($type:ident, $text:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($text)
            }
        }
        impl std::error::Error for $type {}
    };
}
plain_error!(Exit, "the guest exited");
plain_error!(Stopped, "the guest was stopped");

/// There is no WASI state where there should be.
#[derive(Debug)]
pub struct Absent;
plain_error!(Absent, "the process has no WASI state");

/// An error that unwinds the guest without Wasmtime capturing a backtrace.
pub fn quiet(error: impl std::error::Error + Send + Sync + 'static) -> wasmtime::Error {
    wasmtime::Error::new(error).context(no_backtrace())
}

/// Answers a request for a backtrace, if there is one, with the stack of the guest in `store`.
#[inline]
pub fn serve_backtrace(store: impl AsContext<Data = Guest>) {
    let store = store.as_context();
    if store.data().shared.backtrace_wanted() {
        let guest = store.data();
        let backtrace = Backtrace::capture(&store, guest.program.module());
        guest.shared.serve(Some(&backtrace));
    }
}

/// Asks whether the guest is to go on: true if it is to give up the worker.
pub fn has_to_yield(store: &mut StoreContextMut<'_, Guest>) -> wasmtime::Result<bool> {
    serve_backtrace(&*store);
    count_fuel(store);
    let guest = store.data();
    let Some(ask) = guest.shared.hooks().epoch else {
        return Ok(false);
    };
    // SAFETY: the hook accepts the call's process.
    match unsafe { ask(guest.shared.process) } {
        Decision::Continue => Ok(false),
        Decision::Yield => {
            if !guest.component {
                tell_if_spinning(store);
            }
            Ok(true)
        }
        Decision::Stop => Err(quiet(Stopped)),
    }
}

/// What happens at an epoch check.
fn epoch(mut store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    if !has_to_yield(&mut store)? {
        return Ok(UpdateDeadline::Continue(1));
    }
    let guest = store.data();
    if guest.component {
        // The yield has to go through the wakers in between.
        guest.shared.yielding.set(true);
        return Ok(UpdateDeadline::Yield(1));
    }
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(YieldNow)))
}

/// Tells the scheduler if the guest is about to yield in the middle of a loop that only waits for another thread. Looking takes a microsecond or two, once a quantum, and only in
/// modules that have such loops.
fn tell_if_spinning(store: &StoreContextMut<'_, Guest>) {
    let guest = store.data();
    if let Some(spinning) = guest.shared.hooks().spinning
        && let origin = guest.program.module().origin()
        && origin.has_spin_loops()
        && let backtrace = wasmtime::WasmBacktrace::force_capture(store)
        && let Some(offset) = backtrace.frames().first().and_then(|frame| frame.module_offset())
        && origin.spins_at(offset as u64)
    {
        // SAFETY: the hook accepts the call's process.
        unsafe { spinning(guest.shared.process) };
    }
}

/// Brings the fuel counter up to date.
pub fn count_fuel(store: &mut StoreContextMut<'_, Guest>) {
    if let Some(given) = store.data().fuel
        && let Ok(left) = store.get_fuel()
    {
        store.data().limiter.counters().fuel_consumed(given.saturating_sub(left));
    }
}

/// A store for `guest`, with its limits and epoch decisions in place.
pub fn new_store(engine: &wasmtime::Engine, epochs: bool, guest: Guest) -> wasmtime::Result<Store<Guest>> {
    let fuel = guest.fuel;
    let mut store = Store::try_new(engine, guest)?;
    store.limiter(|guest| &mut guest.limiter);
    if epochs {
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(epoch);
    }
    if let Some(fuel) = fuel {
        store.set_fuel(fuel)?;
    }
    Ok(store)
}
