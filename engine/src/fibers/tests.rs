//! Shows that each kind of host function goes on where it was when a fiber calls again, that strands do not get into each other's way, and that what is pending is released exactly once.
//! No stacks are switched: the test calls the guest's functions again, as the code that is added to a real guest does.

use super::calls::FiberState;
use crate::abi::{Str, Val, ValKind, ValPayload};
use crate::call::{CallConfig, Counters};
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::guest::{Guest, Stopped};
use crate::hooks::{Decision, Hooks, READ_PENDING};
use crate::host_function::{Caller, HostPoll};
use crate::limits::{CountersRef, Limiter};
use crate::linker::{self, Linker};
use crate::provide;
use crate::shared::{Shared, SharedRef};
use crate::wasi::{self, Stdin, WasiConfig};
use crate::world::World;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use wasmtime::{Extern, Global, Instance, Module, Store, WasmParams, WasmResults};

/// Each function makes one call. An event is at 304 and their number at 208, what was read at 512 and its size at 416.
const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_unstable" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "weft_fiber" "tick" (func $tick (result i32)))
    (import "weft_fiber" "argument_v128" (func $argument (param i32) (result v128)))
    (import "weft_fiber" "result_f64" (func $result (param i32 f64)))
    (import "env" "wait" (func $wait (param i64) (result i64)))
    (memory (export "memory") 1)
    (global (export "pending") (mut i32) (i32.const 0))
    (global (export "until") (mut i64) (i64.const 0))
    (global (export "current") (mut i64) (i64.const 0))
    (data (i32.const 0) "\0b")
    (data (i32.const 16) "\01")
    (data (i32.const 24) "\f4\01")
    (data (i32.const 400) "\00\02\00\00\10\00\00\00")
    (data (i32.const 600) "file")
    (func (export "sleep") (result i32) (call $poll_oneoff (i32.const 0) (i32.const 304) (i32.const 1) (i32.const 208)))
    (func (export "read") (param i32) (result i32) (call $fd_read (local.get 0) (i32.const 400) (i32.const 1) (i32.const 416)))
    (func (export "yield") (result i32) (call $sched_yield))
    (func (export "open") (result i32)
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 600) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 2)
        (i32.const 0) (i32.const 620)))
    (func (export "opened") (result i32) (i32.load (i32.const 620)))
    (func (export "write") (result i32) (call $fd_write (i32.const 1) (i32.const 400) (i32.const 1) (i32.const 416)))
    (func (export "tick") (result i32) (call $tick))
    (func (export "values") (param i32)
      (call $result (local.get 0) (f64x2.extract_lane 1 (call $argument (local.get 0)))))
    (func (export "wait") (param i64) (result i64) (call $wait (local.get 0))))"#;

/// The process, its only task, and the other side of the host function.
#[derive(Default)]
struct Host {
    now_ns: AtomicU64,
    sleeps: AtomicUsize,
    sleeps_dropped: AtomicUsize,
    yields: AtomicUsize,
    woken: AtomicBool,
    references: AtomicUsize,
    decisions: Mutex<VecDeque<Decision>>,
    /// Pieces of input; None = nothing yet. The end when used up.
    input: Mutex<VecDeque<Option<&'static [u8]>>>,
    output: Mutex<Vec<u8>>,
    polls: AtomicUsize,
    ops_dropped: AtomicUsize,
}

