//! The plain data that crosses the C ABI: strings, byte buffers, values.

use crate::error::{Error, ErrorKind};
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

impl Str {
    pub const EMPTY: Str = Str { data: std::ptr::null(), size: 0 };

    /// Borrows `text`; the caller sees to it that what is handed out does not outlive it.
    pub(crate) const fn borrow(text: &str) -> Str {
        Str { data: text.as_ptr().cast(), size: text.len() }
    }

    /// # Safety
    /// `data` must be valid for `size` bytes as long as `'a`.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        debug_assert!(!self.data.is_null(), "a string of {} bytes has no data", self.size);
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.size) }
    }

    /// The text, or an error that calls it `what`.
    ///
    /// # Safety
    /// As for `bytes`.
    pub(crate) unsafe fn text<'a>(self, what: &str) -> Result<&'a str, Error> {
        std::str::from_utf8(unsafe { self.bytes() })
            .map_err(|_| Error::new(ErrorKind::BadArgument, format!("{what} is not valid UTF-8")))
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Val {
        Val { kind: ValKind::I32, of: ValPayload { i32: value } }
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val { kind: ValKind::I64, of: ValPayload { i64: value } }
    }
}

impl Val {
    pub(crate) fn zero(kind: ValKind) -> Val {
        Val { kind, of: ValPayload { v128: [0; 16] } }
    }
}

/// The slice that a pointer and a size mean; the pointer may be NULL when the size is 0.
///
/// # Safety
/// `data` must be valid for `size` values as long as `'a`.
pub(crate) unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        return &[];
    }
    debug_assert!(!data.is_null(), "an array of {size} has no data");
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// Hands `bytes` to the C side.
pub(crate) fn give_bytes(bytes: Vec<u8>) -> *mut Bytes {
    Box::into_raw(Box::new(Bytes { bytes }))
}

/// The bytes of `bytes`, borrowed until it is freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_data(bytes: *const Bytes) -> *const u8 {
    debug_assert!(!bytes.is_null());
    unsafe { &*bytes }.bytes.as_ptr()
}

/// How many bytes there are. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_size(bytes: *const Bytes) -> usize {
    debug_assert!(!bytes.is_null());
    unsafe { &*bytes }.bytes.len()
}

/// Frees `bytes`; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_bytes_free(bytes: *mut Bytes) {
    if !bytes.is_null() {
        drop(unsafe { Box::from_raw(bytes) });
    }
}
