//! `allocate [CHUNK_BYTES]`: allocates and touches memory without end. If the host refuses growth softly instead of
//! ending the process, says how far it came and exits with 3.
fn main() {
    let chunk: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(1 << 20);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut next: Vec<u8> = Vec::new();
        if next.try_reserve_exact(chunk).is_err() || kept.try_reserve(1).is_err() {
            println!("refused after {} bytes", kept.len() * chunk);
            std::process::exit(3);
        }
        next.resize(chunk, 0xa5);
        kept.push(next);
    }
}