impl Host {
    fn pointer(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    unsafe fn at<'a>(pointer: *mut c_void) -> &'a Host {
        unsafe { &*pointer.cast() }
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

unsafe extern "C-unwind" fn wake(task: *mut c_void) {
    unsafe { Host::at(task) }.woken.store(true, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn retain(task: *mut c_void) {
    unsafe { Host::at(task) }.references.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn release(task: *mut c_void) {
    unsafe { Host::at(task) }.references.fetch_sub(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn epoch(process: *mut c_void) -> Decision {
    unsafe { Host::at(process) }.decisions.lock().unwrap().pop_front().unwrap_or(Decision::Continue)
}

unsafe extern "C-unwind" fn yield_now(process: *mut c_void) {
    unsafe { Host::at(process) }.yields.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn write(process: *mut c_void, _: u32, data: *const u8, size: usize) -> i64 {
    let bytes = unsafe { std::slice::from_raw_parts(data, size) };
    unsafe { Host::at(process) }.output.lock().unwrap().extend_from_slice(bytes);
    size as i64
}

unsafe extern "C-unwind" fn read(process: *mut c_void, buffer: *mut u8, _: usize, _: *mut c_void) -> i64 {
    match unsafe { Host::at(process) }.input.lock().unwrap().pop_front() {
        None => 0,
        Some(None) => READ_PENDING,
        Some(Some(piece)) => {
            unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), buffer, piece.len()) };
            piece.len() as i64
        }
    }
}

unsafe extern "C-unwind" fn sleep(
    process: *mut c_void,
    deadline_ns: u64,
    task: *mut c_void,
    op: *mut *mut c_void,
) -> crate::abi::Poll {
    let host = unsafe { Host::at(process) };
    assert_eq!(task, process);
    host.sleeps.fetch_add(1, Ordering::SeqCst);
    let over = host.now_ns.load(Ordering::SeqCst) >= deadline_ns;
    unsafe { *op = if over { null_mut() } else { process } };
    if over { crate::abi::Poll::Ready } else { crate::abi::Poll::Pending }
}

unsafe extern "C-unwind" fn sleep_drop(process: *mut c_void, _: *mut c_void) {
    unsafe { Host::at(process) }.sleeps_dropped.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn now(process: *mut c_void) -> u64 {
    unsafe { Host::at(process) }.now_ns.load(Ordering::SeqCst)
}

/// Doubles its argument, the third time that it is asked about the same `op`.
unsafe extern "C-unwind" fn wait(
    env: *mut c_void,
    process: *mut c_void,
    _: *mut Caller,
    op: *mut *mut c_void,
    args: *const Val,
    _: usize,
    results: *mut Val,
    _: usize,
    _: *mut c_void,
    _: *mut *mut Error,
) -> HostPoll {
    assert!(env.is_null());
    unsafe { Host::at(process) }.polls.fetch_add(1, Ordering::SeqCst);
    unsafe {
        if (*op).is_null() {
            *op = Box::into_raw(Box::new(0)).cast();
        }
        let polls = (*op).cast::<i32>();
        *polls += 1;
        // Written also while it is pending: nobody may see that.
        (*results).of = ValPayload { i64: (*args).of.i64 * 2 };
        if *polls < 3 { HostPoll::Pending } else { HostPoll::Ready }
    }
}

unsafe extern "C-unwind" fn wait_drop(_: *mut c_void, process: *mut c_void, op: *mut c_void) {
    unsafe { Host::at(process) }.ops_dropped.fetch_add(1, Ordering::SeqCst);
    drop(unsafe { Box::from_raw(op.cast::<i32>()) });
}

fn text(text: &'static str) -> Str {
    Str { data: text.as_ptr().cast(), size: text.len() }
}

/// A store with the guest above. Fields drop in this order.
struct Fiber {
    store: Store<Guest>,
    instance: Instance,
    _shared: Box<Shared>,
    host: Box<Host>,
    counters: *mut Counters,
    linker: *mut Linker,
    _entered: *mut engine::EnterGuard,
    engine: *mut Engine,
    _hooks: Box<Hooks>,
}

impl Drop for Fiber {
    fn drop(&mut self) {
        self.end();
        unsafe {
            drop(Box::from_raw(self.counters));
            linker::weft_linker_free(self.linker);
            engine::weft_enter_guard_free(self._entered);
            engine::weft_engine_free(self.engine);
        }
    }
}

impl Fiber {
    fn new() -> Fiber {
        Fiber::with(false, None)
    }

    fn with(strands: bool, directory: Option<&Path>) -> Fiber {
        let hooks = Box::new(Hooks {
            task_wake: Some(wake),
            task_retain: Some(retain),
            task_release: Some(release),
            epoch: Some(epoch),
            yield_now: Some(yield_now),
            write: Some(write),
            read: Some(read),
            sleep: Some(sleep),
            sleep_drop: Some(sleep_drop),
            monotonic_now: Some(now),
            ..Hooks::NONE
        });
        let (mut engine, mut linker) = (null_mut(), null_mut());
        let entered = unsafe {
            let mut config = std::mem::MaybeUninit::uninit();
            engine::weft_engine_config_default(config.as_mut_ptr());
            let mut config = config.assume_init();
            (config.hooks, config.slots_max) = (*hooks, 1);
            assert!(engine::weft_engine_new(&config, &mut engine).is_null());
            assert!(linker::weft_linker_new(engine, &mut linker).is_null());
            let (types, nothing) = ([ValKind::I64], null_mut());
            let defined = linker::weft_linker_define_async(
                linker,
                text("env"),
                text("wait"),
                types.as_ptr(),
                1,
                types.as_ptr(),
                1,
                Some(wait),
                Some(wait_drop),
                nothing,
                None,
            );
            assert!(defined.is_null());
            engine::weft_engine_enter(engine)
        };
        let host = Box::new(Host { now_ns: 1_000.into(), ..Host::default() });
        let shared = Box::new(unsafe { Shared::new(&hooks, host.pointer(), false) });
        shared.task.set(host.pointer());
        let mut config = null_mut::<WasiConfig>();
        let config = unsafe {
            assert!(wasi::weft_wasi_config_new(&mut config).is_null());
            wasi::weft_wasi_config_stdin(config, Stdin::Hook);
            if let Some(directory) = directory {
                let path = directory.to_str().unwrap();
                let path = Str { data: path.as_ptr().cast(), size: path.len() };
                assert!(wasi::weft_wasi_config_dir(config, path, text("/"), true).is_null());
            }
            Arc::from_raw(config.cast_const())
        };
        let world = World::new(Some(config), SharedRef::new(&*shared)).map_err(|error| error.message).unwrap();
        let counters = Counters { memory_bytes: 0, memory_bytes_max: 0, host_calls: 0, fuel_consumed: 0 };
        let counters = Box::into_raw(Box::new(counters));
        let limiter = Limiter::new(CallConfig::DEFAULT.limits, CountersRef(counters));
        let guest =
            Guest { limiter, shared: SharedRef::new(&*shared), world: Some(Arc::new(world)), ..Guest::for_linking() };
        // A store of an engine that never heard of futures.
        let wasmtime = wasmtime::Engine::default();
        let functions = unsafe { &*linker }.fibers(&wasmtime).map_err(|error| error.message).unwrap();
        let mut store = Store::new(&wasmtime, guest);
        let module = Module::new(&wasmtime, wat::parse_str(GUEST).unwrap()).unwrap();
        let instance = functions.instantiate(&mut store, &module).unwrap();
        let mut fiber = Fiber {
            store,
            instance,
            _shared: shared,
            host,
            counters,
            linker,
            _entered: entered,
            engine,
            _hooks: hooks,
        };
        let pending = fiber.global("pending");
        let (until, current) = match strands {
            true => (Some(fiber.global("until")), Some(fiber.global("current"))),
            false => (None, None),
        };
        fiber.store.data_mut().fiber = Some(Box::new(FiberState::new(pending, until, current)));
        fiber
    }

    fn global(&mut self, name: &str) -> Global {
        self.instance.get_global(&mut self.store, name).unwrap()
    }

    fn set_strand(&mut self, strand: i64) {
        self.global("current").set(&mut self.store, wasmtime::Val::I64(strand)).unwrap();
    }

    fn try_call<P: WasmParams, R: WasmResults>(&mut self, name: &str, args: P) -> wasmtime::Result<(R, i32)> {
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, name).unwrap();
        let answer = function.call(&mut self.store, args)?;
        let pending = self.global("pending");
        let told = pending.get(&mut self.store).unwrap_i32();
        pending.set(&mut self.store, wasmtime::Val::I32(0)).unwrap();
        Ok((answer, told))
    }

    /// What the function answered, and what it told the added code.
    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, args: P) -> (R, i32) {
        self.try_call(name, args).unwrap()
    }

    /// Calls again whenever the task is woken.
    fn finish<P: WasmParams + Copy>(&mut self, name: &str, args: P) -> i32 {
        loop {
            match self.call(name, args) {
                (answer, 0) => return answer,
                (_, told) => assert_eq!(told, 1),
            }
            while !self.host.woken.swap(false, Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }

    fn memory(&mut self, at: usize, size: usize) -> Vec<u8> {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.data(&self.store)[at..at + size].to_vec()
    }

    fn host_calls(&self) -> u64 {
        unsafe { (*self.counters).host_calls }
    }

    fn waiting_for(&self) -> &str {
        self.store.data().shared.waiting_for().map_or("", |name| unsafe { &(*name).text })
    }

    /// Drops the store's data while the host can still be looked at.
    fn end(&mut self) {
        let shared = self.store.data().shared;
        *self.store.data_mut() = Guest { shared, ..Guest::for_linking() };
    }
}

/// A sleep asks the hook with its deadline, again after each wake-up, and reports the event; it is one host call.
#[test]
fn a_fiber_sleeps() {
    let mut fiber = Fiber::new();
    assert_eq!(fiber.call::<_, i32>("sleep", ()), (0, 1));
    assert_eq!((fiber.waiting_for(), Host::count(&fiber.host.sleeps)), ("wasi poll_oneoff", 1));
    assert_eq!(fiber.call::<_, i32>("sleep", ()), (0, 1));
    fiber.host.now_ns.store(1_500, Ordering::SeqCst);
    assert_eq!(fiber.call::<_, i32>("sleep", ()), (0, 0));
    assert_eq!((fiber.memory(208, 1), fiber.memory(304, 1)), (vec![1], vec![11]));
    assert_eq!((fiber.waiting_for(), Host::count(&fiber.host.sleeps)), ("", 3));
    assert_eq!(fiber.host_calls(), 1);
    fiber.end();
    assert_eq!(Host::count(&fiber.host.sleeps_dropped), 0);
}

/// Where there are strands, their scheduler is told the deadline, and the hook hears nothing; a call that comes too early is told again.
#[test]
fn a_strand_sleeps_without_the_hook() {
    let mut fiber = Fiber::with(true, None);
    for _ in 0..2 {
        assert_eq!(fiber.call::<_, i32>("sleep", ()), (0, 3));
        assert_eq!(fiber.global("until").get(&mut fiber.store).unwrap_i64(), 1_500);
    }
    fiber.host.now_ns.store(1_500, Ordering::SeqCst);
    assert_eq!(fiber.call::<_, i32>("sleep", ()), (0, 0));
    assert_eq!((fiber.memory(208, 1), Host::count(&fiber.host.sleeps)), (vec![1], 0));
}

/// Standard input that is not there yet.
#[test]
fn a_fiber_reads_what_comes_later() {
    let mut fiber = Fiber::new();
    fiber.host.input.lock().unwrap().extend([None, Some(&b"late"[..])]);
    assert_eq!(fiber.call::<_, i32>("read", 0), (0, 1));
    assert_eq!(fiber.waiting_for(), "wasi fd_read");
    assert_eq!(fiber.call::<_, i32>("read", 0), (0, 0));
    assert_eq!((fiber.memory(416, 1), fiber.memory(512, 4)), (vec![4], b"late".to_vec()));
    assert_eq!(fiber.waiting_for(), "");
}

/// A host function of the embedder is asked with the same `op` until it is ready, and the `op` released once. What it writes before is not seen.
#[test]
fn a_host_function_waits() {
    let mut fiber = Fiber::new();
    for _ in 0..2 {
        assert_eq!(fiber.call::<_, i64>("wait", 21_i64), (0, 1));
        assert_eq!((fiber.waiting_for(), Host::count(&fiber.host.ops_dropped)), ("env.wait", 0));
    }
    assert_eq!(fiber.call::<_, i64>("wait", 21_i64), (42, 0));
    assert_eq!((Host::count(&fiber.host.polls), Host::count(&fiber.host.ops_dropped)), (3, 1));
    assert_eq!(fiber.host_calls(), 1);
    fiber.end();
    assert_eq!(Host::count(&fiber.host.ops_dropped), 1);
}

/// Whoever drops the store releases what is pending.
#[test]
fn what_is_pending_goes_with_the_store() {
    let mut fiber = Fiber::with(true, None);
    fiber.host.input.lock().unwrap().push_back(None);
    fiber.call::<_, i64>("wait", 1_i64);
    fiber.set_strand(1);
    fiber.call::<_, i64>("wait", 1_i64);
    fiber.set_strand(2);
    fiber.call::<_, i32>("read", 0);
    assert_eq!(Host::count(&fiber.host.ops_dropped), 0);
    fiber.end();
    assert_eq!(Host::count(&fiber.host.ops_dropped), 2);

    let mut fiber = Fiber::new();
    fiber.call::<_, i32>("sleep", ());
    fiber.end();
    assert_eq!(Host::count(&fiber.host.sleeps_dropped), 1);
}

/// Files, through threads of Tokio that wake the task; the WASI state is free again afterwards.
#[test]
fn a_fiber_reads_a_file() {
    let directory = std::env::temp_dir().join(format!("weft-fibers-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("file"), "contents").unwrap();
    let mut fiber = Fiber::with(false, Some(&directory));
    assert_eq!(fiber.finish("open", ()), 0);
    let (opened, _) = fiber.call::<_, i32>("opened", ());
    assert_eq!(fiber.finish("read", opened), 0);
    assert_eq!((fiber.memory(416, 1), fiber.memory(512, 8)), (vec![8], b"contents".to_vec()));
    while Host::count(&fiber.host.references) > 0 {
        std::thread::yield_now();
    }
    drop(fiber);
    std::fs::remove_dir_all(directory).unwrap();
}

/// A yield is not made again.
#[test]
fn a_yield_gives_up_the_worker_once() {
    let mut fiber = Fiber::new();
    assert_eq!(fiber.call::<_, i32>("yield", ()), (0, 2));
    assert_eq!((fiber.waiting_for(), Host::count(&fiber.host.yields)), ("", 1));
}

/// Each strand goes on with its own call, in whatever order; one that calls something else meanwhile is stopped.
#[test]
fn strands_wait_side_by_side() {
    let mut fiber = Fiber::with(true, None);
    fiber.host.input.lock().unwrap().extend([None, Some(&b"in"[..])]);
    for _ in 0..2 {
        for strand in [7, 8, 9] {
            fiber.set_strand(strand);
            assert_eq!(fiber.call::<_, i64>("wait", strand), (0, 1));
        }
    }
    fiber.set_strand(1);
    assert_eq!(fiber.call::<_, i32>("read", 0), (0, 1));
    for strand in [8, 7, 9] {
        fiber.set_strand(strand);
        assert_eq!(fiber.call::<_, i64>("wait", strand), (2 * strand, 0));
    }
    fiber.set_strand(1);
    let error = fiber.try_call::<_, i64>("wait", 1_i64).unwrap_err();
    assert!(format!("{error:?}").contains("env.wait is called while another call"), "{error:?}");
    assert_eq!((Host::count(&fiber.host.polls), Host::count(&fiber.host.ops_dropped)), (9, 3));
}

/// The entry's values come from the host, by strand; what is not there is an error.
#[test]
fn values_of_the_entry() {
    let mut fiber = Fiber::with(true, None);
    fiber.set_strand(5);
    let lanes = u128::from(2.5_f64.to_bits()) << 64;
    let state = fiber.store.data_mut().fiber.as_mut().unwrap();
    state.arguments.put(5, vec![wasmtime::Val::V128(lanes.into())]);
    state.results.put(5, vec![wasmtime::Val::F64(0)]);
    fiber.call::<_, ()>("values", 0);
    let state = fiber.store.data_mut().fiber.as_mut().unwrap();
    assert_eq!(state.results.take(5).unwrap()[0].unwrap_f64(), 2.5);
    assert!(fiber.try_call::<_, ()>("values", -1).is_err());
    fiber.set_strand(6);
    assert!(fiber.try_call::<_, ()>("values", 0).is_err());
}

/// A tick follows the epoch hook.
#[test]
fn ticks_follow_the_hook() {
    let mut fiber = Fiber::new();
    fiber.host.decisions.lock().unwrap().extend([Decision::Continue, Decision::Yield, Decision::Stop]);
    assert_eq!(fiber.call::<_, i32>("tick", ()), (0, 0));
    assert_eq!(fiber.call::<_, i32>("tick", ()), (1, 0));
    assert!(fiber.try_call::<_, i32>("tick", ()).unwrap_err().is::<Stopped>());
}

/// All that is promised is there, also for programs of before preview 1, whose output arrives.
#[test]
fn wasi_is_complete() {
    let mut fiber = Fiber::new();
    let functions = unsafe { &*fiber.linker }.fibers(fiber.store.engine()).map_err(|error| error.message).unwrap();
    let all = provide::PREVIEW1_FUNCTIONS
        .iter()
        .flat_map(|name| [("wasi_snapshot_preview1", *name), ("wasi_unstable", *name)]);
    for (module, name) in all.filter(|(module, name)| provide::core(module, name).is_some()) {
        assert!(matches!(functions.get(&mut fiber.store, module, name), Ok(Extern::Func(_))), "{module}.{name}");
    }
    assert_eq!(fiber.finish("write", ()), 0);
    assert_eq!(*fiber.host.output.lock().unwrap(), [0; 16]);
}

/// Of each strand: its waker, once it has been polled, and how often it was. Answers its number when it is told to.
#[derive(Default)]
struct Told {
    waker: Mutex<Option<std::task::Waker>>,
    polls: AtomicUsize,
    over: AtomicBool,
}

/// `count` strands that wait in the host, each by a waker of its own.
fn waiting(fiber: &mut Fiber, count: i64) -> Vec<Arc<Told>> {
    let shared = fiber.store.data().shared;
    let state = fiber.store.data_mut().fiber.as_mut().unwrap();
    (1..=count)
        .map(|strand| {
            let told = Arc::new(Told::default());
            let future = std::future::poll_fn({
                let told = told.clone();
                move |cx| {
                    told.polls.fetch_add(1, Ordering::SeqCst);
                    *told.waker.lock().unwrap() = Some(cx.waker().clone());
                    match told.over.load(Ordering::SeqCst) {
                        true => std::task::Poll::Ready(Ok(strand as i32)),
                        false => std::task::Poll::Pending,
                    }
                }
            });
            state.wait_for(shared, strand, future);
            told
        })
        .collect()
}

impl Told {
    fn wake(&self) {
        let waker = self.waker.lock().unwrap().clone();
        waker.unwrap().wake();
    }
}

const NOBODY: [i64; 0] = [];

/// The strands that are to make their calls again.
fn look(fiber: &mut Fiber) -> Vec<i64> {
    let shared = fiber.store.data().shared;
    let mut strands = Vec::new();
    fiber.store.data_mut().fiber.as_mut().unwrap().look(shared, 0, &mut strands);
    strands
}

fn polls(told: &[Arc<Told>]) -> usize {
    told.iter().map(|told| Host::count(&told.polls)).sum()
}

#[test]
fn of_ten_thousand_strands_only_the_one_that_was_woken_asks() {
    let mut fiber = Fiber::with(true, None);
    let told = waiting(&mut fiber, 10_000);
    assert_eq!(polls(&told), 10_000);
    assert_eq!(look(&mut fiber), NOBODY);
    told[4321].over.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| scope.spawn(|| told[4321].wake()).join().unwrap());
    assert!(fiber.host.woken.load(Ordering::SeqCst), "the task is woken as well");
    assert_eq!(look(&mut fiber), [4322]);
    assert_eq!((polls(&told), Host::count(&told[4321].polls)), (10_001, 2));
    assert_eq!(fiber.store.data_mut().fiber.as_mut().unwrap().answer_of(4322), Some(4322));
    assert_eq!(look(&mut fiber), NOBODY);
    fiber.end();
    drop(told);
    assert_eq!(Host::count(&fiber.host.references), 0);
}

#[test]
fn who_is_woken_in_vain_waits_on_and_can_be_woken_again() {
    let mut fiber = Fiber::with(true, None);
    let told = waiting(&mut fiber, 3);
    for round in 2..5 {
        told[1].wake();
        told[1].wake();
        assert_eq!(look(&mut fiber), NOBODY, "it waits on");
        // The clones of one waker count once, those of different polls perhaps twice.
        assert_eq!(Host::count(&told[1].polls), round);
    }
    told.iter().for_each(|told| told.over.store(true, Ordering::SeqCst));
    told[2].wake();
    told[0].wake();
    assert_eq!(look(&mut fiber), [3, 1]);
    // Woken when it has been answered, and before it came for the answer: it is told once more, which does no harm.
    told[2].wake();
    assert_eq!(look(&mut fiber), [3]);
    assert_eq!(Host::count(&told[2].polls), 2, "what is done is not polled");
    assert_eq!(fiber.store.data_mut().fiber.as_mut().unwrap().answer_of(3), Some(3));
    told[2].wake();
    assert_eq!(look(&mut fiber), NOBODY, "it waits for nothing");
}

#[test]
fn a_waker_may_be_used_when_its_process_has_ended() {
    let mut fiber = Fiber::with(true, None);
    let told = waiting(&mut fiber, 2);
    fiber.end();
    told.iter().for_each(|told| told.wake());
    told.iter().for_each(|told| told.wake());
    drop(told);
    assert_eq!(Host::count(&fiber.host.references), 0);
}

#[test]
fn what_is_woken_while_it_is_polled_is_polled_again() {
    let mut fiber = Fiber::with(true, None);
    let shared = fiber.store.data().shared;
    let mut polls = 0;
    let future = std::future::poll_fn(move |cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls == 3 { std::task::Poll::Ready(Ok(polls)) } else { std::task::Poll::Pending }
    });
    fiber.store.data_mut().fiber.as_mut().unwrap().wait_for(shared, 7, future);
    assert_eq!(look(&mut fiber), NOBODY);
    assert_eq!(look(&mut fiber), [7]);
}

#[test]
fn strands_that_wait_for_hooks_are_all_asked() {
    let mut fiber = Fiber::with(true, None);
    for strand in 1..=3 {
        fiber.set_strand(strand);
        assert_eq!(fiber.call::<_, i64>("wait", 21_i64).1, 1);
    }
    assert_eq!(look(&mut fiber), [1, 2, 3]);
    assert_eq!(look(&mut fiber), NOBODY, "they have not asked since");
    fiber.set_strand(2);
    assert_eq!(fiber.call::<_, i64>("wait", 21_i64).1, 1);
    assert_eq!(look(&mut fiber), [2]);
    fiber.set_strand(2);
    assert_eq!(fiber.call::<_, i64>("wait", 21_i64), (42, 0));
    assert_eq!(look(&mut fiber), NOBODY);
}
