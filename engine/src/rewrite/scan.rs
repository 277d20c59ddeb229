//! Finds the instructions that change, and leaves alone what it does not know.

use super::{Failure, HostFunction, Memory};
use wasmparser::{
    BinaryReader, BlockType, HeapType, MemArg, OperatorsReader, OperatorsReaderAllocations, RefType, ValType,
    VisitOperator, VisitSimdOperator,
};

/// An instruction that changes.
#[derive(Clone, Copy)]
pub struct Site {
    /// Its offset in the file.
    pub at: u32,
    pub end: u32,
    pub change: Change,
}

#[derive(Clone, Copy)]
pub enum Change {
    Nothing,
    /// It ends with this function's index; its opcode has one byte.
    Function(u32),
    /// It becomes a call: an index into `Scanner::calls`.
    Call(u32),
    /// Its memory argument, which follows the opcode, names a memory that moved.
    Argument,
    /// A memory that moved is among the `count` indices after `skip` others after the opcode.
    Indices {
        skip: u8,
        count: u8,
    },
}

/// A call that takes an instruction's place.
#[derive(Clone, Copy)]
pub struct Call {
    pub function: HostFunction,
    /// Its place among the shared memories.
    pub memory: u32,
    /// None: the function has no such parameter.
    pub offset: Option<u64>,
}

/// Looks through instructions.
pub struct Scanner<'m> {
    memories: &'m [Memory],
    /// Whether any memory's index changes.
    moved: bool,
    /// Types there are in the original. Types are added behind, and an index that was out of bounds must not become valid.
    types: u32,
    unknown_type: bool,
    /// In a constant expression only functions are looked for: the rest is not valid there.
    constant: bool,
    pub calls: Vec<Call>,
    allocations: OperatorsReaderAllocations,
}

