//! A guest with strands: its instance, and beside it, in the same store, that of their scheduler.

use super::calls::FiberState;
use super::requests::{self, Request};
use super::rewrite::{IMPORT_MODULE, Kind, STRAND_MODULE, Side};
use super::scheduler::{self, failure};
use crate::error::{Error, ErrorKind};
use crate::guest::{Guest, has_to_yield, quiet};
use crate::host_function::from_wasmtime;
use crate::preview1::Sleep;
use crate::shared::{SharedRef, WaitName};
use crate::waker::with_waker;
use crate::wasi::Clock;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::Poll;
use wasmtime::{
    AsContextMut, Caller, Extern, Func, Global, Instance, InstancePre, Linker, Module, Result, Store, TypedFunc, Val,
    bail,
};
use wasmtime_wasi::HostMonotonicClock;

/// The module that the scheduler imports from. Not for guests.
pub const HOST_MODULE: &str = "weft_host";

/// How instances of a module with strands are made.
pub struct StrandProgram {
    module: Module,
    scheduler: InstancePre<Guest>,
    /// Everything that the guest imports but for what the scheduler exports.
    linker: Linker<Guest>,
}

impl StrandProgram {
    /// Errors: imports of other types than are provided.
    pub fn new(module: &Module, scheduler: &Module, linker: &Linker<Guest>) -> Result<StrandProgram> {
        let mut host = Linker::new(scheduler.engine());
        add_to_linker(&mut host)?;
        let scheduler = host.instantiate_pre(scheduler)?;
        // The types of all imports are compared now, and not when the first process starts.
        let mut store = Store::new(module.engine(), Guest::for_linking());
        if store.get_fuel().is_ok() {
            // Making the scheduler's instance takes some.
            store.set_fuel(u64::MAX)?;
        }
        let program = StrandProgram { module: module.clone(), scheduler, linker: linker.clone() };
        let instance = program.scheduler.instantiate(&mut store)?;
        program.linked(&mut store, &instance)?.instantiate_pre(module)?;
        Ok(program)
    }

    /// The linker of one process.
    fn linked(&self, store: &mut Store<Guest>, scheduler: &Instance) -> Result<Linker<Guest>> {
        let mut linker = self.linker.clone();
        for (module, names) in [(IMPORT_MODULE, &scheduler::FIBER[..]), (STRAND_MODULE, &scheduler::STRAND[..])] {
            for name in names {
                let export = scheduler.get_export(&mut *store, name).unwrap_or_else(|| unreachable!("it is ours"));
                linker.define(&mut *store, module, name, export)?;
            }
        }
        let spawn_at = scheduler.get_export(&mut *store, "spawn_at").unwrap_or_else(|| unreachable!("it is ours"));
        linker.define(&mut *store, IMPORT_MODULE, "spawn_at", spawn_at)?;
        Ok(linker)
    }

    /// Makes both instances, and the state of the store. Nothing of the guest runs but its `malloc`.
    pub fn instantiate(&self, side: &Side, store: &mut Store<Guest>) -> Result<(Instance, Strands)> {
        let scheduler = self.scheduler.instantiate(&mut *store)?;
        let guest = self.linked(store, &scheduler)?.instantiate(&mut *store, &self.module)?;
        let settings = Settings { scheduler, guest };
        for (name, export) in [
            ("begin", "weft:begin"),
            ("enter", "weft:enter"),
            ("set_stack", "weft:set_stack"),
            ("allocate", "weft:allocate"),
        ] {
            settings.pass(store, name, export)?;
        }
        let engine = store.data().program.module().engine().clone();
        settings.set(store, "preemptive", i32::from(side.kind == Kind::Strands { preemptive: true }))?;
        settings.set(store, "strands_max", i32::try_from(engine.settings().strands_max).unwrap_or(i32::MAX))?;
        if side.stack.is_some() {
            settings.set(store, "stack_bytes", engine.settings().strand_stack_bytes as i32)?;
        }
        if let Some(size) = side.tls.and_then(|tls| tls.size) {
            settings.set(store, "tls_bytes", size as i32)?;
        }
        let global = |store: &mut Store<Guest>, name| {
            scheduler.get_global(&mut *store, name).unwrap_or_else(|| unreachable!("it is ours"))
        };
        let (pending, until, current) = (global(store, "pending"), global(store, "until"), global(store, "current"));
        let deadline = global(store, "deadline");
        store.data_mut().fiber = Some(Box::new(FiberState::new(pending, Some(until), Some(current))));
        let strands = Strands {
            main: scheduler.get_typed_func(&mut *store, "main")?,
            run: scheduler.get_typed_func(&mut *store, "run")?,
            wake: scheduler.get_typed_func(&mut *store, "wake")?,
            spawn: scheduler.get_typed_func(&mut *store, "spawn_host")?,
            live: scheduler.get_typed_func(&mut *store, "live")?,
            look: scheduler.get_typed_func(&mut *store, "strand")?,
            current,
            deadline,
            sleep: None,
            woken: Vec::new(),
            alone: true,
        };
        scheduler.get_typed_func::<(), ()>(&mut *store, "prepare")?.call(&mut *store, ())?;
        Ok((guest, strands))
    }
}

