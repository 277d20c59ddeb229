//! What is known of a module before it is written anew.

use super::Failure;
use super::side::{Found, StackPointer, Tls};
use wasmparser::{
    CompositeInnerType, DataSectionReader, ElementSectionReader, Encoding, Export, ExportSectionReader, ExternalKind,
    FuncType, FunctionBody, FunctionSectionReader, GlobalSectionReader, GlobalType, Import, ImportSectionReader,
    KnownCustom, MemorySectionReader, Name, NameSectionReader, Operator, Parser, Payload, SubType, TableSectionReader,
    TableType, TagSectionReader, TypeRef, TypeSectionReader, ValType,
};

/// The sections, of which each may be missing.
#[derive(Default)]
pub struct Sections<'w> {
    pub types: Option<TypeSectionReader<'w>>,
    pub imports: Option<ImportSectionReader<'w>>,
    pub functions: Option<FunctionSectionReader<'w>>,
    pub tables: Option<TableSectionReader<'w>>,
    pub memories: Option<MemorySectionReader<'w>>,
    pub tags: Option<TagSectionReader<'w>>,
    pub globals: Option<GlobalSectionReader<'w>>,
    pub exports: Option<ExportSectionReader<'w>>,
    pub elements: Option<ElementSectionReader<'w>>,
    pub data_count: Option<u32>,
    pub bodies: Vec<FunctionBody<'w>>,
    pub data: Option<DataSectionReader<'w>>,
    pub names: Option<NameSectionReader<'w>>,
}

pub struct Global {
    pub ty: GlobalType,
    /// Its value at the start, if that is a plain number.
    pub constant: Option<i64>,
}

