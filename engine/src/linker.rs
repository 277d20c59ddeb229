//! Host functions: what a guest may import besides WASI.

use crate::abi::{Str, ValKind, slice};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, guard};
use crate::fibers::{strands, values};
use crate::guest::Guest;
use crate::host_function::{Definition, Env, EnvDropFn, HostDropFn, HostFn, HostPollFn, Immediate, Signature, Waiting};
use crate::preview1;
use crate::shared::WaitName;
use crate::threads;
use std::collections::HashSet;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

/// A set of host functions. Filled by one thread, then used by any.
pub struct Linker {
    engine: Arc<Engine>,
    /// Preview 1, and on top of it what was defined here.
    functions: wasmtime::Linker<Guest>,
    /// The same for programs with threads, which run on an engine of their own: made when the first one is linked.
    threaded: OnceLock<wasmtime::Linker<Guest>>,
    /// The same for fibers.
    fibers: OnceLock<wasmtime::Linker<Guest>>,
    defined: HashSet<(String, String)>,
    definitions: Vec<Definition>,
}

impl Linker {
    fn new(engine: Arc<Engine>) -> Result<Linker, Error> {
        let mut functions = wasmtime::Linker::new(engine.core());
        preview1::add_to_linker(&mut functions)
            .map_err(|error| Error::from_wasmtime(ErrorKind::Internal, "cannot provide WASI preview 1", &error))?;
        functions.allow_shadowing(true);
        Ok(Linker {
            engine,
            functions,
            threaded: OnceLock::new(),
            fibers: OnceLock::new(),
            defined: HashSet::new(),
            definitions: Vec::new(),
        })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn functions(&self) -> &wasmtime::Linker<Guest> {
        &self.functions
    }

    /// For programs with threads: everything but their memories.
    pub(crate) fn threaded(&self) -> Result<&wasmtime::Linker<Guest>, Error> {
        if let Some(linker) = self.threaded.get() {
            return Ok(linker);
        }
        let engine = self.engine.threads()?;
        let mut linker = wasmtime::Linker::new(engine);
        preview1::add_to_threaded_linker(&mut linker)
            .and_then(|()| threads::add_to_linker(&mut linker))
            .map_err(|error| Error::from_wasmtime(ErrorKind::Internal, "cannot provide guest threads", &error))?;
        linker.allow_shadowing(true);
        for definition in &self.definitions {
            definition.enter(&mut linker, engine)?;
        }
        Ok(self.threaded.get_or_init(|| linker))
    }

    /// For fibers of `engine`, always the same, with and without threads: everything but their memories.
    pub(crate) fn fibers(&self, engine: &wasmtime::Engine) -> Result<&wasmtime::Linker<Guest>, Error> {
        if let Some(linker) = self.fibers.get() {
            return Ok(linker);
        }
        let mut linker = wasmtime::Linker::new(engine);
        preview1::add_to_fiber_linker(&mut linker)
            .and_then(|()| threads::add_to_fiber_linker(&mut linker))
            .and_then(|()| values::add_to_linker(&mut linker))
            .and_then(|()| strands::add_to_guest_linker(&mut linker))
            .map_err(|error| Error::from_wasmtime(ErrorKind::Internal, "cannot provide fibers", &error))?;
        linker.allow_shadowing(true);
        for definition in &self.definitions {
            definition.enter_fiber(&mut linker, engine)?;
        }
        Ok(self.fibers.get_or_init(|| linker))
    }

    pub(crate) fn defines(&self, module: &str, name: &str) -> bool {
        self.defined.contains(&(module.to_string(), name.to_string()))
    }

    fn add(&mut self, definition: Definition) -> Result<(), Error> {
        let signature = match &definition {
            Definition::Immediate(immediate) => &immediate.signature,
            Definition::Waiting(waiting) => &waiting.signature,
        };
        let (module, name) = (&signature.module, &signature.name);
        if !self.defined.insert((module.clone(), name.clone())) {
            let message = format!("the host function {module}.{name} is defined twice");
            return Err(Error::new(ErrorKind::BadArgument, message));
        }
        definition.enter(&mut self.functions, self.engine.core())?;
        self.definitions.push(definition);
        // Made anew with it, should somebody define functions after a program was linked.
        self.threaded = OnceLock::new();
        self.fibers = OnceLock::new();
        Ok(())
    }

    fn define(&mut self, signature: Signature, function: HostFn, env: Env) -> Result<(), Error> {
        let Some(function) = function else {
            return Err(Error::new(ErrorKind::BadArgument, "the host function is NULL"));
        };
        let full_name = format!("{}.{}", signature.module, signature.name);
        self.add(Definition::Immediate(Arc::new(Immediate { signature, function, env, full_name })))
    }

    fn define_async(
        &mut self,
        signature: Signature,
        poll: HostPollFn,
        drop: HostDropFn,
        env: Env,
    ) -> Result<(), Error> {
        let Some(poll) = poll else {
            return Err(Error::new(ErrorKind::BadArgument, "the host function is NULL"));
        };
        let name = WaitName { text: format!("{}.{}", signature.module, signature.name) };
        self.add(Definition::Waiting(Arc::new(Waiting { signature, poll, drop, env, name })))
    }
}

/// # Safety
/// The pointers are valid for the sizes that go with them.
unsafe fn signature(
    module: Str,
    name: Str,
    params: (*const ValKind, usize),
    results: (*const ValKind, usize),
) -> Result<Signature, Error> {
    Ok(Signature {
        module: unsafe { module.text("the module of a host function") }?.to_string(),
        name: unsafe { name.text("the name of a host function") }?.to_string(),
        params: unsafe { slice(params.0, params.1) }.to_vec(),
        results: unsafe { slice(results.0, results.1) }.to_vec(),
    })
}

/// Makes an empty set. WASI needs no entry here: programs that import it get it. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_new(engine: *const Engine, linker: *mut *mut Linker) -> *mut Error {
    debug_assert!(!linker.is_null());
    guard(|| {
        let new = Linker::new(unsafe { Engine::share(engine) })?;
        unsafe { linker.write(Box::into_raw(Box::new(new))) };
        Ok(())
    })
}

