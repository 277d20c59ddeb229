//! Functions around functions: those that make calls again after a wait, and those that keep a strand from being preempted.

use super::Failure;
use super::added::Added;
use super::module::Module;
use super::strands::STRAND_MODULE;
use wasm_encoder::{BlockType, Function, InstructionSink, ValType};
use wasmparser::Import;

/// How the guest's code gives up its stack for a while.
pub struct Suspension {
    /// (mask: i32) → i32: called after each import; suspends if that had to wait. Not 0: the call is to be made again.
    pub again: u32,
    /// The global that is above 0 while preemption could break the guest.
    pub mask: u32,
    /// The globals that each strand has its own values of.
    pub saved: Vec<(u32, ValType)>,
}

impl Suspension {
    /// An empty body with a local for each saved global.
    fn function(&self) -> Function {
        Function::new(self.saved.iter().map(|(_, ty)| (1, *ty)))
    }

    /// Keeps the saved globals in locals, from `local` on.
    fn save(&self, code: &mut InstructionSink<'_>, local: u32) {
        for (local, (global, _)) in (local..).zip(&self.saved) {
            code.global_get(*global).local_set(local);
        }
    }

    fn restore(&self, code: &mut InstructionSink<'_>, local: u32) {
        for (local, (global, _)) in (local..).zip(&self.saved) {
            code.local_get(local).global_set(*global);
        }
    }

    /// Adds what is called in place of an import.
    pub fn add_wrapper(
        &self,
        module: &Module<'_>,
        added: &mut Added,
        index: u32,
        import: &Import<'_>,
    ) -> Result<u32, Failure> {
        if import.module != STRAND_MODULE {
            return self.add_retry(module, added, index);
        }
        let params = module.function_type(index)?.params().len() as u32;
        self.add_keep(added, module.functions[index as usize], params, index)
    }

    /// Adds a function around an import that may have to be called again.
    fn add_retry(&self, module: &Module<'_>, added: &mut Added, import: u32) -> Result<u32, Failure> {
        let params = module.function_type(import)?.params().len() as u32;
        let mut wrapper = self.function();
        let mut code = wrapper.instructions();
        code.loop_(BlockType::Empty);
        put_params(&mut code, params);
        code.call(import);
        // The results stay where they are, below. A branch to the loop drops them.
        self.save(&mut code, params);
        code.global_get(self.mask).call(self.again);
        self.restore(&mut code, params);
        code.br_if(0).return_().end().unreachable().end();
        added.function(module.functions[import as usize], wrapper)
    }

    /// Adds a function of type `ty` around an import during which other strands may run.
    pub fn add_keep(&self, added: &mut Added, ty: u32, params: u32, import: u32) -> Result<u32, Failure> {
        let mut wrapper = self.function();
        let mut code = wrapper.instructions();
        self.save(&mut code, params);
        put_params(&mut code, params);
        code.call(import);
        self.restore(&mut code, params);
        code.end();
        added.function(ty, wrapper)
    }

    /// Adds a function () that calls `preempt`, (mask: i32).
    pub fn add_preempt_here(&self, added: &mut Added, preempt: u32) -> Result<u32, Failure> {
        let mut here = self.function();
        let mut code = here.instructions();
        self.save(&mut code, 0);
        code.global_get(self.mask).call(preempt);
        self.restore(&mut code, 0);
        code.end();
        let ty = added.function_type(&[], &[]);
        added.function(ty, here)
    }
}

/// Imports without parameters and results during which other strands may run. They need no function around them: what is to be kept waits below, on the operand
/// stack, wherever they are called.
pub struct Kept {
    imports: Vec<u32>,
    saved: Vec<(u32, ValType)>,
}

impl Kept {
    pub fn new(module: &Module<'_>, suspension: &Suspension) -> Kept {
        let is_kept = |index: u32, import: &wasmparser::Import<'_>| {
            let ty = module.function_type(index);
            import.module == STRAND_MODULE && ty.is_ok_and(|ty| ty.params().is_empty() && ty.results().is_empty())
        };
        let imports = (0..).zip(&module.imports);
        let imports = imports.filter(|(index, import)| is_kept(*index, import)).map(|(index, _)| index).collect();
        Kept { imports, saved: suspension.saved.clone() }
    }

    pub fn is_kept(&self, function: u32) -> bool {
        self.imports.contains(&function)
    }

    pub fn put(&self, code: &mut InstructionSink<'_>, function: u32) {
        for (global, _) in &self.saved {
            code.global_get(*global);
        }
        code.call(function);
        for (global, _) in self.saved.iter().rev() {
            code.global_set(*global);
        }
    }
}

/// Adds a function around one of the guest's, during which the mask is raised.
pub fn add_masked(module: &Module<'_>, added: &mut Added, function: u32, mask: u32) -> Result<u32, Failure> {
    let mut wrapper = Function::new([]);
    let mut code = wrapper.instructions();
    code.global_get(mask).i32_const(1).i32_add().global_set(mask);
    put_params(&mut code, module.function_type(function)?.params().len() as u32);
    code.call(added.defined(function));
    code.global_get(mask).i32_const(1).i32_sub().global_set(mask).end();
    added.function(module.functions[function as usize], wrapper)
}

pub fn put_params(code: &mut InstructionSink<'_>, count: u32) {
    for param in 0..count {
        code.local_get(param);
    }
}
