//! The scheduler against the model: all small programs, and long random ones.

use crate::host::*;
use crate::model::Model;

/// The scheduler and the model, step by step.
struct Both {
    host: Host,
    model: Model,
    /// How many strands of earlier programs are still there, because they wait for each other's end. They touch nobody.
    stuck: usize,
}

impl Both {
    fn new() -> Both {
        Both { host: Host::new(), model: Model::new(), stuck: 0 }
    }

    fn script(&mut self, number: usize, operations: &[Op]) {
        self.host.script(number, operations);
        self.model.script[number] = operations.to_vec();
        self.model.step[number] = 0;
    }

    fn main(&mut self) {
        self.host.main();
        self.model.main();
    }

    /// One turn; before it, all are woken that wait in the host, or none is.
    fn run(&mut self, now: i64, woken: bool) -> Result<Left, String> {
        let waiting = if woken { self.model.in_host() } else { Vec::new() };
        self.run_woken(now, &waiting)
    }

    /// One turn, after these were woken, whether they wait in the host or not; the difference, if there is one.
    fn run_woken(&mut self, now: i64, woken: &[usize]) -> Result<Left, String> {
        for &number in woken {
            let waited = self.host.wake(self.host.id(number));
            if waited != self.model.wake(number) {
                return Err(format!("wake({number}) answered {waited}"));
            }
        }
        let left = self.host.try_run(now).map_err(|error| format!("{error:?}"))?;
        let expected = self.model.run(now);
        let log = self.host.take_log();
        let expected_log = std::mem::take(&mut self.model.log);
        if let Some(at) = (0..log.len().max(expected_log.len())).find(|at| log.get(*at) != expected_log.get(*at)) {
            let from = at.saturating_sub(12);
            return Err(format!(
                "after {:#?}:\nscheduler {:?}\nmodel     {:?}",
                &log[from..at],
                log.get(at),
                expected_log.get(at)
            ));
        }
        if left != expected {
            return Err(format!("run({now}) after {woken:?} answered {left:?}, expected {expected:?}"));
        }
        // The guest may have moved its clock.
        assert_eq!(self.host.store.data().now, self.model.now);
        Ok(left)
    }

    /// Runs until nobody can go on by time alone.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            let now = self.model.now;
            match self.run(now, false)? {
                Left::MainEnded | Left::Worker => {}
                Left::Idle(Some(deadline)) => self.model.now = deadline.max(now),
                Left::Idle(None) => return Ok(()),
            }
        }
    }

    /// Has everybody end who can: no strand does more of its script, and those that are parked, or in the host, go on. Then the numbers can be given to others.
    fn clean(&mut self) -> Result<(), String> {
        for number in 0..64 {
            self.script(number, &[]);
        }
        // Whoever is held goes on first.
        let now = self.model.now;
        self.run(now, true)?;
        self.settle()?;
        loop {
            let parked = self.model.parked();
            if parked.is_empty() && !self.model.waits_in_host() {
                break;
            }
            for number in parked {
                let id = self.host.id(number);
                assert_eq!(i64::from(self.host.unpark(id)), self.model.unpark(Who::Strand(number)));
            }
            let now = self.model.now;
            self.run(now, true)?;
            self.settle()?;
        }
        for number in self.model.ended() {
            let id = self.host.id(number);
            assert_eq!(i64::from(self.host.detach(id)), self.model.detach(Who::Strand(number)));
        }
        self.stuck += self.model.live();
        if self.host.live() != self.stuck {
            return Err(format!("{} live, expected {}", self.host.live(), self.stuck));
        }
        self.model.forget();
        Ok(())
    }
}

/// All lists of at most `length` of these.
fn lists(operations: &[Op], length: usize) -> Vec<Vec<Op>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..length {
        let longer = last.iter().flat_map(|list| operations.iter().map(move |op| [list.as_slice(), &[*op]].concat()));
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Every program in which strand 1 does one of the first lists, and so on; the main strand makes them and ends.
fn exhaust(programs: &[Vec<Vec<Op>>]) {
    let spawns: Vec<Op> = (1..=programs.len()).map(|number| Op::Spawn(number, NORMAL)).collect();
    let count: usize = programs.iter().map(Vec::len).product();
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let spawns = &spawns;
            scope.spawn(move || {
                let (mut both, mut hosts) = (Both::new(), 1);
                for index in (thread..count).step_by(threads) {
                    both.script(MAIN, spawns);
                    let mut rest = index;
                    let mut chosen = Vec::new();
                    for (at, lists) in programs.iter().enumerate() {
                        chosen.push(&lists[rest % lists.len()]);
                        both.script(at + 1, chosen[at]);
                        rest /= lists.len();
                    }
                    both.main();
                    if let Err(what) = both.settle().and_then(|()| both.clean()) {
                        panic!("{chosen:?}: {what}");
                    }
                    // Each has a stack, which is two mappings.
                    if both.stuck > 100 {
                        both = Both::new();
                        hosts += 1;
                    }
                }
                println!("{} programs, {hosts} hosts", count.div_ceil(threads));
            });
        }
    });
}

