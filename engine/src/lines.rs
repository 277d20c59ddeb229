//! Which source lines an instruction came from.
//!
//! ```text
//! let lines = LineTable::new(DebugInfo::find(&wasm));
//! for symbol in lines.frames(&place) { ... }
//! ```
//!
//! Debug information is the guest's and as hostile as its code: all look-ups together may do only so much work, each on only so much stack, and what takes more is not found.

use crate::debug_info::{DebugInfo, Place, SECTIONS};
use addr2line::Context;
use addr2line::gimli::{self, LittleEndian, Reader, ReaderOffsetId, Section};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Finds source lines. Any thread; look-ups take turns.
#[derive(Default)]
pub struct LineTable {
    info: DebugInfo,
    data: Arc<Data>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For each module with debug information.
    modules: Vec<Parsed>,
    /// What look-ups took, beyond what each may.
    time: Duration,
}

enum Parsed {
    NotYet,
    Done(Box<Context<Cursor>>),
    /// It is malformed, or asks for too much.
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
    pub fn new(info: DebugInfo) -> LineTable {
        let work = (WORK_MIN + info.bytes.len() as u64 * WORK_PER_BYTE).min(WORK_MAX);
        let data = Arc::new(Data { bytes: info.bytes.clone(), work: AtomicU64::new(work), stack: AtomicU64::new(0) });
        let modules = info.modules.iter().map(|_| Parsed::NotYet).collect();
        LineTable { info, data, state: Mutex::new(State { modules, time: Duration::ZERO }) }
    }

    pub fn debug_info(&self) -> &DebugInfo {
        &self.info
    }

