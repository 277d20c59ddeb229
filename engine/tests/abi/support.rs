//! A small host: tasks, processes with scripted answers to hooks, and owners for what the ABI hands out.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use weft_engine::abi::{Poll, Str, Val};
use weft_engine::backtrace::{self, Backtrace, Frame};
use weft_engine::call::{self, Call, CallConfig};
use weft_engine::engine::{self, Engine, EngineConfig, EnterGuard};
use weft_engine::error::{self, Error, ErrorKind};
use weft_engine::hooks::{Decision, Hooks, READ_PENDING};
use weft_engine::linker::{self, Linker};
use weft_engine::module::{self, Module, ModuleOptions};
use weft_engine::outcome::{LimitKind, Outcome, OutcomeKind, TrapCode};
use weft_engine::program::{self, Program};
use weft_engine::wasi::{self, WasiConfig};

pub fn text(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), size: text.len() }
}

pub fn string(text: Str) -> String {
    if text.size == 0 {
        return String::new();
    }
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.size) };
    String::from_utf8(bytes.to_vec()).expect("the ABI speaks UTF-8")
}

/// An error, taken apart.
#[derive(Debug)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    pub detail: String,
}

pub fn check(error: *mut Error) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    let failure = unsafe {
        Failure {
            kind: error::weft_error_kind(error),
            message: string(error::weft_error_message(error)),
            detail: string(error::weft_error_detail(error)),
        }
    };
    unsafe { error::weft_error_free(error) };
    Err(failure)
}

/// What the scheduler would be: counts wake-ups and references, and can be waited for.
#[derive(Default)]
pub struct Task {
    woken: Mutex<bool>,
    signal: Condvar,
    pub wakes: AtomicUsize,
    pub references: AtomicI64,
}

impl Task {
    pub fn new() -> Box<Task> {
        Box::default()
    }

    pub fn pointer(&self) -> *mut c_void {
        (self as *const Task).cast_mut().cast()
    }

    pub fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.signal.notify_all();
    }

    pub fn is_woken(&self) -> bool {
        *self.woken.lock().unwrap()
    }

    /// Waits until nobody keeps the task any more: Tokio's threads drop a waker soon after they used it, not before the task is polled again.
    pub fn wait_until_released(&self) {
        while self.references.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
    }

    pub fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.signal.wait(woken).unwrap();
        }
        *woken = false;
    }
}

unsafe extern "C-unwind" fn task_wake(task: *mut c_void) {
    let task = unsafe { &*task.cast::<Task>() };
    task.wakes.fetch_add(1, Ordering::SeqCst);
    task.wake();
}

unsafe extern "C-unwind" fn task_retain(task: *mut c_void) {
    unsafe { &*task.cast::<Task>() }.references.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn task_release(task: *mut c_void) {
    unsafe { &*task.cast::<Task>() }.references.fetch_sub(1, Ordering::SeqCst);
}

/// One process: what hooks answer, and what they were told.
#[derive(Default)]
pub struct Process {
    pub decisions: Mutex<VecDeque<Decision>>,
    pub epoch_checks: AtomicUsize,
    pub yields: AtomicUsize,
    pub output: Mutex<Vec<u8>>,
    pub errors: Mutex<Vec<u8>>,
    /// Answers of `write_ready`; 64 KiB when used up.
    pub room: Mutex<VecDeque<i64>>,
    /// Answers of `write` other than taking everything.
    pub writes: Mutex<VecDeque<i64>>,
    /// Pieces of input; None = nothing yet. The end when used up.
    pub input: Mutex<VecDeque<Option<Vec<u8>>>>,
    /// The virtual clock.
    pub now_ns: AtomicUsize,
    pub sleeping: Mutex<Option<(u64, usize)>>,
    pub sleeps: AtomicUsize,
    pub sleeps_dropped: AtomicUsize,
    pub waiting_task: AtomicPtr<c_void>,
}

impl Process {
    pub fn new() -> Box<Process> {
        let process = Box::<Process>::default();
        process.now_ns.store(1_000_000_000, Ordering::SeqCst);
        process
    }

    pub fn pointer(&self) -> *mut c_void {
        (self as *const Process).cast_mut().cast()
    }

    pub fn decide(&self, decisions: &[Decision]) {
        self.decisions.lock().unwrap().extend(decisions);
    }

    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }
}

unsafe fn process<'a>(process: *mut c_void) -> &'a Process {
    unsafe { &*process.cast::<Process>() }
}

