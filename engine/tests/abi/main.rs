//! Tests of the engine through its C ABI, as the C++ side uses it.

mod backtraces;
mod boundary;
mod cache;
mod components;
mod debug_info;
mod host_functions;
mod limits;
mod modules;
mod real_programs;
mod running;
mod stdio;
mod support;
mod threads;
mod waiting;
