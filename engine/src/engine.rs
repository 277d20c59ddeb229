//! The engine: compiler settings, the pool of instances, the epoch counter, and the Tokio runtime that serves WASI.

use crate::abi::Str;
use crate::cache::Cache;
use crate::error::{Error, ErrorKind, guard};
use crate::features;
use crate::fibers::scheduler::STRANDS;
use crate::hooks::Hooks;
use std::sync::{Arc, Mutex, OnceLock};

/// How hard the compiler tries.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimize {
    None = 0,
    Speed = 1,
    SpeedAndSize = 2,
}

/// On what the calls of core modules run. Components run on the engine's own fibers always.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fibers {
    /// The engine's own fibers, preempted by epochs. On every platform.
    Async = 0,
    /// Continuations inside the guest's own store, stepped by plain calls, preempted by checks that are added to the code. On x86-64 Linux only; stack switching, on which they
    /// rest, is of Wasmtime's third tier.
    Continuations = 1,
}

/// How an engine is set up. Fill it with `weft_engine_config_default` first, then change what differs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineConfig {
    pub hooks: Hooks,
    /// Where compiled code is kept between runs; empty = nowhere. A directory that cannot be made or written is not an error: see `weft_engine_warning`.
    pub cache_directory: Str,
    /// The cache is cut back to this size, oldest entries first. Default 1 GiB.
    pub cache_bytes_max: u64,
    /// Count executed instructions, so that `weft_limits.fuel` works. Costs guests 10 % and more. Default false.
    pub fuel: bool,
    /// Compile epoch checks in, so that guests can be preempted and stopped. Default true.
    pub epochs: bool,
    /// Default async. Programs with strands run on continuations always.
    pub fibers: Fibers,
    /// Compile core modules without shared memory so that strands can run in them, also those that do not import them: see `weft_call_spawn_strand`. Default false.
    pub strands: bool,
    /// Compile programs with strands so that one that does not yield is interrupted in favour of the others. Default false.
    pub strands_preemptive: bool,
    /// Strands of one process at once. Each that has run takes two memory mappings. Default 1,000,000.
    pub strands_max: u32,
    /// The stack that each strand of a C, C++ or Rust program gets in the program's own memory. Default 64 KiB.
    pub strand_stack_bytes: u32,
    /// Keep instances, memories and stacks in a pool made at start: spawning takes microseconds and few system calls. Default true.
    pub pooling: bool,
    /// Slots in the pool: how many processes without threads can live at once. Default 1,000.
    pub slots_max: u32,
    /// Slots of another pool, made when the first program with threads is compiled: how many guest threads can live at once, the first one of each such process included.
    /// Default 1,000.
    pub thread_slots_max: u32,
    /// Address space set aside for each linear memory. 4 GiB and more = accesses need no bounds checks; less = checks are compiled in, and more
    /// processes fit into the address space. Default 4 GiB.
    pub memory_reservation_bytes: u64,
    /// How large a linear memory of the pool can grow. Default 4 GiB; never above the reservation when pooling.
    pub memory_bytes_max: u64,
    /// Stack of a guest call, before it ends with `WEFT_LIMIT_STACK`. Host functions get 256 KiB on top. Default 512 KiB.
    pub stack_bytes: u64,
    /// Default speed.
    pub optimize: Optimize,
    /// Keep what backtraces need to name source files and lines (read lazily from the module's DWARF sections). Default true.
    pub debug_info: bool,
    /// WebAssembly proposals, as bits (`weft_feature_find`). Default: what `weft_features_default` returns.
    pub features: u64,
    /// Bytes of a pooled linear memory that are cleared by hand rather than given back to the operating system when a process ends. Default 64 KiB.
    pub memory_keep_resident_bytes: u64,
    /// Above 0, stacks are cleared when a process ends: so much of them by hand, the rest by giving it back to the operating system (a system call for each process). 0 = they are
    /// not: what a process left on its stack stays there for the next one, which cannot see it unless the compiler has a bug, and what a deep recursion touched stays resident. Default 0.
    pub stack_keep_resident_bytes: u64,
    /// As for memories, for tables. Default 4 KiB.
    pub table_keep_resident_bytes: u64,
    /// Bound on the threads that blocking file operations of guests use. Default 64.
    pub blocking_threads_max: u32,
}

