//! Copying bytes with changes in between, and LEB128 numbers that keep their size where they can.

/// How many bytes the LEB128 number has that starts at `at`.
pub fn width(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    rest.iter().position(|byte| byte & 0x80 == 0).map_or(rest.len(), |last| last + 1)
}

/// Appends `value` in `width` bytes, or in more if it does not fit.
pub fn put_padded(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let mut written = 1;
    while value >= 0x80 || written < width {
        out.push(value as u8 | 0x80);
        value >>= 7;
        written += 1;
    }
    out.push(value as u8);
}

pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_signed(out: &mut Vec<u8>, mut value: i64) {
    // The sixth bit of the last byte is the sign.
    while !(-0x40..0x40).contains(&value) {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}

pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Copies a part of a module, front to back, with changes.
pub struct Editor<'w> {
    wasm: &'w [u8],
    /// What is before was copied or replaced.
    copied: usize,
    pub out: Vec<u8>,
}

impl<'w> Editor<'w> {
    /// Starts copying at `from`.
    pub fn new(wasm: &'w [u8], from: usize) -> Editor<'w> {
        Editor { wasm, copied: from, out: Vec::new() }
    }

    /// Starts over at `from`, with nothing written.
    pub fn restart(&mut self, from: usize) {
        self.copied = from;
        self.out.clear();
    }

    /// Copies everything up to `to`.
    pub fn copy_to(&mut self, to: usize) {
        self.out.extend_from_slice(&self.wasm[self.copied..to]);
        self.copied = to;
    }

    /// Leaves out everything up to `to`.
    pub fn skip_to(&mut self, to: usize) {
        self.copied = to;
    }

    /// Copies up to the number at `at` and replaces that, in its size if possible.
    pub fn replace_index(&mut self, at: usize, value: u32) {
        self.copy_to(at);
        let width = width(self.wasm, at);
        put_padded(&mut self.out, value, width);
        self.copied = at + width;
    }
}
