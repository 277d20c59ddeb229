//! Compiled code on disk, so that a module is compiled once per machine.
//!
//! Wasmtime has a cache of its own; this one exists because that one has no check against damaged files (machine code with flipped bits would run), and a full
//! disk leaves half a file behind that blocks its entry. Here an entry is a header with the BLAKE3 hash of what follows, written to a temporary file and renamed: readers
//! see all of it or nothing, also of another process that shares the directory. Whatever goes wrong costs a compilation, never more, and is reported as the engine's warning.
//! The directory is as trusted as the program itself: the hash finds damage, not malice.

use crate::engine::{VERSION, Warning};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const MAGIC: &[u8; 8] = b"weftcode";
const FORMAT: u32 = 1;
/// Magic, format, reserved, payload size, hash.
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 32;
const ENTRY_SUFFIX: &str = ".code";
const TEMPORARY_PREFIX: &str = "writing-";
/// A temporary file this old belongs to nobody any more: its writer was killed.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);

pub struct Cache {
    directory: PathBuf,
    bytes_max: u64,
    warning: Warning,
}

/// A digest of the code that modules go through before they are compiled.
const REWRITERS: &str = env!("WEFT_REWRITERS");

/// What an entry is found by.
pub struct Key(String);

impl Key {
    /// `kind` tells core modules from components; `engine` contributes version, target and settings.
    pub fn new(engine: &wasmtime::Engine, kind: &str, wasm: &[u8]) -> Key {
        struct Feed(blake3::Hasher);
        impl std::hash::Hasher for Feed {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(&(bytes.len() as u64).to_le_bytes());
                self.0.update(bytes);
            }
            fn finish(&self) -> u64 {
                0
            }
        }
        let mut feed = Feed(blake3::Hasher::new());
        let parts: [&[u8]; 4] = [VERSION.as_bytes(), REWRITERS.as_bytes(), kind.as_bytes(), wasm];
        for part in parts {
            std::hash::Hasher::write(&mut feed, part);
        }
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
        Key(feed.0.finalize().to_hex().to_string())
    }
}

impl Cache {
    /// None, and a warning, if the directory cannot be used.
    pub fn open(directory: &Path, bytes_max: u64, warning: Warning) -> Option<Cache> {
        match usable(directory) {
            Ok(()) => Some(Cache { directory: directory.to_path_buf(), bytes_max, warning }),
            Err(why) => {
                warning.set(format!("{}: compiled code is not kept there: {why}", directory.display()));
                None
            }
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(format!("{}{ENTRY_SUFFIX}", key.0))
    }

    /// The code of `key`, if there is an undamaged entry. A damaged one is removed.
    pub fn load(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        // Not blocking: should it be a pipe, opening it would wait for a writer.
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).ok()?;
        match read_entry(&mut file) {
            Ok(code) => {
                // Entries are evicted by age, and using one makes it young again. Fails on a read-only directory, which is fine.
                let _ = file.set_modified(SystemTime::now());
                Some(code)
            }
            Err(why) => {
                let _ = fs::remove_file(&path);
                self.warning.set(format!("{}: damaged ({why}); compiled anew", path.display()));
                None
            }
        }
    }

    /// Removes the entry of `key`, whose code the engine refused.
    pub fn refuse(&self, key: &Key, why: &wasmtime::Error) {
        let path = self.path(key);
        let _ = fs::remove_file(&path);
        self.warning.set(format!("{}: refused ({why}); compiled anew", path.display()));
    }

    /// Keeps `code`. Failing to costs nothing but the next compilation.
    pub fn store(&self, key: &Key, code: &[u8]) {
        if code.len() as u64 > self.bytes_max {
            return;
        }
        match self.write_entry(key, code) {
            Ok(()) => self.evict(&self.path(key)),
            Err(why) => {
                self.warning.set(format!("{}: compiled code is not kept there: {why}", self.directory.display()));
            }
        }
    }

    fn write_entry(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        // Unique within the machine: by process and by counter. Only uniqueness counts, hence relaxed.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
        let written = (|| {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&header(code))?;
            file.write_all(code)?;
            // Not synced: after a crash of the machine the hash tells.
            drop(file);
            fs::rename(&temporary, self.path(key))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the oldest entries until the rest fits, but not `newest`; and temporary files that were left behind. Another process may do the same at the same time: a file
    /// that is already gone is not missed.
    fn evict(&self, newest: &Path) {
        let Ok(listing) = fs::read_dir(&self.directory) else {
            return;
        };
        let now = SystemTime::now();
        let mut entries = Vec::new();
        let mut total = 0;
        for entry in listing.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().unwrap_or(now);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(TEMPORARY_PREFIX) {
                if now.duration_since(modified).is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
                    let _ = fs::remove_file(entry.path());
                }
            } else if name.ends_with(ENTRY_SUFFIX) {
                total += metadata.len();
                entries.push((modified, metadata.len(), entry.path()));
            }
        }
        entries.sort();
        for (_, bytes, path) in entries {
            if total <= self.bytes_max {
                break;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// Makes the directory if need be, for its owner only, and checks that nobody else could put code into it.
fn usable(directory: &Path) -> Result<(), String> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| error.to_string())?;
    let metadata = fs::metadata(directory).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a directory".to_string());
    }
    if metadata.mode() & 0o002 != 0 {
        return Err("everybody may write to it, and what is in it gets executed".to_string());
    }
    Ok(())
}

fn header(code: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[16..24].copy_from_slice(&(code.len() as u64).to_le_bytes());
    header[24..].copy_from_slice(blake3::hash(code).as_bytes());
    header
}

fn read_entry(file: &mut File) -> Result<Vec<u8>, String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_string());
    }
    let size = metadata.len();
    let mut found = [0; HEADER_BYTES];
    file.read_exact(&mut found).map_err(|_| "too short".to_string())?;
    // Before reading what may be gigabytes: the size has to be what the header says.
    let code_size = u64::from_le_bytes(found[16..24].try_into().expect("eight bytes"));
    if found[..8] != *MAGIC || code_size.checked_add(HEADER_BYTES as u64) != Some(size) {
        return Err("truncated".to_string());
    }
    let mut code = Vec::with_capacity(usize::try_from(code_size).map_err(|_| "too large".to_string())?);
    file.read_to_end(&mut code).map_err(|error| error.to_string())?;
    if header(&code) != found {
        return Err("its hash is wrong".to_string());
    }
    Ok(code)
}
