//! Backtraces of guests that are alive: asked for from outside, taken where the guest is.

use crate::support::*;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use weft_engine::abi::Poll;
use weft_engine::backtrace::Backtrace;
use weft_engine::call::weft_call_request_backtrace;
use weft_engine::hooks::Decision;

/// What the callback received, in order; None for "no backtrace".
#[derive(Default)]
struct Answers(Mutex<Vec<Option<Vec<String>>>>);

unsafe extern "C-unwind" fn keep(context: *mut c_void, backtrace: *const Backtrace) {
    let answers = unsafe { &*context.cast::<Answers>() };
    answers.0.lock().unwrap().push((!backtrace.is_null()).then(|| frames(backtrace)));
}

impl Answers {
    fn request(&self, call: &OwnedCall) -> bool {
        let context = (self as *const Answers).cast_mut().cast();
        unsafe { weft_call_request_backtrace(call.0, Some(keep), context) }
    }

    fn take(&self) -> Vec<Option<Vec<String>>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const SLEEP: &str = r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $nap (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 500))
      (drop (call $poll (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 208))))
    (func $main call $nap) (export "_start" (func $main)))"#;

/// Asks again from inside the answer, as somebody who waits for it may.
struct Again<'a> {
    call: &'a OwnedCall,
    answers: Answers,
    asked: std::cell::Cell<bool>,
}

unsafe extern "C-unwind" fn ask_again(context: *mut c_void, backtrace: *const Backtrace) {
    let again = unsafe { &*context.cast::<Again<'_>>() };
    if !again.asked.replace(true) {
        assert!(unsafe { weft_call_request_backtrace(again.call.0, Some(ask_again), context) });
    }
    unsafe { keep((&raw const again.answers).cast_mut().cast(), backtrace) };
}

/// A request that comes while another one is answered is for the next poll, and not for the end of this one, where nobody can look.
#[test]
fn a_request_during_an_answer_gets_one_too() {
    let host = Host::new();
    let (program, process, task) = (host.program(SLEEP), Process::new(), Task::new());
    let call = Setup::new().start(&program, &process).unwrap();
    assert_eq!(call.poll(&task), Poll::Pending);
    let again = Again { call: &call, answers: Answers::default(), asked: false.into() };
    let context = (&raw const again).cast_mut().cast();
    assert!(unsafe { weft_call_request_backtrace(call.0, Some(ask_again), context) });
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(call.poll(&task), Poll::Pending);
    let stack = vec!["test.wasm!nap".to_string(), "test.wasm!main".to_string()];
    assert_eq!(again.answers.take(), [Some(stack.clone()), Some(stack)]);
}

/// A sleeping guest shows its stack at the next poll; a second request at the same time is refused.
#[test]
fn a_parked_guest_shows_where_it_waits() {
    let host = Host::new();
    let (program, process, task) = (host.program(SLEEP), Process::new(), Task::new());
    let (call, answers) = (Setup::new().start(&program, &process).unwrap(), Answers::default());
    assert_eq!(call.poll(&task), Poll::Pending);
    assert!(answers.request(&call));
    assert!(!answers.request(&call), "one at a time");
    assert_eq!(answers.take(), []);
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(answers.take(), [Some(vec!["test.wasm!nap".to_string(), "test.wasm!main".to_string()])]);
    assert!(answers.request(&call), "and again");
    drop(call);
    assert_eq!(answers.take(), [None], "a call that ends first says so");
}

/// A guest that yielded and one that is busy show their stacks at their next epoch check.
#[test]
fn a_running_guest_shows_where_it_is() {
    let host = Host::new();
    let wat = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1)
        (func $busy (loop $l (br $l)))
        (func $main (drop (call $yield)) (call $busy)) (export "_start" (func $main)))"#;
    let (program, process, task) = (host.program(wat), Process::new(), Task::new());
    let (call, answers) = (Setup::new().start(&program, &process).unwrap(), Answers::default());
    assert_eq!(call.poll(&task), Poll::Pending);
    process.decide(&[Decision::Yield, Decision::Yield]);
    let _ticker = Ticker::new(&host);
    assert!(answers.request(&call));
    assert_eq!(call.poll(&task), Poll::Pending);
    let busy = [Some(vec!["test.wasm!busy".to_string(), "test.wasm!main".to_string()])];
    assert_eq!(answers.take(), busy);
    assert!(answers.request(&call));
    assert_eq!(call.poll(&task), Poll::Pending);
    assert_eq!(answers.take(), busy);
}

/// A call that has not started, or has ended, has no stack; asking is harmless.
#[test]
fn no_stack_is_an_answer_too() {
    let host = Host::new();
    let (program, process, task) = (host.program(r#"(module (func (export "_start")))"#), Process::new(), Task::new());
    let (call, answers) = (Setup::new().start(&program, &process).unwrap(), Answers::default());
    assert!(answers.request(&call));
    assert_eq!(call.poll(&task), Poll::Ready);
    assert_eq!(answers.take(), [None]);
    assert!(!answers.request(&call), "an ended call takes no requests");
    assert_eq!(task.wakes.load(Ordering::SeqCst), 0);
}
