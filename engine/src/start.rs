//! How a call starts: which exported function, with which arguments, and the instantiation before it.

use crate::abi::{Val, slice};
use crate::call::CallConfig;
use crate::component::{find_function, function_names, parse_args};
use crate::error::{Error, ErrorKind};
use crate::fibers::requests::Request;
use crate::fibers::rewrite as fibers;
use crate::fibers::strands::Strands;
use crate::guest::{Guest, GuestMemoryRef};
use crate::host_function::{from_wasmtime, to_wasmtime};
use crate::module::Code;
use crate::outcome::Finished;
use crate::program::{CoreProgram, Instances, Program, ProgramKind};
use wasmtime::component::ComponentExportIndex;
use wasmtime::{Extern, ExternType, Func, FuncType, Instance, ModuleExport, Store, TypedFunc, ValType};

/// What a call does first, checked when it was made.
pub enum Start {
    Core {
        /// A reactor's initialisation, to be called before.
        initialize: Option<ModuleExport>,
        entry: ModuleExport,
        /// Takes nothing and returns nothing: can be called the quick way.
        plain: bool,
        args: Vec<wasmtime::Val>,
        results: usize,
    },
    /// The same on continuations, where functions are called by number: the start function and a reactor's initialisation come first.
    Fiber {
        /// In the order in which they are called; the last one takes and answers values.
        entries: Vec<u32>,
        args: Vec<wasmtime::Val>,
        /// Zeros of the right types.
        results: Vec<wasmtime::Val>,
    },
    /// Another thread of a process that runs already.
    Thread {
        entry: ModuleExport,
        /// On continuations, where it goes by number: that of the start function, which comes first, and its own.
        fiber: Vec<u32>,
        id: i32,
        argument: i32,
    },
    ComponentCommand,
    ComponentFunction {
        function: ComponentExportIndex,
        args: Vec<wasmtime::component::Val>,
        results: usize,
    },
}

const DEFAULT: &str = "_start";
const INITIALIZE: &str = "_initialize";

/// The exported functions that an error message names at most.
const NAMES_MAX: usize = 8;

impl Start {
    /// # Safety
    /// The pointers in `config` are valid for the sizes that go with them.
    pub unsafe fn new(program: &Program, config: &CallConfig) -> Result<Start, Error> {
        let entry = unsafe { config.entry.text("the name of the function to call") }?;
        let values = unsafe { slice(config.args, config.nargs) };
        let texts = unsafe { slice(config.text_args, config.ntext_args) };
        let texts: Vec<&str> =
            texts.iter().map(|text| unsafe { text.text("an argument") }).collect::<Result<_, _>>()?;
        if !values.is_empty() && !texts.is_empty() {
            return Err(Error::new(ErrorKind::BadArgument, "arguments are given both as values and as text"));
        }
        let module = program.module();
        match (module.code(), program.kind()) {
            (Code::Core(code), _) if config.resident && entry.is_empty() && !is_command(code) => {
                let side = module.origin().fibers().ok_or_else(|| Error::new(ErrorKind::BadArgument, NO_STRANDS))?;
                let first = side.start.into_iter().chain(side.entry(INITIALIZE));
                Ok(Start::Fiber { entries: first.collect(), args: Vec::new(), results: Vec::new() })
            }
            (Code::Core(code), _) => {
                let start = unsafe { core(code, entry, values, &texts) }?;
                Ok(match module.origin().fibers() {
                    Some(side) => start.on_continuations(code, side, if entry.is_empty() { DEFAULT } else { entry })?,
                    None => start,
                })
            }
            (Code::Component(_), ProgramKind::Component(component)) if entry.is_empty() && component.is_command() => {
                Ok(Start::ComponentCommand)
            }
            (Code::Component(component), _) => {
                let Some((ty, function)) = find_function(component, entry) else {
                    return Err(no_entry(entry, "wasi:cli/run", function_names(component)));
                };
                if !values.is_empty() {
                    return Err(Error::new(
                        ErrorKind::BadArgument,
                        "arguments of a component's function are given as text",
                    ));
                }
                let args = parse_args(entry, &ty, &texts)?;
                Ok(Start::ComponentFunction { function, args, results: ty.results().len() })
            }
        }
    }