struct Settings {
    scheduler: Instance,
    guest: Instance,
}

impl Settings {
    fn global(&self, store: &mut Store<Guest>, name: &str) -> Global {
        self.scheduler.get_global(store, name).unwrap_or_else(|| unreachable!("it is ours"))
    }

    fn set(&self, store: &mut Store<Guest>, name: &str, value: i32) -> Result<()> {
        self.global(store, name).set(store, Val::I32(value))
    }

    /// Hands a function of the guest to the scheduler, if it has it.
    fn pass(&self, store: &mut Store<Guest>, name: &str, export: &str) -> Result<()> {
        let function: Option<Func> = self.guest.get_export(&mut *store, export).and_then(Extern::into_func);
        match function {
            Some(function) => self.global(store, name).set(store, Val::FuncRef(Some(function))),
            None => Ok(()),
        }
    }
}

/// The strands of one process.
pub struct Strands {
    main: TypedFunc<i32, i64>,
    run: TypedFunc<i64, i32>,
    wake: TypedFunc<i64, i32>,
    spawn: TypedFunc<(i32, i32), i64>,
    live: TypedFunc<(), i32>,
    /// Of a record: id, state, site, who made it.
    look: TypedFunc<i32, (i64, i32, i32, i64)>,
    current: Global,
    deadline: Global,
    /// Until the next strand is to be woken, while none is ready.
    sleep: Option<Sleep>,
    /// Empty but while it is filled; kept for its memory.
    woken: Vec<i64>,
    /// Nobody but strands can wake one that waits for nothing of the host's.
    pub alone: bool,
}

/// All strands wait for each other.
#[derive(Debug)]
pub struct Deadlock(i32);

impl std::fmt::Display for Deadlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("its only strand waits, and nothing is left that could wake it"),
            strands => write!(f, "all its {strands} strands wait, and nothing is left that could wake any of them"),
        }
    }
}

impl std::error::Error for Deadlock {}

/// What `run` answers.
const ENDED: i32 = 0;
const WAITS: i32 = 1;

static WAIT: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "strands".to_string() });

impl Strands {
    /// Makes the main strand, to call the entry `k`. Its id.
    pub fn begin(&self, store: &mut Store<Guest>, k: u32) -> Result<i64> {
        self.main.call(store, k as i32)
    }

    /// Runs strands until the main one has ended (0), none is ready (1), or the worker is to be given up (2).
    pub fn run(&mut self, store: &mut Store<Guest>) -> Result<i32> {
        let shared = store.data().shared;
        loop {
            self.sleep = None;
            self.spawn_requested(store)?;
            let now_ns = now(shared);
            if let Some(state) = &mut store.data_mut().fiber {
                state.look(shared, now_ns, &mut self.woken);
            }
            for strand in self.woken.drain(..) {
                self.wake.call(&mut *store, strand)?;
            }
            let answer = self.run.call(&mut *store, now_ns)?;
            let state = store.data_mut().fiber.as_mut();
            if state.is_some_and(|state| std::mem::take(&mut state.left_for_requests)) && answer != ENDED {
                continue;
            }
            if answer != WAITS {
                shared.set_waiting_for(None);
                return Ok(answer);
            }
            shared.set_waiting_for(Some(&WAIT));
            if shared.strands.any() {
                continue;
            }
            let deadline = self.deadline.get(&mut *store).unwrap_i64();
            if deadline == i64::MAX {
                let idle = store.data_mut().fiber.as_mut().is_some_and(|state| state.is_idle());
                return if idle && self.alone { Err(quiet(Deadlock(self.live(store)?))) } else { Ok(answer) };
            }
            let mut sleep = Sleep::new(shared, deadline as u64);
            match with_waker(&shared, |cx| Pin::new(&mut sleep).poll(cx)) {
                Poll::Ready(()) => {}
                Poll::Pending => {
                    self.sleep = Some(sleep);
                    return Ok(answer);
                }
            }
        }
    }

