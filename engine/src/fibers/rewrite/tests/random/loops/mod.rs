//! Random modules that are mostly loops: nested, with counters, branches to any label around, values that are handed on, and calls in between.
//!
//! They end, and soon: each loop and each function takes one from a global when it begins, and returns when nothing is left. What they do on the way shows in
//! another global, which most statements change, in a memory and in their results; how much of it loops do, in a third.

mod expressions;
mod statements;

use statements::Maker;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, HeapType, ImportSection, Instruction as I, MemorySection, MemoryType,
    Module, RefType, TableSection, TableType, TypeSection, ValType,
};
use wasmtime::Val;

const I31: ValType = ValType::Ref(RefType { nullable: true, heap_type: HeapType::I31 });
/// Those that can be given from outside come first.
const TYPES: [ValType; 7] =
    [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128, I31, ValType::FUNCREF];
const NUMBERS: usize = 5;

/// The globals: what is left, what was done, how many instructions loops had to do, and after them one of each type.
const LEFT: u32 = 0;
const DONE: u32 = 1;
const WORK: u32 = 2;
const FIRST_GLOBAL: u32 = 3;
/// `env.wait`, which answers its parameter and one.
const WAIT: u32 = 0;
const IMPORTED: u32 = 1;
const DEPTH_MAX: u32 = 7;

/// A module, and calls to be made one after the other. Before each the global "left" is to be set.
pub struct Generated {
    pub wasm: Vec<u8>,
    pub calls: Vec<(String, Vec<Val>)>,
    pub left: i32,
    /// How many instructions each loop has, all together.
    pub loops: u32,
    /// Whether there is one function only.
    pub single: bool,
}

/// Pseudo-random choices (SplitMix64, Steele et al. 2014): the same for a seed on every machine.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Every other one is an i32.
    fn ty(&mut self) -> ValType {
        if self.one_in(2) { ValType::I32 } else { self.of(&TYPES) }
    }

    fn types(&mut self, count_max: usize) -> Vec<ValType> {
        (0..self.below(count_max + 1)).map(|_| self.ty()).collect()
    }

    /// Small, as numbers that are compared should sometimes be the same.
    fn number(&mut self) -> i64 {
        match self.below(4) {
            0 => self.next() as i64,
            1 => -(self.below(5) as i64),
            _ => self.below(20) as i64,
        }
    }

    fn value(&mut self, ty: ValType) -> Val {
        let number = self.number();
        match ty {
            ValType::I64 => Val::I64(number),
            ValType::F32 => Val::F32((number as f32).to_bits()),
            ValType::F64 => Val::F64((number as f64).to_bits()),
            ValType::V128 => Val::V128((number as u128).into()),
            _ => Val::I32(number as i32),
        }
    }
}

#[derive(Clone, PartialEq)]
struct Signature {
    params: Vec<ValType>,
    results: Vec<ValType>,
}

/// What functions need to know of the module.
struct Shape {
    /// By index: that of `env.wait`, those of functions, those of blocks.
    types: Vec<Signature>,
    /// Without the import.
    functions: Vec<Signature>,
    /// Whether functions call others that come before, and themselves.
    recursive: bool,
    /// How many instructions each loop has, all together.
    loops: u32,
}

impl Shape {
    fn ty(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        let signature = Signature { params: params.to_vec(), results: results.to_vec() };
        let place = self.types.iter().position(|other| *other == signature).unwrap_or_else(|| {
            self.types.push(signature);
            self.types.len() - 1
        });
        place as u32
    }

    fn block_type(&mut self, params: &[ValType], results: &[ValType]) -> BlockType {
        match (params, results) {
            ([], []) => BlockType::Empty,
            ([], [result]) => BlockType::Result(*result),
            _ => BlockType::FunctionType(self.ty(params, results)),
        }
    }
}

