//! A work-stealing sort and a parallel word count, written with std only: what programs do with threads, in small.
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::thread;

fn numbers(count: usize) -> Vec<u64> {
    let mut state = 88172645463325252u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 1_000_000
        })
        .collect()
}

fn merge_sort(values: &mut [u64], threads: usize) {
    if threads <= 1 || values.len() < 1000 {
        values.sort_unstable();
        return;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    thread::scope(|scope| {
        scope.spawn(|| merge_sort(left, threads / 2));
        merge_sort(right, threads - threads / 2);
    });
    let merged: Vec<u64> = {
        let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
        std::iter::from_fn(|| match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a <= b => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        })
        .copied()
        .collect()
    };
    values.copy_from_slice(&merged);
}

fn main() {
    let mut values = numbers(200_000);
    let sum: u64 = values.iter().sum();
    merge_sort(&mut values, 8);
    assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(values.iter().sum::<u64>(), sum);
    println!(
        "sorted {}: from {} to {}, sum {sum}",
        values.len(),
        values[0],
        values[values.len() - 1]
    );

    // A queue of jobs, of which each may add more; idle workers wait.
    let queue = Mutex::new(VecDeque::from([(1u64, 20u32)]));
    let (more, open, visited) = (Condvar::new(), AtomicUsize::new(1), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| loop {
                let mut jobs = queue.lock().unwrap();
                let (number, depth) = loop {
                    if let Some(job) = jobs.pop_front() {
                        break job;
                    }
                    if open.load(SeqCst) == 0 {
                        return;
                    }
                    jobs = more.wait(jobs).unwrap();
                };
                drop(jobs);
                visited.fetch_add(1, SeqCst);
                if depth > 0 && number % 3 != 0 {
                    open.fetch_add(2, SeqCst);
                    let mut jobs = queue.lock().unwrap();
                    jobs.extend([(number * 2, depth - 1), (number * 2 + 1, depth - 1)]);
                    more.notify_all();
                }
                if open.fetch_sub(1, SeqCst) == 1 {
                    let _jobs = queue.lock().unwrap();
                    more.notify_all();
                }
            });
        }
    });
    println!("visited {} nodes of a tree", visited.into_inner());

    let text: String = numbers(30_000)
        .iter()
        .map(|number| format!("word{} ", number % 50))
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let counts = Mutex::new(BTreeMap::<&str, usize>::new());
    thread::scope(|scope| {
        for chunk in words.chunks(words.len() / 6 + 1) {
            let counts = &counts;
            scope.spawn(move || {
                let mut mine = BTreeMap::<&str, usize>::new();
                chunk
                    .iter()
                    .for_each(|word| *mine.entry(word).or_default() += 1);
                let mut counts = counts.lock().unwrap();
                mine.into_iter()
                    .for_each(|(word, count)| *counts.entry(word).or_default() += count);
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    println!(
        "{} words, {} of them word7, {} different",
        words.len(),
        counts["word7"],
        counts.len()
    );
}
