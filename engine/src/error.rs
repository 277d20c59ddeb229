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
#[derive(Debug)]
pub struct Error {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) detail: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: one_line(&message.into()), detail: String::new() }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Error {
        let detail: String = detail.into();
        self.detail = detail.lines().take(DETAIL_LINES_MAX).map(one_line).collect::<Vec<_>>().join("\n");
        self
    }

    /// An error of Wasmtime: `what` failed. The first line of the innermost cause goes into the message, the whole chain into the
    /// detail. Exhausted resources are recognised whatever was going on.
    pub(crate) fn from_wasmtime(kind: ErrorKind, what: &str, error: &wasmtime::Error) -> Error {
        if let Some(exhausted) = resource_exhausted(what, error) {
            return exhausted;
        }
        let cause = error.root_cause().to_string();
        let first = cause.lines().next().unwrap_or_default();
        Error::new(kind, format!("{what}: {first}")).with_detail(chain(error))
    }

    pub(crate) fn into_raw(self) -> *mut Error {
        Box::into_raw(Box::new(self))
    }
}

/// Bounds on what is shown of names that guests choose.
const LINE_CHARS_MAX: usize = 1000;
const DETAIL_LINES_MAX: usize = 1000;

/// Text that is safe to show: names in modules are chosen by guests, and may be megabytes, span lines, or contain what terminals obey.
pub(crate) fn one_line(text: &str) -> String {
    if text.len() <= LINE_CHARS_MAX && !text.contains(char::is_control) {
        return text.to_string();
    }
    let mut shown: String = text
        .chars()
        .take(LINE_CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(LINE_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

/// All causes of an error, outermost first, a line each.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for text in error.chain().filter_map(says) {
        if lines.last() != Some(&text) {
            lines.push(text);
        }
    }
    lines.join("\n")
}

/// What a cause says; None if it is a backtrace, which is part of the chain as a context, and handed out on its own. Wasmtime would demangle all names in it, with
/// output in no proportion to them: so it is stopped as soon as it can be told what it is.
fn says(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    struct Listener(String);
    impl std::fmt::Write for Listener {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            if self.0.starts_with("error while executing at wasm backtrace") { Err(std::fmt::Error) } else { Ok(()) }
        }
    }
    let mut listener = Listener(String::new());
    std::fmt::write(&mut listener, format_args!("{cause}")).ok().map(|()| listener.0)
}

/// Whether `error` says that the pool or the address space is used up, as an error that names the setting to raise.
fn resource_exhausted(what: &str, error: &wasmtime::Error) -> Option<Error> {
    if let Some(pool) = error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>() {
        let message = format!("{what}: all slots of the instance pool are in use (slots_max)");
        return Some(Error::new(ErrorKind::ResourceExhausted, message).with_detail(pool.to_string()));
    }
    let out_of_maps = error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.raw_os_error() == Some(libc::ENOMEM))
            || says(cause).is_some_and(|text| text.contains("os error 12"))
    });
    out_of_maps.then(|| {
        let message = format!("{what}: the operating system refused memory mappings; raise the setting vm.max_map_count, or use fewer slots");
        Error::new(ErrorKind::ResourceExhausted, message).with_detail(chain(error))
    })
}

/// What a caught panic said.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of unknown kind".to_string());
    format!("a panic in the engine crate, which is a bug: {text}")
}

/// The way out of every exported function that can fail: errors become pointers, panics become errors.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Error>) -> *mut Error {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => std::ptr::null_mut(),
        Ok(Err(error)) => error.into_raw(),
        Err(payload) => Error::new(ErrorKind::Internal, panic_text(&*payload)).into_raw(),
    }
}

/// Makes an error, for a host function to return: its call ends as trapped with `message`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_new(kind: ErrorKind, message: Str) -> *mut Error {
    let text = String::from_utf8_lossy(unsafe { message.bytes() }).into_owned();
    Error::new(kind, text).into_raw()
}

/// The kind of `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_kind(error: *const Error) -> ErrorKind {
    debug_assert!(!error.is_null());
    unsafe { (*error).kind }
}

/// One line, without a full stop, borrowed from `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_message(error: *const Error) -> Str {
    debug_assert!(!error.is_null());
    Str::borrow(unsafe { &(*error).message })
}

/// Everything known (chain of causes, lists), several lines, possibly empty; borrowed from `error`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_detail(error: *const Error) -> Str {
    debug_assert!(!error.is_null());
    Str::borrow(unsafe { &(*error).detail })
}

/// Frees `error`; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_error_free(error: *mut Error) {
    if !error.is_null() {
        drop(unsafe { Box::from_raw(error) });
    }
}