/// The module of a seed, the same one every time.
pub fn generate(seed: u64) -> Generated {
    let mut choices = Choices(seed);
    let mut shape = Shape { types: Vec::new(), functions: Vec::new(), recursive: choices.one_in(3), loops: 0 };
    shape.ty(&[ValType::I32], &[ValType::I32]);
    for place in 0..choices.of(&[1, 1, 2, 3, 4, 5]) {
        let mut signature = Signature { params: choices.types(4), results: choices.types(3) };
        if place == 0 {
            signature.params.retain(|ty| !ty.is_reference());
            signature.results.retain(|ty| !ty.is_reference());
        }
        shape.functions.push(signature);
    }
    // Recursion must not reach the end of the stack: where that is depends on the size of frames.
    let left = if shape.recursive { choices.between(20, 300) } else { choices.between(20, 4000) };
    let bodies: Vec<Function> = (0..shape.functions.len()).map(|this| body(&mut choices, &mut shape, this)).collect();
    let mut calls = Vec::new();
    for (place, signature) in shape.functions.iter().enumerate() {
        if signature.params.iter().chain(&signature.results).all(|ty| !ty.is_reference()) {
            for _ in 0..3 {
                let arguments = signature.params.iter().map(|ty| choices.value(*ty)).collect();
                calls.push((format!("f{place}"), arguments));
            }
        }
    }
    let (loops, single) = (shape.loops, bodies.len() == 1);
    Generated { wasm: module(shape, &bodies), calls, left: left as i32, loops, single }
}

fn module(mut shape: Shape, bodies: &[Function]) -> Vec<u8> {
    let count = shape.functions.len() as u32;
    let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
    for (place, signature) in (0..).zip(shape.functions.clone()) {
        functions.function(shape.ty(&signature.params, &signature.results));
        exports.export(&format!("f{place}"), ExportKind::Func, IMPORTED + place);
    }
    exports.export("memory", ExportKind::Memory, 0).export("table", ExportKind::Table, 0);
    exports.export("left", ExportKind::Global, LEFT).export("done", ExportKind::Global, DONE);
    exports.export("work", ExportKind::Global, WORK);
    let mut types = TypeSection::new();
    for Signature { params, results } in shape.types {
        types.ty().function(params, results);
    }
    let mut imports = ImportSection::new();
    imports.import("env", "wait", EntityType::Function(0));
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: count.into(),
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    let global = |val_type| GlobalType { val_type, mutable: true, shared: false };
    globals.global(global(ValType::I32), &ConstExpr::i32_const(0));
    globals.global(global(ValType::I64), &ConstExpr::i64_const(0));
    globals.global(global(ValType::I64), &ConstExpr::i64_const(0));
    for (place, ty) in (FIRST_GLOBAL..).zip(TYPES) {
        let value = match ty {
            ValType::I32 => ConstExpr::i32_const(0),
            ValType::I64 => ConstExpr::i64_const(0),
            ValType::F32 => ConstExpr::f32_const(0.0.into()),
            ValType::F64 => ConstExpr::f64_const(0.0.into()),
            ValType::V128 => ConstExpr::v128_const(0),
            ValType::Ref(of) => ConstExpr::ref_null(of.heap_type),
        };
        globals.global(global(ty), &value);
        exports.export(&format!("g{place}"), ExportKind::Global, place);
    }
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (0..count).map(|place| IMPORTED + place).collect();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    let mut code = CodeSection::new();
    bodies.iter().for_each(|body| {
        code.function(body);
    });
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories);
    module.section(&globals).section(&exports).section(&elements).section(&code);
    module.finish()
}

fn body(choices: &mut Choices, shape: &mut Shape, this: usize) -> Function {
    let Signature { params, results } = shape.functions[this].clone();
    // Few are needed in many places, many in some, and sometimes there are more than are handed on.
    let counts = [(2, 12), (2, 12), (20, 40), (70, 70)];
    let (first, last) = if choices.one_in(20) { counts[3] } else { choices.of(&counts[..3]) };
    let count = choices.between(first, last);
    let declared: Vec<ValType> = (0..count).map(|_| choices.ty()).collect();
    let locals = params.into_iter().chain(declared.iter().copied()).collect();
    let left = choices.of(&[30, 100, 200, 400]);
    let (calls_often, terse) = (choices.one_in(3), !choices.one_in(3));
    let mut maker = Maker {
        choices,
        shape,
        this,
        code: Vec::new(),
        locals,
        labels: vec![results.clone()],
        left,
        calls_often,
        terse,
    };
    maker.take_one();
    if maker.choices.one_in(2) {
        maker.set_locals();
    }
    if !maker.statements(0) || maker.choices.one_in(2) {
        results.iter().for_each(|ty| maker.expression(*ty, 2));
    }
    let mut function = Function::new_with_locals_types(declared);
    maker.code.iter().for_each(|instruction| {
        function.instruction(instruction);
    });
    function.instruction(&I::End);
    function
}
