//! Shows that rewritten modules are valid and have what the originals had, instruction by instruction and offset by offset; that side data comes back as it was;
//! and that nothing malformed does harm. That they also run is in `alone` and `strands`.

mod alone;
mod labels;
mod random;
mod rests;
mod strands;

use super::labels::each_label;
use super::side::{Found, StackPointer, Tls};
use super::*;
pub(crate) use crate::rewrite::compare::is_valid;
use crate::rewrite::{Damaged, Input};
use std::collections::BTreeMap;
use wasm_encoder::Instruction;
use wasmparser::Operator;

/// Rewrites text, and looks at everything that has to be so of any module.
pub fn rewrite_text(text: &str, kind: Kind) -> Rewritten {
    check_binary(&wat::parse_str(text).unwrap(), kind)
}

/// Each check asks.
const OFTEN: Budgets = Budgets { loops: 0, calls: 0 };

fn check_binary(wasm: &[u8], kind: Kind) -> Rewritten {
    check_rewritten(wasm, kind, Budgets::default())
}

fn check_rewritten(wasm: &[u8], kind: Kind, budgets: Budgets) -> Rewritten {
    is_valid(wasm).unwrap();
    let rewritten = rewrite_with(wasm, kind, budgets).unwrap();
    is_valid(&rewritten.wasm).unwrap();
    compare(wasm, &rewritten);
    check_side(&rewritten.side);
    rewritten
}

const KINDS: [Kind; 3] = [Kind::Alone, Kind::Strands { preemptive: false }, Kind::Strands { preemptive: true }];

type Instructions<'w> = Vec<(usize, Operator<'w>)>;

fn bodies(wasm: &[u8]) -> Vec<Instructions<'_>> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            let operators = body.get_operators_reader().unwrap().into_iter_with_offsets();
            bodies.push(operators.map(|operator| operator.unwrap()).map(|(operator, at)| (at, operator)).collect());
        }
    }
    bodies
}

/// The instruction without what may change in it: labels and functions.
fn shape(operator: &Operator<'_>) -> String {
    match operator {
        Operator::Call { .. } => "call".to_string(),
        Operator::ReturnCall { .. } => "return_call".to_string(),
        Operator::RefFunc { .. } => "ref.func".to_string(),
        Operator::LocalGet { .. } => "local.get".to_string(),
        Operator::LocalSet { .. } => "local.set".to_string(),
        Operator::LocalTee { .. } => "local.tee".to_string(),
        _ => {
            let mut instruction = Instruction::try_from(operator.clone()).unwrap();
            each_label(&mut instruction, |label| *label = 0);
            format!("{instruction:?}")
        }
    }
}

/// That each instruction of the original is in the new file, and that each in the new file maps to an instruction: to the one that it is if it was there before.
fn compare(wasm: &[u8], rewritten: &Rewritten) {
    let (old, new) = (bodies(wasm), bodies(&rewritten.wasm));
    let counts = rewritten.side.functions;
    assert_eq!(old.len(), counts.defined as usize);
    for (old, new) in old.iter().zip(&new) {
        let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (at, operator) in new {
            let mapped = rewritten.side.offsets.original(*at as u64) as usize;
            found.entry(mapped).or_default().push(shape(operator));
        }
        let expected: Vec<usize> = old.iter().map(|(at, _)| *at).collect();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
        for (at, operator) in old {
            let found = &found[at];
            let shape = shape(operator);
            match operator {
                // What is added stands after it.
                Operator::Loop { .. } | Operator::GlobalSet { .. } | Operator::Call { .. } => {
                    assert!(found.contains(&shape));
                }
                _ => assert_eq!(found.last(), Some(&shape)),
            }
        }
    }
    for (old, new) in old.iter().zip(&new) {
        let identity = targets(old, |at| at);
        let mapped = targets(new, |at| rewritten.side.offsets.original(at as u64) as usize);
        for (at, targets) in identity {
            assert_eq!(mapped.get(&at), Some(&targets), "labels at {at}");
        }
    }
    let rests = &rewritten.side.rests;
    let first_rest = counts.defined as usize + counts.added as usize;
    assert_eq!(new.len(), first_rest + rests.len());
    for (rest, new) in rests.iter().zip(&new[first_rest..]) {
        compare_rest(&old[(rest - counts.imported) as usize], new, rewritten);
    }
    for index in 0..counts.imported + counts.added_imports + new.len() as u32 + 1 {
        let place = index.checked_sub(counts.imported + counts.added_imports);
        let expected = match place {
            _ if index < counts.imported => Some(index),
            Some(place) if place < counts.defined => Some(counts.imported + place),
            Some(place) => (place as usize).checked_sub(first_rest).and_then(|rest| rests.get(rest).copied()),
            None => None,
        };
        assert_eq!(rewritten.side.original_function(index), expected);
    }
}

