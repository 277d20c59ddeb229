//! Shows that `include/weft_engine.h` is what cbindgen makes of the sources now. `WEFT_WRITE_HEADER=1` writes it instead.

use std::path::Path;

#[test]
fn the_committed_header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("engine/cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in [
        "abi",
        "hooks",
        "error",
        "engine",
        "features",
        "module",
        "inspect",
        "wasi",
        "backtrace",
        "host_function",
        "linker",
        "program",
        "outcome",
        "call",
    ] {
        builder = builder.with_src(root.join(format!("src/{file}.rs")));
    }
    let mut generated = Vec::new();
    builder.generate().expect("the sources can be turned into a header").write(&mut generated);
    let generated = String::from_utf8(generated).expect("UTF-8");

    let path = root.join("include/weft_engine.h");
    if std::env::var_os("WEFT_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("include/weft_engine.h can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != generated {
        let line = committed.lines().zip(generated.lines()).position(|(a, b)| a != b).map_or(0, |at| at + 1);
        panic!(
            "engine/include/weft_engine.h is stale (first difference in line {line}); write it anew with \
             WEFT_WRITE_HEADER=1 cargo test -p weft-engine --test header"
        );
    }
}
