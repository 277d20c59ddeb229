//! Where a function can be left in the middle to be taken up elsewhere: at loops that begin with nothing on the operand stack. What is needed from
//! there on is then in locals, and which ones is found here.

use super::labels::each_label;
use super::module::Module;
use super::nesting::{Nesting, ends_path, nesting, opens_block};
use wasm_encoder::Instruction;
use wasmparser::{BlockType, FrameKind, ModuleArity, Operator, SubType, ValType};

/// Above this, functions have no places to be left at. They would take too long to look at.
pub const LOCALS_MAX: usize = 4_000;
/// More are not handed on.
const NEEDED_MAX: usize = 64;
/// How often the instructions are gone through. Enough for loops that are nested so deep.
const ROUNDS_MAX: u32 = 16;

/// An instruction, and where it is in the original body.
pub type Placed<'w> = (Operator<'w>, u32);

/// A block of a function. Places are indices of instructions.
pub struct Block {
    pub begin: usize,
    /// The `else`.
    pub middle: Option<usize>,
    pub end: usize,
    /// The block that it is in.
    pub parent: Option<usize>,
    pub ty: BlockType,
    /// Its number among the loops.
    pub of_loop: Option<usize>,
    /// Whether nothing is on the operand stack when it begins, and it takes no parameters.
    bare: bool,
}

/// A loop of a function.
pub struct Loop {
    /// As a block.
    pub block: usize,
    /// The locals that are needed from its beginning on, in order. None: the function cannot be left there.
    pub needed: Option<Vec<u32>>,
}

/// The blocks and loops of a function, in the order in which they begin.
#[derive(Default)]
pub struct Flow {
    pub blocks: Vec<Block>,
    pub loops: Vec<Loop>,
}

impl Flow {
    /// None: it cannot be left anywhere. `locals` are the types of all, parameters included; `counts` says which loops would make use of it.
    pub fn new(
        module: &Module<'_>,
        function: u32,
        locals: &[ValType],
        instructions: &[Placed<'_>],
        counts: impl Fn(usize) -> bool,
    ) -> Option<Flow> {
        if locals.len() > LOCALS_MAX || !locals.iter().all(ValType::is_defaultable) {
            return None;
        }
        let (mut flow, closed) = Flow::blocks(module, function, instructions)?;
        let needed = Needed::new(locals.len(), &flow, closed).find(instructions)?;
        for (found, locals) in flow.loops.iter_mut().zip(&needed) {
            found.needed = flow.blocks[found.block].bare.then(|| locals.list()).filter(|list| list.len() <= NEEDED_MAX);
        }
        flow.keep_useful(counts);
        flow.loops.iter().any(|found| found.needed.is_some()).then_some(flow)
    }

    /// The block that begins at this place.
    pub fn block_at(&self, place: usize) -> &Block {
        &self.blocks[self.blocks.partition_point(|block| block.begin < place)]
    }

    /// How many loops begin before this place.
    pub fn loops_before(&self, place: usize) -> usize {
        self.loops.partition_point(|found| self.blocks[found.block].begin < place)
    }

    /// The blocks around a block, innermost first.
    pub fn around(&self, block: usize) -> impl Iterator<Item = &Block> {
        let parent = |block: &&Block| block.parent.map(|parent| &self.blocks[parent]);
        std::iter::successors(parent(&&self.blocks[block]), parent)
    }

    /// Finds blocks, and the order in which they end.
    fn blocks(module: &Module<'_>, function: u32, instructions: &[Placed<'_>]) -> Option<(Flow, Vec<usize>)> {
        let mut stack = Stack { module, function, open: Vec::new(), height: 0, reached: true };
        let mut flow = Flow::default();
        let mut closed = Vec::new();
        for (place, (operator, _)) in instructions.iter().enumerate() {
            match nesting(operator) {
                Nesting::Opens => {
                    let (ty, kind) = match *operator {
                        Operator::Block { blockty } => (blockty, FrameKind::Block),
                        Operator::Loop { blockty } => (blockty, FrameKind::Loop),
                        Operator::If { blockty } => (blockty, FrameKind::If),
                        // What catches would have to be around the other part as well.
                        _ => return None,
                    };
                    let bare = stack.opens(ty, kind)?;
                    let of_loop = (kind == FrameKind::Loop).then_some(flow.loops.len());
                    if of_loop.is_some() {
                        flow.loops.push(Loop { block: flow.blocks.len(), needed: None });
                    }
                    let parent = stack.open.len().checked_sub(2).map(|parent| stack.open[parent].block);
                    stack.open.last_mut()?.block = flow.blocks.len();
                    flow.blocks.push(Block { begin: place, middle: None, end: place, parent, ty, of_loop, bare });
                }
                Nesting::Divides => flow.blocks[stack.divides()?].middle = Some(place),
                Nesting::Closes => {
                    // Otherwise it is the function that ends.
                    if let Some(block) = stack.closes()? {
                        flow.blocks[block].end = place;
                        closed.push(block);
                    }
                }
                Nesting::None => stack.passes(operator)?,
            }
        }
        Some((flow, closed))
    }

