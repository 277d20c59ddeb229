//! `std::sync::mpsc`: many senders, bounded channels, rendezvous, time-outs, the other side gone; a pipeline of threads.
use std::sync::mpsc::{channel, sync_channel, RecvTimeoutError, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let (sender, receiver) = channel();
    let senders: Vec<_> = (0..6u64)
        .map(|i| {
            let sender = sender.clone();
            thread::spawn(move || {
                for j in 0..1000 {
                    sender.send(i * 1000 + j).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    let (mut count, mut sum) = (0, 0);
    let mut last = [None; 6];
    for value in receiver {
        let from = (value / 1000) as usize;
        assert!(
            last[from] < Some(value),
            "messages of one sender arrive in order"
        );
        last[from] = Some(value);
        count += 1;
        sum += value;
    }
    senders
        .into_iter()
        .for_each(|handle| handle.join().unwrap());
    println!("channel: {count} messages, sum {sum}");

    let (sender, receiver) = sync_channel(2);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
    let producer = thread::spawn(move || {
        for i in 3..=500 {
            sender.send(i).unwrap();
        }
    });
    let all: Vec<i32> = receiver.iter().collect();
    producer.join().unwrap();
    assert!(all.iter().copied().eq(1..=500));
    println!("bounded channel: {} messages, in order", all.len());

    let (sender, receiver) = sync_channel(0);
    let start = Instant::now();
    let handle = thread::spawn(move || {
        sender.send("by hand").unwrap();
        start.elapsed()
    });
    thread::sleep(Duration::from_millis(30));
    println!("rendezvous: {}", receiver.recv().unwrap());
    assert!(handle.join().unwrap() >= Duration::from_millis(30));

    let (sender, receiver) = channel::<()>();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let start = Instant::now();
    assert_eq!(
        receiver.recv_timeout(Duration::from_millis(30)),
        Err(RecvTimeoutError::Timeout)
    );
    assert!(start.elapsed() >= Duration::from_millis(30));
    drop(sender);
    assert_eq!(
        receiver.recv_timeout(Duration::from_millis(30)),
        Err(RecvTimeoutError::Disconnected)
    );
    let (sender, receiver) = channel();
    drop(receiver);
    assert!(sender.send(1).is_err());
    println!("time-outs and hang-ups: as they should be");

    let (first, mut previous) = channel::<u64>();
    let stages: Vec<_> = (0..10)
        .map(|_| {
            let (sender, receiver) = sync_channel(4);
            let input = std::mem::replace(&mut previous, {
                let (bridge, output) = channel();
                thread::spawn(move || {
                    receiver
                        .iter()
                        .for_each(|value| bridge.send(value).unwrap())
                });
                output
            });
            thread::spawn(move || {
                input
                    .iter()
                    .for_each(|value| sender.send(value + 1).unwrap())
            })
        })
        .collect();
    (0..100).for_each(|value| first.send(value).unwrap());
    drop(first);
    println!(
        "pipeline of {} stages: {}",
        stages.len(),
        previous.iter().sum::<u64>()
    );
    stages.into_iter().for_each(|handle| handle.join().unwrap());
}
