//! The scheduler of strands (src/fibers/strands.wat), driven as Weft drives it, but with time that only the test moves.

mod host;
mod lives;
mod many;
mod model;
mod schedules;
mod speed;
mod turns;
mod waits;