    /// Leaves places to be left at only in loops that count, and in those around them, which have to be gone on with afterwards.
    fn keep_useful(&mut self, counts: impl Fn(usize) -> bool) {
        let mut useful = vec![false; self.loops.len()];
        for number in 0..self.loops.len() {
            let block = self.loops[number].block;
            let can = |number: usize| self.loops[number].needed.is_some();
            let takes_nothing = self.around(block).all(|block| block.bare);
            let loops: Vec<usize> = self.around(block).filter_map(|block| block.of_loop).collect();
            if counts(number) && can(number) && takes_nothing && loops.iter().all(|around| can(*around)) {
                useful[number] = true;
                loops.into_iter().for_each(|around| useful[around] = true);
            }
        }
        for (found, useful) in self.loops.iter_mut().zip(useful) {
            found.needed.take_if(|_| !useful);
        }
    }
}

/// A block that is open.
struct Open {
    block: usize,
    ty: BlockType,
    kind: FrameKind,
    /// How much is on the operand stack below it.
    below: u32,
    /// Whether its beginning can be reached.
    reached: bool,
}

/// Keeps track of the operand stack.
struct Stack<'s, 'w> {
    module: &'s Module<'w>,
    function: u32,
    open: Vec<Open>,
    height: u32,
    reached: bool,
}

impl Stack<'_, '_> {
    /// A block begins. Whether that is with nothing on the stack.
    fn opens(&mut self, ty: BlockType, kind: FrameKind) -> Option<bool> {
        let (params, _) = self.block_type_arity(ty)?;
        if self.reached {
            self.height = self.height.checked_sub(params + u32::from(kind == FrameKind::If))?;
        }
        let bare = self.reached && self.height == 0 && params == 0;
        self.open.push(Open { block: 0, ty, kind, below: self.height, reached: self.reached });
        self.height += params;
        Some(bare)
    }

    /// The block that comes to its second part.
    fn divides(&mut self) -> Option<usize> {
        let last = self.open.last()?;
        let (block, below) = (last.block, last.below);
        self.reached = last.reached;
        self.height = below + self.block_type_arity(last.ty)?.0;
        Some(block)
    }

    /// The block that ends, if it is not the function.
    fn closes(&mut self) -> Option<Option<usize>> {
        let Some(last) = self.open.pop() else { return Some(None) };
        self.reached = last.reached;
        self.height = last.below + self.block_type_arity(last.ty)?.1;
        Some(Some(last.block))
    }

    fn passes(&mut self, operator: &Operator<'_>) -> Option<()> {
        if self.reached && ends_path(operator) {
            self.reached = false;
        } else if self.reached {
            let (takes, gives) = operator.operator_arity(self)?;
            self.height = self.height.checked_sub(takes)? + gives;
        }
        Some(())
    }
}

impl ModuleArity for Stack<'_, '_> {
    fn sub_type_at(&self, index: u32) -> Option<&SubType> {
        self.module.types.get(index as usize)
    }

    fn type_index_of_function(&self, function: u32) -> Option<u32> {
        self.module.functions.get(function as usize).copied()
    }

    fn control_stack_height(&self) -> u32 {
        self.open.len() as u32 + 1
    }

    fn label_block(&self, depth: u32) -> Option<(BlockType, FrameKind)> {
        match self.open.len().checked_sub(1 + depth as usize) {
            Some(place) => Some((self.open[place].ty, self.open[place].kind)),
            None => Some((BlockType::FuncType(self.type_index_of_function(self.function)?), FrameKind::Block)),
        }
    }

    // What needs the rest is rare: functions that have it cannot be left.

    fn tag_type_arity(&self, _: u32) -> Option<(u32, u32)> {
        None
    }

    fn func_type_of_cont_type(&self, _: &wasmparser::ContType) -> Option<&wasmparser::FuncType> {
        None
    }

