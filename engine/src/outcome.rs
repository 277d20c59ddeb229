//! How a call ended.

use crate::abi::{Str, Val};
use crate::backtrace::Backtrace;
use crate::error::Error;

/// How a call ended.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The entry function returned; `results` has its values.
    Returned = 0,
    /// The guest called exit: see `exit_code`.
    Exited = 1,
    /// The guest trapped: see `trap_name`, `message`, `backtrace`.
    Trapped = 2,
    /// The `epoch` hook answered stop.
    Stopped = 3,
    /// A limit was reached: see `limit`, `limit_value`, `limit_asked`.
    Limit = 4,
    /// It could not be started or the engine failed: see `error`.
    Failed = 5,
}

/// Which limit ended a call.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    None = 0,
    /// All linear memories together, in bytes.
    Memory = 1,
    /// All tables together, in elements.
    Table = 2,
    /// Instances in one process.
    Instances = 3,
    /// Linear memories in one process.
    Memories = 4,
    /// Tables in one process.
    Tables = 5,
    /// Executed instructions.
    Fuel = 6,
    /// Stack, in bytes.
    Stack = 7,
    /// Buffered output (the `write` hook answered stop).
    Output = 8,
}

/// Traps of WebAssembly, with the numbers used here.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapCode {
    /// The call did not trap.
    None = 0,
    Unreachable = 1,
    MemoryOutOfBounds = 2,
    HeapMisaligned = 3,
    TableOutOfBounds = 4,
    IndirectCallToNull = 5,
    BadSignature = 6,
    IntegerOverflow = 7,
    IntegerDivisionByZero = 8,
    BadConversionToInteger = 9,
    NullReference = 10,
    ArrayOutOfBounds = 11,
    CastFailure = 12,
    UncaughtException = 13,
    /// A host function ended the call.
    Host = 14,
    /// A rule of the component model was broken.
    Component = 15,
    /// Another one: see `trap_name`.
    Other = 16,
}

/// How a call ended. Everything is borrowed from the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Outcome {
    pub kind: OutcomeKind,
    /// With `WEFT_OUTCOME_KIND_EXITED`: what the guest passed to exit (also 0). A component that returns failure from `run` counts as exit(1).
    pub exit_code: i32,
    pub trap_code: TrapCode,
    /// Which limit was reached.
    pub limit: LimitKind,
    /// The limit's value.
    pub limit_value: u64,
    /// What the guest asked for, or 0 where that makes no sense.
    pub limit_asked: u64,
    /// Short name of the trap ("unreachable", "out of bounds memory access").
    pub trap_name: Str,
    /// One line about what happened; empty when returned or exited.
    pub message: Str,
    /// With `WEFT_OUTCOME_KIND_RETURNED`: `results_size` values. Results that are references are left out here and named in `results_text`.
    pub results: *const Val,
    pub results_size: usize,
    /// The results as text, separated by spaces; of components in WAVE notation.
    pub results_text: Str,
    /// Where the guest was, if it trapped or reached a limit while running; NULL if unknown.
    pub backtrace: *const Backtrace,
    /// With `WEFT_OUTCOME_KIND_FAILED`: why; else NULL.
    pub error: *const Error,
}
