//! Copies standard input to standard output; says on standard error how many bytes it saw.
fn main() {
    match std::io::copy(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        Ok(count) => eprintln!("echo: {count} bytes"),
        Err(error) => {
            eprintln!("echo: {error}");
            std::process::exit(1);
        }
    }
}
