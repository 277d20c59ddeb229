//! The debug information of a program, taken out of its file: the engine gets to see none, and `LineTable` reads it when a backtrace asks.
//!
//! The engine would look for lines with a parser that recurses as deep as the guest says, on the guest's stack, at every trap.

use crate::rewrite::{Damaged, Input, put_unsigned};
use std::ops::Range;
use std::sync::Arc;
use wasmparser::{Encoding, Parser, Payload, TypeRef};

/// The sections that say something about lines and functions, by which `Module::sections` goes. Others (locations of variables, types, indices) answer
/// questions that nobody asks.
pub const SECTIONS: [&str; 9] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
];
/// Without this one the others say nothing.
const INFO: usize = 2;

/// What is kept of a program: of the one module, or of each module in a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugInfo {
    /// In the order of the file; only those that have debug information.
    pub modules: Vec<Module>,
    /// The contents of their sections, one after the other.
    pub bytes: Arc<Vec<u8>>,
}

/// One module with debug information. Offsets are those in the file, also where that is a component's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Of the code section's content: address 0.
    pub code_start: u64,
    /// How many functions it imports.
    imported: u32,
    /// Where the bodies of the others start. Empty if the program is no component: everything is in the one module.
    bodies: Vec<u32>,
    /// Where the sections are in `DebugInfo::bytes`; empty ranges for those that it does not have.
    pub sections: [Range<usize>; SECTIONS.len()],
}

/// Where an instruction is, as the engine has it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// In the file.
    pub offset: u64,
    /// The function's index in its module.
    pub function: u32,
    /// Where in the file the function's body starts, if known.
    pub function_start: Option<u64>,
}

impl DebugInfo {
    /// Takes it out of a valid module or component, in time in proportion to its size. Any thread.
    pub fn find(wasm: &[u8]) -> DebugInfo {
        let mut finder = Finder::default();
        for payload in Parser::new(0).parse_all(wasm) {
            // Neither happens in what the engine accepted.
            let Ok(()) = payload.and_then(|payload| finder.see(payload)) else {
                break;
            };
        }
        DebugInfo { modules: finder.found, bytes: Arc::new(finder.bytes) }
    }

    /// The place in `modules` of the one that an instruction is in.
    pub fn module(&self, place: &Place) -> Option<usize> {
        let index = self.modules.partition_point(|module| module.code_start <= place.offset).checked_sub(1)?;
        self.modules[index].has(place).then_some(index)
    }

    /// Appends everything but the contents, which `bytes` is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.modules.len() as u64);
        for module in &self.modules {
            put_unsigned(out, module.code_start);
            put_unsigned(out, module.imported.into());
            put_unsigned(out, module.bodies.len() as u64);
            let mut last = 0;
            for body in &module.bodies {
                put_unsigned(out, (body - last).into());
                last = *body;
            }
            for section in &module.sections {
                put_unsigned(out, section.len() as u64);
            }
        }
    }

    /// Reads what `encode` wrote; `bytes` are the contents that belong to it.
    pub fn decode(input: &mut Input<'_>, bytes: &[u8]) -> Result<DebugInfo, Damaged> {
        let mut modules = Vec::new();
        let mut end = 0usize;
        for _ in 0..input.unsigned()? {
            let mut module = Module { code_start: input.unsigned()?, imported: input.u32()?, ..Module::default() };
            let mut last = 0u32;
            for _ in 0..input.unsigned()? {
                last = last.checked_add(input.u32()?).ok_or(Damaged)?;
                module.bodies.push(last);
            }
            for section in &mut module.sections {
                let start = end;
                let size = usize::try_from(input.unsigned()?).map_err(|_| Damaged)?;
                end = start.checked_add(size).filter(|end| *end <= bytes.len()).ok_or(Damaged)?;
                *section = start..end;
            }
            modules.push(module);
        }
        if end != bytes.len() {
            return Err(Damaged);
        }
        Ok(DebugInfo { modules, bytes: Arc::new(bytes.to_vec()) })
    }
}

impl Module {
    /// Whether the instruction, which comes after the start of the code, is in it. In components, code that the engine generates has offsets of its own,
    /// which mean nothing in the file.
    fn has(&self, place: &Place) -> bool {
        let body = place.function.checked_sub(self.imported).and_then(|index| self.bodies.get(index as usize));
        self.bodies.is_empty() || body.is_some_and(|start| Some(u64::from(*start)) == place.function_start)
    }
}

/// Goes through a file. Modules do not lie in one another.
#[derive(Default)]
struct Finder<'w> {
    component: bool,
    module: Module,
    sections: [&'w [u8]; SECTIONS.len()],
    found: Vec<Module>,
    bytes: Vec<u8>,
}

impl<'w> Finder<'w> {
    fn see(&mut self, payload: Payload<'w>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => self.component = true,
            Payload::Version { encoding: Encoding::Module, .. } => {
                self.module = Module::default();
                self.sections = Default::default();
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.module.imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionStart { range, .. } => self.module.code_start = range.start as u64,
            // Offsets are kept in 32 bits, as the engine does.
            Payload::CodeSectionEntry(body) => self.module.bodies.push(body.range().start as u32),
            Payload::CustomSection(section) => {
                // Of two with one name the engine took the last.
                if let Some(place) = SECTIONS.iter().position(|name| *name == section.name()) {
                    self.sections[place] = section.data();
                }
            }
            Payload::End(_) => self.end(),
            _ => {}
        }
        Ok(())
    }

