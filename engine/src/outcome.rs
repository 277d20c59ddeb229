//! How a call ended.

use crate::abi::{Str, Val};
use crate::backtrace::Backtrace;
use crate::error::{Error, ErrorKind, chain, one_line};
use crate::fibers::strands::Deadlock;
use crate::guest::{Exit, Stopped};
use crate::host_function::HostTrap;
use crate::limits::LimitReached;
use crate::program::Program;
use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

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
    /// All its strands wait for each other: see `message`.
    Deadlocked = 6,
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

/// An `Outcome` that owns what it shows.
pub(crate) struct Finished {
    kind: OutcomeKind,
    exit_code: i32,
    trap: (TrapCode, String),
    limit: LimitReached,
    message: String,
    results: Vec<Val>,
    results_text: String,
    backtrace: Option<Box<Backtrace>>,
    error: Option<Box<Error>>,
}

impl Finished {
    fn new(kind: OutcomeKind, message: String) -> Finished {
        let message = one_line(&message);
        Finished {
            kind,
            exit_code: 0,
            trap: (TrapCode::None, String::new()),
            limit: LimitReached { kind: LimitKind::None, value: 0, asked: 0 },
            message,
            results: Vec::new(),
            results_text: String::new(),
            backtrace: None,
            error: None,
        }
    }

    pub(crate) fn returned(results: Vec<Val>, results_text: String) -> Finished {
        Finished { results, results_text, ..Finished::new(OutcomeKind::Returned, String::new()) }
    }

    pub(crate) fn exited(exit_code: i32) -> Finished {
        Finished { exit_code, ..Finished::new(OutcomeKind::Exited, String::new()) }
    }

    pub(crate) fn failed(error: Error) -> Finished {
        Finished {
            message: error.message.clone(),
            error: Some(Box::new(error)),
            ..Finished::new(OutcomeKind::Failed, String::new())
        }
    }

    pub(crate) fn limit(limit: LimitReached) -> Finished {
        Finished { limit, ..Finished::new(OutcomeKind::Limit, limit.to_string()) }
    }

    /// The same, and it happened in this strand.
    pub(crate) fn in_strand(self, strand: &str) -> Finished {
        match self.kind {
            OutcomeKind::Trapped | OutcomeKind::Limit => {
                Finished { message: one_line(&format!("{}, in {strand}", self.message)), ..self }
            }
            _ => self,
        }
    }

    /// The same, but known to be due to a limit.
    pub(crate) fn at_limit(self, limit: LimitReached) -> Finished {
        Finished { backtrace: self.backtrace, ..Finished::limit(limit) }
    }

    fn trapped(code: TrapCode, name: &str, message: String) -> Finished {
        Finished { trap: (code, name.to_string()), ..Finished::new(OutcomeKind::Trapped, message) }
    }

    /// What an error that came out of a store means. `running`: the guest had been entered, so that errors of unknown kind are its traps and not failures to start it.
    pub(crate) fn from_error(program: &Program, fuel: u64, running: bool, error: &wasmtime::Error) -> Finished {
        let backtrace =
            error.downcast_ref::<wasmtime::WasmBacktrace>().filter(|backtrace| !backtrace.frames().is_empty());
        // A start function runs before the guest is entered as far as the caller knows; its frames tell.
        let mut finished = Finished::classify(program, fuel, running || backtrace.is_some(), error);
        if let Some(backtrace) = backtrace {
            finished.backtrace = Some(Box::new(Backtrace::new(backtrace, program.module())));
        }
        finished
    }

