//! Programs that a real compiler made: the same source for WASI preview 1 and, as a component, for 0.2. Without the target installed such a test says so
//! and does nothing.

use crate::support::*;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use weft_engine::outcome::{OutcomeKind, TrapCode};
use weft_engine::wasi::*;

/// What it does is its first argument.
const SOURCE: &str = r#"
use std::io::{Read, Write};
#[inline(never)]
fn deep(depth: u32) -> u32 {
    if depth == 0 { panic!("at the bottom") }
    deep(depth - 1) + 1
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "echo" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            print!("{} {} {text}", args[2], std::env::var("COLOUR").unwrap());
            eprintln!("to errors");
        }
        "files" => {
            std::fs::write("/data/out", "kept".repeat(10_000)).unwrap();
            let names: Vec<_> = std::fs::read_dir("/data").unwrap().map(|entry| entry.unwrap().file_name()).collect();
            println!("{} {names:?}", std::fs::read_to_string("/data/out").unwrap().len());
        }
        "read-only" => println!("{:?}", std::fs::write("/data/out", "x").map_err(|error| error.kind())),
        "sleep" => {
            let before = std::time::Instant::now();
            std::thread::sleep(std::time::Duration::from_millis(3));
            println!("{}", before.elapsed() >= std::time::Duration::from_millis(3));
        }
        "lots" => {
            let line = "0123456789abcdef".repeat(64);
            for _ in 0..1000 { std::io::stdout().write_all(line.as_bytes()).unwrap() }
        }
        "pipe" => println!("{:?}", std::io::stdout().write_all(b"x").and_then(|()| std::io::stdout().flush()).map_err(|error| error.kind())),
        "exit" => std::process::exit(if cfg!(target_env = "p1") { 42 } else { 1 }),
        "deep" => { deep(3); }
        _ => unreachable!(),
    }
}
"#;

/// The program for a target, compiled once; None if the compiler cannot.
fn program(target: &str) -> Option<&'static Vec<u8>> {
    static PREVIEW1: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    static WASI02: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let slot = if target == "wasm32-wasip1" { &PREVIEW1 } else { &WASI02 };
    let compiled = slot.get_or_init(|| {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (source, output) = (directory.join(format!("{target}.rs")), directory.join(format!("{target}.wasm")));
        std::fs::write(&source, SOURCE).unwrap();
        let rustc = Command::new("rustc")
            .args(["--edition=2024", "-O", "-g", "--crate-name=guest", "--target", target, "-o"])
            .arg(&output)
            .arg(&source)
            .output();
        match rustc {
            Ok(done) if done.status.success() => Some(std::fs::read(&output).unwrap()),
            Ok(done) => {
                let text = String::from_utf8_lossy(&done.stderr);
                assert!(text.contains("target may not be installed"), "the guest does not compile: {text}");
                eprintln!("SKIPPED: the Rust target {target} is not installed (rustup target add {target})");
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: rustc cannot be run: {error}");
                None
            }
        }
    });
    compiled.as_ref()
}

const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-wasip2"];

/// Runs it, with `COLOUR=green`, standard input from the hook, and `directory` (if any) as /data.
fn run_program(target: &str, args: &[&str], directory: Option<(&str, bool)>, process: &Process) -> Option<Ended> {
    let bytes = program(target)?;
    let host = Host::with(|config| {
        (config.hooks.monotonic_now, config.hooks.wall_now) = (None, None);
        (config.hooks.sleep, config.hooks.sleep_drop) = (None, None);
    });
    let wasi = wasi(|config| unsafe {
        weft_wasi_config_stdin(config, Stdin::Hook);
        check(weft_wasi_config_env(config, text("COLOUR"), text("green"))).unwrap();
        for arg in std::iter::once(&"guest").chain(args) {
            check(weft_wasi_config_arg(config, text(arg))).unwrap();
        }
        match directory {
            Some((host, read_only)) => weft_wasi_config_dir(config, text(host), text("/data"), read_only),
            None => std::ptr::null_mut(),
        }
    });
    let program = host.program(bytes);
    let task = Task::new();
    let call = Setup::new().wasi(&wasi).start(&program, process).unwrap();
    let ended = call.finish(process, &task);
    drop(call);
    task.wait_until_released();
    Some(ended)
}

