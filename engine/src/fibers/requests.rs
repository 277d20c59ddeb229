//! Strands that the host asks for: from any thread, made by the thread that polls the call.

use crate::shared::Shared;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmtime::Val;

/// A strand that is to call an entry.
pub struct Request {
    /// What the host calls it.
    pub token: u64,
    pub entry: u32,
    pub arguments: Vec<Val>,
    /// Zeros of the right types.
    pub results: Vec<Val>,
}

/// What is asked of a call by other threads than the one that polls it.
#[derive(Default)]
pub struct Requests {
    waiting: Mutex<Vec<Request>>,
    /// There may be some. Set by those who ask (release), cleared by the polling thread before it looks (acquire); the list itself is under the lock.
    any: AtomicBool,
    /// A resident process is to end with its last strand. Set by any thread (release), read by the polling thread (acquire).
    last: AtomicBool,
}

impl Requests {
    pub fn add(&self, request: Request) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.any.store(true, Ordering::Release);
    }

    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub fn take(&self) -> Vec<Request> {
        if !self.any.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn finish(&self) {
        self.last.store(true, Ordering::Release);
    }

    pub fn finishing(&self) -> bool {
        self.last.load(Ordering::Acquire)
    }
}

/// Tells the host of the end of a strand that it asked for: what it answered, or why it never began.
pub fn tell(shared: &Shared, token: u64, answer: Result<&[crate::abi::Val], crate::error::Error>) {
    let Some(finished) = shared.hooks().strand_finished else {
        return;
    };
    let (values, error) = match answer {
        Ok(values) => (values, std::ptr::null_mut()),
        Err(error) => (&[][..], Box::into_raw(Box::new(error))),
    };
    // SAFETY: arguments as promised in the header.
    unsafe { finished(shared.process, token, values.as_ptr(), values.len(), error) };
}
