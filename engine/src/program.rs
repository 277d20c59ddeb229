//! Programs: a module with all its imports found, ready to be started any number of times.

use crate::component::ComponentProgram;
use crate::error::{Error, ErrorKind, chain, guard};
use crate::fibers::rewrite as fibers;
use crate::fibers::rewrite::{IMPORT_MODULE, Kind, SCHED_YIELD, STRAND_MODULE};
use crate::fibers::scheduler::STRAND;
use crate::fibers::strands::StrandProgram;
use crate::guest::Guest;
use crate::linker::Linker;
use crate::module::{Code, Module};
use crate::provide;
use crate::threads;
use std::sync::{Arc, Mutex};
use wasmtime::{ExternType, FuncType, InstancePre, MemoryType, ModuleExport, SharedMemory, ValType};

/// A module linked to host functions and WASI. Counted by reference; shared by all threads.
pub struct Program {
    module: Arc<Module>,
    kind: ProgramKind,
    /// Whether a process of it needs WASI state.
    wasi: bool,
    defines_yield: bool,
}

pub(crate) enum ProgramKind {
    Core(CoreProgram),
    Component(ComponentProgram),
}

/// What is known about a core module once and for all its processes.
pub(crate) struct CoreProgram {
    pub instance: Instances,
    pub memories: u64,
    pub tables: u64,
}

/// How instances of a core module are made.
pub(crate) enum Instances {
    /// All imports are known.
    Linked(InstancePre<Guest>),
    /// A scheduler of strands is made with each.
    Strands(StrandProgram),
    /// Threads share memory, which each process gets its own of: see `Group`.
    Threaded(Threaded),
}

/// A module whose processes may have threads.
pub(crate) struct Threaded {
    pub module: wasmtime::Module,
    /// Everything that it imports. Locked while a process adds its memories.
    pub linker: Mutex<wasmtime::Linker<Guest>>,
    pub memories: Vec<MemoryImport>,
    /// What a thread begins with; None if the program starts none.
    pub entry: Option<ModuleExport>,
}

/// A memory that the threads of a process share.
pub(crate) struct MemoryImport {
    pub module: String,
    pub name: String,
    pub ty: MemoryType,
    /// Takes its place in the linker between processes.
    pub placeholder: SharedMemory,
}

impl MemoryImport {
    pub fn is_named_like(&self, other: &MemoryImport) -> bool {
        (&self.module, &self.name) == (&other.module, &other.name)
    }
}

impl CoreProgram {
    pub fn threaded(&self) -> Option<&Threaded> {
        match &self.instance {
            Instances::Linked(_) | Instances::Strands(_) => None,
            Instances::Threaded(threaded) => Some(threaded),
        }
    }
}

