//! The plain data that crosses the C ABI: strings, byte buffers, values.

use std::ffi::c_char;

/// Borrowed UTF-8 text, not terminated by a zero. `data` may be NULL when `size` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub data: *const c_char,
    pub size: usize,
}

/// Bytes owned by the engine: read them, then free them with `weft_bytes_free`.
pub struct Bytes {
    pub(crate) bytes: Vec<u8>,
}

/// Kind of a wasm value. Only numbers and vectors cross this ABI; references stay in the engine.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValKind {
    I32 = 0,
    I64 = 1,
    F32 = 2,
    F64 = 3,
    V128 = 4,
}

/// The payload of a `weft_val`. Floats travel as numbers, with their bits (also of NaNs) kept; a vector as its 16 bytes, least significant first.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ValPayload {
    pub i32: i32,
    pub i64: i64,
    pub f32: f32,
    pub f64: f64,
    pub v128: [u8; 16],
}

/// One wasm value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Val {
    pub kind: ValKind,
    pub of: ValPayload,
}

/// Answer of something that may wait.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Finished; not called again.
    Ready = 0,
    /// Not finished: the task that was passed has been registered and will be woken.
    Pending = 1,
}

/// The bytes of `bytes`, borrowed until it is freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_data(bytes: *const Bytes) -> *const u8 {
    todo!()
}

/// How many bytes there are. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_size(bytes: *const Bytes) -> usize {
    todo!()
}

/// Frees `bytes`; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_free(bytes: *mut Bytes) {
    todo!()
}
