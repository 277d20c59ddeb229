//! Modules: from bytes (text, binary, component, precompiled) to machine code.

use crate::abi::{Bytes, Str, give_bytes, slice};
use crate::cache::Key;
use crate::debug_info::{DebugInfo, Place};
use crate::engine::{Engine, Fibers};
use crate::error::{Error, ErrorKind, chain, guard, one_line};
use crate::features;
use crate::fibers::rewrite as fibers;
use crate::lines::Symbol;
use crate::origin::Origin;
use crate::rewrite;
use std::borrow::Cow;
use std::sync::Arc;
use wasmtime::component::Component;

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
    /// What to call the module in backtraces, e.g. the file name; may be empty.
    pub name: Str,
    /// Look in the cache first, and put the result there.
    pub cache: bool,
}

/// Compiled code. Counted by reference; shared by all threads.
pub struct Module {
    engine: Arc<Engine>,
    code: Code,
    /// What the code was made from.
    origin: Origin,
    name: String,
    entry: Entry,
    from_cache: bool,
}

/// Machine code, and what has to be kept with it.
type Compiled = (Code, Origin);

pub(crate) enum Code {
    Core(wasmtime::Module),
    Component(Component),
}

/// `wasi:cli/run` of a version, as components export it.
pub(crate) const RUN_INTERFACE: &str = "wasi:cli/run@";

impl Module {
    fn new(engine: Arc<Engine>, (code, origin): Compiled, name: &str, from_cache: bool) -> Module {
        let entry = match &code {
            Code::Core(module) if is_function(module, "_start") => Entry::Start,
            Code::Core(module) if is_function(module, "_initialize") => Entry::Initialize,
            Code::Component(component) if run_interface(component).is_some() => Entry::ComponentCommand,
            _ => Entry::None,
        };
        Module { engine, code, origin, name: name.to_string(), entry, from_cache }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// Whether its processes may have threads.
    pub(crate) fn threaded(&self) -> bool {
        self.origin.threaded()
    }

    /// What its backtraces are to be translated with.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A place in its file, for people: "in parent at app.c:34", or "at app.wasm+0x1f".
    pub(crate) fn describe(&self, offset: u32) -> String {
        let offset = self.origin.offset_before_fibers(offset.into());
        let place = Place { offset, function: u32::MAX, function_start: None };
        match self.origin.symbols(&place).last() {
            Some(Symbol { function, file: Some(file), line: Some(line), .. }) => {
                let function = function.as_deref().map_or_else(String::new, |name| format!("in {name} "));
                one_line(&format!("{function}at {file}:{line}"))
            }
            _ => format!("at {}+{offset:#x}", one_line(&self.name)),
        }
    }

    /// What backtraces call the module; None if each frame's own module name is better: several modules are in a component.
    pub(crate) fn frame_name(&self) -> Option<&str> {
        (!self.name.is_empty() && matches!(self.code, Code::Core(_))).then_some(&self.name)
    }

    /// # Safety
    /// `module` came from this file and is alive.
    pub(crate) unsafe fn share(module: *const Module) -> Arc<Module> {
        debug_assert!(!module.is_null());
        unsafe {
            Arc::increment_strong_count(module);
            Arc::from_raw(module)
        }
    }
}

fn is_function(module: &wasmtime::Module, name: &str) -> bool {
    matches!(module.get_export(name), Some(wasmtime::ExternType::Func(_)))
}

/// The full name of the component's `wasi:cli/run`, with its version.
pub(crate) fn run_interface(component: &Component) -> Option<String> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name.to_string());
    names.find(|name| name.starts_with(RUN_INTERFACE))
}

pub(crate) fn detect(bytes: &[u8]) -> ModuleKind {
    match wasmtime::Engine::detect_precompiled(bytes) {
        Some(wasmtime::Precompiled::Module) => return ModuleKind::PrecompiledCore,
        Some(wasmtime::Precompiled::Component) => return ModuleKind::PrecompiledComponent,
        None => {}
    }
    if wasmparser::Parser::is_component(bytes) {
        ModuleKind::Component
    } else if bytes.starts_with(b"\0asm") {
        ModuleKind::Core
    } else if looks_like_text(bytes) {
        ModuleKind::Text
    } else {
        ModuleKind::Unknown
    }
}

