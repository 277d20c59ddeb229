//! The engine: compiler settings, the pool of instances, the epoch counter, and the Tokio runtime that serves WASI.

use crate::abi::Str;
use crate::error::Error;
use crate::hooks::Hooks;

/// How hard the compiler tries.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimize {
    None = 0,
    Speed = 1,
    SpeedAndSize = 2,
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
    /// Keep instances, memories and stacks in a pool made at start: spawning takes microseconds and few system calls. Default true.
    pub pooling: bool,
    /// Slots in the pool: how many processes can live at once. Default 1,000.
    pub slots_max: u32,
    /// Address space set aside for each linear memory. 4 GiB and more = accesses need no bounds checks; less = checks are compiled in, and more
    /// processes fit into the address space. Default 4 GiB.
    pub memory_reservation_bytes: u64,
    /// How large a linear memory of the pool can grow. Default 4 GiB; never above the reservation when pooling.
    pub memory_bytes_max: u64,
    /// Stack of a guest call, before it ends with `WEFT_LIMIT_STACK`. Host functions get 128 KiB on top. Default 512 KiB.
    pub stack_bytes: u64,
    /// Default speed.
    pub optimize: Optimize,
    /// Keep what backtraces need to name source files and lines (read lazily from the module's DWARF sections). Default true.
    pub debug_info: bool,
    /// WebAssembly proposals, as bits (`weft_feature_find`). Default: what `weft_features_default` returns.
    pub features: u64,
    /// Bytes of a pooled linear memory that are cleared by hand rather than given back to the operating system when a process ends. Default 64 KiB.
    pub memory_keep_resident_bytes: u64,
    /// The same for stacks. Default 16 KiB.
    pub stack_keep_resident_bytes: u64,
    /// The same for tables. Default 4 KiB.
    pub table_keep_resident_bytes: u64,
    /// Bound on the threads that blocking file operations of guests use. Default 64.
    pub blocking_threads_max: u32,
}

/// Compiler and runtime shared by all processes. Made once, shared by all threads.
pub struct Engine {}

/// A thread's entry into the Tokio runtime of an engine.
pub struct EnterGuard {}

/// Writes the default settings to `config`: hooks all NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_config_default(config: *mut EngineConfig) {
    todo!()
}

/// Makes an engine. Takes milliseconds, and with `pooling` maps the address space of the whole pool. Errors: BadArgument, ResourceExhausted. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_new(config: *const EngineConfig, engine: *mut *mut Engine) -> *mut Error {
    todo!()
}

/// Frees the engine; NULL is allowed. Everything made from it and all enter guards must be gone. Not from a thread that has entered it. Waits for
/// blocking operations under way for at most a second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_free(engine: *mut Engine) {
    todo!()
}

/// Makes every running guest ask its `epoch` hook at its next check. Any thread, at any time, also inside hooks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_increment_epoch(engine: *const Engine) {
    todo!()
}

/// What went wrong without being an error, in one line, e.g. a cache that cannot be written; empty if nothing. Borrowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_warning(engine: *const Engine) -> Str {
    todo!()
}

/// Name and version of what runs the guests: "wasmtime 48.0.8". Static. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_version() -> Str {
    todo!()
}

/// Enters the engine's Tokio runtime on this thread, as every thread that polls or drops calls must, once. The guard is freed on the same
/// thread, in reverse order if there are several.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_engine_enter(engine: *const Engine) -> *mut EnterGuard {
    todo!()
}

/// Leaves the runtime; on the thread that entered it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_enter_guard_free(guard: *mut EnterGuard) {
    todo!()
}

/// The WebAssembly proposals that are on by default, as bits. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_features_default() -> u64 {
    todo!()
}

/// The proposals that can be turned on at all. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_features_known() -> u64 {
    todo!()
}

/// The bit of the proposal called `name` ("simd", "threads", "memory64", ...), or 0 if there is none. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_feature_find(name: Str) -> u64 {
    todo!()
}

/// The name of the proposal with this bit, or an empty string. Static. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_feature_name(bit: u64) -> Str {
    todo!()
}
