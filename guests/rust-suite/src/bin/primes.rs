//! `primes N`: prints how many primes lie below N. Pure computation with a checkable answer (primes 100000 → 9592).
fn main() {
    let bound: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(100_000);
    let mut composite = vec![false; bound.max(2)];
    let mut count = 0u32;
    for number in 2..bound {
        if composite[number] {
            continue;
        }
        count += 1;
        let mut multiple = number * number;
        while multiple < bound {
            composite[multiple] = true;
            multiple += number;
        }
    }
    println!("{count}");
}
