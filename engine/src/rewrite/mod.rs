//! Rewrites modules with shared memory, so that a guest's thread waits as a task does, and memory grows where it is counted.
//!
//! ```text
//! let rewritten = rewrite::rewrite(&wasm)?;     // None: there is nothing to do
//! compile(&rewritten.wasm); keep(&rewritten.side);
//! ```
//!
//! The engine would block the thread of the operating system in `memory.atomic.wait`, where neither a signal nor the epoch gets it out, and its limits do not see
//! `memory.grow` of a shared memory. So these instructions, and `memory.atomic.notify`, become calls of functions that are imported from `weft_threads`; and a shared
//! memory that the module defines becomes an import, so that all threads of a process can be given the same one. Everything else is copied byte by byte.
//!
//! A module is hostile input: an error is all that can come of one, after time in proportion to its size. Valid modules stay valid and invalid ones invalid, with
//! one exception: a module that is at one of the engine's limits, for functions, types, imports or a function's size, may be beyond it afterwards.

mod code;
#[cfg(test)]
pub(crate) mod compare;
mod custom;
mod edit;
mod offsets;
mod scan;
mod sections;
mod side;
mod spins;
#[cfg(test)]
mod tests;

pub use edit::{put_string, put_unsigned};
pub use offsets::OffsetMap;
pub use side::{Damaged, FunctionMap, Input, SharedMemory, Side};

use code::Code;
use scan::Scanner;
use sections::Section;
use std::fmt;
use wasmparser::{BinaryReader, BinaryReaderError, MemoryType, TypeRef};

/// The module that all added imports come from. No guest may import from it.
pub const IMPORT_MODULE: &str = "weft_threads";

/// A module with its shared memories outside, and what is known about it.
#[derive(Clone, Debug)]
pub struct Rewritten {
    pub wasm: Vec<u8>,
    pub side: Side,
}

/// Why a module was not rewritten. It must not run as it is, even if the engine accepts it: it could keep a thread for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// Where in the file.
    pub offset: usize,
}

impl Failure {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> Failure {
        Failure { message: message.into(), offset }
    }
}

impl From<BinaryReaderError> for Failure {
    fn from(error: BinaryReaderError) -> Failure {
        Failure::new(error.offset(), error.message())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (at offset {:#x})", self.message, self.offset)
    }
}

impl std::error::Error for Failure {}

/// A function that takes an instruction's place. The last parameter of each is the memory, by its place in `Side::memories`; `M64` are those for
/// memories whose addresses have 64 bits, as which (address) and (pages) then come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFunction {
    /// (address, expected: i32, timeout in ns: i64, offset: i64, memory: i32) → i32
    Wait32,
    /// (address, expected: i64, timeout in ns: i64, offset: i64, memory: i32) → i32
    Wait64,
    /// (address, count: i32, offset: i64, memory: i32) → i32
    Notify,
    /// (pages, memory: i32) → pages before, or -1
    Grow,
    Wait32M64,
    Wait64M64,
    NotifyM64,
    GrowM64,
}

const I32: u8 = 0x7f;
const I64: u8 = 0x7e;

impl HostFunction {
    pub const ALL: [HostFunction; 8] = [
        HostFunction::Wait32,
        HostFunction::Wait64,
        HostFunction::Notify,
        HostFunction::Grow,
        HostFunction::Wait32M64,
        HostFunction::Wait64M64,
        HostFunction::NotifyM64,
        HostFunction::GrowM64,
    ];

    /// What it is called as an import.
    pub fn name(self) -> &'static str {
        match self {
            HostFunction::Wait32 => "wait32",
            HostFunction::Wait64 => "wait64",
            HostFunction::Notify => "notify",
            HostFunction::Grow => "grow",
            HostFunction::Wait32M64 => "wait32_m64",
            HostFunction::Wait64M64 => "wait64_m64",
            HostFunction::NotifyM64 => "notify_m64",
            HostFunction::GrowM64 => "grow_m64",
        }
    }

