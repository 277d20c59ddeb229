//! Modules: from bytes (text, binary, component, precompiled) to machine code.

use crate::abi::{Bytes, Str};
use crate::engine::Engine;
use crate::error::Error;

/// What some bytes look like, judged by their first few.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// None of the others.
    Unknown = 0,
    /// WebAssembly text.
    Text = 1,
    /// A core module.
    Core = 2,
    /// A component.
    Component = 3,
    /// A core module compiled earlier by `weft_module_serialize`.
    PrecompiledCore = 4,
    /// A component compiled earlier by `weft_module_serialize`.
    PrecompiledComponent = 5,
}

/// How a module is started when no function is asked for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It cannot be: only its exported functions can be called by name.
    None = 0,
    /// A WASI command: exports `_start`.
    Start = 1,
    /// A WASI reactor: exports `_initialize`, which is called before any function asked for.
    Initialize = 2,
    /// A component that exports `wasi:cli/run`.
    ComponentCommand = 3,
}

/// How to compile.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ModuleOptions {
    /// What to call the module in messages and backtraces, e.g. the file name; may be empty.
    pub name: Str,
    /// Look in the cache first, and put the result there.
    pub cache: bool,
}

/// Compiled code. Counted by reference; shared by all threads.
pub struct Module {}

/// Says what the bytes look like. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_detect(bytes: *const u8, size: usize) -> ModuleKind {
    todo!()
}

/// Compiles text, a core module or a component; blocks, possibly for many seconds. `options` may be NULL. Precompiled bytes are refused (BadArgument): they are
/// machine code, and loading them is a decision of its own. Errors: InvalidModule, UnsupportedFeature, BadArgument, ResourceExhausted. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_compile(engine: *const Engine, bytes: *const u8, size: usize, options: *const ModuleOptions, module: *mut *mut Module) -> *mut Error {
    todo!()
}

/// Loads what `weft_module_serialize` returned. DANGER: the bytes are machine code that runs with all rights of this process. Only load what you
/// trust as you trust a shared library; damage is not found. Errors: NotPrecompiledForThisEngine, BadArgument. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_load_precompiled(engine: *const Engine, bytes: *const u8, size: usize, options: *const ModuleOptions, module: *mut *mut Module) -> *mut Error {
    todo!()
}

/// The machine code as bytes, to be loaded by an engine of the same version and settings. Errors: Internal. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_serialize(module: *const Module, bytes: *mut *mut Bytes) -> *mut Error {
    todo!()
}

/// One more owner. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_retain(module: *const Module) {
    todo!()
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_free(module: *const Module) {
    todo!()
}

/// Whether it is a component. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_is_component(module: *const Module) -> bool {
    todo!()
}

/// How it is started. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_entry(module: *const Module) -> Entry {
    todo!()
}

/// Whether it exports a function of that name. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_exports_function(module: *const Module, name: Str) -> bool {
    todo!()
}

/// Whether it came out of the cache. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_from_cache(module: *const Module) -> bool {
    todo!()
}
