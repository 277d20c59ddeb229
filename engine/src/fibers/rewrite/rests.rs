//! The rest of a function from a loop on, as a function of its own.
//!
//! ```text
//! f:         ... loop { count += 20; if (count > budget) return ask(x, y); ... }  ...
//! ask:       preempt_here(); return rest_of_f(x, y, 0);
//! rest_of_f: loop { count += 20; if (count > budget) return ask(x, y); ... }  ...
//! ```
//!
//! Its parameters are the locals that are needed from there on and the count, and it is called in the place of the function that was left, so that the stack is
//! as deep as before. A call that returns would cost much more where it is never made than where it is: before it, the register allocator keeps
//! the values of the loop in memory, since all registers are the caller's to save. A call that does not return needs none of them afterwards.
//!
//! A rest has what is reached from the beginning of its loop. What is around that loop is entered in the middle: blocks are opened with nothing
//! before, and a loop around it, when it is to come around, is gone on with in its own rest, as is each loop that comes later. So no rest has
//! another loop than its own and those in it, unless that has no rest.
//!
//! That nothing runs for long without a check follows from this: what leads back, in a function and in its rests alike, is a loop that counts, or a
//! loop with a checked call on each path through it, or a rest of one of these, to which the count is handed on.

use super::Writer;
use super::checks::{Become, Body, Error, Scan, Written};
use super::flow::{Block, Flow, LOCALS_MAX, Placed};
use super::nesting::{Nesting, ends_path, nesting};
use super::wrappers::put_params;
use crate::rewrite::OffsetMap;
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{BlockType, Function, ValType};
use wasmparser::{FunctionBody, Operator};

/// Functions with more instructions have no rests. All of them are kept at once.
const OPERATORS_MAX: u32 = 100_000;
/// All rests of a function have at most so many bytes more than it has. For more, the code of a whole program would grow too much.
const RESTS_BYTES: usize = 4096;
/// The engine's limits.
const FUNCTIONS_MAX: usize = 1_000_000;
const TYPES_MAX: usize = 1_000_000;

/// A rest that was written.
pub struct Rest {
    /// The original function.
    pub function: u32,
    pub ty: u32,
    pub written: Written,
}

/// Where a function is left, and for which functions.
pub struct Exits {
    flow: Flow,
    /// By loop.
    rests: Vec<Option<u32>>,
}

impl Exits {
    /// The rest of the function from a loop on, and the locals that it takes.
    pub fn rest(&self, number: usize) -> Option<(u32, &[u32])> {
        let rest = (*self.rests.get(number)?)?;
        Some((rest, self.flow.loops[number].needed.as_deref()?))
    }
}

/// Adds the rests of a function, before it is written itself. None: it has none, and is checked by calls that return.
pub fn add(
    writer: &mut Writer<'_, '_>,
    function: u32,
    original: &FunctionBody<'_>,
    scan: &Scan,
) -> Result<Option<Exits>, Error> {
    if scan.operators > OPERATORS_MAX || !scan.loops.iter().any(|found| found.counts) {
        return Ok(None);
    }
    let Some(source) = Source::new(writer, function, original)? else { return Ok(None) };
    let counts = |number: usize| scan.loops[number].counts;
    let flow = Flow::new(writer.module, function, &source.locals, &source.instructions, counts);
    let Some(flow) = flow else { return Ok(None) };
    let first = writer.first_rest() + writer.rests.len() as u32;
    let places = flow.loops.iter().scan(first, |next, found| {
        // One that asks, and one that goes on.
        Some(found.needed.as_ref().map(|_| {
            *next += 2;
            *next - 2
        }))
    });
    let exits = Exits { rests: places.collect(), flow };
    let (rests, sites) = (writer.rests.len(), writer.checks.sites());
    if source.add_rests(writer, function, scan, &exits)? {
        return Ok(Some(exits));
    }
    writer.rests.truncate(rests);
    writer.checks.truncate_sites(sites);
    Ok(None)
}

