//! `sleep MILLISECONDS [TIMES]`: sleeps that long, TIMES times (default 1), and prints `slept` after each.
fn main() {
    let mut args = std::env::args().skip(1);
    let ms = args.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let times: u64 = args.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    for _ in 0..times {
        let before = std::time::Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(ms));
        let slept = before.elapsed();
        if slept < std::time::Duration::from_millis(ms) {
            println!("woke too early, after {slept:?}");
            std::process::exit(1);
        }
        println!("slept");
    }
}
