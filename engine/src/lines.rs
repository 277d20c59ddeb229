//! Which source lines an instruction came from, for modules whose debug information the engine does not have because they were rewritten.
//!
//! ```text
//! let lines = LineTable::new(side.dwarf);
//! for symbol in lines.frames(side.offsets.original(offset)) { ... }
//! ```
//!
//! Debug information is the guest's and as hostile as its code: every look-up may do only so much work, on only so much stack, and one that asks for more finds nothing.

use crate::rewrite::Dwarf;
use addr2line::Context;
use addr2line::gimli::{self, LittleEndian, Reader, ReaderOffsetId, Section};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Finds source lines. Any thread; look-ups take turns.
pub struct LineTable {
    code_start: u64,
    data: Arc<Data>,
    /// Where each section is in the data.
    sections: Vec<(String, Range<usize>)>,
    state: Mutex<State>,
}

enum State {
    NotParsed,
    Parsed(Box<Context<Cursor>>),
    /// There is nothing to find, or it is malformed.
    Useless,
}

/// A function that an instruction belongs to, and where in its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// As the linker knows it.
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

impl LineTable {
    /// Parses nothing yet.
    pub fn new(dwarf: Dwarf) -> LineTable {
        let mut bytes = Vec::with_capacity(dwarf.sections.iter().map(|(_, content)| content.len()).sum());
        let mut sections = Vec::new();
        for (name, content) in dwarf.sections {
            let start = bytes.len();
            bytes.extend_from_slice(&content);
            sections.push((name, start..bytes.len()));
        }
        let state = if bytes.is_empty() { State::Useless } else { State::NotParsed };
        let data = Arc::new(Data { bytes, work: AtomicU64::new(0), stack: AtomicU64::new(0) });
        LineTable { code_start: dwarf.code_start, data, sections, state: Mutex::new(state) }
    }

    /// The functions that the instruction at `offset` in the original file belongs to, innermost first: all but the last were inlined into the
    /// next. Empty if nothing is known. The first call parses what debug information there is, which can take milliseconds.
    pub fn frames(&self, offset: u64) -> Vec<Symbol> {
        let Some(address) = offset.checked_sub(self.code_start) else {
            return Vec::new();
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Useless) {
            return Vec::new();
        }
        self.data.allow((WORK_MIN + self.data.bytes.len() as u64 * WORK_PER_BYTE).min(WORK_MAX));
        // No panic is known, but the libraries promise none for bytes like these.
        let found = catch_unwind(AssertUnwindSafe(|| {
            if matches!(*state, State::NotParsed) {
                *state = self.parse().map_or(State::Useless, |context| State::Parsed(Box::new(context)));
            }
            match &*state {
                State::Parsed(context) => symbols(context, address),
                _ => Vec::new(),
            }
        }));
        found.unwrap_or_else(|_| {
            *state = State::Useless;
            Vec::new()
        })
    }

    fn parse(&self) -> gimli::Result<Context<Cursor>> {
        let section = |id: gimli::SectionId| -> gimli::Result<Cursor> {
            let known = self.sections.iter().find(|(name, _)| name == id.name());
            let range = known.map_or(0..0, |(_, range)| range.clone());
            Ok(Cursor { data: self.data.clone(), at: range.start, end: range.end })
        };
        let mut dwarf = gimli::Dwarf::load(section)?;
        check_abbreviations(&dwarf)?;
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        Context::from_dwarf(dwarf)
    }
}

fn symbols(context: &Context<Cursor>, address: u64) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else {
        return symbols;
    };
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location.as_ref();
        symbols.push(Symbol {
            function: frame.function.as_ref().and_then(|name| name.raw_name().ok()).map(Cow::into_owned),
            file: location.and_then(|location| location.file).map(str::to_string),
            line: location.and_then(|location| location.line),
            column: location.and_then(|location| location.column),
        });
        if symbols.len() == SYMBOLS_MAX {
            break;
        }
    }
    symbols
}

