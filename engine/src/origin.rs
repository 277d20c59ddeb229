//! What a program's machine code was made from: kept with the code, so that backtraces show the original.
//!
//! ```text
//! code | version | hash of the description | its size | description | contents of debug information | size of all that | mark
//! ```

use crate::debug_info::{DebugInfo, Place};
use crate::fibers::rewrite as fibers;
use crate::lines::{LineTable, Symbol};
use crate::rewrite::{Damaged, Input, Side, put_unsigned};

/// By default: of a program that was compiled as it is, and has no debug information.
#[derive(Default)]
pub struct Origin {
    /// If it has threads, and was rewritten for that.
    side: Option<Side>,
    /// If it runs on continuations, and was rewritten for that, afterwards.
    fibers: Option<fibers::Side>,
    lines: LineTable,
}

const VERSION: u8 = 4;
const HASH_BYTES: usize = 16;
const MARK: &[u8; 8] = b"weftside";

impl Origin {
    pub fn new(side: Option<Side>, fibers: Option<fibers::Side>, debug_info: DebugInfo) -> Origin {
        Origin { side, fibers, lines: LineTable::new(debug_info) }
    }

    /// Whether it was rewritten for threads, which those with shared memory are.
    pub fn threaded(&self) -> bool {
        self.side.is_some()
    }

    /// What is known about it if it runs on continuations.
    pub fn fibers(&self) -> Option<&fibers::Side> {
        self.fibers.as_ref()
    }

    pub fn without_debug_info(self) -> Origin {
        Origin { lines: LineTable::default(), ..self }
    }

    /// The index that the function has in the original; None if it is not in there.
    pub fn function(&self, index: u32) -> Option<u32> {
        let index = self.fibers.as_ref().map_or(Some(index), |side| side.original_function(index))?;
        self.side.as_ref().map_or(Some(index), |side| side.functions.original(index))
    }

    pub fn offset(&self, offset: u64) -> u64 {
        let offset = self.before_fibers(offset);
        self.side.as_ref().map_or(offset, |side| side.offsets.original(offset))
    }

    /// Of an offset in what was rewritten for continuations, which is the original, or the original rewritten for threads.
    pub fn offset_before_fibers(&self, offset: u64) -> u64 {
        self.side.as_ref().map_or(offset, |side| side.offsets.original(offset))
    }

    fn before_fibers(&self, offset: u64) -> u64 {
        self.fibers.as_ref().map_or(offset, |side| side.offsets.original(offset))
    }

    /// Whether any loop in it only waits for another thread.
    pub fn has_spin_loops(&self) -> bool {
        self.side.as_ref().is_some_and(|side| !side.spins.is_empty())
    }

    /// Whether code at this offset, of the machine code's own module, is in such a loop.
    pub fn spins_at(&self, offset: u64) -> bool {
        let offset = self.before_fibers(offset);
        self.side.as_ref().is_some_and(|side| {
            let offset = side.offsets.original(offset);
            let after = side.spins.partition_point(|(start, _)| u64::from(*start) <= offset);
            after > 0 && offset < u64::from(side.spins[after - 1].1)
        })
    }

    /// What is known about the source at a place in the original. May take as long as `LineTable::frames`.
    pub fn symbols(&self, place: &Place) -> Vec<Symbol> {
        self.lines.frames(place)
    }

    /// Appends it to machine code.
    pub fn append(&self, code: &mut Vec<u8>) {
        let debug_info = self.lines.debug_info();
        let mut description = vec![u8::from(self.side.is_some()) | u8::from(self.fibers.is_some()) << 1];
        if let Some(side) = &self.side {
            side.encode(&mut description);
        }
        if let Some(side) = &self.fibers {
            side.encode(&mut description);
        }
        debug_info.encode(&mut description);
        let before = code.len();
        code.push(VERSION);
        code.extend_from_slice(&hash(&description));
        put_unsigned(code, description.len() as u64);
        code.extend_from_slice(&description);
        // Not hashed, which takes longer than to copy them: whatever they say, they are as harmless as what a guest brings.
        code.extend_from_slice(&debug_info.bytes);
        let size = (code.len() - before) as u64;
        code.extend_from_slice(&size.to_le_bytes());
        code.extend_from_slice(MARK);
    }

