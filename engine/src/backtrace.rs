//! Backtraces: what a guest's stack looks like, in the guest's own terms.

use crate::abi::Str;

/// A guest's stack, innermost frame first.
pub struct Backtrace {}

/// One line of a backtrace. Strings are borrowed from the backtrace and empty where unknown.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Frame {
    /// The module, as named when it was compiled.
    pub module: Str,
    /// The function, demangled.
    pub function: Str,
    /// Source file, if the module carries DWARF.
    pub file: Str,
    /// From 1; 0 = unknown.
    pub line: u32,
    /// From 1; 0 = unknown.
    pub column: u32,
    /// Index of the function in its module.
    pub function_index: u32,
    /// This function was inlined into the next frame's function.
    pub inlined: bool,
    /// Offset of the instruction in the module's file; UINT64_MAX = unknown.
    pub offset: u64,
}

/// How many frames there are. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_size(backtrace: *const Backtrace) -> usize {
    todo!()
}

/// Writes frame `index` (0 = innermost) to `frame`. False if there is no such frame. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_frame(backtrace: *const Backtrace, index: usize, frame: *mut Frame) -> bool {
    todo!()
}

/// Frees a backtrace of which somebody became the owner; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_free(backtrace: *mut Backtrace) {
    todo!()
}
