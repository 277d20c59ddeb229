//! Custom sections that name functions, memories or offsets: names, metadata of code, debug information.

use super::edit::{Editor, put_padded, put_string, put_unsigned};
use super::sections::Section;
use super::{Failure, Module, OffsetMap};
use wasmparser::BinaryReader;

/// The content that a custom section gets: None if it is copied as it is, nothing if it is removed. `offsets` are those of the code section, or of its content alone.
pub fn write(module: &Module, wasm: &[u8], section: &Section, offsets: &OffsetMap) -> Result<Option<Vec<u8>>, Failure> {
    let mut reader = section.reader(wasm);
    let name = reader.read_string()?;
    let start = reader.original_position();
    if name.starts_with(".debug_") {
        // It is about the original, where it is kept.
        return Ok(Some(Vec::new()));
    }
    let functions_move = !module.added.is_empty();
    let content = match name {
        "name" if functions_move || module.memories_move() => names(module, wasm, reader),
        _ if name.starts_with("metadata.code.") => metadata(module, wasm, reader, offsets).unwrap_or_default(),
        _ => return Ok(None),
    };
    let mut out = wasm[section.content.start..start].to_vec();
    out.extend_from_slice(&content);
    Ok(Some(out))
}

/// The name section. Engines ignore what is malformed there; here it ends the section, so that nothing gets a wrong name.
fn names(module: &Module, wasm: &[u8], mut reader: BinaryReader<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    while !reader.eof() {
        let at = reader.original_position();
        let (Ok(id), Ok(content)) = (reader.read_u8(), reader.read_reader()) else {
            break;
        };
        let end = content.range().end;
        const FUNCTION: u8 = 1;
        const LOCAL: u8 = 2;
        const LABEL: u8 = 3;
        const MEMORY: u8 = 6;
        let size_bytes = content.range().start - at - 1;
        let written = match id {
            FUNCTION => function_names(module, wasm, content, false),
            LOCAL | LABEL => function_names(module, wasm, content, true),
            MEMORY => memory_names(module, content),
            _ => {
                out.extend_from_slice(&wasm[at..end]);
                continue;
            }
        };
        let Some(written) = written else { break };
        out.push(id);
        put_padded(&mut out, written.len() as u32, size_bytes);
        out.extend_from_slice(&written);
    }
    out
}

/// A map from functions to names, or (`nested`) to maps of names.
fn function_names(module: &Module, wasm: &[u8], mut reader: BinaryReader<'_>, nested: bool) -> Option<Vec<u8>> {
    let mut editor = Editor::new(wasm, reader.original_position());
    for _ in 0..reader.read_var_u32().ok()? {
        let at = reader.original_position();
        let index = reader.read_var_u32().ok()?;
        editor.replace_index(at, module.functions.rewritten(index)?);
        if nested {
            for _ in 0..reader.read_var_u32().ok()? {
                reader.read_var_u32().ok()?;
                reader.read_unlimited_string().ok()?;
            }
        } else {
            reader.read_unlimited_string().ok()?;
        }
    }
    editor.copy_to(reader.original_position());
    Some(editor.out)
}

/// A map from memories to names, which has to be sorted.
fn memory_names(module: &Module, mut reader: BinaryReader<'_>) -> Option<Vec<u8>> {
    let count = reader.read_var_u32().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let index = reader.read_var_u32().ok()?;
        names.push((module.memory(index), reader.read_unlimited_string().ok()?));
    }
    names.sort_by_key(|(index, _)| *index);
    let mut out = Vec::new();
    put_unsigned(&mut out, count.into());
    for (index, name) in names {
        put_unsigned(&mut out, index.into());
        put_string(&mut out, name);
    }
    Some(out)
}

/// Metadata of code (branch hints are one kind): for functions, for offsets in their bodies, some bytes. None if it is malformed: it is advice,
/// and the engine does without.
fn metadata(module: &Module, wasm: &[u8], mut reader: BinaryReader<'_>, offsets: &OffsetMap) -> Option<Vec<u8>> {
    let mut editor = Editor::new(wasm, reader.original_position());
    for _ in 0..reader.read_var_u32().ok()? {
        let at = reader.original_position();
        let index = reader.read_var_u32().ok()?;
        editor.replace_index(at, module.functions.rewritten(index)?);
        let body = module.code.body_start(index.checked_sub(module.functions.imported)?)?;
        for _ in 0..reader.read_var_u32().ok()? {
            let at = reader.original_position();
            let old = body.checked_add(reader.read_var_u32().ok()?)?;
            let new = offsets.rewritten(old).checked_sub(offsets.rewritten(body))?;
            editor.replace_index(at, new);
            let size = reader.read_var_u32().ok()?;
            reader.read_bytes(size as usize).ok()?;
        }
    }
    editor.copy_to(reader.original_position());
    reader.eof().then_some(editor.out)
}