    /// The same, of a module that was rewritten for continuations.
    fn on_continuations(self, code: &wasmtime::Module, side: &fibers::Side, name: &str) -> Result<Start, Error> {
        let Start::Core { initialize, args, .. } = self else {
            unreachable!("only core modules are rewritten");
        };
        let initialize = initialize.and_then(|_| side.entry(INITIALIZE));
        let first = side.start.into_iter().chain(initialize);
        let Some(entry) = side.entry(name) else {
            let message = format!("{name} returns a reference, which programs on continuations cannot hand out");
            return Err(Error::new(ErrorKind::UnsupportedFeature, message));
        };
        let results = match code.get_export(name) {
            Some(ExternType::Func(ty)) => ty.results().filter_map(|ty| wasmtime::Val::default_for_ty(&ty)).collect(),
            _ => unreachable!("found before"),
        };
        Ok(Start::Fiber { entries: first.chain([entry]).collect(), args, results })
    }

    /// Whether `enter` can be used in place of `run`.
    pub fn is_plain(&self) -> bool {
        matches!(self, Start::Core { plain: true, .. })
    }

    /// Instantiates; what is left to do is to call the function. Calling it is left to the call, whose future is polled for every switch of the guest: each future around it
    /// costs a return address that the processor predicts wrongly after the stacks were switched.
    pub async fn enter(
        self,
        program: &Program,
        store: &mut Store<Guest>,
    ) -> Result<TypedFunc<(), ()>, (bool, wasmtime::Error)> {
        let (Start::Core { initialize, entry, .. }, ProgramKind::Core(core)) = (self, program.kind()) else {
            unreachable!("only for plain functions of core modules");
        };
        let instance = instantiate(core, store, initialize).await?;
        function(store, &instance, &entry).typed(&*store).map_err(|error| (false, error))
    }

    /// The same for a thread.
    pub async fn enter_thread(
        entry: ModuleExport,
        program: &Program,
        store: &mut Store<Guest>,
    ) -> Result<TypedFunc<(i32, i32), ()>, (bool, wasmtime::Error)> {
        let ProgramKind::Core(core) = program.kind() else {
            unreachable!("components have no threads");
        };
        let instance = instantiate(core, store, None).await?;
        function(store, &instance, &entry).typed(&*store).map_err(|error| (false, error))
    }

    /// Instantiates and calls. The flag of an error says whether the guest had been entered.
    pub async fn run(self, program: &Program, store: &mut Store<Guest>) -> Result<Finished, (bool, wasmtime::Error)> {
        match (self, program.kind()) {
            (Start::Core { initialize, entry, args, results, .. }, ProgramKind::Core(core)) => {
                let instance = instantiate(core, store, initialize).await?;
                let entry = function(store, &instance, &entry);
                let mut values = vec![wasmtime::Val::I32(0); results];
                entry.call_async(&mut *store, &args, &mut values).await.map_err(|error| (true, error))?;
                Ok(Finished::returned(values.iter().filter_map(from_wasmtime).collect(), show_all(&values)))
            }
            (Start::ComponentCommand, ProgramKind::Component(component)) => component.run(store).await,
            (Start::ComponentFunction { function, args, results }, ProgramKind::Component(component)) => {
                component.invoke(store, &function, &args, results).await
            }
            _ => unreachable!("a start is made for its program"),
        }
    }
}

async fn instantiate(
    core: &CoreProgram,
    store: &mut Store<Guest>,
    initialize: Option<ModuleExport>,
) -> Result<Instance, (bool, wasmtime::Error)> {
    let instance = match (&core.instance, store.data().group.clone()) {
        (Instances::Linked(pre), _) => pre.instantiate_async(&mut *store).await,
        (Instances::Threaded(_), Some(group)) => group.pre.instantiate_async(&mut *store).await,
        (Instances::Threaded(_), None) => unreachable!("made before the first instance"),
        (Instances::Strands(_), _) => unreachable!("strands run on continuations"),
    }
    .map_err(|error| (false, error))?;
    remember_memory(core, store, &instance);
    if let Some(initialize) = initialize {
        let initialize = function(store, &instance, &initialize);
        let initialize = initialize.typed::<(), ()>(&*store).map_err(|error| (false, error))?;
        initialize.call_async(&mut *store, ()).await.map_err(|error| (true, error))?;
    }
    Ok(instance)
}

