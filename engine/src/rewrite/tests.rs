//! Shows that a rewritten module does what the original did, instruction by instruction and offset by offset, with imports in place of what waits; that side data
//! comes back as it was; and that nothing malformed does harm. `compare` is the judge: it reads both modules side by side.

use super::*;
use std::collections::HashMap;
use wasmparser::{ExternalKind, Operator, Payload, Validator, WasmFeatures};

/// An instruction and its offset.
type Instruction<'w> = (Operator<'w>, usize);

pub(crate) fn is_valid(wasm: &[u8]) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).map(|_| ())
}

/// What `compare` needs of a module.
#[derive(Default)]
struct Parts<'w> {
    memories: Vec<MemoryType>,
    imported_functions: u32,
    imports: Vec<(String, String)>,
    bodies: Vec<(usize, Vec<Instruction<'w>>)>,
    exports: Vec<(String, ExternalKind, u32)>,
    start: Option<u32>,
    /// Functions named by tables and globals, in order.
    references: Vec<u32>,
    data: Vec<(Option<u32>, &'w [u8])>,
    hints: Vec<(u32, Vec<u32>)>,
    names: HashMap<String, String>,
    custom: Vec<(String, &'w [u8])>,
}

fn parts(wasm: &[u8]) -> Parts<'_> {
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
fn read_names(reader: wasmparser::NameSectionReader<'_>) -> HashMap<String, String> {
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
fn text(operator: &Operator<'_>, memory: impl Fn(u32) -> u32, function: impl Fn(u32) -> u32) -> String {
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
fn replacement(operator: &Operator<'_>, memories: &[MemoryType]) -> Option<(&'static str, u32, Option<u64>)> {
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
pub(crate) fn compare(original: &[u8], rewritten: &Rewritten) -> (usize, usize) {
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

fn defined(wasm: &[u8]) -> usize {
    let sections = wasmparser::Parser::new(0).parse_all(wasm);
    let count = sections.filter_map(|payload| match payload.unwrap() {
        Payload::MemorySection(section) => Some(section.count() as usize),
        _ => None,
    });
    count.sum()
}

/// Rewrites text and compares.
fn check(text: &str) -> Rewritten {
    let wasm = wat::parse_str(text).unwrap();
    check_binary(&wasm)
}

fn check_binary(wasm: &[u8]) -> Rewritten {
    is_valid(wasm).unwrap();
    let rewritten = rewrite(wasm).unwrap().expect("nothing to do");
    is_valid(&rewritten.wasm).unwrap();
    compare(wasm, &rewritten);
    rewritten
}

fn names(rewritten: &Rewritten) -> Vec<String> {
    let imports = parts(&rewritten.wasm).imports;
    imports.into_iter().filter(|(module, _)| module == IMPORT_MODULE).map(|(_, name)| name).collect()
}

const EVERYTHING: &str = r#"(module $everything
    (type $f (func))
    (import "env" "log" (func $log (param i32)))
    (import "env" "memory" (memory $outside 1 2 shared))
    (memory $plain 1)
    (memory $wide i64 1 4 shared)
    (memory $inside 1 3 shared)
    (global $g (mut funcref) (ref.func $first))
    (table $t 3 funcref)
    (table $u 1 funcref (ref.func $second))
    (tag $tag (param i32))
    (elem (table $t) (i32.const 0) func $first $second $log)
    (elem (table $t) (i32.const 0) funcref (ref.func $second) (ref.null func))
    (elem declare func $second)
    (export "first" (func $first))
    (export "plain" (memory $plain))
    (export "inside" (memory $inside))
    (start $first)
    (func $first (local $x i32)
        (block $done
            (br_if $done (local.get $x))
            (call $log (i32.const 1))
            (drop (memory.atomic.wait32 $outside (i32.const 0) (i32.const 1) (i64.const -1)))
            (drop (memory.atomic.wait32 $outside offset=4 (i32.const 0) (i32.const 1) (i64.const -1)))
            (drop (memory.atomic.wait64 $inside offset=4294967288 (i32.const 0) (i64.const 1) (i64.const -1)))
            (drop (memory.atomic.wait64 $wide offset=0x8000000000000008 (i64.const 0) (i64.const 1) (i64.const -1)))
            (drop (memory.atomic.wait32 $wide (i64.const 0) (i32.const 1) (i64.const -1)))
            (drop (memory.atomic.notify $inside (i32.const 0) (i32.const 1)))
            (drop (memory.atomic.notify $wide offset=12 (i64.const 0) (i32.const 1)))
            (drop (memory.grow $inside (i32.const 1)))
            (drop (memory.grow $wide (i64.const 1)))
            (drop (memory.grow $plain (i32.const 1)))
            (drop (memory.atomic.notify $plain (i32.const 0) (i32.const 1)))
            (@metadata.code.branch_hint "\01")
            (br_if $done (local.get $x)))
        (call $second))
    (func $second
        (try_table (catch_all 0) (throw $tag (i32.const 3)))
        (memory.copy $plain $inside (i32.const 0) (i32.const 0) (i32.const 4))
        (memory.fill $plain (i32.const 0) (i32.const 0) (i32.const 4))
        (memory.init $plain $d (i32.const 0) (i32.const 0) (i32.const 4))
        (data.drop $d)
        (drop (memory.size $plain))
        (i32.store $plain offset=3 (i32.const 0) (i32.load8_u $inside (i32.const 1)))
        (v128.store64_lane $plain 1 (i32.const 0) (v128.const i64x2 1 2))
        (i32.atomic.store $plain (i32.const 0) (i32.atomic.load $wide (i64.const 0)))
        (atomic.fence)
        (drop (ref.func $second))
        (return_call $first))
    (data $d "abcd")
    (data (memory $plain) (i32.const 0) "plain")
    (data (memory $inside) (i32.const 0) "inside")
    (@custom "unknown" "left alone")
)"#;

#[test]
fn rewrites_everything_that_waits_or_grows() {
    let rewritten = check(EVERYTHING);
    let expected = [
        "wait32",
        "wait64",
        "notify",
        "grow",
        "wait32_m64",
        "wait64_m64",
        "notify_m64",
        "grow_m64",
        "memory1",
        "memory2",
    ];
    assert_eq!(names(&rewritten), expected);
    let parts = parts(&rewritten.wasm);
    assert_eq!(parts.hints.len(), 1);
    assert_eq!(parts.custom, [("unknown".to_string(), &b"left alone"[..])]);
    let named: Vec<_> = (0..4).map(|index| parts.names[&format!("memory {index}")].as_str()).collect();
    assert_eq!(named, ["outside", "wide", "inside", "plain"]);
    assert_eq!(parts.names["function 9"], "first");
    assert_eq!(parts.names["local 9 0"], "x");
    assert_eq!(parts.names["label 9 0"], "done");
    let memories: Vec<_> =
        rewritten.side.memories.iter().map(|memory| (memory.module.as_str(), memory.name.as_str())).collect();
    assert_eq!(memories, [("env", "memory"), (IMPORT_MODULE, "memory1"), (IMPORT_MODULE, "memory2")]);
    assert_eq!(rewritten.side.memories[1].maximum, Some(4));
}

#[test]
fn leaves_modules_without_shared_memory_alone() {
    for text in [
        "(module)",
        "(module (memory 1) (func (drop (memory.grow (i32.const 1)))))",
        "(module (memory 1) (func (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))))",
        r#"(module (import "env" "memory" (memory 1 2)))"#,
    ] {
        assert!(rewrite(&wat::parse_str(text).unwrap()).unwrap().is_none());
    }
}

#[test]
fn adds_only_imports_that_are_used() {
    let rewritten = check("(module (memory 1 2 shared) (func (drop (memory.grow (i32.const 1)))))");
    assert_eq!(names(&rewritten), ["grow", "memory0"]);
    let rewritten = check("(module (memory 1 2 shared) (func (drop (memory.size))))");
    assert_eq!(names(&rewritten), ["memory0"]);
    let rewritten = check(r#"(module (import "a" "b" (memory 1 2 shared)))"#);
    assert!(names(&rewritten).is_empty());
    assert_eq!(rewritten.side.offsets.original(7), 7);
}

#[test]
fn replaces_the_first_and_the_last_memory_definition() {
    for order in ["s p s", "p s p", "s s", "p s", "s p", "p p s s p"] {
        let memories: String =
            order.split(' ').map(|kind| if kind == "s" { "(memory 1 2 shared)" } else { "(memory 3)" }).collect();
        let rewritten = check(&format!("(module {memories} (func (drop (i32.load (i32.const 0)))))"));
        assert_eq!(rewritten.side.memories.len(), order.matches('s').count());
    }
}

#[test]
fn names_the_memory_where_the_first_one_moves() {
    // Memory 0 goes without a name in instructions and in data, until it is no longer the first.
    let rewritten = check(
        r#"(module (memory 1) (memory 1 2 shared)
        (func (drop (i32.load offset=9 (i32.const 0))) (drop (memory.size)) (memory.fill (i32.const 0) (i32.const 0) (i32.const 4)))
        (data (i32.const 0) "x"))"#,
    );
    assert_eq!(parts(&rewritten.wasm).data, [(Some(1), &b"x"[..])]);
}

#[test]
fn keeps_custom_page_sizes_and_64_bit_limits() {
    let rewritten = check(
        r#"(module (memory i64 5 70000 shared (pagesize 1)) (func (drop (memory.atomic.notify (i64.const 0) (i32.const 1)))))"#,
    );
    let memory = &rewritten.side.memories[0];
    assert_eq!(
        (memory.minimum, memory.maximum, memory.page_size_log2, memory.memory64),
        (5, Some(70000), Some(0), true)
    );
}

/// A module with `before` functions that call what comes after them.
fn many_functions(before: usize) -> String {
    let mut text = String::from(r#"(module (import "a" "b" (memory 1 2 shared))"#);
    for index in 0..before {
        let next = (index * 7 + 1) % before;
        let wait = if index % 5 == 0 { "(drop (memory.atomic.notify (i32.const 0) (i32.const 1)))" } else { "" };
        text += &format!("(func (export \"{index}\") (call {next}) {wait} (call {index}) nop)");
    }
    text + "(func (drop (memory.grow (i32.const 1)))))"
}

#[test]
fn maps_offsets_where_indices_grow() {
    for before in [1, 126, 127, 128, 129, 300, 16383, 16384] {
        let rewritten = check(&many_functions(before));
        // Only what changes size takes a point: three for a notification and at most one for a call.
        assert!(rewritten.side.offsets.points() < before + 20, "{before}: {}", rewritten.side.offsets.points());
    }
}

#[test]
fn maps_offsets_where_sizes_of_functions_grow() {
    // Bodies on both sides of 127 bytes.
    for nops in 100..130 {
        let nops = "nop ".repeat(nops);
        check(&format!(
            "(module (memory 1 2 shared) (func nop) (func {nops} (drop (memory.atomic.notify (i32.const 0) (i32.const 1))) call 0) (func call 1))"
        ));
    }
}

/// Puts `(call 0)` with its index in five bytes, as linkers do, and a padded section and body size.
fn padded() -> Vec<u8> {
    let notify = [0x41, 0, 0x41, 1, 0xfe, 0x00, 2, 0, 0x1a];
    let mut body = vec![0, 0x10, 0x80, 0x80, 0x80, 0x80, 0, 0xd2, 0x80, 0x80, 0, 0x1a];
    body.extend(notify);
    body.push(0x0b);
    let mut content = vec![1, body.len() as u8 | 0x80, 0x80, 0];
    content.extend(&body);
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    wasm.extend([1, 4, 1, 0x60, 0, 0]);
    wasm.extend([3, 2, 1, 0]);
    wasm.extend([5, 4, 1, 3, 1, 1]);
    wasm.extend([7, 5, 1, 1, b'f', 0, 0]);
    wasm.extend([10, content.len() as u8 | 0x80, 0x80, 0x80, 0x80, 0]);
    wasm.extend(&content);
    wasm
}

#[test]
fn keeps_padded_numbers() {
    let wasm = padded();
    let rewritten = check_binary(&wasm);
    let new = &rewritten.wasm;
    let find = |needle: &[u8]| new.windows(needle.len()).position(|window| window == needle);
    assert!(find(&[0x10, 0x81, 0x80, 0x80, 0x80, 0, 0xd2, 0x81, 0x80, 0, 0x1a]).is_some());
    // One body: the start, the notification, what comes after.
    assert_eq!(rewritten.side.offsets.points(), 3);
    let section = Section::all(new).unwrap().map(Result::unwrap).find(|section| section.id == sections::CODE).unwrap();
    assert_eq!(&new[section.content.start - 4..section.content.start], [0x80, 0x80, 0x80, 0]);
}

#[test]
fn leaves_what_is_not_valid_for_the_engine_to_refuse() {
    let module = |body: &str| {
        let text = format!("(module (memory 1 2 shared) (func {body}))");
        wat::parse_str(text).unwrap()
    };
    let with = |from: &[u8], to: &[u8]| {
        let mut wasm = module("(drop (memory.atomic.notify (i32.const 0) (i32.const 1))) nop nop nop nop nop nop");
        let at = wasm.windows(from.len()).position(|window| window == from).unwrap();
        wasm.splice(at..at + to.len(), to.iter().copied());
        wasm
    };
    let notify = [0xfe, 0, 2, 0, 0x1a];
    for (what, wasm) in [
        ("too small an alignment", with(&notify, &[0xfe, 0, 1, 0])),
        ("too large an alignment", with(&notify, &[0xfe, 0, 3, 0])),
        ("an offset beyond 32 bits", with(&notify, &[0xfe, 0, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a])),
        ("a memory that does not exist", with(&notify, &[0xfe, 0, 0x42, 7, 0, 0x1a])),
        ("a function that does not exist", with(&notify, &[0xfe, 0, 2, 0, 0x1a, 0x10, 1])),
        ("the wrong type on the stack", module("(drop (memory.grow (i64.const 0)))")),
    ] {
        assert!(is_valid(&wasm).is_err(), "{what}");
        let rewritten = rewrite(&wasm).unwrap().unwrap();
        assert!(is_valid(&rewritten.wasm).is_err(), "{what}");
    }
}

#[test]
fn does_not_make_types_valid_that_are_not() {
    // Each names type 1, the first that does not exist, and becomes the first that is added.
    let grow = "(drop (memory.grow (i32.const 1)))";
    for text in [
        format!("(module (type (func)) (memory 1 2 shared) (func {grow}) (func (type 1)))"),
        format!(
            "(module (type (func)) (memory 1 2 shared) (table 1 funcref) (func {grow} (call_indirect (type 1) (i32.const 0))))"
        ),
        format!("(module (type (func)) (memory 1 2 shared) (func (local (ref null 1)) {grow}))"),
        format!("(module (type (func)) (memory 1 2 shared) (func {grow} (drop (ref.null 1))))"),
        format!(
            "(module (type (func)) (memory 1 2 shared) (func {grow} (drop (block (result (ref null 1)) unreachable))))"
        ),
        format!("(module (type (func)) (memory 1 2 shared) (func {grow} (drop (ref.cast (ref 1) (ref.null func)))))"),
        format!("(module (type (func)) (memory 1 2 shared) (func {grow}) (global (ref null 1) (ref.null func)))"),
        format!("(module (type (func)) (memory 1 2 shared) (func {grow}) (table 1 (ref null 1)))"),
        format!("(module (type (func)) (memory 1 2 shared) (func {grow}) (tag (type 1)))"),
        format!("(module (type (func)) (import \"a\" \"b\" (func (type 1))) (memory 1 2 shared) (func {grow}))"),
    ] {
        let wasm = wat::parse_str(&text).unwrap();
        assert!(is_valid(&wasm).is_err(), "{text}");
        match rewrite(&wasm) {
            Ok(rewritten) => panic!("{text}: {:?}", is_valid(&rewritten.unwrap().wasm)),
            Err(failure) => assert_eq!(failure.message, "unknown type", "{text}"),
        }
    }
}

#[test]
fn refuses_what_is_reserved_or_cannot_be_read() {
    let reserved = r#"(module (import "weft_threads" "grow" (func (param i32 i32) (result i32))) (memory 1 2 shared))"#;
    let failure = rewrite(&wat::parse_str(reserved).unwrap()).unwrap_err();
    assert_eq!(failure.message, "imports from \"weft_threads\", which is not for guests");
    let memory = [5, 4, 1, 3, 1, 1];
    let module = |sections: &[&[u8]]| [b"\0asm\x01\0\0\0", &*sections.concat()].concat();
    for (wasm, message) in [
        (b"\0asm\x0d\0\x01\0".to_vec(), "not a core module"),
        (b"".to_vec(), "not a core module"),
        (module(&[&memory, &memory]), "section out of order"),
        (module(&[&memory, &[1, 1, 0]]), "section out of order"),
        (module(&[&memory, &[77, 0]]), "unknown section"),
        (module(&[&memory, &[10, 2, 0, 0]]), "there is more after the last function"),
    ] {
        assert_eq!(rewrite(&wasm).unwrap_err().message, message);
    }
}

#[test]
fn drops_what_is_malformed_in_names_and_hints() {
    let original = wat::parse_str(EVERYTHING).unwrap();
    let at = original.windows(5).position(|window| window == b"\x04name").unwrap();
    // The name of the module stays, the names of functions end in the middle.
    let mut broken = original.clone();
    let subsection = at + 5 + 2 + 1 + "everything".len();
    assert_eq!(broken[subsection], 1);
    broken[subsection + 2] = 99;
    is_valid(&broken).unwrap();
    let rewritten = rewrite(&broken).unwrap().unwrap();
    is_valid(&rewritten.wasm).unwrap();
    let new = parts(&rewritten.wasm);
    assert!(new.names.is_empty());
    assert!(rewritten.wasm.windows(10).any(|window| window == b"everything"));
}

/// Pseudo-random numbers (SplitMix64, Steele et al. 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Rewrites what may not be valid: the result is valid if and only if the original is.
pub(crate) fn check_hostile(wasm: &[u8]) {
    let valid = is_valid(wasm);
    match rewrite(wasm) {
        Ok(None) => {}
        Ok(Some(rewritten)) => {
            let also = is_valid(&rewritten.wasm);
            assert_eq!(valid.is_ok(), also.is_ok(), "{valid:?} {also:?}");
            for offset in 0..rewritten.wasm.len() as u64 + 10 {
                rewritten.side.offsets.original(offset);
            }
        }
        Err(failure) => {
            let reserved = failure.message.starts_with("imports from");
            assert!(valid.is_err() || reserved, "{failure}");
        }
    }
}

#[test]
fn survives_damage() {
    let seed = 0x5eed;
    println!("seed {seed:#x}");
    let mut state = seed;
    let originals = [wat::parse_str(EVERYTHING).unwrap(), padded(), wat::parse_str(many_functions(140)).unwrap()];
    for original in &originals {
        for end in (0..original.len()).step_by(original.len() / 300 + 1) {
            check_hostile(&original[..end]);
        }
        for _ in 0..1500 {
            let mut wasm = original.clone();
            for _ in 0..1 + random(&mut state) % 3 {
                let at = random(&mut state) as usize % wasm.len();
                match random(&mut state) % 4 {
                    0 => wasm[at] ^= 1 << (random(&mut state) % 8),
                    1 => wasm[at] = random(&mut state) as u8,
                    2 => wasm.insert(at, random(&mut state) as u8),
                    _ => drop(wasm.remove(at)),
                }
            }
            check_hostile(&wasm);
        }
    }
}

#[test]
fn takes_time_in_proportion() {
    // A million functions, more than the engine takes; a million memories; a million empty sections; deep nesting. Quadratic work would take minutes.
    let wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x05\x04\x01\x03\x01\x01".to_vec();
    let count = 1_000_001u32;
    let section = |wasm: &mut Vec<u8>, id: u8, item: &[u8]| {
        let mut content = Vec::new();
        put_unsigned(&mut content, count.into());
        content.extend(item.repeat(count as usize));
        wasm.push(id);
        put_unsigned(wasm, content.len() as u64);
        wasm.extend(content);
    };
    let (types, memory) = wasm[8..].split_at(6);
    let mut functions = [&wasm[..8], types].concat();
    section(&mut functions, 3, &[0]);
    functions.extend(memory);
    section(&mut functions, 10, &[9, 0, 0x41, 0, 0x40, 0, 0x1a, 0x10, 5, 0x0b]);
    let rewritten = rewrite(&functions).unwrap().unwrap();
    assert!(is_valid(&rewritten.wasm).is_err());

    let mut memories = wasm[..8].to_vec();
    section(&mut memories, 5, &[3, 1, 1]);
    assert_eq!(rewrite(&memories).unwrap().unwrap().side.memories.len(), count as usize);

    let mut sections = wasm.clone();
    sections.extend([0, 2, 1, b'x'].repeat(count as usize));
    assert!(rewrite(&sections).unwrap().is_some());

    let nested = format!("(module (memory 1 2 shared) (func {} {}))", "block ".repeat(100_000), "end ".repeat(100_000));
    check(&nested);
}

#[test]
fn survives_damage_in_side_data() {
    let side = rewrite(&wat::parse_str(EVERYTHING).unwrap()).unwrap().unwrap().side;
    let mut bytes = Vec::new();
    side.encode(&mut bytes);
    for end in 0..bytes.len() {
        assert_eq!(Side::decode(&mut Input(&bytes[..end])), Err(Damaged));
    }
    let mut state = 1;
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        let at = random(&mut state) as usize % bytes.len();
        damaged[at] = random(&mut state) as u8;
        damaged.truncate(at + 1 + random(&mut state) as usize % (bytes.len() - at));
        let _ = Side::decode(&mut Input(&damaged));
    }
}

#[test]
fn takes_debug_information_out() {
    let rewritten = check(
        r#"(module (memory 1 2 shared) (func (drop (memory.grow (i32.const 1))))
        (@custom ".debug_info" "info") (@custom ".debug_loc" "loc") (@custom ".debug_info" "again") (@custom "after" "x"))"#,
    );
    let custom: Vec<_> = wasmparser::Parser::new(0)
        .parse_all(&rewritten.wasm)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => Some(section.name().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(custom, ["after"]);
}
