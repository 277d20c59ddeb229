//! What a module gets in addition, and the indices that go with it.

use super::Failure;
use super::module::Module;
use std::collections::HashMap;
use wasm_encoder::{ConstExpr, ContType, ExportKind, FuncType, Function, ValType};

/// The module that all added imports come from. No guest may import from it.
pub const IMPORT_MODULE: &str = "weft_fiber";

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Type {
    Function(FuncType),
    Continuation(ContType),
}

/// What comes behind the original's own, in each section. All imports are to be added before the first function, as that moves with them.
pub struct Added {
    /// How many of each the original has.
    original_types: u32,
    original_imports: u32,
    original_functions: u32,
    original_globals: u32,
    pub types: Vec<Type>,
    known_types: HashMap<Type, u32>,
    /// Names and types.
    pub imports: Vec<(&'static str, u32)>,
    pub globals: Vec<(ValType, ConstExpr)>,
    pub exports: Vec<(&'static str, ExportKind, u32)>,
    /// Types and bodies.
    pub functions: Vec<(u32, Function)>,
    /// The type of the one tag.
    pub tag: Option<u32>,
    /// A function that others make references to.
    pub declared: Option<u32>,
    /// How many bytes the functions may still have. Types with many parameters, used often, are short to write down, and long in code.
    bytes_left: usize,
}

impl Added {
    pub fn new(module: &Module<'_>, bytes_max: usize) -> Added {
        Added {
            original_types: module.types.len() as u32,
            original_imports: module.imported(),
            original_functions: module.functions.len() as u32,
            original_globals: module.globals.len() as u32,
            types: Vec::new(),
            known_types: HashMap::new(),
            imports: Vec::new(),
            globals: Vec::new(),
            exports: Vec::new(),
            functions: Vec::new(),
            tag: None,
            declared: None,
            bytes_left: bytes_max,
        }
    }

    fn ty(&mut self, ty: Type) -> u32 {
        let next = self.original_types + self.types.len() as u32;
        *self.known_types.entry(ty).or_insert_with_key(|ty| {
            self.types.push(ty.clone());
            next
        })
    }

    pub fn function_type(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        self.ty(Type::Function(FuncType::new(params.iter().copied(), results.iter().copied())))
    }

    pub fn continuation_type(&mut self, function: u32) -> u32 {
        self.ty(Type::Continuation(ContType(function)))
    }

    /// The function that is imported as `name`, which has one type only.
    pub fn import(&mut self, name: &'static str, params: &[ValType], results: &[ValType]) -> u32 {
        debug_assert!(self.functions.is_empty());
        let ty = self.function_type(params, results);
        let place = self.imports.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            self.imports.push((name, ty));
            self.imports.len() - 1
        });
        self.original_imports + place as u32
    }

    pub fn global(&mut self, ty: ValType, initial: ConstExpr) -> u32 {
        self.globals.push((ty, initial));
        self.original_globals + self.globals.len() as u32 - 1
    }

    /// Whether functions may have so many bytes more; if so, they are taken.
    pub fn take_bytes(&mut self, count: usize) -> bool {
        let left = self.bytes_left.checked_sub(count);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }

    pub fn function(&mut self, ty: u32, body: Function) -> Result<u32, Failure> {
        if !self.take_bytes(body.byte_len()) {
            return Err(Failure::new(0, "too large when rewritten"));
        }
        self.functions.push((ty, body));
        Ok(self.defined(self.original_functions) + self.functions.len() as u32 - 1)
    }

    pub fn export_function(&mut self, name: &'static str, function: u32) {
        self.exports.push((name, ExportKind::Func, function));
    }

    /// The new index of a function that the original defines.
    pub fn defined(&self, function: u32) -> u32 {
        function.saturating_add(self.imports.len() as u32)
    }
}
