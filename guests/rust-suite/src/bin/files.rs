//! `files read PATH` | `write PATH TEXT` | `append PATH TEXT` | `list PATH` | `remove PATH` | `mkdir PATH`: one file
//! operation. On failure prints `files: <kind>` to standard error and exits with 1.
use std::io::Write;

fn run(words: &[&str]) -> std::io::Result<()> {
    match words {
        ["read", path] => std::io::stdout().write_all(&std::fs::read(path)?),
        ["write", path, text] => std::fs::write(path, text),
        ["append", path, text] => {
            std::fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
        }
        ["list", path] => {
            let mut names = std::fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<String>>>()?;
            names.sort();
            for name in names {
                println!("{name}");
            }
            Ok(())
        }
        ["remove", path] => std::fs::remove_file(path),
        ["mkdir", path] => std::fs::create_dir(path),
        _ => {
            eprintln!("files: usage: files read|write|append|list|remove|mkdir PATH [TEXT]");
            std::process::exit(2);
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Err(error) = run(&words) {
        eprintln!("files: {:?}", error.kind());
        std::process::exit(1);
    }
}