#[test]
fn two_strands_in_all_ways() {
    let operations = |other| {
        let other = Who::Strand(other);
        lists(&[Op::Yield, Op::Park, Op::Unpark(other), Op::Join(other), Op::Sleep(1)], 4)
    };
    exhaust(&[operations(2), operations(1)]);
}

#[test]
fn three_strands_in_all_ways() {
    let operations = |next| {
        let next = Who::Strand(next);
        lists(&[Op::Yield, Op::Park, Op::Unpark(next), Op::Join(next)], 3)
    };
    exhaust(&[operations(2), operations(3), operations(1)]);
}

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn random_op(random: &mut Random, strands: u64, unborn: &mut Vec<usize>) -> Op {
    let who = match random.below(20) {
        0 => Who::Id([0, -1, i64::MIN, i64::MAX, 1 << 40, 0x7fff_ffff][random.below(6) as usize]),
        _ => Who::Strand(random.below(strands) as usize),
    };
    let level = if random.one_in(30) { -1 } else { random.below(3) as i32 };
    let mask = random.one_in(6) as i32;
    match random.below(40) {
        0..8 => Op::Yield,
        8..11 => Op::Park,
        11..13 => Op::ParkUntil(random.below(60) as i64 - 2),
        13..19 => Op::Unpark(who),
        19 => Op::Join(who),
        20 => Op::Detach(who),
        21..24 => Op::Sleep(random.below(6) as i64 - 1),
        24..26 => Op::SetPriority(who, level),
        26..29 => Op::Again { pending: random.below(4) as i32, until: random.below(60) as i64, mask },
        29..32 => Op::Preempt { mask, over: random.one_in(4) },
        32 => Op::Pass(random.below(3) as i64),
        33 => Op::Count,
        34 => Op::SelfId,
        35 if random.one_in(8) => Op::Finish(-(random.below(9) as i32)),
        36 => match unborn.pop() {
            Some(number) => Op::SpawnAt(number, level),
            None => Op::Now,
        },
        _ => Op::Yield,
    }
}

fn random_program(seed: u64) -> Result<(), String> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut both = Both::new();
    let first = 4 + random.below(5) as usize;
    let strands = first as u64 + 4;
    let strands_max = if random.one_in(3) { first } else { 1000 };
    both.model.strands_max = strands_max;
    both.model.preemptive = random.one_in(2);
    both.model.over_each = random.below(4);
    both.host.set("strands_max", strands_max as i32).set("preemptive", both.model.preemptive as i32);
    both.host.store.data_mut().over_each = both.model.over_each;
    // One of the first is the host's; the last are spawned by the others.
    let mut unborn: Vec<usize> = (first..strands as usize).collect();
    for number in 0..strands as usize {
        let mut script: Vec<Op> = Vec::new();
        if number == MAIN {
            script.extend((2..first).map(|number| Op::Spawn(number, random.below(3) as i32)));
        }
        script.extend((0..200).map(|_| random_op(&mut random, strands, &mut unborn)));
        both.script(number, &script);
    }
    both.main();
    let id = both.host.spawn_host(1, NORMAL);
    assert_eq!(id.min(0), both.model.spawn_host(1, NORMAL));
    for _ in 0..20_000 {
        let now = both.model.now;
        // All, or some of those that are there, be it that they wait or not, some even twice.
        let woken = match random.below(6) {
            0 => both.model.in_host(),
            1 => {
                let alive = both.model.alive();
                let most = if alive.is_empty() { 1 } else { 4 };
                (0..random.below(most)).map(|_| alive[random.below(alive.len() as u64) as usize]).collect()
            }
            _ => Vec::new(),
        };
        match both.run_woken(now, &woken)? {
            Left::MainEnded | Left::Worker => {}
            Left::Idle(Some(deadline)) if !random.one_in(3) => both.model.now = now.max(deadline),
            Left::Idle(_) => {
                // Nobody would ever wake some of them: the host does, as another process might.
                let parked = both.model.parked();
                if !parked.is_empty() {
                    let number = parked[random.below(parked.len() as u64) as usize];
                    let id = both.host.id(number);
                    assert_eq!(i64::from(both.host.unpark(id)), both.model.unpark(Who::Strand(number)));
                } else if !both.model.waits_in_host() && both.run(now, true)? == Left::Idle(None) {
                    break;
                } else {
                    both.model.now += random.below(3) as i64;
                }
            }
        }
    }
    both.clean()?;
    Ok(())
}

#[test]
fn random_programs() {
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..2000).step_by(threads as usize) {
                    if let Err(what) = random_program(seed) {
                        panic!("seed {seed}: {what}");
                    }
                }
            });
        }
    });
}