/// A function that rests are made of.
struct Source<'w> {
    results: Vec<wasmparser::ValType>,
    /// The types of all locals, with those of parameters.
    locals: Vec<wasmparser::ValType>,
    instructions: Vec<Placed<'w>>,
    bytes: usize,
}

impl<'w> Source<'w> {
    /// None: it has too many locals.
    fn new(writer: &Writer<'_, '_>, function: u32, original: &FunctionBody<'w>) -> Result<Option<Source<'w>>, Error> {
        let ty = writer.module.function_type(function).map_err(Error::UserError)?;
        let mut locals = ty.params().to_vec();
        for run in original.get_locals_reader()? {
            let (count, ty) = run?;
            if locals.len().saturating_add(count as usize) > LOCALS_MAX {
                return Ok(None);
            }
            locals.extend(std::iter::repeat_n(ty, count as usize));
        }
        let mut instructions = Vec::new();
        for placed in original.get_operators_reader()?.into_iter_with_offsets() {
            let (operator, at) = placed?;
            instructions.push((operator, (at - original.range().start) as u32));
        }
        let results = ty.results().to_vec();
        Ok(Some(Source { results, locals, instructions, bytes: original.range().len() }))
    }

    /// Whether all could be added.
    fn add_rests(&self, writer: &mut Writer<'_, '_>, function: u32, scan: &Scan, exits: &Exits) -> Result<bool, Error> {
        let mut bytes = 0;
        for number in 0..exits.flow.loops.len() {
            let Some((rest, needed)) = exits.rest(number) else { continue };
            let mut params = Self::types(writer, needed.iter().map(|local| self.locals[*local as usize]))?;
            let results = Self::types(writer, self.results.iter().copied())?;
            let asking_ty = writer.added.function_type(&params, &results);
            params.push(ValType::I32);
            let ty = writer.added.function_type(&params, &results);
            let asking = self.asking(writer, &exits.flow, number, rest + 1);
            let going_on = self.rest(writer, scan, exits, number)?;
            bytes += asking.body.byte_len() + going_on.body.byte_len();
            let limited = rest as usize >= FUNCTIONS_MAX || ty as usize >= TYPES_MAX;
            if bytes > self.bytes + RESTS_BYTES || limited {
                return Ok(false);
            }
            for (ty, written) in [(asking_ty, asking), (ty, going_on)] {
                writer.rests.push(Rest { function, ty, written });
            }
        }
        Ok(writer.added.take_bytes(bytes))
    }

    fn types(
        writer: &mut Writer<'_, '_>,
        types: impl Iterator<Item = wasmparser::ValType>,
    ) -> Result<Vec<ValType>, Error> {
        types.map(|ty| writer.val_type(ty)).collect()
    }

    /// Asks, and goes on in the rest from one loop on.
    fn asking(&self, writer: &Writer<'_, '_>, flow: &Flow, number: usize, rest: u32) -> Written {
        let found = &flow.loops[number];
        let mut function = Function::new([]);
        let mut offsets = OffsetMap::default();
        offsets.replaced(function.byte_len() as u32, self.instructions[flow.blocks[found.block].begin].1);
        let mut code = function.instructions();
        code.call(writer.checks.preempt_here);
        put_params(&mut code, found.needed.as_ref().map_or(0, |needed| needed.len() as u32));
        code.i32_const(writer.checks.budgets.after()).return_call(rest).end();
        Written { body: function, offsets, unlikely: Vec::new() }
    }

    /// The rest from one loop on.
    fn rest(&self, writer: &mut Writer<'_, '_>, scan: &Scan, exits: &Exits, number: usize) -> Result<Written, Error> {
        let needed = exits.flow.loops[number].needed.as_deref().unwrap_or_default();
        let mut locals = vec![u32::MAX; self.locals.len()];
        for (place, local) in (0..).zip(needed) {
            locals[*local as usize] = place;
        }
        let mut declared = Vec::new();
        let counter = needed.len() as u32;
        for (local, ty) in locals.iter_mut().zip(&self.locals).filter(|(local, _)| **local == u32::MAX) {
            *local = counter + 1 + declared.len() as u32;
            declared.push(writer.val_type(*ty)?);
        }
        let function = Function::new_with_locals_types(declared);
        let body = Body::new(writer, function, scan, Some(exits), counter, locals);
        let flow = &exits.flow;
        let own = &flow.blocks[flow.loops[number].block];
        let mut rest = Partial { body, exits, end: own.end, reached: true };
        rest.body.at = self.instructions[own.begin].1;
        rest.body.inserted();
        let around: Vec<&Block> = flow.around(flow.loops[number].block).collect();
        for block in around.into_iter().rev() {
            rest.enter(block, own.begin)?;
        }
        rest.body.loops = number;
        let mut place = own.begin;
        while let Some((operator, at)) = self.instructions.get(place) {
            rest.body.at = *at;
            place = rest.put(place, operator)?;
        }
        Ok(rest.body.finish())
    }
}

/// A rest that is being written.
struct Partial<'r, 'm, 'w> {
    body: Body<'r, 'm, 'w>,
    exits: &'r Exits,
    /// Where its own loop ends.
    end: usize,
    /// Whether what comes next can be reached.
    reached: bool,
}

