//! The checks in the guest's code, that let no function run for long without asking whether to go on.
//!
//! A loop counts in a local. When it has run for long, the function is left for the rest of it, which is a function of its own and asks first: see
//! `rests`. So the code of the loop contains no call, and keeps its values in registers. Where a function cannot be left so, what asks is in a
//! second loop around the loop. Calls count in a global: once where the function begins, and in loops once on each path; a loop that passes such a
//! check each time around does not count. See docs/design/strands.md for what else was measured.

use super::labels::{each_label, each_local};
use super::nesting::{Nesting, is_bulk, is_call, nesting, opens_block};
use super::rests::{self, Exits};
use super::strands::{Spawn, StackCheck};
use super::wrappers::Kept;
use super::{Failure, Writer};
use crate::rewrite::OffsetMap;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, Function, Instruction, ValType};
use wasmparser::{FunctionBody, Operator};

pub type Error = reencode::Error<Failure>;

/// How much runs between two questions to the host, about.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Instructions of loops. 0: each check asks.
    pub loops: u32,
    /// Calls of functions that are not large.
    pub calls: u32,
}

impl Budgets {
    /// What is counted already when a loop goes on after a question: nothing, or what gets it past its own check.
    pub fn after(self) -> i32 {
        if self.loops == 0 { -1 } else { 0 }
    }
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets { loops: 100_000, calls: 5_000 }
    }
}

/// A function counts as one call more for each so many instructions.
const OPERATORS_PER_CALL: u32 = 16;
/// A function that calls nothing is checked if it is larger.
const LEAF_OPERATORS_MAX: u32 = 1_000;
/// An instruction that takes time in proportion to an operand counts as so many calls.
const BULK_WEIGHT: i32 = 100;

/// What the checks need.
pub struct Checks {
    pub budgets: Budgets,
    /// The global that calls count down.
    pub calls: u32,
    /// The function () that asks.
    pub preempt_here: u32,
    pub stack: Option<StackCheck>,
    pub spawn: Option<Spawn>,
    pub kept: Option<Kept>,
}

impl Checks {
    /// How many places are known where strands are made.
    pub fn sites(&self) -> usize {
        self.spawn.as_ref().map_or(0, |spawn| spawn.sites.len())
    }

    pub fn truncate_sites(&mut self, count: usize) {
        if let Some(spawn) = &mut self.spawn {
            spawn.sites.truncate(count);
        }
    }
}

/// A loop, as found before anything is written.
#[derive(Clone, Copy, Default)]
pub struct Loop {
    /// How many instructions it has.
    weight: u32,
    /// Whether it counts: it can come around without a check.
    pub counts: bool,
}

