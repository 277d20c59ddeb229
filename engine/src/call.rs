//! Calls: one process's main call, from its store to its outcome, polled by whoever schedules it.

use crate::abi::{Poll, Str, Val, slice};
use crate::backtrace::BacktraceFn;
use crate::error::{Error, ErrorKind, guard, panic_text};
use crate::fibers::driver::Fiber;
use crate::fibers::rewrite::Kind;
use crate::guest::{Guest, Wasi, count_fuel, new_store};
use crate::limits::{CountersRef, Limiter};
use crate::module::Code;
use crate::outcome::{Finished, Outcome};
use crate::program::{Program, ProgramKind};
use crate::shared::{ProgramRef, Shared, SharedRef};
use crate::start::{self, Start};
use crate::threads::{self, Group};
use crate::waker::with_waker;
use crate::wasi::WasiConfig;
use crate::world::World;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use wasmtime::{AsContextMut, Store};

/// No limit.
pub const UNLIMITED: u64 = u64::MAX;

/// What one process may use. `weft_call_config_default` sets all of them to `WEFT_UNLIMITED`. Growing beyond one ends the process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    /// All linear memories together.
    pub memory_bytes: u64,
    /// All tables together.
    pub table_elements: u64,
    pub instances: u64,
    pub memories: u64,
    pub tables: u64,
    /// Executed instructions, roughly; needs an engine with `fuel`.
    pub fuel: u64,
}

/// Owned by the C++ side and kept alive until the call is dropped. Written by the thread that polls the call, with relaxed atomic stores, readable from any thread with relaxed
/// atomic loads; publishes nothing else.
#[repr(C)]
pub struct Counters {
    /// Size of all linear memories together.
    pub memory_bytes: u64,
    /// The most that was.
    pub memory_bytes_max: u64,
    /// Host functions called: WASI preview 1 and those of the linker (WASI calls of components are not counted).
    pub host_calls: u64,
    /// Fuel used; brought up to date at epoch checks and at the end.
    pub fuel_consumed: u64,
}

/// How to start a process. Fill it with `weft_call_config_default` first. Everything in it is borrowed for `weft_call_new` only, except `counters`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CallConfig {
    /// What the process sees of the world; NULL = nothing, and a program that imports WASI then sees an empty world.
    pub wasi: *const WasiConfig,
    /// The exported function to call; empty = `_start`, or `wasi:cli/run` of a component. A reactor's `_initialize` is called before it.
    pub entry: Str,
    /// Values to pass, for core modules. Either these, or `text_args`.
    pub args: *const Val,
    pub nargs: usize,
    /// Values to pass, as text, read according to the function's type: numbers for core modules, WAVE notation for components.
    pub text_args: *const Str,
    pub ntext_args: usize,
    pub limits: Limits,
    /// Of a program with strands: the process goes on when its entry has returned, for the strands that are asked for, until `weft_call_finish_strands`. If `entry` is empty and
    /// there is no `_start`, nothing but a reactor's initialisation is called. Default false.
    pub resident: bool,
    /// Of a program with strands: it stays when all of them wait for each other, until it is stopped. Default false.
    pub ignore_deadlock: bool,
    /// May be NULL.
    pub counters: *mut Counters,
}

/// The main call of one process. Used by one thread at a time, except where said otherwise.
///
/// What every poll touches comes first, in one cache line.
#[repr(C, align(64))]
pub struct Call {
    /// Touched by the thread that polls or drops the call, and not by functions that any thread may call. First, because what it holds points to `shared`.
    driver: UnsafeCell<Driver>,
    shared: Shared,
    /// Keeps alive what everything in here points to, and the names that `weft_call_waiting_for` hands out. Last: dropped after the driver.
    program: Arc<Program>,
}

enum Driver {
    /// While `weft_call_new` is at work.
    New,
    Running(Pin<Box<dyn Future<Output = Finished> + Send>>),
    /// On continuations.
    Fiber(Fiber),
    Done(Box<Finished>),
}

