//! The standard streams of a process whose WASI state is lent (see `world`), and `poll_oneoff` on them: straight from the hooks, so that who waits keeps nobody out.

use super::clocks::{Event, Sleep, deadline_of, report};
use super::lent::Access;
use super::{SUCCESS, refuse};
use crate::guest::quiet;
use crate::hooks::{WRITE_CLOSED, WRITE_STOP};
use crate::limits::LimitReached;
use crate::outcome::LimitKind;
use crate::shared::{Shared, SharedRef};
use crate::stdio::READ_AT_ONCE;
use crate::waker::wait_for_hook;
use crate::wasi::Clock;
use crate::world::{Stream, World};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use wasmtime::Result;
use wasmtime_wasi::HostMonotonicClock;
use wasmtime_wasi::p1::types;
use wiggle::{GuestError, GuestMemory, GuestPtr};

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

/// If there is none, the task of the poll under way is woken when there is.
fn room(shared: &Shared, stream: Stream) -> Room {
    let Some(ready) = shared.hooks().write_ready else {
        return Room::Bytes(WRITE_AT_ONCE);
    };
    // SAFETY: arguments as promised in the header.
    match unsafe { ready(shared.process, number(stream), shared.task.get()) } {
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

/// `fd_write` to standard output or error: all buffers in one piece as long as there is room, so that lines of different threads do not mix.
pub async fn write(access: Access, stream: Stream, (iovs, iovs_len, size): (i32, i32, i32)) -> Result<i32> {
    let Access { shared, mut memory, .. } = access;
    if stream == Stream::In {
        return Ok(types::Errno::Badf as i32);
    }
    let ranges = match buffers(&memory, iovs, iovs_len, WRITE_MAX) {
        Ok(ranges) => ranges,
        Err(error) => return refuse(error),
    };
    // All of it, as programs expect of a stream that blocks; in pieces, as it may be much.
    let mut written = 0;
    let mut rest = &ranges[..];
    let mut from = 0;
    while !rest.is_empty() {
        let mut bytes = Vec::new();
        while let Some(range) = rest.first()
            && bytes.len() < WRITE_AT_ONCE
        {
            let to = range.len().min(from + (WRITE_AT_ONCE - bytes.len()) as u32);
            let piece = range.get_range(from..to).expect("inside of the range");
            match memory.to_vec(piece) {
                Ok(piece) => bytes.extend(piece),
                Err(error) => return refuse(error),
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
                poll_fn(|cx| {
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
                        match room(&shared, stream) {
                            Room::None => {
                                wait_for_hook(&shared, cx);
                                return Poll::Pending;
                            }
                            // There is room again already, or an end that the write will tell of.
                            Room::Bytes(_) | Room::Closed | Room::Limit => {}
                        }
                    }
                    Poll::Ready(Ok(Ok(())))
                })
                .await?
            }
        };
        if let Err(errno) = taken {
            return Ok(errno as i32);
        }
        written += bytes.len() as u32;
    }
    let answered = memory.write(GuestPtr::<types::Size>::new(size as u32), written);
    answered.map_or_else(refuse, |()| Ok(SUCCESS))
}

/// `fd_read` from standard input.
pub async fn read(access: Access, stream: Stream, (iovs, iovs_len, size): (i32, i32, i32)) -> Result<i32> {
    let Access { shared, world, mut memory, .. } = access;
    if stream != Stream::In {
        return Ok(types::Errno::Badf as i32);
    }
    let ranges = match buffers(&memory, iovs, iovs_len, READ_AT_ONCE as u32) {
        Ok(ranges) => ranges,
        Err(error) => return refuse(error),
    };
    let wanted: usize = ranges.iter().map(|range| range.len() as usize).sum();
    let bytes = if wanted == 0 {
        bytes::Bytes::new()
    } else {
        poll_fn(|cx| {
            let mut input = world.input();
            if input.fill(&shared, true) {
                return Poll::Ready(input.take(wanted));
            }
            wait_for_hook(&shared, cx);
            Poll::Pending
        })
        .await
    };
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
    copied.map_or_else(refuse, |()| Ok(SUCCESS))
}

/// What one subscription of `poll_oneoff` waits for.
enum Awaited {
    /// Of the monotonic clock.
    Until(u64),
    Input,
    Output(Stream),
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
    pub fn read(access: &Access, subscriptions: i32, count: i32) -> Option<Subscriptions> {
        let Access { shared, world, memory, .. } = access;
        if !(1..=SUBSCRIPTIONS_MAX).contains(&count) || shared.hooks().sleep.is_none() {
            return None;
        }
        let subscriptions = GuestPtr::<[types::Subscription]>::new((subscriptions as u32, count as u32));
        let mut awaited = Vec::with_capacity(count as usize);
        for subscription in subscriptions.iter() {
            let subscription = memory.read(subscription.ok()?).ok()?;
            let stream = |fd: types::Fd| world.stream(u32::from(fd) as i32);
            let one = match subscription.u {
                types::SubscriptionU::Clock(clock) => Awaited::Until(deadline_of(&clock, *shared)?),
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

    /// What has happened by now. The task of the poll under way is woken when that changes (clocks aside).
    fn look(&self, world: &World, shared: &SharedRef, slept: bool) -> Vec<Event> {
        let now = HostMonotonicClock::now(&Clock(*shared));
        let now = if slept { now.max(self.deadline_ns.unwrap_or(0)) } else { now };
        let look = |(one, userdata): &(Awaited, types::Userdata)| {
            let (ty, bytes, hang_up) = match one {
                Awaited::Until(deadline_ns) if *deadline_ns <= now => return Some(Event::clock(*userdata)),
                Awaited::Until(_) => return None,
                Awaited::Input => {
                    let mut input = world.input();
                    if !input.fill(shared, true) {
                        return None;
                    }
                    (types::Eventtype::FdRead, input.ahead() as u64, input.ahead() == 0)
                }
                Awaited::Output(stream) => match room(shared, *stream) {
                    Room::None => return None,
                    Room::Bytes(bytes) => (types::Eventtype::FdWrite, bytes as u64, false),
                    Room::Closed | Room::Limit => (types::Eventtype::FdWrite, 0, true),
                },
            };
            Some(Event { userdata: *userdata, ty, bytes, hang_up })
        };
        self.awaited.iter().filter_map(look).collect()
    }
}

/// `poll_oneoff` on clocks and standard streams.
pub async fn poll(access: Access, subscriptions: Subscriptions, (events, size): (i32, i32)) -> Result<i32> {
    let Access { shared, world, mut memory, .. } = access;
    let mut sleep = subscriptions.deadline_ns.map(|deadline_ns| Sleep::new(shared, deadline_ns));
    let mut slept = false;
    let happened = poll_fn(|cx| {
        if let Some(sleeping) = &mut sleep
            && Pin::new(sleeping).poll(cx).is_ready()
        {
            sleep = None;
            slept = true;
        }
        let happened = subscriptions.look(&world, &shared, slept);
        if happened.is_empty() {
            wait_for_hook(&shared, cx);
            return Poll::Pending;
        }
        Poll::Ready(happened)
    })
    .await;
    let reported = report(&mut memory, happened.into_iter(), (events, size));
    reported.map_or_else(refuse, |()| Ok(SUCCESS))
}
