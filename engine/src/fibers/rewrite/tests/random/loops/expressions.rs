//! What leaves a value on the stack.

use super::statements::Maker;
use super::{DEPTH_MAX, I31, IMPORTED, TYPES};
use wasm_encoder::{BlockType, Instruction as I, MemArg, ValType};

impl Maker<'_> {
    /// An i32, which is 0 about as often as not.
    pub fn condition(&mut self) {
        self.expression(ValType::I32, 3);
        match self.choices.below(4) {
            0 => {
                self.expression(ValType::I32, 2);
                self.put(I::I32LtS);
            }
            1 => {
                self.put(I::I32Const(3));
                self.put(I::I32RemU);
            }
            2 => self.put(I::I32Eqz),
            _ => {
                self.put(I::I32Const(1));
                self.put(I::I32And);
            }
        }
    }

    /// Leaves a value of this type on the stack.
    pub fn expression(&mut self, ty: ValType, depth: u32) {
        let depth = if self.terse { depth.min(1) } else { depth };
        self.left -= i32::from(depth > 1);
        if depth == 0 || self.left < 0 || self.choices.one_in(3) {
            return self.leaf(ty);
        }
        if self.choices.one_in(12) {
            return self.block_with_result(ty, depth);
        }
        if self.choices.one_in(8) && !ty.is_reference() {
            self.expression(ty, depth - 1);
            self.expression(ty, depth - 1);
            self.condition();
            return self.put(I::Select);
        }
        self.operation(ty, depth - 1);
        if self.choices.one_in(6)
            && let Some(local) = self.local(ty)
        {
            self.put(I::LocalTee(local));
        }
    }

    fn leaf(&mut self, ty: ValType) {
        if !self.choices.one_in(4)
            && let Some(local) = self.local(ty)
        {
            return self.put(I::LocalGet(local));
        }
        if self.choices.one_in(3) {
            return self.put(I::GlobalGet(Self::global(ty)));
        }
        let number = self.choices.number();
        match ty {
            ValType::I32 => self.put(I::I32Const(number as i32)),
            ValType::I64 => self.put(I::I64Const(number)),
            ValType::F32 => self.put(I::F32Const((number as f32).into())),
            ValType::F64 => self.put(I::F64Const((number as f64).into())),
            ValType::V128 => self.put(I::V128Const(number.into())),
            ValType::FUNCREF if self.choices.one_in(2) => {
                let function = IMPORTED as usize + self.choices.below(self.shape.functions.len());
                self.put(I::RefFunc(function as u32));
            }
            I31 if self.choices.one_in(2) => {
                self.put(I::I32Const(number as i32));
                self.put(I::RefI31);
            }
            ValType::Ref(of) => self.put(I::RefNull(of.heap_type)),
        }
    }

    /// A block, a loop or an `if`, with whatever is on the stack below.
    fn block_with_result(&mut self, ty: ValType, depth: u32) {
        let kind = self.choices.below(3);
        if kind == 2 {
            self.condition();
        }
        let block = BlockType::Result(ty);
        if kind == 1 {
            let begin = self.begin_loop(block, &[]);
            self.statements(DEPTH_MAX - depth);
            self.expression(ty, depth - 1);
            self.condition();
            self.put(I::BrIf(0));
            return self.end_loop(begin);
        }
        self.put(if kind == 0 { I::Block(block) } else { I::If(block) });
        self.labels.push(vec![ty]);
        self.statements(DEPTH_MAX - depth);
        self.expression(ty, depth - 1);
        if kind == 2 {
            self.put(I::Else);
            self.expression(ty, depth - 1);
        }
        self.labels.pop();
        self.put(I::End);
    }

    fn operation(&mut self, ty: ValType, depth: u32) {
        let two = |ops: &[I<'static>], maker: &mut Self| {
            maker.expression(ty, depth);
            maker.expression(ty, depth);
            let chosen = maker.choices.below(ops.len());
            maker.put(ops[chosen].clone());
        };
        let at = MemArg { offset: 8, align: 0, memory_index: 0 };
        let kind = self.choices.below(4);
        match (ty, kind) {
            (ValType::I32, 0..=1) => {
                two(&[I::I32Add, I::I32Sub, I::I32Mul, I::I32Xor, I::I32ShrU, I::I32LtU, I::I32Eq], self);
            }
            (ValType::I32, 2) => {
                self.address();
                self.put(I::I32Load(at));
            }
            (ValType::I32, _) => self.number_of_another(depth),
            (ValType::I64, 0..=1) => two(&[I::I64Add, I::I64Sub, I::I64Mul, I::I64Xor, I::I64Rotl], self),
            (ValType::I64, 2) => {
                let other = self.choices.of(&[ValType::I32, ValType::F64]);
                self.expression(other, depth);
                self.put(if other == ValType::I32 { I::I64ExtendI32U } else { I::I64ReinterpretF64 });
            }
            (ValType::I64, _) => {
                self.address();
                self.put(I::I64Load(at));
            }
            (ValType::F32, 0..=2) => two(&[I::F32Add, I::F32Sub, I::F32Min], self),
            (ValType::F32, _) => {
                self.expression(ValType::I32, depth);
                self.put(I::F32ConvertI32S);
            }
            (ValType::F64, 0..=2) => two(&[I::F64Add, I::F64Sub, I::F64Max], self),
            (ValType::F64, _) => {
                self.expression(ValType::I64, depth);
                self.put(I::F64ConvertI64S);
            }
            (ValType::V128, 0..=2) => two(&[I::I32x4Add, I::V128Xor, I::I64x2Sub], self),
            (ValType::V128, _) => {
                self.expression(ValType::I32, depth);
                self.put(I::I32x4Splat);
            }
            (I31, _) => {
                self.expression(ValType::I32, depth);
                self.put(I::RefI31);
            }
            _ => self.leaf(ty),
        }
    }

    /// An i32 that tells of a value of another type.
    fn number_of_another(&mut self, depth: u32) {
        let ty = self.choices.of(&TYPES[1..]);
        if ty == I31 {
            // Without a trap where it is null.
            let Some(local) = self.local(I31) else { return self.leaf(ValType::I32) };
            self.put(I::LocalGet(local));
            self.put(I::RefIsNull);
            self.put(I::If(BlockType::Result(ValType::I32)));
            self.put(I::I32Const(-77));
            self.put(I::Else);
            self.put(I::LocalGet(local));
            self.put(I::I31GetS);
            return self.put(I::End);
        }
        self.expression(ty, depth);
        self.put(match ty {
            ValType::I64 => I::I32WrapI64,
            ValType::F32 => I::I32ReinterpretF32,
            ValType::F64 => I::I32TruncSatF64S,
            ValType::V128 => I::I32x4ExtractLane(3),
            _ => I::RefIsNull,
        });
    }
}
