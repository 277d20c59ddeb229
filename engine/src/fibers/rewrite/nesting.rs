//! How instructions nest blocks, and what they do that matters to checks.

use wasmparser::Operator;

/// What an instruction does to the nesting of blocks.
pub enum Nesting {
    Opens,
    /// The second part of a block begins.
    Divides,
    Closes,
    None,
}

pub fn nesting(operator: &Operator<'_>) -> Nesting {
    match operator {
        Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::If { .. }
        | Operator::Try { .. }
        | Operator::TryTable { .. } => Nesting::Opens,
        Operator::Else | Operator::Catch { .. } | Operator::CatchAll => Nesting::Divides,
        Operator::End | Operator::Delegate { .. } => Nesting::Closes,
        _ => Nesting::None,
    }
}

/// The labels of what opens or closes a block are counted outside of it.
pub fn opens_block(operator: &Operator<'_>) -> bool {
    matches!(nesting(operator), Nesting::Opens)
}

/// Whether what follows it can only be reached by a branch.
pub fn ends_path(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Br { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. }
    )
}

pub fn is_call(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Resume { .. }
            | Operator::ResumeThrow { .. }
            | Operator::ResumeThrowRef { .. }
    )
}

/// Whether it takes time in proportion to an operand.
pub fn is_bulk(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryFill { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryInit { .. }
            | Operator::MemoryGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. }
            | Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayNewData { .. }
            | Operator::ArrayNewElem { .. }
            | Operator::ArrayFill { .. }
            | Operator::ArrayCopy { .. }
            | Operator::ArrayInitData { .. }
            | Operator::ArrayInitElem { .. }
    )
}
