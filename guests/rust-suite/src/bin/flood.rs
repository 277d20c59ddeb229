//! `flood [BYTES]`: writes BYTES (default: 4 GiB) of numbered lines to standard output, as fast as it is let. Exits with
//! 4 and says so on standard error if the output is closed.
use std::io::Write;

fn main() {
    let total: u64 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(4 << 30);
    let mut out = std::io::stdout().lock();
    let mut written = 0u64;
    let mut line = 0u64;
    while written < total {
        let text = format!("{line:015}\n");
        let rest = (total - written).min(text.len() as u64) as usize;
        if let Err(error) = out.write_all(&text.as_bytes()[..rest]) {
            eprintln!("flood: closed after {written} bytes: {:?}", error.kind());
            std::process::exit(4);
        }
        written += rest as u64;
        line += 1;
    }
    if out.flush().is_err() {
        std::process::exit(4);
    }
}