/// Compiler and runtime shared by all processes. Made once, shared by all threads.
pub struct Engine {
    /// Runs core modules.
    core: wasmtime::Engine,
    /// Runs components: made when the first one is compiled, since it costs milliseconds and most programs are core modules. Apart from `core` because the component
    /// model's concurrency has per-store costs that core modules should not pay.
    components: OnceLock<wasmtime::Engine>,
    /// Runs core modules with shared memory: made when the first one is compiled. Apart from `core` because its pool has stacks, but no memories, and because a pool
    /// for thousands of threads takes milliseconds to set up.
    threads: OnceLock<wasmtime::Engine>,
    /// Runs core modules on continuations, with shared memory and without: made when the first one is compiled. Apart from the others because it compiles no epoch checks in, and
    /// because stack switching is of a lower tier.
    continuations: OnceLock<wasmtime::Engine>,
    /// The scheduler of strands, for that engine.
    strands: OnceLock<wasmtime::Module>,
    settings: Settings,
    cache: Option<Cache>,
    warning: Warning,
    /// Serves wasmtime-wasi: timers, sockets, blocking file operations. Taken by `weft_engine_free`.
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    handle: tokio::runtime::Handle,
}

/// `EngineConfig` without what is only needed to make the engine.
#[derive(Clone)]
pub(crate) struct Settings {
    pub hooks: Hooks,
    pub fuel: bool,
    pub epochs: bool,
    pub fibers: Fibers,
    pub strands: bool,
    pub strands_preemptive: bool,
    pub strands_max: u32,
    pub strand_stack_bytes: u32,
    pub stack_bytes: u64,
    pub features: u64,
    slots_max: u32,
    thread_slots_max: u32,
    pooling: bool,
    memory_reservation_bytes: u64,
    pub memory_bytes_max: u64,
    optimize: Optimize,
    pub debug_info: bool,
    memory_keep_resident_bytes: u64,
    stack_keep_resident_bytes: u64,
    table_keep_resident_bytes: u64,
}

/// The first thing that went wrong without being an error.
#[derive(Clone, Default)]
pub(crate) struct Warning(Arc<OnceLock<String>>);

impl Warning {
    /// Later ones are lost: they are mostly the same again.
    pub(crate) fn set(&self, text: String) {
        let _ = self.0.set(text);
    }
}

/// Stack for host functions, on top of what guests get. Measured in a development build: Rust programs that read files, print, sleep and panic (with a symbolized backtrace) fit into
/// 24 KiB together with all their host calls. The rest is for hooks and host functions of the C++ side, and margin; untouched pages cost address space only.
const HOST_STACK_BYTES: u64 = 256 << 10;
/// Frames in a backtrace. Resolving a frame costs milliseconds if the module has much debug information.
const BACKTRACE_FRAMES_MAX: usize = 64;
/// Elements of a pooled table. The Go compiler puts every function into the table, and large programs have more than 100,000.
const POOL_TABLE_ELEMENTS: usize = 400_000;
/// Bytes of a pooled instance's own data, which grows with the number of functions (24 bytes each).
const POOL_INSTANCE_BYTES: usize = 32 << 20;
/// Memories and tables of one pooled instance.
const POOL_PER_MODULE: u32 = 8;
/// With this and more, an access needs no bounds check: a 32-bit address cannot leave the reservation.
const RESERVATION_WITHOUT_CHECKS: u64 = 4 << 30;
/// Behind each shared memory, so that constant offsets need no bounds check either. Wasmtime's default.
const SHARED_GUARD_BYTES: u64 = 32 << 20;
/// Memories of its own are a rarity in a program with threads, where each thread has a copy of it.
const THREAD_POOL_MEMORIES: u32 = 256;

