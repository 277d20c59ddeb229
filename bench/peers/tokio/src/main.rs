//! The Tokio side of the benchmarks: a small host for WebAssembly processes as a Rust user would write it today, with the settings
//! that Wasmtime's documentation recommends for many instances: one Tokio task and one store for each process, the pooling allocator,
//! epochs that make a guest yield every millisecond, `wasmtime-wasi` for WASI. Where there was a choice it took the faster one.
//!
//! One JSON object a line on standard output.
//!
//!     tokio-peer switch --guests bench/guests --n 1000 --iterations 2000
//!     tokio-peer preempt --guests bench/guests --n 100 --seconds 1
//!     tokio-peer spawn --guests bench/guests --workers 1 --count 100000
//!     tokio-peer parked --guests bench/guests --n 100000
//!     tokio-peer fairness --guests bench/guests --workers 2 --seconds 2
//!     tokio-peer scaling --guests bench/guests --workers 4 --rounds 20 --repeats 3
//!     tokio-peer idle --guests bench/guests --n 10000 --seconds 5

mod host;
mod measure;

use host::{Host, Shared};
use measure::{Options, quantile, report};
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use wasmtime::Result;

fn main() -> ExitCode {
    let options = match Options::from_arguments() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("tokio-peer: {message}");
            return ExitCode::from(2);
        }
    };
    let outcome = match options.bench.as_str() {
        "switch" => switch(&options),
        "preempt" => preempt(&options),
        "spawn" => spawn(&options),
        "parked" => parked(&options),
        "fairness" => fairness(&options),
        "scaling" => scaling(&options),
        "idle" => idle(&options),
        other => {
            eprintln!("tokio-peer: unknown benchmark {other}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio-peer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The runtime has `workers` threads for tasks; `body` runs as one of the tasks, not on the calling thread.
fn run<F>(workers: usize, body: F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(runtime.spawn(body))?;
    // Endless guests are left to the exit of the program.
    runtime.shutdown_background();
    outcome
}

fn switch(options: &Options) -> Result<()> {
    let (n, iterations) = (options.n, options.iterations);
    let shared = Arc::new(Shared::new(n, iterations));
    let host = Host::new(options, "yield.wat", n, shared.clone())?;
    run(1, async move {
        let processes: Vec<_> = (0..n).map(|_| host.spawn()).collect();
        for process in processes {
            process.await??;
        }
        let elapsed = shared.end_ns.load(SeqCst) - shared.start_ns.load(SeqCst);
        let cpu = shared.end_cpu_ns.load(SeqCst) - shared.start_cpu_ns.load(SeqCst);
        let each = |ns: u64| ns as f64 / (n * iterations) as f64;
        let extra = format!("\"cpu\":{:.3}", each(cpu));
        report("switch", "yield", n, each(elapsed), "ns", &extra);
        Ok(())
    })
}

fn preempt(options: &Options) -> Result<()> {
    let n = options.n;
    let shared = Arc::new(Shared::new(n, 0));
    let host = Host::new(options, "tick.wat", n, shared.clone())?;
    let seconds = options.seconds;
    run(1, async move {
        let processes: Vec<_> = (0..n).map(|_| host.spawn()).collect();
        let timer = shared.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            timer.stop.store(true, SeqCst);
        });
        for process in processes {
            process.await??;
        }
        let (same, mut gaps) = shared.take_gaps();
        let base = quantile(&mut same.clone(), 0.5);
        let value = quantile(&mut gaps, 0.5) - base;
        let extra = format!("\"samples\":{},\"call_ns\":{base}", gaps.len());
        report("switch", "preempt", n, value, "ns", &extra);
        Ok(())
    })
}

fn spawn(options: &Options) -> Result<()> {
    const BATCH: usize = 64;
    let (workers, count) = (options.workers, options.count);
    let host = Host::new(
        options,
        "empty.wat",
        workers * BATCH * 2,
        Arc::new(Shared::new(0, 0)),
    )?;
    run(workers, async move {
        let batches = count.div_ceil(workers * BATCH);
        let (start, start_cpu) = (Instant::now(), measure::cpu_ns());
        let spawners: Vec<_> = (0..workers)
            .map(|_| {
                let host = host.clone();
                tokio::spawn(async move {
                    for _ in 0..batches {
                        let processes: Vec<_> = (0..BATCH).map(|_| host.spawn()).collect();
                        for process in processes {
                            process.await??;
                        }
                    }
                    Result::<()>::Ok(())
                })
            })
            .collect();
        for spawner in spawners {
            spawner.await??;
        }
        let us = start.elapsed().as_secs_f64() * 1e6;
        let cpu_us = (measure::cpu_ns() - start_cpu) as f64 / 1e3;
        let spawned = (batches * BATCH * workers) as f64;
        let extra = format!("\"cpu\":{:.4}", cpu_us / spawned);
        report(
            "spawn",
            "empty",
            workers,
            us * workers as f64 / spawned,
            "us",
            &extra,
        );
        Ok(())
    })
}

/// Spawns `n` sleepers and waits until all of them have come to their sleep.
async fn park(host: &Host, shared: &Shared, n: usize) -> Result<()> {
    for i in 0..n {
        let process = host.spawn();
        // Whether one failed is known only from its handle; looking at each would need all of them kept.
        if i % 1000 == 0 {
            tokio::task::yield_now().await;
            if process.is_finished() {
                process.await??;
            }
        }
    }
    let mut waited = Duration::ZERO;
    while shared.arrived.load(SeqCst) < n {
        if let Some(error) = shared.failure() {
            wasmtime::bail!(
                "{} of {n} processes alive, then: {error}",
                shared.arrived.load(SeqCst)
            );
        }
        if waited > Duration::from_secs(300) {
            wasmtime::bail!("only {} of {n} arrived", shared.arrived.load(SeqCst));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        waited += Duration::from_millis(5);
    }
    // The last ones have said that they are there, and now go to sleep.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}

fn parked(options: &Options) -> Result<()> {
    let n = options.n;
    let (resident, tables) = measure::memory_kib();
    let start = Instant::now();
    let shared = Arc::new(Shared::new(n, 0));
    let host = Host::new(options, "sleep.wat", n, shared.clone())?;
    run(options.workers, async move {
        park(&host, &shared, n).await?;
        let seconds = start.elapsed().as_secs_f64();
        let (resident_now, tables_now) = measure::memory_kib();
        let extra = format!(
            "\"alive\":{},\"page_tables_kib\":{:.2},\"maps\":{},\"seconds\":{seconds:.2}",
            shared.alive.load(SeqCst),
            (tables_now - tables) / n as f64,
            measure::maps(),
        );
        let value = (resident_now - resident) / n as f64;
        report("parked", "memory", n, value, "KiB", &extra);
        // The host has no way to end sleeping processes one by one that would be of interest here.
        std::process::exit(0);
    })
}

fn idle(options: &Options) -> Result<()> {
    let (n, seconds) = (options.n, options.seconds);
    let shared = Arc::new(Shared::new(n, 0));
    let host = Host::new(options, "sleep.wat", n, shared.clone())?;
    run(options.workers, async move {
        park(&host, &shared, n).await?;
        let (before, switches) = (measure::cpu_ns(), measure::context_switches());
        tokio::task::spawn_blocking(move || std::thread::sleep(Duration::from_secs_f64(seconds)))
            .await?;
        let value = (measure::cpu_ns() - before) as f64 / 1e6;
        let switched = measure::context_switches() - switches;
        let extra = format!("\"seconds\":{seconds},\"context_switches\":{switched}");
        report("idle", "cpu", n, value, "ms", &extra);
        std::process::exit(0);
    })
}

fn fairness(options: &Options) -> Result<()> {
    let workers = options.workers;
    let loops = 4 * workers;
    let shared = Arc::new(Shared::new(0, 0));
    let spinning = Host::new(options, "spin.wat", loops, shared.clone())?;
    let waking = Host::new(options, "wake.wat", 1, shared.clone())?;
    let seconds = options.seconds;
    run(workers, async move {
        for _ in 0..loops {
            spinning.spawn();
        }
        while shared.arrived.load(SeqCst) < loops {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let process = waking.spawn();
        let timer = shared.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            timer.stop.store(true, SeqCst);
        });
        process.await??;
        let mut late = shared.take_late();
        let samples = late.len();
        let mut at = |q: f64| quantile(&mut late, q) / 1e6;
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        let extra = format!(
            "\"p50_ms\":{p50:.3},\"max_ms\":{max:.3},\"samples\":{samples},\"quantum_ms\":1"
        );
        report("fairness", "late_p99", workers, p99, "ms", &extra);
        std::process::exit(0);
    })
}

fn scaling(options: &Options) -> Result<()> {
    let (workers, repeats) = (options.workers, options.repeats);
    let shared = Arc::new(Shared::new(0, options.rounds));
    let host = Host::new(options, "sort.wat", workers, shared)?;
    run(workers, async move {
        let run = |n: usize| {
            let host = host.clone();
            async move {
                let start = Instant::now();
                let processes: Vec<_> = (0..n).map(|_| host.spawn()).collect();
                for process in processes {
                    process.await??;
                }
                Result::<f64>::Ok(start.elapsed().as_secs_f64())
            }
        };
        run(workers).await?;
        for _ in 0..repeats {
            let one = run(1).await?;
            let many = run(workers).await?;
            let extra = format!("\"one_s\":{one:.4},\"many_s\":{many:.4}");
            let value = one * workers as f64 / many;
            report("scaling", "throughput", workers, value, "x", &extra);
        }
        Ok(())
    })
}
