//! Prints the wall clock (`wall <nanoseconds since 1970>`), and how far the monotonic clock came while it was read 1000
//! times (`monotonic <nanoseconds>`); exits with 1 if that ever went backwards.
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() {
    println!("wall {}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos());
    let first = Instant::now();
    let mut last = first;
    for _ in 0..1000 {
        let now = Instant::now();
        if now < last {
            println!("monotonic clock went backwards");
            std::process::exit(1);
        }
        last = now;
    }
    println!("monotonic {}", (last - first).as_nanos());
}