impl EngineConfig {
    fn default_settings() -> EngineConfig {
        EngineConfig {
            hooks: Hooks::NONE,
            cache_directory: Str::EMPTY,
            cache_bytes_max: 1 << 30,
            fuel: false,
            epochs: true,
            fibers: Fibers::Async,
            strands: false,
            strands_preemptive: false,
            strands_max: 1_000_000,
            strand_stack_bytes: 64 << 10,
            pooling: true,
            slots_max: 1000,
            thread_slots_max: 1000,
            memory_reservation_bytes: RESERVATION_WITHOUT_CHECKS,
            memory_bytes_max: 4 << 30,
            stack_bytes: 512 << 10,
            optimize: Optimize::Speed,
            debug_info: true,
            features: features::default_bits(),
            memory_keep_resident_bytes: 64 << 10,
            stack_keep_resident_bytes: 0,
            table_keep_resident_bytes: 4 << 10,
            blocking_threads_max: 64,
        }
    }
}

fn size(bytes: u64, what: &str) -> Result<usize, Error> {
    usize::try_from(bytes).map_err(|_| Error::new(ErrorKind::BadArgument, format!("{what} of {bytes} is too large")))
}

impl Settings {
    fn new(config: &EngineConfig) -> Result<Settings, Error> {
        let bad = |text: &str| Err(Error::new(ErrorKind::BadArgument, text));
        if config.stack_bytes < 16 << 10 {
            return bad("stack_bytes must be at least 16384");
        }
        if config.stack_bytes > 1 << 30 {
            return bad("stack_bytes must be at most 1073741824");
        }
        if config.pooling && (config.slots_max == 0 || config.thread_slots_max == 0) {
            return bad("slots_max and thread_slots_max must be at least 1");
        }
        if config.memory_bytes_max == 0 {
            return bad("memory_bytes_max must be at least 1");
        }
        if config.features & !features::all_bits() != 0 {
            return bad("features has bits that stand for no proposal");
        }
        let hooks = &config.hooks;
        if hooks.task_wake.is_none() || hooks.task_retain.is_none() || hooks.task_release.is_none() {
            return bad("the hooks task_wake, task_retain and task_release are required");
        }
        if hooks.sleep.is_some() != hooks.sleep_drop.is_some() {
            return bad("the hooks sleep and sleep_drop come together");
        }
        let futex = [hooks.futex_wait.is_some(), hooks.futex_drop.is_some(), hooks.futex_notify.is_some()];
        if futex.contains(&true) && (futex.contains(&false) || hooks.thread_spawn.is_none()) {
            return bad("the hooks futex_wait, futex_drop, futex_notify and thread_spawn come together");
        }
        if !(4 << 10..=64 << 20).contains(&config.strand_stack_bytes) {
            return bad("strand_stack_bytes must be between 4096 and 67108864");
        }
        if config.fibers == Fibers::Continuations && !CONTINUATIONS_KNOWN {
            return bad(CONTINUATIONS_UNKNOWN);
        }
        Ok(Settings {
            hooks: config.hooks,
            fuel: config.fuel,
            epochs: config.epochs,
            fibers: config.fibers,
            strands: config.strands,
            strands_preemptive: config.strands_preemptive,
            strands_max: config.strands_max,
            strand_stack_bytes: config.strand_stack_bytes,
            stack_bytes: config.stack_bytes,
            features: config.features,
            slots_max: config.slots_max,
            thread_slots_max: config.thread_slots_max,
            pooling: config.pooling,
            memory_reservation_bytes: config.memory_reservation_bytes,
            memory_bytes_max: config.memory_bytes_max,
            optimize: config.optimize,
            debug_info: config.debug_info,
            memory_keep_resident_bytes: config.memory_keep_resident_bytes,
            stack_keep_resident_bytes: config.stack_keep_resident_bytes,
            table_keep_resident_bytes: config.table_keep_resident_bytes,
        })
    }

