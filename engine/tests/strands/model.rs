//! What the scheduler promises, said a second time, in the simplest way: queues are vectors, deadlines are searched, nothing is reused.
//!
//! It follows the same scripts as [`crate::host::Host`] does, and keeps the same log.

use crate::host::{Event, Left, MAIN, Op, Who};
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unborn,
    Ready,
    Parked,
    Joins,
    InHost,
    Sleeps,
    Ended,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Guest,
    Host,
    Main,
}

#[derive(Clone)]
struct Strand {
    state: State,
    kind: Kind,
    level: i32,
    permit: bool,
    detached: bool,
    joiner: Option<usize>,
    result: i64,
    /// What the operation that it is in will answer.
    answer: Option<i64>,
}

const UNBORN: Strand = Strand {
    state: State::Unborn,
    kind: Kind::Guest,
    level: 0,
    permit: false,
    detached: false,
    joiner: None,
    result: 0,
    answer: None,
};

/// An operation has its answer, or the strand gives way; then the operation's answer is with the strand.
enum Then {
    GoesOn(i64),
    GivesWay,
}
use Then::{GivesWay, GoesOn};

pub struct Model {
    pub now: i64,
    pub script: Vec<Vec<Op>>,
    pub step: Vec<usize>,
    pub log: Vec<Event>,
    pub over_each: u64,
    pub strands_max: usize,
    pub preemptive: bool,
    ticks: u64,
    strands: Vec<Strand>,
    ready: [VecDeque<usize>; 3],
    in_host: Vec<usize>,
    /// Deadline, how many there were before, strand.
    timers: Vec<(i64, u64, usize)>,
    timers_seen: u64,
    choices: u64,
    lone_yields: u64,
    held: Option<usize>,
    left: Option<Left>,
}

impl Model {
    pub fn new() -> Model {
        Model {
            now: 0,
            script: vec![Vec::new(); 64],
            step: vec![0; 64],
            log: Vec::new(),
            over_each: 0,
            strands_max: usize::MAX,
            preemptive: false,
            ticks: 0,
            strands: vec![UNBORN; 64],
            ready: Default::default(),
            in_host: Vec::new(),
            timers: Vec::new(),
            timers_seen: 0,
            choices: 0,
            lone_yields: 0,
            held: None,
            left: None,
        }
    }

    /// Numbers are free for others. Everybody has to be gone, or to wait for the end of one who does so as well.
    pub fn forget(&mut self) {
        assert!(self.strands.iter().all(|strand| matches!(strand.state, State::Unborn | State::Gone | State::Joins)));
        self.strands.fill(UNBORN);
    }

    pub fn live(&self) -> usize {
        self.strands.iter().filter(|strand| !matches!(strand.state, State::Unborn | State::Ended | State::Gone)).count()
    }

    /// Those that are there and have not ended.
    pub fn alive(&self) -> Vec<usize> {
        let gone = |state| matches!(state, State::Unborn | State::Ended | State::Gone);
        (0..64).filter(|number| !gone(self.strands[*number].state)).collect()
    }

    pub fn waits_in_host(&self) -> bool {
        !self.in_host.is_empty()
    }

    pub fn parked(&self) -> Vec<usize> {
        (0..64).filter(|number| self.strands[*number].state == State::Parked).collect()
    }

    pub fn ended(&self) -> Vec<usize> {
        (0..64).filter(|number| self.strands[*number].state == State::Ended).collect()
    }

    fn there(&self) -> usize {
        self.live() + self.ended().len()
    }

    fn bear(&mut self, number: usize, kind: Kind, level: i32) {
        self.strands[number] = Strand { kind, detached: kind != Kind::Guest, level, ..UNBORN };
        self.make_ready(number);
    }

    pub fn main(&mut self) {
        self.bear(MAIN, Kind::Main, 1);
    }

    pub fn spawn_host(&mut self, number: usize, level: i32) -> i64 {
        self.spawn(number, level, Kind::Host)
    }

    fn spawn(&mut self, number: usize, level: i32, kind: Kind) -> i64 {
        if !(0..3).contains(&level) {
            return -28;
        }
        if self.there() >= self.strands_max {
            return -6;
        }
        self.bear(number, kind, level);
        0
    }

    fn make_ready(&mut self, number: usize) {
        self.strands[number].state = State::Ready;
        self.ready[self.strands[number].level as usize].push_back(number);
    }

    fn anyone(&self) -> bool {
        self.ready.iter().any(|queue| !queue.is_empty())
    }

    fn cancel(&mut self, number: usize) {
        self.timers.retain(|(_, _, who)| *who != number);
        self.in_host.retain(|who| *who != number);
    }

