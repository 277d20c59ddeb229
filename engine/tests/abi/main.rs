//! Tests of the engine through its C ABI, as the C++ side uses it.

mod host_functions;
mod lifecycle;
mod limits;
mod running;
mod support;
mod waiting;
