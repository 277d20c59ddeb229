//! Writes random modules for the differential fuzzer.
//!
//!     weft-smith DIRECTORY FIRST_SEED COUNT
//!
//! Each seed gives at most one module, DIRECTORY/SEED.wasm, the same one every time; seeds whose bytes do not make a usable module give none. For every function
//! of the module that can be called with constants the file exports one more, `weft run N`: it calls that function and returns its results, and after them a hash
//! of everything that the module can see: globals (the fuel left among them, so that the path taken counts, too), memories, tables. Two engines that agree on
//! the results of all of these agree on what the module does.

mod modules;
mod observe;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, first, count] = arguments.as_slice() else {
        eprintln!("usage: weft-smith DIRECTORY FIRST_SEED COUNT");
        return ExitCode::FAILURE;
    };
    let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<u64>()) else {
        eprintln!("weft-smith: the seed and the count are numbers");
        return ExitCode::FAILURE;
    };
    let directory = Path::new(directory);
    if let Err(error) = std::fs::create_dir_all(directory) {
        eprintln!("weft-smith: {}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    let (mut written, mut functions) = (0, 0);
    for seed in first..first + count {
        let Some(wasm) = modules::generate(seed) else {
            continue;
        };
        let (wasm, observed) = match observe::add_observers(&wasm) {
            Ok(observed) => observed,
            Err(error) => {
                eprintln!("weft-smith: seed {seed}: {error}");
                return ExitCode::FAILURE;
            }
        };
        if observed == 0 {
            continue;
        }
        let path = directory.join(format!("{seed}.wasm"));
        if let Err(error) = std::fs::write(&path, &wasm) {
            eprintln!("weft-smith: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        written += 1;
        functions += observed;
    }
    println!("weft-smith: {written} modules with {functions} functions from {count} seeds");
    ExitCode::SUCCESS
}
