//! Sections: finding them, and writing those that name functions, memories or types.

use super::code::Written;
use super::custom;
use super::edit::{Editor, put_padded, width};
use super::scan::{Change, Scanner, Site};
use super::{Failure, Module, Rewritten, Side};
use std::ops::Range;
use wasmparser::{
    BinaryReader, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FromReader, SectionLimited, TableInit,
    TypeRef,
};

pub const CUSTOM: u8 = 0;
pub const TYPE: u8 = 1;
pub const IMPORT: u8 = 2;
pub const FUNCTION: u8 = 3;
pub const TABLE: u8 = 4;
pub const MEMORY: u8 = 5;
pub const GLOBAL: u8 = 6;
pub const EXPORT: u8 = 7;
pub const START: u8 = 8;
pub const ELEMENT: u8 = 9;
pub const CODE: u8 = 10;
pub const DATA: u8 = 11;
pub const DATA_COUNT: u8 = 12;
pub const TAG: u8 = 13;

/// The order in which sections come.
const ORDER: [u8; 13] =
    [TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA];

fn rank(id: u8) -> Option<usize> {
    ORDER.iter().position(|known| *known == id)
}

/// Where a section is in the file.
#[derive(Clone)]
pub struct Section {
    pub id: u8,
    /// Offset of the id.
    at: usize,
    pub content: Range<usize>,
}

impl Section {
    /// The sections of a core module, in the order of the file. Ids are not checked.
    pub fn all(wasm: &[u8]) -> Result<impl Iterator<Item = Result<Section, Failure>> + '_, Failure> {
        const HEADER: &[u8] = b"\0asm\x01\0\0\0";
        if !wasm.starts_with(HEADER) {
            return Err(Failure::new(0, "not a core module"));
        }
        let mut reader = BinaryReader::new(&wasm[HEADER.len()..], HEADER.len());
        let mut failed = false;
        Ok(std::iter::from_fn(move || {
            if failed || reader.eof() {
                return None;
            }
            let section = Section::read(&mut reader);
            failed = section.is_err();
            Some(section)
        }))
    }

    fn read(reader: &mut BinaryReader<'_>) -> Result<Section, Failure> {
        let at = reader.original_position();
        let id = reader.read_u8()?;
        Ok(Section { id, at, content: reader.read_reader()?.range() })
    }

    pub fn reader<'w>(&self, wasm: &'w [u8]) -> BinaryReader<'w> {
        BinaryReader::new(&wasm[self.content.clone()], self.content.start)
    }

    /// How many bytes its size has.
    fn size_bytes(&self) -> usize {
        self.content.start - self.at - 1
    }
}

/// Fails unless sections are known and each comes once and in its place: what is added goes to a place of its own.
pub fn check_order(sections: &[Section]) -> Result<(), Failure> {
    let mut last = None;
    for section in sections.iter().filter(|section| section.id != CUSTOM) {
        let rank = rank(section.id).ok_or_else(|| Failure::new(section.at, "unknown section"))?;
        if last.is_some_and(|last| last >= rank) {
            return Err(Failure::new(section.at, "section out of order"));
        }
        last = Some(rank);
    }
    Ok(())
}

/// Writes a section, its size in at least `size_bytes` bytes.
fn put_section(out: &mut Vec<u8>, id: u8, size_bytes: usize, content: &[u8], at: usize) -> Result<(), Failure> {
    let size = u32::try_from(content.len());
    let size = size.map_err(|_| Failure::new(at, "a section is larger than 4 GiB when rewritten"))?;
    out.push(id);
    put_padded(out, size, size_bytes);
    out.extend_from_slice(content);
    Ok(())
}

/// What becomes of a section.
enum Fate {
    Copied,
    Removed,
    Replaced(Vec<u8>),
}