#[test]
fn arguments_environment_and_streams() {
    for target in TARGETS {
        let process = Process::new();
        process.input.lock().unwrap().extend([Some(b"some ".to_vec()), Some(b"input".to_vec())]);
        let Some(ended) = run_program(target, &["echo", "hello"], None, &process) else { continue };
        assert_eq!(ended.kind, OutcomeKind::Returned, "{target}: {ended:?}");
        assert_eq!(process.output(), "hello green some input", "{target}");
        assert_eq!(*process.errors.lock().unwrap(), b"to errors\n", "{target}");
    }
}

/// Files are read and written on Tokio's threads, whose wake-ups bring the task back; what may not be written is not.
#[test]
fn files_and_directories() {
    for target in TARGETS {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{target}"));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        let path = directory.to_str().unwrap();
        let process = Process::new();
        let Some(ended) = run_program(target, &["files"], Some((path, false)), &process) else { continue };
        assert_eq!(ended.kind, OutcomeKind::Returned, "{target}: {ended:?}");
        assert_eq!(process.output(), "40000 [\"out\"]\n", "{target}");
        assert_eq!(std::fs::metadata(directory.join("out")).unwrap().len(), 40_000);
        let process = Process::new();
        run_program(target, &["read-only"], Some((path, true)), &process);
        assert_eq!(process.output(), "Err(PermissionDenied)\n", "{target}");
    }
}

#[test]
fn sleeping_and_much_output() {
    for target in TARGETS {
        let process = Process::new();
        let Some(ended) = run_program(target, &["sleep"], None, &process) else { continue };
        assert_eq!((ended.kind, process.output().as_str()), (OutcomeKind::Returned, "true\n"), "{target}: {ended:?}");
        let process = Process::new();
        let ended = run_program(target, &["lots"], None, &process).unwrap();
        assert_eq!((ended.kind, process.output().len()), (OutcomeKind::Returned, 1_024_000), "{target}: {ended:?}");
    }
}

/// Writing to a closed pipe is an error that the program sees as such.
#[test]
fn a_closed_pipe_is_seen_as_one() {
    for target in TARGETS {
        let process = Process::new();
        process.room.lock().unwrap().extend([weft_engine::hooks::WRITE_CLOSED; 16]);
        let Some(ended) = run_program(target, &["pipe"], None, &process) else { continue };
        assert_ne!(ended.kind, OutcomeKind::Failed, "{target}: {ended:?}");
        assert_ne!(ended.kind, OutcomeKind::Limit, "{target}: {ended:?}");
    }
}

#[test]
fn exit_codes() {
    for (target, code) in TARGETS.into_iter().zip([42, 1]) {
        let Some(ended) = run_program(target, &["exit"], None, &Process::new()) else { continue };
        assert_eq!((ended.kind, ended.exit_code), (OutcomeKind::Exited, code), "{target}: {ended:?}");
    }
}

/// A panic is a trap whose backtrace has demangled names, and file and line from the debug information.
#[test]
fn a_panic_has_source_lines() {
    for target in TARGETS {
        let process = Process::new();
        let Some(ended) = run_program(target, &["deep"], None, &process) else { continue };
        assert_eq!((ended.kind, ended.trap_code), (OutcomeKind::Trapped, TrapCode::Unreachable), "{target}: {ended:?}");
        let errors = String::from_utf8(process.errors.lock().unwrap().clone()).unwrap();
        assert!(errors.contains("at the bottom"), "{target}: {errors}");
        let line = 1 + SOURCE.lines().position(|line| line.contains("panic!")).unwrap();
        let expected = format!("guest::deep ({target}.rs:{line})");
        assert!(
            ended.backtrace.iter().any(|frame| frame.ends_with(&expected)),
            "{target}: no {expected} in {:#?}",
            ended.backtrace
        );
    }
}
