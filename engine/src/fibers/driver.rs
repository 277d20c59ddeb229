//! Drives a call whose guest runs on a continuation. Each poll is one plain call of the guest's `weft:run`, which answers when its fiber has ended, waits, or gives the worker up.
//! Nothing of the host is on the fiber's stack then, so that dropping the store is all that there is to ending a guest wherever it is.

use super::calls::{FiberState, restore_fuel};
use super::rewrite::YIELD_ASKED;
use super::strands::Strands;
use crate::call::{Prepared, Ready};
use crate::guest::{Guest, count_fuel};
use crate::host_function::from_wasmtime;
use crate::outcome::Finished;
use crate::preview1::announce_yield;
use crate::shared::ProgramRef;
use crate::start::{Start, instantiate_now, show_all};
use std::collections::VecDeque;
use std::task::Poll;
use wasmtime::{AsContextMut, Instance, Result, Store, TypedFunc, Val, bail};

pub struct Fiber(State);

enum State {
    Prepared(Box<Prepared>),
    Running(Box<Running>),
    Over,
}

struct Running {
    program: ProgramRef,
    store: Store<Guest>,
    guest: Runner,
    /// The entries that are still to be called; the last one is the one that was asked for.
    entries: VecDeque<u32>,
    /// What that one takes, and zeros of the types that it answers.
    values: Option<(Vec<Val>, Vec<Val>)>,
    /// The strand that calls entries.
    main: i64,
    /// An entry is being called.
    entered: bool,
    /// It goes on when its entries have returned: see `CallConfig`.
    resident: bool,
    fuel: u64,
}

/// What runs the guest's fibers.
enum Runner {
    Alone(Alone),
    Strands(Box<Strands>),
}

/// The guest's own `weft:run`.
struct Alone {
    run: TypedFunc<(i32, i32), i32>,
    /// What it is to be told next: the number of an entry to begin, or `GO_ON`.
    next: i32,
    /// `sched_yield` is not always the usual one, which the guest's added code makes do without the host.
    call_yield: bool,
}

const GO_ON: i32 = -1;

/// The number of the one strand that there is.
const ALONE: i64 = 0;

/// What `run` answers; anything else: the worker is free.
const ENDED: i32 = 0;

impl Fiber {
    /// Nothing is made before the first poll.
    pub fn new(prepared: Box<Prepared>) -> Fiber {
        Fiber(State::Prepared(prepared))
    }

    /// Runs the guest until it ends, waits or gives the worker up.
    pub fn poll(&mut self) -> Poll<Box<Finished>> {
        if let State::Prepared(_) = self.0
            && let State::Prepared(prepared) = std::mem::replace(&mut self.0, State::Over)
        {
            match Running::new(*prepared) {
                Ok(running) => self.0 = State::Running(Box::new(running)),
                Err(finished) => return Poll::Ready(finished),
            }
        }
        let State::Running(running) = &mut self.0 else {
            unreachable!("not polled after its end");
        };
        let polled = running.step();
        if polled.is_ready() {
            self.0 = State::Over;
        }
        polled
    }
}

impl Alone {
    fn new(instance: &Instance, store: &mut Store<Guest>) -> Result<Alone> {
        let run = instance.get_typed_func(&mut *store, "weft:run")?;
        let Some(pending) = instance.get_global(&mut *store, "weft:pending") else {
            bail!("weft:pending is not there");
        };
        let guest = store.data_mut();
        guest.fiber = Some(Box::new(FiberState::new(pending, None, None)));
        let call_yield = guest.program.defines_yield() || guest.fuel.is_some();
        Ok(Alone { run, next: GO_ON, call_yield })
    }

    fn run(&mut self, store: &mut Store<Guest>) -> Result<i32> {
        // Whoever wants to see the guest's stack has to find it on one.
        let call_yield = self.call_yield || store.data().shared.backtrace_wanted();
        let next = std::mem::replace(&mut self.next, GO_ON);
        let answer = self.run.call(&mut *store, (next, i32::from(call_yield)))?;
        if answer == YIELD_ASKED {
            announce_yield(store.data_mut());
        }
        Ok(answer)
    }
}

impl Runner {
    /// Has the entry `k` called by the next `run`. The strand that will.
    fn begin(&mut self, store: &mut Store<Guest>, k: u32) -> Result<i64> {
        match self {
            Runner::Alone(alone) => {
                alone.next = k as i32;
                Ok(ALONE)
            }
            Runner::Strands(strands) => strands.begin(store, k),
        }
    }