/// Text starts, after blanks and comments, with an opening parenthesis.
fn looks_like_text(bytes: &[u8]) -> bool {
    let mut rest = bytes.trim_ascii_start();
    loop {
        if let Some(after) = rest.strip_prefix(b";;") {
            let end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
            rest = after[end..].trim_ascii_start();
        } else if let Some(after) = rest.strip_prefix(b"(;") {
            // Comments nest, but where a nested one ends matters to nobody here: skip to the first end.
            let Some(end) = after.windows(2).position(|pair| pair == b";)") else {
                return false;
            };
            rest = after[end + 2..].trim_ascii_start();
        } else {
            return rest.first() == Some(&b'(') && std::str::from_utf8(bytes).is_ok();
        }
    }
}

/// The binary of text or binary bytes; errors for everything that cannot be compiled.
pub(crate) fn binary(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, ModuleKind), Error> {
    let invalid = |text: String| Err(Error::new(ErrorKind::InvalidModule, text));
    let kind = detect(bytes);
    match kind {
        ModuleKind::Text => {
            let parsed = wat::parse_bytes(bytes).map_err(|error| {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default().to_string();
                Error::new(ErrorKind::InvalidModule, format!("it is not valid WebAssembly text: {first}"))
                    .with_detail(text)
            })?;
            let kind = detect(&parsed);
            Ok((Cow::Owned(parsed.into_owned()), kind))
        }
        ModuleKind::Core | ModuleKind::Component => Ok((Cow::Borrowed(bytes), kind)),
        ModuleKind::PrecompiledCore | ModuleKind::PrecompiledComponent => Err(Error::new(
            ErrorKind::BadArgument,
            "it is precompiled machine code, which is only run when explicitly allowed",
        )),
        ModuleKind::Unknown if bytes.is_empty() => invalid("it is empty".to_string()),
        ModuleKind::Unknown if bytes.len() < 8 && b"\0asm".starts_with(&bytes[..bytes.len().min(4)]) => {
            invalid(format!("it is truncated: it ends at offset {}", bytes.len()))
        }
        ModuleKind::Unknown => invalid(format!("it is not WebAssembly: it starts with {}", beginning(bytes))),
    }
}

/// The first bytes of something unknown, for people.
fn beginning(bytes: &[u8]) -> String {
    let first = &bytes[..bytes.len().min(8)];
    if first.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        format!("\"{}\"", String::from_utf8_lossy(first))
    } else {
        first.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }
}

/// Why `wasm`, which the engine refused, cannot be compiled.
fn refusal(engine: &Engine, wasm: &[u8], error: &wasmtime::Error) -> Error {
    let enabled = engine.settings().features;
    match features::needed(wasm) {
        Err(invalid) => {
            let offset = invalid.offset();
            let text = invalid.message();
            let first = text.lines().next().unwrap_or_default();
            let what = if offset >= wasm.len() || text.starts_with("unexpected end") {
                "truncated or invalid"
            } else {
                "invalid"
            };
            Error::new(ErrorKind::InvalidModule, format!("it is {what} at offset {offset:#x}: {first}"))
                .with_detail(chain(error))
        }
        Ok(needed) if needed & !enabled != 0 => {
            let missing = features::names(needed & !enabled);
            let first = missing[0];
            let message = match missing.len() {
                1 => format!("it needs the WebAssembly proposal {first}, which is switched off"),
                _ => format!("it needs the WebAssembly proposals {}, which are switched off", missing.join(", ")),
            };
            Error::new(ErrorKind::UnsupportedFeature, message).with_detail(chain(error))
        }
        // Valid, but beyond what the pool or the compiler can do.
        Ok(_) => Error::from_wasmtime(ErrorKind::UnsupportedFeature, "this engine cannot run it", error),
    }
}

/// What code is to be run on, which decides how it is made.
#[derive(Clone, Copy)]
enum Plan {
    Core { threaded: bool, fibers: Option<fibers::Kind> },
    Component,
}