unsafe extern "C-unwind" fn epoch(pointer: *mut c_void) -> Decision {
    let process = unsafe { process(pointer) };
    process.epoch_checks.fetch_add(1, Ordering::SeqCst);
    process.decisions.lock().unwrap().pop_front().unwrap_or(Decision::Continue)
}

unsafe extern "C-unwind" fn yield_now(pointer: *mut c_void) {
    unsafe { process(pointer) }.yields.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn write(pointer: *mut c_void, stream: u32, data: *const u8, size: usize) -> i64 {
    let process = unsafe { process(pointer) };
    let taken = match process.writes.lock().unwrap().pop_front() {
        Some(answer) if answer < 0 => return answer,
        Some(answer) => (answer as usize).min(size),
        None => size,
    };
    let sink = if stream == 1 { &process.output } else { &process.errors };
    sink.lock().unwrap().extend_from_slice(unsafe { std::slice::from_raw_parts(data, taken) });
    taken as i64
}

unsafe extern "C-unwind" fn write_ready(pointer: *mut c_void, _: u32, task: *mut c_void) -> i64 {
    let process = unsafe { process(pointer) };
    let mut room = process.room.lock().unwrap();
    if task.is_null() {
        return room.front().copied().filter(|answer| *answer < 0).unwrap_or(65536);
    }
    let answer = room.pop_front().unwrap_or(65536);
    if answer == 0 {
        process.waiting_task.store(task, Ordering::SeqCst);
    }
    answer
}

unsafe extern "C-unwind" fn read(pointer: *mut c_void, buffer: *mut u8, capacity: usize, task: *mut c_void) -> i64 {
    let process = unsafe { process(pointer) };
    let mut input = process.input.lock().unwrap();
    match input.front() {
        None => 0,
        Some(None) => {
            if !task.is_null() {
                input.pop_front();
                process.waiting_task.store(task, Ordering::SeqCst);
            }
            READ_PENDING
        }
        Some(Some(piece)) => {
            assert!(piece.len() <= capacity);
            let size = piece.len();
            unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), buffer, size) };
            input.pop_front();
            size as i64
        }
    }
}

/// Sleeps end when `now_ns` has been moved far enough; the test wakes the task.
unsafe extern "C-unwind" fn sleep(
    pointer: *mut c_void,
    deadline_ns: u64,
    task: *mut c_void,
    op: *mut *mut c_void,
) -> Poll {
    let process = unsafe { process(pointer) };
    if process.now_ns.load(Ordering::SeqCst) as u64 >= deadline_ns {
        unsafe { *op = null_mut() };
        *process.sleeping.lock().unwrap() = None;
        return Poll::Ready;
    }
    process.sleeps.fetch_add(1, Ordering::SeqCst);
    process.waiting_task.store(task, Ordering::SeqCst);
    *process.sleeping.lock().unwrap() = Some((deadline_ns, 0));
    unsafe { *op = pointer };
    Poll::Pending
}

