//! The WASI state that the threads or strands of one process share: one table of file descriptors, lent to one of them at a time.
//!
//! wasmtime-wasi wants its state for itself until a call has ended, so a call that waits keeps the others out. What may wait for long must therefore not go through it: the
//! standard streams and `poll_oneoff` are served from the hooks (see `preview1::streams`), without borrowing the state. What is left are operations on files, which end by themselves.

use crate::error::Error;
use crate::guest::{Absent, Wasi};
use crate::shared::SharedRef;
use crate::stdio::Input;
use crate::wasi::{Stdin, WasiConfig};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wasmtime::Result;
use wasmtime_wasi::p1::WasiP1Ctx;

/// What a descriptor that was there from the start stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    In,
    Out,
    Err,
}

pub struct World {
    /// Of the first thread's call: what wasmtime-wasi holds refers to it.
    shared: SharedRef,
    lending: Mutex<Lending>,
    /// The descriptors that are standard streams, while they are. Short looks only.
    streams: Mutex<HashMap<u32, Stream>>,
    input: Mutex<Input>,
}

struct Lending {
    wasi: Wasi,
    lent: bool,
    /// Who waits for it, the longest waiting first, with a number to know them by.
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// For a process whose first thread is about to start. Errors: see `WasiConfig::build`.
    pub fn new(config: Option<Arc<WasiConfig>>, shared: SharedRef) -> Result<World, Error> {
        let stdin = config.as_ref().map_or(Stdin::Empty, |config| config.stdin());
        let mut streams = HashMap::from([(1, Stream::Out), (2, Stream::Err)]);
        let mut input = Input::default();
        match stdin {
            Stdin::Hook => {
                streams.insert(0, Stream::In);
            }
            Stdin::Empty => {
                streams.insert(0, Stream::In);
                input.end();
            }
            // Read by wasmtime-wasi, on a thread of its own.
            Stdin::Inherit => {}
        }
        let wasi = Wasi::new(config, shared, false)?;
        Ok(World {
            shared,
            lending: Mutex::new(Lending { wasi, lent: false, waiting: VecDeque::new(), next: 0 }),
            streams: Mutex::new(streams),
            input: Mutex::new(input),
        })
    }

    /// Waits until nobody else has the state. It comes back when the answer is dropped.
    pub fn borrow(self: Arc<World>) -> Borrow {
        Borrow { world: self, number: None }
    }

    /// Standard input. Short looks only.
    pub fn input(&self) -> MutexGuard<'_, Input> {
        lock(&self.input)
    }

    pub fn stream(&self, fd: i32) -> Option<Stream> {
        lock(&self.streams).get(&(fd as u32)).copied()
    }

    /// After a successful `fd_close`.
    pub fn closed(&self, fd: i32) {
        lock(&self.streams).remove(&(fd as u32));
    }

    /// After a successful `fd_renumber`.
    pub fn renumbered(&self, from: i32, to: i32) {
        if from == to {
            return;
        }
        let mut streams = lock(&self.streams);
        match streams.remove(&(from as u32)) {
            Some(stream) => streams.insert(to as u32, stream),
            None => streams.remove(&(to as u32)),
        };
    }
}

/// See `World::borrow`.
pub struct Borrow {
    world: Arc<World>,
    /// Its number among those who wait, once it has waited.
    number: Option<u64>,
}

/// The WASI state, lent.
pub struct Borrowed {
    world: Arc<World>,
    wasi: Option<Box<WasiP1Ctx>>,
}

impl Future for Borrow {
    type Output = Result<Borrowed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Borrowed>> {
        let world = self.world.clone();
        let mut lending = lock(&world.lending);
        if lending.lent {
            let number = *self.number.get_or_insert_with(|| {
                lending.next += 1;
                lending.next
            });
            match lending.waiting.iter_mut().find(|(other, _)| *other == number) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => lending.waiting.push_back((number, cx.waker().clone())),
            }
            return Poll::Pending;
        }
        if let Some(number) = self.number.take() {
            lending.waiting.retain(|(other, _)| *other != number);
        }
        match lending.wasi.take(world.shared) {
            Ok(wasi) => {
                lending.lent = true;
                drop(lending);
                Poll::Ready(Ok(Borrowed { world, wasi: Some(wasi) }))
            }
            Err(Absent) => Poll::Ready(Err(Absent.into())),
        }
    }
}

impl Drop for Borrow {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        let mut lending = lock(&self.world.lending);
        lending.waiting.retain(|(other, _)| *other != number);
        // It may have been told that the state is free, and will not look any more: the next one should.
        if !lending.lent
            && let Some((_, waker)) = lending.waiting.front()
        {
            waker.wake_by_ref();
        }
    }
}

impl Borrowed {
    pub fn wasi(&mut self) -> &mut WasiP1Ctx {
        self.wasi.as_mut().expect("taken only when it is dropped")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut lending = lock(&self.world.lending);
        if let Some(wasi) = self.wasi.take() {
            lending.wasi = Wasi::ready(wasi);
        }
        lending.lent = false;
        if let Some((_, waker)) = lending.waiting.pop_front() {
            drop(lending);
            waker.wake();
        }
    }
}
