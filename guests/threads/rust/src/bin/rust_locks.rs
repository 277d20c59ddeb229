//! Mutex, RwLock, Condvar, Barrier, Once, OnceLock, LazyLock and atomics of `std::sync`.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

static LAZY_RUNS: AtomicUsize = AtomicUsize::new(0);
static LAZY: LazyLock<String> = LazyLock::new(|| {
    thread::sleep(Duration::from_millis(10));
    LAZY_RUNS.fetch_add(1, SeqCst);
    "made once".to_owned()
});

fn run(count: usize, function: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for i in 0..count {
            let function = &function;
            scope.spawn(move || function(i));
        }
    });
}

fn main() {
    let counter = Mutex::new(0u64);
    run(6, |_| {
        (0..20000).for_each(|_| *counter.lock().unwrap() += 1)
    });
    println!("mutex: {}", counter.lock().unwrap());
    let held = counter.lock().unwrap();
    run(1, |_| {
        assert!(matches!(counter.try_lock(), Err(TryLockError::WouldBlock)))
    });
    drop(held);

    let map = RwLock::new(BTreeMap::new());
    run(6, |i| {
        for round in 0..500 {
            if i % 2 == 0 {
                map.write().unwrap().insert((i, round), round * round);
            } else {
                let map = map.read().unwrap();
                assert!(map
                    .iter()
                    .rev()
                    .take(5)
                    .all(|((_, round), square)| *square == round * round));
            }
        }
    });
    println!("rwlock: {} entries", map.read().unwrap().len());
    let together = Barrier::new(4);
    run(4, |_| {
        let _reading = map.read().unwrap();
        together.wait(); // returns only if all four read at once
    });
    let reading = map.read().unwrap();
    run(1, |_| {
        assert!(map.try_write().is_err() && map.try_read().is_ok())
    });
    drop(reading);
    println!("rwlock: readers together, writers alone");

    let (turn, changed) = (Mutex::new(0), Condvar::new());
    run(4, |i| {
        for round in 0..200 {
            let mut turn = changed
                .wait_while(turn.lock().unwrap(), |turn| *turn != round * 4 + i)
                .unwrap();
            *turn += 1;
            changed.notify_all();
        }
    });
    println!("condvar: {} turns", turn.lock().unwrap());
    let start = Instant::now();
    let (_guard, result) = changed
        .wait_timeout_while(turn.lock().unwrap(), Duration::from_millis(30), |_| true)
        .unwrap();
    assert!(result.timed_out() && start.elapsed() >= Duration::from_millis(30));
    println!("condvar: times out");
    drop(_guard);

    let (barrier, leaders, arrived) = (Barrier::new(5), AtomicUsize::new(0), AtomicUsize::new(0));
    run(5, |_| {
        for round in 1..=100 {
            arrived.fetch_add(1, SeqCst);
            if barrier.wait().is_leader() {
                leaders.fetch_add(1, SeqCst);
            }
            assert!(arrived.load(SeqCst) >= round * 5);
            barrier.wait();
        }
    });
    println!("barrier: {} leaders", leaders.load(SeqCst));

    let (once, runs) = (Once::new(), AtomicUsize::new(0));
    let cell = OnceLock::new();
    run(8, |i| {
        once.call_once(|| {
            thread::sleep(Duration::from_millis(10));
            runs.fetch_add(1, SeqCst);
        });
        assert_eq!(runs.load(SeqCst), 1);
        let first = *cell.get_or_init(|| i);
        assert_eq!(Some(&first), cell.get());
        assert_eq!(*LAZY, "made once");
    });
    println!(
        "once: {}, lazy: {}",
        runs.load(SeqCst),
        LAZY_RUNS.load(SeqCst)
    );

    let (big, low) = (AtomicU64::new(1 << 40), AtomicU64::new(u64::MAX));
    run(4, |i| {
        for j in 0..1000u64 {
            big.fetch_add(1, SeqCst);
            low.fetch_min(10_000 - j * (i as u64 + 1), SeqCst);
        }
    });
    println!("atomics: {} {}", big.load(SeqCst), low.load(SeqCst));
}