    fn classify(program: &Program, fuel: u64, running: bool, error: &wasmtime::Error) -> Finished {
        if let Some(Exit(code)) = error.downcast_ref() {
            return Finished::exited(*code);
        }
        if let Some(I32Exit(code)) = error.downcast_ref() {
            return Finished::exited(*code);
        }
        if error.is::<Stopped>() {
            return Finished::new(OutcomeKind::Stopped, String::new());
        }
        if let Some(deadlock) = error.downcast_ref::<Deadlock>() {
            return Finished::new(OutcomeKind::Deadlocked, deadlock.to_string());
        }
        if let Some(limit) = error.downcast_ref::<LimitReached>() {
            return Finished::limit(*limit);
        }
        if let Some(limit) = limit_in_text(error) {
            return Finished::limit(limit);
        }
        if let Some(HostTrap(host)) = error.downcast_ref() {
            return Finished::trapped(TrapCode::Host, "host function failed", host.message.clone());
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return match trap {
                Trap::StackOverflow => {
                    let value = program.module().engine().settings().stack_bytes;
                    Finished::limit(LimitReached { kind: LimitKind::Stack, value, asked: 0 })
                }
                Trap::OutOfFuel => Finished::limit(LimitReached { kind: LimitKind::Fuel, value: fuel, asked: 0 }),
                trap => {
                    let (code, name) = trap_name(*trap);
                    Finished::trapped(code, &name, with_fault(&name, error))
                }
            };
        }
        if running {
            let text = chain(error);
            let cause = error.root_cause().to_string();
            let first = cause.lines().next().unwrap_or(&text).to_string();
            return Finished::trapped(TrapCode::Host, "host function failed", first);
        }
        Finished::failed(Error::from_wasmtime(ErrorKind::Internal, "it cannot be started", error))
    }

    pub(crate) fn view(&self) -> Outcome {
        Outcome {
            kind: self.kind,
            exit_code: self.exit_code,
            trap_code: self.trap.0,
            limit: self.limit.kind,
            limit_value: self.limit.value,
            limit_asked: self.limit.asked,
            trap_name: Str::borrow(&self.trap.1),
            message: Str::borrow(&self.message),
            results: self.results.as_ptr(),
            results_size: self.results.len(),
            results_text: Str::borrow(&self.results_text),
            backtrace: self.backtrace.as_deref().map_or(std::ptr::null(), |backtrace| backtrace),
            error: self.error.as_deref().map_or(std::ptr::null(), |error| error),
        }
    }
}

/// Number and short name of a trap.
fn trap_name(trap: Trap) -> (TrapCode, String) {
    let code = match trap {
        Trap::UnreachableCodeReached => return (TrapCode::Unreachable, "unreachable".to_string()),
        Trap::MemoryOutOfBounds => TrapCode::MemoryOutOfBounds,
        Trap::HeapMisaligned => TrapCode::HeapMisaligned,
        Trap::TableOutOfBounds => TrapCode::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapCode::IndirectCallToNull,
        Trap::BadSignature => TrapCode::BadSignature,
        Trap::IntegerOverflow => TrapCode::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapCode::IntegerDivisionByZero,
        Trap::BadConversionToInteger => TrapCode::BadConversionToInteger,
        Trap::NullReference => TrapCode::NullReference,
        Trap::ArrayOutOfBounds => TrapCode::ArrayOutOfBounds,
        Trap::CastFailure => TrapCode::CastFailure,
        _ => TrapCode::Other,
    };
    let text = trap.to_string();
    (code, text.strip_prefix("wasm trap: ").unwrap_or(&text).to_string())
}

/// A trap's name, with the address that faulted if there is one.
fn with_fault(name: &str, error: &wasmtime::Error) -> String {
    match chain(error).lines().find(|line| line.starts_with("memory fault")) {
        Some(fault) => format!("{name} ({fault})"),
        None => name.to_string(),
    }
}

/// Wasmtime itself counts the instances, memories and tables of components, and says so in text only.
fn limit_in_text(error: &wasmtime::Error) -> Option<LimitReached> {
    let text = error.root_cause().to_string();
    let (what, asked) = text.strip_prefix("resource limit exceeded: ")?.split_once(" count too high at ")?;
    let kind = match what {
        "instance" => LimitKind::Instances,
        "memory" => LimitKind::Memories,
        "table" => LimitKind::Tables,
        _ => return None,
    };
    let asked = asked.trim().parse().ok()?;
    Some(LimitReached { kind, value: asked - 1, asked })
}
