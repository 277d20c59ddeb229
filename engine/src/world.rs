//! The WASI state that the threads of one process share: one table of file descriptors, lent to one thread at a time.
//!
//! wasmtime-wasi wants its state for itself until a call has ended, so a call that waits keeps the others out. What may wait for long must therefore not go through it: the
//! standard streams and `poll_oneoff` are served here, from the hooks, without borrowing the state. What is left are operations on files, which end by themselves.

use crate::error::Error;
use crate::guest::{Absent, Guest, Wasi, quiet};
use crate::hooks::{WRITE_CLOSED, WRITE_STOP};
use crate::limits::LimitReached;
use crate::outcome::LimitKind;
use crate::preview1::{Sleep, deadline_of, view, watched};
use crate::shared::{Shared, SharedRef, WaitName};
use crate::stdio::{Input, READ_AT_ONCE};
use crate::threads::Group;
use crate::waker::wait_for_hook;
use crate::wasi::{Clock, Stdin, WasiConfig};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wasmtime::{Caller, Result};
use wasmtime_wasi::HostMonotonicClock;
use wasmtime_wasi::p1::{WasiP1Ctx, types};
use wiggle::{GuestError, GuestMemory, GuestPtr};

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
    pub fn borrow(group: &Arc<Group>) -> Borrow {
        Borrow { group: group.clone(), number: None }
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
    group: Arc<Group>,
    /// Its number among those who wait, once it has waited.
    number: Option<u64>,
}

/// The WASI state, lent.
pub struct Borrowed {
    group: Arc<Group>,
    wasi: Option<Box<WasiP1Ctx>>,
}