    fn run(&mut self, store: &mut Store<Guest>) -> Result<i32> {
        let answer = match self {
            Runner::Alone(alone) => alone.run(store),
            Runner::Strands(strands) => strands.run(store),
        }?;
        restore_fuel(&mut store.as_context_mut())?;
        Ok(answer)
    }
}

impl Running {
    fn new(prepared: Prepared) -> std::result::Result<Running, Box<Finished>> {
        let (resident, ignore_deadlock) = (prepared.resident, prepared.ignore_deadlock);
        let Ready { program, mut store, start, fuel } = prepared.make_ready()?;
        let (entries, values) = match start {
            Start::Fiber { entries, args, results } => (entries.into(), (args, results)),
            Start::Thread { fiber, id, argument, .. } => {
                (fiber.into(), (vec![Val::I32(id), Val::I32(argument)], Vec::new()))
            }
            _ => unreachable!("made for a module on continuations"),
        };
        let guest = instantiate_now(&program, &mut store).and_then(|(instance, strands)| match strands {
            Some(mut strands) => {
                strands.alone = !resident && !ignore_deadlock;
                Ok(Runner::Strands(Box::new(strands)))
            }
            None => Ok(Runner::Alone(Alone::new(&instance, &mut store)?)),
        });
        let guest = match guest {
            Ok(guest) => guest,
            Err(error) => {
                let finished = Finished::from_error(&program, fuel, false, &error);
                return Err(Box::new(store.data().limiter.judge(finished, &error)));
            }
        };
        let mut running = Running {
            program,
            store,
            guest,
            entries,
            values: Some(values),
            main: ALONE,
            entered: false,
            resident,
            fuel,
        };
        match running.begin() {
            Ok(entered) => {
                running.entered = entered;
                Ok(running)
            }
            Err(error) => Err(Box::new(running.failed(&error))),
        }
    }

    /// Begins the next entry. False: there is none.
    fn begin(&mut self) -> Result<bool> {
        let Some(entry) = self.entries.pop_front() else {
            return Ok(false);
        };
        self.main = self.guest.begin(&mut self.store, entry)?;
        if self.entries.is_empty()
            && let Some((arguments, results)) = self.values.take()
            && let Some(state) = &mut self.store.data_mut().fiber
        {
            state.arguments.put(self.main, arguments);
            state.results.put(self.main, results);
        }
        Ok(true)
    }

    fn step(&mut self) -> Poll<Box<Finished>> {
        match self.run() {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Box::new(self.returned())),
            Err(error) => Poll::Ready(Box::new(self.failed(&error))),
        }
    }

    fn run(&mut self) -> Result<Poll<()>> {
        loop {
            if self.guest.run(&mut self.store)? == ENDED {
                self.entered = self.begin()?;
                if !self.entered && !self.resident {
                    return Ok(Poll::Ready(()));
                }
            } else if self.entered || !self.is_over()? {
                return Ok(Poll::Pending);
            } else {
                return Ok(Poll::Ready(()));
            }
        }
    }

    /// Whether a resident process has nothing left to do.
    fn is_over(&mut self) -> Result<bool> {
        let requests = &self.store.data().shared.strands;
        if !requests.finishing() || requests.any() {
            return Ok(false);
        }
        match &self.guest {
            Runner::Alone(..) => Ok(true),
            Runner::Strands(strands) => Ok(strands.live(&mut self.store)? == 0),
        }
    }

    fn returned(&mut self) -> Finished {
        count_fuel(&mut self.store.as_context_mut());
        let state = self.store.data_mut().fiber.as_mut();
        let values = state.and_then(|state| state.results.take(self.main)).unwrap_or_default();
        Finished::returned(values.iter().filter_map(from_wasmtime).collect(), show_all(&values))
    }

    fn failed(&mut self, error: &wasmtime::Error) -> Finished {
        count_fuel(&mut self.store.as_context_mut());
        let finished = Finished::from_error(&self.program, self.fuel, true, error);
        let finished = self.store.data().limiter.judge(finished, error);
        match self.strand() {
            Some(strand) => finished.in_strand(&strand),
            None => finished,
        }
    }

    /// The strand that ran last, for people: "strand 12 (made in parent at app.c:34)". None: the main one, or there are none.
    fn strand(&mut self) -> Option<String> {
        let program = self.program;
        let (Runner::Strands(strands), Some(side)) = (&self.guest, program.module().origin().fibers()) else {
            return None;
        };
        let (number, site) = strands.origin(&mut self.store, side).filter(|(number, _)| *number != self.main as u32)?;
        Some(match site {
            Some(site) => format!("strand {number} (made {})", program.module().describe(site)),
            None => format!("strand {number}"),
        })
    }
}