    /// What both engines have in common.
    fn common(&self) -> Result<wasmtime::Config, Error> {
        let mut config = wasmtime::Config::new();
        let level = match self.optimize {
            Optimize::None => wasmtime::OptLevel::None,
            Optimize::Speed => wasmtime::OptLevel::Speed,
            Optimize::SpeedAndSize => wasmtime::OptLevel::SpeedAndSize,
        };
        config
            .cranelift_opt_level(level)
            // It would parse them without bounds, on the guest's stack: see debug_info.rs.
            .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
            .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
            // Nobody unwinds through guests with the system's unwinder, and registering its tables costs time per module.
            .native_unwind_info(false)
            .consume_fuel(self.fuel)
            .epoch_interruption(self.epochs)
            .max_wasm_stack(size(self.stack_bytes, "stack_bytes")?)
            .async_stack_size(size(self.stack_bytes + HOST_STACK_BYTES, "stack_bytes")?)
            .memory_reservation(self.memory_reservation_bytes);
        if self.memory_reservation_bytes < RESERVATION_WITHOUT_CHECKS {
            // Checks are compiled in anyway, so that a large guard only wastes address space.
            config.memory_guard_size(64 << 10);
        }
        for (proposal, on) in features::chosen(self.features) {
            config.wasm_features(proposal.flag, on);
        }
        Ok(config)
    }

    fn core(&self) -> Result<wasmtime::Config, Error> {
        let mut config = self.common()?;
        config.concurrency_support(false).async_stack_zeroing(self.stack_keep_resident_bytes > 0);
        // With continuations nothing runs on it.
        if self.pooling && self.fibers == Fibers::Async {
            config.allocation_strategy(self.pool(self.slots_max, self.slots_max, self.slots_max)?);
        }
        Ok(config)
    }

    fn threads(&self) -> Result<wasmtime::Config, Error> {
        let mut config = self.common()?;
        config.concurrency_support(false).async_stack_zeroing(self.stack_keep_resident_bytes > 0).shared_memory(true);
        // A memory that threads share is in no pool, and there are few of them: each gets all that a 32-bit address can reach, which saves the bounds checks.
        config.memory_reservation(RESERVATION_WITHOUT_CHECKS).memory_guard_size(SHARED_GUARD_BYTES);
        if self.pooling {
            config.allocation_strategy(self.pool(
                self.thread_slots_max,
                THREAD_POOL_MEMORIES.min(self.thread_slots_max),
                self.thread_slots_max,
            )?);
        }
        Ok(config)
    }

    fn continuations(&self) -> Result<wasmtime::Config, Error> {
        let mut config = self.common()?;
        config
            .concurrency_support(false)
            // Calls are synchronous: an epoch check could not yield.
            .epoch_interruption(false)
            .shared_memory(true)
            .wasm_stack_switching(true)
            .wasm_function_references(true)
            .wasm_gc(true)
            .wasm_exceptions(true)
            // The checks that were added are hardly ever taken. Of hints that guests bring none is left.
            .wasm_branch_hinting(true)
            // For operations that are under way while the guest runs on.
            .memory_may_move(false);
        // Otherwise it is there for programs with strands, of which there are few.
        if self.pooling && self.fibers == Fibers::Continuations {
            config.allocation_strategy(self.pool(self.slots_max.max(self.thread_slots_max), self.slots_max, 0)?);
        }
        Ok(config)
    }

    fn pool(&self, slots: u32, memories: u32, stacks: u32) -> Result<wasmtime::PoolingAllocationConfig, Error> {
        let memory_bytes_max = self.memory_bytes_max.min(self.memory_reservation_bytes.max(64 << 10));
        let mut pool = wasmtime::PoolingAllocationConfig::new();
        pool.total_core_instances(slots)
            .total_memories(memories)
            .total_tables(slots)
            .total_stacks(stacks)
            .total_gc_heaps(memories)
            .max_unused_warm_slots(slots)
            .max_memory_size(size(memory_bytes_max, "memory_bytes_max")?)
            .max_memories_per_module(POOL_PER_MODULE.min(memories))
            .max_tables_per_module(POOL_PER_MODULE.min(slots))
            .table_elements(POOL_TABLE_ELEMENTS)
            .max_core_instance_size(POOL_INSTANCE_BYTES)
            .linear_memory_keep_resident(size(self.memory_keep_resident_bytes, "memory_keep_resident_bytes")?)
            .async_stack_keep_resident(size(self.stack_keep_resident_bytes, "stack_keep_resident_bytes")?)
            .table_keep_resident(size(self.table_keep_resident_bytes, "table_keep_resident_bytes")?);
        // Where the kernel can tell which pages were written (Linux 6.7), a slot is reset by clearing those. Elsewhere as much is cleared as may stay
        // resident, written to or not: ending thousands of processes that did little then touches memory that they never had.
        pool.pagemap_scan(wasmtime::Enabled::Auto);
        Ok(pool)
    }

