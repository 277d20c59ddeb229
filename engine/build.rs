//! The scheduler of strands, from text to binary: src/fibers/scheduler.rs includes the result.

use std::path::Path;
use std::{env, fs};

const TEXT: &str = "src/fibers/strands.wat";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={TEXT}");
    let binary = wat::parse_file(TEXT).unwrap_or_else(|error| panic!("{error}"));
    let to = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("strands.wasm");
    fs::write(&to, binary).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}