/// What has to be known of a body before it is written.
#[derive(Default)]
pub struct Scan {
    pub operators: u32,
    /// Whether a call is outside of all loops, and may return.
    calls: bool,
    /// In the order in which they begin.
    pub loops: Vec<Loop>,
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
        let mut open_loops = 0u32;
        let mut after_call = false;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            scan.operators += 1;
            // Compilers put this where they know that a call does not return. Such calls are rare.
            scan.calls |= after_call && !matches!(operator, Operator::Unreachable);
            after_call = is_call(&operator) && open_loops == 0;
            if (is_call(&operator) || is_bulk(&operator))
                && let Some(innermost) = open.last_mut()
            {
                innermost.checked = true;
            }
            if matches!(nesting(&operator), Nesting::Closes)
                && let Some(Open { of_loop: Some((place, before)), .. }) = open.pop()
            {
                scan.loops[place].weight = scan.operators - before;
                open_loops -= 1;
            }
            let opens = match operator {
                Operator::Loop { .. } => {
                    scan.loops.push(Loop::default());
                    open_loops += 1;
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

/// What a block of the original has become.
#[derive(Clone, Copy, PartialEq)]
pub enum Become {
    Block,
    Loop,
    /// A loop in another that makes the calls.
    LoopInLoop,
    /// Two blocks, of which the inner one ends where this loop is gone on with: in its own rest.
    WayBack(usize),
}

impl Become {
    fn is_doubled(self) -> bool {
        matches!(self, Become::LoopInLoop | Become::WayBack(_))
    }
}

/// A block that is open.
pub struct Open {
    pub what: Become,
    /// How many doubled blocks are around it.
    doubled_around: u32,
    /// Whether a check was passed before it.
    checked: bool,
    /// Whether its end is reached without its last part: it has no second part, or the first leads there.
    pub end_reached: bool,
    /// Whether something branches to its end.
    pub branched: bool,
    /// Where it ends, if its second part is to be left out.
    pub only_first: Option<usize>,
}

/// A body that is being written.
pub struct Body<'r, 'm, 'w> {
    pub writer: &'r mut Writer<'m, 'w>,
    pub function: Function,
    pub offsets: OffsetMap,
    scan: &'r Scan,
    /// How it is left at loops, if it can be.
    exits: Option<&'r Exits>,
    /// How many loops have begun.
    pub loops: usize,
    /// The local that loops count in.
    counter: u32,
    /// New indices of the locals, if they have some.
    locals: Vec<u32>,
    pub open: Vec<Open>,
    /// How many of `open` are doubled.
    doubled: u32,
    /// Whether every path to here passed a check, since the innermost loop began.
    checked: bool,
    /// The offset of the instruction that is being written, in the original body.
    pub at: u32,
    /// Offsets of each `if` that is hardly ever taken.
    unlikely: Vec<u32>,
}

/// A body with checks.
pub struct Written {
    pub body: Function,
    /// Offsets in the body, to those in the original.
    pub offsets: OffsetMap,
    /// Offsets of each `if` that is hardly ever taken.
    pub unlikely: Vec<u32>,
}

/// The body of a function, with checks.
pub fn write(writer: &mut Writer<'_, '_>, function: u32, original: &FunctionBody<'_>) -> Result<Written, Error> {
    let scan = Scan::new(writer, original)?;
    let exits = rests::add(writer, function, original, &scan)?;
    let mut locals = Vec::new();
    let mut counter = writer.module.function_type(function).map_err(Error::UserError)?.params().len() as u32;
    for local in original.get_locals_reader()? {
        let (count, ty) = local?;
        counter = counter.saturating_add(count);
        locals.push((count, writer.val_type(ty)?));
    }
    if scan.loops.iter().any(|found| found.counts) {
        locals.push((1, ValType::I32));
    }
    let mut body = Body::new(writer, Function::new(locals), &scan, exits.as_ref(), counter, Vec::new());
    let mut reader = original.get_operators_reader()?;
    body.at = (reader.original_position() - original.range().start) as u32;
    if scan.calls || scan.operators > LEAF_OPERATORS_MAX {
        body.check_calls(body.function_weight());
        body.checked = true;
    }
    while !reader.eof() {
        let (operator, at) = reader.read_with_offset()?;
        body.at = (at - original.range().start) as u32;
        body.operator(operator)?;
    }
    Ok(body.finish())
}

impl<'r, 'm, 'w> Body<'r, 'm, 'w> {
    pub fn new(
        writer: &'r mut Writer<'m, 'w>,
        function: Function,
        scan: &'r Scan,
        exits: Option<&'r Exits>,
        counter: u32,
        locals: Vec<u32>,
    ) -> Body<'r, 'm, 'w> {
        Body {
            writer,
            function,
            offsets: OffsetMap::default(),
            scan,
            exits,
            loops: 0,
            counter,
            locals,
            open: Vec::new(),
            doubled: 0,
            checked: false,
            at: 0,
            unlikely: Vec::new(),
        }
    }

    pub fn finish(self) -> Written {
        Written { body: self.function, offsets: self.offsets, unlikely: self.unlikely }
    }

    pub fn operator(&mut self, operator: Operator<'_>) -> Result<(), Error> {
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
            Operator::Call { function_index } if self.is_kept(function_index) => self.keep(function_index),
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
        let what = if matches!(operator, Operator::Loop { .. }) { Become::Loop } else { Become::Block };
        let is_if = matches!(operator, Operator::If { .. });
        let mut instruction = self.writer.instruction(operator)?;
        each_label(&mut instruction, |label| *label = self.target(*label));
        if !self.locals.is_empty() {
            each_local(&mut instruction, |local| {
                *local = self.locals.get(*local as usize).copied().unwrap_or(*local);
            });
        }
        match closed.map(|block| block.what) {
            Some(Become::LoopInLoop) => {
                self.inserted();
                self.function.instructions().end();
            }
            Some(Become::WayBack(number)) => {
                self.inserted();
                self.function.instructions().br(1).end();
                self.leave_at(number, false);
            }
            _ => self.go_on(),
        }
        self.function.instruction(&instruction);
        if opens {
            self.push_open(what);
            // Where there is no second part.
            self.open.last_mut().expect("was pushed").end_reached = is_if;
        }
        Ok(())
    }

    /// The label that has become of one of the original: each doubled block that a branch leaves is one more.
    fn target(&mut self, label: u32) -> u32 {
        let place = self.open.len().checked_sub(label as usize);
        let around = place.and_then(|place| self.open.get(place)).map_or(self.doubled, |last| last.doubled_around);
        if let Some(target) = place.and_then(|place| self.open.get_mut(place.checked_sub(1)?)) {
            target.branched |= target.what == Become::Block;
        }
        label.saturating_add(self.doubled - around)
    }

    pub fn push_open(&mut self, what: Become) {
        let checked = self.checked;
        self.open.push(Open {
            what,
            doubled_around: self.doubled,
            checked,
            end_reached: false,
            branched: false,
            only_first: None,
        });
        self.doubled += u32::from(what.is_doubled());
    }

    /// What is written next is the instruction.
    fn go_on(&mut self) {
        self.offsets.go_on(self.function.byte_len() as u32, self.at);
    }

    /// What is written next comes out of the instruction.
    pub fn inserted(&mut self) {
        self.offsets.replaced(self.function.byte_len() as u32, self.at);
    }

    fn begin_loop(&mut self, ty: BlockType) {
        let number = self.loops;
        let Loop { weight, counts } = self.scan.loops[number];
        self.loops += 1;
        let can_leave = self.exits.is_some_and(|exits| exits.rest(number).is_some());
        self.push_open(if counts && !can_leave { Become::LoopInLoop } else { Become::Loop });
        self.checked = false;
        if !counts {
            self.go_on();
            self.function.instruction(&Instruction::Loop(ty));
            return;
        }
        self.inserted();
        let (counter, preempt_here) = (self.counter, self.writer.checks.preempt_here);
        let (budget, after) = (self.writer.checks.budgets.loops, self.writer.checks.budgets.after());
        // One that counted for more could never begin.
        let (weight, budget) = (weight.min(budget.max(1)) as i32, budget as i32);
        let mut code = self.function.instructions();
        code.loop_(ty);
        if !can_leave {
            code.local_get(counter).i32_const(budget).i32_gt_u();
            code.if_(BlockType::Empty).i32_const(after).local_set(counter).call(preempt_here).end();
            code.loop_(ty);
        }
        code.local_get(counter).i32_const(weight).i32_add().local_tee(counter);
        code.i32_const(budget).i32_gt_u();
        if can_leave {
            self.if_unlikely();
            self.leave_at(number, true);
            self.function.instructions().end();
        } else {
            code.br_if(1);
        }
    }

    /// Goes on in the rest of the function from a loop on, and asks before if so wanted.
    pub fn leave_at(&mut self, number: usize, ask: bool) {
        let Some((rest, needed)) = self.exits.and_then(|exits| exits.rest(number)) else { return };
        let mut code = self.function.instructions();
        for &local in needed {
            code.local_get(self.locals.get(local as usize).copied().unwrap_or(local));
        }
        match ask {
            true => code.return_call(rest),
            false => code.local_get(self.counter).return_call(rest + 1),
        };
    }

    fn function_weight(&self) -> i32 {
        (1 + self.scan.operators / OPERATORS_PER_CALL) as i32
    }

    fn check_calls(&mut self, weight: i32) {
        self.inserted();
        let Checks { calls, preempt_here, budgets, .. } = self.writer.checks;
        let mut code = self.function.instructions();
        code.global_get(calls).i32_const(weight).i32_sub().global_set(calls);
        code.global_get(calls).i32_const(0).i32_lt_s();
        self.if_unlikely();
        self.function.instructions().i32_const(budgets.calls as i32).global_set(calls).call(preempt_here).end();
    }

    fn if_unlikely(&mut self) {
        self.unlikely.push(self.function.byte_len() as u32);
        self.function.instructions().if_(BlockType::Empty);
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

    fn is_kept(&self, function: u32) -> bool {
        self.writer.checks.kept.as_ref().is_some_and(|kept| kept.is_kept(function))
    }

    fn keep(&mut self, function: u32) {
        self.inserted();
        if let Some(kept) = &self.writer.checks.kept {
            kept.put(&mut self.function.instructions(), function);
        }
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
