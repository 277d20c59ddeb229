//! Backtraces: what a guest's stack looks like, in the guest's own terms.

use crate::abi::Str;
use crate::debug_info::Place;
use crate::error::one_line;
use crate::fibers::scheduler::NAME as SCHEDULER;
use crate::lines::Symbol;
use crate::module::Module;
use std::fmt::Write;

/// A guest's stack, innermost frame first.
pub struct Backtrace {
    frames: Vec<Line>,
}

/// Receives a backtrace, exactly once: the guest's stack, or NULL if the call ended first or could not look at its stack. Borrowed for the call. From the
/// thread that polls or drops the call, on the guest's stack.
pub type BacktraceFn = Option<unsafe extern "C-unwind" fn(context: *mut std::ffi::c_void, backtrace: *const Backtrace)>;

/// A `Frame` that owns its strings.
struct Line {
    module: String,
    function: String,
    file: String,
    line: u32,
    column: u32,
    function_index: u32,
    inlined: bool,
    offset: u64,
}

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

impl Backtrace {
    /// The guest's stack in `store`, as of now. Resolves names and lines, which takes from microseconds to (with much debug information) milliseconds, and
    /// never as much as a guest likes.
    pub(crate) fn capture(store: impl wasmtime::AsContext, module: &Module) -> Backtrace {
        Backtrace::new(&wasmtime::WasmBacktrace::force_capture(store), module)
    }

    pub(crate) fn new(backtrace: &wasmtime::WasmBacktrace, module: &Module) -> Backtrace {
        let mut frames = Vec::new();
        for frame in backtrace.frames() {
            let origin = module.origin();
            let function_index = origin.function(frame.func_index());
            let of_scheduler = origin.fibers().is_some() && frame.module().name() == Some(SCHEDULER);
            if function_index.is_none() && origin.fibers().is_some() || of_scheduler {
                // Nothing that its author knows.
                continue;
            }
            let function_index = function_index.unwrap_or(u32::MAX);
            let name = module.frame_name().or(frame.module().name()).unwrap_or_default();
            let function = frame.func_name().map(demangle).unwrap_or_default();
            let offset = frame.module_offset().map(|offset| offset as u64);
            let start = offset.zip(frame.func_offset()).and_then(|(offset, within)| offset.checked_sub(within as u64));
            let place = offset.map(|offset| Place {
                offset: origin.offset(offset),
                function: frame.func_index(),
                function_start: start,
            });
            let symbols = place.as_ref().map_or_else(Vec::new, |place| origin.symbols(place));
            let offset = place.map_or(u64::MAX, |place| place.offset);
            let line = |function, symbol: &Symbol, inlined| Line {
                module: one_line(name),
                function,
                file: one_line(symbol.file.as_deref().unwrap_or_default()),
                line: symbol.line.unwrap_or(0),
                column: symbol.column.unwrap_or(0),
                function_index,
                inlined,
                offset,
            };
            if symbols.is_empty() {
                frames.push(line(function, &Symbol::default(), false));
                continue;
            }
            // Symbols are innermost first; all but the last were inlined into the next.
            for (index, symbol) in symbols.iter().enumerate() {
                let outermost = index + 1 == symbols.len();
                let known = symbol.function.as_deref().map(demangle);
                let named = known.or(outermost.then(|| function.clone())).unwrap_or_default();
                frames.push(line(named, symbol, !outermost));
            }
        }
        Backtrace { frames }
    }
}

/// A function's name as its source calls it, where the scheme is known (Rust, C++).
fn demangle(name: &str) -> String {
    // Demangling may blow names up; ones that are longer than any compiler makes are shown as they are.
    if name.len() > MANGLED_BYTES_MAX {
        return one_line(name);
    }
    let mut text = Demangled(String::new());
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        let done = write!(text, "{rust:#}");
        return text.shown(done).unwrap_or_else(|| one_line(name));
    }
    if name.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::BorrowedSymbol::new(name.as_bytes())
    {
        let done = symbol.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::default());
        return text.shown(done).unwrap_or_else(|| one_line(name));
    }
    one_line(name)
}

const MANGLED_BYTES_MAX: usize = 4096;
/// More than `one_line` shows.
const DEMANGLED_BYTES_MAX: usize = 4096;

/// Takes text until there is too much of it: a name of a thousand bytes can stand for one of gigabytes.
struct Demangled(String);

impl Demangled {
    fn shown(&self, done: std::fmt::Result) -> Option<String> {
        (done.is_ok() || self.0.len() > DEMANGLED_BYTES_MAX).then(|| one_line(&self.0))
    }
}

impl std::fmt::Write for Demangled {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.push_str(text);
        if self.0.len() > DEMANGLED_BYTES_MAX { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// An error context that stops Wasmtime from capturing a backtrace of its own: capturing resolves names and lines at once, too much work for a guest that merely
/// exits or is stopped.
pub(crate) fn no_backtrace() -> wasmtime::WasmBacktrace {
    // A store of an engine that captures no frames gives an empty backtrace; there is no constructor for one.
    static QUIET: std::sync::LazyLock<wasmtime::Store<()>> = std::sync::LazyLock::new(|| {
        let mut config = wasmtime::Config::new();
        config.wasm_backtrace_max_frames(None);
        let engine = wasmtime::Engine::new(&config).expect("an engine that never runs anything");
        wasmtime::Store::new(&engine, ())
    });
    wasmtime::WasmBacktrace::capture(&*QUIET)
}

/// How many frames there are. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_size(backtrace: *const Backtrace) -> usize {
    debug_assert!(!backtrace.is_null());
    unsafe { &*backtrace }.frames.len()
}

/// Writes frame `index` (0 = innermost) to `frame`. False if there is no such frame. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_frame(backtrace: *const Backtrace, index: usize, frame: *mut Frame) -> bool {
    debug_assert!(!backtrace.is_null() && !frame.is_null());
    let Some(line) = unsafe { &*backtrace }.frames.get(index) else {
        return false;
    };
    let found = Frame {
        module: Str::borrow(&line.module),
        function: Str::borrow(&line.function),
        file: Str::borrow(&line.file),
        line: line.line,
        column: line.column,
        function_index: line.function_index,
        inlined: line.inlined,
        offset: line.offset,
    };
    unsafe { frame.write(found) };
    true
}

/// Frees a backtrace of which somebody became the owner; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_backtrace_free(backtrace: *mut Backtrace) {
    if !backtrace.is_null() {
        drop(unsafe { Box::from_raw(backtrace) });
    }
}

#[cfg(test)]
mod tests {
    //! Shows that names are demangled, and that none takes much time or memory.

    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn names_are_demangled() {
        assert_eq!(demangle("_ZN5space3fooEibc"), "space::foo(int, bool, char)");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("main"), "main");
        assert_eq!(demangle("_Znonsense"), "_Znonsense");
    }

    #[test]
    fn names_that_stand_for_gigabytes_are_cut() {
        // f(T<int, int>, T<first, first>, T<second, second>, ...): each is twice as long as the one before.
        let place = |index: usize| match index {
            0 => "S_".to_string(),
            1..=36 => format!("S{}_", char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index - 1])),
            _ => unreachable!("there are fewer"),
        };
        let types = (1..36).map(|index| format!("S_I{0}{0}E", place(index)));
        let name = format!("_Z1f1TIiiE{}", types.collect::<String>());
        let start = Instant::now();
        let shown = demangle(&name);
        assert!(shown.starts_with("f(T<int, int>, T<T<int, int>, T<int, int> >, T<T<T<int, int>,"), "{shown}");
        assert!(shown.len() < 2000);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
