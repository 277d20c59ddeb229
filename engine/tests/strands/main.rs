//! The scheduler of strands (src/fibers/strands.wat), driven as Weft drives it, but with time that only the test moves.

mod host;
mod many;
mod model;
mod schedules;
mod semantics;
mod speed;