    fn components(&self) -> Result<wasmtime::Config, Error> {
        let mut config = self.common()?;
        config.concurrency_support(true).wasm_component_model(true).wasm_component_model_async(true);
        Ok(config)
    }
}

impl Engine {
    fn new(config: &EngineConfig) -> Result<Engine, Error> {
        let settings = Settings::new(config)?;
        // Made now, and not on the stack of the first guest that exits.
        drop(crate::backtrace::no_backtrace());
        let failed =
            |error: wasmtime::Error| Error::from_wasmtime(ErrorKind::BadArgument, "cannot set up the engine", &error);
        let core = wasmtime::Engine::new(&settings.core()?).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(config.blocking_threads_max.max(1) as usize)
            .thread_name("weft-io")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::ResourceExhausted, format!("cannot start the I/O thread: {error}"))
            })?;
        let warning = Warning::default();
        let directory = unsafe { config.cache_directory.text("cache_directory") }?;
        let cache = match directory {
            "" => None,
            directory => Cache::open(directory.as_ref(), config.cache_bytes_max, warning.clone()),
        };
        Ok(Engine {
            core,
            components: OnceLock::new(),
            threads: OnceLock::new(),
            continuations: OnceLock::new(),
            strands: OnceLock::new(),
            settings,
            cache,
            warning,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    fn stop_io(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        }
    }

    pub(crate) fn core(&self) -> &wasmtime::Engine {
        &self.core
    }

    pub(crate) fn components(&self) -> Result<&wasmtime::Engine, Error> {
        if let Some(engine) = self.components.get() {
            return Ok(engine);
        }
        let engine = wasmtime::Engine::new(&self.settings.components()?).map_err(|error| {
            Error::from_wasmtime(ErrorKind::BadArgument, "cannot set up the engine for components", &error)
        })?;
        Ok(self.components.get_or_init(|| engine))
    }

    /// Errors: UnsupportedFeature, BadArgument, ResourceExhausted.
    pub(crate) fn threads(&self) -> Result<&wasmtime::Engine, Error> {
        if let Some(engine) = self.threads.get() {
            return Ok(engine);
        }
        if self.settings.hooks.futex_wait.is_none() {
            return Err(Error::new(
                ErrorKind::UnsupportedFeature,
                "it needs shared memory, and threads are not provided",
            ));
        }
        let engine = wasmtime::Engine::new(&self.settings.threads()?).map_err(|error| {
            Error::from_wasmtime(ErrorKind::BadArgument, "cannot set up the engine for programs with threads", &error)
        })?;
        Ok(self.threads.get_or_init(|| engine))
    }

    /// Errors: UnsupportedFeature, BadArgument, ResourceExhausted.
    pub(crate) fn continuations(&self) -> Result<&wasmtime::Engine, Error> {
        if let Some(engine) = self.continuations.get() {
            return Ok(engine);
        }
        if !CONTINUATIONS_KNOWN {
            return Err(Error::new(ErrorKind::UnsupportedFeature, CONTINUATIONS_UNKNOWN));
        }
        let engine = wasmtime::Engine::new(&self.settings.continuations()?).map_err(|error| {
            Error::from_wasmtime(ErrorKind::BadArgument, "cannot set up the engine for continuations", &error)
        })?;
        Ok(self.continuations.get_or_init(|| engine))
    }

    /// The scheduler of strands. Errors: as of `continuations`.
    pub(crate) fn strands(&self) -> Result<&wasmtime::Module, Error> {
        if let Some(module) = self.strands.get() {
            return Ok(module);
        }
        let module = wasmtime::Module::new(self.continuations()?, STRANDS).map_err(|error| {
            Error::from_wasmtime(ErrorKind::Internal, "the scheduler of strands cannot be compiled", &error)
        })?;
        Ok(self.strands.get_or_init(|| module))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// The engine behind a pointer of the C side, as one more owner.
    ///
    /// # Safety
    /// `engine` came from `weft_engine_new` and is alive.
    pub(crate) unsafe fn share(engine: *const Engine) -> Arc<Engine> {
        debug_assert!(!engine.is_null());
        unsafe {
            Arc::increment_strong_count(engine);
            Arc::from_raw(engine)
        }
    }
}

/// A thread's entry into the Tokio runtime of an engine.
pub struct EnterGuard {
    // Before `_engine`, whose handle it borrows.
    _entered: tokio::runtime::EnterGuard<'static>,
    _engine: Arc<Engine>,
}

/// Writes the default settings to `config`: hooks all NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_config_default(config: *mut EngineConfig) {
    debug_assert!(!config.is_null());
    unsafe { config.write(EngineConfig::default_settings()) };
}

