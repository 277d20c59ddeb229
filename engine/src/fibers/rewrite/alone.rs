//! One fiber in a module: its continuation and what drives it are the module's own.

use super::Failure;
use super::added::Added;
use super::module::Module;
use wasm_encoder::{BlockType, ConstExpr, ExportKind, Function, Handle, HeapType, RefType, ValType};

/// A status, and what the host writes to `weft:pending`: the call that just returned has to wait, and is then to be made again.
const WAIT: i32 = 1;
/// The worker is to be given up for others.
const YIELD: i32 = 2;

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
        let (entry, status, pending) = (number(), number(), number());
        added.exports.push(("weft:pending", ExportKind::Global, pending));
        Alone { function_type, continuation_type, leave: module.tags, fiber, entry, status, pending, tick }
    }

    /// Adds a function (mask: i32) → i32 that suspends the fiber if the host asked for that.
    pub fn add_again(&self, added: &mut Added) -> Result<u32, Failure> {
        let mut again = Function::new([(1, ValType::I32)]);
        let pending = 1;
        let mut code = again.instructions();
        code.global_get(self.pending).local_tee(pending).i32_eqz();
        code.if_(BlockType::Empty).i32_const(0).return_().end();
        code.i32_const(0).global_set(self.pending);
        code.local_get(pending).global_set(self.status).suspend(self.leave);
        code.local_get(pending).i32_const(WAIT).i32_eq().end();
        let ty = added.function_type(&[ValType::I32], &[ValType::I32]);
        added.function(ty, again)
    }

    /// Adds a function (mask: i32) that asks the host whether the fiber is to yield.
    pub fn add_preempt(&self, added: &mut Added) -> Result<u32, Failure> {
        let mut preempt = Function::new([]);
        let mut code = preempt.instructions();
        code.call(self.tick).if_(BlockType::Empty);
        code.i32_const(YIELD).global_set(self.status).suspend(self.leave).end().end();
        let ty = added.function_type(&[ValType::I32], &[]);
        added.function(ty, preempt)
    }

    /// Adds `weft:run`, (k: i32) → i32: begins the entry `k` on a new fiber, or with -1 goes on with the one that was left. Answers 0 when it has
    /// ended, or why it was left.
    pub fn add_run(&self, added: &mut Added, begin: u32) -> Result<(), Failure> {
        let mut first = Function::new([]);
        first.instructions().global_get(self.entry).call(begin).end();
        let first = added.function(self.function_type, first)?;
        added.declared = Some(first);

        let heap_type = HeapType::Concrete(self.continuation_type);
        let fiber = BlockType::Result(ValType::Ref(RefType { nullable: true, heap_type }));
        let mut run = Function::new([]);
        let mut code = run.instructions();
        code.block(fiber);
        code.local_get(0).i32_const(0).i32_ge_s().if_(fiber);
        code.local_get(0).global_set(self.entry).ref_func(first).cont_new(self.continuation_type);
        code.else_().global_get(self.fiber).ref_null(heap_type).global_set(self.fiber).end();
        code.resume(self.continuation_type, [Handle::OnLabel { tag: self.leave, label: 0 }]);
        code.i32_const(0).return_().end();
        code.global_set(self.fiber).global_get(self.status).end();
        let ty = added.function_type(&[ValType::I32], &[ValType::I32]);
        let run = added.function(ty, run)?;
        added.export_function("weft:run", run);
        Ok(())
    }
}