/// Everything a call needs to start, collected by `weft_call_new`.
pub(crate) struct Prepared {
    program: ProgramRef,
    shared: SharedRef,
    wasi: Option<Arc<WasiConfig>>,
    /// Of a thread that is not the first.
    group: Option<Arc<Group>>,
    start: Start,
    /// See `CallConfig`.
    pub resident: bool,
    pub ignore_deadlock: bool,
    limits: Limits,
    counters: CountersRef,
}

/// A process that is about to enter its guest.
pub(crate) struct Ready {
    pub program: ProgramRef,
    pub store: Store<Guest>,
    pub start: Start,
    pub fuel: u64,
}

impl Prepared {
    /// The whole life of a process: from its store to its outcome. Runs on the first poll, so that a call that never runs costs next to nothing.
    ///
    /// Its future is kept for as long as the process lives, so what is only needed to start is not in it: it comes in a box, and `enter` and `run` are in boxes of their own.
    async fn run(prepared: Box<Prepared>) -> Finished {
        let Ready { program, mut store, start, fuel } = match prepared.make_ready() {
            Ok(ready) => ready,
            Err(finished) => return *finished,
        };
        let result = if let Start::Thread { entry, id, argument, .. } = start {
            match Box::pin(Start::enter_thread(entry, &program, &mut store)).await {
                Ok(entry) => match entry.call_async(&mut store, (id, argument)).await {
                    Ok(()) => Ok(Finished::returned(Vec::new(), String::new())),
                    Err(error) => Err((true, error)),
                },
                Err(error) => Err(error),
            }
        } else if start.is_plain() {
            match Box::pin(start.enter(&program, &mut store)).await {
                Ok(entry) => match entry.call_async(&mut store, ()).await {
                    Ok(()) => Ok(Finished::returned(Vec::new(), String::new())),
                    Err(error) => Err((true, error)),
                },
                Err(error) => Err(error),
            }
        } else {
            Box::pin(start.run(&program, &mut store)).await
        };
        count_fuel(&mut store.as_context_mut());
        result.unwrap_or_else(|(running, error)| {
            store.data().limiter.judge(Finished::from_error(&program, fuel, running, &error), &error)
        })
    }

    /// Makes the store, with what the process has besides its instance.
    pub(crate) fn make_ready(self) -> Result<Ready, Box<Finished>> {
        let Prepared { program, shared, wasi, group, start, resident: _, ignore_deadlock: _, limits, counters } = self;
        let failed = |error| Box::new(Finished::failed(error));
        let component = matches!(program.kind(), ProgramKind::Component(_));
        let threaded = match program.kind() {
            ProgramKind::Core(core) => core.threaded().map(|threaded| (core, threaded)),
            ProgramKind::Component(_) => None,
        };
        let fibers = program.module().origin().fibers().is_some();
        // Threads share theirs, and so do strands: see `World`.
        let lent = threaded.is_some() || fibers && program.needs_wasi();
        let (wasi, world) = match &group {
            Some(group) => (Wasi::None, Some(group.world.clone())),
            None if lent => (Wasi::None, Some(Arc::new(World::new(wasi, shared).map_err(failed)?))),
            None if program.needs_wasi() => (Wasi::new(wasi, shared, component).map_err(failed)?, None),
            None => (Wasi::None, None),
        };
        let engine = program.module().engine();
        let settings = engine.settings();
        let fuel = settings.fuel.then_some(limits.fuel);
        let limiter = match &group {
            Some(group) => Limiter::of_thread(limits, counters, group.memory_total.clone()),
            None => Limiter::new(limits, counters),
        };
        if let ProgramKind::Core(core) = program.kind() {
            limiter.check_module(core.memories, core.tables).map_err(|limit| Box::new(Finished::limit(limit)))?;
        }
        let wasmtime = match program.module().code() {
            Code::Core(code) => code.engine(),
            Code::Component(component) => component.engine(),
        };
        let memory = group.as_ref().and_then(|group| group.shared_memory());
        let first = group.is_none();
        let guest =
            Guest { shared, program, limiter, wasi, memory, world: world.clone(), group, component, fuel, fiber: None };
        let not_started = |error: wasmtime::Error| Box::new(Finished::from_error(&program, limits.fuel, false, &error));
        let mut store = new_store(wasmtime, settings.epochs && !fibers, guest).map_err(not_started)?;
        if let (Some((_, threaded)), Some(world), true) = (threaded, world, first) {
            let group = Group::new(threaded, &mut store, limits, counters, world).map_err(not_started)?;
            let group = Arc::new(group);
            let guest = store.data_mut();
            guest.limiter = Limiter::of_thread(limits, counters, group.memory_total.clone());
            guest.memory = group.shared_memory();
            guest.group = Some(group.clone());
            // Set once, by the first poll.
            let _ = shared.group.set(group);
        }
        Ok(Ready { program, store, start, fuel: limits.fuel })
    }
}

