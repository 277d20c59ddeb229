//! A guest's standard streams, carried by the `write`, `write_ready` and `read` hooks.

use crate::guest::quiet;
use crate::hooks::{READ_PENDING, WRITE_CLOSED};
use crate::limits::LimitReached;
use crate::outcome::LimitKind;
use crate::shared::{Shared, SharedRef};
use crate::waker::wait_for_hook;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

/// What may be written at any time when there is no `write_ready` hook.
const WRITE_AT_ONCE: usize = 64 << 10;
/// How much is read ahead of the guest at most.
pub const READ_AT_ONCE: usize = 64 << 10;

/// Why nothing more can be written.
enum WriteEnd {
    /// The reader is gone.
    Closed,
    /// A limit is reached.
    Stop,
}

impl WriteEnd {
    fn from_hook(answer: i64) -> WriteEnd {
        if answer == WRITE_CLOSED { WriteEnd::Closed } else { WriteEnd::Stop }
    }

    /// What a stream of 0.2 says; preview 1 has no error of its own for a closed stream, but its `fd_write` looks at `pipe_closed`.
    fn into_stream_error(self, shared: SharedRef) -> StreamError {
        match self {
            WriteEnd::Closed => {
                shared.pipe_closed.set(true);
                StreamError::Closed
            }
            WriteEnd::Stop => {
                let limit = LimitReached { kind: LimitKind::Output, value: 0, asked: 0 };
                StreamError::Trap(quiet(limit))
            }
        }
    }

    fn into_io_error(self) -> io::Error {
        match self {
            WriteEnd::Closed => io::Error::from(io::ErrorKind::BrokenPipe),
            WriteEnd::Stop => io::Error::other("limit on buffered output reached"),
        }
    }
}

/// Standard output or error.
pub struct HookOutput {
    pub shared: SharedRef,
    pub stream: u32,
    pub terminal: bool,
}

impl IsTerminal for HookOutput {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdoutStream for HookOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.writer())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.writer())
    }
}

impl HookOutput {
    fn writer(&self) -> Writer {
        Writer { shared: self.shared, stream: self.stream, rest: Bytes::new() }
    }
}

/// One open output stream.
struct Writer {
    shared: SharedRef,
    stream: u32,
    /// Taken from the guest, not yet taken by the hook: it may take less than it said it would, when others write to the same place.
    rest: Bytes,
}

impl Writer {
    fn write_some(&self, bytes: &[u8]) -> Result<usize, WriteEnd> {
        let Some(write) = self.shared.hooks().write else {
            return Ok(bytes.len());
        };
        // SAFETY: arguments as promised in the header.
        let taken = unsafe { write(self.shared.process, self.stream, bytes.as_ptr(), bytes.len()) };
        usize::try_from(taken).map(|taken| taken.min(bytes.len())).map_err(|_| WriteEnd::from_hook(taken))
    }

    /// How much the hook would take; 0 = `task`, if there is one, will be woken.
    fn room(&self, task: bool) -> Result<usize, WriteEnd> {
        let Some(ready) = self.shared.hooks().write_ready else {
            return Ok(WRITE_AT_ONCE);
        };
        let task = if task { self.shared.task.get() } else { std::ptr::null_mut() };
        // SAFETY: arguments as promised in the header.
        let room = unsafe { ready(self.shared.process, self.stream, task) };
        usize::try_from(room).map_err(|_| WriteEnd::from_hook(room))
    }