    /// A module ends, or the component around it.
    fn end(&mut self) {
        let (mut module, sections) = (std::mem::take(&mut self.module), std::mem::take(&mut self.sections));
        if sections[INFO].is_empty() || module.bodies.is_empty() {
            return;
        }
        if !self.component {
            module.bodies = Vec::new();
        }
        for (range, content) in module.sections.iter_mut().zip(sections) {
            *range = self.bytes.len()..self.bytes.len() + content.len();
            self.bytes.extend_from_slice(content);
        }
        self.found.push(module);
    }
}

#[cfg(test)]
impl DebugInfo {
    /// Of one module that has these sections.
    pub fn of(code_start: u64, sections: &[(&str, &[u8])]) -> DebugInfo {
        let mut finder =
            Finder { module: Module { code_start, bodies: vec![0], ..Module::default() }, ..Finder::default() };
        for (name, content) in sections {
            finder.sections[SECTIONS.iter().position(|known| known == name).unwrap()] = content;
        }
        finder.end();
        DebugInfo { modules: finder.found, bytes: Arc::new(finder.bytes) }
    }
}

#[cfg(test)]
mod tests {
    //! Shows that debug information is found in modules and in components, belongs to the right instructions, and survives being kept.

    use super::*;

    fn section<'d>(info: &'d DebugInfo, module: usize, name: &str) -> &'d [u8] {
        let place = SECTIONS.iter().position(|known| *known == name).unwrap();
        &info.bytes[info.modules[module].sections[place].clone()]
    }

    fn kept(info: &DebugInfo) -> DebugInfo {
        let mut bytes = Vec::new();
        info.encode(&mut bytes);
        let mut input = Input(&bytes);
        let decoded = DebugInfo::decode(&mut input, &info.bytes).unwrap();
        assert!(input.0.is_empty());
        decoded
    }

    #[test]
    fn is_found_in_a_module() {
        let wasm = wat::parse_str(
            r#"(module (func (export "f"))
            (@custom ".debug_info" "info") (@custom ".debug_loc" "loc") (@custom ".debug_info" "again") (@custom ".debug_str" "text"))"#,
        );
        let info = DebugInfo::find(&wasm.unwrap());
        assert_eq!(info.modules.len(), 1);
        assert_eq!(section(&info, 0, ".debug_info"), b"again");
        assert_eq!(section(&info, 0, ".debug_str"), b"text");
        assert!(section(&info, 0, ".debug_line").is_empty());
        assert_eq!(info.bytes.len(), 9);
        assert_eq!(kept(&info), info);
        // All of the program is in it.
        let code_start = info.modules[0].code_start;
        let at = |offset| info.module(&Place { offset, function: 77, function_start: None });
        assert_eq!((at(code_start - 1), at(code_start), at(code_start + 1000)), (None, Some(0), Some(0)));
    }

    #[test]
    fn is_not_kept_where_it_says_nothing() {
        for text in [
            "(module (func))",
            r#"(module (func) (@custom ".debug_str" "text"))"#,
            r#"(module (@custom ".debug_info" "info"))"#,
            r#"(component (core module (func)) (@custom ".debug_info" "of the component"))"#,
        ] {
            let info = DebugInfo::find(&wat::parse_str(text).unwrap());
            assert_eq!(info, DebugInfo::default(), "{text}");
            assert_eq!(kept(&info), info);
        }
    }

    #[test]
    fn is_found_in_a_component() {
        let module = |name: &str| {
            format!(
                r#"(core module (import "a" "b" (func)) (func nop) (func nop nop) (@custom ".debug_info" "{name}"))"#
            )
        };
        let other = r#"(core module (func nop nop nop))"#;
        let text = format!("(component {} {other} (component {}))", module("first"), module("second"));
        let wasm = wat::parse_str(text).unwrap();
        let info = DebugInfo::find(&wasm);
        assert_eq!(info.modules.len(), 2);
        assert_eq!(section(&info, 0, ".debug_info"), b"first");
        assert_eq!(section(&info, 1, ".debug_info"), b"second");
        assert_eq!(kept(&info), info);
        let mut bodies = 0;
        for payload in Parser::new(0).parse_all(&wasm) {
            if let Payload::CodeSectionEntry(body) = payload.unwrap() {
                let (start, index) = (body.range().start as u64, bodies);
                bodies += 1;
                let place = |function| Place { offset: start + 1, function, function_start: Some(start) };
                // Each has an import; the module in the middle has one function, and no debug information.
                let (expected, function) = [(Some(0), 1), (Some(0), 2), (None, 0), (Some(1), 1), (Some(1), 2)][index];
                assert_eq!(info.module(&place(function)), expected);
                // The same offset in code of the engine's own.
                assert_eq!(info.module(&place(function + 1)), None);
                assert_eq!(info.module(&Place { function_start: Some(start - 1), ..place(function) }), None);
                assert_eq!(info.module(&Place { function_start: None, ..place(function) }), None);
            }
        }
        assert_eq!(bodies, 5);
    }
}
