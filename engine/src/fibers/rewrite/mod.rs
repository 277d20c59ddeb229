//! Rewrites modules so that their code runs on continuations: it asks now and then whether to go on, and makes calls again that have had to wait.
//!
//! ```text
//! let rewritten = rewrite::rewrite(&wasm, Kind::Alone)?;
//! compile(&rewritten.wasm); keep(&rewritten.side);
//! instance.call("weft:run", rewritten.side.entry("_start"));
//! ```
//!
//! A host function that would wait says so and returns. The wrapper around its import then suspends the fiber, and calls it once more when that is
//! resumed. So no frame of the host is ever on a stack that is suspended. docs/design/strands.md says why it is done so.
//!
//! Indices: functions are the original's imports, added imports, the original's own, added functions, and rests of the original's own (see `rests`);
//! everything else is added behind what the original has. All references to an import go to its wrapper. Custom sections other than names are left out.
//!
//! Modules have to be valid. They stay so, with one exception: one that is at a limit of the engine, for the size of a function say, may be beyond it.

mod added;
mod alone;
mod checks;
mod entries;
mod flow;
mod labels;
mod module;
mod nesting;
mod rests;
mod side;
mod strands;
#[cfg(test)]
mod tests;
mod wrappers;

pub use crate::rewrite::Failure;
pub use added::IMPORT_MODULE;
pub use alone::{SCHED_YIELD, YIELD_ASKED};
pub use side::{Functions, Side};
pub use strands::STRAND_MODULE;

use crate::rewrite::{self, HostFunction, OffsetMap};
use added::{Added, Type};
use alone::Alone;
use checks::{Budgets, Checks};
use entries::Entries;
use module::Module;
use rests::Rest;
use std::collections::HashMap;
use strands::Strands;
use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BranchHint, BranchHints, CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements,
    EntityType, ExportSection, FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection, NameSection,
    TableSection, TagKind, TagSection, TagType, TypeSection, ValType,
};
use wasmparser::{Name, Parser, Payload};
use wrappers::Kept;

/// What a module is rewritten for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One fiber a store, driven by the module's own `weft:run`.
    Alone,
    /// Many fibers in an instance, switched by a scheduler that the module imports; at any check, or only where they wait.
    Strands { preemptive: bool },
}

/// A module that runs on continuations, and what is known about it.
#[derive(Clone, Debug)]
pub struct Rewritten {
    pub wasm: Vec<u8>,
    pub side: Side,
}

/// Rewrites a valid module. Any thread.
pub fn rewrite(wasm: &[u8], kind: Kind) -> Result<Rewritten, Failure> {
    rewrite_with(wasm, kind, Budgets::default())
}

fn rewrite_with(wasm: &[u8], kind: Kind, budgets: Budgets) -> Result<Rewritten, Failure> {
    // Offsets are kept in 32 bits, as the engine does.
    if u32::try_from(wasm.len()).is_err() {
        return Err(Failure::new(0, "larger than 4 GiB"));
    }
    let module = Module::read(wasm)?;
    check_names(&module)?;
    let mut writer = Writer::new(&module, kind, budgets, added_bytes_max(wasm.len()))?;
    let rewritten = writer.write().map_err(failure)?;
    if u32::try_from(rewritten.len()).is_err() {
        return Err(Failure::new(0, "larger than 4 GiB when rewritten"));
    }
    let offsets = writer.offsets(&rewritten)?;
    let side = Side {
        kind,
        functions: Functions {
            imported: module.imported(),
            added_imports: writer.added.imports.len() as u32,
            defined: module.sections.bodies.len() as u32,
            added: writer.added.functions.len() as u32,
        },
        rests: writer.rests.iter().map(|rest| rest.function).collect(),
        offsets,
        entries: writer.entries.names,
        start: writer.entries.start,
        spawn_sites: writer.checks.spawn.map(|spawn| spawn.sites).unwrap_or_default(),
        stack: module.stack_pointer(),
        tls: module.tls(),
        malloc: strands::malloc(&module).map(|(_, found)| found),
        named: !module.named_functions.is_empty(),
    };
    Ok(Rewritten { wasm: rewritten, side })
}

