//! `yields [N]`: gives way N times (default 1000), then prints N. Nothing but scheduler switches.
fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(1000);
    for _ in 0..count {
        std::thread::yield_now();
    }
    println!("{count}");
}
