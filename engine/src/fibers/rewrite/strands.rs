//! Many fibers in a module: they are switched outside, by a scheduler that the module imports, and each has a stack in the memory.

use super::Failure;
use super::added::Added;
use super::module::Module;
use super::side::{Found, StackPointer, Tls};
use super::wrappers::{Suspension, put_params};
use std::collections::BTreeSet;
use wasm_encoder::{BlockType, ConstExpr, Function, InstructionSink, ValType};
use wasmparser::ExternalKind;

/// What guests import to use strands.
pub const STRAND_MODULE: &str = "weft_strand";

const I32: ValType = ValType::I32;
/// Functions of C and Rust libraries with state that is not locked where there are no threads. One strand at a time may be in them.
#[rustfmt::skip]
const MASKED: [&str; 73] = [
    "malloc", "free", "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign", "memalign", "malloc_usable_size",
    "dlmalloc", "dlfree", "dlcalloc", "dlrealloc", "dlmemalign", "dlposix_memalign", "dlmalloc_usable_size",
    "emmalloc_malloc", "emmalloc_free", "emmalloc_calloc", "emmalloc_realloc",
    "__libc_malloc", "__libc_free", "__libc_calloc",
    "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "putc", "fputc", "fwrite", "fread", "fgets", "fgetc",
    "getc", "getchar", "ungetc", "fflush", "fopen", "fclose", "fseek", "ftell", "fscanf", "scanf", "atexit", "exit",
    "__rdl_alloc", "__rdl_dealloc", "__rdl_realloc",
    // Paths are taken apart in a buffer that all calls share.
    "open", "openat", "creat", "access", "faccessat", "stat", "lstat", "fstatat", "unlink", "unlinkat", "remove", "rename",
    "mkdir", "rmdir", "opendir", "link", "symlink", "readlink", "truncate", "chdir", "getcwd", "realpath",
];

/// Parts of names that Rust mangles. Some have more behind.
const MASKED_PARTS: [&str; 3] = ["__rust_alloc", "__rust_dealloc", "__rust_realloc"];

fn is_masked(name: &str) -> bool {
    MASKED.contains(&name) || MASKED_PARTS.iter().any(|part| name.contains(part))
}

/// The functions that the module defines and that may not be preempted.
pub fn masked(module: &Module<'_>) -> BTreeSet<u32> {
    let exported = module.exports.iter().filter(|export| export.kind == ExternalKind::Func);
    let names = exported.map(|export| (export.index, export.name)).chain(module.named_functions.iter().copied());
    let defined = module.imported()..module.functions.len() as u32;
    names
        .filter(|(function, name)| defined.contains(function) && is_masked(name))
        .map(|(function, _)| function)
        .collect()
}

/// The imports that make strands: (function, argument, priority: i32) → i64.
fn spawns(module: &Module<'_>) -> Vec<u32> {
    let is_spawn = |index: u32, import: &wasmparser::Import<'_>| {
        let ty = module.function_type(index).ok();
        let fits = ty.is_some_and(|ty| {
            ty.params() == [wasmparser::ValType::I32; 3] && ty.results() == [wasmparser::ValType::I64]
        });
        fits && import.module == STRAND_MODULE && import.name == "spawn"
    };
    let imports = (0..).zip(&module.imports);
    imports.filter(|(index, import)| is_spawn(*index, import)).map(|(index, _)| index).collect()
}

/// The check that a strand keeps to its stack.
pub struct StackCheck {
    pub pointer: u32,
    limit: u32,
    ty: ValType,
    /// (): reports it, and does not return.
    overflow: u32,
}

impl StackCheck {
    pub fn put(&self, code: &mut InstructionSink<'_>) {
        code.global_get(self.pointer).global_get(self.limit);
        match self.ty {
            ValType::I64 => code.i64_lt_u(),
            _ => code.i32_lt_u(),
        };
        code.if_(BlockType::Empty).call(self.overflow).unreachable().end();
    }
}

/// The import that takes the place of `spawn`.
pub struct Spawn {
    imports: Vec<u32>,
    /// The same with (site: i32) as the last parameter.
    import: u32,
    /// That, as the guest calls it.
    pub wrapper: u32,
    /// Where it is called, in the original.
    pub sites: Vec<u32>,
}

impl Spawn {
    pub fn new(module: &Module<'_>, added: &mut Added) -> Option<Spawn> {
        let imports = spawns(module);
        (!imports.is_empty()).then(|| {
            let import = added.import("spawn_at", &[I32; 4], &[ValType::I64]);
            Spawn { imports, import, wrapper: 0, sites: Vec::new() }
        })
    }

    pub fn is_spawn(&self, function: u32) -> bool {
        self.imports.contains(&function)
    }

    /// Adds the wrapper, and for calls from who knows where functions that say so.
    pub fn add_wrappers(
        &mut self,
        module: &Module<'_>,
        added: &mut Added,
        suspension: &Suspension,
        callees: &mut [u32],
    ) -> Result<(), Failure> {
        let ty = added.function_type(&[I32; 4], &[ValType::I64]);
        self.wrapper = suspension.add_keep(added, ty, 4, self.import)?;
        for &import in &self.imports {
            let mut anywhere = Function::new([]);
            let mut code = anywhere.instructions();
            put_params(&mut code, 3);
            code.i32_const(-1).call(self.wrapper).end();
            callees[import as usize] = added.function(module.functions[import as usize], anywhere)?;
        }
        Ok(())
    }
}

