//! The checks in the guest's code, that let no function run for long without asking whether to go on.
//!
//! A loop counts in a local, and what asks is in a second loop around it, so that the code of the loop itself contains no call and keeps its
//! values in registers. Calls count in a global, once on each path; a loop that passes such a check each time around does not count. See
//! docs/design/strands.md for what else was measured.

use super::labels::each_label;
use super::strands::{Spawn, StackCheck};
use super::{Failure, Writer};
use crate::rewrite::OffsetMap;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, Function, Instruction, ValType};
use wasmparser::{FunctionBody, Operator};

type Error = reencode::Error<Failure>;

/// How many instructions loops run between two questions to the host, about.
const LOOP_BUDGET: i32 = 16_000;
/// The same for calls, of functions that are not large.
pub const CALL_BUDGET: i32 = 1_000;
/// A function counts as one call more for each so many instructions.
const OPERATORS_PER_CALL: u32 = 16;
/// A function that neither calls nor loops is checked if it is larger.
const LEAF_OPERATORS_MAX: u32 = 1_000;
/// An instruction that takes time in proportion to an operand counts as so many calls.
const BULK_WEIGHT: i32 = 100;

/// What the checks need.
pub struct Checks {
    /// The global that calls count down.
    pub calls: u32,
    /// The function () that asks.
    pub preempt_here: u32,
    pub stack: Option<StackCheck>,
    pub spawn: Option<Spawn>,
}

