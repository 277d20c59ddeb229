//! The judge of the rewriter's tests: reads a module and what it was rewritten to side by side, instruction by instruction and offset by offset.

use super::*;
use std::collections::HashMap;
use wasmparser::{ExternalKind, Operator, Payload, Validator, WasmFeatures};

/// An instruction and its offset.
pub(super) type Instruction<'w> = (Operator<'w>, usize);

pub(crate) fn is_valid(wasm: &[u8]) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).map(|_| ())
}

/// What `compare` needs of a module.
#[derive(Default)]
pub(super) struct Parts<'w> {
    pub(super) memories: Vec<MemoryType>,
    pub(super) imported_functions: u32,
    pub(super) imports: Vec<(String, String)>,
    pub(super) bodies: Vec<(usize, Vec<Instruction<'w>>)>,
    pub(super) exports: Vec<(String, ExternalKind, u32)>,
    pub(super) start: Option<u32>,
    /// Functions named by tables and globals, in order.
    pub(super) references: Vec<u32>,
    pub(super) data: Vec<(Option<u32>, &'w [u8])>,
    pub(super) hints: Vec<(u32, Vec<u32>)>,
    pub(super) names: HashMap<String, String>,
    pub(super) custom: Vec<(String, &'w [u8])>,
}

pub(super) fn parts(wasm: &[u8]) -> Parts<'_> {
    let mut parts = Parts::default();
    let reference = |expression: &wasmparser::ConstExpr<'_>, references: &mut Vec<u32>| {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator.unwrap() {
                references.push(function_index);
            }
        }
    };
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    parts.imports.push((import.module.to_string(), import.name.to_string()));
                    match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => parts.imported_functions += 1,
                        TypeRef::Memory(memory) => parts.memories.push(memory),
                        _ => {}
                    }
                }
            }
            Payload::MemorySection(section) => parts.memories.extend(section.into_iter().map(Result::unwrap)),
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    parts.exports.push((export.name.to_string(), export.kind, export.index));
                }
            }
            Payload::StartSection { func, .. } => parts.start = Some(func),
            Payload::GlobalSection(section) => {
                for global in section {
                    reference(&global.unwrap().init_expr, &mut parts.references);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    if let wasmparser::TableInit::Expr(expression) = table.unwrap().init {
                        reference(&expression, &mut parts.references);
                    }
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    match element.unwrap().items {
                        wasmparser::ElementItems::Functions(functions) => {
                            parts.references.extend(functions.into_iter().map(Result::unwrap));
                        }
                        wasmparser::ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                reference(&expression.unwrap(), &mut parts.references);
                            }
                        }
                    }
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data.unwrap();
                    let memory = match data.kind {
                        wasmparser::DataKind::Passive => None,
                        wasmparser::DataKind::Active { memory_index, .. } => Some(memory_index),
                    };
                    parts.data.push((memory, data.data));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().unwrap().into_iter_with_offsets();
                parts.bodies.push((body.range().start, operators.map(Result::unwrap).collect()));
            }
            Payload::CustomSection(section) => match section.as_known() {
                wasmparser::KnownCustom::Name(names) => parts.names = read_names(names),
                wasmparser::KnownCustom::BranchHints(hints) => {
                    for function in hints {
                        let function = function.unwrap();
                        let offsets = function.hints.into_iter().map(|hint| hint.unwrap().func_offset).collect();
                        parts.hints.push((function.func, offsets));
                    }
                }
                _ => parts.custom.push((section.name().to_string(), section.data())),
            },
            _ => {}
        }
    }
    parts
}

/// Names by "kind index" or "kind index inner".
pub(super) fn read_names(reader: wasmparser::NameSectionReader<'_>) -> HashMap<String, String> {
    use wasmparser::Name;
    let mut names = HashMap::new();
    for name in reader {
        let flat = |kind: &str, map: wasmparser::NameMap<'_>, names: &mut HashMap<String, String>| {
            for naming in map {
                let naming = naming.unwrap();
                names.insert(format!("{kind} {}", naming.index), naming.name.to_string());
            }
        };
        match name.unwrap() {
            Name::Function(map) => flat("function", map, &mut names),
            Name::Memory(map) => flat("memory", map, &mut names),
            Name::Global(map) => flat("global", map, &mut names),
            Name::Local(map) => {
                for function in map {
                    let function = function.unwrap();
                    flat(&format!("local {}", function.index), function.names, &mut names);
                }
            }
            Name::Label(map) => {
                for function in map {
                    let function = function.unwrap();
                    flat(&format!("label {}", function.index), function.names, &mut names);
                }
            }
            _ => {}
        }
    }
    names
}