/// More than any module needs that compilers make, and in proportion to what came in.
fn added_bytes_max(wasm_bytes: usize) -> usize {
    wasm_bytes.saturating_mul(16).saturating_add(1 << 20)
}

/// Names that are not for guests.
fn check_names(module: &Module<'_>) -> Result<(), Failure> {
    if module.imports.iter().any(|import| import.module == IMPORT_MODULE) {
        return Err(Failure::new(0, format!("imports from \"{IMPORT_MODULE}\", which is not for guests")));
    }
    match module.exports.iter().find(|export| export.name.starts_with("weft:")) {
        Some(export) => Err(Failure::new(0, format!("exports \"{}\": such names are not for guests", export.name))),
        None => Ok(()),
    }
}

fn failure(error: reencode::Error<Failure>) -> Failure {
    match error {
        reencode::Error::ParseError(error) => error.into(),
        reencode::Error::UserError(failure) => failure,
        error => Failure::new(0, error.to_string()),
    }
}

/// Whether an import never waits, so that calls need no wrapper.
fn never_waits(import: &wasmparser::Import<'_>) -> bool {
    use HostFunction::{Grow, GrowM64, Notify, NotifyM64};
    import.module == rewrite::IMPORT_MODULE
        && [Notify, NotifyM64, Grow, GrowM64].iter().any(|function| function.name() == import.name)
}

/// Writes the module anew.
pub(crate) struct Writer<'m, 'w> {
    module: &'m Module<'w>,
    added: Added,
    /// What references to a function of the original refer to now, by its index there.
    callees: Vec<u32>,
    entries: Entries,
    checks: Checks,
    /// Offsets within the bodies.
    bodies: Vec<OffsetMap>,
    /// Functions that come after those that were added.
    rests: Vec<Rest>,
    /// Where in the original the body begins that is being written.
    body_start: u32,
}

impl<'m, 'w> Writer<'m, 'w> {
    /// Adds everything, and so gives it its indices.
    fn new(module: &'m Module<'w>, kind: Kind, budgets: Budgets, bytes_max: usize) -> Result<Writer<'m, 'w>, Failure> {
        let mut added = Added::new(module, bytes_max);
        let entries = Entries::new(module, &mut added)?;
        let calls = added.global(ValType::I32, ConstExpr::i32_const(budgets.calls as i32));
        let mut callees = Vec::new();
        let checks = match kind {
            Kind::Alone => {
                let alone = Alone::new(module, &mut added);
                let preempt_here = alone.add_preempt_here(&mut added)?;
                callees.extend(wrap_imports(module, &mut added, |added, index, import| {
                    alone.add_wrapper(module, added, index, import)
                })?);
                let begin = entries.add_begin(&mut added, &callees)?;
                alone.add_run(&mut added, begin)?;
                Checks { budgets, calls, preempt_here, stack: None, spawn: None, kept: None }
            }
            Kind::Strands { .. } => {
                let (stack, tls) = (module.stack_pointer(), module.tls());
                let mut strands = Strands::new(module, &mut added, stack, tls);
                let suspension = &strands.suspension;
                let preempt_here = suspension.add_preempt_here(&mut added, strands.preempt)?;
                callees.extend(wrap_imports(module, &mut added, |added, index, import| {
                    suspension.add_wrapper(module, added, index, import)
                })?);
                let kept = Some(Kept::new(module, suspension));
                if let Some(spawn) = &mut strands.spawn {
                    spawn.add_wrappers(module, &mut added, suspension, &mut callees)?;
                }
                for function in strands::masked(module) {
                    callees[function as usize] = wrappers::add_masked(module, &mut added, function, suspension.mask)?;
                }
                let begin = entries.add_begin(&mut added, &callees)?;
                strands.add_exports(module, &mut added, begin, &callees)?;
                Checks { budgets, calls, preempt_here, stack: strands.stack_check, spawn: strands.spawn, kept }
            }
        };
        Ok(Writer { module, added, callees, entries, checks, bodies: Vec::new(), rests: Vec::new(), body_start: 0 })
    }