    fn set_timer(&mut self, number: usize, deadline: i64) {
        self.timers.push((deadline, self.timers_seen, number));
        self.timers_seen += 1;
    }

    fn expire(&mut self, now: i64) {
        while let Some((deadline, _, number)) = self.timers.iter().min().copied() {
            if deadline > now {
                break;
            }
            self.cancel(number);
            if self.strands[number].state == State::Parked {
                self.strands[number].answer = Some(73);
            }
            self.make_ready(number);
        }
    }

    fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.over_each != 0 && self.ticks.is_multiple_of(self.over_each)
    }

    /// Those that wait in the host, in the order in which they came.
    pub fn in_host(&self) -> Vec<usize> {
        self.in_host.clone()
    }

    /// Whether it waited in the host.
    pub fn wake(&mut self, number: usize) -> bool {
        let waits = self.in_host.contains(&number);
        if waits {
            self.cancel(number);
            self.make_ready(number);
        }
        waits
    }

    pub fn run(&mut self, now: i64) -> Left {
        self.now = now;
        self.left = None;
        self.expire(now);
        let mut next = self.held.take();
        loop {
            let Some(number) = next.take().or_else(|| self.choose()) else { return self.left.take().unwrap() };
            self.go_on(number);
            if let Some(left) = self.left.take() {
                return left;
            }
        }
    }

    /// Who is next; or nobody, and then `left` says why.
    fn choose(&mut self) -> Option<usize> {
        loop {
            self.choices += 1;
            if self.choices % 256 == 128 {
                if self.tick() {
                    self.left = Some(Left::Worker);
                    return None;
                }
                self.expire(self.now);
            }
            let levels: Vec<usize> = (0..3).rev().filter(|level| !self.ready[*level].is_empty()).collect();
            if levels.is_empty() {
                self.choices -= 1;
                self.expire(self.now);
                if self.anyone() {
                    continue;
                }
                self.left =
                    Some(Left::Idle(self.timers.iter().min().map(|timer| timer.0).filter(|at| *at != i64::MAX)));
                return None;
            }
            let skip = if self.choices.is_multiple_of(256) {
                2
            } else if self.choices.is_multiple_of(16) {
                1
            } else {
                0
            };
            let level = levels[skip.min(levels.len() - 1)];
            return self.ready[level].pop_front();
        }
    }

    /// One strand, until it gives way or ends.
    fn go_on(&mut self, me: usize) {
        if let Some(answer) = self.strands[me].answer.take() {
            self.log.push(Event::Did(me, answer));
        }
        loop {
            let op = self.script[me].get(self.step[me]).copied().unwrap_or(Op::Finish(me as i32));
            self.step[me] += 1;
            self.log.push(Event::Began(me, op));
            if let Op::Finish(result) = op {
                return self.end(me, result);
            }
            match self.step(me, op) {
                GoesOn(answer) => self.log.push(Event::Did(me, answer)),
                GivesWay => return,
            }
        }
    }

    fn end(&mut self, me: usize, result: i32) {
        match self.strands[me].kind {
            Kind::Guest => {}
            Kind::Host => self.log.push(Event::Finished(me)),
            Kind::Main => self.left = Some(Left::MainEnded),
        }
        self.strands[me].result = result as u32 as i64;
        self.strands[me].state = if self.strands[me].detached { State::Gone } else { State::Ended };
        if let Some(joiner) = self.strands[me].joiner {
            self.strands[me].state = State::Gone;
            self.strands[joiner].answer = Some(self.strands[me].result);
            self.make_ready(joiner);
        }
    }

    fn waits(&mut self, me: usize, state: State, answer: i64) -> Then {
        self.strands[me].state = state;
        self.strands[me].answer = Some(answer);
        GivesWay
    }

    /// To the end of its queue.
    fn gives_way(&mut self, me: usize, answer: i64) -> Then {
        self.strands[me].answer = Some(answer);
        self.make_ready(me);
        GivesWay
    }

    fn is_held(&mut self, me: usize, left: Left, answer: i64) -> Then {
        self.held = Some(me);
        self.left = Some(left);
        self.strands[me].answer = Some(answer);
        GivesWay
    }

    /// A strand that is there, ended or not. Ids that no strand has are only ever named as such.
    fn find(&self, who: Who) -> Option<usize> {
        match who {
            Who::Strand(number) if !matches!(self.strands[number].state, State::Unborn | State::Gone) => Some(number),
            _ => None,
        }
    }

    fn find_live(&self, who: Who) -> Option<usize> {
        self.find(who).filter(|number| self.strands[*number].state != State::Ended)
    }

    fn yields(&mut self, me: usize) -> Then {
        if self.anyone() {
            return self.gives_way(me, 0);
        }
        self.lone_yields += 1;
        if self.lone_yields.is_multiple_of(256) {
            if self.tick() {
                return self.is_held(me, Left::Worker, 0);
            }
            self.expire(self.now);
            if self.anyone() {
                return self.gives_way(me, 0);
            }
        }
        GoesOn(0)
    }

    fn step(&mut self, me: usize, op: Op) -> Then {
        match op {
            Op::Finish(_) | Op::Trap => unreachable!(),
            Op::Pass(ns) => {
                self.now += ns;
                GoesOn(0)
            }
            Op::Again { pending: 0, .. } => GoesOn(0),
            Op::Again { pending: 2, mask: 0, .. } => {
                if !self.anyone() {
                    self.left = Some(Left::Worker);
                }
                self.gives_way(me, 0)
            }
            Op::Again { pending: 2, .. } => self.is_held(me, Left::Worker, 0),
            Op::Again { pending, until, mask: 0 } => {
                self.in_host.push(me);
                if pending == 3 {
                    self.set_timer(me, until);
                }
                self.waits(me, State::InHost, 1)
            }
            Op::Again { pending, until, .. } => {
                let deadline = (pending == 3 && until != i64::MAX).then_some(until);
                self.is_held(me, Left::Idle(deadline), 1)
            }
            Op::Preempt { mask, over } => {
                if self.preemptive && mask == 0 {
                    self.expire(self.now);
                }
                if self.preemptive && mask == 0 && self.anyone() {
                    if over {
                        self.left = Some(Left::Worker);
                    }
                    self.gives_way(me, 0)
                } else if over {
                    self.is_held(me, Left::Worker, 0)
                } else {
                    GoesOn(0)
                }
            }
            Op::Spawn(other, level) | Op::SpawnAt(other, level) => GoesOn(self.spawn(other, level, Kind::Guest)),
            Op::Yield => self.yields(me),
            Op::SelfId => GoesOn(0),
            Op::Park | Op::ParkUntil(_) if self.strands[me].permit => {
                self.strands[me].permit = false;
                GoesOn(0)
            }
            Op::Park => self.waits(me, State::Parked, 0),
            Op::ParkUntil(deadline) if deadline <= self.now => GoesOn(73),
            Op::ParkUntil(deadline) => {
                self.set_timer(me, deadline);
                self.waits(me, State::Parked, 0)
            }
            Op::Unpark(who) => GoesOn(self.unpark(who)),
            Op::Join(who) => {
                if who == Who::Strand(me) {
                    return GoesOn(-16);
                }
                let Some(other) = self.find(who).filter(|number| !self.strands[*number].detached) else {
                    return GoesOn(-71);
                };
                if self.strands[other].joiner.is_some() {
                    return GoesOn(-28);
                }
                if self.strands[other].state == State::Ended {
                    self.strands[other].state = State::Gone;
                    return GoesOn(self.strands[other].result);
                }
                self.strands[other].joiner = Some(me);
                self.waits(me, State::Joins, 0)
            }
            Op::Detach(who) => GoesOn(self.detach(who)),
            Op::Sleep(ns) if ns <= 0 => self.yields(me),
            Op::Sleep(ns) => {
                self.set_timer(me, self.now.saturating_add(ns));
                self.waits(me, State::Sleeps, 0)
            }
            Op::SetPriority(_, level) if !(0..3).contains(&level) => GoesOn(28),
            Op::SetPriority(who, level) => match self.find_live(who) {
                None => GoesOn(71),
                Some(number) => {
                    self.strands[number].level = level;
                    GoesOn(0)
                }
            },
            Op::Now => GoesOn(self.now),
            Op::Count => GoesOn(self.live() as i64),
        }
    }

    pub fn unpark(&mut self, who: Who) -> i64 {
        let Some(number) = self.find_live(who) else { return 71 };
        if self.strands[number].state == State::Parked {
            self.cancel(number);
            self.make_ready(number);
        } else {
            self.strands[number].permit = true;
        }
        0
    }

    pub fn detach(&mut self, who: Who) -> i64 {
        let Some(number) = self.find(who).filter(|number| !self.strands[*number].detached) else { return 71 };
        if self.strands[number].joiner.is_some() {
            return 28;
        }
        if self.strands[number].state == State::Ended {
            self.strands[number].state = State::Gone;
        } else {
            self.strands[number].detached = true;
        }
        0
    }
}
