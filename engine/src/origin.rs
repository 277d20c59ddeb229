//! What the code of a rewritten module was made from, so that its backtraces show that and not what was made of it.

use crate::lines::LineTable;
use crate::rewrite::Side;
use std::sync::OnceLock;

pub struct Origin {
    side: Side,
    /// Read from the debug information when the first backtrace asks.
    lines: OnceLock<LineTable>,
}

impl Origin {
    pub fn new(side: Side) -> Origin {
        Origin { side, lines: OnceLock::new() }
    }

    pub fn side(&self) -> &Side {
        &self.side
    }

    /// The index that the function has in the original; None if it is not in there.
    pub fn function(&self, index: u32) -> Option<u32> {
        self.side.functions.original(index)
    }

    pub fn offset(&self, offset: u64) -> u64 {
        self.side.offsets.original(offset)
    }

    /// What is known about the source at an offset of the original.
    pub fn lines(&self) -> &LineTable {
        self.lines.get_or_init(|| LineTable::new(self.side.dwarf.clone()))
    }
}