impl Future for Borrow {
    type Output = Result<Borrowed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Borrowed>> {
        let group = self.group.clone();
        let world = &group.world;
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
                Poll::Ready(Ok(Borrowed { group, wasi: Some(wasi) }))
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
        let mut lending = lock(&self.group.world.lending);
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
        let mut lending = lock(&self.group.world.lending);
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

/// What wasmtime-wasi answers for a pointer that cannot be used.
pub fn errno_of(error: &GuestError) -> i32 {
    use types::Errno;
    let errno = match error {
        GuestError::PtrOutOfBounds(_) | GuestError::PtrOverflow | GuestError::PtrNotAligned(..) => Errno::Fault,
        GuestError::InvalidUtf8(_) => Errno::Ilseq,
        GuestError::TryFromIntError(_) => Errno::Overflow,
        _ => Errno::Inval,
    };
    errno as i32
}

/// The ranges of memory that an array of `iovec` or `ciovec` (which look the same) names, cut off after `bytes_max` bytes. None where nothing is to be done.
fn buffers(
    memory: &GuestMemory<'_>,
    iovs: i32,
    iovs_len: i32,
    bytes_max: u32,
) -> Result<Vec<GuestPtr<[u8]>>, GuestError> {
    let iovs = GuestPtr::<[types::Ciovec]>::new((iovs as u32, iovs_len as u32));
    let mut found = Vec::new();
    let mut left = bytes_max;
    for iov in iovs.iter().take(IOVECS_MAX) {
        let iov = memory.read(iov?)?;
        let bytes = iov.buf_len.min(left);
        if bytes == 0 {
            continue;
        }
        let range = iov.buf.as_array(bytes);
        found.push(range);
        left -= bytes;
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

/// More than a program uses at once are left for its next call, as a short count tells it.
const IOVECS_MAX: usize = 1024;
/// What is copied from a guest at once.
const WRITE_AT_ONCE: usize = 64 << 10;
/// More is left for the program's next call. No real program writes as much at once; a hostile one names the same gigabyte a thousand times.
const WRITE_MAX: u32 = 1 << 30;

/// How an output stream stands.
enum Room {
    Bytes(usize),
    None,
    Closed,
    Limit,
}

fn room(shared: &Shared, stream: Stream, task: bool) -> Room {
    let Some(ready) = shared.hooks().write_ready else {
        return Room::Bytes(WRITE_AT_ONCE);
    };
    let task = if task { shared.task.get() } else { std::ptr::null_mut() };
    // SAFETY: arguments as promised in the header.
    match unsafe { ready(shared.process, number(stream), task) } {
        0 => Room::None,
        WRITE_CLOSED => Room::Closed,
        WRITE_STOP => Room::Limit,
        bytes => usize::try_from(bytes).map_or(Room::Closed, Room::Bytes),
    }
}

fn number(stream: Stream) -> u32 {
    match stream {
        Stream::Err => 2,
        Stream::In | Stream::Out => 1,
    }
}

fn output_limit() -> wasmtime::Error {
    quiet(LimitReached { kind: LimitKind::Output, value: 0, asked: 0 })
}

static FD_WRITE: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_write".to_string() });
static FD_READ: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi fd_read".to_string() });
static POLL_ONEOFF: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: "wasi poll_oneoff".to_string() });

/// `fd_write` to standard output or error: all buffers in one piece as long as there is room, so that lines of different threads do not mix.
pub async fn write(
    mut caller: Caller<'_, Guest>,
    stream: Stream,
    (iovs, iovs_len, size): (i32, i32, i32),
) -> Result<i32> {
    let shared = caller.data().shared;
    if stream == Stream::In {
        return Ok(types::Errno::Badf as i32);
    }
    let ranges = match buffers(&view(&mut caller)?, iovs, iovs_len, WRITE_MAX) {
        Ok(ranges) => ranges,
        Err(error) => return Ok(errno_of(&error)),
    };
    // All of it, as programs expect of a stream that blocks; in pieces, as it may be much.
    let mut written = 0;
    let mut rest = &ranges[..];
    let mut from = 0;
    while !rest.is_empty() {
        let mut bytes = Vec::new();
        let memory = view(&mut caller)?;
        while let Some(range) = rest.first()
            && bytes.len() < WRITE_AT_ONCE
        {
            let to = range.len().min(from + (WRITE_AT_ONCE - bytes.len()) as u32);
            let piece = range.get_range(from..to).expect("inside of the range");
            match memory.to_vec(piece) {
                Ok(piece) => bytes.extend(piece),
                Err(error) => return Ok(errno_of(&error)),
            }
            from = to;
            if from == range.len() {
                (rest, from) = (&rest[1..], 0);
            }
        }
        let taken = match shared.hooks().write {
            None => Ok(()),
            Some(write) => {
                let mut bytes = &bytes[..];
                let writing = pin!(poll_fn(|cx| {
                    while !bytes.is_empty() {
                        // SAFETY: arguments as promised in the header.
                        match unsafe { write(shared.process, number(stream), bytes.as_ptr(), bytes.len()) } {
                            0 => {}
                            WRITE_CLOSED => return Poll::Ready(Ok(Err(types::Errno::Pipe))),
                            WRITE_STOP => return Poll::Ready(Err(output_limit())),
                            taken => {
                                bytes = &bytes[taken.clamp(0, bytes.len() as i64) as usize..];
                                continue;
                            }
                        }
                        match room(&shared, stream, true) {
                            Room::None => {
                                wait_for_hook(&shared, cx);
                                return Poll::Pending;
                            }
                            // There is room again already, or an end that the write will tell of.
                            Room::Bytes(_) | Room::Closed | Room::Limit => {}
                        }
                    }
                    Poll::Ready(Ok(Ok(())))
                }));
                watched(&caller, &FD_WRITE, writing).await?
            }
        };
        if let Err(errno) = taken {
            return Ok(errno as i32);
        }
        written += bytes.len() as u32;
    }
    let answered = view(&mut caller)?.write(GuestPtr::<types::Size>::new(size as u32), written);
    Ok(answered.map_or_else(|error| errno_of(&error), |()| types::Errno::Success as i32))
}

/// `fd_read` from standard input.
pub async fn read(
    mut caller: Caller<'_, Guest>,
    stream: Stream,
    (iovs, iovs_len, size): (i32, i32, i32),
) -> Result<i32> {
    let shared = caller.data().shared;
    if stream != Stream::In {
        return Ok(types::Errno::Badf as i32);
    }
    let ranges = match buffers(&view(&mut caller)?, iovs, iovs_len, READ_AT_ONCE as u32) {
        Ok(ranges) => ranges,
        Err(error) => return Ok(errno_of(&error)),
    };
    let wanted: usize = ranges.iter().map(|range| range.len() as usize).sum();
    let bytes = if wanted == 0 {
        bytes::Bytes::new()
    } else {
        let group = caller.data().group.clone().expect("only for processes with threads");
        let reading = pin!(poll_fn(|cx| {
            let mut input = lock(&group.world.input);
            if input.fill(&shared, true) {
                return Poll::Ready(Ok(input.take(wanted)));
            }
            wait_for_hook(&shared, cx);
            Poll::Pending
        }));
        watched(&caller, &FD_READ, reading).await?
    };
    let memory = &mut view(&mut caller)?;
    let copied = (|| {
        let mut rest = &bytes[..];
        for range in ranges {
            let (now, later) = rest.split_at(rest.len().min(range.len() as usize));
            if let Some(range) = range.get_range(0..now.len() as u32) {
                memory.copy_from_slice(now, range)?;
            }
            rest = later;
        }
        memory.write(GuestPtr::<types::Size>::new(size as u32), bytes.len() as u32)
    })();
    Ok(copied.map_or_else(|error| errno_of(&error), |()| types::Errno::Success as i32))
}

/// What one subscription of `poll_oneoff` waits for.
enum Awaited {
    /// Of the monotonic clock.
    Until(u64),
    Input,
    Output(Stream),
}

/// What a guest is told of one subscription.
struct Happened {
    ty: types::Eventtype,
    bytes: u64,
    hang_up: bool,
}

/// Subscriptions to clocks and standard streams.
pub struct Subscriptions {
    awaited: Vec<(Awaited, types::Userdata)>,
    deadline_ns: Option<u64>,
}

/// As many as are looked at without wasmtime-wasi.
const SUBSCRIPTIONS_MAX: i32 = 1024;

impl Subscriptions {
    /// None if there is anything else among them, or anything wrong with them: then wasmtime-wasi knows what to answer, at once, as files are always ready.
    pub fn read(
        world: &World,
        shared: SharedRef,
        memory: &GuestMemory<'_>,
        subscriptions: i32,
        count: i32,
    ) -> Option<Subscriptions> {
        if !(1..=SUBSCRIPTIONS_MAX).contains(&count) || shared.hooks().sleep.is_none() {
            return None;
        }
        let subscriptions = GuestPtr::<[types::Subscription]>::new((subscriptions as u32, count as u32));
        let mut awaited = Vec::with_capacity(count as usize);
        for subscription in subscriptions.iter() {
            let subscription = memory.read(subscription.ok()?).ok()?;
            let stream = |fd: types::Fd| world.stream(u32::from(fd) as i32);
            let one = match subscription.u {
                types::SubscriptionU::Clock(clock) => Awaited::Until(deadline_of(&clock, shared)?),
                types::SubscriptionU::FdRead(fd) => match stream(fd.file_descriptor)? {
                    Stream::In => Awaited::Input,
                    Stream::Out | Stream::Err => return None,
                },
                types::SubscriptionU::FdWrite(fd) => match stream(fd.file_descriptor)? {
                    Stream::In => return None,
                    out => Awaited::Output(out),
                },
            };
            awaited.push((one, subscription.userdata));
        }
        let deadlines = awaited.iter().filter_map(|(one, _)| match one {
            Awaited::Until(deadline_ns) => Some(*deadline_ns),
            Awaited::Input | Awaited::Output(_) => None,
        });
        let deadline_ns = deadlines.min();
        Some(Subscriptions { awaited, deadline_ns })
    }

    /// What has happened by now. With `task`, the task of the poll under way is woken when that changes (clocks aside).
    fn look(&self, world: &World, shared: &SharedRef, task: bool, slept: bool) -> Vec<(types::Userdata, Happened)> {
        let now = HostMonotonicClock::now(&Clock(*shared));
        let now = if slept { now.max(self.deadline_ns.unwrap_or(0)) } else { now };
        let look = |one: &Awaited| match one {
            Awaited::Until(deadline_ns) => {
                (*deadline_ns <= now).then_some(Happened { ty: types::Eventtype::Clock, bytes: 0, hang_up: false })
            }
            Awaited::Input => {
                let mut input = lock(&world.input);
                input.fill(shared, task).then(|| Happened {
                    ty: types::Eventtype::FdRead,
                    bytes: input.ahead() as u64,
                    hang_up: input.ahead() == 0,
                })
            }
            Awaited::Output(stream) => match room(shared, *stream, task) {
                Room::None => None,
                Room::Bytes(bytes) => {
                    Some(Happened { ty: types::Eventtype::FdWrite, bytes: bytes as u64, hang_up: false })
                }
                Room::Closed | Room::Limit => Some(Happened { ty: types::Eventtype::FdWrite, bytes: 0, hang_up: true }),
            },
        };
        self.awaited.iter().filter_map(|(one, userdata)| look(one).map(|happened| (*userdata, happened))).collect()
    }
}

/// `poll_oneoff` on clocks and standard streams.
pub async fn poll(
    mut caller: Caller<'_, Guest>,
    subscriptions: Subscriptions,
    (events, size): (i32, i32),
) -> Result<i32> {
    let shared = caller.data().shared;
    let group = caller.data().group.clone().expect("only for processes with threads");
    let mut sleep = subscriptions.deadline_ns.map(|deadline_ns| Sleep::new(shared, deadline_ns));
    let mut slept = false;
    let waiting = pin!(poll_fn(|cx| {
        if let Some(sleeping) = &mut sleep
            && let Poll::Ready(result) = Pin::new(sleeping).poll(cx)
        {
            result?;
            sleep = None;
            slept = true;
        }
        let happened = subscriptions.look(&group.world, &shared, true, slept);
        if happened.is_empty() {
            wait_for_hook(&shared, cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(happened))
    }));
    let happened = watched(&caller, &POLL_ONEOFF, waiting).await?;
    let memory = &mut view(&mut caller)?;
    let written = (|| {
        let slots = GuestPtr::<[types::Event]>::new((events as u32, happened.len() as u32));
        for (slot, (userdata, happened)) in slots.iter().zip(&happened) {
            let flags = match happened.hang_up {
                true => types::Eventrwflags::FD_READWRITE_HANGUP,
                false => types::Eventrwflags::empty(),
            };
            let event = types::Event {
                userdata: *userdata,
                error: types::Errno::Success,
                type_: happened.ty,
                fd_readwrite: types::EventFdReadwrite { flags, nbytes: happened.bytes },
            };
            memory.write(slot?, event)?;
        }
        memory.write(GuestPtr::<types::Size>::new(size as u32), happened.len() as u32)
    })();
    Ok(written.map_or_else(|error| errno_of(&error), |()| types::Errno::Success as i32))
}
