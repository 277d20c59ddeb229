//! The scheduler of strands, as a module: `strands.wat`, compiled to binary when this crate is built.
//!
//! ```text
//! let scheduler = Instance::new(&mut store, &strands, &[tick, now, finished, fail])?;      // imports in the order of the text: "weft_host"
//! let guest = linker.instantiate(…)?;             // its imports: those of FIBER from "weft_fiber", those of STRAND from "weft_strand"
//! scheduler.get_global("begin").set(guest.get_func("…"))?;                                 // and enter, set_stack, allocate, stack_bytes, …
//! prepare.call(())?;
//! main.call(0)?;
//! loop { match run.call(now)? { 0 => break, 1 => wait(deadline), _ => {} } }      // each call perhaps on another thread
//! ```
//!
//! The text's own opening comment says how it works, `docs/design/strands.md` why it is as it is, `sdk/include/weft/strand.h` what guests are promised. The
//! engine has to allow stack switching, function references, GC types and exceptions. Nothing here is called by more than one thread at a time.
//!
//! # What the host gives: "weft_host"
//!
//! | function | type | |
//! |---|---|---|
//! | `tick` | `() -> i32` | Asked at the guest's preemption points, and by the scheduler itself: at the 128th choice of a strand and at each 256th after it, and at each 256th `yield` of a strand while no other is ready. 1: the worker is to be given up. May trap: the process is stopped. When the scheduler asks for itself, `current` may still be that of the strand that ran last. |
//! | `now` | `() -> i64` | The clock of deadlines, nanoseconds, monotonic, not negative; the same clock as `run`'s. |
//! | `finished` | `(id: i64)` | A strand that `spawn_host` made has ended; it is still `current`. |
//! | `fail` | `(code: i32)` | Has to trap. See [`failure`]. |
//!
//! # What the host sets
//!
//! Before anything runs: `strands_max` (strands that live, or have ended and are not joined; the main strand counts, but is never refused), `preemptive` (whether
//! the others have a turn at a preemption point), `colours`; and of the guest `begin: (k)`, `enter: (f, argument) -> result`, `allocate: (bytes) -> address or 0`,
//! `set_stack: (top, low, tls)`, `stack_bytes` and `tls_bytes`. References may stay null: without `enter` there is no `spawn`, without `begin` no main strand,
//! and without `allocate` and `set_stack`, or with `stack_bytes` 0, no stacks in the guest's memory.
//!
//! A strand other than the main one has such a stack, `stack_bytes` long, with `tls_bytes` for thread-local variables above it, both rounded up to 16, and aligned to 16.
//! `set_stack` is called each time before a strand begins, on its own fiber; its last argument is the block of thread-local variables, to be initialised, or 0:
//! then the guest has none, or it is one of the two cases where its first block is meant: the stack on which `allocate` runs, and the main strand's.
//! The main strand begins with whatever `__stack_pointer` is. That is right as long as no other strand has run before it. If some may have
//! (several entries one after the other; `spawn_host` at a high level), `main_stack` and `main_stack_low` say where its stack is, and `set_stack` is called
//! for it as well.
//!
//! In a host function, for `again`, which the rewritten guest calls after it: `pending` 1 the strand waits in the host, 2 it gives others a turn, 3 it waits, but not
//! longer than until `until`. Other values than these and 0 are a failure.
//!
//! # What the host calls
//!
//! | function | type | |
//! |---|---|---|
//! | `prepare` | `()` | Allocates the stack on which the guest's `allocate` runs. Once; before anything runs. `allocate` must not wait there. |
//! | `main` | `(k: i32) -> i64` | Makes the main strand, which calls `begin(k)`. Again, when the one before has ended. Its id. |
//! | `spawn_host` | `(k: i32, level: i32) -> i64` | A strand that calls `begin(k)`, detached. Its id, or -6, -28, -52 (EAGAIN, EINVAL, ENOSYS). |
//! | `wake` | `(id: i64) -> i32` | A strand that waits in the host does so no longer: 1. 0: it does not, or is not there. Between two calls of `run`. |
//! | `run` | `(now: i64) -> i32` | Goes on. 0: the main strand has ended. 1: nobody is ready, and somebody will be at `deadline` (`i64::MAX`: not by time). 2: the worker is to be given up. |
//! | `live` | `() -> i32` | Strands that have not ended. |
//! | `records`, `stacks` | `() -> i32` | How many there have been at once, at most. |
//! | `strand` | `(index: i32) -> (i64, i32, i32, i64)` | Of each index below `records`: id (0: free), state, where it was made (-1: unknown), who made it (0: the host). States: 1 ready, 2 ended, 3 parked, 4 joins, 5 in the host, 6 sleeps, 7 runs or is held. Meant for between two calls of `run`, and after a trap. |
//!
//! `current` is the strand that runs, and 0 between two calls of `run`; after a trap it is the one that trapped.
//!
//! Not to be done: linking all exports to the guest (it could set `pending`); calling the guest from a host function that a strand has called, if what is
//! called may wait, yield or come to a preemption point (no fiber can be left with a frame of the host on it: a trap); calling `run` after an error came out of it. A store
//! can be dropped at any time between calls, with all its strands.
//!
//! What costs: a strand that has not run, 64 bytes; one that has, a stack of the engine's and two mappings. Stacks and records are used again, but only freed with
//! the store. If there are no more mappings, `run` returns the engine's error ("Cannot allocate memory").

/// The module.
///
/// cbindgen:ignore
pub const STRANDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/strands.wasm"));

/// What the module is called.
///
/// cbindgen:ignore
pub const NAME: &str = "weft_strands";

/// What a rewritten guest may import, from "weft_fiber": `again: (mask: i32) -> i32`, 1 if the host function is to be called again; `preempt: (mask: i32)`. With a mask other
/// than 0 no other strand runs meanwhile.
///
/// cbindgen:ignore
pub const FIBER: [&str; 2] = ["again", "preempt"];

/// What a guest may import, from "weft_strand".
///
/// cbindgen:ignore
pub const STRAND: [&str; 13] = [
    "spawn",
    "spawn_at",
    "yield",
    "self",
    "park",
    "park_until",
    "unpark",
    "join",
    "detach",
    "sleep",
    "now",
    "set_priority",
    "count",
];

/// Why `weft_host.fail` was called.
///
/// cbindgen:ignore
pub mod failure {
    /// The guest's `allocate` has no memory for a strand's stack.
    pub const SHADOW_STACK: i32 = 1;
    /// A rule for the host was broken: two main strands at once, `pending` out of range, `run` from inside of `run` or after a trap; or an error in the scheduler.
    pub const INTERNAL: i32 = 2;
    /// The table of stacks cannot grow: the store's or the pool's limit of table elements.
    pub const STACKS: i32 = 3;
    /// A host function would wait, but no strand runs (`prepare`, or a function of the guest that the host calls itself).
    pub const NOT_A_STRAND: i32 = 4;
}
