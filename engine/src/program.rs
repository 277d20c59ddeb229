//! Programs: a module with all its imports found, ready to be started any number of times.

use crate::error::Error;
use crate::linker::Linker;
use crate::module::Module;

/// A module linked to host functions and WASI. Counted by reference; shared by all threads.
pub struct Program {}

/// Links `module`: host functions of `linker` first, then WASI if the module imports it (preview 1 for core modules, 0.2 and 0.3 for components). Keeps the module alive.
/// Errors: MissingImport, UnsupportedFeature. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_new(linker: *const Linker, module: *const Module, program: *mut *mut Program) -> *mut Error {
    todo!()
}

/// One more owner. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_retain(program: *const Program) {
    todo!()
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_free(program: *const Program) {
    todo!()
}