    /// Parameters and result, as the binary format has them.
    fn signature(self) -> (&'static [u8], u8) {
        match self {
            HostFunction::Wait32 => (&[I32, I32, I64, I64, I32], I32),
            HostFunction::Wait64 => (&[I32, I64, I64, I64, I32], I32),
            HostFunction::Notify => (&[I32, I32, I64, I32], I32),
            HostFunction::Grow => (&[I32, I32], I32),
            HostFunction::Wait32M64 => (&[I64, I32, I64, I64, I32], I32),
            HostFunction::Wait64M64 => (&[I64, I64, I64, I64, I32], I32),
            HostFunction::NotifyM64 => (&[I64, I32, I64, I32], I32),
            HostFunction::GrowM64 => (&[I64, I32], I64),
        }
    }
}

/// A memory of the original, which has its index there.
struct Memory {
    /// Its place among the shared ones.
    shared: Option<u32>,
    memory64: bool,
    /// Its index in the rewritten module.
    index: u32,
}

/// The module with its shared memories and what waits on them outside; None if it has no shared memory. Any thread.
pub fn rewrite(wasm: &[u8]) -> Result<Option<Rewritten>, Failure> {
    if !has_shared_memory(wasm)? {
        return Ok(None);
    }
    // Offsets are kept in 32 bits, as the engine does.
    if u32::try_from(wasm.len()).is_err() {
        return Err(Failure::new(0, "larger than 4 GiB"));
    }
    let sections: Vec<Section> = Section::all(wasm)?.collect::<Result<_, _>>()?;
    sections::check_order(&sections)?;
    let module = Module::read(wasm, &sections)?;
    let rewritten = module.write(wasm, &sections)?;
    if u32::try_from(rewritten.wasm.len()).is_err() {
        return Err(Failure::new(0, "larger than 4 GiB when rewritten"));
    }
    Ok(Some(rewritten))
}