/// More inlined functions than this at one place are not shown.
const SYMBOLS_MAX: usize = 256;
/// The work of a look-up, in reads and bytes searched. What compilers write needs about one for a byte, and most of that once.
const WORK_PER_BYTE: u64 = 4;
const WORK_MIN: u64 = 100_000;
/// Less than a second.
const WORK_MAX: u64 = 100_000_000;
/// Inlined functions are parsed by recursion. Look-ups run on guests' stacks, where the host has several times this for itself.
const STACK_BYTES_MAX: u64 = 64 << 10;
/// Compilers need about half.
const EMPTY_ATTRIBUTES_MAX: u32 = 24;

/// Refuses information whose entries have too many attributes that take no bytes: nothing is counted when they are read.
fn check_abbreviations(dwarf: &gimli::Dwarf<Cursor>) -> gimli::Result<()> {
    let mut checked = BTreeSet::new();
    let mut units = dwarf.units();
    while let Some(unit) = units.next()? {
        let offset = unit.debug_abbrev_offset();
        if !checked.insert(offset.0) {
            continue;
        }
        let mut reader = dwarf.debug_abbrev.reader().clone();
        reader.skip(offset.0)?;
        while reader.read_uleb128()? != 0 {
            reader.read_uleb128()?;
            reader.read_u8()?;
            let mut empty = 0;
            loop {
                match (reader.read_uleb128()?, reader.read_uleb128_u16().map(gimli::DwForm)?) {
                    (0, gimli::DwForm(0)) => break,
                    (_, gimli::DW_FORM_implicit_const) => {
                        reader.read_sleb128()?;
                        empty += 1;
                    }
                    (_, gimli::DW_FORM_flag_present) => empty += 1,
                    _ => {}
                }
                if empty > EMPTY_ATTRIBUTES_MAX {
                    return Err(gimli::Error::TooManyIterations);
                }
            }
        }
    }
    Ok(())
}

/// The sections, one after the other, and what may still be done with them.
struct Data {
    bytes: Vec<u8>,
    /// Work that is left. All is done with the table locked; atomic because readers have to be `Send`. Written and read by the look-up, publishes nothing.
    work: AtomicU64,
    /// Where the stack was when the look-up began. As above.
    stack: AtomicU64,
}

impl Data {
    fn allow(&self, work: u64) {
        self.work.store(work, Ordering::Relaxed);
        self.stack.store(stack_address(), Ordering::Relaxed);
    }

    /// Fails if there was too much of it.
    #[inline]
    fn work(&self, amount: usize) -> gimli::Result<()> {
        let left = self.work.load(Ordering::Relaxed);
        let deep = self.stack.load(Ordering::Relaxed).abs_diff(stack_address()) > STACK_BYTES_MAX;
        match left.checked_sub(amount as u64 + 1) {
            Some(left) if !deep => {
                self.work.store(left, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(gimli::Error::Io),
        }
    }
}

/// About where the stack ends now.
#[inline]
fn stack_address() -> u64 {
    let here = 0u8;
    std::hint::black_box(&raw const here).addr() as u64
}

/// A reader that counts what it does.
#[derive(Clone)]
struct Cursor {
    data: Arc<Data>,
    at: usize,
    end: usize,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}..{}", self.at, self.end)
    }
}

impl Cursor {
    fn rest(&self) -> &[u8] {
        &self.data.bytes[self.at..self.end]
    }

    fn too_short(&self) -> gimli::Error {
        gimli::Error::UnexpectedEof(self.offset_id())
    }
}

