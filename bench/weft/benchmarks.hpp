// The benchmarks, one function each. Each reports on standard output, or ends the program with a message.
#pragma once

namespace weft_bench {

struct Options;

void bench_switch(const Options& options);    // n processes on one worker yield in turn: ns a switch
void bench_preempt(const Options& options);   // n processes on one worker are preempted in turn: ns a switch
void bench_spawn(const Options& options);     // spawn + run + exit of an empty process: us of one worker
void bench_parked(const Options& options);    // n sleeping processes: KiB each
void bench_idle(const Options& options);      // n sleeping processes: CPU time of the whole program
void bench_fairness(const Options& options);  // a process that wakes every 5 ms beside 4 endless loops a worker: ms late
void bench_scaling(const Options& options);   // CPU-bound guests, one and then one for each worker: throughput ratio
void bench_overhead(const Options& options);  // one CPU-bound guest with and without preemption: time ratio
void bench_kernels(const Options& options);   // five such guests: geometric mean of the ratios to async fibers without preemption

// Strands: fibers inside one process.
void bench_strand_yield(const Options& options);   // n strands yield in turn: ns a yield
void bench_strand_spawn(const Options& options);   // spawn + run + join, n at a time: ns
void bench_strand_parked(const Options& options);  // n strands that have parked: KiB each

// Messages.
void bench_channels(const Options& options);        // two tasks: round trips in ns, messages a second
void bench_wait_set(const Options& options);        // a set of n of which one is ready: ns a wait
void bench_guest_channels(const Options& options);  // both between two processes

// Managing.
void bench_manage(
    const Options& options);  // tasks of a task manager: us each, of coroutines and of processes; KiB each of n that wait
void bench_fuel(const Options& options);  // an operation paid from a pool: ns
void bench_bridge(
    const Options& options);  // a crossing by block_on(): ns, with the worker awake, in a row, with all asleep, and back

// Supervision.
void bench_restart(const Options& options);  // a child that traps beside n others: us until it runs again

}  // namespace weft_bench