impl Plan {
    fn new(engine: &Engine, wasm: &[u8], kind: ModuleKind) -> Plan {
        if kind == ModuleKind::Component {
            return Plan::Component;
        }
        let settings = engine.settings();
        // What cannot be read is for the engine to refuse.
        let threaded = settings.features & features::THREADS != 0 && rewrite::has_shared_memory(wasm).unwrap_or(false);
        let strands = settings.strands && !threaded || crate::fibers::has_strands(wasm).unwrap_or(false);
        let fibers = if strands {
            Some(fibers::Kind::Strands { preemptive: settings.strands_preemptive })
        } else {
            (settings.fibers == Fibers::Continuations).then_some(fibers::Kind::Alone)
        };
        Plan::Core { threaded, fibers }
    }

    fn of(origin: &Origin, component: bool) -> Plan {
        match component {
            true => Plan::Component,
            false => Plan::Core { threaded: origin.threaded(), fibers: origin.fibers().map(|side| side.kind) },
        }
    }

    fn engine(self, engine: &Engine) -> Result<&wasmtime::Engine, Error> {
        match self {
            Plan::Component => engine.components(),
            Plan::Core { fibers: Some(_), .. } => engine.continuations(),
            Plan::Core { threaded: true, .. } => engine.threads(),
            Plan::Core { .. } => Ok(engine.core()),
        }
    }

    /// Part of the cache's key.
    fn name(self) -> String {
        let Plan::Core { threaded, fibers } = self else {
            return "component".to_string();
        };
        let on = match fibers {
            None => "",
            Some(fibers::Kind::Alone) => " on continuations",
            Some(fibers::Kind::Strands { preemptive: false }) => " with strands",
            Some(fibers::Kind::Strands { preemptive: true }) => " with preemptive strands",
        };
        format!("{}{on}", if threaded { "threads" } else { "core" })
    }

    fn is_component(self) -> bool {
        matches!(self, Plan::Component)
    }
}

/// Compiles for `plan` what nobody has looked at yet.
fn translate(engine: &Engine, plan: Plan, wasm: &[u8]) -> Result<Compiled, Error> {
    let wasmtime = plan.engine(engine)?;
    let refused = |error: wasmtime::Error| refusal(engine, wasm, &error);
    let mut rewritten = Cow::Borrowed(wasm);
    let (mut threads, mut fibers) = (None, None);
    if let Plan::Core { threaded, fibers: kind } = plan {
        let enabled = engine.settings().features;
        if kind.is_some()
            && let Err(error) = features::validate(wasm, enabled)
        {
            return Err(refused(error.into()));
        }
        // It must not run as it is.
        let failed = |what: &str, failure: rewrite::Failure| match wasmtime::Module::validate(wasmtime, wasm) {
            Err(error) => refused(error),
            Ok(()) => Error::new(ErrorKind::UnsupportedFeature, format!("{what} cannot be provided: {failure}")),
        };
        if threaded {
            let changed = rewrite::rewrite(&rewritten).map_err(|failure| failed("its threads", failure))?;
            let changed = changed.unwrap_or_else(|| unreachable!("it has shared memory"));
            rewritten = Cow::Owned(changed.wasm);
            threads = Some(changed.side);
        }
        if let Some(kind) = kind {
            let what = if kind == fibers::Kind::Alone { "continuations" } else { "its strands" };
            let changed = fibers::rewrite(&rewritten, kind).map_err(|failure| failed(what, failure))?;
            rewritten = Cow::Owned(changed.wasm);
            fibers = Some(changed.side);
        }
    }
    let code = match plan {
        Plan::Component => Component::from_binary(wasmtime, wasm).map(Code::Component),
        Plan::Core { .. } => wasmtime::Module::from_binary(wasmtime, &rewritten).map(Code::Core),
    };
    let code = code.map_err(refused)?;
    // Looked for in what the engine accepted.
    let debug_info = if engine.settings().debug_info { DebugInfo::find(wasm) } else { DebugInfo::default() };
    Ok((code, Origin::new(threads, fibers, debug_info)))
}