/// Whether there is anything to rewrite. Looks at imports and memories only. Any thread.
pub fn has_shared_memory(wasm: &[u8]) -> Result<bool, Failure> {
    for section in Section::all(wasm)? {
        let section = section?;
        let mut shared = false;
        match section.id {
            sections::IMPORT => {
                for import in wasmparser::ImportSectionReader::new(section.reader(wasm))?.into_imports() {
                    shared |= matches!(import?.ty, TypeRef::Memory(memory) if memory.shared);
                }
            }
            sections::MEMORY => {
                for memory in wasmparser::MemorySectionReader::new(section.reader(wasm))? {
                    shared |= memory?.shared;
                }
            }
            _ => {}
        }
        if shared {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the sections say of each other's indices, in the original and in the rewritten module.
struct Module {
    types: u32,
    memories: Vec<Memory>,
    shared: Vec<SharedMemory>,
    /// How many of `shared` were defined and become imports.
    defined_shared: u32,
    code: Code,
    calls: Vec<scan::Call>,
    /// The imports to add, in this order.
    added: Vec<HostFunction>,
    functions: FunctionMap,
}

impl Module {
    fn read(wasm: &[u8], sections: &[Section]) -> Result<Module, Failure> {
        let mut module = Module {
            types: 0,
            memories: Vec::new(),
            shared: Vec::new(),
            defined_shared: 0,
            code: Code::default(),
            calls: Vec::new(),
            added: Vec::new(),
            functions: FunctionMap::default(),
        };
        let mut code = None;
        let mut defined = Vec::new();
        for section in sections {
            let reader = section.reader(wasm);
            match section.id {
                sections::TYPE => {
                    for group in wasmparser::TypeSectionReader::new(reader)? {
                        module.types = module.types.saturating_add(group?.into_types().len() as u32);
                    }
                }
                sections::IMPORT => module.read_imports(reader)?,
                sections::MEMORY => {
                    for memory in wasmparser::MemorySectionReader::new(reader)? {
                        defined.push(memory?);
                    }
                }
                sections::CODE => code = Some(section),
                _ => {}
            }
        }
        module.place(&defined);
        if let Some(section) = code {
            let mut scanner = Scanner::new(&module.memories, module.types);
            module.code = Code::scan(wasm, section, &mut scanner)?;
            module.calls = scanner.calls;
        }
        let used = |function: &HostFunction| module.calls.iter().any(|call| call.function == *function);
        module.added = HostFunction::ALL.into_iter().filter(used).collect();
        module.functions.added = module.added.len() as u32;
        Ok(module)
    }

    fn read_imports(&mut self, reader: BinaryReader<'_>) -> Result<(), Failure> {
        for import in wasmparser::ImportSectionReader::new(reader)?.into_imports_with_offsets() {
            let (at, import) = import?;
            if import.module == IMPORT_MODULE {
                return Err(Failure::new(at, format!("imports from \"{IMPORT_MODULE}\", which is not for guests")));
            }
            match import.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions.imported += 1,
                TypeRef::Memory(ty) => self.add_memory(&ty, import.module, Some(import.name)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a memory, in the order of the original; without a `name` it is a defined one.
    fn add_memory(&mut self, ty: &MemoryType, module: &str, name: Option<&str>) {
        let place = self.shared.len() as u32;
        if ty.shared {
            self.shared.push(SharedMemory {
                module: module.to_string(),
                name: name.map_or_else(|| format!("memory{place}"), str::to_string),
                minimum: ty.initial,
                maximum: ty.maximum,
                memory64: ty.memory64,
                page_size_log2: ty.page_size_log2,
            });
        }
        let index = self.memories.len() as u32;
        self.memories.push(Memory { shared: ty.shared.then_some(place), memory64: ty.memory64, index });
    }

    /// Adds the memories that the original defines, and gives them their new indices: the shared ones come first, as they are imports.
    fn place(&mut self, defined: &[MemoryType]) {
        let imported = self.memories.len();
        for ty in defined {
            self.add_memory(ty, IMPORT_MODULE, None);
        }
        let mut next = imported as u32;
        for shared in [true, false] {
            for memory in &mut self.memories[imported..] {
                if memory.shared.is_some() == shared {
                    memory.index = next;
                    next += 1;
                }
            }
            if shared {
                self.defined_shared = next - imported as u32;
            }
        }
    }

    fn memories_move(&self) -> bool {
        self.memories.iter().enumerate().any(|(index, memory)| memory.index != index as u32)
    }

    /// The new index of a function.
    fn function(&self, index: u32, at: usize) -> Result<u32, Failure> {
        self.functions.rewritten(index).ok_or_else(|| Failure::new(at, "unknown function"))
    }

    /// The new index of a memory; one that does not exist stays one that does not exist.
    fn memory(&self, index: u32) -> u32 {
        self.memories.get(index as usize).map_or(index, |memory| memory.index)
    }

    /// The types of the added functions, each a group of its own.
    fn added_types(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for function in &self.added {
            let (parameters, result) = function.signature();
            out.push(0x60);
            put_unsigned(&mut out, parameters.len() as u64);
            out.extend_from_slice(parameters);
            out.extend_from_slice(&[1, result]);
        }
        out
    }

    fn added_imports(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (place, function) in self.added.iter().enumerate() {
            put_string(&mut out, IMPORT_MODULE);
            put_string(&mut out, function.name());
            out.push(0);
            put_unsigned(&mut out, u64::from(self.types) + place as u64);
        }
        for memory in &self.shared[self.shared.len() - self.defined_shared as usize..] {
            put_string(&mut out, &memory.module);
            put_string(&mut out, &memory.name);
            let flag = |set: bool, bit: u8| if set { bit } else { 0 };
            let limits = flag(memory.maximum.is_some(), 1) | flag(memory.memory64, 4);
            const SHARED: u8 = 2;
            out.extend_from_slice(&[2, limits | SHARED | flag(memory.page_size_log2.is_some(), 8)]);
            put_unsigned(&mut out, memory.minimum);
            if let Some(maximum) = memory.maximum {
                put_unsigned(&mut out, maximum);
            }
            if let Some(log2) = memory.page_size_log2 {
                put_unsigned(&mut out, log2.into());
            }
        }
        out
    }
}