impl Program {
    fn new(linker: &Linker, module: Arc<Module>) -> Result<Program, Error> {
        if !Arc::ptr_eq(linker.engine(), module.engine()) {
            return Err(Error::new(ErrorKind::BadArgument, "the linker and the module belong to different engines"));
        }
        let (kind, wasi) = match module.code() {
            Code::Core(code) => {
                let wasi = code.imports().any(|import| provide::is_wasi(import.module()));
                let fibers = module.origin().fibers().map(|side| side.kind);
                let core = match (module.threaded(), fibers) {
                    (true, Some(Kind::Strands { .. })) => {
                        let message = "it has both strands and threads, which do not go together";
                        return Err(Error::new(ErrorKind::UnsupportedFeature, message));
                    }
                    (true, fibers) => link_threaded(linker, code, fibers.is_some())?,
                    (false, Some(Kind::Strands { .. })) => {
                        if let Some(obstacle) = module.origin().fibers().and_then(fibers::Side::obstacle) {
                            return Err(Error::new(ErrorKind::UnsupportedFeature, obstacle));
                        }
                        link_strands(linker, code)?
                    }
                    (false, fibers) => link_core(linker, code, fibers.is_some())?,
                };
                (ProgramKind::Core(core), wasi)
            }
            Code::Component(component) => (ProgramKind::Component(ComponentProgram::new(component)?), true),
        };
        let defines_yield = linker.defines(SCHED_YIELD.0, SCHED_YIELD.1);
        Ok(Program { module, kind, wasi, defines_yield })
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

    /// Whether the host provides a `sched_yield` of its own.
    pub(crate) fn defines_yield(&self) -> bool {
        self.defines_yield
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

/// The imports that nobody provides.
fn check_imports(linker: &Linker, code: &wasmtime::Module, provided: impl Fn(&str, &str) -> bool) -> Result<(), Error> {
    let missing: Vec<_> = code
        .imports()
        .filter(|import| !linker.defines(import.module(), import.name()))
        .filter(|import| !provided(import.module(), import.name()))
        .map(|import| (import.module().to_string(), import.name().to_string()))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing_imports(&missing)) }
}

/// All names are there: what can still be wrong are the types.
fn wrong_type(error: &wasmtime::Error) -> Error {
    let text = chain(error);
    let what = text.lines().collect::<Vec<_>>().join(": ");
    Error::new(ErrorKind::MissingImport, format!("it imports something as another type than is provided: {what}"))
        .with_detail(text)
}

fn link_core(linker: &Linker, code: &wasmtime::Module, fibers: bool) -> Result<CoreProgram, Error> {
    check_imports(linker, code, |module, name| {
        provide::core(module, name).is_some() || fibers && module == IMPORT_MODULE
    })?;
    let functions = if fibers { linker.fibers(code.engine())? } else { linker.functions() };
    let pre = functions.instantiate_pre(code).map_err(|error| wrong_type(&error))?;
    let required = code.resources_required();
    Ok(CoreProgram {
        instance: Instances::Linked(pre),
        memories: required.num_memories.into(),
        tables: required.num_tables.into(),
    })
}

fn link_strands(linker: &Linker, code: &wasmtime::Module) -> Result<CoreProgram, Error> {
    check_imports(linker, code, |module, name| {
        let strand = module == STRAND_MODULE && STRAND.contains(&name);
        strand || provide::core(module, name).is_some() || module == IMPORT_MODULE
    })?;
    let scheduler = linker.engine().strands()?;
    let program =
        StrandProgram::new(code, scheduler, linker.fibers(code.engine())?).map_err(|error| wrong_type(&error))?;
    let required = code.resources_required();
    Ok(CoreProgram {
        instance: Instances::Strands(program),
        memories: required.num_memories.into(),
        tables: required.num_tables.into(),
    })
}

fn show_memory(ty: &MemoryType) -> String {
    let maximum = ty.maximum().unwrap_or(u64::MAX);
    format!("{} to {maximum} pages of {} bytes", ty.minimum(), ty.page_size())
}

fn link_threaded(linker: &Linker, code: &wasmtime::Module, fibers: bool) -> Result<CoreProgram, Error> {
    let mut memories = Vec::new();
    let mut spawns = false;
    for import in code.imports() {
        let (module, name) = (import.module(), import.name());
        spawns |= (module, name) == (threads::SPAWN_MODULE, threads::SPAWN_NAME);
        if let ExternType::Memory(ty) = import.ty()
            && ty.is_shared()
        {
            if (module, name) != threads::MEMORY && module != threads::MODULE {
                return Err(missing_imports(&[(module.to_string(), name.to_string())]));
            }
            // Nothing of it is touched: it costs addresses only.
            let placeholder = SharedMemory::new(code.engine(), ty.clone()).map_err(|error| {
                let what = format!("there is no room for its shared memory {module}.{name} ({})", show_memory(&ty));
                Error::from_wasmtime(ErrorKind::ResourceExhausted, &what, &error)
            })?;
            memories.push(MemoryImport { module: module.to_string(), name: name.to_string(), ty, placeholder });
        }
    }
    check_imports(linker, code, |module, name| {
        let memory = memories.iter().any(|memory| (memory.module.as_str(), memory.name.as_str()) == (module, name));
        memory || provide::threaded(module, name).is_some() || fibers && module == IMPORT_MODULE
    })?;
    let entry = code.get_export(threads::ENTRY);
    let is_entry = |ty: &FuncType| {
        ty.results().len() == 0 && ty.params().len() == 2 && ty.params().all(|param| matches!(param, ValType::I32))
    };
    let entry = match entry {
        Some(ExternType::Func(ty)) if is_entry(&ty) => code.get_export_index(threads::ENTRY),
        _ if !spawns => None,
        None => {
            let message = "it imports wasi.thread-spawn, but does not export wasi_thread_start, with which its threads would begin";
            return Err(Error::new(ErrorKind::NoEntryPoint, message));
        }
        Some(_) => {
            let message = "it imports wasi.thread-spawn, but exports wasi_thread_start as something else than a function \
                           that takes two 32-bit integers and returns nothing";
            return Err(Error::new(ErrorKind::NoEntryPoint, message));
        }
    };
    let mut linker = if fibers { linker.fibers(code.engine())? } else { linker.threaded()? }.clone();
    linker.allow_shadowing(true);
    // The types of all imports are compared now, and not when the first process starts.
    let mut store = wasmtime::Store::new(code.engine(), Guest::for_linking());
    for import in &memories {
        linker
            .define(&mut store, &import.module, &import.name, import.placeholder.clone())
            .map_err(|error| wrong_type(&error))?;
    }
    linker.instantiate_pre(code).map_err(|error| wrong_type(&error))?;
    let required = code.resources_required();
    let threaded = Threaded { module: code.clone(), linker: Mutex::new(linker), memories, entry };
    Ok(CoreProgram {
        instance: Instances::Threaded(threaded),
        memories: required.num_memories.into(),
        tables: required.num_tables.into(),
    })
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
