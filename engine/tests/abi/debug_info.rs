//! Debug information, which is the guest's and as hostile as its code. Programs are generated: a unit and a function, both from the first instruction on, and in the
//! function as many functions inlined into one another as a test asks for. Names come from debug information, where there are no others.

use crate::support::*;
use weft_engine::call::weft_call_request_backtrace;
use weft_engine::hooks::Decision;
use weft_engine::outcome::{OutcomeKind, TrapCode};

/// Sections in the text format, for a function that is to be called `name`.
fn debug_info(name: &str, depth: usize) -> String {
    let custom = |name: &str, content: Vec<u8>| {
        let text: String = content.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!("(@custom \"{name}\" \"{text}\")")
    };
    // Entries 1 (unit) and 2 (function) have a range of addresses, 3 (inlined function) has nothing.
    let range = [0x11, 0x01, 0x12, 0x06, 0, 0];
    let abbreviations = [&[1, 0x11, 1], &range[..], &[2, 0x2e, 1, 0x03, 0x08], &range, &[3, 0x1d, 1, 0, 0, 0]].concat();
    let addresses = [0, 0, 0, 0, 0xff, 0xff, 0, 0];
    let function = [&[2], name.as_bytes(), &[0], &addresses].concat();
    let entries = [&[1], &addresses[..], &function, &vec![3; depth], &vec![0; depth + 2]].concat();
    let header = [&(entries.len() as u32 + 7).to_le_bytes()[..], &[4, 0, 0, 0, 0, 0, 4]].concat();
    custom(".debug_abbrev", abbreviations) + &custom(".debug_info", [header, entries].concat())
}

fn module(depth: usize) -> String {
    format!("(module (func (export \"_start\") unreachable) {})", debug_info("named", depth))
}

/// A module after one without debug information.
fn component(depth: usize) -> String {
    format!(
        "(component
            (core module $other (func))
            (core module $m (func (export \"run\") unreachable) {})
            (core instance $i (instantiate $m))
            (func (export \"run\") (canon lift (core func $i \"run\"))))",
        debug_info("named", depth)
    )
}

/// Far more than fits onto any stack.
const DEEP: usize = 500_000;

fn trap(host: &Host, text: &str) -> Vec<String> {
    let setup = if text.starts_with("(component") { Setup::new().entry("run") } else { Setup::new() };
    let (ended, _) = run(host, text, setup);
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Unreachable), "{ended:?}");
    ended.backtrace
}

#[test]
fn names_a_function_of_a_module_and_of_a_component() {
    let host = Host::new();
    for depth in [0, 1, 20] {
        assert_eq!(trap(&host, &module(depth)), ["test.wasm!named"]);
        assert_eq!(trap(&host, &component(depth)), ["m!named"]);
    }
}

#[test]
fn is_not_kept_if_nobody_wants_it() {
    let host = Host::with(|config| config.debug_info = false);
    assert_eq!(trap(&host, &module(1)), ["test.wasm!"]);
    assert_eq!(trap(&host, &component(1)), ["m!"]);
}

#[test]
fn a_trap_survives_deep_nesting() {
    let host = Host::new();
    for depth in [2000, DEEP] {
        assert_eq!(trap(&host, &module(depth)), ["test.wasm!"]);
        assert_eq!(trap(&host, &component(depth)), ["m!"]);
    }
}

#[test]
fn a_dump_survives_deep_nesting() {
    unsafe extern "C-unwind" fn keep(
        context: *mut std::ffi::c_void,
        backtrace: *const weft_engine::backtrace::Backtrace,
    ) {
        unsafe { *context.cast() = frames(backtrace) };
    }
    let host = Host::new();
    for (depth, expected) in [(2, "test.wasm!named"), (2000, "test.wasm!"), (DEEP, "test.wasm!")] {
        let program = host.program(module(depth).replace("unreachable", "(loop $l (br $l))"));
        let (process, task) = (Process::new(), Task::new());
        let call = Setup::new().start(&program, &process).unwrap();
        process.decide(&[Decision::Yield, Decision::Stop]);
        let _ticker = Ticker::new(&host);
        let mut found: Vec<String> = Vec::new();
        assert!(unsafe { weft_call_request_backtrace(call.0, Some(keep), (&raw mut found).cast()) });
        call.finish(&process, &task);
        assert_eq!(found, [expected]);
    }
}

/// Between two components lies code that the engine generates. Its offsets mean nothing in the file, and no module's lines are shown for it.
#[test]
fn code_between_components_gets_no_lines() {
    let host = Host::new();
    // Many functions, so that all the offsets of the code between are in the code of this module.
    let caller = format!(
        "(core module $caller (import \"\" \"fail\" (func $fail)) (func (export \"run\") call $fail) {} {})",
        "(func nop nop nop nop nop nop nop nop nop nop nop nop)".repeat(300),
        debug_info("calls", 0)
    );
    let text = format!(
        "(component
            (component $inner
                (core module $callee (func (export \"fail\") (param i32 i32 i32 i32) unreachable)
                    (memory (export \"memory\") 1)
                    (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) i32.const 0) {})
                (core instance $i (instantiate $callee))
                (func (export \"fail\") (param \"a\" string) (param \"b\" string)
                    (canon lift (core func $i \"fail\") (memory (core memory $i \"memory\")) (realloc (core func $i \"realloc\")))))
            (component $outer
                (import \"fail\" (func $fail (param \"a\" string) (param \"b\" string)))
                (core module $memory (memory (export \"memory\") 1))
                (core instance $memory (instantiate $memory))
                (core func $fail (canon lower (func $fail) (memory (core memory $memory \"memory\"))))
                {}
                (core instance $i (instantiate $caller (with \"\" (instance (export \"fail\" (func $fail))))))
                (func (export \"run\") (canon lift (core func $i \"run\"))))
            (instance $inner (instantiate $inner))
            (instance $outer (instantiate $outer (with \"fail\" (func $inner \"fail\"))))
            (export \"run\" (func $outer \"run\")))",
        debug_info("fails", 0),
        caller
            .replace("(func $fail)", "(func $fail (param i32 i32 i32 i32))")
            .replace("call $fail", "i32.const 0 i32.const 0 i32.const 0 i32.const 0 call $fail"),
    );
    let found = trap(&host, &text);
    assert_eq!(found.first().map(String::as_str), Some("callee!fails"), "{found:?}");
    assert_eq!(found.last().map(String::as_str), Some("caller!calls"), "{found:?}");
    let between = &found[1..found.len() - 1];
    assert!(!between.is_empty(), "{found:?}");
    assert!(!between.iter().any(|frame| frame.contains("calls") || frame.contains("fails")), "{found:?}");
}

/// A name of C++, each part of which is twice as long as the one before: neither the backtrace nor the message spells it out.
#[test]
fn a_trap_survives_a_name_that_stands_for_gigabytes() {
    let digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let types: String = digits.chars().take(32).map(|digit| format!("S_IS{digit}_S{digit}_E")).collect();
    let start = std::time::Instant::now();
    let name = format!("_Z1f1TIiiE{types}");
    let text = format!("(module (memory 1) (func ${name} (export \"_start\") (drop (i32.load (i32.const -4)))))");
    let (ended, _) = run(&Host::new(), text, Setup::new());
    assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::MemoryOutOfBounds), "{ended:?}");
    assert!(ended.message.contains("memory fault at"), "{ended:?}");
    assert!(ended.backtrace[0].starts_with("test.wasm!f(T<int, int>, T<T<int, int>, T<int, int> >, "), "{ended:?}");
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
}
