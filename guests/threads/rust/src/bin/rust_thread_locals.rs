//! `thread_local!`: lazily made per thread, dropped when the thread ends, constant ones, and ones that use others.
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread;

static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

struct Noisy(Cell<usize>);
impl Drop for Noisy {
    fn drop(&mut self) {
        DROPPED.lock().unwrap().push(self.0.get());
    }
}

thread_local! {
    static NOISY: Noisy = {
        MADE.fetch_add(1, SeqCst);
        Noisy(Cell::new(0))
    };
    static PLAIN: Cell<u32> = const { Cell::new(7) };
    static LINES: RefCell<Vec<String>> = RefCell::new(vec![format!("starts with {}", PLAIN.get())]);
}

fn main() {
    PLAIN.set(1);
    let handles: Vec<_> = (1..=6usize)
        .map(|i| {
            thread::spawn(move || {
                assert_eq!(PLAIN.get(), 7);
                PLAIN.set(PLAIN.get() + i as u32);
                LINES.with_borrow_mut(|lines| lines.push(format!("thread {i}")));
                if i % 2 == 0 {
                    NOISY.with(|noisy| noisy.0.set(i));
                }
                LINES.with_borrow(|lines| lines.join(", "))
            })
        })
        .collect();
    for handle in handles {
        println!("{}", handle.join().unwrap());
    }
    let mut dropped = DROPPED.lock().unwrap().clone();
    dropped.sort();
    println!(
        "made {}, dropped {dropped:?}, here {}",
        MADE.load(SeqCst),
        PLAIN.get()
    );
}
