//! Loops for ever without ever calling the host: only preemption and a kill get it off its worker.
fn main() {
    let mut state = std::env::args().count() as u64;
    loop {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        std::hint::black_box(state);
    }
}