/// Makes an engine. Takes milliseconds, and with `pooling` maps the address space of the whole pool. Errors: BadArgument, ResourceExhausted. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_new(config: *const EngineConfig, engine: *mut *mut Engine) -> *mut Error {
    debug_assert!(!config.is_null() && !engine.is_null());
    guard(|| {
        let new = Engine::new(unsafe { &*config })?;
        unsafe { engine.write(Arc::into_raw(Arc::new(new)).cast_mut()) };
        Ok(())
    })
}

/// Frees the engine; NULL is allowed. Calls, programs, linkers and modules made from it should be gone. Not from a thread that has entered it. Waits for
/// blocking operations under way for at most a second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_free(engine: *mut Engine) {
    if engine.is_null() {
        return;
    }
    let engine = unsafe { Arc::from_raw(engine) };
    engine.stop_io();
}

/// Ends the threads that serve files, sockets and timers of guests, which may still hold wakers, and with them tasks of guests that have ended. Waits for blocking operations
/// under way for at most a second. No guest runs after this; again does nothing. Not from a thread that has entered the engine, and not from one of these threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_stop_io(engine: *const Engine) {
    debug_assert!(!engine.is_null());
    unsafe { &*engine }.stop_io();
}

/// Makes every running guest ask its `epoch` hook at its next check. Any thread, at any time, also inside hooks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_increment_epoch(engine: *const Engine) {
    debug_assert!(!engine.is_null());
    let engine = unsafe { &*engine };
    engine.core.increment_epoch();
    if let Some(components) = engine.components.get() {
        components.increment_epoch();
    }
    if let Some(threads) = engine.threads.get() {
        threads.increment_epoch();
    }
}

/// What went wrong without being an error, in one line, e.g. a cache that cannot be written; empty if nothing (so far). Borrowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_warning(engine: *const Engine) -> Str {
    debug_assert!(!engine.is_null());
    unsafe { (*engine).warning.0.get() }.map_or(Str::EMPTY, |text| Str::borrow(text))
}

/// Name and version of what runs the guests: "wasmtime 48.0.8". Static. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn weft_engine_version() -> Str {
    Str::borrow(VERSION)
}

/// Whether Wasmtime can switch stacks here.
pub(crate) const CONTINUATIONS_KNOWN: bool = cfg!(all(target_arch = "x86_64", target_os = "linux"));
pub(crate) const CONTINUATIONS_UNKNOWN: &str = "continuations are there on x86-64 Linux only";

/// Kept equal to the pinned version by a test.
pub(crate) const VERSION: &str = "wasmtime 48.0.8";

/// Enters the engine's Tokio runtime on this thread, as every thread that polls or drops calls must, once. The guard is freed on the same
/// thread, in reverse order if there are several.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_enter(engine: *const Engine) -> *mut EnterGuard {
    let engine = unsafe { Engine::share(engine) };
    // SAFETY: the handle lives in the engine, on the heap, which the guard keeps alive and drops last.
    let handle: &'static tokio::runtime::Handle = unsafe { &*std::ptr::from_ref(&engine.handle) };
    Box::into_raw(Box::new(EnterGuard { _entered: handle.enter(), _engine: engine }))
}

/// Leaves the runtime; on the thread that entered it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_enter_guard_free(guard: *mut EnterGuard) {
    if !guard.is_null() {
        drop(unsafe { Box::from_raw(guard) });
    }
}
