//! `exit_code N [stdout text] [stderr text]`: prints the texts, without newlines, and exits with N.
use std::io::Write;

fn main() {
    let mut args = std::env::args().skip(1);
    let code = args.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    if let Some(text) = args.next() {
        print!("{text}");
        std::io::stdout().flush().unwrap();
    }
    if let Some(text) = args.next() {
        eprint!("{text}");
    }
    std::process::exit(code)
}