impl Module {
    /// Writes the module.
    pub(super) fn write(&self, wasm: &[u8], sections: &[Section]) -> Result<Rewritten, Failure> {
        if !self.added.is_empty() && !sections.iter().any(|section| section.id == TYPE) {
            return Err(Failure::new(0, "functions without types"));
        }
        // Branch hints come before the code that they are about.
        let mut code = match sections.iter().find(|section| section.id == CODE) {
            Some(section) => self.code.write(self, wasm, section)?,
            None => Written::default(),
        };
        let mut out = Vec::with_capacity(wasm.len() + code.content.len() / 16 + 1024);
        out.extend_from_slice(&wasm[..8]);
        let import_rank = rank(IMPORT);
        let mut imports_to_add =
            !sections.iter().any(|section| section.id == IMPORT) && (self.defined_shared > 0 || !self.added.is_empty());
        for section in sections {
            if imports_to_add && rank(section.id) > import_rank {
                let count = self.added.len() as u32 + self.defined_shared;
                let mut content = Vec::new();
                put_padded(&mut content, count, 1);
                content.extend_from_slice(&self.added_imports());
                put_section(&mut out, IMPORT, 1, &content, section.at)?;
                imports_to_add = false;
            }
            if section.id == CODE {
                put_section(&mut out, CODE, section.size_bytes(), &code.content, section.at)?;
                let start = u32::try_from(out.len() - code.content.len());
                code.offsets.shift(start.map_err(|_| Failure::new(0, "larger than 4 GiB when rewritten"))?);
                continue;
            }
            let fate = match section.id {
                CUSTOM => match custom::write(self, wasm, section, &code.offsets)? {
                    None => Fate::Copied,
                    Some(content) if content.is_empty() => Fate::Removed,
                    Some(content) => Fate::Replaced(content),
                },
                _ => self.section(wasm, section)?,
            };
            match fate {
                Fate::Copied => out.extend_from_slice(&wasm[section.at..section.content.end]),
                Fate::Removed => {}
                Fate::Replaced(content) => {
                    put_section(&mut out, section.id, section.size_bytes(), &content, section.at)?;
                }
            }
        }
        let side = Side {
            memories: self.shared.clone(),
            functions: self.functions,
            offsets: code.offsets,
            spins: self.code.spins.clone(),
        };
        Ok(Rewritten { wasm: out, side })
    }

    /// What becomes of a section that is neither code nor custom.
    fn section(&self, wasm: &[u8], section: &Section) -> Result<Fate, Failure> {
        let mut writer = Writer::new(self, wasm, section);
        match section.id {
            TYPE => writer.append(self.added.len() as u32, &self.added_types())?,
            IMPORT => writer.imports()?,
            FUNCTION => writer.functions()?,
            TAG => writer.tags()?,
            TABLE => writer.tables()?,
            MEMORY if self.defined_shared > 0 => return writer.memories(),
            GLOBAL => writer.globals()?,
            EXPORT => writer.exports()?,
            START => writer.start()?,
            ELEMENT => writer.elements()?,
            DATA if self.memories_move() => writer.data()?,
            _ => {}
        }
        Ok(match writer.editor.out.is_empty() {
            true => Fate::Copied,
            false => {
                writer.editor.copy_to(section.content.end);
                Fate::Replaced(writer.editor.out)
            }
        })
    }
}

/// Writes one section. As long as nothing was written, nothing changes.
struct Writer<'m, 'w> {
    module: &'m Module,
    wasm: &'w [u8],
    reader: BinaryReader<'w>,
    section: &'m Section,
    editor: Editor<'w>,
    scanner: Scanner<'m>,
    sites: Vec<Site>,
}

impl<'m, 'w> Writer<'m, 'w> {
    fn new(module: &'m Module, wasm: &'w [u8], section: &'m Section) -> Writer<'m, 'w> {
        Writer {
            module,
            wasm,
            reader: section.reader(wasm),
            section,
            editor: Editor::new(wasm, section.content.start),
            scanner: Scanner::new(&module.memories, module.types),
            sites: Vec::new(),
        }
    }

    fn items<T: FromReader<'w>>(&self) -> Result<SectionLimited<'w, T>, Failure> {
        Ok(SectionLimited::new(self.reader.clone())?)
    }

    /// Adds items at the end. This comes last: nothing of the section may change after it.
    fn append(&mut self, count: u32, items: &[u8]) -> Result<(), Failure> {
        if count > 0 {
            let start = self.section.content.start;
            let before = self.reader.clone().read_var_u32()?;
            let count = before.checked_add(count).ok_or_else(|| Failure::new(start, "too many"))?;
            self.editor.replace_index(start, count);
            self.editor.copy_to(self.section.content.end);
            self.editor.out.extend_from_slice(items);
        }
        Ok(())
    }

    fn function_index(&mut self, at: usize, index: u32) -> Result<(), Failure> {
        let new = self.module.function(index, at)?;
        if new != index {
            self.editor.replace_index(at, new);
        }
        Ok(())
    }

    fn constant(&mut self, expression: &ConstExpr<'w>) -> Result<(), Failure> {
        let mut sites = std::mem::take(&mut self.sites);
        sites.clear();
        self.scanner.constant(expression.get_binary_reader(), &mut sites)?;
        for site in &sites {
            if let Change::Function(index) = site.change {
                self.function_index(site.at as usize + 1, index)?;
            }
        }
        self.sites = sites;
        Ok(())
    }

    fn types_known(&self) -> Result<(), Failure> {
        self.scanner.types_known(self.section.content.start)
    }