/// Indices of what is added for strands.
pub struct Strands {
    pub suspension: Suspension,
    pub stack_check: Option<StackCheck>,
    /// (mask: i32): asks the scheduler whether the strand is to yield.
    pub preempt: u32,
    pub spawn: Option<Spawn>,
    /// The lowest address that the strand's stack may have.
    stack_limit: (u32, ValType),
    pointer: Option<u32>,
}

impl Strands {
    pub fn new(module: &Module<'_>, added: &mut Added, stack: Option<StackPointer>, tls: Option<Tls>) -> Strands {
        let again = added.import("again", &[I32], &[I32]);
        let preempt = added.import("preempt", &[I32], &[]);
        let overflow = stack.map(|_| added.import("overflow", &[], &[]));
        let spawn = Spawn::new(module, added);
        let mask = added.global(I32, ConstExpr::i32_const(0));

        let pointer = stack.map(|stack| stack.global);
        let ty = pointer.map_or(I32, |pointer| pointer_type(module, pointer));
        let zero = if ty == ValType::I64 { ConstExpr::i64_const(0) } else { ConstExpr::i32_const(0) };
        let limit = added.global(ty, zero);
        let mut saved = vec![(limit, ty)];
        for global in pointer.into_iter().chain(tls.map(|tls| tls.base)) {
            saved.push((global, pointer_type(module, global)));
        }
        let check = |(pointer, overflow)| StackCheck { pointer, limit, ty, overflow };
        Strands {
            suspension: Suspension { again, mask, saved },
            stack_check: pointer.zip(overflow).map(check),
            preempt,
            spawn,
            stack_limit: (limit, ty),
            pointer,
        }
    }

    /// Adds what the scheduler calls.
    pub fn add_exports(
        &self,
        module: &Module<'_>,
        added: &mut Added,
        begin: u32,
        callees: &[u32],
    ) -> Result<(), Failure> {
        added.export_function("weft:begin", begin);
        self.add_set_stack(module, added, callees)?;
        self.add_enter(module, added)?;
        if let Some((malloc, _)) = malloc(module) {
            let mut allocate = Function::new([]);
            allocate.instructions().local_get(0).call(callees[malloc as usize]).end();
            let ty = added.function_type(&[I32], &[I32]);
            let allocate = added.function(ty, allocate)?;
            added.export_function("weft:allocate", allocate);
        }
        Ok(())
    }

    /// `weft:set_stack`, (top: i32, limit: i32, tls: i32): the stack that code runs on from now on, and if it is not 0 the place of its variables.
    fn add_set_stack(&self, module: &Module<'_>, added: &mut Added, callees: &[u32]) -> Result<(), Failure> {
        let mut set_stack = Function::new([]);
        let mut code = set_stack.instructions();
        let (limit, ty) = self.stack_limit;
        for (param, global) in [(1, Some(limit)), (0, self.pointer)] {
            let Some(global) = global else { continue };
            code.local_get(param);
            if ty == ValType::I64 {
                code.i64_extend_i32_u();
            }
            code.global_set(global);
        }
        if let Some((init_tls, _)) = module.function_named("__wasm_init_tls", &[wasmparser::ValType::I32], &[]) {
            code.local_get(2).if_(BlockType::Empty).local_get(2).call(callees[init_tls as usize]).end();
        }
        code.end();
        let ty = added.function_type(&[I32; 3], &[]);
        let set_stack = added.function(ty, set_stack)?;
        added.export_function("weft:set_stack", set_stack);
        Ok(())
    }

    /// `weft:enter`, (function: i32, argument: i32) → i32: calls a function pointer, as a strand does first.
    fn add_enter(&self, module: &Module<'_>, added: &mut Added) -> Result<(), Failure> {
        let Some(table) = module.table.filter(|table| table.element_type == wasmparser::RefType::FUNCREF) else {
            return Ok(());
        };
        let callee = added.function_type(&[I32], &[I32]);
        let mut enter = Function::new([]);
        let mut code = enter.instructions();
        code.local_get(1).local_get(0);
        if table.table64 {
            code.i64_extend_i32_u();
        }
        code.call_indirect(0, callee).end();
        let ty = added.function_type(&[I32; 2], &[I32]);
        let enter = added.function(ty, enter)?;
        added.export_function("weft:enter", enter);
        Ok(())
    }
}

/// What strands get their stacks from.
pub fn malloc(module: &Module<'_>) -> Option<(u32, Found)> {
    module.function_named("malloc", &[wasmparser::ValType::I32], &[wasmparser::ValType::I32])
}

fn pointer_type(module: &Module<'_>, global: u32) -> ValType {
    match module.globals[global as usize].ty.content_type {
        wasmparser::ValType::I64 => ValType::I64,
        _ => ValType::I32,
    }
}
