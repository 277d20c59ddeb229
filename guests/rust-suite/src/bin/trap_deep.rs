//! `trap_deep [DEPTH]`: traps below DEPTH (default 5) frames of `descend`, called from `outer_frame`. What a backtrace
//! must show, innermost first: descend × (DEPTH + 1), outer_frame, main.
#[inline(never)]
fn descend(left: u32, path: &mut Vec<u32>) -> u32 {
    path.push(left);
    if left == 0 {
        core::arch::wasm32::unreachable();
    }
    // The work after the call keeps it from becoming a loop.
    descend(left - 1, path) + path.len() as u32
}

#[inline(never)]
fn outer_frame(depth: u32) -> u32 {
    let mut path = Vec::new();
    descend(depth, &mut path) ^ path.len() as u32
}

fn main() {
    let depth = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    println!("descending {depth}");
    println!("came back with {}", outer_frame(depth));
}