fn compile(engine: Arc<Engine>, bytes: &[u8], name: &str, use_cache: bool) -> Result<Module, Error> {
    // Messages say "it": who shows them knows what the file is called.
    let (wasm, kind) = binary(bytes)?;
    let plan = Plan::new(&engine, &wasm, kind);
    let wasmtime = plan.engine(&engine)?;
    let cache = engine.cache().filter(|_| use_cache);
    // The engine's settings are part of the key, but this one is none of them.
    let lines = if engine.settings().debug_info { " with lines" } else { "" };
    let key = cache.map(|_| Key::new(wasmtime, &format!("{}{lines}", plan.name()), &wasm));
    if let (Some(cache), Some(key)) = (cache, &key)
        && let Some(code) = cache.load(key)
    {
        // SAFETY: written by `store` below, as far as the directory is trusted, and undamaged, as the hash shows.
        let loaded = split(&engine, &code).and_then(|(code, origin)| {
            let code = unsafe { deserialize(wasmtime, code, plan.is_component()) };
            Ok((code?, origin))
        });
        match loaded {
            Ok(code) => return Ok(Module::new(engine.clone(), code, name, true)),
            Err(error) => cache.refuse(key, &error),
        }
    }
    let compiled = translate(&engine, plan, &wasm)?;
    if let (Some(cache), Some(key)) = (cache, &key)
        && let Ok(bytes) = serialize(&compiled.0, &compiled.1)
    {
        cache.store(key, &bytes);
    }
    Ok(Module::new(engine.clone(), compiled, name, false))
}

/// Takes what `serialize` returned apart.
fn split<'b>(engine: &Engine, bytes: &'b [u8]) -> wasmtime::Result<(&'b [u8], Origin)> {
    let (code, origin) = Origin::split(bytes)?;
    let wanted = engine.settings().debug_info;
    Ok((code, if wanted { origin } else { origin.without_debug_info() }))
}

/// # Safety
/// `code` is what the engine made, unchanged.
unsafe fn deserialize(engine: &wasmtime::Engine, code: &[u8], component: bool) -> wasmtime::Result<Code> {
    match component {
        true => unsafe { Component::deserialize(engine, code) }.map(Code::Component),
        false => unsafe { wasmtime::Module::deserialize(engine, code) }.map(Code::Core),
    }
}

/// Machine code, with what `split` finds.
fn serialize(code: &Code, origin: &Origin) -> wasmtime::Result<Vec<u8>> {
    let mut bytes = match code {
        Code::Core(module) => module.serialize(),
        Code::Component(component) => component.serialize(),
    }?;
    origin.append(&mut bytes);
    Ok(bytes)
}

/// # Safety
/// `options` is NULL or valid, and outlives `'a`.
unsafe fn options<'a>(options: *const ModuleOptions) -> Result<(&'a str, bool), Error> {
    match unsafe { options.as_ref() } {
        None => Ok(("", true)),
        Some(options) => Ok((unsafe { options.name.text("the module's name") }?, options.cache)),
    }
}

/// Says what the bytes look like. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_detect(bytes: *const u8, size: usize) -> ModuleKind {
    detect(unsafe { slice(bytes, size) })
}

/// Compiles text, a core module or a component; blocks, possibly for many seconds. `options` may be NULL: no name, and the cache is used. Precompiled bytes are refused (BadArgument): they are
/// machine code, and loading them is a decision of its own. Errors: InvalidModule, UnsupportedFeature, BadArgument, ResourceExhausted. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_compile(
    engine: *const Engine,
    bytes: *const u8,
    size: usize,
    options: *const ModuleOptions,
    module: *mut *mut Module,
) -> *mut Error {
    debug_assert!(!module.is_null());
    guard(|| {
        let engine = unsafe { Engine::share(engine) };
        let (name, cache) = unsafe { self::options(options) }?;
        let new = compile(engine, unsafe { slice(bytes, size) }, name, cache)?;
        unsafe { module.write(Arc::into_raw(Arc::new(new)).cast_mut()) };
        Ok(())
    })
}