impl<'m> Scanner<'m> {
    pub fn new(memories: &'m [Memory], types: u32) -> Scanner<'m> {
        let moved = memories.iter().enumerate().any(|(index, memory)| memory.index != index as u32);
        let allocations = OperatorsReaderAllocations::default();
        Scanner { memories, moved, types, unknown_type: false, constant: false, calls: Vec::new(), allocations }
    }

    /// Finds the sites in what is left of a function's body.
    pub fn body(&mut self, mut reader: BinaryReader<'_>, sites: &mut Vec<Site>) -> Result<(), Failure> {
        for _ in 0..reader.read_var_u32()? {
            reader.read_var_u32()?;
            let at = reader.original_position();
            self.check_value_type(reader.read::<ValType>()?);
            self.types_known(at)?;
        }
        self.instructions(reader, sites)
    }

    /// Finds the sites in a constant expression.
    pub fn constant(&mut self, reader: BinaryReader<'_>, sites: &mut Vec<Site>) -> Result<(), Failure> {
        self.constant = true;
        let scanned = self.instructions(reader, sites);
        self.constant = false;
        scanned
    }

    fn instructions(&mut self, reader: BinaryReader<'_>, sites: &mut Vec<Site>) -> Result<(), Failure> {
        let mut operators = OperatorsReader::new_with_allocs(reader, std::mem::take(&mut self.allocations));
        let mut at = operators.original_position();
        let start = at;
        while !operators.eof() {
            let change = operators.visit_operator(self)?;
            let end = operators.original_position();
            if !matches!(change, Change::Nothing) {
                sites.push(Site { at: at as u32, end: end as u32, change });
            }
            at = end;
        }
        operators.finish()?;
        self.allocations = operators.into_allocations();
        self.types_known(start)
    }

    /// Fails if a type that was looked at does not exist.
    pub fn types_known(&self, at: usize) -> Result<(), Failure> {
        match self.unknown_type {
            true => Err(Failure::new(at, "unknown type")),
            false => Ok(()),
        }
    }

    #[inline]
    pub fn check_type(&mut self, index: u32) {
        self.unknown_type |= index >= self.types;
    }

    pub fn check_heap_type(&mut self, ty: HeapType) {
        if let HeapType::Concrete(index) | HeapType::Exact(index) = ty {
            match index.as_module_index() {
                Some(index) => self.check_type(index),
                None => self.unknown_type = true,
            }
        }
    }

    pub fn check_reference_type(&mut self, ty: RefType) {
        self.check_heap_type(ty.heap_type());
    }

    pub fn check_value_type(&mut self, ty: ValType) {
        if let ValType::Ref(ty) = ty {
            self.check_reference_type(ty);
        }
    }

    fn check_block_type(&mut self, ty: BlockType) {
        match ty {
            BlockType::Empty => {}
            BlockType::Type(ty) => self.check_value_type(ty),
            BlockType::FuncType(index) => self.check_type(index),
        }
    }

    fn call(&mut self, call: Call) -> Change {
        self.calls.push(call);
        Change::Call((self.calls.len() - 1) as u32)
    }

    fn shared(&self, index: u32) -> Option<(u32, bool)> {
        let memory = self.memories.get(index as usize)?;
        memory.shared.map(|place| (place, memory.memory64)).filter(|_| !self.constant)
    }

    fn grow(&mut self, memory: u32) -> Change {
        match self.shared(memory) {
            Some((place, wide)) => {
                let function = if wide { HostFunction::GrowM64 } else { HostFunction::Grow };
                self.call(Call { function, memory: place, offset: None })
            }
            None => self.indices(&[memory], 0),
        }
    }

    /// An instruction that waits or notifies; `narrow` and `wide` are what takes its place.
    fn wait(&mut self, argument: MemArg, narrow: HostFunction, wide: HostFunction) -> Change {
        // What is not valid stays, for the engine to refuse.
        let valid = |memory64: bool| {
            argument.align == argument.max_align && (memory64 || u32::try_from(argument.offset).is_ok())
        };
        match self.shared(argument.memory) {
            Some((place, memory64)) if valid(memory64) => {
                let function = if memory64 { wide } else { narrow };
                self.call(Call { function, memory: place, offset: Some(argument.offset) })
            }
            _ => self.argument(argument),
        }
    }

    #[inline]
    fn moves(&self, index: u32) -> bool {
        self.moved && !self.constant && self.memories.get(index as usize).is_some_and(|memory| memory.index != index)
    }

    #[inline]
    fn argument(&mut self, argument: MemArg) -> Change {
        if self.moves(argument.memory) { Change::Argument } else { Change::Nothing }
    }

    #[inline]
    fn indices(&mut self, memories: &[u32], skip: u8) -> Change {
        match memories.iter().any(|index| self.moves(*index)) {
            true => Change::Indices { skip, count: memories.len() as u8 },
            false => Change::Nothing,
        }
    }
}

/// What becomes of an instruction, by its name or by the names of its immediates.
macro_rules! change {
    ($self:ident visit_memory_atomic_wait32 $argument:ident) => {
        $self.wait($argument, HostFunction::Wait32, HostFunction::Wait32M64)
    };
    ($self:ident visit_memory_atomic_wait64 $argument:ident) => {
        $self.wait($argument, HostFunction::Wait64, HostFunction::Wait64M64)
    };
    ($self:ident visit_memory_atomic_notify $argument:ident) => {
        $self.wait($argument, HostFunction::Notify, HostFunction::NotifyM64)
    };
    ($self:ident visit_memory_grow $memory:ident) => {
        $self.grow($memory)
    };
    ($self:ident visit_memory_init $data:ident $memory:ident) => {{
        let _ = $data;
        $self.indices(&[$memory], 1)
    }};
    ($self:ident visit_memory_copy $to:ident $from:ident) => {
        $self.indices(&[$to, $from], 0)
    };
    ($self:ident $visit:ident $($immediate:ident)*) => {{
        let change = Change::Nothing;
        $( let change = immediate!($self change $immediate $immediate); )*
        change
    }};
}

/// What an immediate does to its instruction. Every name is listed, so that a new one does not compile before somebody has looked at it.
macro_rules! immediate {
    ($self:ident $change:ident function_index $value:ident) => {{
        let _ = $change;
        Change::Function($value)
    }};
    ($self:ident $change:ident memarg $value:ident) => {{
        let _ = $change;
        $self.argument($value)
    }};
    ($self:ident $change:ident mem $value:ident) => {{
        let _ = $change;
        $self.indices(&[$value], 0)
    }};
    ($self:ident $change:ident type_index $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident struct_type_index $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident array_type_index $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident array_type_index_dst $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident array_type_index_src $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident cont_type_index $value:ident) => { immediate!(check_type $self $change $value) };
    // Of `cont.bind`: both are types.
    ($self:ident $change:ident argument_index $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident result_index $value:ident) => { immediate!(check_type $self $change $value) };
    ($self:ident $change:ident hty $value:ident) => { immediate!(check_heap_type $self $change $value) };
    ($self:ident $change:ident from_ref_type $value:ident) => { immediate!(check_reference_type $self $change $value) };
    ($self:ident $change:ident to_ref_type $value:ident) => { immediate!(check_reference_type $self $change $value) };
    ($self:ident $change:ident ty $value:ident) => { immediate!(check_value_type $self $change $value) };
    ($self:ident $change:ident blockty $value:ident) => { immediate!(check_block_type $self $change $value) };
    ($self:ident $change:ident tys $value:ident) => {{
        $value.into_iter().for_each(|ty| $self.check_value_type(ty));
        $change
    }};
    ($self:ident $change:ident try_table $value:ident) => {{
        $self.check_block_type($value.ty);
        $change
    }};
    ($self:ident $change:ident array_data_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident array_elem_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident array_size $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident data_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident dst_table $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident elem_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident field_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident global_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident lane $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident lanes $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident local_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident ordering $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident relative_depth $value:ident) => { immediate!(ignore $change $value) };
    // Labels and tags.
    ($self:ident $change:ident resume_table $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident src_table $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident table $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident table_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident tag_index $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident targets $value:ident) => { immediate!(ignore $change $value) };
    ($self:ident $change:ident value $value:ident) => { immediate!(ignore $change $value) };
    (ignore $change:ident $value:ident) => {{
        let _ = $value;
        $change
    }};
    ($check:ident $self:ident $change:ident $value:ident) => {{
        $self.$check($value);
        $change
    }};
}

macro_rules! visit {
    ($(@$proposal:ident $op:ident $({ $($immediate:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $immediate: $ty)*)?) -> Change {
                change!(self $visit $($($immediate)*)?)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for Scanner<'_> {
    type Output = Change;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Change>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(visit);
}

impl<'a> VisitSimdOperator<'a> for Scanner<'_> {
    wasmparser::for_each_visit_simd_operator!(visit);
}