impl Call {
    /// A call that does what `prepare` says on its first poll.
    fn make(
        program: Arc<Program>,
        process: *mut c_void,
        prepare: impl FnOnce(ProgramRef, SharedRef) -> Prepared,
    ) -> *mut Call {
        let component = matches!(program.kind(), ProgramKind::Component(_));
        // SAFETY: the hooks belong to the engine, which the call keeps alive through its program.
        let shared = unsafe { Shared::new(&program.module().engine().settings().hooks, process, component) };
        let new = Box::into_raw(Box::new(Call { driver: UnsafeCell::new(Driver::New), shared, program }));
        // SAFETY: `new` is valid, and from here on only used through shared references.
        let (shared, program) = unsafe { (SharedRef::new(&(*new).shared), ProgramRef::new(&(*new).program)) };
        let fibers = program.module().origin().fibers().is_some();
        let prepared = Box::new(prepare(program, shared));
        let driver = match fibers {
            true => Driver::Fiber(Fiber::new(prepared)),
            false => Driver::Running(Box::pin(Prepared::run(prepared))),
        };
        // SAFETY: nobody else has it yet.
        unsafe { *(*new).driver.get() = driver };
        new
    }

    /// The call ended: keeps how, and lets go of everything else.
    ///
    /// # Safety
    /// By the thread that polls the call.
    unsafe fn finish(&self, finished: Box<Finished>) {
        // SAFETY: only the polling thread gets here, and holds no reference to the driver.
        let before = std::mem::replace(unsafe { &mut *self.driver.get() }, Driver::Done(finished));
        // After a panic the future may panic again when it is dropped; there is nobody left to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(before)));
        self.shared.set_waiting_for(None);
        self.shared.close();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Unwinds the guest's stack if it is still there. Hooks and host functions are told from inside.
        if let Driver::Running(_) | Driver::Fiber(_) = self.driver.get_mut() {
            // SAFETY: exclusive.
            unsafe { self.finish(Box::new(Finished::failed(Error::new(ErrorKind::Internal, "the call was dropped")))) };
        }
    }
}

impl CallConfig {
    pub(crate) const DEFAULT: CallConfig = CallConfig {
        wasi: std::ptr::null(),
        entry: Str::EMPTY,
        args: std::ptr::null(),
        nargs: 0,
        text_args: std::ptr::null(),
        ntext_args: 0,
        limits: Limits {
            memory_bytes: UNLIMITED,
            table_elements: UNLIMITED,
            instances: UNLIMITED,
            memories: UNLIMITED,
            tables: UNLIMITED,
            fuel: UNLIMITED,
        },
        resident: false,
        ignore_deadlock: false,
        counters: std::ptr::null_mut(),
    };
}

/// Writes the default settings to `config`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_config_default(config: *mut CallConfig) {
    debug_assert!(!config.is_null());
    unsafe { config.write(CallConfig::DEFAULT) };
}