    fn sub_type_of_ref_type(&self, _: &wasmparser::RefType) -> Option<&SubType> {
        None
    }
}

/// A set of locals.
#[derive(Clone, PartialEq)]
struct Locals(Vec<u64>);

impl Locals {
    fn new(count: usize) -> Locals {
        Locals(vec![0; count.div_ceil(64)])
    }

    fn insert(&mut self, local: u32) -> Option<()> {
        *self.0.get_mut(local as usize / 64)? |= 1 << (local % 64);
        Some(())
    }

    fn remove(&mut self, local: u32) -> Option<()> {
        *self.0.get_mut(local as usize / 64)? &= !(1 << (local % 64));
        Some(())
    }

    fn add(&mut self, others: &Locals) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word |= other);
    }

    fn list(&self) -> Vec<u32> {
        let has = |local: &u32| self.0[*local as usize / 64] >> (local % 64) & 1 == 1;
        (0..self.0.len() as u32 * 64).filter(has).collect()
    }
}

/// Which locals are needed at the beginning of each loop: the usual analysis, backwards, until nothing changes.
struct Needed<'f> {
    flow: &'f Flow,
    /// The blocks in the order in which they end.
    closed: Vec<usize>,
    nothing: Locals,
    loops: Vec<Locals>,
}

/// A block that is gone through backwards.
struct Inside {
    of_loop: Option<usize>,
    /// What is needed after it.
    after: Locals,
    /// What is needed when the second part begins.
    second: Option<Locals>,
}

impl<'f> Needed<'f> {
    fn new(locals: usize, flow: &'f Flow, closed: Vec<usize>) -> Needed<'f> {
        let nothing = Locals::new(locals);
        Needed { flow, closed, loops: vec![nothing.clone(); flow.loops.len()], nothing }
    }

    fn find(mut self, instructions: &[Placed<'_>]) -> Option<Vec<Locals>> {
        for _ in 0..ROUNDS_MAX {
            if !self.round(instructions)? {
                return Some(self.loops);
            }
        }
        None
    }

    /// Goes through all instructions once. Whether anything changed.
    fn round(&mut self, instructions: &[Placed<'_>]) -> Option<bool> {
        let mut changed = false;
        let mut inside: Vec<Inside> = Vec::new();
        let mut closed = self.closed.iter().rev();
        let mut needed = self.nothing.clone();
        let body = instructions.split_last()?.1;
        for (operator, _) in body.iter().rev() {
            match nesting(operator) {
                Nesting::Closes => {
                    let of_loop = self.flow.blocks[*closed.next()?].of_loop;
                    inside.push(Inside { of_loop, after: needed.clone(), second: None });
                }
                Nesting::Divides => {
                    let block = inside.last_mut()?;
                    block.second = Some(std::mem::replace(&mut needed, block.after.clone()));
                }
                Nesting::Opens => {
                    let block = inside.pop()?;
                    if let Some(number) = block.of_loop {
                        changed |= self.loops[number] != needed;
                        self.loops[number] = needed.clone();
                    } else if matches!(operator, Operator::If { .. }) {
                        needed.add(block.second.as_ref().unwrap_or(&block.after));
                    }
                }
                Nesting::None => match *operator {
                    Operator::LocalGet { local_index } => needed.insert(local_index)?,
                    Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                        needed.remove(local_index)?
                    }
                    _ => self.branches(operator, &inside, &mut needed)?,
                },
            }
        }
        Some(changed)
    }

    /// Adds what is needed where the instruction may branch to.
    fn branches(&self, operator: &Operator<'_>, inside: &[Inside], needed: &mut Locals) -> Option<()> {
        if ends_path(operator) {
            needed.clone_from(&self.nothing);
        }
        debug_assert!(!opens_block(operator));
        each_target(operator, |label| {
            let Some(place) = inside.len().checked_sub(1 + label as usize) else { return };
            needed.add(match inside[place].of_loop {
                Some(number) => &self.loops[number],
                None => &inside[place].after,
            });
        })
    }
}

/// Visits the labels of an instruction; None if it cannot be encoded.
fn each_target(operator: &Operator<'_>, mut visit: impl FnMut(u32)) -> Option<()> {
    if let Operator::BrIf { relative_depth } | Operator::Br { relative_depth } = *operator {
        visit(relative_depth);
        return Some(());
    }
    // Nothing else that is frequent is looked at twice.
    each_label(&mut Instruction::try_from(operator.clone()).ok()?, |label| visit(*label));
    Some(())
}
