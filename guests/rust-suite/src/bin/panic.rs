//! Panics with a message: a line on standard error, then a trap.
fn main() {
    let values: Vec<u32> = Vec::new();
    let index = std::env::args().count() + 7;
    println!("{}", values[index]);
}