    /// Takes it off what `append` made, and leaves the machine code.
    pub fn split(bytes: &[u8]) -> Result<(&[u8], Origin), Damaged> {
        let rest = bytes.strip_suffix(MARK).ok_or(Damaged)?;
        let (rest, size) = rest.split_last_chunk::<8>().ok_or(Damaged)?;
        let size = usize::try_from(u64::from_le_bytes(*size)).map_err(|_| Damaged)?;
        let (code, origin) = rest.split_at_checked(rest.len().wrapping_sub(size)).ok_or(Damaged)?;
        Ok((code, Origin::decode(origin)?))
    }

    fn decode(bytes: &[u8]) -> Result<Origin, Damaged> {
        let (&[version], rest) = bytes.split_first_chunk::<1>().ok_or(Damaged)?;
        let (expected, rest) = rest.split_first_chunk::<HASH_BYTES>().ok_or(Damaged)?;
        let mut input = Input(rest);
        let description = input.bytes()?;
        let contents = input.0;
        if version != VERSION || hash(description) != *expected {
            return Err(Damaged);
        }
        let mut input = Input(description);
        let rewritten = input.unsigned()?;
        if rewritten > 3 {
            return Err(Damaged);
        }
        let side = if rewritten & 1 != 0 { Some(Side::decode(&mut input)?) } else { None };
        let fibers = if rewritten & 2 != 0 { Some(fibers::Side::decode(&mut input)?) } else { None };
        let debug_info = DebugInfo::decode(&mut input, contents)?;
        match input.0 {
            [] => Ok(Origin::new(side, fibers, debug_info)),
            _ => Err(Damaged),
        }
    }
}

fn hash(description: &[u8]) -> [u8; HASH_BYTES] {
    let hash = blake3::hash(description);
    *hash.as_bytes().first_chunk().expect("it has 32 bytes")
}

#[cfg(test)]
mod tests {
    //! Shows that what is kept with machine code comes back as it was, that damage to it is found, and that what cannot be found does no harm.

    use super::*;

    fn appended(origin: &Origin) -> Vec<u8> {
        let mut bytes = b"machine code".to_vec();
        origin.append(&mut bytes);
        bytes
    }

    fn origins() -> [Origin; 4] {
        let text = r#"(module (memory 1 2 shared) (memory 1) (func (drop (memory.grow (i32.const 1)))))"#;
        let side = crate::rewrite::rewrite(&wat::parse_str(text).unwrap()).unwrap().unwrap().side;
        let text = r#"(module (func (export "f") (loop (br 0))))"#;
        let fibers = fibers::rewrite(&wat::parse_str(text).unwrap(), fibers::Kind::Alone).unwrap().side;
        let info = DebugInfo::of(77, &[(".debug_info", &[1, 2, 3]), (".debug_str", &[4, 5])]);
        [
            Origin::default(),
            Origin::new(Some(side.clone()), None, DebugInfo::default()),
            Origin::new(None, Some(fibers.clone()), info.clone()),
            Origin::new(Some(side), Some(fibers), info),
        ]
    }

    #[test]
    fn comes_back_as_it_was() {
        for origin in origins() {
            let bytes = appended(&origin);
            let (code, back) = Origin::split(&bytes).unwrap();
            assert_eq!(code, b"machine code");
            assert_eq!((&back.side, &back.fibers), (&origin.side, &origin.fibers));
            assert_eq!(back.lines.debug_info(), origin.lines.debug_info());
            let without = back.without_debug_info();
            assert_eq!((&without.side, without.lines.debug_info()), (&origin.side, &DebugInfo::default()));
        }
        assert!(Origin::split(b"machine code").is_err());
        let [plain, rewritten, ..] = origins();
        assert_eq!((plain.threaded(), plain.function(5), plain.offset(1000)), (false, Some(5), 1000));
        assert_eq!((rewritten.threaded(), rewritten.function(0)), (true, None));
    }

    #[test]
    fn damage_is_found_or_harmless() {
        for origin in origins() {
            let bytes = appended(&origin);
            let contents = origin.lines.debug_info().bytes.len();
            let contents = bytes.len() - 16 - contents..bytes.len() - 16;
            for end in 0..bytes.len() {
                assert!(Origin::split(&bytes[..end]).is_err());
            }
            for at in b"machine code".len()..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    match Origin::split(&damaged) {
                        Ok((_, found)) => {
                            assert!(contents.contains(&at), "{at}");
                            assert_eq!(found.side, origin.side);
                        }
                        Err(Damaged) => assert!(!contents.contains(&at), "{at}"),
                    }
                }
            }
        }
    }
}
