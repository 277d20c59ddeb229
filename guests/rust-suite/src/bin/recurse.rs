//! Recurses without end: exhausts the wasm stack.
// Not returning is what this guest is for.
#[allow(unconditional_recursion)]
#[inline(never)]
fn deeper(level: u64) -> u64 {
    let frame = std::hint::black_box([level; 16]);
    deeper(level + 1) + frame[(level % 16) as usize]
}

fn main() {
    println!("{}", deeper(0));
}
