//! The cache of compiled code: used, shared, bounded, and never a source of harm.

use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use weft_engine::module::weft_module_from_cache;
use weft_engine::outcome::OutcomeKind;

/// A directory of a test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("weft-cache-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Scratch(path)
    }

    fn entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn host(directory: &Path, bytes_max: u64) -> Host {
    let directory = directory.to_str().unwrap();
    Host::with(|config| {
        config.cache_directory = text(directory);
        config.cache_bytes_max = bytes_max;
    })
}

fn answer(number: u32) -> String {
    format!(r#"(module (func (export "f") (result i32) (i32.const {number})))"#)
}

/// Compiles, runs and checks; whether the code came from the cache.
fn from_cache(host: &Host, number: u32) -> bool {
    let module = host.compile(answer(number)).unwrap();
    let cached = unsafe { weft_module_from_cache(module.0) };
    let program = host.link(&host.linker(), &module).unwrap();
    let (process, task) = (Process::new(), Task::new());
    let ended = Setup::new().entry("f").start(&program, &process).unwrap().finish(&process, &task);
    assert_eq!((ended.kind, ended.results), (OutcomeKind::Returned, number.to_string()));
    cached
}

const ROOMY: u64 = 1 << 30;

#[test]
fn code_is_compiled_once_and_shared_by_engines() {
    let scratch = Scratch::new();
    let first = host(&scratch.0, ROOMY);
    assert!(!from_cache(&first, 1));
    assert!(from_cache(&first, 1));
    assert!(!from_cache(&first, 2), "other modules are other entries");
    let second = host(&scratch.0, ROOMY);
    assert!(from_cache(&second, 1));
    let other = Host::with(|config| {
        config.cache_directory = text(scratch.0.to_str().unwrap());
        config.epochs = false;
    });
    assert!(!from_cache(&other, 1), "code for other settings is another entry");
    assert_eq!(scratch.entries().len(), 3);
    assert_eq!(first.warning() + &second.warning() + &other.warning(), "");
}

/// Flipped bits anywhere, a truncated or empty file, a foreign file under the right name: each is found, reported and replaced; never run.
#[test]
fn a_damaged_entry_is_compiled_anew() {
    let scratch = Scratch::new();
    assert!(!from_cache(&host(&scratch.0, ROOMY), 7));
    let entry = scratch.entries().pop().unwrap();
    let good = fs::read(&entry).unwrap();
    let mut damages: Vec<Vec<u8>> =
        vec![Vec::new(), good[..10].to_vec(), good[..good.len() / 2].to_vec(), b"something else".repeat(100)];
    damages.push([good.clone(), b"more".to_vec()].concat());
    for at in [0, 9, 20, 30, 60, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        damages.push(flipped);
    }
    for (index, damaged) in damages.iter().enumerate() {
        fs::write(&entry, damaged).unwrap();
        let host = host(&scratch.0, ROOMY);
        assert!(!from_cache(&host, 7), "damage {index} went unnoticed");
        assert!(host.warning().contains("compiled anew"), "{}", host.warning());
        assert_eq!(fs::read(&entry).unwrap().len(), good.len(), "damage {index} was replaced");
        assert!(from_cache(&host, 7));
    }
}

/// A directory that is a file, cannot be made, or could be written by anybody: a warning, and everything works without it.
#[test]
fn an_unusable_directory_is_a_warning() {
    let scratch = Scratch::new();
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    let open = scratch.0.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for (directory, part) in
        [(file.clone(), "file"), (file.join("below"), "file/below"), (open.clone(), "everybody may write")]
    {
        let host = host(&directory, ROOMY);
        assert!(host.warning().contains(part), "{}", host.warning());
        assert!(!from_cache(&host, 3) && !from_cache(&host, 3));
    }
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
}

/// A disk that is full when the entry is written (here: a directory that was removed meanwhile, which fails at the same step) is a warning.
#[test]
fn a_failing_write_is_a_warning() {
    let scratch = Scratch::new();
    let directory = scratch.0.join("gone");
    let host = host(&directory, ROOMY);
    assert_eq!(host.warning(), "");
    fs::remove_dir(&directory).unwrap();
    assert!(!from_cache(&host, 4));
    assert!(host.warning().contains("not kept"), "{}", host.warning());
}

/// The oldest entries go when the size is exceeded; a used one is young again. Leftovers of killed writers go when they are old.
#[test]
fn the_size_is_bounded() {
    let scratch = Scratch::new();
    assert!(!from_cache(&host(&scratch.0, ROOMY), 1));
    let size = fs::metadata(scratch.entries().pop().unwrap()).unwrap().len();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let (stale, fresh) = (scratch.0.join("writing-1-1"), scratch.0.join("writing-1-2"));
    fs::write(&stale, "").unwrap();
    fs::write(&fresh, "").unwrap();
    fs::File::options().write(true).open(&stale).unwrap().set_modified(old).unwrap();
    let host = host(&scratch.0, size * 2 + size / 2);
    let age = |number: u32, seconds: u64| {
        // Whichever entry was written last is this one's.
        let newest =
            scratch.entries().into_iter().max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
        let time = old + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(newest).unwrap().set_modified(time).unwrap();
        let _ = number;
    };
    fs::remove_file(&fresh).unwrap();
    age(1, 10);
    assert!(!from_cache(&host, 2));
    age(2, 20);
    assert!(!stale.exists(), "an old leftover is removed");
    assert!(from_cache(&host, 1), "using an entry makes it young");
    assert!(!from_cache(&host, 3), "which evicts 2, now the oldest");
    assert!(from_cache(&host, 1));
    assert!(from_cache(&host, 3));
    assert!(!from_cache(&host, 2));
}

/// Many engines that compile the same modules into the same directory at once get the right code, and leave nothing behind.
#[test]
fn a_directory_is_shared_without_harm() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let host = host(&scratch.0, ROOMY);
                for number in 0..8 {
                    from_cache(&host, number);
                }
                assert_eq!(host.warning(), "");
            });
        }
    });
    assert_eq!(scratch.entries().len(), 8, "one entry a module, no temporary files: {:?}", scratch.entries());
}
