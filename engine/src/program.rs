//! Programs: a module with all its imports found, ready to be started any number of times.

use crate::component::ComponentProgram;
use crate::error::{Error, ErrorKind, chain, guard};
use crate::guest::Guest;
use crate::linker::Linker;
use crate::module::{Code, Module};
use crate::provide;
use std::sync::Arc;
use wasmtime::InstancePre;

/// A module linked to host functions and WASI. Counted by reference; shared by all threads.
pub struct Program {
    module: Arc<Module>,
    kind: ProgramKind,
    /// Whether a process of it needs WASI state.
    wasi: bool,
}

pub(crate) enum ProgramKind {
    Core(CoreProgram),
    Component(ComponentProgram),
}

/// What is known about a core module once and for all its processes.
pub(crate) struct CoreProgram {
    pub pre: InstancePre<Guest>,
    pub memories: u64,
    pub tables: u64,
}

impl Program {
    fn new(linker: &Linker, module: Arc<Module>) -> Result<Program, Error> {
        if !Arc::ptr_eq(linker.engine(), module.engine()) {
            return Err(Error::new(ErrorKind::BadArgument, "the linker and the module belong to different engines"));
        }
        let (kind, wasi) = match module.code() {
            Code::Core(code) => {
                let wasi = code.imports().any(|import| provide::is_wasi(import.module()));
                (ProgramKind::Core(link_core(linker, code)?), wasi)
            }
            Code::Component(component) => (ProgramKind::Component(ComponentProgram::new(component)?), true),
        };
        Ok(Program { module, kind, wasi })
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    pub(crate) fn kind(&self) -> &ProgramKind {
        &self.kind
    }

    pub(crate) fn needs_wasi(&self) -> bool {
        self.wasi
    }

    /// # Safety
    /// `program` came from this file and is alive.
    pub(crate) unsafe fn share(program: *const Program) -> Arc<Program> {
        debug_assert!(!program.is_null());
        unsafe {
            Arc::increment_strong_count(program);
            Arc::from_raw(program)
        }
    }
}

/// The error for imports that nobody provides: the first in the message, all in the detail.
pub(crate) fn missing_imports(missing: &[(String, String)]) -> Error {
    let line = |(module, field): &(String, String)| {
        let full = if field.is_empty() { module.clone() } else { format!("{module}.{field}") };
        format!("{full}: {}", provide::hint(module, field))
    };
    let more = match missing.len() - 1 {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    let all = missing.iter().map(line).collect::<Vec<_>>().join("\n");
    Error::new(
        ErrorKind::MissingImport,
        format!("it imports {}{more}", line(&missing[0]).replacen(": ", ", which nobody provides: ", 1)),
    )
    .with_detail(all)
}

fn link_core(linker: &Linker, code: &wasmtime::Module) -> Result<CoreProgram, Error> {
    let missing: Vec<_> = code
        .imports()
        .filter(|import| !linker.defines(import.module(), import.name()))
        .filter(|import| provide::core(import.module(), import.name()).is_none())
        .map(|import| (import.module().to_string(), import.name().to_string()))
        .collect();
    if !missing.is_empty() {
        return Err(missing_imports(&missing));
    }
    // All names are there: what can still be wrong are the types.
    let pre = linker.functions().instantiate_pre(code).map_err(|error| {
        let text = chain(&error);
        let what = text.lines().collect::<Vec<_>>().join(": ");
        Error::new(ErrorKind::MissingImport, format!("it imports something as another type than is provided: {what}"))
            .with_detail(text)
    })?;
    let required = code.resources_required();
    Ok(CoreProgram { pre, memories: required.num_memories.into(), tables: required.num_tables.into() })
}

/// Links `module`: host functions of `linker` first, then WASI if the module imports it (preview 1 for core modules, 0.2 and 0.3 for components). Keeps the module alive.
/// Errors: MissingImport, BadArgument. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_new(
    linker: *const Linker,
    module: *const Module,
    program: *mut *mut Program,
) -> *mut Error {
    debug_assert!(!linker.is_null() && !program.is_null());
    guard(|| {
        let module = unsafe { Module::share(module) };
        let new = Program::new(unsafe { &*linker }, module)?;
        unsafe { program.write(Arc::into_raw(Arc::new(new)).cast_mut()) };
        Ok(())
    })
}

/// One more owner. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_retain(program: *const Program) {
    debug_assert!(!program.is_null());
    unsafe { Arc::increment_strong_count(program) };
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_program_free(program: *const Program) {
    if !program.is_null() {
        drop(unsafe { Arc::from_raw(program) });
    }
}
