//! Runs every observer of the differential fuzzer's modules (weft-smith makes them) under plain Wasmtime, and writes down what comes out.
//!
//!     weft-reference DIRECTORY
//!
//! Plain: no epochs, no fuel, no pool, no fibers, no scheduler; each function in a store of its own, called synchronously. DIRECTORY/expected.txt gets one line a function:
//!
//!     MODULE <tab> FUNCTION <tab> returned <tab> [i32:7 i64:…]      payloads in hexadecimal, bits as they are
//!     MODULE <tab> FUNCTION <tab> trapped <tab> unreachable
//!     MODULE <tab> FUNCTION <tab> memory-limit                      memories and the heap of garbage-collected objects together
//!     MODULE <tab> FUNCTION <tab> stack-overflow                    depends on the size of frames, which checks for preemption change

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wasmtime::{Config, Engine, ExternType, GcHeapOutOfMemory, Instance, Module, Store, Trap, Val};

/// What a module may use of memory: a random one may well make arrays of gigabytes.
const MEMORY_BYTES: usize = 32 << 20;

/// Ends a call that goes beyond `MEMORY_BYTES`, which is what a limit of Weft does.
#[derive(Default)]
struct Limit {
    bytes: usize,
    refused: bool,
}

impl wasmtime::ResourceLimiter for Limit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if self.bytes + (desired - current) > MEMORY_BYTES {
            self.refused = true;
            return Err(LimitReached.into());
        }
        self.bytes += desired - current;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

#[derive(Debug)]
struct LimitReached;

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory limit reached")
    }
}

impl std::error::Error for LimitReached {}

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("usage: weft-reference DIRECTORY");
        return ExitCode::FAILURE;
    };
    match run(Path::new(&directory)) {
        Ok(functions) => {
            println!("weft-reference: {functions} functions");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weft-reference: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> wasmtime::Result<usize> {
    let mut config = Config::new();
    // Enough for whatever a stack of Weft's usual size holds, with the larger frames that it has there.
    config.max_wasm_stack(512 << 10);
    config
        .wasm_gc(true)
        .wasm_function_references(true)
        .wasm_exceptions(true)
        .wasm_memory64(true)
        .wasm_relaxed_simd(true)
        .shared_memory(true);
    let engine = Engine::new(&config)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    });
    files.sort();
    let mut text = String::new();
    let mut functions = 0;
    for path in files {
        let module = Module::from_file(&engine, &path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for export in module.exports() {
            let ExternType::Func(ty) = export.ty() else {
                continue;
            };
            if !export.name().starts_with("weft run ") {
                continue;
            }
            functions += 1;
            let outcome = call(&engine, &module, export.name(), ty.results().len());
            writeln!(text, "{name}\t{}\t{outcome}", export.name())?;
        }
    }
    std::fs::write(directory.join("expected.txt"), text)?;
    Ok(functions)
}

fn call(engine: &Engine, module: &Module, function: &str, results: usize) -> String {
    let mut store = Store::new(engine, Limit::default());
    store.limiter(|limit| limit);
    let mut values = vec![Val::I32(0); results];
    let called = Instance::new(&mut store, module, &[]).and_then(|instance| {
        let function = instance
            .get_func(&mut store, function)
            .expect("listed among the exports");
        function.call(&mut store, &[], &mut values)
    });
    match called {
        Ok(()) => format!(
            "returned\t{}",
            values.iter().map(show).collect::<Vec<_>>().join(" ")
        ),
        Err(error) if error.is::<LimitReached>() => "memory-limit".to_string(),
        // A heap that may not grow is reported as a full one.
        Err(error) if error.is::<GcHeapOutOfMemory<()>>() && store.data().refused => {
            "memory-limit".to_string()
        }
        Err(error) => match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "stack-overflow".to_string(),
            Some(Trap::UnreachableCodeReached) => "trapped\tunreachable".to_string(),
            Some(trap) => format!(
                "trapped\t{}",
                trap.to_string().trim_start_matches("wasm trap: ")
            ),
            // An exception that nobody caught, for instance.
            None => format!(
                "trapped\t{}",
                error
                    .root_cause()
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
            ),
        },
    }
}

fn show(value: &Val) -> String {
    match value {
        Val::I32(value) => format!("i32:{:08x}", value),
        Val::I64(value) => format!("i64:{:016x}", value),
        Val::F32(bits) => format!("f32:{bits:08x}"),
        Val::F64(bits) => format!("f64:{bits:016x}"),
        Val::V128(value) => format!("v128:{:032x}", value.as_u128()),
        _ => "reference".to_string(),
    }
}
