//! Exports that can be called by number, without parameters: a fiber begins with one. The host is asked for parameters and told results.

use super::Failure;
use super::added::Added;
use super::module::Module;
use super::side::Entry;
use std::collections::HashMap;
use wasm_encoder::{BlockType, Function, ValType};
use wasmparser::ExternalKind;

/// The types that entries may have, with the imports that bring a parameter, (its place: i32) → value, and take a result, (its place: i32, value).
const TYPES: [(ValType, &str, &str); 5] = [
    (ValType::I32, "argument_i32", "result_i32"),
    (ValType::I64, "argument_i64", "result_i64"),
    (ValType::F32, "argument_f32", "result_f32"),
    (ValType::F64, "argument_f64", "result_f64"),
    (ValType::V128, "argument_v128", "result_v128"),
];

fn entry_type(ty: wasmparser::ValType) -> Option<(ValType, &'static str, &'static str)> {
    let ty = match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(_) => return None,
    };
    TYPES.into_iter().find(|(other, ..)| *other == ty)
}

/// A function that is an entry, once for all its names.
struct Target {
    function: u32,
    /// The imports that bring its parameters.
    arguments: Vec<u32>,
    /// The types of its results, and the imports that take them.
    results: Vec<(ValType, u32)>,
}

#[derive(Default)]
pub struct Entries {
    /// By number.
    targets: Vec<Target>,
    numbers: HashMap<u32, u32>,
    pub names: Vec<Entry>,
    pub start: Option<u32>,
    /// The import that is told when an entry has returned.
    ended: u32,
}

impl Entries {
    /// Finds them, and adds the imports that they need.
    pub fn new(module: &Module<'_>, added: &mut Added) -> Result<Entries, Failure> {
        let mut entries = Entries { ended: added.import("ended", &[], &[]), ..Entries::default() };
        for export in &module.exports {
            if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                entries.add(module, added, export.index, export.name)?;
            }
        }
        if let Some(start) = module.start {
            entries.start = entries.add(module, added, start, "")?;
        }
        Ok(entries)
    }

    /// Adds a name, if the function can be an entry. The entry's number.
    fn add(
        &mut self,
        module: &Module<'_>,
        added: &mut Added,
        function: u32,
        name: &str,
    ) -> Result<Option<u32>, Failure> {
        let k = match self.numbers.get(&function) {
            Some(&k) => k,
            None => {
                let Some(target) = Target::new(module, added, function)? else { return Ok(None) };
                let k = self.targets.len() as u32;
                self.targets.push(target);
                self.numbers.insert(function, k);
                k
            }
        };
        self.names.push(Entry { name: name.to_string(), k });
        Ok(Some(k))
    }

    /// Adds a function (k: i32) that calls the entry `k`.
    pub fn add_begin(&self, added: &mut Added, callees: &[u32]) -> Result<u32, Failure> {
        let count = self.targets.len() as u32;
        let mut begin = Function::new([]);
        for _ in 0..=count {
            begin.instructions().block(BlockType::Empty);
        }
        begin.instructions().local_get(0).br_table(0..count, count);
        for target in &self.targets {
            let thunk = target.add_thunk(added, callees)?;
            begin.instructions().end().call(thunk).call(self.ended).return_();
        }
        begin.instructions().end().unreachable().end();
        let ty = added.function_type(&[ValType::I32], &[]);
        added.function(ty, begin)
    }
}

impl Target {
    /// None: it has parameters or results that are references.
    fn new(module: &Module<'_>, added: &mut Added, function: u32) -> Result<Option<Target>, Failure> {
        let ty = module.function_type(function)?;
        let types = |types: &[wasmparser::ValType]| types.iter().copied().map(entry_type).collect::<Option<Vec<_>>>();
        let (Some(params), Some(results)) = (types(ty.params()), types(ty.results())) else {
            return Ok(None);
        };
        let arguments = params.iter().map(|&(ty, name, _)| added.import(name, &[ValType::I32], &[ty])).collect();
        let results = results.iter().map(|&(ty, _, name)| (ty, added.import(name, &[ValType::I32, ty], &[]))).collect();
        Ok(Some(Target { function, arguments, results }))
    }

    /// Adds a function () that calls this one.
    fn add_thunk(&self, added: &mut Added, callees: &[u32]) -> Result<u32, Failure> {
        let mut thunk = Function::new(self.results.iter().map(|(ty, _)| (1, *ty)));
        let mut code = thunk.instructions();
        for (place, &argument) in (0..).zip(&self.arguments) {
            code.i32_const(place).call(argument);
        }
        code.call(callees[self.function as usize]);
        // They come off the stack last to first.
        for local in (0..self.results.len() as u32).rev() {
            code.local_set(local);
        }
        for (local, &(_, result)) in (0..).zip(&self.results) {
            code.i32_const(local as i32).local_get(local).call(result);
        }
        code.end();
        let ty = added.function_type(&[], &[]);
        added.function(ty, thunk)
    }
}