/// Frees the set; NULL is allowed. Programs made from it stay valid. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_free(linker: *mut Linker) {
    if !linker.is_null() {
        drop(unsafe { Box::from_raw(linker) });
    }
}

/// Defines an immediate host function for core modules (components cannot import it). A function of WASI preview 1 is replaced by one of the same name. On failure
/// `drop_env` is called before this returns. Errors: BadArgument (defined twice, a name that is not UTF-8, `function` NULL). One thread at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_define(
    linker: *mut Linker,
    module: Str,
    name: Str,
    params: *const ValKind,
    nparams: usize,
    results: *const ValKind,
    nresults: usize,
    function: HostFn,
    env: *mut c_void,
    drop_env: EnvDropFn,
) -> *mut Error {
    debug_assert!(!linker.is_null());
    let env = Env { env, drop: drop_env };
    guard(|| {
        let signature = unsafe { signature(module, name, (params, nparams), (results, nresults)) }?;
        unsafe { &mut *linker }.define(signature, function, env)
    })
}

/// Defines a host function that may wait. `drop_op` may be NULL if `op` is never set. Otherwise like `weft_linker_define`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_linker_define_async(
    linker: *mut Linker,
    module: Str,
    name: Str,
    params: *const ValKind,
    nparams: usize,
    results: *const ValKind,
    nresults: usize,
    poll: HostPollFn,
    drop_op: HostDropFn,
    env: *mut c_void,
    drop_env: EnvDropFn,
) -> *mut Error {
    debug_assert!(!linker.is_null());
    let env = Env { env, drop: drop_env };
    guard(|| {
        let signature = unsafe { signature(module, name, (params, nparams), (results, nresults)) }?;
        unsafe { &mut *linker }.define_async(signature, poll, drop_op, env)
    })
}