/// An operator as text, with memories and functions under their new indices.
pub(super) fn text(operator: &Operator<'_>, memory: impl Fn(u32) -> u32, function: impl Fn(u32) -> u32) -> String {
    let text = format!("{operator:?}");
    let mut out = String::new();
    let mut rest = text.as_str();
    let labels = ["memory: ", "mem: ", "function_index: "];
    while let Some((at, label)) = labels.iter().filter_map(|label| Some((rest.find(label)?, *label))).min() {
        let (before, after) = rest.split_at(at + label.len());
        let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        let index = after[..digits].parse().unwrap();
        let new = if label == "function_index: " { function(index) } else { memory(index) };
        out.push_str(&format!("{before}{new}"));
        rest = &after[digits..];
    }
    out + rest
}

/// The function that takes the place of `operator`, the memory, and the offset.
pub(super) fn replacement(
    operator: &Operator<'_>,
    memories: &[MemoryType],
) -> Option<(&'static str, u32, Option<u64>)> {
    let (name, memory, offset) = match operator {
        Operator::MemoryAtomicWait32 { memarg } => ("wait32", memarg.memory, Some(memarg.offset)),
        Operator::MemoryAtomicWait64 { memarg } => ("wait64", memarg.memory, Some(memarg.offset)),
        Operator::MemoryAtomicNotify { memarg } => ("notify", memarg.memory, Some(memarg.offset)),
        Operator::MemoryGrow { mem } => ("grow", *mem, None),
        _ => return None,
    };
    let ty = memories.get(memory as usize).filter(|ty| ty.shared)?;
    let place = memories[..memory as usize].iter().filter(|ty| ty.shared).count() as u32;
    let wide = HostFunction::ALL.into_iter().map(HostFunction::name);
    let name = if ty.memory64 { wide.into_iter().find(|found| *found == format!("{name}_m64")).unwrap() } else { name };
    Some((name, place, offset))
}