unsafe extern "C-unwind" fn sleep_drop(pointer: *mut c_void, op: *mut c_void) {
    assert_eq!(op, pointer, "the op that the hook left behind");
    unsafe { process(pointer) }.sleeps_dropped.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn now(pointer: *mut c_void) -> u64 {
    unsafe { process(pointer) }.now_ns.load(Ordering::SeqCst) as u64
}

pub fn hooks() -> Hooks {
    Hooks {
        task_wake: Some(task_wake),
        task_retain: Some(task_retain),
        task_release: Some(task_release),
        epoch: Some(epoch),
        spinning: None,
        yield_now: Some(yield_now),
        write: Some(write),
        write_ready: Some(write_ready),
        read: Some(read),
        sleep: Some(sleep),
        sleep_drop: Some(sleep_drop),
        futex_wait: None,
        futex_drop: None,
        futex_notify: None,
        thread_spawn: None,
        strand_finished: None,
        monotonic_now: Some(now),
        wall_now: Some(now),
    }
}

/// Owners of ABI objects.
macro_rules! owner {
    ($name:ident($type:ty), $free:path) => {
        pub struct $name(pub *mut $type);
        impl Drop for $name {
            fn drop(&mut self) {
                #[allow(unused_unsafe)]
                unsafe {
                    $free(self.0)
                };
            }
        }
    };
}
owner!(OwnedLinker(Linker), linker::weft_linker_free);
owner!(OwnedModule(Module), module::weft_module_free);
owner!(OwnedProgram(Program), program::weft_program_free);
owner!(OwnedWasi(WasiConfig), wasi::weft_wasi_config_free);
owner!(OwnedCall(Call), call::weft_call_drop);
owner!(OwnedEngine(Engine), engine::weft_engine_free);
owner!(Entered(EnterGuard), engine::weft_enter_guard_free);

/// An engine that this thread has entered.
pub struct Host {
    // Fields drop in this order: leave the runtime, then free the engine.
    _entered: Entered,
    pub engine: OwnedEngine,
}

impl Host {
    pub fn new() -> Host {
        Host::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EngineConfig)) -> Host {
        Host::try_with(change).expect("an engine")
    }

    pub fn try_with(change: impl FnOnce(&mut EngineConfig)) -> Result<Host, Failure> {
        let mut config = std::mem::MaybeUninit::uninit();
        let mut config = unsafe {
            engine::weft_engine_config_default(config.as_mut_ptr());
            config.assume_init()
        };
        config.hooks = hooks();
        config.slots_max = 16;
        change(&mut config);
        let mut engine = null_mut();
        check(unsafe { engine::weft_engine_new(&config, &mut engine) })?;
        let engine = OwnedEngine(engine);
        let entered = Entered(unsafe { engine::weft_engine_enter(engine.0) });
        Ok(Host { _entered: entered, engine })
    }

    pub fn warning(&self) -> String {
        string(unsafe { engine::weft_engine_warning(self.engine.0) })
    }

    pub fn compile_named(&self, bytes: impl AsRef<[u8]>, name: &str) -> Result<OwnedModule, Failure> {
        let bytes = bytes.as_ref();
        let options = ModuleOptions { name: text(name), cache: true };
        let mut module = null_mut();
        check(unsafe {
            module::weft_module_compile(self.engine.0, bytes.as_ptr(), bytes.len(), &options, &mut module)
        })?;
        Ok(OwnedModule(module))
    }

    pub fn compile(&self, bytes: impl AsRef<[u8]>) -> Result<OwnedModule, Failure> {
        self.compile_named(bytes, "test.wasm")
    }

    pub fn linker(&self) -> OwnedLinker {
        let mut linker = null_mut();
        check(unsafe { linker::weft_linker_new(self.engine.0, &mut linker) }).expect("a linker");
        OwnedLinker(linker)
    }

    pub fn link(&self, linker: &OwnedLinker, module: &OwnedModule) -> Result<OwnedProgram, Failure> {
        let mut program = null_mut();
        check(unsafe { program::weft_program_new(linker.0, module.0, &mut program) })?;
        Ok(OwnedProgram(program))
    }

    pub fn program(&self, bytes: impl AsRef<[u8]>) -> OwnedProgram {
        let module = self.compile(bytes).expect("a module");
        self.link(&self.linker(), &module).expect("a program")
    }

    pub fn increment_epoch(&self) {
        unsafe { engine::weft_engine_increment_epoch(self.engine.0) };
    }
}

/// Increments the epoch as fast as it can, until it is dropped.
pub struct Ticker {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    pub fn new(host: &Host) -> Ticker {
        let (engine, done) = (host.engine.0 as usize, Arc::new(AtomicBool::new(false)));
        let stop = done.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                unsafe { engine::weft_engine_increment_epoch(engine as *const Engine) };
                std::thread::yield_now();
            }
        });
        Ticker { done, thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// How to start; refine with the fields of `config`.
pub struct Setup<'a> {
    pub config: CallConfig,
    texts: Vec<Str>,
    _borrowed: std::marker::PhantomData<&'a ()>,
}

