//! Errors: a kind for programs, one line for people, and a longer text for those who want to know more.

use crate::abi::Str;

/// What went wrong, for programs.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A bug in the engine crate or in Wasmtime (a caught panic, an assertion).
    Internal = 0,
    /// The bytes are not WebAssembly, or truncated, or do not validate. The message names the offset.
    InvalidModule = 1,
    /// The module needs a WebAssembly proposal that is off or not supported. The message names it and how to turn it on, where that is possible.
    UnsupportedFeature = 2,
    /// Nobody provides an import. The message names the first one and what would provide it, the detail lists all of them.
    MissingImport = 3,
    /// The module has no entry point, or not the function that was asked for.
    NoEntryPoint = 4,
    /// An argument makes no sense: text that is not UTF-8, a wrong number or kind of values, a limit of zero.
    BadArgument = 5,
    /// A precompiled artifact of another version, another configuration, or damaged.
    NotPrecompiledForThisEngine = 6,
    /// A pool, the address space or a limit of the operating system is used up. The message names the setting to raise.
    ResourceExhausted = 7,
    /// The operating system said no: the message names the path and the reason.
    Io = 8,
    /// A host function ended the call (`weft_error_new` in a host function, without a better kind).
    Host = 9,
}

/// An error. Owned by whoever received it.
pub struct Error {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) detail: String,
}

/// Makes an error, for a host function to return: its call ends as trapped with `message`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_new(kind: ErrorKind, message: Str) -> *mut Error {
    todo!()
}

/// The kind of `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_kind(error: *const Error) -> ErrorKind {
    todo!()
}

/// One line, without a full stop, borrowed from `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_message(error: *const Error) -> Str {
    todo!()
}

/// Everything known (chain of causes, lists), several lines, possibly empty; borrowed from `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_detail(error: *const Error) -> Str {
    todo!()
}

/// Frees `error`; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_free(error: *mut Error) {
    todo!()
}
