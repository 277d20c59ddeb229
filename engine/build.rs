//! The scheduler of strands, from text to binary: src/fibers/scheduler.rs includes the result. And a digest of all that rewrites modules, for
//! the cache of compiled code: what another version made of a module is not to be run.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const TEXT: &str = "src/fibers/strands.wat";
const REWRITERS: [&str; 2] = ["src/fibers", "src/rewrite"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={TEXT}");
    let binary = wat::parse_file(TEXT).unwrap_or_else(|error| panic!("{error}"));
    let to = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("strands.wasm");
    fs::write(&to, binary).unwrap_or_else(|error| panic!("{}: {error}", to.display()));

    let mut digest = DefaultHasher::new();
    for folder in REWRITERS {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = files_in(Path::new(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        files.sort();
        for file in files {
            digest.write(&fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        }
    }
    println!("cargo::rustc-env=WEFT_REWRITERS={:016x}", digest.finish());
}

fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
