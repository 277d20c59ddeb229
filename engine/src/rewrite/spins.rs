//! Finds the loops in which a thread does nothing but wait for another one: they look at memory, atomically, and change nothing but their own locals.
//! A hint for the scheduler: a loop that is wrongly taken for one costs its thread a shorter slice.

use super::Failure;
use wasmparser::{BinaryReader, Operator, OperatorsReader};

/// The first byte of all atomic instructions.
const ATOMIC: u8 = 0xfe;

/// A loop as offsets in the file, from the `loop` to its `end`.
pub type Loop = (u32, u32);

/// A block that is open.
struct Open {
    /// Where it starts, if it is a loop.
    loop_at: Option<u32>,
    atomic: bool,
    /// Something in it has an effect that others can see, or is a loop that may run for long.
    busy: bool,
}

/// Appends the loops of a function's body that spin, in order.
pub fn find(wasm: &[u8], mut body: BinaryReader<'_>, loops: &mut Vec<Loop>) -> Result<(), Failure> {
    // Few functions have any atomic instruction; those that only have such a byte are looked through in vain.
    if !wasm[body.range()].contains(&ATOMIC) {
        return Ok(());
    }
    for _ in 0..body.read_var_u32()? {
        body.read_var_u32()?;
        body.read::<wasmparser::ValType>()?;
    }
    let first = loops.len();
    let mut open: Vec<Open> = Vec::new();
    let mut operators = OperatorsReader::new(body);
    while !operators.eof() {
        let at = operators.original_position() as u32;
        let operator = operators.read()?;
        match operator {
            Operator::Loop { .. } => open.push(Open { loop_at: Some(at), atomic: false, busy: false }),
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } | Operator::Try { .. } => {
                open.push(Open { loop_at: None, atomic: false, busy: false });
            }
            Operator::End => {
                let Some(closed) = open.pop() else {
                    continue;
                };
                if let Some(start) = closed.loop_at
                    && closed.atomic
                    && !closed.busy
                {
                    loops.push((start, operators.original_position() as u32));
                }
                if let Some(around) = open.last_mut() {
                    around.busy |= closed.busy || closed.loop_at.is_some();
                    around.atomic |= closed.atomic;
                }
            }
            _ => {
                if let Some(inside) = open.last_mut() {
                    inside.atomic |= looks(&operator);
                    inside.busy |= does(&operator);
                }
            }
        }
    }
    // Inner loops close first.
    loops[first..].sort_unstable();
    Ok(())
}

/// Looks at memory that another thread may change. An exchange on condition is how locks are tried.
fn looks(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::I32AtomicLoad { .. }
            | Operator::I64AtomicLoad { .. }
            | Operator::I32AtomicLoad8U { .. }
            | Operator::I32AtomicLoad16U { .. }
            | Operator::I64AtomicLoad8U { .. }
            | Operator::I64AtomicLoad16U { .. }
            | Operator::I64AtomicLoad32U { .. }
            | Operator::I32AtomicRmwCmpxchg { .. }
            | Operator::I64AtomicRmwCmpxchg { .. }
            | Operator::I32AtomicRmw8CmpxchgU { .. }
            | Operator::I32AtomicRmw16CmpxchgU { .. }
            | Operator::I64AtomicRmw8CmpxchgU { .. }
            | Operator::I64AtomicRmw16CmpxchgU { .. }
            | Operator::I64AtomicRmw32CmpxchgU { .. }
            | Operator::I32AtomicRmwXchg { .. }
    )
}

/// Everything but looking, computing and jumping.
fn does(operator: &Operator<'_>) -> bool {
    !looks(operator)
        && !matches!(
            operator,
            Operator::Nop
                | Operator::Else
                | Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrTable { .. }
                | Operator::Return
                | Operator::Unreachable
                | Operator::Drop
                | Operator::Select
                | Operator::LocalGet { .. }
                | Operator::LocalSet { .. }
                | Operator::LocalTee { .. }
                | Operator::GlobalGet { .. }
                | Operator::I32Const { .. }
                | Operator::I64Const { .. }
                | Operator::AtomicFence
                | Operator::I32Load { .. }
                | Operator::I64Load { .. }
                | Operator::I32Load8U { .. }
                | Operator::I32Load8S { .. }
                | Operator::I32Load16U { .. }
                | Operator::I32Load16S { .. }
                | Operator::I32Eqz
                | Operator::I32Eq
                | Operator::I32Ne
                | Operator::I32LtS
                | Operator::I32LtU
                | Operator::I32GtS
                | Operator::I32GtU
                | Operator::I32LeS
                | Operator::I32LeU
                | Operator::I32GeS
                | Operator::I32GeU
                | Operator::I64Eqz
                | Operator::I64Eq
                | Operator::I64Ne
                | Operator::I64LtS
                | Operator::I64LtU
                | Operator::I64GtS
                | Operator::I64GtU
                | Operator::I64LeS
                | Operator::I64LeU
                | Operator::I64GeS
                | Operator::I64GeU
                | Operator::I32Add
                | Operator::I32Sub
                | Operator::I32And
                | Operator::I32Or
                | Operator::I32Xor
                | Operator::I32Shl
                | Operator::I32ShrU
                | Operator::I32ShrS
                | Operator::I32WrapI64
                | Operator::I64ExtendI32U
                | Operator::I64ExtendI32S
                | Operator::I64Add
                | Operator::I64Sub
                | Operator::I64And
                | Operator::I64Or
                | Operator::I64Xor
        )
}

#[cfg(test)]
mod tests {
    //! Shows which loops count as spinning.

    use crate::rewrite::rewrite;

    fn loops(body: &str) -> usize {
        let text = format!(
            "(module (memory 1 2 shared) (func $f) (func (param i32) (local i32 i64) {body} (drop (memory.grow (i32.const 1)))))"
        );
        rewrite(&wat::parse_str(text).unwrap()).unwrap().unwrap().side.spins.len()
    }

    #[test]
    fn loops_that_only_wait_are_found() {
        let look = "(i32.atomic.load (i32.const 8))";
        assert_eq!(loops(&format!("(loop (br_if 0 {look}))")), 1);
        // With a count of its own, and a way out.
        let counts =
            format!("(block (loop (br_if 1 {look}) (local.set 1 (i32.add (local.get 1) (i32.const 1))) (br 0)))");
        assert_eq!(loops(&counts), 1);
        let lock = "(loop (br_if 0 (i32.atomic.rmw.cmpxchg (i32.const 8) (i32.const 0) (i32.const 1))))";
        assert_eq!(loops(lock), 1);
        assert_eq!(loops(&format!("{lock} {lock}")), 2);
        // In a loop that does something, only the one inside.
        assert_eq!(loops(&format!("(loop {lock} (call $f) (br 0))")), 1);
    }

    #[test]
    fn loops_that_do_something_are_not() {
        let look = "(br_if 0 (i32.atomic.load (i32.const 8)))";
        for work in
            ["(call $f)", "(i32.store (i32.const 0) (i32.const 1))", "(i32.atomic.store (i32.const 0) (i32.const 1))"]
        {
            assert_eq!(loops(&format!("(loop {work} {look})")), 0, "{work}");
        }
        // Nobody else changes what an ordinary load sees as far as can be told: most of these add something up.
        assert_eq!(loops("(loop (br_if 0 (i32.load (i32.const 8))))"), 0);
        assert_eq!(loops("(loop (local.set 1 (i32.add (local.get 1) (i32.const 1))) (br_if 0 (local.get 1)))"), 0);
    }
}