    fn push_rest(&mut self) -> Result<(), WriteEnd> {
        while !self.rest.is_empty() {
            let taken = self.write_some(&self.rest)?;
            if taken == 0 {
                break;
            }
            let _ = self.rest.split_to(taken);
        }
        Ok(())
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<Result<usize, WriteEnd>> {
        loop {
            self.push_rest()?;
            match self.room(true)? {
                0 => {
                    wait_for_hook(&self.shared, cx);
                    return Poll::Pending;
                }
                room if self.rest.is_empty() => return Poll::Ready(Ok(room)),
                // There is room again already: go on with the rest.
                _ => {}
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        // An end is found again, and reported, by the call that follows.
        let _ = poll_fn(|cx| self.poll_room(cx)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        debug_assert!(self.rest.is_empty(), "written without asking");
        self.rest = bytes;
        self.push_rest().map_err(|end| end.into_stream_error(self.shared))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.push_rest().map_err(|end| end.into_stream_error(self.shared))
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        self.push_rest().map_err(|end| end.into_stream_error(self.shared))?;
        if !self.rest.is_empty() {
            return Ok(0);
        }
        self.room(false).map_err(|end| end.into_stream_error(self.shared))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_room(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end.into_io_error())),
                Poll::Ready(Ok(room)) => match self.write_some(&bytes[..bytes.len().min(room)]) {
                    Ok(0) if !bytes.is_empty() => {}
                    Ok(taken) => return Poll::Ready(Ok(taken)),
                    Err(end) => return Poll::Ready(Err(end.into_io_error())),
                },
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Standard input from the `read` hook. All streams opened on it read from the same place.
pub struct HookInput {
    shared: SharedRef,
    terminal: bool,
    state: Arc<Mutex<Input>>,
}

#[derive(Default)]
pub struct Input {
    /// Read, but not yet asked for by the guest.
    ahead: Bytes,
    ended: bool,
}

impl Input {
    /// Reads ahead unless there is something already. True if there is now something to hand out: bytes, or the end. If not, and `task` says so, the task of the poll under way
    /// will be woken.
    pub fn fill(&mut self, shared: &Shared, task: bool) -> bool {
        if !self.ahead.is_empty() || self.ended {
            return true;
        }
        let Some(read) = shared.hooks().read else {
            self.ended = true;
            return true;
        };
        let task = if task { shared.task.get() } else { std::ptr::null_mut() };
        let mut buffer = vec![0; READ_AT_ONCE];
        // SAFETY: arguments as promised in the header.
        match unsafe { read(shared.process, buffer.as_mut_ptr(), buffer.len(), task) } {
            READ_PENDING => false,
            count if count > 0 => {
                buffer.truncate(usize::try_from(count).unwrap_or(usize::MAX));
                self.ahead = buffer.into();
                true
            }
            _ => {
                self.ended = true;
                true
            }
        }
    }

    /// There is nothing (more) to be read.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// What was read ahead, up to `size` bytes; empty at the end.
    pub fn take(&mut self, size: usize) -> Bytes {
        self.ahead.split_to(size.min(self.ahead.len()))
    }

    /// How much was read ahead.
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }
}

impl HookInput {
    pub fn new(shared: SharedRef, terminal: bool) -> HookInput {
        HookInput { shared, terminal, state: Arc::default() }
    }

    fn reader(&self) -> Reader {
        Reader { shared: self.shared, state: self.state.clone() }
    }
}

impl IsTerminal for HookInput {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdinStream for HookInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.reader())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.reader())
    }
}

/// One open input stream.
struct Reader {
    shared: SharedRef,
    state: Arc<Mutex<Input>>,
}

impl Reader {
    fn lock(&self) -> MutexGuard<'_, Input> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, input: &mut Input, task: bool) -> bool {
        input.fill(&self.shared, task)
    }

    fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if self.fill(&mut self.lock(), true) {
            return Poll::Ready(());
        }
        wait_for_hook(&self.shared, cx);
        Poll::Pending
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        let mut input = self.lock();
        if !self.fill(&mut input, false) {
            return Ok(Bytes::new());
        }
        if input.ahead.is_empty() {
            return Err(StreamError::Closed);
        }
        let size = size.min(input.ahead.len());
        Ok(input.ahead.split_to(size))
    }
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.poll_ready(cx).is_pending() {
            return Poll::Pending;
        }
        let mut input = self.lock();
        let size = buffer.remaining().min(input.ahead.len());
        buffer.put_slice(&input.ahead.split_to(size));
        Poll::Ready(Ok(()))
    }
}
