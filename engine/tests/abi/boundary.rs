//! What must hold at the boundary whatever happens: panics stay inside, constants agree.

use crate::support::*;
use std::ffi::c_void;
use std::sync::atomic::Ordering;
use weft_engine::error::ErrorKind;
use weft_engine::features::*;
use weft_engine::hooks::Decision;
use weft_engine::outcome::OutcomeKind;

/// A panic in the middle of a poll (here: in a hook, on the guest's stack) ends that call as failed, with its text, and the engine lives on.
#[test]
fn a_panic_ends_its_call_only() {
    unsafe extern "C-unwind" fn panics(_: *mut c_void) -> Decision {
        panic!("on purpose, in a hook");
    }
    let host = Host::with(|config| config.hooks.epoch = Some(panics));
    let program = host.program(
        r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32))) (memory (export "memory") 1)
            (func (export "_start") (drop (call $yield)) (loop $l (br $l))))"#,
    );
    let (process, task) = (Process::new(), Task::new());
    let call = Setup::new().start(&program, &process).unwrap();
    assert_eq!(call.poll(&task), weft_engine::abi::Poll::Pending);
    host.increment_epoch();
    assert_eq!(call.poll(&task), weft_engine::abi::Poll::Ready);
    let ended = call.ended();
    assert_eq!((ended.kind, ended.error), (OutcomeKind::Failed, Some(ErrorKind::Internal)));
    assert!(ended.message.contains("on purpose, in a hook"), "{}", ended.message);
    drop(call);
    let (ended, _) = run(&host, r#"(module (func (export "_start")))"#, Setup::new());
    assert_eq!(ended.kind, OutcomeKind::Returned);
    assert_eq!(task.references.load(Ordering::SeqCst), 0);
}

#[test]
fn wrong_engine_settings_are_refused() {
    let refuse = |change: fn(&mut weft_engine::engine::EngineConfig), part: &str| {
        let failure = Host::try_with(change).err().expect("refused");
        assert_eq!(failure.kind, ErrorKind::BadArgument, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    };
    refuse(|config| config.stack_bytes = 0, "stack_bytes");
    refuse(|config| config.slots_max = 0, "slots_max");
    refuse(|config| config.memory_bytes_max = 0, "memory_bytes_max");
    refuse(|config| config.hooks.task_wake = None, "task_wake");
    refuse(|config| config.hooks.sleep_drop = None, "sleep_drop");
    refuse(|config| config.features = 1 << 63, "features");
    refuse(|config| config.cache_directory = weft_engine::abi::Str { data: b"\xff".as_ptr().cast(), size: 1 }, "UTF-8");
}

/// More slots than the address space has room for is an error that says so.
#[test]
fn a_pool_that_does_not_fit_is_an_error() {
    let failure = Host::try_with(|config| config.slots_max = 1_000_000).err().expect("refused");
    assert!(matches!(failure.kind, ErrorKind::ResourceExhausted | ErrorKind::BadArgument), "{failure:?}");
    assert!(!failure.detail.is_empty(), "{failure:?}");
}

/// Many small slots fit, with the mappings and the address space that any machine has.
#[test]
fn many_small_slots_fit() {
    let host = Host::with(|config| {
        config.slots_max = 10_000;
        config.memory_reservation_bytes = 1 << 20;
        config.memory_bytes_max = 1 << 20;
    });
    let wat = r#"(module (memory 1 16) (func (export "f") (result i32) (memory.grow (i32.const 15))))"#;
    let (ended, _) = run(&host, wat, Setup::new().entry("f"));
    assert_eq!(ended.results, "1");
}

/// The version that is reported is the version that Cargo.toml pins.
#[test]
fn the_version_is_the_pinned_one() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    let version = string(weft_engine::engine::weft_engine_version());
    let number = version.strip_prefix("wasmtime ").expect("wasmtime and a number");
    assert_eq!(manifest.matches(&format!("\"={number}\"")).count(), 2, "both pins are {number}");
}

#[test]
fn features_have_names_and_bits() {
    let known = weft_features_known();
    assert_eq!(weft_features_default() & !known, 0);
    for bit in (0..64).map(|index| 1u64 << index).filter(|bit| known & bit != 0) {
        let name = weft_feature_name(bit);
        assert_eq!(unsafe { weft_feature_find(name) }, bit, "{}", string(name));
    }
    assert_eq!(unsafe { weft_feature_find(text("flying")) }, 0);
    assert_eq!(string(weft_feature_name(3)), "");
    let switching = unsafe { weft_feature_find(text("stack-switching")) };
    assert_eq!(weft_features_default() & switching, 0, "Wasmtime does not call it stable");
}
