//! What is known about a rewritten module beside its code.

use super::edit::{put_string, put_unsigned};
use super::offsets::OffsetMap;
use std::fmt;

/// What is kept beside the machine code of a rewritten module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The shared memories, all of which are imports now. Their order is what the added imports call `memory`.
    pub memories: Vec<SharedMemory>,
    pub functions: FunctionMap,
    pub offsets: OffsetMap,
    /// Loops that only wait for another thread, by offsets in the original; in order, not nested.
    pub spins: Vec<(u32, u32)>,
}

/// A shared memory as the rewritten module imports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    /// `IMPORT_MODULE` if the original defined it.
    pub module: String,
    pub name: String,
    /// In pages. Not checked: the engine checks types.
    pub minimum: u64,
    pub maximum: Option<u64>,
    /// Addresses have 64 bits.
    pub memory64: bool,
    /// None: pages of 64 KiB.
    pub page_size_log2: Option<u32>,
}

/// How the indices of functions moved: imports were added after the original's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionMap {
    pub(super) imported: u32,
    pub(super) added: u32,
}

impl FunctionMap {
    /// The index in the original of the function that has `index` in the rewritten module; None for imports that were added.
    pub fn original(&self, index: u32) -> Option<u32> {
        match index.checked_sub(self.imported) {
            None => Some(index),
            Some(place) => place.checked_sub(self.added).map(|place| self.imported + place),
        }
    }

    /// The index in the rewritten module.
    pub(super) fn rewritten(&self, index: u32) -> Option<u32> {
        if index < self.imported { Some(index) } else { index.checked_add(self.added) }
    }
}

/// The encoded form is not what was written, or not of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("what describes the code is damaged or of another version")
    }
}

impl std::error::Error for Damaged {}

const WIDE: u64 = 1;
const BOUNDED: u64 = 2;
const PAGED: u64 = 4;

impl Side {
    /// Appends the encoded form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.functions.imported.into());
        put_unsigned(out, self.functions.added.into());
        put_unsigned(out, self.memories.len() as u64);
        for memory in &self.memories {
            memory.encode(out);
        }
        self.offsets.encode(out);
        put_unsigned(out, self.spins.len() as u64);
        let mut before = 0;
        for (start, end) in &self.spins {
            put_unsigned(out, u64::from(start.wrapping_sub(before)));
            put_unsigned(out, u64::from(end - start));
            before = *start;
        }
    }

    /// Reads what `encode` wrote.
    pub fn decode(input: &mut Input<'_>) -> Result<Side, Damaged> {
        let functions = FunctionMap { imported: input.u32()?, added: input.u32()? };
        let mut memories = Vec::new();
        for _ in 0..input.unsigned()? {
            memories.push(SharedMemory::decode(input)?);
        }
        let offsets = OffsetMap::decode(input)?;
        let mut spins = Vec::new();
        let mut before = 0u32;
        for _ in 0..input.unsigned()? {
            let start = before.checked_add(input.u32()?).ok_or(Damaged)?;
            spins.push((start, start.checked_add(input.u32()?).ok_or(Damaged)?));
            before = start;
        }
        Ok(Side { memories, functions, offsets, spins })
    }
}

impl SharedMemory {
    fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, &self.module);
        put_string(out, &self.name);
        let flag = |set: bool, bit: u64| if set { bit } else { 0 };
        let bounded = flag(self.maximum.is_some(), BOUNDED);
        put_unsigned(out, flag(self.memory64, WIDE) | bounded | flag(self.page_size_log2.is_some(), PAGED));
        put_unsigned(out, self.minimum);
        if let Some(maximum) = self.maximum {
            put_unsigned(out, maximum);
        }
        if let Some(log2) = self.page_size_log2 {
            put_unsigned(out, log2.into());
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<SharedMemory, Damaged> {
        let (module, name, flags) = (input.string()?, input.string()?, input.unsigned()?);
        if flags & !(WIDE | BOUNDED | PAGED) != 0 {
            return Err(Damaged);
        }
        let minimum = input.unsigned()?;
        let maximum = if flags & BOUNDED != 0 { Some(input.unsigned()?) } else { None };
        let page_size_log2 = if flags & PAGED != 0 { Some(input.u32()?) } else { None };
        Ok(SharedMemory { module, name, minimum, maximum, memory64: flags & WIDE != 0, page_size_log2 })
    }
}

/// What is left to decode.
pub struct Input<'b>(pub &'b [u8]);

impl<'b> Input<'b> {
    pub fn unsigned(&mut self) -> Result<u64, Damaged> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Damaged)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Damaged);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.unsigned()?.try_into().map_err(|_| Damaged)
    }

    /// As many as the number before them says.
    pub fn bytes(&mut self) -> Result<&'b [u8], Damaged> {
        let size = usize::try_from(self.unsigned()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(size).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn string(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Damaged)
    }
}