/// Loads what `weft_module_serialize` returned. DANGER: the bytes are machine code that runs with all rights of this process. Only load what you
/// trust as you trust a shared library; damage is not found. `options` may be NULL. Errors: NotPrecompiledForThisEngine, BadArgument. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_load_precompiled(
    engine: *const Engine,
    bytes: *const u8,
    size: usize,
    options: *const ModuleOptions,
    module: *mut *mut Module,
) -> *mut Error {
    debug_assert!(!module.is_null());
    guard(|| {
        let engine = unsafe { Engine::share(engine) };
        let (name, _) = unsafe { self::options(options) }?;
        let bytes = unsafe { slice(bytes, size) };
        let component = match detect(bytes) {
            ModuleKind::PrecompiledCore => false,
            ModuleKind::PrecompiledComponent => true,
            _ => return Err(Error::new(ErrorKind::BadArgument, "it is not precompiled")),
        };
        let refused = |error: wasmtime::Error| {
            let what = "it was precompiled by another version or for other settings; compile it anew";
            Error::from_wasmtime(ErrorKind::NotPrecompiledForThisEngine, what, &error)
        };
        let (code, origin) = split(&engine, bytes).map_err(refused)?;
        let wasmtime = Plan::of(&origin, component).engine(&engine)?;
        // SAFETY: passed on to the caller, see above.
        let code = unsafe { deserialize(wasmtime, code, component) }.map_err(refused)?;
        let new = Module::new(engine.clone(), (code, origin), name, false);
        unsafe { module.write(Arc::into_raw(Arc::new(new)).cast_mut()) };
        Ok(())
    })
}

/// The machine code as bytes, to be loaded by an engine of the same version and settings. Errors: Internal. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_serialize(module: *const Module, bytes: *mut *mut Bytes) -> *mut Error {
    debug_assert!(!module.is_null() && !bytes.is_null());
    guard(|| {
        let module = unsafe { &*module };
        let code = serialize(&module.code, &module.origin).map_err(|error| {
            Error::from_wasmtime(ErrorKind::Internal, "its machine code cannot be written out", &error)
        })?;
        unsafe { bytes.write(give_bytes(code)) };
        Ok(())
    })
}

/// One more owner. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_retain(module: *const Module) {
    debug_assert!(!module.is_null());
    unsafe { Arc::increment_strong_count(module) };
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_free(module: *const Module) {
    if !module.is_null() {
        drop(unsafe { Arc::from_raw(module) });
    }
}

/// Whether it is a component. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_is_component(module: *const Module) -> bool {
    debug_assert!(!module.is_null());
    matches!(unsafe { &(*module).code }, Code::Component(_))
}

/// Whether its processes share memory between threads: it imports or defines a memory that is shared. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_has_threads(module: *const Module) -> bool {
    debug_assert!(!module.is_null());
    unsafe { &*module }.threaded()
}

/// Whether its processes have strands. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_has_strands(module: *const Module) -> bool {
    debug_assert!(!module.is_null());
    unsafe { &*module }.origin().fibers().is_some_and(|side| side.kind != fibers::Kind::Alone)
}

/// How it is started. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_entry(module: *const Module) -> Entry {
    debug_assert!(!module.is_null());
    unsafe { (*module).entry }
}

/// Whether it exports a function of that name. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_exports_function(module: *const Module, name: Str) -> bool {
    debug_assert!(!module.is_null());
    let Ok(name) = (unsafe { name.text("a function's name") }) else {
        return false;
    };
    match unsafe { &(*module).code } {
        Code::Core(module) => is_function(module, name),
        Code::Component(component) => crate::component::find_function(component, name).is_some(),
    }
}

/// Whether it is a core module that imports anything from the module of that name. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_imports_from(module: *const Module, name: Str) -> bool {
    debug_assert!(!module.is_null());
    let Ok(name) = (unsafe { name.text("a module's name") }) else {
        return false;
    };
    match unsafe { &(*module).code } {
        Code::Core(module) => module.imports().any(|import| import.module() == name),
        Code::Component(_) => false,
    }
}

/// Whether it came out of the cache. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_module_from_cache(module: *const Module) -> bool {
    debug_assert!(!module.is_null());
    unsafe { (*module).from_cache }
}