    /// Of the strand that runs or has trapped: what people call it, and where it was made, if that is known.
    pub fn origin(&self, store: &mut Store<Guest>, side: &Side) -> Option<(u32, Option<u32>)> {
        let id = self.current.get(&mut *store).unwrap_i64();
        let number = id as u32;
        // Its record is the one of that number.
        let (_, _, site, _) = self.look.call(&mut *store, number.checked_sub(1)? as i32).ok()?;
        Some((number, usize::try_from(site).ok().and_then(|site| side.spawn_sites.get(site).copied())))
    }

    /// Strands that have not ended.
    pub fn live(&self, store: &mut Store<Guest>) -> Result<i32> {
        self.live.call(store, ())
    }

    /// Makes what the host has asked for.
    fn spawn_requested(&self, store: &mut Store<Guest>) -> Result<()> {
        const NORMAL: i32 = 1;
        let shared = store.data().shared;
        for Request { token, entry, arguments, results } in shared.strands.take() {
            let strand = self.spawn.call(&mut *store, (entry as i32, NORMAL))?;
            if strand < 0 {
                let most = store.data().program.module().engine().settings().strands_max;
                let message = format!("the process has as many strands as it may: {most}");
                requests::tell(&shared, token, Err(Error::new(ErrorKind::ResourceExhausted, message)));
            } else if let Some(state) = &mut store.data_mut().fiber {
                state.arguments.put(strand, arguments);
                state.results.put(strand, results);
                state.tokens.insert(strand, token);
            }
        }
        Ok(())
    }
}

/// Tells the host what a strand that it asked for has answered.
fn finished(caller: &mut Caller<'_, Guest>, strand: i64) {
    let guest = caller.data_mut();
    if let Some(state) = &mut guest.fiber
        && let Some(token) = state.tokens.remove(&strand)
    {
        state.arguments.take(strand);
        let results = state.results.take(strand).unwrap_or_default();
        let results: Vec<_> = results.iter().filter_map(from_wasmtime).collect();
        requests::tell(&guest.shared, token, Ok(&results));
    }
}

fn now(shared: SharedRef) -> i64 {
    HostMonotonicClock::now(&Clock(shared)) as i64
}

/// What the scheduler imports.
fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    linker.func_wrap(HOST_MODULE, "tick", |mut caller: Caller<'_, Guest>| -> Result<i32> {
        super::calls::note_fuel(&mut caller.as_context_mut())?;
        let yields = has_to_yield(&mut caller.as_context_mut())?;
        let guest = caller.data_mut();
        let shared = guest.shared;
        if !yields
            && let Some(state) = &mut guest.fiber
            && (shared.strands.any() || state.has_to_look(|| now(shared)))
        {
            state.left_for_requests = true;
            return Ok(1);
        }
        Ok(i32::from(yields))
    })?;
    linker.func_wrap(HOST_MODULE, "now", |caller: Caller<'_, Guest>| now(caller.data().shared))?;
    linker.func_wrap(HOST_MODULE, "finished", |mut caller: Caller<'_, Guest>, strand: i64| {
        finished(&mut caller, strand);
    })?;
    linker.func_wrap(HOST_MODULE, "fail", |caller: Caller<'_, Guest>, code: i32| -> Result<()> {
        let settings = caller.data().program.module().engine().settings();
        match code {
            failure::SHADOW_STACK => bail!(
                "there is no memory for a strand's stack ({} bytes, from the program's own malloc)",
                settings.strand_stack_bytes
            ),
            failure::STACKS => bail!("there is no room for another strand: the limit on table elements is reached"),
            failure::NOT_A_STRAND => bail!("the guest's malloc waits while a strand's stack is allocated"),
            _ => bail!("internal error: the scheduler of strands failed ({code})"),
        }
    })?;
    Ok(())
}

/// What guests with strands import besides.
pub fn add_to_guest_linker(linker: &mut Linker<Guest>) -> Result<()> {
    linker.func_wrap(IMPORT_MODULE, "overflow", |caller: Caller<'_, Guest>| -> Result<()> {
        let bytes = caller.data().program.module().engine().settings().strand_stack_bytes;
        bail!("the stack of a strand overflowed ({bytes} bytes of the program's own memory; RuntimeOptions::strand_stack_bytes)")
    })?;
    Ok(())
}