/// A module, and what its sections say of indices.
#[derive(Default)]
pub struct Module<'w> {
    pub sections: Sections<'w>,
    pub types: Vec<SubType>,
    /// The imported functions.
    pub imports: Vec<Import<'w>>,
    /// The types of all functions.
    pub functions: Vec<u32>,
    pub globals: Vec<Global>,
    pub tags: u32,
    /// Table 0.
    pub table: Option<TableType>,
    pub exports: Vec<Export<'w>>,
    pub start: Option<u32>,
    pub named_functions: Vec<(u32, &'w str)>,
    named_globals: Vec<(u32, &'w str)>,
}

impl<'w> Module<'w> {
    pub fn read(wasm: &'w [u8]) -> Result<Module<'w>, Failure> {
        let mut module = Module::default();
        for payload in Parser::new(0).parse_all(wasm) {
            module.read_section(payload?)?;
        }
        if module.imports.len() + module.sections.bodies.len() != module.functions.len() {
            return Err(Failure::new(0, "as many bodies as functions expected"));
        }
        Ok(module)
    }

    fn read_section(&mut self, payload: Payload<'w>) -> Result<(), Failure> {
        let sections = &mut self.sections;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } | Payload::End(_) => {}
            Payload::TypeSection(section) => {
                sections.types = Some(section.clone());
                for group in section {
                    self.types.extend(group?.into_types());
                }
            }
            Payload::ImportSection(section) => {
                sections.imports = Some(section.clone());
                for import in section.into_imports() {
                    self.read_import(import?);
                }
            }
            Payload::FunctionSection(section) => {
                sections.functions = Some(section.clone());
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                sections.tables = Some(section.clone());
                if let Some(table) = section.into_iter().next() {
                    self.table.get_or_insert(table?.ty);
                }
            }
            Payload::MemorySection(section) => sections.memories = Some(section),
            Payload::TagSection(section) => {
                self.tags = self.tags.saturating_add(section.count());
                sections.tags = Some(section);
            }
            Payload::GlobalSection(section) => {
                sections.globals = Some(section.clone());
                for global in section {
                    let global = global?;
                    let constant = match global.init_expr.get_operators_reader().read()? {
                        Operator::I32Const { value } => Some(value.into()),
                        Operator::I64Const { value } => Some(value),
                        _ => None,
                    };
                    self.globals.push(Global { ty: global.ty, constant });
                }
            }
            Payload::ExportSection(section) => {
                sections.exports = Some(section.clone());
                self.exports = section.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => sections.elements = Some(section),
            Payload::DataCountSection { count, .. } => sections.data_count = Some(count),
            Payload::CodeSectionStart { .. } => {}
            Payload::CodeSectionEntry(body) => sections.bodies.push(body),
            Payload::DataSection(section) => sections.data = Some(section),
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    sections.names = Some(names.clone());
                    self.read_names(names);
                }
            }
            _ => return Err(Failure::new(0, "not a module, or one with sections that are unknown")),
        }
        Ok(())
    }

    fn read_import(&mut self, import: Import<'w>) {
        match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.push(ty);
                self.imports.push(import);
            }
            TypeRef::Global(ty) => self.globals.push(Global { ty, constant: None }),
            TypeRef::Table(ty) => {
                self.table.get_or_insert(ty);
            }
            TypeRef::Tag(_) => self.tags = self.tags.saturating_add(1),
            TypeRef::Memory(_) => {}
        }
    }

    /// Engines ignore what is malformed in the name section; here it ends the names.
    fn read_names(&mut self, names: NameSectionReader<'w>) {
        for name in names.map_while(Result::ok) {
            let (map, out) = match name {
                Name::Function(map) => (map, &mut self.named_functions),
                Name::Global(map) => (map, &mut self.named_globals),
                _ => continue,
            };
            out.extend(map.into_iter().map_while(Result::ok).map(|naming| (naming.index, naming.name)));
        }
    }

    pub fn imported(&self) -> u32 {
        self.imports.len() as u32
    }

    /// The type of a function.
    pub fn function_type(&self, function: u32) -> Result<&FuncType, Failure> {
        let ty = self.functions.get(function as usize).and_then(|&ty| self.types.get(ty as usize));
        match ty.map(|ty| &ty.composite_type.inner) {
            Some(CompositeInnerType::Func(ty)) => Ok(ty),
            _ => Err(Failure::new(0, "a function without a type")),
        }
    }

    /// A function by what it is called outside or in the name section, if it has this type.
    pub fn function_named(&self, name: &str, params: &[ValType], results: &[ValType]) -> Option<(u32, Found)> {
        let (function, found) = self.find(name, ExternalKind::Func, &self.named_functions)?;
        let ty = self.function_type(function).ok()?;
        (ty.params() == params && ty.results() == results).then_some((function, found))
    }

    fn global_named(&self, name: &str) -> Option<(u32, Found)> {
        self.find(name, ExternalKind::Global, &self.named_globals)
    }

    fn find(&self, name: &str, kind: ExternalKind, names: &[(u32, &str)]) -> Option<(u32, Found)> {
        let exported = self.exports.iter().find(|export| export.kind == kind && export.name == name);
        let exported = exported.map(|export| (export.index, Found::Exported));
        exported.or_else(|| names.iter().find(|(_, other)| *other == name).map(|(index, _)| (*index, Found::Named)))
    }

    /// Whether it is a global that a strand has to have its own value of.
    fn is_pointer(&self, global: u32) -> bool {
        let ty = self.globals.get(global as usize).map(|global| global.ty);
        ty.is_some_and(|ty| ty.mutable && !ty.shared && matches!(ty.content_type, ValType::I32 | ValType::I64))
    }

    /// Where the stack ends that compilers keep in the memory.
    pub fn stack_pointer(&self) -> Option<StackPointer> {
        match self.global_named("__stack_pointer") {
            Some((global, found)) => self.is_pointer(global).then_some(StackPointer { global, found }),
            None => self.is_stack_pattern().then_some(StackPointer { global: 0, found: Found::Pattern }),
        }
    }

    /// wasm-ld makes the stack pointer the first global, and functions begin with what takes a frame from it.
    fn is_stack_pattern(&self) -> bool {
        let constant = self.globals.first().is_some_and(|global| global.constant.is_some());
        constant && self.is_pointer(0) && self.sections.bodies.iter().any(takes_frame)
    }

    pub fn tls(&self) -> Option<Tls> {
        let (base, _) = self.global_named("__tls_base").filter(|(global, _)| self.is_pointer(*global))?;
        let constant = |name| {
            let global = self.globals.get(self.global_named(name)?.0 as usize)?;
            (!global.ty.mutable).then_some(global.constant)?.map(|value| value as u32)
        };
        Some(Tls { base, size: constant("__tls_size"), align: constant("__tls_align") })
    }
}

/// Whether the body has `global.get 0; const; sub; local.tee`.
fn takes_frame(body: &FunctionBody<'_>) -> bool {
    let Ok(mut operators) = body.get_operators_reader() else { return false };
    let mut matched = 0;
    while let Ok(operator) = operators.read() {
        matched = match (matched, operator) {
            (_, Operator::GlobalGet { global_index: 0 }) => 1,
            (1, Operator::I32Const { .. } | Operator::I64Const { .. }) => 2,
            (2, Operator::I32Sub | Operator::I64Sub) => 3,
            (3, Operator::LocalTee { .. }) => return true,
            _ => 0,
        };
    }
    false
}
