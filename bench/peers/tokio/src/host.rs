//! The host itself: engine, linker, one Tokio task for each process.

use crate::measure::{self, Options};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use wasmtime::{
    Caller, Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Result, Store,
};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// What the processes of one run tell the benchmark.
pub struct Shared {
    epoch: Instant,
    expected: usize,
    iterations: usize,
    pub arrived: AtomicUsize,
    pub alive: AtomicUsize,
    done: AtomicUsize,
    numbers: AtomicUsize,
    pub stop: AtomicBool,
    pub start_ns: AtomicU64,
    pub end_ns: AtomicU64,
    pub start_cpu_ns: AtomicU64,
    pub end_cpu_ns: AtomicU64,
    late: Mutex<Vec<u64>>,
    failure: Mutex<Option<String>>,
    ticks: Mutex<Ticks>,
}

/// Calls of `tick`: how far apart, when two in a row came from the same process and when they did not.
#[derive(Default)]
struct Ticks {
    last_ns: u64,
    last_number: i32,
    same: Vec<u64>,
    gaps: Vec<u64>,
}

const SAMPLES_MAX: usize = 1 << 16;

impl Shared {
    pub fn new(expected: usize, iterations: usize) -> Self {
        Shared {
            epoch: Instant::now(),
            expected,
            iterations,
            arrived: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            numbers: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            start_ns: AtomicU64::new(0),
            end_ns: AtomicU64::new(0),
            start_cpu_ns: AtomicU64::new(0),
            end_cpu_ns: AtomicU64::new(0),
            late: Mutex::default(),
            failure: Mutex::default(),
            ticks: Mutex::default(),
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap().clone()
    }

    pub fn take_late(&self) -> Vec<u64> {
        std::mem::take(&mut *self.late.lock().unwrap())
    }

    pub fn take_gaps(&self) -> (Vec<u64>, Vec<u64>) {
        let mut ticks = self.ticks.lock().unwrap();
        (
            std::mem::take(&mut ticks.same),
            std::mem::take(&mut ticks.gaps),
        )
    }

    fn ready(&self, first: i32) -> i32 {
        if first == 1 {
            self.arrived.fetch_add(1, SeqCst);
        }
        if self.arrived.load(SeqCst) < self.expected {
            return 0;
        }
        if self.start_ns.load(Relaxed) == 0
            && self
                .start_ns
                .compare_exchange(0, self.now_ns(), SeqCst, SeqCst)
                .is_ok()
        {
            self.start_cpu_ns.store(measure::cpu_ns(), SeqCst);
        }
        1
    }

    fn done(&self) {
        if self.done.fetch_add(1, SeqCst) + 1 == self.expected {
            self.end_ns.store(self.now_ns(), SeqCst);
            self.end_cpu_ns.store(measure::cpu_ns(), SeqCst);
        }
    }

    fn tick(&self, number: i32) -> i32 {
        let now = self.now_ns();
        let mut ticks = self.ticks.lock().unwrap();
        let gap = now - ticks.last_ns;
        if ticks.last_number == number {
            if ticks.same.len() < SAMPLES_MAX {
                ticks.same.push(gap);
            }
        } else if ticks.last_number != 0 && ticks.gaps.len() < SAMPLES_MAX {
            ticks.gaps.push(gap);
        }
        ticks.last_number = number;
        ticks.last_ns = self.now_ns();
        i32::from(!self.stop.load(Relaxed))
    }

    fn late(&self, ns: i64) -> i32 {
        self.late.lock().unwrap().push(ns.max(0) as u64);
        i32::from(!self.stop.load(Relaxed))
    }
}

/// The state of a store. A module that imports nothing of WASI gets no WASI context: that is the cheaper choice.
struct State {
    wasi: Option<WasiP1Ctx>,
}

#[derive(Clone)]
pub struct Host {
    engine: Engine,
    program: Arc<InstancePre<State>>,
    shared: Arc<Shared>,
    uses_wasi: bool,
}

impl Host {
    pub fn new(
        options: &Options,
        guest: &str,
        processes_max: usize,
        shared: Arc<Shared>,
    ) -> Result<Host> {
        let engine = Engine::new(&config(processes_max))?;
        let module = Module::new(&engine, wat::parse_file(options.guests.join(guest))?)?;
        let uses_wasi = module
            .imports()
            .any(|i| i.module() == "wasi_snapshot_preview1");
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut State| {
            state
                .wasi
                .as_mut()
                .expect("the module imports nothing of WASI")
        })?;
        // wasmtime-wasi's own sched_yield does nothing.
        linker.allow_shadowing(true);
        linker.func_wrap_async(
            "wasi_snapshot_preview1",
            "sched_yield",
            |_: Caller<'_, State>, ()| {
                Box::new(async {
                    tokio::task::yield_now().await;
                    0i32
                })
            },
        )?;
        define(&mut linker, &shared)?;
        let program = Arc::new(linker.instantiate_pre(&module)?);
        let ticked = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = ticked.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(Host {
            engine,
            program,
            shared,
            uses_wasi,
        })
    }

    /// From inside the Tokio runtime.
    pub fn spawn(&self) -> JoinHandle<Result<()>> {
        let host = self.clone();
        tokio::spawn(async move {
            let outcome = host.run().await;
            if let Err(error) = &outcome {
                let mut failure = host.shared.failure.lock().unwrap();
                failure.get_or_insert_with(|| format!("{error:#}"));
            }
            outcome
        })
    }

    async fn run(&self) -> Result<()> {
        let wasi = self.uses_wasi.then(|| {
            WasiCtxBuilder::new()
                .allow_blocking_current_thread(false)
                .build_p1()
        });
        let mut store = Store::new(&self.engine, State { wasi });
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let instance = self.program.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await
    }
}

fn config(processes_max: usize) -> Config {
    let slots = processes_max as u32 + 16;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .total_stacks(slots)
        .max_memory_size(1 << 20)
        .table_elements(64)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(1 << 10);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // Costs time in every store; core modules do not need it.
        .concurrency_support(false)
        .max_wasm_stack(64 << 10)
        .async_stack_size(128 << 10);
    // A full 4 GiB of addresses for each memory makes bounds checks unnecessary, while there are addresses enough for that.
    if processes_max > 10_000 {
        config
            .memory_reservation(1 << 20)
            .memory_guard_size(64 << 10);
    }
    config
}

/// The functions that the benchmark's guests import.
fn define(linker: &mut Linker<State>, shared: &Arc<Shared>) -> Result<()> {
    let s = shared.clone();
    linker.func_wrap("bench", "ready", move |first: i32| s.ready(first))?;
    let s = shared.clone();
    linker.func_wrap("bench", "iterations", move || s.iterations as i32)?;
    let s = shared.clone();
    linker.func_wrap("bench", "rounds", move || s.iterations as i32)?;
    let s = shared.clone();
    linker.func_wrap("bench", "done", move || s.done())?;
    let s = shared.clone();
    linker.func_wrap("bench", "number", move || {
        s.numbers.fetch_add(1, SeqCst) as i32 + 1
    })?;
    let s = shared.clone();
    linker.func_wrap("bench", "tick", move |number: i32| s.tick(number))?;
    linker.func_wrap("bench", "sleep_ns", || 3_600_000_000_000i64)?;
    let s = shared.clone();
    linker.func_wrap("bench", "arrived", move || {
        s.alive.fetch_add(1, SeqCst);
        s.arrived.fetch_add(1, SeqCst);
    })?;
    let s = shared.clone();
    linker.func_wrap("bench", "late", move |ns: i64| s.late(ns))?;
    Ok(())
}