impl<'a> Setup<'a> {
    pub fn new() -> Setup<'a> {
        let mut config = std::mem::MaybeUninit::uninit();
        let config = unsafe {
            call::weft_call_config_default(config.as_mut_ptr());
            config.assume_init()
        };
        Setup { config, texts: Vec::new(), _borrowed: std::marker::PhantomData }
    }

    pub fn entry(mut self, name: &'a str) -> Setup<'a> {
        self.config.entry = text(name);
        self
    }

    pub fn text_args(mut self, args: &[&'a str]) -> Setup<'a> {
        self.texts = args.iter().map(|arg| text(arg)).collect();
        self
    }

    pub fn args(mut self, args: &'a [Val]) -> Setup<'a> {
        self.config.args = args.as_ptr();
        self.config.nargs = args.len();
        self
    }

    pub fn wasi(mut self, wasi: &'a OwnedWasi) -> Setup<'a> {
        self.config.wasi = wasi.0;
        self
    }

    pub fn change(mut self, change: impl FnOnce(&mut CallConfig)) -> Setup<'a> {
        change(&mut self.config);
        self
    }

    pub fn start(mut self, program: &OwnedProgram, process: &Process) -> Result<OwnedCall, Failure> {
        self.config.text_args = self.texts.as_ptr();
        self.config.ntext_args = self.texts.len();
        let mut call = null_mut();
        check(unsafe { call::weft_call_new(program.0, &self.config, process.pointer(), &mut call) })?;
        Ok(OwnedCall(call))
    }
}

/// An outcome, taken apart.
#[derive(Debug)]
pub struct Ended {
    pub kind: OutcomeKind,
    pub exit_code: i32,
    pub trap_code: TrapCode,
    pub trap_name: String,
    pub message: String,
    pub limit: LimitKind,
    pub limit_value: u64,
    pub limit_asked: u64,
    pub results: String,
    pub backtrace: Vec<String>,
    pub error: Option<ErrorKind>,
}

impl OwnedCall {
    pub fn poll(&self, task: &Task) -> Poll {
        unsafe { call::weft_call_poll(self.0, task.pointer()) }
    }

    /// Polls until the end. A pending poll must have been answered by a yield or be followed by a wake-up.
    pub fn finish(&self, process: &Process, task: &Task) -> Ended {
        let (mut yields, mut checks) = (0, 0);
        while self.poll(task) == Poll::Pending {
            let now = (process.yields.load(Ordering::SeqCst), process.epoch_checks.load(Ordering::SeqCst));
            if now == (yields, checks) {
                task.wait();
            }
            (yields, checks) = now;
        }
        self.ended()
    }

    pub fn waiting_for(&self) -> String {
        string(unsafe { call::weft_call_waiting_for(self.0) })
    }

    pub fn ended(&self) -> Ended {
        let mut outcome = std::mem::MaybeUninit::<Outcome>::uninit();
        let outcome = unsafe {
            call::weft_call_outcome(self.0, outcome.as_mut_ptr());
            outcome.assume_init()
        };
        Ended {
            kind: outcome.kind,
            exit_code: outcome.exit_code,
            trap_code: outcome.trap_code,
            trap_name: string(outcome.trap_name),
            message: string(outcome.message),
            limit: outcome.limit,
            limit_value: outcome.limit_value,
            limit_asked: outcome.limit_asked,
            results: string(outcome.results_text),
            backtrace: frames(outcome.backtrace),
            error: (!outcome.error.is_null()).then(|| unsafe { error::weft_error_kind(outcome.error) }),
        }
    }
}

/// A backtrace as lines "module!function (file:line)".
pub fn frames(backtrace: *const Backtrace) -> Vec<String> {
    if backtrace.is_null() {
        return Vec::new();
    }
    let size = unsafe { backtrace::weft_backtrace_size(backtrace) };
    let frame = |index| {
        let mut frame = std::mem::MaybeUninit::<Frame>::uninit();
        assert!(unsafe { backtrace::weft_backtrace_frame(backtrace, index, frame.as_mut_ptr()) });
        let frame = unsafe { frame.assume_init() };
        let source = string(frame.file);
        let place = match source.rsplit('/').next() {
            Some(file) if frame.line > 0 => format!(" ({file}:{})", frame.line),
            _ => String::new(),
        };
        format!("{}!{}{place}", string(frame.module), string(frame.function))
    };
    (0..size).map(frame).collect()
}

pub fn wasi(fill: impl FnOnce(*mut WasiConfig) -> *mut Error) -> OwnedWasi {
    let mut config = null_mut();
    check(unsafe { wasi::weft_wasi_config_new(&mut config) }).expect("a WASI configuration");
    check(fill(config)).expect("a valid WASI configuration");
    OwnedWasi(config)
}

/// Compiles, starts and runs a program with default settings.
pub fn run(host: &Host, bytes: impl AsRef<[u8]>, setup: Setup<'_>) -> (Ended, Box<Process>) {
    let (program, process, task) = (host.program(bytes), Process::new(), Task::new());
    let call = setup.start(&program, &process).expect("a call");
    let ended = call.finish(&process, &task);
    drop(call);
    task.wait_until_released();
    (ended, process)
}

pub const NO_OPTIONS: *const ModuleOptions = null();