    /// The new index of the function itself, as opposed to that of what is around it.
    fn function_itself(&self, function: u32) -> u32 {
        if function < self.module.imported() { function } else { self.added.defined(function) }
    }

    /// The index of the first function that is the rest of another.
    fn first_rest(&self) -> u32 {
        self.added.defined(self.module.functions.len() as u32) + self.added.functions.len() as u32
    }

    /// The code, and where it is unlikely to go.
    fn write_code(&mut self) -> Result<(CodeSection, BranchHints), reencode::Error<Failure>> {
        let mut code = CodeSection::new();
        let mut hints = BranchHints::new();
        for (place, body) in self.module.sections.bodies.iter().enumerate() {
            self.body_start = body.range().start as u32;
            let function = self.module.imported() + place as u32;
            let written = checks::write(self, function, body)?;
            code.function(&written.body);
            put_hints(&mut hints, self.added.defined(function), &written.unlikely);
            self.bodies.push(written.offsets);
        }
        for (_, body) in &self.added.functions {
            code.function(body);
        }
        for (function, Rest { written, .. }) in (self.first_rest()..).zip(&self.rests) {
            code.function(&written.body);
            put_hints(&mut hints, function, &written.unlikely);
        }
        Ok((code, hints))
    }

    fn write(&mut self) -> Result<Vec<u8>, reencode::Error<Failure>> {
        // First, as it makes more functions and types.
        let (code, hints) = self.write_code()?;
        let mut out = wasm_encoder::Module::new();
        let sections = &self.module.sections;

        let mut types = TypeSection::new();
        if let Some(section) = &sections.types {
            self.parse_type_section(&mut types, section.clone())?;
        }
        for ty in &self.added.types {
            match ty {
                Type::Function(ty) => types.ty().func_type(ty),
                Type::Continuation(ty) => types.ty().cont(ty),
            }
        }
        out.section(&types);

        let mut imports = ImportSection::new();
        if let Some(section) = &sections.imports {
            self.parse_import_section(&mut imports, section.clone())?;
        }
        for &(name, ty) in &self.added.imports {
            imports.import(IMPORT_MODULE, name, EntityType::Function(ty));
        }
        out.section(&imports);

        let mut functions = FunctionSection::new();
        if let Some(section) = &sections.functions {
            self.parse_function_section(&mut functions, section.clone())?;
        }
        let added = self.added.functions.iter().map(|(ty, _)| *ty);
        for ty in added.chain(self.rests.iter().map(|rest| rest.ty)) {
            functions.function(ty);
        }
        out.section(&functions);

        if let Some(section) = &sections.tables {
            let mut tables = TableSection::new();
            self.parse_table_section(&mut tables, section.clone())?;
            out.section(&tables);
        }
        if let Some(section) = &sections.memories {
            let mut memories = MemorySection::new();
            self.parse_memory_section(&mut memories, section.clone())?;
            out.section(&memories);
        }

        let mut tags = TagSection::new();
        if let Some(section) = &sections.tags {
            self.parse_tag_section(&mut tags, section.clone())?;
        }
        if let Some(func_type_idx) = self.added.tag {
            tags.tag(TagType { kind: TagKind::Exception, func_type_idx });
        }
        if !tags.is_empty() {
            out.section(&tags);
        }

        let mut globals = GlobalSection::new();
        if let Some(section) = &sections.globals {
            self.parse_global_section(&mut globals, section.clone())?;
        }
        for (val_type, initial) in &self.added.globals {
            globals.global(GlobalType { val_type: *val_type, mutable: true, shared: false }, initial);
        }
        out.section(&globals);

        let mut exports = ExportSection::new();
        if let Some(section) = &sections.exports {
            self.parse_export_section(&mut exports, section.clone())?;
        }
        for &(name, kind, index) in &self.added.exports {
            exports.export(name, kind, index);
        }
        out.section(&exports);

        let mut elements = ElementSection::new();
        if let Some(section) = &sections.elements {
            self.parse_element_section(&mut elements, section.clone())?;
        }
        if let Some(function) = self.added.declared {
            elements.declared(Elements::Functions([function].as_slice().into()));
        }
        if !elements.is_empty() {
            out.section(&elements);
        }

        if let Some(count) = sections.data_count {
            out.section(&DataCountSection { count });
        }

        out.section(&hints);
        out.section(&code);

        if let Some(section) = &sections.data {
            let mut data = DataSection::new();
            self.parse_data_section(&mut data, section.clone())?;
            out.section(&data);
        }

        if let Some(section) = &sections.names {
            let mut names = NameSection::new();
            // Engines ignore what is malformed there; here it ends the section, so that nothing gets a wrong name.
            for name in section.clone().map_while(Result::ok) {
                if self.parse_custom_name_subsection(&mut names, name).is_err() {
                    break;
                }
            }
            out.section(&names);
        }
        Ok(out.finish())
    }

