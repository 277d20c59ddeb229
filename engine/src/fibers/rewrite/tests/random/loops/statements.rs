//! What functions are made of: loops, blocks, branches, calls, and what they leave behind.

use super::{
    Choices, DEPTH_MAX, DONE, FIRST_GLOBAL, I31, IMPORTED, LEFT, NUMBERS, Shape, Signature, TYPES, WAIT, WORK,
};
use wasm_encoder::{BlockType, Instruction as I, MemArg, ValType};

/// Makes the body of a function.
pub struct Maker<'m> {
    pub choices: &'m mut Choices,
    pub shape: &'m mut Shape,
    /// Which function it is.
    pub this: usize,
    pub code: Vec<I<'static>>,
    pub locals: Vec<ValType>,
    /// What each label takes, the innermost one last. The first is that of the function.
    pub labels: Vec<Vec<ValType>>,
    /// How much more is to be made.
    pub left: i32,
    /// Whether many statements call.
    pub calls_often: bool,
    /// Whether expressions are short: what has many loops and much else is too large to have rests.
    pub terse: bool,
}

impl Maker<'_> {
    pub fn put(&mut self, instruction: I<'static>) {
        self.code.push(instruction);
    }

    pub fn local(&mut self, ty: ValType) -> Option<u32> {
        let found: Vec<u32> =
            (0..).zip(&self.locals).filter(|(_, other)| **other == ty).map(|(local, _)| local).collect();
        (!found.is_empty()).then(|| self.choices.of(&found))
    }

    pub fn global(ty: ValType) -> u32 {
        FIRST_GLOBAL + TYPES.iter().position(|other| *other == ty).expect("a known type") as u32
    }

    /// Returns if nothing is left.
    pub fn take_one(&mut self) {
        self.put(I::GlobalGet(LEFT));
        self.put(I::I32Eqz);
        self.put(I::If(BlockType::Empty));
        for ty in self.labels[0].clone() {
            self.expression(ty, 0);
        }
        // Both are the same.
        let out = self.labels.len() as u32;
        let leave = self.choices.of(&[0, 0, 1]);
        self.put(if leave == 0 { I::Return } else { I::Br(out) });
        self.put(I::End);
        self.put(I::GlobalGet(LEFT));
        self.put(I::I32Const(1));
        self.put(I::I32Sub);
        self.put(I::GlobalSet(LEFT));
    }

    /// So that each local is something else than what it begins with, and than the others.
    pub fn set_locals(&mut self) {
        for (local, ty) in (0..).zip(self.locals.clone()) {
            self.put(I::I32Const(1000 + local as i32));
            match ty {
                ValType::I32 => {}
                ValType::I64 => self.put(I::I64ExtendI32U),
                ValType::F32 => self.put(I::F32ConvertI32S),
                ValType::F64 => self.put(I::F64ConvertI32S),
                ValType::V128 => self.put(I::I32x4Splat),
                I31 => self.put(I::RefI31),
                ValType::Ref(_) => {
                    self.put(I::Drop);
                    self.put(I::RefFunc(IMPORTED));
                }
            }
            self.put(I::LocalSet(local));
        }
    }

    /// Whether what follows cannot be reached.
    pub fn statements(&mut self, depth: u32) -> bool {
        let mut dead = false;
        let count = if depth == 0 { self.choices.between(2, 16) } else { self.choices.between(1, 6) };
        for _ in 0..count {
            if self.left <= 0 {
                break;
            }
            dead |= self.statement(depth);
            if dead && !self.choices.one_in(3) {
                break;
            }
        }
        dead
    }

    /// Whether what follows cannot be reached.
    fn statement(&mut self, depth: u32) -> bool {
        self.left -= 1;
        if self.calls_often && self.choices.one_in(5) {
            self.call();
            return false;
        }
        match self.choices.below(30) {
            0..=3 => {
                let ty = self.choices.ty();
                self.expression(ty, 3);
                self.store(ty);
            }
            4..=7 => self.note(),
            8..=9 => self.write(),
            10..=15 if depth < DEPTH_MAX => self.repeat(depth),
            16..=17 if depth < DEPTH_MAX => self.block(depth),
            18..=20 if depth < DEPTH_MAX => self.either(depth),
            21..=23 => self.branch_if(),
            24 => self.branch_by_table(depth),
            25 => self.call(),
            26 if depth < DEPTH_MAX => {
                // Something is on the stack below whatever comes.
                let ty = self.choices.ty();
                self.expression(ty, 2);
                let dead = self.statement(depth + 1);
                self.store(ty);
                return dead;
            }
            27 => self.look_at_reference(),
            28 => {
                self.condition();
                self.put(I::If(BlockType::Empty));
                self.labels.push(Vec::new());
                self.leave();
                self.labels.pop();
                self.put(I::End);
            }
            29 if self.choices.one_in(4) => {
                self.leave();
                return true;
            }
            _ => self.note(),
        }
        false
    }

    /// Mixes a number into what was done.
    fn note(&mut self) {
        self.put(I::GlobalGet(DONE));
        self.put(I::I64Const(0x100_0000_01b3));
        self.put(I::I64Mul);
        self.expression(ValType::I64, 3);
        self.put(I::I64Xor);
        self.put(I::GlobalSet(DONE));
    }

    fn write(&mut self) {
        let ty = self.choices.of(&TYPES[..NUMBERS]);
        self.address();
        self.expression(ty, 3);
        let at = MemArg { offset: 0, align: 0, memory_index: 0 };
        self.put(match ty {
            ValType::I64 => I::I64Store(at),
            ValType::F32 => I::F32Store(at),
            ValType::F64 => I::F64Store(at),
            ValType::V128 => I::V128Store(at),
            _ => I::I32Store(at),
        });
        if self.choices.one_in(10) {
            self.address();
            self.expression(ValType::I32, 1);
            self.put(I::I32Const(16));
            self.put(I::MemoryFill(0));
        }
    }

    pub fn address(&mut self) {
        self.expression(ValType::I32, 2);
        self.put(I::I32Const(0xffe0));
        self.put(I::I32And);
    }

    /// Takes what is on the stack.
    fn store(&mut self, ty: ValType) {
        match (self.choices.below(8), self.local(ty)) {
            (0, _) | (_, None) => self.put(I::Drop),
            (1, _) => self.put(I::GlobalSet(Self::global(ty))),
            (_, Some(local)) => self.put(I::LocalSet(local)),
        }
    }

    /// A loop.
    fn repeat(&mut self, depth: u32) {
        let params = if self.choices.one_in(6) { self.choices.types(2) } else { Vec::new() };
        let results = if self.choices.one_in(4) { self.choices.types(2) } else { Vec::new() };
        let counter = self.local(ValType::I32).filter(|_| self.choices.one_in(2));
        if let Some(counter) = counter.filter(|_| !self.choices.one_in(4)) {
            self.put(I::I32Const(0));
            self.put(I::LocalSet(counter));
        }
        params.iter().for_each(|ty| self.expression(*ty, 2));
        let ty = self.shape.block_type(&params, &results);
        // One that is left from its beginning, or comes around at its end.
        let from_beginning = params.is_empty() && results.is_empty() && self.choices.one_in(3);
        if from_beginning {
            self.put(I::Block(BlockType::Empty));
            self.labels.push(Vec::new());
        }
        let begin = self.begin_loop(ty, &params);
        if from_beginning {
            self.count_or_choose(counter);
            self.put(I::I32Eqz);
            self.put(I::BrIf(1));
        }
        let dead = self.statements(depth + 1);
        if from_beginning {
            self.put(I::Br(0));
        } else {
            self.come_around(counter, &params);
            if !dead || self.choices.one_in(2) {
                results.iter().for_each(|ty| self.expression(*ty, 2));
            } else {
                self.put(I::Unreachable);
            }
        }
        self.end_loop(begin);
        if from_beginning {
            self.labels.pop();
            self.put(I::End);
        }
        results.iter().rev().for_each(|ty| self.store(*ty));
    }

    /// Where the loop begins, and where it is said how many instructions it has.
    pub fn begin_loop(&mut self, ty: BlockType, params: &[ValType]) -> (usize, usize) {
        let begin = self.code.len();
        self.put(I::Loop(ty));
        self.labels.push(params.to_vec());
        params.iter().rev().for_each(|ty| self.store(*ty));
        self.take_one();
        self.put(I::GlobalGet(WORK));
        let said = self.code.len();
        self.put(I::I64Const(0));
        self.put(I::I64Add);
        self.put(I::GlobalSet(WORK));
        (begin, said)
    }

    pub fn end_loop(&mut self, (begin, said): (usize, usize)) {
        let size = self.code.len() - begin;
        self.code[said] = I::I64Const(size as i64);
        self.shape.loops += size as u32;
        self.labels.pop();
        self.put(I::End);
    }

    /// Branches back to the beginning of the loop, or not.
    fn come_around(&mut self, counter: Option<u32>, params: &[ValType]) {
        if self.choices.one_in(3) {
            self.count_or_choose(counter);
            self.put(I::If(BlockType::Empty));
            self.labels.push(Vec::new());
            params.iter().for_each(|ty| self.expression(*ty, 2));
            self.put(I::Br(1));
            self.labels.pop();
            return self.put(I::End);
        }
        params.iter().for_each(|ty| self.expression(*ty, 2));
        self.count_or_choose(counter);
        self.put(I::BrIf(0));
        params.iter().for_each(|_| self.put(I::Drop));
    }

    /// Whether to come around once more.
    fn count_or_choose(&mut self, counter: Option<u32>) {
        let Some(counter) = counter else { return self.condition() };
        self.put(I::LocalGet(counter));
        self.put(I::I32Const(1));
        self.put(I::I32Add);
        self.put(I::LocalTee(counter));
        let end = self.choices.of(&[1, 2, 3, 5, 9, 40, 200]);
        self.put(I::I32Const(end));
        self.put(I::I32LtU);
    }

    fn block(&mut self, depth: u32) {
        let params = if self.choices.one_in(6) { self.choices.types(2) } else { Vec::new() };
        let results = if self.choices.one_in(3) { self.choices.types(2) } else { Vec::new() };
        params.iter().for_each(|ty| self.expression(*ty, 2));
        let ty = self.shape.block_type(&params, &results);
        self.put(I::Block(ty));
        self.inside(depth, &params, &results);
        self.put(I::End);
        results.iter().rev().for_each(|ty| self.store(*ty));
    }

    fn either(&mut self, depth: u32) {
        let params = if self.choices.one_in(8) { self.choices.types(2) } else { Vec::new() };
        let results = if self.choices.one_in(4) { self.choices.types(2) } else { Vec::new() };
        params.iter().for_each(|ty| self.expression(*ty, 2));
        self.condition();
        let ty = self.shape.block_type(&params, &results);
        self.put(I::If(ty));
        self.inside(depth, &params, &results);
        if params != results || self.choices.one_in(2) {
            self.put(I::Else);
            self.inside(depth, &params, &results);
        }
        self.put(I::End);
        results.iter().rev().for_each(|ty| self.store(*ty));
    }

    /// What is in a block, or in a part of it.
    fn inside(&mut self, depth: u32, params: &[ValType], results: &[ValType]) {
        self.labels.push(results.to_vec());
        params.iter().rev().for_each(|ty| self.store(*ty));
        let mut dead = self.statements(depth + 1);
        if !dead && self.choices.one_in(8) {
            self.leave();
            dead = true;
        }
        if !dead || self.choices.one_in(2) {
            results.iter().for_each(|ty| self.expression(*ty, 2));
        }
        self.labels.pop();
    }

    /// A label, as the number of blocks between, and what it takes.
    fn label(&mut self) -> (u32, Vec<ValType>) {
        let depth = self.choices.below(self.labels.len());
        (depth as u32, self.labels[self.labels.len() - 1 - depth].clone())
    }

    fn branch_if(&mut self) {
        let (label, types) = self.label();
        types.iter().for_each(|ty| self.expression(*ty, 2));
        self.condition();
        self.put(I::BrIf(label));
        types.iter().rev().for_each(|ty| self.store(*ty));
    }

    /// In a block of its own, to go on behind it.
    fn branch_by_table(&mut self, depth: u32) {
        self.put(I::Block(BlockType::Empty));
        self.labels.push(Vec::new());
        if self.choices.one_in(2) && depth < DEPTH_MAX {
            self.statements(depth + 1);
        }
        self.table();
        self.labels.pop();
        self.put(I::End);
    }

    fn table(&mut self) {
        let (default, types) = self.label();
        let labels = self.labels.iter().rev();
        let same: Vec<u32> = (0..).zip(labels).filter(|(_, other)| **other == types).map(|(label, _)| label).collect();
        let targets: Vec<u32> = (0..self.choices.between(1, 5)).map(|_| self.choices.of(&same)).collect();
        types.iter().for_each(|ty| self.expression(*ty, 2));
        self.expression(ValType::I32, 3);
        self.put(I::I32Const(7));
        self.put(I::I32And);
        self.put(I::BrTable(targets.into(), default));
    }

    /// Goes elsewhere.
    fn leave(&mut self) {
        let results = self.labels[0].clone();
        match self.choices.below(6) {
            0..=2 => {
                let (label, types) = self.label();
                types.iter().for_each(|ty| self.expression(*ty, 2));
                self.put(I::Br(label));
            }
            3 => self.table(),
            4 if self.choices.one_in(10) => self.put(I::Unreachable),
            5 if self.tail_call(&results) => {}
            _ => {
                results.iter().for_each(|ty| self.expression(*ty, 2));
                self.put(I::Return);
            }
        }
    }

    /// The functions that this one may call.
    fn callees(&self) -> std::ops::Range<usize> {
        let first = if self.shape.recursive { 0 } else { self.this + 1 };
        first..self.shape.functions.len()
    }

    fn tail_call(&mut self, results: &[ValType]) -> bool {
        let fits = |place: &usize| self.shape.functions[*place].results == results;
        let found: Vec<usize> = self.callees().filter(fits).collect();
        if found.is_empty() {
            return false;
        }
        let callee = self.choices.of(&found);
        for ty in self.shape.functions[callee].params.clone() {
            self.expression(ty, 2);
        }
        self.put(I::ReturnCall(IMPORTED + callee as u32));
        true
    }

    fn call(&mut self) {
        let callees = self.callees();
        if callees.is_empty() || self.choices.one_in(6) {
            self.expression(ValType::I32, 2);
            self.put(I::Call(WAIT));
            return self.store(ValType::I32);
        }
        let callee = self.choices.between(callees.start, callees.end - 1);
        let Signature { params, results } = self.shape.functions[callee].clone();
        params.iter().for_each(|ty| self.expression(*ty, 2));
        match self.choices.below(4) {
            0 => {
                let type_index = self.shape.ty(&params, &results);
                self.put(I::I32Const(callee as i32));
                self.put(I::CallIndirect { type_index, table_index: 0 });
            }
            1 => {
                let ty = self.shape.ty(&params, &results);
                self.put(I::RefFunc(IMPORTED + callee as u32));
                self.put(I::CallRef(ty));
            }
            _ => self.put(I::Call(IMPORTED + callee as u32)),
        }
        results.iter().rev().for_each(|ty| self.store(*ty));
    }

    /// Branches that look at a reference, where there is a label for them.
    fn look_at_reference(&mut self) {
        let ty = self.choices.of(&[I31, ValType::FUNCREF]);
        let (label, types) = self.label();
        self.expression(ty, 1);
        if types.is_empty() {
            self.put(I::BrOnNull(label));
            self.put(I::Drop);
        } else if types == [ty] {
            self.put(I::BrOnNonNull(label));
        } else {
            self.put(I::Drop);
        }
    }
}
