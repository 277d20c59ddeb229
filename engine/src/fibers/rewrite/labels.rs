//! The labels and locals in instructions, all in one place.

use wasm_encoder::{Catch, Handle, Instruction as I};

/// Visits each label that an instruction names, as the number of blocks between.
pub fn each_label(instruction: &mut I<'_>, mut visit: impl FnMut(&mut u32)) {
    match instruction {
        I::Br(label)
        | I::BrIf(label)
        | I::BrOnNull(label)
        | I::BrOnNonNull(label)
        | I::Rethrow(label)
        | I::Delegate(label)
        | I::BrOnCast { relative_depth: label, .. }
        | I::BrOnCastFail { relative_depth: label, .. }
        | I::BrOnCastDescEq { relative_depth: label, .. }
        | I::BrOnCastDescEqFail { relative_depth: label, .. } => visit(label),
        I::BrTable(labels, default) => {
            labels.to_mut().iter_mut().for_each(&mut visit);
            visit(default);
        }
        I::TryTable(_, catches) => {
            for catch in catches.to_mut() {
                match catch {
                    Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label } => visit(label),
                }
            }
        }
        I::Resume { resume_table, .. }
        | I::ResumeThrow { resume_table, .. }
        | I::ResumeThrowRef { resume_table, .. } => {
            for handle in resume_table.to_mut() {
                if let Handle::OnLabel { label, .. } = handle {
                    visit(label);
                }
            }
        }
        _ => {}
    }
}

/// Visits the local that an instruction names, if it names one.
pub fn each_local(instruction: &mut I<'_>, visit: impl FnOnce(&mut u32)) {
    if let I::LocalGet(local) | I::LocalSet(local) | I::LocalTee(local) = instruction {
        visit(local);
    }
}