    /// Where everything was, now that it is known where the bodies are.
    fn offsets(&self, rewritten: &[u8]) -> Result<OffsetMap, Failure> {
        let mut offsets = OffsetMap::default();
        let originals = &self.module.sections.bodies;
        let mut end = 0;
        let bodies = Parser::new(0).parse_all(rewritten).filter_map(|payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(Ok(body.range().start as u32)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        for (place, new) in bodies.enumerate() {
            let new = new?;
            let defined = originals.get(place).zip(self.bodies.get(place));
            let rest = place.checked_sub(originals.len() + self.added.functions.len());
            let rest = rest
                .and_then(|place| self.rests.get(place))
                .map(|rest| (&originals[(rest.function - self.module.imported()) as usize], &rest.written.offsets));
            match defined.or(rest) {
                Some((original, part)) => {
                    offsets.append(part, new, original.range().start as u32);
                    end = original.range().end as u32;
                }
                // Of the functions that were added.
                None => offsets.replaced(new, end),
            }
        }
        Ok(offsets)
    }
}

/// Compilers put what is unlikely out of the way.
fn put_hints(hints: &mut BranchHints, function: u32, unlikely: &[u32]) {
    let hint = |&offset: &u32| BranchHint { branch_func_offset: offset, branch_hint_value: 0 };
    if !unlikely.is_empty() {
        hints.function_hints(function, unlikely.iter().map(hint));
    }
}

/// Adds the wrappers of imports. What functions of the original become, by their indices there.
fn wrap_imports(
    module: &Module<'_>,
    added: &mut Added,
    mut add_wrapper: impl FnMut(&mut Added, u32, &wasmparser::Import<'_>) -> Result<u32, Failure>,
) -> Result<Vec<u32>, Failure> {
    let mut callees = Vec::new();
    for (index, import) in (0..).zip(&module.imports) {
        callees.push(if never_waits(import) { index } else { add_wrapper(added, index, import)? });
    }
    callees.extend((module.imported()..module.functions.len() as u32).map(|function| added.defined(function)));
    Ok(callees)
}

impl Reencode for Writer<'_, '_> {
    type Error = Failure;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Failure>> {
        let callee = self.callees.get(function as usize).copied();
        callee.ok_or_else(|| reencode::Error::UserError(Failure::new(0, "unknown function")))
    }

    fn parse_custom_name_subsection(
        &mut self,
        names: &mut NameSection,
        section: Name<'_>,
    ) -> Result<(), reencode::Error<Failure>> {
        match section {
            Name::Function(map) => {
                let mut map = utils::name_map(map, |index| Ok(self.function_itself(index)))?;
                // In backtraces they are the functions of which they are the rest.
                let named: HashMap<u32, &str> = self.module.named_functions.iter().copied().collect();
                for (index, rest) in (self.first_rest()..).zip(&self.rests) {
                    if let Some(name) = named.get(&rest.function) {
                        map.append(index, name);
                    }
                }
                names.functions(&map);
            }
            Name::Local(map) => names.locals(&utils::indirect_name_map(map, |index| Ok(self.function_itself(index)))?),
            // Loops were added, which count as labels. Nobody reads these names.
            Name::Label(_) => {}
            section => utils::parse_custom_name_subsection(self, names, section)?,
        }
        Ok(())
    }
}