/// The instance of a module that runs on continuations, which has no start function; with its strands, if it is one that has any.
pub fn instantiate_now(program: &Program, store: &mut Store<Guest>) -> wasmtime::Result<(Instance, Option<Strands>)> {
    let (ProgramKind::Core(core), Some(side)) = (program.kind(), program.module().origin().fibers()) else {
        unreachable!("only core modules run on continuations");
    };
    let (instance, strands) = match (&core.instance, store.data().group.clone()) {
        (Instances::Linked(pre), _) => (pre.instantiate(&mut *store)?, None),
        (Instances::Threaded(_), Some(group)) => (group.pre.instantiate(&mut *store)?, None),
        (Instances::Threaded(_), None) => unreachable!("made before the first instance"),
        (Instances::Strands(program), _) => {
            let (instance, strands) = program.instantiate(side, store)?;
            (instance, Some(strands))
        }
    };
    remember_memory(core, store, &instance);
    Ok((instance, strands))
}

fn remember_memory(core: &CoreProgram, store: &mut Store<Guest>, instance: &Instance) {
    if core.memories > 0
        && store.data().memory.is_none()
        && let Some(memory) = instance.get_memory(&mut *store, "memory")
    {
        store.data_mut().memory = Some(GuestMemoryRef::Own(memory));
    }
}

fn function(store: &mut Store<Guest>, instance: &Instance, export: &ModuleExport) -> Func {
    match instance.get_module_export(store, export) {
        Some(Extern::Func(function)) => function,
        _ => unreachable!("looked up in the same module"),
    }
}

fn no_entry(entry: &str, default: &str, functions: Vec<String>) -> Error {
    let what = if entry.is_empty() {
        format!("it has no entry point: it does not export {default}")
    } else {
        format!("it does not export a function {entry}")
    };
    let shown = functions.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if functions.len() > NAMES_MAX { ", ..." } else { "" };
    let there = if functions.is_empty() {
        "it exports no functions".to_string()
    } else {
        format!("its functions, to be called with --invoke, are: {shown}{more}")
    };
    Error::new(ErrorKind::NoEntryPoint, format!("{what}; {there}")).with_detail(functions.join("\n"))
}

/// # Safety
/// The payloads of `values` are of their kinds.
unsafe fn core(code: &wasmtime::Module, entry: &str, values: &[Val], texts: &[&str]) -> Result<Start, Error> {
    let function = |name: &str| match code.get_export(name) {
        Some(ExternType::Func(ty)) => Some((ty, code.get_export_index(name)?)),
        _ => None,
    };
    let wanted = if entry.is_empty() { DEFAULT } else { entry };
    let Some((ty, export)) = function(wanted) else {
        let functions = code.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
        return Err(no_entry(entry, DEFAULT, functions.map(|export| export.name().to_string()).collect()));
    };
    let plain = ty.params().len() == 0 && ty.results().len() == 0;
    if entry.is_empty() && !plain {
        let message = format!("it has no entry point: its _start takes or returns values, {}", show_type(&ty));
        return Err(Error::new(ErrorKind::NoEntryPoint, message));
    }
    let initialize = function(INITIALIZE)
        .filter(|(ty, _)| ty.params().len() == 0 && ty.results().len() == 0)
        .filter(|_| wanted != INITIALIZE && function(DEFAULT).is_none())
        .map(|(_, export)| export);
    let given = values.len() + texts.len();
    if given != ty.params().len() {
        let message = format!("{wanted} is {}: it takes {} arguments, not {given}", show_type(&ty), ty.params().len());
        return Err(Error::new(ErrorKind::BadArgument, message));
    }
    let args = if texts.is_empty() {
        let args: Vec<_> = values.iter().map(|value| unsafe { to_wasmtime(value) }).collect();
        for (index, (arg, ty)) in args.iter().zip(ty.params()).enumerate() {
            if !same_kind(arg, &ty) {
                let message = format!("argument {} of {wanted} has to be of type {ty}", index + 1);
                return Err(Error::new(ErrorKind::BadArgument, message));
            }
        }
        args
    } else {
        ty.params().zip(texts).map(|(ty, text)| parse(wanted, &ty, text)).collect::<Result<_, _>>()?
    };
    Ok(Start::Core { initialize, entry: export, plain, args, results: ty.results().len() })
}

pub const NO_STRANDS: &str =
    "the program has no strands: it does not import them, and the engine was not told to provide them";