    /// The functions that an instruction belongs to, innermost first: all but the last were inlined into the next. Empty if nothing is known. The first call parses
    /// what debug information there is, which can take milliseconds, with hostile information a second.
    pub fn frames(&self, place: &Place) -> Vec<Symbol> {
        let Some(index) = self.info.module(place) else {
            return Vec::new();
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let Some(parsed) = state.modules.get_mut(index).filter(|parsed| !matches!(parsed, Parsed::Useless)) else {
            return Vec::new();
        };
        let before = thread_time();
        self.data.stack.store(stack_address(), Ordering::Relaxed);
        // No panic is known, but the libraries promise none for bytes like these.
        let found = catch_unwind(AssertUnwindSafe(|| {
            if matches!(parsed, Parsed::NotYet) {
                *parsed = self.parse(index).map_or(Parsed::Useless, |context| Parsed::Done(Box::new(context)));
            }
            match &*parsed {
                Parsed::Done(context) => symbols(context, place.offset - self.info.modules[index].code_start),
                _ => Vec::new(),
            }
        }));
        let found = found.unwrap_or_else(|_| {
            *parsed = Parsed::Useless;
            Vec::new()
        });
        // Not everything that takes time reads something.
        state.time += thread_time().saturating_sub(before).saturating_sub(TIME_PER_LOOK_UP);
        if state.time > TIME_MAX {
            state.modules.clear();
        }
        found
    }

    fn parse(&self, index: usize) -> gimli::Result<Context<Cursor>> {
        let section = |id: gimli::SectionId| -> gimli::Result<Cursor> {
            let known = SECTIONS.iter().position(|name| *name == id.name());
            let range = known.map_or(0..0, |place| self.info.modules[index].sections[place].clone());
            Ok(Cursor { data: self.data.clone(), at: range.start, end: range.end })
        };
        let mut dwarf = gimli::Dwarf::load(section)?;
        check_units(&dwarf)?;
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        Context::from_dwarf(dwarf)
    }
}

fn symbols(context: &Context<Cursor>, address: u64) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else {
        return symbols;
    };
    let mut text_left = TEXT_BYTES_MAX;
    let mut take = |text: &[u8]| {
        text_left = text_left.checked_sub(text.len())?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location.as_ref();
        symbols.push(Symbol {
            function: frame.function.as_ref().and_then(|function| take(function.name.rest())),
            file: location.and_then(|location| location.file).and_then(|file| take(file.as_bytes())),
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
const SYMBOLS_MAX: usize = 64;
/// Names and paths found by one look-up; longer ones are left out.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The work of all look-ups, in reads and bytes searched: what was parsed is kept, so that it is done once. What compilers write needs a tenth for a byte the first
/// time, and less than one in all. It also bounds what is made of the information in memory: the worst known is 28 bytes for each.
const WORK_PER_BYTE: u64 = 2;
const WORK_MIN: u64 = 100_000;
const WORK_MAX: u64 = 16_000_000;
/// What a look-up takes if everything is parsed, with much room.
const TIME_PER_LOOK_UP: Duration = Duration::from_millis(1);
/// What all look-ups of a program may take beyond that, before no more lines are found.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Inlined functions are parsed by recursion. Look-ups run on guests' stacks, where the host has several times this for itself.
const STACK_BYTES_MAX: u64 = 64 << 10;
/// Compilers need about half.
const EMPTY_ATTRIBUTES_MAX: u32 = 24;
/// A few hundred bytes are made of each.
const UNITS_MAX: usize = 100_000;

/// CPU time of this thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it is written to and nothing else; without such a clock it stays as it is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Refuses information with too many units; with tables of abbreviations that overlap, which would be read and kept again and again; and with entries that have too many
/// attributes that take no bytes: nothing is counted when they are read.
fn check_units(dwarf: &gimli::Dwarf<Cursor>) -> gimli::Result<()> {
    let mut checked = BTreeSet::new();
    let mut bytes_left = dwarf.debug_abbrev.reader().len();
    let mut units = dwarf.units();
    let mut count = 0;
    while let Some(unit) = units.next()? {
        count += 1;
        if count > UNITS_MAX {
            return Err(gimli::Error::TooManyIterations);
        }
        let offset = unit.debug_abbrev_offset();
        if !checked.insert(offset.0) {
            continue;
        }
        let mut reader = dwarf.debug_abbrev.reader().clone();
        reader.skip(offset.0)?;
        let before = reader.len();
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
        bytes_left = bytes_left.checked_sub(before - reader.len()).ok_or(gimli::Error::TooManyIterations)?;
    }
    Ok(())
}

/// The contents of all sections, and what may still be done with them.
#[derive(Default)]
struct Data {
    bytes: Arc<Vec<u8>>,
    /// Work that is left. All is done with the table locked; atomic because readers have to be `Send`. Written and read by look-ups, publishes nothing.
    work: AtomicU64,
    /// Where the stack was when the look-up began. As above.
    stack: AtomicU64,
}

impl Data {
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
    //! hand: units with a function `f` each, both from address 0 on, and what each test puts into the function.

    use super::*;

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

    /// A unit of these entries, with the abbreviations at an offset.
    fn unit(abbreviations: u32, entries: &[u8]) -> Vec<u8> {
        let length = (entries.len() as u32 + 7).to_le_bytes();
        [&length[..], &[4, 0], &abbreviations.to_le_bytes(), &[4], entries].concat()
    }

    fn at(offset: u64) -> Place {
        Place { offset, function: 0, function_start: None }
    }

    fn table_of(sections: &[(&str, &[u8])]) -> LineTable {
        LineTable::new(DebugInfo::of(100, sections))
    }

    fn table(abbreviations: &[u8], in_function: &[u8]) -> LineTable {
        let entries = [&UNIT[..], &FUNCTION, in_function, &[0, 0]].concat();
        table_of(&[(".debug_abbrev", abbreviations), (".debug_info", &unit(0, &entries))])
    }

    fn nested(depth: usize) -> Vec<u8> {
        [vec![INLINED; depth], vec![0; depth]].concat()
    }

    #[test]
    fn names_the_function() {
        let found = [Symbol { function: Some("f".to_string()), ..Symbol::default() }];
        for depth in [0, 1, 20] {
            let lines = table(&abbreviations(1), &nested(depth));
            // As often as somebody asks: what was parsed is not parsed again.
            for _ in 0..10_000 {
                assert_eq!(lines.frames(&at(100)), found);
            }
            assert_eq!(lines.frames(&at(5000)), found);
            assert!(lines.frames(&at(99)).is_empty());
            assert!(lines.frames(&at(100 + 0xffff)).is_empty());
        }
        assert!(LineTable::default().frames(&at(7)).is_empty());
    }

    #[test]
    fn survives_hostile_information() {
        // A recursion that would need hundreds of megabytes of stack.
        assert!(table(&abbreviations(0), &nested(500_000)).frames(&at(100)).is_empty());
        // Entries of one byte with a hundred thousand attributes each.
        assert!(table(&abbreviations(100_000), &[INLINED; 100_000]).frames(&at(100)).is_empty());
        // Everything cut off somewhere.
        let whole = abbreviations(1);
        let info = unit(0, &[&UNIT[..], &FUNCTION, &nested(5), &[0, 0]].concat());
        for end in 0..whole.len() {
            table_of(&[(".debug_abbrev", &whole[..end]), (".debug_info", &info)]).frames(&at(100));
        }
        for end in 0..info.len() {
            table_of(&[(".debug_abbrev", &whole), (".debug_info", &info[..end])]).frames(&at(100));
        }
    }

    /// What look-ups took of the thread's time, as they measure it: never more than they may, with room for a slow machine and what is between two looks at the clock.
    fn bounded(lines: &LineTable, look_ups: u32) {
        let start = thread_time();
        for _ in 0..look_ups {
            lines.frames(&at(100));
        }
        let taken = thread_time() - start;
        assert!(taken < Duration::from_secs(10) + TIME_PER_LOOK_UP * look_ups, "{taken:?}");
    }

    #[test]
    fn takes_bounded_time() {
        // Units without number that all are at the address, and have nothing to say.
        let nothing = unit(0, &[&UNIT[..], &[0]].concat());
        bounded(&table_of(&[(".debug_abbrev", &abbreviations(0)), (".debug_info", &nothing.repeat(200_000))]), 10_000);
        bounded(&table_of(&[(".debug_abbrev", &abbreviations(0)), (".debug_info", &nothing.repeat(90_000))]), 10_000);

        // A unit that is at the address millions of times: its ranges, in a list.
        let by_list = [1, 0x11, 1, 0x55, 0x17, 0, 0, 0];
        let info = unit(0, &[1, 0, 0, 0, 0, 0]);
        let list = [&[0, 0, 0, 0, 0xff, 0xff, 0, 0].repeat(3_000_000)[..], &[0; 8]].concat();
        bounded(&table_of(&[(".debug_abbrev", &by_list), (".debug_info", &info), (".debug_ranges", &list)]), 10_000);

        // Tables of abbreviations that are parts of one another.
        let many = (0..200_000).flat_map(|_| [3, 0x1d, 1, 0, 0]).chain([0]).collect::<Vec<u8>>();
        let abbreviations = [abbreviations(0), many].concat();
        let units: Vec<u8> = (0..1000).flat_map(|place| unit(40 + place * 5, &[0])).collect();
        bounded(&table_of(&[(".debug_abbrev", &abbreviations), (".debug_info", &units)]), 1000);
    }

    #[test]
    fn shows_bounded_text() {
        // Functions inlined into each other, each with the whole of a long name.
        let ranges = [0x11, 0x01, 0x12, 0x06, 0, 0];
        let long = vec![b'n'; 1 << 20];
        let by_offset = [
            &[1, 0x11, 1],
            &ranges[..],
            &[2, 0x2e, 1, 0x03, 0x0e],
            &ranges[..],
            &[3, 0x1d, 1, 0x03, 0x0e],
            &ranges,
            &[0],
        ]
        .concat();
        let inlined = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
        for (name, shown) in [(&long[..], 0), (&long[..1000], 30)] {
            let strings = [name, &[0]].concat();
            let entries = [&UNIT[..], &[2, 0, 0, 0, 0], &FUNCTION[3..], &inlined.repeat(29), &[0; 31]].concat();
            let sections =
                [(".debug_abbrev", &by_offset[..]), (".debug_info", &unit(0, &entries)), (".debug_str", &strings)];
            let found = table_of(&sections).frames(&at(100));
            assert_eq!(found.len(), 30);
            assert_eq!(found.iter().filter(|symbol| symbol.function.is_some()).count(), shown);
        }
    }
}
