//! The code section: found once, written once, copied where nothing changes.

use super::edit::{Editor, put_padded, put_signed, put_unsigned, width};
use super::offsets::OffsetMap;
use super::scan::{Change, Scanner, Site};
use super::sections::Section;
use super::{Failure, Module, spins};
use wasmparser::BinaryReader;

/// The engine's limit. A body above it must not come below it by being rewritten.
const BODY_BYTES_MAX: usize = 7_654_321;

/// What changes in the code section.
#[derive(Default)]
pub struct Code {
    bodies: Vec<Body>,
    sites: Vec<Site>,
    /// Loops that only wait for another thread, by offsets in the original.
    pub spins: Vec<spins::Loop>,
}

struct Body {
    /// Offset of its size.
    at: u32,
    /// Offset of its locals.
    start: u32,
    end: u32,
    /// The end of its sites.
    sites: u32,
}

/// The rewritten code section.
#[derive(Default)]
pub struct Written {
    pub content: Vec<u8>,
    /// From offsets in the content to offsets in the original file.
    pub offsets: OffsetMap,
}

impl Code {
    pub fn scan(wasm: &[u8], section: &Section, scanner: &mut Scanner<'_>) -> Result<Code, Failure> {
        let mut code = Code::default();
        let mut reader = section.reader(wasm);
        for _ in 0..reader.read_var_u32()? {
            let at = reader.original_position() as u32;
            let body = reader.read_reader()?;
            let range = body.range();
            if range.len() > BODY_BYTES_MAX {
                return Err(Failure::new(range.start, "a function is too large"));
            }
            scanner.body(body.clone(), &mut code.sites)?;
            spins::find(wasm, body, &mut code.spins)?;
            let sites = code.sites.len() as u32;
            code.bodies.push(Body { at, start: range.start as u32, end: range.end as u32, sites });
        }
        match reader.eof() {
            true => Ok(code),
            false => Err(Failure::new(reader.original_position(), "there is more after the last function")),
        }
    }

    /// Where the locals of the defined function `index` start, which is where offsets within functions start.
    pub fn body_start(&self, index: u32) -> Option<u32> {
        self.bodies.get(index as usize).map(|body| body.start)
    }

    /// Writes the section's content, for functions and memories as `module` has them.
    pub fn write(&self, module: &Module, wasm: &[u8], section: &Section) -> Result<Written, Failure> {
        let start = section.content.start;
        let mut written = Written::default();
        let out = &mut written.content;
        out.reserve(section.content.len() + section.content.len() / 16);
        let first = self.bodies.first().map_or(section.content.end, |body| body.at as usize);
        out.extend_from_slice(&wasm[start..first]);
        written.offsets.go_on(0, start as u32);
        let mut editor = Editor::new(wasm, 0);
        let mut offsets = OffsetMap::default();
        let mut site = 0;
        for body in &self.bodies {
            let sites = &self.sites[site..body.sites as usize];
            site = body.sites as usize;
            editor.restart(body.start as usize);
            offsets.clear();
            offsets.go_on(0, 0);
            for site in sites {
                self.change(module, wasm, site, &mut editor, body.start, &mut offsets)?;
            }
            editor.copy_to(body.end as usize);
            let size = u32::try_from(editor.out.len());
            let size = size.map_err(|_| Failure::new(body.start as usize, "a function is too large when rewritten"))?;
            put_padded(out, size, (body.start - body.at) as usize);
            let base = u32::try_from(out.len());
            let base = base.map_err(|_| Failure::new(body.start as usize, "larger than 4 GiB when rewritten"))?;
            written.offsets.append(&offsets, base, body.start);
            out.extend_from_slice(&editor.out);
        }
        Ok(written)
    }

    /// Copies up to `site` and writes what takes its place. Offsets are relative to the body, at `start`.
    fn change(
        &self,
        module: &Module,
        wasm: &[u8],
        site: &Site,
        editor: &mut Editor<'_>,
        start: u32,
        offsets: &mut OffsetMap,
    ) -> Result<(), Failure> {
        let at = site.at as usize;
        match site.change {
            Change::Nothing => return Ok(()),
            Change::Function(index) => {
                let new = module.function(index, at)?;
                if new == index {
                    return Ok(());
                }
                editor.replace_index(at + 1, new);
            }
            Change::Call(index) => {
                let call = module.calls[index as usize];
                editor.copy_to(at);
                offsets.replaced(editor.out.len() as u32, site.at - start);
                let out = &mut editor.out;
                if let Some(offset) = call.offset {
                    out.push(0x42); // i64.const
                    put_signed(out, offset.cast_signed());
                }
                out.push(0x41); // i32.const
                put_signed(out, call.memory.into());
                out.push(0x10); // call
                let place = module.added.iter().position(|function| *function == call.function).unwrap_or_default();
                put_unsigned(out, u64::from(module.functions.imported) + place as u64);
                editor.skip_to(site.end as usize);
            }
            Change::Argument => {
                let flags_at = at + opcode_bytes(wasm, at);
                let mut reader = BinaryReader::new(&wasm[flags_at..site.end as usize], flags_at);
                let flags = reader.read_var_u32()?;
                const NAMED: u32 = 1 << 6;
                if flags & NAMED != 0 {
                    let index_at = reader.original_position();
                    editor.replace_index(index_at, module.memory(reader.read_var_u32()?));
                } else {
                    editor.replace_index(flags_at, flags | NAMED);
                    put_unsigned(&mut editor.out, module.memory(0).into());
                }
            }
            Change::Indices { skip, count } => {
                let first = at + opcode_bytes(wasm, at);
                let mut reader = BinaryReader::new(&wasm[first..site.end as usize], first);
                for _ in 0..skip {
                    reader.read_var_u32()?;
                }
                for _ in 0..count {
                    let index_at = reader.original_position();
                    editor.replace_index(index_at, module.memory(reader.read_var_u32()?));
                }
            }
        }
        editor.copy_to(site.end as usize);
        offsets.go_on(editor.out.len() as u32, site.end - start);
        Ok(())
    }
}

/// How many bytes the opcode at `at` has: with one of these prefixes a number follows that belongs to it.
fn opcode_bytes(wasm: &[u8], at: usize) -> usize {
    match wasm[at] {
        0xfb..=0xfe => 1 + width(wasm, at + 1),
        _ => 1,
    }
}