fn is_command(code: &wasmtime::Module) -> bool {
    matches!(code.get_export(DEFAULT), Some(ExternType::Func(_)))
}

/// A strand that the host wants to call `function`.
///
/// # Safety
/// The payloads of `values` are of their kinds.
pub unsafe fn strand(program: &Program, function: &str, values: &[Val], token: u64) -> Result<Request, Error> {
    let (Code::Core(code), Some(side)) = (program.module().code(), program.module().origin().fibers()) else {
        return Err(Error::new(ErrorKind::BadArgument, NO_STRANDS));
    };
    if side.kind == fibers::Kind::Alone {
        return Err(Error::new(ErrorKind::BadArgument, NO_STRANDS));
    }
    // SAFETY: as promised.
    match unsafe { core(code, function, values, &[]) }?.on_continuations(code, side, function)? {
        Start::Fiber { entries, args: arguments, results } => {
            let entry = *entries.last().unwrap_or_else(|| unreachable!("its own comes last"));
            Ok(Request { token, entry, arguments, results })
        }
        _ => unreachable!("made for continuations"),
    }
}

fn same_kind(value: &wasmtime::Val, ty: &ValType) -> bool {
    matches!(
        (value, ty),
        (wasmtime::Val::I32(_), ValType::I32)
            | (wasmtime::Val::I64(_), ValType::I64)
            | (wasmtime::Val::F32(_), ValType::F32)
            | (wasmtime::Val::F64(_), ValType::F64)
            | (wasmtime::Val::V128(_), ValType::V128)
    )
}

/// Reads a number: decimal or, for integers, hexadecimal; integers may be given signed or unsigned.
fn parse(function: &str, ty: &ValType, text: &str) -> Result<wasmtime::Val, Error> {
    let value = match ty {
        ValType::I32 => integer(text, 32).map(|value| wasmtime::Val::I32(value as i32)),
        ValType::I64 => integer(text, 64).map(|value| wasmtime::Val::I64(value as i64)),
        ValType::F32 => text.parse::<f32>().ok().map(|value| wasmtime::Val::F32(value.to_bits())),
        ValType::F64 => text.parse::<f64>().ok().map(|value| wasmtime::Val::F64(value.to_bits())),
        ValType::V128 => integer(text, 128).map(|value| wasmtime::Val::V128((value as u128).into())),
        ValType::Ref(_) => {
            let message = format!("{function} takes a reference ({ty}), which cannot be given from outside");
            return Err(Error::new(ErrorKind::BadArgument, message));
        }
    };
    value.ok_or_else(|| {
        Error::new(ErrorKind::BadArgument, format!("\"{text}\" is not a value of type {ty}, which {function} takes"))
    })
}

/// An integer that fits into `bits`, read as signed or unsigned; its bits, sign-extended.
fn integer(text: &str, bits: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u128::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    }
    .ok()?;
    let max = u128::MAX >> (128 - bits);
    let fits = if negative { magnitude <= max / 2 + 1 } else { magnitude <= max };
    fits.then(|| if negative { (magnitude as i128).wrapping_neg() } else { magnitude as i128 })
}

/// The results of a function, as text.
pub fn show_all(values: &[wasmtime::Val]) -> String {
    values.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn show(value: &wasmtime::Val) -> String {
    match value {
        wasmtime::Val::I32(value) => value.to_string(),
        wasmtime::Val::I64(value) => value.to_string(),
        wasmtime::Val::F32(bits) => f32::from_bits(*bits).to_string(),
        wasmtime::Val::F64(bits) => f64::from_bits(*bits).to_string(),
        wasmtime::Val::V128(value) => format!("{:#034x}", value.as_u128()),
        wasmtime::Val::FuncRef(None) | wasmtime::Val::ExternRef(None) | wasmtime::Val::AnyRef(None) => {
            "null".to_string()
        }
        wasmtime::Val::FuncRef(_) => "<funcref>".to_string(),
        wasmtime::Val::ExternRef(_) => "<externref>".to_string(),
        wasmtime::Val::AnyRef(_) => "<anyref>".to_string(),
        _ => "<reference>".to_string(),
    }
}

/// A function's type, as text.
fn show_type(ty: &FuncType) -> String {
    let list = |types: Vec<ValType>| types.iter().map(ValType::to_string).collect::<Vec<_>>().join(", ");
    format!("({}) -> ({})", list(ty.params().collect()), list(ty.results().collect()))
}
