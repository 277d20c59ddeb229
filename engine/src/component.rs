//! Components: linked to WASI 0.2 and 0.3, run as a command, or one of their functions called by name.

use crate::abi::Val;
use crate::error::{Error, ErrorKind, chain};
use crate::guest::Guest;
use crate::module::{RUN_INTERFACE, run_interface};
use crate::outcome::Finished;
use crate::program::missing_imports;
use crate::provide;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime_wasi::p2::bindings::CommandPre;

/// What is known about a component once and for all its processes.
pub struct ComponentProgram {
    pub pre: InstancePre<Guest>,
    command: Option<Command>,
}

/// Which `wasi:cli/run` it exports.
enum Command {
    Wasi02(CommandPre<Guest>),
    Wasi03,
}

impl ComponentProgram {
    pub fn new(component: &Component) -> Result<ComponentProgram, Error> {
        let missing: Vec<_> = component
            .component_type()
            .imports(component.engine())
            .filter(|(name, _)| provide::component(name).is_none())
            .map(|(name, _)| (name.to_string(), String::new()))
            .collect();
        let failed = |error: wasmtime::Error| {
            if !missing.is_empty() {
                return missing_imports(&missing);
            }
            let text = chain(&error);
            let what = text.lines().collect::<Vec<_>>().join(": ");
            Error::new(ErrorKind::MissingImport, format!("its imports cannot be provided: {what}")).with_detail(text)
        };
        let mut linker = Linker::new(component.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)
            .and_then(|()| wasmtime_wasi::p3::add_to_linker(&mut linker))
            .map_err(|error| Error::from_wasmtime(ErrorKind::Internal, "cannot provide WASI", &error))?;
        let pre = linker.instantiate_pre(component).map_err(failed)?;
        let version = run_interface(component).and_then(|name| name.strip_prefix(RUN_INTERFACE).map(str::to_string));
        let command = match version.as_deref() {
            Some(version) if version.starts_with("0.2.") => {
                Some(Command::Wasi02(CommandPre::new(pre.clone()).map_err(failed)?))
            }
            Some(_) => Some(Command::Wasi03),
            None => None,
        };
        Ok(ComponentProgram { pre, command })
    }

    pub fn is_command(&self) -> bool {
        self.command.is_some()
    }

    /// Runs `wasi:cli/run`. The flag of an error says whether the guest had been entered.
    pub async fn run(&self, store: &mut Store<Guest>) -> Result<Finished, (bool, wasmtime::Error)> {
        let result = match self.command.as_ref().expect("checked when the call was made") {
            Command::Wasi02(pre) => {
                let command = pre.instantiate_async(&mut *store).await.map_err(|error| (false, error))?;
                command.wasi_cli_run().call_run(&mut *store).await.map_err(|error| (true, error))?
            }
            Command::Wasi03 => {
                let instance = self.pre.instantiate_async(&mut *store).await.map_err(|error| (false, error))?;
                let command = wasmtime_wasi::p3::bindings::Command::new(&mut *store, &instance)
                    .map_err(|error| (false, error))?;
                let ran = store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await).await;
                ran.and_then(|ran| ran).map_err(|error| (true, error))?
            }
        };
        Ok(match result {
            Ok(()) => Finished::returned(Vec::new(), String::new()),
            // "Failure" without further explanation: what a shell would call exit status 1.
            Err(()) => Finished::exited(1),
        })
    }

    /// Calls an exported function.
    pub async fn invoke(
        &self,
        store: &mut Store<Guest>,
        function: &ComponentExportIndex,
        args: &[wasmtime::component::Val],
        results: usize,
    ) -> Result<Finished, (bool, wasmtime::Error)> {
        let instance = self.pre.instantiate_async(&mut *store).await.map_err(|error| (false, error))?;
        let function = instance.get_func(&mut *store, function).expect("looked up in the same component");
        let mut values = vec![wasmtime::component::Val::Bool(false); results];
        function.call_async(&mut *store, args, &mut values).await.map_err(|error| (true, error))?;
        let text =
            values.iter().map(|value| value.to_wave().unwrap_or_else(|_| "<a value without text form>".to_string()));
        let text = text.collect::<Vec<_>>().join(" ");
        Ok(Finished::returned(Vec::<Val>::new(), text))
    }
}

/// A function that the component exports: `name`, or `interface#name` of an exported interface.
pub fn find_function(component: &Component, name: &str) -> Option<(ComponentFunc, ComponentExportIndex)> {
    let (interface, function) = match name.split_once('#') {
        Some((interface, function)) => (Some(component.get_export_index(None, interface)?), function),
        None => (None, name),
    };
    match component.get_export(interface.as_ref(), function)? {
        (ComponentItem::ComponentFunc(ty), index) => Some((ty, index)),
        _ => None,
    }
}

/// The names of all functions that can be called, for messages.
pub fn function_names(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let mut names = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => names.push(name.to_string()),
            ComponentItem::ComponentInstance(instance) => {
                let functions =
                    instance.exports(engine).filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
                names.extend(functions.map(|(function, _)| format!("{name}#{function}")));
            }
            _ => {}
        }
    }
    names
}

/// Reads arguments in WAVE notation.
pub fn parse_args(function: &str, ty: &ComponentFunc, texts: &[&str]) -> Result<Vec<wasmtime::component::Val>, Error> {
    let params: Vec<_> = ty.params().map(|(name, ty)| (name.to_string(), ty)).collect();
    if params.len() != texts.len() {
        let names = params.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("{function} takes {} arguments ({names}), not {}", params.len(), texts.len());
        return Err(Error::new(ErrorKind::BadArgument, message));
    }
    let parse = |((name, ty), text): (&(String, wasmtime::component::Type), &&str)| {
        wasmtime::component::Val::from_wave(ty, text).map_err(|error| {
            let message =
                format!("\"{text}\" is not a value for the parameter {name} of {function}: {}", error.root_cause());
            Error::new(ErrorKind::BadArgument, message)
        })
    };
    params.iter().zip(texts).map(parse).collect()
}
