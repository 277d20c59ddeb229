//! One fiber in a module: its continuation and what drives it are the module's own.

use super::Failure;
use super::added::Added;
use super::module::Module;
use super::wrappers::put_params;
use wasm_encoder::{BlockType, ConstExpr, ExportKind, Function, Handle, HeapType, RefType, ValType};
use wasmparser::Import;

/// A status, and what the host writes to `weft:pending`: the call that just returned has to wait, and is then to be made again.
const WAIT: i32 = 1;
/// The worker is to be given up for others, of which the host knows.
const YIELD: i32 = 2;
/// The same where the host does not know yet: the guest called `sched_yield`.
pub const YIELD_ASKED: i32 = 3;

/// The host function that only gives up the worker, without parameters, which the guest's added code does by itself.
pub const SCHED_YIELD: (&str, &str) = ("wasi_snapshot_preview1", "sched_yield");

/// Indices of what is added.
pub struct Alone {
    function_type: u32,
    continuation_type: u32,
    /// Suspends the fiber.
    leave: u32,
    /// The fiber, while it is suspended.
    fiber: u32,
    entry: u32,
    /// What `run` answers when the fiber is suspended.
    status: u32,
    /// Written by host functions, that say so what the fiber is to do.
    pending: u32,
    /// () → i32: whether the fiber is to yield.
    tick: u32,
    /// Not 0: `sched_yield` is to be called like any other host function.
    call_yield: u32,
}

impl Alone {
    pub fn new(module: &Module<'_>, added: &mut Added) -> Alone {
        let tick = added.import("tick", &[], &[ValType::I32]);
        let function_type = added.function_type(&[], &[]);
        let continuation_type = added.continuation_type(function_type);
        added.tag = Some(function_type);
        let heap = HeapType::Concrete(continuation_type);
        let fiber = added.global(ValType::Ref(RefType { nullable: true, heap_type: heap }), ConstExpr::ref_null(heap));
        let mut number = || added.global(ValType::I32, ConstExpr::i32_const(0));
        let (entry, status, pending, call_yield) = (number(), number(), number(), number());
        added.exports.push(("weft:pending", ExportKind::Global, pending));
        Alone { function_type, continuation_type, leave: module.tags, fiber, entry, status, pending, tick, call_yield }
    }

    /// Adds what is called in place of an import. All of it is in one function: processors mispredict each return on a stack that they
    /// came to by another way.
    pub fn add_wrapper(
        &self,
        module: &Module<'_>,
        added: &mut Added,
        index: u32,
        import: &Import<'_>,
    ) -> Result<u32, Failure> {
        let ty = module.function_type(index)?;
        let params = ty.params().len() as u32;
        let yields =
            (import.module, import.name) == SCHED_YIELD && params == 0 && ty.results() == [wasmparser::ValType::I32];
        let mut wrapper = Function::new([]);
        let mut code = wrapper.instructions();
        if yields {
            code.global_get(self.call_yield).i32_eqz().if_(BlockType::Empty);
            code.i32_const(YIELD_ASKED).global_set(self.status).suspend(self.leave);
            code.i32_const(0).return_().end();
        }
        code.loop_(BlockType::Empty);
        put_params(&mut code, params);
        code.call(index);
        // The results stay where they are, below. A branch to the loop drops them.
        code.global_get(self.pending).if_(BlockType::Empty);
        code.global_get(self.pending).global_set(self.status).i32_const(0).global_set(self.pending).suspend(self.leave);
        code.global_get(self.status).i32_const(WAIT).i32_eq().br_if(1).end();
        code.return_().end().unreachable().end();
        added.function(module.functions[index as usize], wrapper)
    }

    /// Adds a function () that asks the host whether the fiber is to yield.
    pub fn add_preempt_here(&self, added: &mut Added) -> Result<u32, Failure> {
        let mut preempt = Function::new([]);
        let mut code = preempt.instructions();
        code.call(self.tick).if_(BlockType::Empty);
        code.i32_const(YIELD).global_set(self.status).suspend(self.leave).end().end();
        added.function(self.function_type, preempt)
    }

    /// Adds `weft:run`, (k: i32, call_yield: i32) → i32: begins the entry `k` on a new fiber, or with -1 goes on with the one that was left.
    /// Answers 0 when it has ended, or why it was left.
    pub fn add_run(&self, added: &mut Added, begin: u32) -> Result<(), Failure> {
        let mut first = Function::new([]);
        first.instructions().global_get(self.entry).call(begin).end();
        let first = added.function(self.function_type, first)?;
        added.declared = Some(first);

        let heap_type = HeapType::Concrete(self.continuation_type);
        let fiber = BlockType::Result(ValType::Ref(RefType { nullable: true, heap_type }));
        let mut run = Function::new([]);
        let mut code = run.instructions();
        code.local_get(1).global_set(self.call_yield);
        code.block(fiber);
        code.local_get(0).i32_const(0).i32_ge_s().if_(fiber);
        code.local_get(0).global_set(self.entry).ref_func(first).cont_new(self.continuation_type);
        code.else_().global_get(self.fiber).ref_null(heap_type).global_set(self.fiber).end();
        code.resume(self.continuation_type, [Handle::OnLabel { tag: self.leave, label: 0 }]);
        code.i32_const(0).return_().end();
        code.global_set(self.fiber).global_get(self.status).end();
        let ty = added.function_type(&[ValType::I32, ValType::I32], &[ValType::I32]);
        let run = added.function(ty, run)?;
        added.export_function("weft:run", run);
        Ok(())
    }
}