/// Prepares a call; nothing of the guest runs before the first poll, and no slot of the pool is taken. `process` is passed to all hooks. Errors: NoEntryPoint, BadArgument. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_new(
    program: *const Program,
    config: *const CallConfig,
    process: *mut c_void,
    call: *mut *mut Call,
) -> *mut Error {
    debug_assert!(!config.is_null() && !call.is_null());
    guard(|| {
        let program = unsafe { Program::share(program) };
        let config = unsafe { &*config };
        let settings = program.module().engine().settings();
        if config.limits.fuel != UNLIMITED && !settings.fuel {
            return Err(Error::new(ErrorKind::BadArgument, "a fuel limit needs an engine that counts fuel"));
        }
        let strands = program.module().origin().fibers().is_some_and(|side| side.kind != Kind::Alone);
        if config.resident && !strands {
            return Err(Error::new(ErrorKind::BadArgument, start::NO_STRANDS));
        }
        let start = unsafe { Start::new(&program, config) }?;
        let wasi = (!config.wasi.is_null()).then(|| unsafe {
            Arc::increment_strong_count(config.wasi);
            Arc::from_raw(config.wasi)
        });
        let counters = CountersRef(config.counters);
        // SAFETY: `call` is valid.
        unsafe {
            call.write(Call::make(program, process, |program, shared| Prepared {
                program,
                shared,
                wasi,
                group: None,
                start,
                resident: config.resident,
                ignore_deadlock: config.ignore_deadlock,
                limits: config.limits,
                counters,
            }))
        };
        Ok(())
    })
}

/// Prepares the call of another thread of the process whose thread `parent` is being polled: for the `thread_spawn` hook, and only there. `id` and `argument` are what
/// `wasi_thread_start` is called with; limits are those of the process, of which memory is counted together, fuel for each thread. `process` is passed to all hooks of the new
/// call; `counters` may be NULL. The first call of the process has to be dropped last. Errors: NoEntryPoint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_new_thread(
    parent: *const Call,
    id: i32,
    argument: i32,
    counters: *mut Counters,
    process: *mut c_void,
    call: *mut *mut Call,
) -> *mut Error {
    debug_assert!(!parent.is_null() && !call.is_null());
    guard(|| {
        // SAFETY: alive, and only what never changes is looked at.
        let (shared, program) = unsafe { (&(*parent).shared, &(*parent).program) };
        let entry = match program.kind() {
            ProgramKind::Core(core) => core.threaded().and_then(|threaded| threaded.entry),
            ProgramKind::Component(_) => None,
        };
        let (Some(entry), Some(group)) = (entry, shared.group.get()) else {
            return Err(Error::new(ErrorKind::NoEntryPoint, "the program has no threads"));
        };
        let fibers = program.module().origin().fibers();
        let fiber =
            fibers.map_or_else(Vec::new, |side| side.start.into_iter().chain(side.entry(threads::ENTRY)).collect());
        let (group, limits) = (group.clone(), group.limits);
        let (of_thread, counters) = (group.clone(), CountersRef(counters));
        let made = Call::make(program.clone(), process, |program, shared| Prepared {
            program,
            shared,
            wasi: None,
            group: Some(of_thread),
            start: Start::Thread { entry, fiber, id, argument },
            resident: false,
            ignore_deadlock: false,
            limits,
            counters,
        });
        // SAFETY: just made; nobody polls it yet.
        let _ = unsafe { &(*made).shared }.group.set(group);
        // SAFETY: `call` is valid.
        unsafe { call.write(made) };
        Ok(())
    })
}

/// Asks for a strand that calls the exported function `function` with `args`, and is known to the host as `token`: it is made by the next poll, so wake the task after this. The hook
/// `strand_finished` is told of its end, on the polling thread. Errors: BadArgument (the program has no strands; arguments of other types), NoEntryPoint. Any thread, while the call
/// is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_spawn_strand(
    call: *const Call,
    function: Str,
    args: *const Val,
    nargs: usize,
    token: u64,
) -> *mut Error {
    debug_assert!(!call.is_null());
    guard(|| {
        // SAFETY: alive; `shared` may be looked at by any thread, and the program never changes.
        let (shared, program) = unsafe { (&(*call).shared, &(*call).program) };
        let function = unsafe { function.text("the name of the function to call") }?;
        shared.strands.add(unsafe { start::strand(program, function, slice(args, nargs), token) }?);
        Ok(())
    })
}