fn is_call(operator: &Operator<'_>) -> bool {
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
fn is_bulk(operator: &Operator<'_>) -> bool {
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

/// What an instruction does to the nesting of blocks.
enum Nesting {
    Opens,
    /// The second part of a block begins.
    Divides,
    Closes,
    None,
}

fn nesting(operator: &Operator<'_>) -> Nesting {
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
fn opens_block(operator: &Operator<'_>) -> bool {
    matches!(nesting(operator), Nesting::Opens)
}

/// A loop, as found before anything is written.
#[derive(Clone, Copy, Default)]
struct Loop {
    /// How many instructions it has.
    weight: u32,
    /// Whether it counts: it can come around without a check.
    counts: bool,
}

/// What has to be known of a body before it is written.
#[derive(Default)]
struct Scan {
    operators: u32,
    calls: bool,
    /// In the order in which they begin.
    loops: Vec<Loop>,
}

impl Scan {
    fn new(writer: &mut Writer<'_, '_>, body: &FunctionBody<'_>) -> Result<Scan, Error> {
        /// A block that is open.
        struct Open {
            /// The loop that it is, and how many instructions were before it.
            of_loop: Option<(usize, u32)>,
            /// A check is passed each time before anything branches back.
            checked: bool,
        }
        let mut scan = Scan::default();
        let mut open: Vec<Open> = Vec::new();
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            scan.operators += 1;
            if is_call(&operator) || is_bulk(&operator) {
                scan.calls |= is_call(&operator);
                if let Some(innermost) = open.last_mut() {
                    innermost.checked = true;
                }
            }
            if matches!(nesting(&operator), Nesting::Closes)
                && let Some(Open { of_loop: Some((place, before)), .. }) = open.pop()
            {
                scan.loops[place].weight = scan.operators - before;
            }
            let opens = match operator {
                Operator::Loop { .. } => {
                    scan.loops.push(Loop::default());
                    Some(Open { of_loop: Some((scan.loops.len() - 1, scan.operators)), checked: false })
                }
                _ if opens_block(&operator) => Some(Open { of_loop: None, checked: false }),
                _ => None,
            };
            each_label(&mut writer.instruction(operator)?, |label| {
                let target = open.len().checked_sub(1 + *label as usize).map(|place| &open[place]);
                if let Some(Open { of_loop: Some((place, _)), checked: false }) = target {
                    scan.loops[*place].counts = true;
                }
            });
            open.extend(opens);
        }
        reader.finish()?;
        Ok(scan)
    }
}

/// A block that is open.
struct Open {
    /// Whether it is a loop that became two.
    doubled: bool,
    /// How many such loops are around it.
    doubled_around: u32,
    /// Whether a check was passed before it.
    checked: bool,
}

/// A body that is being written.
pub struct Body<'r, 'm, 'w> {
    writer: &'r mut Writer<'m, 'w>,
    function: Function,
    offsets: OffsetMap,
    scan: Scan,
    /// How many loops have begun.
    loops: usize,
    /// The local that loops count in.
    counter: u32,
    open: Vec<Open>,
    /// How many of `open` are doubled.
    doubled: u32,
    /// Whether every path to here passed a check, since the innermost loop began.
    checked: bool,
    /// The offset of the instruction that is being written, in the original body.
    at: u32,
}

/// The body of a function with so many parameters, with checks, and the offsets in it.
pub fn write(
    writer: &mut Writer<'_, '_>,
    params: u32,
    original: &FunctionBody<'_>,
) -> Result<(Function, OffsetMap), Error> {
    let scan = Scan::new(writer, original)?;
    let mut locals = Vec::new();
    let mut counter = params;
    for local in original.get_locals_reader()? {
        let (count, ty) = local?;
        counter = counter.saturating_add(count);
        locals.push((count, writer.val_type(ty)?));
    }
    if scan.loops.iter().any(|found| found.counts) {
        locals.push((1, ValType::I32));
    }
    let mut body = Body {
        writer,
        function: Function::new(locals),
        offsets: OffsetMap::default(),
        scan,
        loops: 0,
        counter,
        open: Vec::new(),
        doubled: 0,
        checked: false,
        at: 0,
    };
    let mut reader = original.get_operators_reader()?;
    body.at = (reader.original_position() - original.range().start) as u32;
    if !body.scan.calls && body.scan.operators > LEAF_OPERATORS_MAX {
        body.check_calls(body.function_weight());
        body.checked = true;
    }
    while !reader.eof() {
        let (operator, at) = reader.read_with_offset()?;
        body.at = (at - original.range().start) as u32;
        body.operator(operator)?;
    }
    Ok((body.function, body.offsets))
}

impl Body<'_, '_, '_> {
    fn operator(&mut self, operator: Operator<'_>) -> Result<(), Error> {
        if is_bulk(&operator) {
            self.check_calls(BULK_WEIGHT);
            self.checked = true;
        } else if is_call(&operator) && !self.checked {
            self.check_calls(self.function_weight());
            self.checked = true;
        }
        match operator {
            Operator::Loop { blockty } => {
                let ty = self.writer.block_type(blockty)?;
                self.begin_loop(ty);
            }
            Operator::Call { function_index } if self.is_spawn(function_index) => self.spawn(),
            Operator::GlobalSet { global_index } if self.is_stack_pointer(global_index) => {
                self.inserted();
                self.function.instruction(&self.writer.instruction(operator)?);
                self.check_stack();
            }
            _ => self.put(operator)?,
        }
        Ok(())
    }

    /// Writes an instruction, with its labels as they are now.
    fn put(&mut self, operator: Operator<'_>) -> Result<(), Error> {
        let mut closed = None;
        match nesting(&operator) {
            Nesting::Closes => {
                closed = self.open.pop();
                if let Some(block) = &closed {
                    self.checked = block.checked;
                    self.doubled = block.doubled_around;
                }
            }
            Nesting::Divides => self.checked = self.open.last().is_some_and(|block| block.checked),
            Nesting::Opens | Nesting::None => {}
        }
        let opens = opens_block(&operator);
        let mut instruction = self.writer.instruction(operator)?;
        each_label(&mut instruction, |label| *label = self.label(*label));
        if closed.is_some_and(|block| block.doubled) {
            self.inserted();
            self.function.instructions().end();
        } else {
            self.go_on();
        }
        self.function.instruction(&instruction);
        if opens {
            self.push_open(false);
        }
        Ok(())
    }

    /// The label that has become of one of the original: each doubled loop that a branch leaves is one block more.
    fn label(&self, label: u32) -> u32 {
        let left = self.open.len().checked_sub(label as usize).and_then(|place| self.open.get(place));
        let around = left.map_or(self.doubled, |outermost| outermost.doubled_around);
        label.saturating_add(self.doubled - around)
    }

    fn push_open(&mut self, doubled: bool) {
        self.open.push(Open { doubled, doubled_around: self.doubled, checked: self.checked });
        self.doubled += u32::from(doubled);
    }

    /// What is written next is the instruction.
    fn go_on(&mut self) {
        self.offsets.go_on(self.function.byte_len() as u32, self.at);
    }

    /// What is written next comes out of the instruction.
    fn inserted(&mut self) {
        self.offsets.replaced(self.function.byte_len() as u32, self.at);
    }

    fn begin_loop(&mut self, ty: BlockType) {
        let Loop { weight, counts } = self.scan.loops[self.loops];
        self.loops += 1;
        self.push_open(counts);
        self.checked = false;
        if !counts {
            self.go_on();
            self.function.instruction(&Instruction::Loop(ty));
            return;
        }
        self.inserted();
        let (counter, preempt_here) = (self.counter, self.writer.checks.preempt_here);
        let mut code = self.function.instructions();
        code.loop_(ty);
        code.local_get(counter).i32_const(LOOP_BUDGET).i32_gt_u();
        code.if_(BlockType::Empty).i32_const(0).local_set(counter).call(preempt_here).end();
        code.loop_(ty);
        code.local_get(counter).i32_const(weight as i32).i32_add().local_tee(counter);
        code.i32_const(LOOP_BUDGET).i32_gt_u().br_if(1);
    }

    fn function_weight(&self) -> i32 {
        (1 + self.scan.operators / OPERATORS_PER_CALL) as i32
    }

    fn check_calls(&mut self, weight: i32) {
        self.inserted();
        let Checks { calls, preempt_here, .. } = self.writer.checks;
        let mut code = self.function.instructions();
        code.global_get(calls).i32_const(weight).i32_sub().global_set(calls);
        code.global_get(calls).i32_const(0).i32_lt_s();
        code.if_(BlockType::Empty).i32_const(CALL_BUDGET).global_set(calls).call(preempt_here).end();
    }

    fn is_stack_pointer(&self, global: u32) -> bool {
        self.writer.checks.stack.as_ref().is_some_and(|stack| stack.pointer == global)
    }

    fn check_stack(&mut self) {
        if let Some(stack) = &self.writer.checks.stack {
            stack.put(&mut self.function.instructions());
        }
    }

    fn is_spawn(&self, function: u32) -> bool {
        self.writer.checks.spawn.as_ref().is_some_and(|spawn| spawn.is_spawn(function))
    }

    fn spawn(&mut self) {
        self.inserted();
        if let Some(spawn) = &mut self.writer.checks.spawn {
            let site = spawn.sites.len() as i32;
            spawn.sites.push(self.writer.body_start + self.at);
            self.function.instructions().i32_const(site).call(spawn.wrapper);
        }
    }
}