impl Partial<'_, '_, '_> {
    /// Opens a block that is around what begins at a place.
    fn enter(&mut self, block: &Block, begin: usize) -> Result<(), Error> {
        let ty = self.body.writer.block_type(block.ty)?;
        let mut code = self.body.function.instructions();
        code.block(ty);
        if let Some(number) = block.of_loop {
            code.block(BlockType::Empty);
            self.body.push_open(Become::WayBack(number));
            return Ok(());
        }
        self.body.push_open(Become::Block);
        let in_first = block.middle.is_some_and(|middle| begin < middle);
        if let Some(last) = self.body.open.last_mut() {
            last.only_first = in_first.then_some(block.end);
        }
        Ok(())
    }

    /// Writes the instruction at a place, if it is reached. The place of the next one.
    fn put(&mut self, place: usize, operator: &Operator<'_>) -> Result<usize, Error> {
        match nesting(operator) {
            Nesting::Opens => {
                let block = self.exits.flow.block_at(place);
                let later = block.of_loop.filter(|_| self.reached && place > self.end);
                if let Some(number) = later.filter(|number| self.exits.rest(*number).is_some()) {
                    self.body.inserted();
                    self.body.leave_at(number, false);
                    self.reached = false;
                }
                if !self.reached {
                    self.body.loops = self.exits.flow.loops_before(block.end);
                    return Ok(block.end + 1);
                }
            }
            Nesting::Divides => {
                if let Some(last) = self.body.open.last_mut() {
                    if let Some(end) = last.only_first {
                        self.body.loops = self.exits.flow.loops_before(end);
                        return Ok(end);
                    }
                    // The end was taken to be reached if there is no second part; now there is one.
                    last.end_reached = self.reached || last.branched;
                }
                self.reached = true;
            }
            Nesting::Closes => {
                let last = self.body.open.last();
                self.reached |= last.is_some_and(|last| last.end_reached || last.branched);
                let is_function = last.is_none();
                self.body.operator(operator.clone())?;
                if !self.reached && !is_function {
                    // So that it need not give the results of what is around it.
                    self.body.inserted();
                    self.body.function.instructions().unreachable();
                }
                return Ok(place + 1);
            }
            Nesting::None if !self.reached => return Ok(place + 1),
            Nesting::None => {}
        }
        self.body.operator(operator.clone())?;
        self.reached &= !ends_path(operator);
        Ok(place + 1)
    }
}
