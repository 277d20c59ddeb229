//! `std::thread`: spawn with results, scope, names, park with and without a time-out, sleeping, many at once.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let handles: Vec<_> = (0..8u64).map(|i| thread::spawn(move || i * i)).collect();
    let squares: Vec<u64> = handles
        .into_iter()
        .map(|handle| handle.join().unwrap())
        .collect();
    println!("spawn: {squares:?}");

    let mut numbers: Vec<u64> = (1..=1000).collect();
    let sums = AtomicUsize::new(0);
    thread::scope(|scope| {
        for chunk in numbers.chunks_mut(100) {
            let sums = &sums;
            scope.spawn(move || {
                for number in chunk.iter_mut() {
                    *number *= 2;
                }
                sums.fetch_add(chunk.iter().sum::<u64>() as usize, SeqCst);
            });
        }
    });
    println!(
        "scope: {} and {}",
        numbers.iter().sum::<u64>(),
        sums.into_inner()
    );

    let nested: u32 = thread::scope(|outer| {
        let handle = outer.spawn(|| {
            thread::scope(|inner| {
                inner.spawn(|| 20).join().unwrap() + inner.spawn(|| 22).join().unwrap()
            })
        });
        handle.join().unwrap()
    });
    println!("scope in a scope: {nested}");

    let named = thread::Builder::new()
        .name("worker of its own".into())
        .stack_size(256 * 1024)
        .spawn(|| thread::current().name().map(str::to_owned))
        .unwrap();
    println!("name: {:?}", named.join().unwrap());
    assert_ne!(
        thread::spawn(|| thread::current().id()).join().unwrap(),
        thread::current().id()
    );

    let may_go = Arc::new(AtomicBool::new(false));
    let parked = {
        let may_go = may_go.clone();
        thread::spawn(move || {
            while !may_go.load(SeqCst) {
                thread::park();
            }
            "unparked"
        })
    };
    thread::sleep(Duration::from_millis(10));
    may_go.store(true, SeqCst);
    parked.thread().unpark();
    println!("park: {}", parked.join().unwrap());

    let start = Instant::now();
    let until = start + Duration::from_millis(40);
    while Instant::now() < until {
        thread::park_timeout(until - Instant::now());
    }
    assert!(start.elapsed() >= Duration::from_millis(40));
    thread::current().unpark(); // ahead of time: the next park returns at once
    thread::park();
    println!("park_timeout: returned");

    let players: Vec<_> = {
        let turn = Arc::new(AtomicUsize::new(0));
        let main_thread = thread::current();
        (0..2)
            .map(|me| {
                let (turn, main_thread) = (turn.clone(), main_thread.clone());
                thread::spawn(move || {
                    for round in 0..500 {
                        while turn.load(SeqCst) != round * 2 + me {
                            thread::yield_now();
                        }
                        turn.fetch_add(1, SeqCst);
                        main_thread.unpark();
                    }
                    turn.load(SeqCst)
                })
            })
            .collect()
    };
    println!(
        "turns: {}",
        players
            .into_iter()
            .map(|player| player.join().unwrap())
            .max()
            .unwrap()
    );

    let barrier = Arc::new(Barrier::new(100));
    let alive: Vec<_> = (0..100usize)
        .map(|i| {
            let barrier = barrier.clone();
            let function = move || {
                barrier.wait();
                i
            };
            thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn(function)
                .unwrap()
        })
        .collect();
    println!(
        "a hundred at once: {}",
        alive
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum::<usize>()
    );
}