/// That each instruction of the rest of a function maps to one of that, and to the one that it is if it is none that was added.
fn compare_rest(old: &Instructions<'_>, new: &Instructions<'_>, rewritten: &Rewritten) {
    let old: BTreeMap<usize, &Operator<'_>> = old.iter().map(|(at, operator)| (*at, operator)).collect();
    let mut found: BTreeMap<usize, Vec<&Operator<'_>>> = BTreeMap::new();
    for (at, operator) in new {
        found.entry(rewritten.side.offsets.original(*at as u64) as usize).or_default().push(operator);
    }
    let (first, begins) = found.first_key_value().unwrap();
    assert!(matches!(old[first], Operator::Loop { .. }));
    if matches!(begins[0], Operator::Call { .. }) {
        // It asks first, and that is all that it does.
        assert_eq!(found.len(), 1);
        let tail = &begins[begins.len() - 2..];
        assert!(matches!(tail, [Operator::ReturnCall { .. }, Operator::End]));
        return;
    }
    for (at, found) in found {
        let shape = shape(old[&at]);
        match old[&at] {
            Operator::Loop { .. } if matches!(found[0], Operator::LocalGet { .. } | Operator::ReturnCall { .. }) => {
                assert!(matches!(found.last().unwrap(), Operator::ReturnCall { .. }));
            }
            Operator::Loop { .. } | Operator::GlobalSet { .. } | Operator::End => {
                assert!(found.iter().any(|operator| super::tests::shape(operator) == shape));
            }
            _ => assert_eq!(super::tests::shape(found.last().unwrap()), shape),
        }
    }
}

fn labels(operator: &Operator<'_>) -> Vec<usize> {
    let mut labels = Vec::new();
    let mut instruction = Instruction::try_from(operator.clone()).unwrap();
    each_label(&mut instruction, |label| labels.push(*label as usize));
    labels
}

/// For the last instruction with labels at each offset where the blocks begin that they name. All offsets are mapped; a loop that became two has
/// to be named by its inner one.
fn targets(body: &Instructions<'_>, map: impl Fn(usize) -> usize) -> BTreeMap<usize, Vec<usize>> {
    let mut targets = BTreeMap::new();
    // That of the function comes first.
    let mut open = vec![usize::MAX];
    for (at, operator) in body {
        let at = map(*at);
        if matches!(operator, Operator::Delegate { .. } | Operator::End) {
            open.pop();
        }
        let labels = labels(operator);
        if !labels.is_empty() {
            let target = |label: usize| {
                let place = open.len() - 1 - label;
                match open.get(place + 1) == Some(&open[place]) {
                    true => usize::MAX - 1,
                    false => open[place],
                }
            };
            targets.insert(at, labels.into_iter().map(target).collect());
        }
        if matches!(
            operator,
            Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::Try { .. }
                | Operator::TryTable { .. }
        ) {
            open.push(at);
        }
    }
    targets
}

/// That it can be read again, and that no part of it can be misread as all of it.
fn check_side(side: &Side) {
    let mut bytes = Vec::new();
    side.encode(&mut bytes);
    let mut input = Input(&bytes);
    assert_eq!(Side::decode(&mut input).as_ref(), Ok(side));
    assert!(input.0.is_empty());
    for length in 0..bytes.len().min(500) {
        assert_eq!(Side::decode(&mut Input(&bytes[..length])), Err(Damaged));
    }
    for place in 0..bytes.len().min(500) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            if let Ok(read) = Side::decode(&mut Input(&damaged)) {
                read.original_function(u32::MAX);
                read.offsets.original(u64::from(u32::MAX));
            }
        }
    }
}