/// A resident process is to end with the last of its strands; wake the task after this. Any thread, while the call is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_finish_strands(call: *const Call) {
    debug_assert!(!call.is_null());
    // SAFETY: as above.
    unsafe { &*call }.shared.strands.finish();
}

/// Runs the call until it ends (ready) or waits (pending). `task` is borrowed for the poll; wakers that outlive it retain it. Not called again after ready. On a thread that has
/// entered the engine; another poll may be on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_poll(call: *mut Call, task: *mut c_void) -> Poll {
    debug_assert!(!call.is_null());
    let call = unsafe { &*call };
    let shared = &call.shared;
    shared.task.set(task);
    let backtrace_wanted = shared.backtrace_wanted();
    shared.answered.set(false);
    shared.wake_foreign();
    // SAFETY: polls do not overlap, so that nobody else touches the driver; the reference ends before `finish`.
    let polled = match unsafe { &mut *call.driver.get() } {
        Driver::Running(future) => {
            let future = future.as_mut();
            catch_unwind(AssertUnwindSafe(|| with_waker(shared, |cx| future.poll(cx).map(Box::new))))
        }
        Driver::Fiber(fiber) => catch_unwind(AssertUnwindSafe(|| fiber.poll())),
        Driver::New | Driver::Done(_) => panic!("weft_call_poll after the call had ended"),
    };
    match polled {
        Ok(std::task::Poll::Pending) => {
            if backtrace_wanted && !shared.answered.get() {
                // Could have been answered in this poll and was not: the guest is where nobody can look.
                shared.serve(None);
            }
            if shared.component {
                let yielded = shared.yielding.replace(false);
                shared.set_waiting_for((!yielded).then_some(&*COMPONENT_WAIT));
            }
            return Poll::Pending;
        }
        Ok(std::task::Poll::Ready(finished)) => unsafe { call.finish(finished) },
        Err(payload) => {
            let error = Error::new(ErrorKind::Internal, panic_text(&*payload));
            unsafe { call.finish(Box::new(Finished::failed(error))) };
        }
    }
    Poll::Ready
}

/// Which host function a component waits in is known to Wasmtime alone.
static COMPONENT_WAIT: LazyLock<crate::shared::WaitName> =
    LazyLock::new(|| crate::shared::WaitName { text: "wasi (component)".to_string() });

/// Ends the call wherever it is, and frees it; NULL is allowed. Its stack is unwound, waiting host functions are cancelled. On a thread that has entered the engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_drop(call: *mut Call) {
    if !call.is_null() {
        drop(unsafe { Box::from_raw(call) });
    }
}

/// How the call ended; only after ready. Borrowed until the call is dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_outcome(call: *const Call, outcome: *mut Outcome) {
    debug_assert!(!call.is_null() && !outcome.is_null());
    // SAFETY: after ready nobody changes the driver any more.
    match unsafe { &*(*call).driver.get() } {
        Driver::Done(finished) => unsafe { outcome.write(finished.view()) },
        Driver::New | Driver::Running(_) | Driver::Fiber(_) => panic!("weft_call_outcome before the call has ended"),
    }
}

/// After a pending poll: the host function that is waited in ("wasi poll_oneoff", "env.my_function"); empty if the call yielded. Lives as long as the program. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_waiting_for(call: *const Call) -> Str {
    debug_assert!(!call.is_null());
    // SAFETY: `shared` may be looked at by any thread; names live as long as the program, which the call keeps.
    match unsafe { &*call }.shared.waiting_for() {
        Some(name) => Str::borrow(unsafe { &(*name).text }),
        None => Str::EMPTY,
    }
}

/// Asks for the guest's stack, taken at the next epoch check or at the next poll while the guest waits in a host function: so wake the task and increment the
/// epoch after this. False if another request is under way, or the call ended. Any thread, while the call is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_call_request_backtrace(
    call: *const Call,
    callback: BacktraceFn,
    context: *mut c_void,
) -> bool {
    debug_assert!(!call.is_null());
    // SAFETY: as above.
    unsafe { &*call }.shared.request_backtrace(callback, context)
}