    fn imports(&mut self) -> Result<(), Failure> {
        for import in self.items::<wasmparser::Imports<'w>>()?.into_imports() {
            match import?.ty {
                TypeRef::Func(index) | TypeRef::FuncExact(index) => self.scanner.check_type(index),
                TypeRef::Tag(tag) => self.scanner.check_type(tag.func_type_idx),
                TypeRef::Table(table) => self.scanner.check_reference_type(table.element_type),
                TypeRef::Global(global) => self.scanner.check_value_type(global.content_type),
                TypeRef::Memory(_) => {}
            }
        }
        self.types_known()?;
        self.append(self.module.added.len() as u32 + self.module.defined_shared, &self.module.added_imports())
    }

    fn functions(&mut self) -> Result<(), Failure> {
        for ty in self.items::<u32>()? {
            self.scanner.check_type(ty?);
        }
        self.types_known()
    }

    fn tags(&mut self) -> Result<(), Failure> {
        for tag in self.items::<wasmparser::TagType>()? {
            self.scanner.check_type(tag?.func_type_idx);
        }
        self.types_known()
    }

    fn tables(&mut self) -> Result<(), Failure> {
        for table in self.items::<wasmparser::Table<'w>>()? {
            let table = table?;
            self.scanner.check_reference_type(table.ty.element_type);
            if let TableInit::Expr(expression) = &table.init {
                self.constant(expression)?;
            }
        }
        self.types_known()
    }

    /// Leaves the shared memories out.
    fn memories(&mut self) -> Result<Fate, Failure> {
        let start = self.section.content.start;
        let items = self.items::<wasmparser::MemoryType>()?;
        let left = items.count() - self.module.defined_shared;
        if left == 0 {
            return Ok(Fate::Removed);
        }
        self.editor.replace_index(start, left);
        let mut shared_at = None;
        for memory in items.into_iter_with_offsets() {
            let (at, memory) = memory?;
            if let Some(shared_at) = shared_at.take() {
                self.editor.copy_to(shared_at);
                self.editor.skip_to(at);
            }
            shared_at = memory.shared.then_some(at);
        }
        self.editor.copy_to(shared_at.unwrap_or(self.section.content.end));
        Ok(Fate::Replaced(std::mem::take(&mut self.editor.out)))
    }

    fn globals(&mut self) -> Result<(), Failure> {
        for global in self.items::<wasmparser::Global<'w>>()? {
            let global = global?;
            self.scanner.check_value_type(global.ty.content_type);
            self.constant(&global.init_expr)?;
        }
        self.types_known()
    }

    fn exports(&mut self) -> Result<(), Failure> {
        let mut reader = self.reader.clone();
        for _ in 0..reader.read_var_u32()? {
            reader.skip_string()?;
            let kind = reader.read::<ExternalKind>()?;
            let at = reader.original_position();
            let index = reader.read_var_u32()?;
            match kind {
                ExternalKind::Func | ExternalKind::FuncExact => self.function_index(at, index)?,
                ExternalKind::Memory => {
                    let new = self.module.memory(index);
                    if new != index {
                        self.editor.replace_index(at, new);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Failure> {
        let index = self.reader.clone().read_var_u32()?;
        self.function_index(self.section.content.start, index)
    }

    fn elements(&mut self) -> Result<(), Failure> {
        for element in self.items::<wasmparser::Element<'w>>()? {
            let element = element?;
            if let ElementKind::Active { offset_expr, .. } = &element.kind {
                self.constant(offset_expr)?;
            }
            match element.items {
                ElementItems::Functions(functions) => {
                    for function in functions.into_iter_with_offsets() {
                        let (at, index) = function?;
                        self.function_index(at, index)?;
                    }
                }
                ElementItems::Expressions(ty, expressions) => {
                    self.scanner.check_reference_type(ty);
                    for expression in expressions {
                        self.constant(&expression?)?;
                    }
                }
            }
        }
        self.types_known()
    }

    fn data(&mut self) -> Result<(), Failure> {
        for data in self.items::<wasmparser::Data<'w>>()? {
            let data = data?;
            if let DataKind::Active { memory_index, .. } = data.kind {
                let new = self.module.memory(memory_index);
                if new == memory_index {
                    continue;
                }
                let flags_at = data.range.start;
                const NAMED: u32 = 2;
                if self.reader_at(flags_at).read_var_u32()? == NAMED {
                    self.editor.replace_index(flags_at + width(self.wasm, flags_at), new);
                } else {
                    self.editor.replace_index(flags_at, NAMED);
                    put_padded(&mut self.editor.out, new, 1);
                }
            }
        }
        Ok(())
    }

    fn reader_at(&self, at: usize) -> BinaryReader<'w> {
        BinaryReader::new(&self.wasm[at..self.section.content.end], at)
    }
}