const EVERYTHING: &str = r#"(module $everything
    (type $unary (func (param i32) (result i32)))
    (import "env" "wait" (func $wait (param i32) (result i32)))
    (import "env" "take" (func $take (param i32 externref)))
    (import "weft_threads" "notify" (func $notify (param i32 i32 i64 i32) (result i32)))
    (import "weft_strand" "yield" (func $yield))
    (import "env" "tag" (tag $outside (param i32)))
    (import "env" "global" (global $zero i32))
    (tag $inside (param i32))
    (memory $memory 1)
    (table $table 4 funcref)
    (global $__stack_pointer (mut i32) (i32.const 65536))
    (global $reference funcref (ref.func $wait))
    (elem $elements (table $table) (i32.const 0) func $wait $main $yield)
    (elem (table $table) (i32.const 0) funcref (ref.func $take) (ref.null func))
    (elem declare func $main)
    (export "main" (func $main))
    (export "again" (func $main))
    (export "take" (func $take))
    (export "memory" (memory $memory))
    (start $start)
    (func $start (call $yield))
    (func $main (param $x i32) (result i32) (local $y i64) (local $z v128)
        (local.set $z (i32x4.splat (local.get $x)))
        (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
        (block $done
            (loop $loop
                (br_if $done (i32.eqz (local.get $x)))
                (local.set $x (i32.sub (local.get $x) (i32.const 1)))
                (br $loop)))
        (memory.init $data (i32.const 0) (i32.const 0) (i32.const 4))
        (data.drop $data)
        (drop (call $notify (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0)))
        (throw $inside (i32.const 3))
        (if (result i32) (local.get $x) (then (call $wait (i32.const 1))) (else (return_call $wait (i32.const 2)))))
    (func $malloc (param i32) (result i32) (local.get 0))
    (data $data "abcd")
    (data (memory $memory) (i32.const 0) "active")
    (@custom "unknown" "left out")
)"#;

