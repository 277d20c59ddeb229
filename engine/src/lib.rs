//! The engine of Weft: Wasmtime behind a C ABI.
//!
//! Thin on purpose: this crate compiles modules, links them to host functions and runs each process's main call as a
//! future that somebody else polls. Which call runs when, for how long and under which limits is decided by the C++ side
//! through [`hooks::Hooks`]. The C header `include/weft_engine.h` is generated from these sources by cbindgen; a test fails
//! when the two differ (`WEFT_WRITE_HEADER=1 cargo test -p weft-engine --test header` writes it).
//!
//! Rules that hold for every exported function:
//! * No panic leaves it: a panic becomes an error of kind `Internal` (or, where nothing can be returned, an abort with a
//!   message).
//! * Pointers that are not documented as "may be NULL" must be valid; a NULL there is a bug of the caller and asserted.
//! * Strings that come in are borrowed for the call; strings that go out are borrowed from the object asked.

// Everything unsafe here is one of two things: a pointer that came through the C ABI, or a place named in docs/design/engine.md.
#![deny(unsafe_op_in_unsafe_fn)]
// What a caller has to keep to is said once, in words for the C side.
#![allow(clippy::missing_safety_doc)]

// The C ABI, in the order of the header.
pub mod abi;
pub mod backtrace;
pub mod call;
pub mod engine;
pub mod error;
pub mod features;
pub mod hooks;
pub mod host_function;
pub mod inspect;
pub mod linker;
pub mod module;
pub mod outcome;
pub mod program;
pub mod wasi;

mod alloc;
mod cache;
mod component;
mod debug_info;
pub mod fibers;
mod guest;
mod limits;
mod lines;
mod origin;
mod preview1;
mod provide;
mod rewrite;
mod shared;
mod start;
mod stdio;
mod threads;
mod waiting;
mod waker;
mod world;
