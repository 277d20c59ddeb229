//! Modules: what bytes look like, compiling, refusing, writing out and loading, describing.

use crate::support::*;
use serde_json::Value;
use std::ptr::null_mut;
use weft_engine::abi::*;
use weft_engine::error::ErrorKind;
use weft_engine::inspect::weft_inspect;
use weft_engine::module::*;
use weft_engine::outcome::OutcomeKind;

fn detect(bytes: &[u8]) -> ModuleKind {
    unsafe { weft_module_detect(bytes.as_ptr(), bytes.len()) }
}

fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

#[test]
fn bytes_are_told_apart() {
    assert_eq!(detect(b"(module)"), ModuleKind::Text);
    assert_eq!(detect(b"\n ;; a comment (with more)\n (; and ;)  (component)"), ModuleKind::Text);
    assert_eq!(detect(&wasm("(module)")), ModuleKind::Core);
    assert_eq!(detect(&wasm("(component)")), ModuleKind::Component);
    for unknown in [&b""[..], b"\0as", b"\x7fELF\x02\x01\x01", b"MZ", b"(; never ends", b"(\xff", b";; only a comment"]
    {
        assert_eq!(detect(unknown), ModuleKind::Unknown, "{unknown:?}");
    }
}

/// What is not WebAssembly, cut short or invalid is refused, with what it is and where.
#[test]
fn bad_bytes_are_refused() {
    let host = Host::new();
    let refuse = |bytes: &[u8], kind: ErrorKind, part: &str| {
        let failure = host.compile(bytes).err().expect("refused");
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
        assert!(!failure.message.contains('\n'), "{failure:?}");
    };
    let whole = wasm(r#"(module (memory 1) (func (export "_start") (i32.store (i32.const 0) (i32.const 1))))"#);
    refuse(b"", ErrorKind::InvalidModule, "it is empty");
    refuse(b"#!/bin/sh", ErrorKind::InvalidModule, "it is not WebAssembly: it starts with \"#!/bin/s\"");
    refuse(b"\x7fELF", ErrorKind::InvalidModule, "it starts with 7f 45 4c 46");
    refuse(&whole[..3], ErrorKind::InvalidModule, "truncated: it ends at offset 3");
    refuse(&whole[..6], ErrorKind::InvalidModule, "truncated or invalid at offset 0x4");
    for size in 8..whole.len() {
        if let Err(failure) = host.compile(&whole[..size]) {
            assert_eq!(failure.kind, ErrorKind::InvalidModule, "{size}: {failure:?}");
            assert!(failure.message.contains("at offset 0x"), "{size}: {failure:?}");
        }
    }
    refuse(&whole[..whole.len() - 3], ErrorKind::InvalidModule, "truncated or invalid at offset");
    refuse(b"(module (func (result i32)))", ErrorKind::InvalidModule, "invalid at offset");
    refuse(b"(module (fun))", ErrorKind::InvalidModule, "not valid WebAssembly text");
    refuse(b"(module (memory 1 1 shared))", ErrorKind::UnsupportedFeature, "threads are not provided");
    refuse(b"(module (tag) (memory i64 1 (pagesize 1)))", ErrorKind::UnsupportedFeature, "custom-page-sizes");
}

/// Text and code that are nested without measure are refused or compiled; they do not overflow the host's stack.
#[test]
fn deep_nesting_is_survived() {
    let host = Host::new();
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    for text in [
        "(".repeat(1_000_000),
        format!("(module {})", deep("(func ", ")", 100_000)),
        format!("(component {})", deep("(component ", ")", 10_000)),
        format!("(module (func {}))", deep("(block ", ")", 100_000)),
        format!("(module (func {}))", deep("block ", "end ", 100_000)),
        format!(
            "(module (func (param i32) (result i32) local.get 0 {}))",
            "(if (result i32) (i32.const 1) (then ".repeat(10_000)
        ),
        "(;".repeat(1_000_000),
    ] {
        // Whether it is accepted is the parser's business.
        let _ = host.compile(&text);
        let _ = inspect(&text);
    }
    // As a binary: 50,000 nested blocks, and 2,000 components in each other.
    let mut wasm = wasm("(module (func nop))");
    let body: Vec<u8> = [[0x02, 0x40].repeat(50_000), vec![0x0b; 50_001]].concat();
    let leb = |mut value: usize| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let function = [leb(body.len() + 1), vec![0], body].concat();
    let section = [vec![1], function].concat();
    wasm.truncate(wasm.iter().rposition(|byte| *byte == 0x0a).unwrap());
    wasm.extend([vec![0x0a], leb(section.len()), section].concat());
    assert!(host.compile(&wasm).is_ok(), "{:?}", host.compile(&wasm).err());
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..2_000 {
        component = [b"\0asm\x0d\0\x01\0\x04".to_vec(), leb(component.len()), component].concat();
    }
    let _ = host.compile(&component);
    let _ = inspect(&component);
}

/// A proposal that is off by default can be turned on.
#[test]
fn proposals_can_be_turned_on_and_off() {
    let on = unsafe { weft_engine::features::weft_feature_find(text("wide-arithmetic")) };
    let wat = r#"(module (func (export "f") (result i64 i64) (i64.mul_wide_u (i64.const -1) (i64.const 2))))"#;
    assert_eq!(Host::new().compile(wat).err().unwrap().kind, ErrorKind::UnsupportedFeature);
    let host = Host::with(|config| config.features |= on);
    assert_eq!(run(&host, wat, Setup::new().entry("f")).0.results, "-2 1");
    let simd = unsafe { weft_engine::features::weft_feature_find(text("simd")) };
    let relaxed = unsafe { weft_engine::features::weft_feature_find(text("relaxed-simd")) };
    let host = Host::with(|config| config.features &= !(simd | relaxed));
    let failure = host.compile("(module (func (param v128)))").err().unwrap();
    assert!(failure.message.contains("simd"), "{failure:?}");
}

#[test]
fn entries_and_exports_are_known() {
    let host = Host::new();
    let entry = |wat: &str| unsafe { weft_module_entry(host.compile(wat).unwrap().0) };
    assert_eq!(entry(r#"(module (func (export "_start")))"#), Entry::Start);
    assert_eq!(entry(r#"(module (func (export "_initialize")))"#), Entry::Initialize);
    assert_eq!(entry(r#"(module (memory (export "_start") 1))"#), Entry::None);
    assert_eq!(entry("(component)"), Entry::None);
    let module = host.compile(r#"(module (func (export "f")) (memory (export "m") 1))"#).unwrap();
    assert!(unsafe { weft_module_exports_function(module.0, text("f")) });
    assert!(!unsafe { weft_module_exports_function(module.0, text("m")) });
    assert!(!unsafe { weft_module_is_component(module.0) });
    assert!(!unsafe { weft_module_imports_from(module.0, text("env")) });
    let imports = host.compile(r#"(module (import "env" "f" (func)))"#).unwrap();
    assert!(unsafe { weft_module_imports_from(imports.0, text("env")) });
    assert!(!unsafe { weft_module_imports_from(imports.0, text("f")) });
}

fn serialize(module: &OwnedModule) -> Vec<u8> {
    let mut bytes = null_mut();
    check(unsafe { weft_module_serialize(module.0, &mut bytes) }).unwrap();
    let copy = unsafe { std::slice::from_raw_parts(weft_bytes_data(bytes), weft_bytes_size(bytes)) }.to_vec();
    unsafe { weft_bytes_free(bytes) };
    copy
}

fn load(host: &Host, bytes: &[u8]) -> Result<OwnedModule, Failure> {
    let mut module = null_mut();
    check(unsafe {
        weft_module_load_precompiled(host.engine.0, bytes.as_ptr(), bytes.len(), NO_OPTIONS, &mut module)
    })?;
    Ok(OwnedModule(module))
}

/// Machine code can be written out and loaded by an engine of the same settings, is refused by one of others, and never taken for a module.
#[test]
fn precompiled_code_is_loaded_only_where_it_belongs() {
    let host = Host::new();
    let code = serialize(&host.compile(r#"(module (func (export "_start")))"#).unwrap());
    assert_eq!(detect(&code), ModuleKind::PrecompiledCore);
    assert_eq!(detect(&serialize(&host.compile("(component)").unwrap())), ModuleKind::PrecompiledComponent);
    let module = load(&host, &code).unwrap();
    let program = host.link(&host.linker(), &module).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let ended = Setup::new().start(&program, &process).unwrap().finish(&process, &task);
    assert_eq!(ended.kind, OutcomeKind::Returned);

    let failure = host.compile(&code).err().unwrap();
    assert_eq!(failure.kind, ErrorKind::BadArgument, "{failure:?}");
    let failure = load(&host, b"(module)").err().unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::BadArgument, "it is not precompiled"));
    let failure = load(&Host::with(|config| config.fuel = true), &code).err().unwrap();
    assert_eq!(failure.kind, ErrorKind::NotPrecompiledForThisEngine, "{failure:?}");
    assert!(failure.message.contains("compile it anew"), "{failure:?}");
}

fn inspect(bytes: impl AsRef<[u8]>) -> Result<Value, Failure> {
    let (bytes, mut json) = (bytes.as_ref(), null_mut());
    check(unsafe { weft_inspect(std::ptr::null(), bytes.as_ptr(), bytes.len(), &mut json) })?;
    let text = unsafe { std::slice::from_raw_parts(weft_bytes_data(json), weft_bytes_size(json)) }.to_vec();
    unsafe { weft_bytes_free(json) };
    Ok(serde_json::from_slice(&text).unwrap())
}

/// The description says what is in a module, what it needs, and whether it can run.
#[test]
fn modules_are_described() {
    let wat = r#"(module $app
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "log" (func (param f64))) (import "env" "base" (global i32))
        (memory (export "memory") 2 10) (table 3 funcref) (data (i32.const 0) "12345")
        (func (export "_start")) (func (param v128) (result i64) unreachable) (func $s) (start $s))"#;
    let info = inspect(wat).unwrap();
    assert_eq!(info["kind"], "module");
    assert_eq!(info["name"], "app");
    assert_eq!(info["entry_point"], "_start");
    assert_eq!(
        (&info["functions"], &info["data_bytes"], &info["start_function"]),
        (&3.into(), &5.into(), &true.into())
    );
    assert_eq!(info["features"], serde_json::json!(["simd"]));
    let import = &info["imports"][0];
    assert_eq!(
        (&import["provided_by"], &import["type"]),
        (&"wasi preview 1".into(), &"(i32, i32, i32, i32) -> (i32)".into())
    );
    assert_eq!(info["imports"][1]["provided_by"], Value::Null);
    assert_eq!(info["imports"][2]["type"], "constant global i32");
    let memory = &info["memories"][0];
    assert_eq!((&memory["minimum_bytes"], &memory["maximum_bytes"]), (&131072.into(), &655360.into()));
    assert_eq!(
        (&memory["shared"], &memory["is_64_bit"], &memory["imported"]),
        (&false.into(), &false.into(), &false.into())
    );
    assert_eq!(info["tables"][0]["minimum"], 3);
    assert_eq!(info["runnable"], false);
    assert_eq!(info["obstacles"].as_array().unwrap().len(), 2, "{info}");

    let info = inspect(r#"(module (func (export "_start")))"#).unwrap();
    assert_eq!((&info["runnable"], &info["obstacles"]), (&true.into(), &serde_json::json!([])));
    let info = inspect("(module (memory 1 1 shared) (func (export \"f\")))").unwrap();
    assert_eq!(info["features"], serde_json::json!(["threads"]));
    assert_eq!(info["threads"], true);
    assert_eq!(info["obstacles"].as_array().unwrap().len(), 1, "{info}");
    let info = inspect(
        r#"(module (import "env" "memory" (memory 1 2 shared)) (import "wasi" "thread-spawn" (func (param i32) (result i32)))
            (func (export "_start")))"#,
    )
    .unwrap();
    assert_eq!(info["imports"][0]["provided_by"], "wasi threads");
    assert!(info["obstacles"].to_string().contains("wasi_thread_start"), "{info}");
    assert_eq!(inspect("(module (func (result i32)))").unwrap_err().kind, ErrorKind::InvalidModule);
}

#[test]
fn components_are_described() {
    let wat = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance)) (import "my:own/thing@1.0.0" (instance))
        (core module (memory 1) (func)))"#;
    let info = inspect(wat).unwrap();
    assert_eq!(info["kind"], "component");
    assert_eq!(
        (&info["imports"][0]["provided_by"], &info["imports"][1]["provided_by"]),
        (&"wasi 0.2".into(), &Value::Null)
    );
    assert_eq!((&info["functions"], &info["runnable"]), (&1.into(), &false.into()));
}

/// Every function of preview 1 that is listed as provided is linked, and with the right type: a module that imports all of them runs.
#[test]
fn all_of_preview_1_is_provided() {
    let functions = [
        ("args_get", "i32 i32"),
        ("args_sizes_get", "i32 i32"),
        ("clock_res_get", "i32 i32"),
        ("clock_time_get", "i32 i64 i32"),
        ("environ_get", "i32 i32"),
        ("environ_sizes_get", "i32 i32"),
        ("fd_advise", "i32 i64 i64 i32"),
        ("fd_allocate", "i32 i64 i64"),
        ("fd_close", "i32"),
        ("fd_datasync", "i32"),
        ("fd_fdstat_get", "i32 i32"),
        ("fd_fdstat_set_flags", "i32 i32"),
        ("fd_fdstat_set_rights", "i32 i64 i64"),
        ("fd_filestat_get", "i32 i32"),
        ("fd_filestat_set_size", "i32 i64"),
        ("fd_filestat_set_times", "i32 i64 i64 i32"),
        ("fd_pread", "i32 i32 i32 i64 i32"),
        ("fd_prestat_dir_name", "i32 i32 i32"),
        ("fd_prestat_get", "i32 i32"),
        ("fd_pwrite", "i32 i32 i32 i64 i32"),
        ("fd_read", "i32 i32 i32 i32"),
        ("fd_readdir", "i32 i32 i32 i64 i32"),
        ("fd_renumber", "i32 i32"),
        ("fd_seek", "i32 i64 i32 i32"),
        ("fd_sync", "i32"),
        ("fd_tell", "i32 i32"),
        ("fd_write", "i32 i32 i32 i32"),
        ("path_create_directory", "i32 i32 i32"),
        ("path_filestat_get", "i32 i32 i32 i32 i32"),
        ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
        ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        ("path_readlink", "i32 i32 i32 i32 i32 i32"),
        ("path_remove_directory", "i32 i32 i32"),
        ("path_rename", "i32 i32 i32 i32 i32 i32"),
        ("path_symlink", "i32 i32 i32 i32 i32"),
        ("path_unlink_file", "i32 i32 i32"),
        ("poll_oneoff", "i32 i32 i32 i32"),
        ("proc_raise", "i32"),
        ("random_get", "i32 i32"),
        ("sched_yield", ""),
        ("sock_accept", "i32 i32 i32"),
        ("sock_recv", "i32 i32 i32 i32 i32 i32"),
        ("sock_send", "i32 i32 i32 i32 i32"),
        ("sock_shutdown", "i32 i32"),
    ];
    let host = Host::new();
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        // The predecessor knows no sock_accept.
        let functions = functions.iter().filter(|(name, _)| module != "wasi_unstable" || *name != "sock_accept");
        let imports: String = functions
            .map(|(name, params)| format!("(import \"{module}\" \"{name}\" (func (param {params}) (result i32)))\n"))
            .collect();
        let wat = format!(
            "(module {imports} (import \"{module}\" \"proc_exit\" (func (param i32))) (memory (export \"memory\") 1) (func (export \"_start\")))"
        );
        let info = inspect(&wat).unwrap();
        assert_eq!(info["runnable"], true, "{}", info["obstacles"]);
        assert_eq!(run(&host, wat, Setup::new()).0.kind, OutcomeKind::Returned);
    }
}