/// Names by kind and index.
fn names(wasm: &[u8]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload.unwrap() else { continue };
        let section = match section.as_known() {
            wasmparser::KnownCustom::Name(section) => section,
            wasmparser::KnownCustom::BranchHints(_) => continue,
            _ => panic!("{}", section.name()),
        };
        for name in section {
            let mut put = |kind: &str, map: wasmparser::NameMap<'_>| {
                for naming in map {
                    let naming = naming.unwrap();
                    names.insert(format!("{kind} {}", naming.index), naming.name.to_string());
                }
            };
            match name.unwrap() {
                Name::Function(map) => put("function", map),
                Name::Global(map) => put("global", map),
                Name::Tag(map) => put("tag", map),
                Name::Local(map) => {
                    map.into_iter().map(Result::unwrap).for_each(|map| put(&format!("local {}", map.index), map.names))
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn keeps_names_and_leaves_out_other_custom_sections() {
    for kind in KINDS {
        let rewritten = rewrite_text(EVERYTHING, kind);
        let names = names(&rewritten.wasm);
        let added = rewritten.side.functions.added_imports;
        assert!(added > 2);
        assert_eq!(names["function 0"], "wait");
        assert_eq!(names[&format!("function {}", 4 + added)], "start");
        assert_eq!(names[&format!("function {}", 5 + added)], "main");
        assert_eq!(names[&format!("local {} 0", 5 + added)], "x");
        assert_eq!(names[&format!("local {} 1", 5 + added)], "y");
        assert_eq!((names["tag 0"].as_str(), names["tag 1"].as_str()), ("outside", "inside"));
        assert_eq!(names["global 1"], "__stack_pointer");
        assert!(rewritten.side.named);
    }
}

#[test]
fn finds_what_only_the_guest_knows_of() {
    let side = rewrite_text(EVERYTHING, Kind::Alone).side;
    assert_eq!(side.stack, Some(StackPointer { global: 1, found: Found::Named }));
    assert_eq!((side.tls, side.malloc), (None, Some(Found::Named)));
    // The same function is one entry; one with a reference is none; the start function has no name.
    let entries: Vec<_> = side.entries.iter().map(|entry| (entry.name.as_str(), entry.k)).collect();
    assert_eq!(entries, [("main", 0), ("again", 0), ("", 1)]);
    assert_eq!((side.start, side.entry("again"), side.entry("take")), (Some(1), Some(0), None));

    let exported = r#"(module
        (global (export "__stack_pointer") (mut i32) (i32.const 0))
        (global (export "__tls_base") (mut i32) (i32.const 0))
        (global (export "__tls_size") i32 (i32.const 24))
        (global (export "__tls_align") i32 (i32.const 8))
        (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#;
    let side = rewrite_text(exported, Kind::Strands { preemptive: false }).side;
    assert_eq!(side.stack, Some(StackPointer { global: 0, found: Found::Exported }));
    assert_eq!(side.tls, Some(Tls { base: 1, size: Some(24), align: Some(8) }));
    assert_eq!((side.malloc, side.named), (Some(Found::Exported), false));

    let frame = "(local i32) (global.set 0 (local.tee 0 (i32.sub (global.get 0) (i32.const 16))))";
    let stack = |global: &str, body: &str| {
        let text = format!("(module {global} (func) (func {body}))");
        rewrite_text(&text, Kind::Strands { preemptive: true }).side.stack
    };
    let pattern = Some(StackPointer { global: 0, found: Found::Pattern });
    assert_eq!(stack("(global (mut i32) (i32.const 1024))", frame), pattern);
    assert_eq!(stack("(global (mut i32) (i32.const 1024))", ""), None);
    assert_eq!(stack("(import \"env\" \"g\" (global (mut i32)))", frame), None);
    assert_eq!(stack("(global $__stack_pointer i32 (i32.const 1024))", ""), None);
    let wide = frame.replace("i32", "i64");
    assert_eq!(stack("(global (mut i64) (i64.const 1024))", &wide), pattern);
}

/// The function itself is called by its wrapper alone; but where strands are, one without parameters and results is called by all, between what is kept.
#[test]
fn all_references_go_to_the_wrapper() {
    for kind in KINDS {
        let rewritten = rewrite_text(EVERYTHING, kind);
        let counts = rewritten.side.functions;
        let first_added = (counts.defined) as usize;
        let (never_waits, yields) = (2, 3);
        for (place, body) in bodies(&rewritten.wasm).iter().enumerate() {
            for (at, (_, operator)) in body.iter().enumerate() {
                if matches!(operator, Operator::Call { function_index } if *function_index == yields && kind != Kind::Alone)
                {
                    let is_set = |operator: &Operator<'_>| matches!(operator, Operator::GlobalSet { .. });
                    assert!(place >= first_added || is_set(&body[at + 1].1));
                    continue;
                }
                let (Operator::Call { function_index: function }
                | Operator::ReturnCall { function_index: function }
                | Operator::RefFunc { function_index: function }) = operator
                else {
                    continue;
                };
                assert!(*function >= counts.imported || *function == never_waits || place >= first_added);
            }
        }
        for payload in Parser::new(0).parse_all(&rewritten.wasm) {
            match payload.unwrap() {
                Payload::ExportSection(section) => {
                    let functions = section
                        .into_iter()
                        .map(Result::unwrap)
                        .filter(|export| export.kind == wasmparser::ExternalKind::Func);
                    functions.for_each(|export| assert!(export.index >= counts.imported));
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        let wasmparser::ElementItems::Functions(functions) = element.unwrap().items else { continue };
                        functions.into_iter().for_each(|function| assert!(function.unwrap() >= counts.imported));
                    }
                }
                Payload::StartSection { .. } => panic!("still has a start function"),
                _ => {}
            }
        }
    }
}

/// How many calls of functions there are in the first body once it is rewritten, how many loops, and how often it is left for the rest of it.
fn calls_loops_and_exits(body: &str) -> (usize, usize, usize) {
    let text = format!("(module (func $first (param i32) {body}) (func $f) (memory 1))");
    let rewritten = rewrite_text(&text, Kind::Alone);
    let bodies = bodies(&rewritten.wasm);
    let count = |pick: fn(&Operator<'_>) -> bool| bodies[0].iter().filter(|(_, operator)| pick(operator)).count();
    (
        count(|op| matches!(op, Operator::Call { .. })),
        count(|op| matches!(op, Operator::Loop { .. })),
        count(|op| matches!(op, Operator::ReturnCall { .. })),
    )
}

#[test]
fn checks_are_only_where_they_are_needed() {
    let check = calls_loops_and_exits;
    assert_eq!(check("nop"), (0, 0, 0));
    assert_eq!(check("(loop $l (br_if $l (local.get 0)))"), (0, 1, 1));
    // Nothing comes back to it.
    assert_eq!(check("(loop $l (br_if 1 (local.get 0)))"), (0, 1, 0));
    // Each time around there is a check of calls.
    assert_eq!(check("(loop $l (call $f) (br_if $l (local.get 0)))"), (2, 1, 0));
    assert_eq!(check("(loop $l (br_if $l (local.get 0)) (call $f) (br $l))"), (2, 1, 1));
    assert_eq!(check("(loop $l (memory.fill (local.get 0) (local.get 0) (local.get 0)) (br $l))"), (1, 1, 0));
    // What is on the stack would be lost. So there is a loop around that calls.
    assert_eq!(check("(i32.const 1) (loop $l (br_if $l (local.get 0))) (drop)"), (1, 2, 0));
    assert_eq!(check("(local.get 0) (loop $l (param i32) (br_if 1) (local.get 0) (br $l))"), (1, 2, 0));
    // Calls outside of loops are checked once, where the function begins.
    assert_eq!(check("(call $f) (call $f) (block (call $f))"), (4, 0, 0));
    assert_eq!(check("(if (local.get 0) (then (call $f) (call $f)) (else (call $f))) (call $f)"), (5, 0, 0));
    assert_eq!(check("(call $f) (loop $l (call $f) (br_if $l (local.get 0)))"), (4, 1, 0));
    // One that does not return is checked where it is.
    assert_eq!(check("(if (local.get 0) (then (call $f) (unreachable)))"), (2, 0, 0));
    // Much code without a call.
    assert_eq!(check(&"nop ".repeat(900)), (0, 0, 0));
    assert_eq!(check(&"nop ".repeat(1100)), (1, 0, 0));
}

#[test]
fn wide_and_unusual_modules() {
    for kind in KINDS {
        for text in [
            "(module)",
            "(module
                (import \"weft_strand\" \"yield\" (func $yield))
                (import \"env\" \"wait\" (func $wait (result i64 f32)))
                (memory i64 1) (table i64 1 funcref) (global $__stack_pointer (mut i64) (i64.const 9))
                (func (export \"f\") (global.set 0 (i64.const 1)) (call $yield) (call $wait) drop drop))",
            "(module (import \"env\" \"f\" (func (param (ref extern) funcref) (result (ref func) externref))))",
            "(module (rec (type $a (sub (func (param (ref null $b))))) (type $b (struct (field (ref null $a)))))
                (import \"env\" \"f\" (func (type $a))) (func (type $a) (loop $l (param) (br $l))))",
            "(module (type $a (array (mut i32))) (func (param i32) (result (ref $a))
                (loop $l (br_if $l (local.get 0))) (array.new_default $a (local.get 0))))",
        ] {
            rewrite_text(text, kind);
        }
    }
}

#[test]
fn refuses_names_that_are_not_for_guests() {
    for text in
        [r#"(module (import "weft_fiber" "tick" (func (result i32))))"#, r#"(module (func (export "weft:run")))"#]
    {
        for kind in KINDS {
            let failure = rewrite(&wat::parse_str(text).unwrap(), kind).unwrap_err();
            assert!(failure.message.contains("not for guests"), "{failure}");
        }
    }
}

#[test]
fn bounds_what_is_added() {
    // Each import takes five bytes here, and each wrapper two for each of a thousand parameters.
    let mut text = format!("(module (type $t (func (param {})))", "i32 ".repeat(1000));
    for _ in 0..10_000 {
        text.push_str(r#"(import "" "" (func (type $t)))"#);
    }
    text.push(')');
    let failure = rewrite(&wat::parse_str(&text).unwrap(), Kind::Alone).unwrap_err();
    assert!(failure.message.contains("too large"), "{failure}");
}

#[test]
fn malformed_modules_do_no_harm() {
    let wasm = wat::parse_str(EVERYTHING).unwrap();
    for kind in KINDS {
        for length in 0..wasm.len() {
            let _ = rewrite(&wasm[..length], kind);
        }
        for place in 0..wasm.len() {
            for change in [1, 0x40, 0x80, 0xff] {
                let mut damaged = wasm.clone();
                damaged[place] ^= change;
                let rewritten = rewrite(&damaged, kind);
                if is_valid(&damaged).is_ok()
                    && let Ok(rewritten) = rewritten
                {
                    is_valid(&rewritten.wasm).unwrap();
                }
            }
        }
    }
}