/// Fails unless `rewritten` is `original` with the changes that there should be. Both are valid. How many instructions there were, and how many were replaced.
pub(super) fn compare(original: &[u8], rewritten: &Rewritten) -> (usize, usize) {
    let (old, new) = (parts(original), parts(&rewritten.wasm));
    let side = &rewritten.side;

    // Imports: the old ones, functions, memories.
    assert_eq!(old.imports[..], new.imports[..old.imports.len()]);
    let added: Vec<_> = new.imports[old.imports.len()..].iter().collect();
    assert!(added.iter().all(|(module, _)| module == IMPORT_MODULE));
    let imported_memories = old.memories.len() - defined(original);
    let mut expected: Vec<_> = (0..imported_memories).collect();
    expected.extend((imported_memories..old.memories.len()).filter(|index| old.memories[*index].shared));
    expected.extend((imported_memories..old.memories.len()).filter(|index| !old.memories[*index].shared));
    let memory = |index: u32| expected.iter().position(|old| *old == index as usize).map_or(index, |new| new as u32);
    for (new_index, old_index) in expected.iter().enumerate() {
        assert_eq!(new.memories[new_index], old.memories[*old_index]);
    }
    let shared: Vec<_> = old.memories.iter().filter(|ty| ty.shared).collect();
    assert_eq!(shared.len(), side.memories.len());
    for (ty, known) in shared.iter().zip(&side.memories) {
        assert_eq!((ty.initial, ty.maximum, ty.memory64), (known.minimum, known.maximum, known.memory64));
        assert_eq!(ty.page_size_log2, known.page_size_log2);
        assert!(new.imports.contains(&(known.module.clone(), known.name.clone())));
    }

    // Functions and what names them.
    let functions = new.imported_functions - old.imported_functions;
    let function = |index: u32| if index < old.imported_functions { index } else { index + functions };
    for index in 0..old.imported_functions + old.bodies.len() as u32 {
        assert_eq!(side.functions.original(function(index)), Some(index));
    }
    for index in old.imported_functions..new.imported_functions {
        assert_eq!(side.functions.original(index), None);
    }
    assert_eq!(old.start.map(function), new.start);
    assert_eq!(old.references.iter().map(|index| function(*index)).collect::<Vec<_>>(), new.references);
    assert_eq!(old.exports.len(), new.exports.len());
    for ((name, kind, index), exported) in old.exports.iter().zip(&new.exports) {
        let index = match kind {
            ExternalKind::Func | ExternalKind::FuncExact => function(*index),
            ExternalKind::Memory => memory(*index),
            _ => *index,
        };
        assert_eq!((name, kind, &index), (&exported.0, &exported.1, &exported.2));
    }
    let data: Vec<_> = old.data.iter().map(|(index, data)| (index.map(memory), *data)).collect();
    assert_eq!(data, new.data);
    for (key, name) in &old.names {
        let words: Vec<_> = key.split(' ').collect();
        let index: u32 = words[1].parse().unwrap();
        let index = match words[0] {
            "function" | "local" | "label" => function(index),
            "memory" => memory(index),
            _ => index,
        };
        let key = [vec![words[0].to_string(), index.to_string()], words[2..].iter().map(|w| w.to_string()).collect()];
        assert_eq!(Some(name), new.names.get(&key.concat().join(" ")));
    }
    assert_eq!(old.names.len(), new.names.len());
    assert!(new.custom.iter().all(|(name, _)| !name.starts_with(".debug_")));
    assert_eq!(
        old.custom.iter().filter(|(name, _)| !name.starts_with(".debug_")).collect::<Vec<_>>(),
        new.custom.iter().collect::<Vec<_>>()
    );

    // Code.
    let (mut instructions, mut replaced) = (0, 0);
    assert_eq!(old.bodies.len(), new.bodies.len());
    for ((old_start, old_body), (new_start, new_body)) in old.bodies.iter().zip(&new.bodies) {
        assert_eq!(side.offsets.original(*new_start as u64), *old_start as u64);
        let mut next = new_body.iter();
        let mut take = |at: usize| -> &Operator<'_> {
            let (operator, offset) = next.next().unwrap();
            assert_eq!(side.offsets.original(*offset as u64), at as u64, "{operator:?} at {offset:#x}");
            operator
        };
        for (operator, at) in old_body {
            instructions += 1;
            let Some((name, place, offset)) = replacement(operator, &old.memories) else {
                assert_eq!(text(operator, memory, function), text(take(*at), |index| index, |index| index));
                continue;
            };
            replaced += 1;
            if let Some(offset) = offset {
                assert_eq!(*take(*at), Operator::I64Const { value: offset as i64 });
            }
            assert_eq!(*take(*at), Operator::I32Const { value: place as i32 });
            let Operator::Call { function_index } = *take(*at) else { panic!("no call") };
            let index = (function_index - old.imported_functions) as usize;
            assert_eq!(added[index].1, name);
        }
        assert!(next.next().is_none());
    }
    let used: std::collections::HashSet<_> = old
        .bodies
        .iter()
        .flat_map(|(_, body)| body)
        .filter_map(|(operator, _)| replacement(operator, &old.memories))
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(used.len(), functions as usize);

    // Branch hints still point at the same instructions.
    assert_eq!(old.hints.len(), new.hints.len());
    for ((old_function, old_offsets), (new_function, new_offsets)) in old.hints.iter().zip(&new.hints) {
        assert_eq!(function(*old_function), *new_function);
        let body = (old_function - old.imported_functions) as usize;
        for (old_offset, new_offset) in old_offsets.iter().zip(new_offsets) {
            let at = new.bodies[body].0 + *new_offset as usize;
            assert_eq!(side.offsets.original(at as u64), (old.bodies[body].0 + *old_offset as usize) as u64);
        }
    }

    // Side data.
    let mut bytes = Vec::new();
    side.encode(&mut bytes);
    let mut input = Input(&bytes);
    assert_eq!(Side::decode(&mut input).as_ref(), Ok(side));
    assert!(input.0.is_empty());
    (instructions, replaced)
}

pub(super) fn defined(wasm: &[u8]) -> usize {
    let sections = wasmparser::Parser::new(0).parse_all(wasm);
    let count = sections.filter_map(|payload| match payload.unwrap() {
        Payload::MemorySection(section) => Some(section.count() as usize),
        _ => None,
    });
    count.sum()
}