impl Reader for Cursor {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.end - self.at
    }

    fn empty(&mut self) {
        self.at = self.end;
    }

    fn truncate(&mut self, len: usize) -> gimli::Result<()> {
        self.data.work(0)?;
        if self.len() < len {
            return Err(self.too_short());
        }
        self.end = self.at + len;
        Ok(())
    }

    fn offset_from(&self, base: &Cursor) -> usize {
        self.at.saturating_sub(base.at)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.at as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let at = usize::try_from(id.0).ok()?;
        (self.at..=self.end).contains(&at).then(|| at - self.at)
    }

    fn find(&self, byte: u8) -> gimli::Result<usize> {
        let found = self.rest().iter().position(|found| *found == byte);
        self.data.work(found.unwrap_or(self.len()))?;
        found.ok_or_else(|| self.too_short())
    }

    fn skip(&mut self, len: usize) -> gimli::Result<()> {
        self.data.work(0)?;
        if self.len() < len {
            return Err(self.too_short());
        }
        self.at += len;
        Ok(())
    }

    fn split(&mut self, len: usize) -> gimli::Result<Cursor> {
        let mut first = self.clone();
        first.truncate(len)?;
        self.at += len;
        Ok(first)
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        self.data.work(self.len())?;
        Ok(self.rest().into())
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        self.data.work(self.len())?;
        std::str::from_utf8(self.rest()).map(Cow::Borrowed).map_err(|_| gimli::Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        self.data.work(self.len())?;
        Ok(String::from_utf8_lossy(self.rest()))
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> gimli::Result<()> {
        self.data.work(0)?;
        let bytes = self.rest().get(..buffer.len()).ok_or_else(|| self.too_short())?;
        buffer.copy_from_slice(bytes);
        self.at += buffer.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Shows that lines are found where debug information is sound, and that hostile information costs little and nobody's stack. Written by
    //! hand: a unit and a function `f`, both from address 0 on, and what each test puts into the function.

    use super::*;
    use std::time::{Duration, Instant};

    const INLINED: u8 = 3;
    const UNIT: [u8; 9] = [1, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
    const FUNCTION: [u8; 11] = [2, b'f', 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];

    /// What entries 1 (unit), 2 (function) and 3 (inlined function) look like; the last has `empty` flags.
    fn abbreviations(empty: usize) -> Vec<u8> {
        let range = [0x11, 0x01, 0x12, 0x06, 0, 0];
        let mut out = [&[1, 0x11, 1], &range[..], &[2, 0x2e, 1, 0x03, 0x08], &range[..], &[3, 0x1d, 1]].concat();
        out.extend([0x3f, 0x19].repeat(empty));
        out.extend([0, 0, 0]);
        out
    }

    fn table(abbreviations: Vec<u8>, in_function: &[u8]) -> LineTable {
        let entries = [&UNIT[..], &FUNCTION, in_function, &[0, 0]].concat();
        let header = [&(entries.len() as u32 + 7).to_le_bytes()[..], &[4, 0, 0, 0, 0, 0, 4]].concat();
        let info = [header, entries].concat();
        let sections = vec![(".debug_abbrev".to_string(), abbreviations), (".debug_info".to_string(), info)];
        LineTable::new(Dwarf { code_start: 100, sections })
    }

    fn nested(depth: usize) -> Vec<u8> {
        [vec![INLINED; depth], vec![0; depth]].concat()
    }

    #[test]
    fn names_the_function() {
        let found = [Symbol { function: Some("f".to_string()), ..Symbol::default() }];
        for depth in [0, 1, 20] {
            let lines = table(abbreviations(1), &nested(depth));
            assert_eq!(lines.frames(100), found);
            assert_eq!(lines.frames(5000), found);
            assert!(lines.frames(99).is_empty());
            assert!(lines.frames(100 + 0xffff).is_empty());
        }
        assert!(LineTable::new(Dwarf::default()).frames(7).is_empty());
    }

    #[test]
    fn survives_hostile_information() {
        let start = Instant::now();
        // A recursion that would need hundreds of megabytes of stack.
        assert!(table(abbreviations(0), &nested(500_000)).frames(100).is_empty());
        // Entries of one byte with a hundred thousand attributes each.
        assert!(table(abbreviations(100_000), &[INLINED; 100_000]).frames(100).is_empty());
        // Everything cut off somewhere.
        let whole = table(abbreviations(1), &nested(5));
        for (name, range) in &whole.sections {
            for end in range.clone() {
                let content = |(known, range): &(String, Range<usize>)| {
                    let end = if known == name { end } else { range.end };
                    (known.clone(), whole.data.bytes[range.start..end].to_vec())
                };
                let sections = whole.sections.iter().map(content).collect();
                LineTable::new(Dwarf { code_start: 0, sections }).frames(0);
            }
        }
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
