//! Shows that a rewritten module does what the original did, instruction by instruction and offset by offset, with imports in place of what waits; that side data
//! comes back as it was; and that nothing malformed does harm. `compare` is the judge.

use super::compare::*;
use super::*;
use wasmparser::Payload;

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
