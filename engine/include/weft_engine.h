/* The C ABI of weft's engine crate. GENERATED from engine/src by cbindgen: do not edit.
 *
 * Smallest use:
 *   weft_engine_config config;
 *   weft_engine_config_default(&config);
 *   config.hooks.task_wake = ...; config.hooks.task_retain = ...; config.hooks.task_release = ...;
 *   weft_engine *engine;  weft_error *error = weft_engine_new(&config, &engine);
 *   weft_module_compile(engine, bytes, size, NULL, &module);
 *   weft_linker_new(engine, &linker);  weft_program_new(linker, module, &program);
 *   weft_call_config call_config;  weft_call_config_default(&call_config);
 *   weft_call_new(program, &call_config, process, &call);
 *   weft_enter_guard *guard = weft_engine_enter(engine);
 *   while (weft_call_poll(call, task) == WEFT_POLL_PENDING) wait_until_woken(task);
 *   weft_outcome outcome;  weft_call_outcome(call, &outcome);
 *
 * Functions that can fail return an error, which the caller owns, or NULL when all went well. An out-parameter is written only then.
 * Threads: each function says who may call it. No panic and no exception crosses this boundary in either direction.
 */

#ifndef WEFT_ENGINE_H
#define WEFT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Answer of the `write` hook: the reader of the stream is gone; the guest sees a broken pipe.
#define WEFT_WRITE_CLOSED -1

// Answer of the `write` and `write_ready` hooks: the limit on buffered output is reached; the call ends with `WEFT_LIMIT_OUTPUT`.
#define WEFT_WRITE_STOP -2

// Answer of the `read` hook: nothing yet; the task was registered and will be woken.
#define WEFT_READ_PENDING -1

// The bit of threads, which more than the compiler has to do with.
#define THREADS (1 << 12)

// Network flag: the guest may open TCP connections.
#define WEFT_NETWORK_TCP_CONNECT 1

// Network flag: the guest may listen on TCP ports.
#define WEFT_NETWORK_TCP_LISTEN 2

// Network flag: the guest may use UDP.
#define WEFT_NETWORK_UDP 4

// Network flag: the guest may look up names.
#define WEFT_NETWORK_LOOKUP 8

// No limit.
#define WEFT_UNLIMITED UINT64_MAX

// What went wrong, for programs.
enum weft_error_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A bug in the engine crate or in Wasmtime (a caught panic, an assertion).
  WEFT_ERROR_CODE_INTERNAL = 0,
  // The bytes are not WebAssembly, or truncated, or do not validate. The message names the offset.
  WEFT_ERROR_CODE_INVALID_MODULE = 1,
  // The module needs a WebAssembly proposal that is off or not supported. The message names it and how to turn it on, where that is possible.
  WEFT_ERROR_CODE_UNSUPPORTED_FEATURE = 2,
  // Nobody provides an import. The message names the first one and what would provide it, the detail lists all of them.
  WEFT_ERROR_CODE_MISSING_IMPORT = 3,
  // The module has no entry point, or not the function that was asked for.
  WEFT_ERROR_CODE_NO_ENTRY_POINT = 4,
  // An argument makes no sense: text that is not UTF-8, a wrong number or kind of values, a limit of zero.
  WEFT_ERROR_CODE_BAD_ARGUMENT = 5,
  // A precompiled artifact of another version, another configuration, or damaged.
  WEFT_ERROR_CODE_NOT_PRECOMPILED_FOR_THIS_ENGINE = 6,
  // A pool, the address space or a limit of the operating system is used up. The message names the setting to raise.
  WEFT_ERROR_CODE_RESOURCE_EXHAUSTED = 7,
  // The operating system said no: the message names the path and the reason.
  WEFT_ERROR_CODE_IO = 8,
  // A host function ended the call (`weft_error_new` in a host function, without a better kind).
  WEFT_ERROR_CODE_HOST = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_error_code weft_error_code;
#else
typedef uint32_t weft_error_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a running guest does at an epoch check.
enum weft_decision
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Go on.
  WEFT_DECISION_CONTINUE = 0,
  // Leave the worker: the poll under way returns pending, nothing is woken (whoever answers so re-queues the task).
  WEFT_DECISION_YIELD = 1,
  // End the call: its outcome becomes `WEFT_OUTCOME_KIND_STOPPED`.
  WEFT_DECISION_STOP = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_decision weft_decision;
#else
typedef uint32_t weft_decision;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Answer of something that may wait.
enum weft_poll
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Finished; not called again.
  WEFT_POLL_READY = 0,
  // Not finished: the task that was passed has been registered and will be woken.
  WEFT_POLL_PENDING = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_poll weft_poll;
#else
typedef uint32_t weft_poll;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Answer of the `futex_wait` hook.
enum weft_futex_poll
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A `futex_notify` took it out of the queue.
  WEFT_FUTEX_POLL_WOKEN = 0,
  // The word was not what the guest expected.
  WEFT_FUTEX_POLL_NOT_EQUAL = 1,
  // The time is over.
  WEFT_FUTEX_POLL_TIMED_OUT = 2,
  // It is queued; the task will be woken.
  WEFT_FUTEX_POLL_PENDING = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_futex_poll weft_futex_poll;
#else
typedef uint32_t weft_futex_poll;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Kind of a wasm value. Only numbers and vectors cross this ABI; references stay in the engine.
enum weft_val_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  WEFT_VAL_KIND_I32 = 0,
  WEFT_VAL_KIND_I64 = 1,
  WEFT_VAL_KIND_F32 = 2,
  WEFT_VAL_KIND_F64 = 3,
  WEFT_VAL_KIND_V128 = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_val_kind weft_val_kind;
#else
typedef uint8_t weft_val_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// On what the calls of core modules run. Components run on the engine's own fibers always.
enum weft_fibers
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The engine's own fibers, preempted by epochs. On every platform.
  WEFT_FIBERS_ASYNC = 0,
  // Continuations inside the guest's own store, stepped by plain calls, preempted by checks that are added to the code. On x86-64 Linux only; stack switching, on which they
  // rest, is of Wasmtime's third tier.
  WEFT_FIBERS_CONTINUATIONS = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_fibers weft_fibers;
#else
typedef uint32_t weft_fibers;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How hard the compiler tries.
enum weft_optimize
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  WEFT_OPTIMIZE_NONE = 0,
  WEFT_OPTIMIZE_SPEED = 1,
  WEFT_OPTIMIZE_SPEED_AND_SIZE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_optimize weft_optimize;
#else
typedef uint32_t weft_optimize;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What some bytes look like, judged by their first few.
enum weft_module_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // None of the others.
  WEFT_MODULE_KIND_UNKNOWN = 0,
  // WebAssembly text.
  WEFT_MODULE_KIND_TEXT = 1,
  // A core module.
  WEFT_MODULE_KIND_CORE = 2,
  // A component.
  WEFT_MODULE_KIND_COMPONENT = 3,
  // A core module compiled earlier by `weft_module_serialize`.
  WEFT_MODULE_KIND_PRECOMPILED_CORE = 4,
  // A component compiled earlier by `weft_module_serialize`.
  WEFT_MODULE_KIND_PRECOMPILED_COMPONENT = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_module_kind weft_module_kind;
#else
typedef uint32_t weft_module_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a module is started when no function is asked for.
enum weft_entry
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It cannot be: only its exported functions can be called by name.
  WEFT_ENTRY_NONE = 0,
  // A WASI command: exports `_start`.
  WEFT_ENTRY_START = 1,
  // A WASI reactor: exports `_initialize`, which is called before any function asked for.
  WEFT_ENTRY_INITIALIZE = 2,
  // A component that exports `wasi:cli/run`.
  WEFT_ENTRY_COMPONENT_COMMAND = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_entry weft_entry;
#else
typedef uint32_t weft_entry;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where a guest's standard input comes from.
enum weft_stdin
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // There is none: end of input at once.
  WEFT_STDIN_EMPTY = 0,
  // From this process's own standard input, read by a thread of its own.
  WEFT_STDIN_INHERIT = 1,
  // From the `read` hook.
  WEFT_STDIN_HOOK = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_stdin weft_stdin;
#else
typedef uint32_t weft_stdin;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Answer of a host function that may wait.
enum weft_host_poll
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The results are written.
  WEFT_HOST_POLL_READY = 0,
  // The task was registered and will be woken.
  WEFT_HOST_POLL_PENDING = 1,
  // The call of the guest ends as trapped, with the error's message.
  WEFT_HOST_POLL_TRAP = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_host_poll weft_host_poll;
#else
typedef uint32_t weft_host_poll;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a call ended.
enum weft_outcome_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The entry function returned; `results` has its values.
  WEFT_OUTCOME_KIND_RETURNED = 0,
  // The guest called exit: see `exit_code`.
  WEFT_OUTCOME_KIND_EXITED = 1,
  // The guest trapped: see `trap_name`, `message`, `backtrace`.
  WEFT_OUTCOME_KIND_TRAPPED = 2,
  // The `epoch` hook answered stop.
  WEFT_OUTCOME_KIND_STOPPED = 3,
  // A limit was reached: see `limit`, `limit_value`, `limit_asked`.
  WEFT_OUTCOME_KIND_LIMIT = 4,
  // It could not be started or the engine failed: see `error`.
  WEFT_OUTCOME_KIND_FAILED = 5,
  // All its strands wait for each other: see `message`.
  WEFT_OUTCOME_KIND_DEADLOCKED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_outcome_kind weft_outcome_kind;
#else
typedef uint32_t weft_outcome_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Traps of WebAssembly, with the numbers used here.
enum weft_trap
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The call did not trap.
  WEFT_TRAP_NONE = 0,
  WEFT_TRAP_UNREACHABLE = 1,
  WEFT_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
  WEFT_TRAP_HEAP_MISALIGNED = 3,
  WEFT_TRAP_TABLE_OUT_OF_BOUNDS = 4,
  WEFT_TRAP_INDIRECT_CALL_TO_NULL = 5,
  WEFT_TRAP_BAD_SIGNATURE = 6,
  WEFT_TRAP_INTEGER_OVERFLOW = 7,
  WEFT_TRAP_INTEGER_DIVISION_BY_ZERO = 8,
  WEFT_TRAP_BAD_CONVERSION_TO_INTEGER = 9,
  WEFT_TRAP_NULL_REFERENCE = 10,
  WEFT_TRAP_ARRAY_OUT_OF_BOUNDS = 11,
  WEFT_TRAP_CAST_FAILURE = 12,
  WEFT_TRAP_UNCAUGHT_EXCEPTION = 13,
  // A host function ended the call.
  WEFT_TRAP_HOST = 14,
  // A rule of the component model was broken.
  WEFT_TRAP_COMPONENT = 15,
  // Another one: see `trap_name`.
  WEFT_TRAP_OTHER = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_trap weft_trap;
#else
typedef uint32_t weft_trap;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which limit ended a call.
enum weft_limit
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  WEFT_LIMIT_NONE = 0,
  // All linear memories together, in bytes.
  WEFT_LIMIT_MEMORY = 1,
  // All tables together, in elements.
  WEFT_LIMIT_TABLE = 2,
  // Instances in one process.
  WEFT_LIMIT_INSTANCES = 3,
  // Linear memories in one process.
  WEFT_LIMIT_MEMORIES = 4,
  // Tables in one process.
  WEFT_LIMIT_TABLES = 5,
  // Executed instructions.
  WEFT_LIMIT_FUEL = 6,
  // Stack, in bytes.
  WEFT_LIMIT_STACK = 7,
  // Buffered output (the `write` hook answered stop).
  WEFT_LIMIT_OUTPUT = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum weft_limit weft_limit;
#else
typedef uint32_t weft_limit;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A guest's stack, innermost frame first.
typedef struct weft_backtrace weft_backtrace;

// Bytes owned by the engine: read them, then free them with `weft_bytes_free`.
typedef struct weft_bytes weft_bytes;

// The main call of one process. Used by one thread at a time, except where said otherwise.
//
// What every poll touches comes first, in one cache line.
typedef struct weft_call weft_call;

// The guest that called a host function; valid only during that call. (A `wasmtime::Caller` in disguise: see `CallerPointer`.)
typedef struct weft_caller weft_caller;

// Compiler and runtime shared by all processes. Made once, shared by all threads.
typedef struct weft_engine weft_engine;

// A thread's entry into the Tokio runtime of an engine.
typedef struct weft_enter_guard weft_enter_guard;

// An error. Owned by whoever received it.
typedef struct weft_error weft_error;

// A set of host functions. Filled by one thread, then used by any.
typedef struct weft_linker weft_linker;

// Compiled code. Counted by reference; shared by all threads.
typedef struct weft_module weft_module;

// A module linked to host functions and WASI. Counted by reference; shared by all threads.
typedef struct weft_program weft_program;

// What a process sees of the world. Filled by one thread, then shared by any number of processes; counted by reference. Standard output and error always go
// to the `write` hook. Without further calls a guest sees no arguments, no environment, no directory, no network.
typedef struct weft_wasi_config weft_wasi_config;

// Borrowed UTF-8 text, not terminated by a zero. `data` may be NULL when `size` is 0.
typedef struct weft_str {
  const char *data;
  size_t size;
} weft_str;

// A wait of a guest on a word of its shared memory.
typedef struct weft_futex_wait {
  // Of the word, aligned to its size, valid while a thread of the process lives.
  const void *address;
  // What the guest calls it, for people.
  uint64_t guest_address;
  // 4 or 8.
  uint32_t bytes;
  // What the word has to be for the guest to wait.
  uint64_t expected;
  // Nanoseconds; negative = for ever.
  int64_t timeout_ns;
} weft_futex_wait;

// The payload of a `weft_val`. Floats travel as numbers, with their bits (also of NaNs) kept; a vector as its 16 bytes, least significant first.
typedef union weft_val_payload {
  int32_t i32;
  int64_t i64;
  float f32;
  double f64;
  uint8_t v128[16];
} weft_val_payload;

// One wasm value.
typedef struct weft_val {
  weft_val_kind kind;
  union weft_val_payload of;
} weft_val;

// The table of functions that the engine calls. Copied by `weft_engine_new`.
//
// `task` is what was passed to `weft_call_poll`, `process` what was passed to `weft_call_new`. Unless said otherwise a hook is
// called on the thread that polls the call, from inside `weft_call_poll` (on the guest's own stack, so keep stack use below 32 KiB), must
// not park that thread, and must not throw. Hooks may be called from several threads at once for different calls.
typedef struct weft_hooks {
  // The task should be polled again. From any thread, at any time while the task is retained, also during its own poll. Required.
  void (*task_wake)(void *task);
  // A waker was stored somewhere: keep the task alive. Any thread. Required.
  void (*task_retain)(void *task);
  // Undoes one `task_retain`. Any thread. Required.
  void (*task_release)(void *task);
  // Asked at an epoch check, that is soon after `weft_engine_increment_epoch`. NULL = always continue.
  weft_decision (*epoch)(void *process);
  // After `epoch` answered yield: the guest thread was found in a loop that does nothing but look at memory until another thread changes it. NULL = nobody wants to know.
  void (*spinning)(void *process);
  // The guest called `sched_yield`: the poll returns pending right after this, and nothing is woken, so re-queue the task. NULL = wake it.
  void (*yield_now)(void *process);
  // Output of the guest, `stream` 1 or 2. Returns how many bytes were taken (possibly fewer than `size`, also 0), or `WEFT_WRITE_CLOSED`, or
  // `WEFT_WRITE_STOP`. After 0, `write_ready` is asked before the next try. NULL = everything is thrown away.
  int64_t (*write)(void *process, uint32_t stream, const uint8_t *data, size_t size);
  // How many bytes may be written now; 0 = none yet, `task` was registered and will be woken when it is worth asking again; or
  // `WEFT_WRITE_CLOSED`, `WEFT_WRITE_STOP`. NULL = 64 KiB at any time. `task` may be NULL: then only the number is wanted.
  int64_t (*write_ready)(void *process, uint32_t stream, void *task);
  // Input of the guest, asked when its stdin is `WEFT_STDIN_HOOK`: bytes read (> 0), 0 = end of input, `WEFT_READ_PENDING`. `task` may be
  // NULL: then pending means only "nothing yet". NULL = no input.
  int64_t (*read)(void *process, uint8_t *buffer, size_t capacity, void *task);
  // The guest sleeps until `deadline_ns` of the monotonic clock. First call: `*op` is NULL; when it answers pending it may leave its state
  // there. Called again with the same `op` after a wake-up. When ready, `*op` has to be released by the hook and set to NULL.
  // NULL = Tokio's timer.
  weft_poll (*sleep)(void *process, uint64_t deadline_ns, void *task, void **op);
  // The guest stops waiting for the sleep (its call is dropped): release `op`. Called at most once, only with the non-NULL `op` of a pending sleep; from the thread
  // that polls or drops the call. Required if `sleep` is given.
  void (*sleep_drop)(void *process, void *op);
  // A guest thread waits on a word of shared memory (`memory.atomic.wait32`, `wait64`). First call: `*op` is NULL; the word is compared and the thread queued in one step. When
  // pending it leaves its state in `*op`, and is called again with it after a wake-up; else `*op` is NULL afterwards. The word is accessed atomically: the guest's
  // threads change it. NULL = programs with threads are refused.
  weft_futex_poll (*futex_wait)(void *process, const struct weft_futex_wait *wait, void *task, void **op);
  // The guest thread stops waiting (its call is dropped): release `op`. As `sleep_drop`.
  void (*futex_drop)(void *process, void *op);
  // Wakes up to `count` threads that wait on the word, the longest waiting first; returns how many (`memory.atomic.notify`).
  uint32_t (*futex_notify)(void *process, const void *address, uint32_t count);
  // A guest calls `wasi.thread-spawn`: makes a call for the new thread with `weft_call_new_thread` and sees to it that it is polled. Returns the thread's id (1 to 2^29 - 1),
  // or a negative number, which the guest gets as an error.
  int32_t (*thread_spawn)(void *process, int32_t argument);
  // A strand that `weft_call_spawn_strand` asked for has returned these values (borrowed), or could not begin (`error`, owned by the hook then; else NULL). Once for each, unless
  // the call ends first. NULL = nobody wants to know.
  void (*strand_finished)(void *process, uint64_t token, const struct weft_val *results, size_t nresults, struct weft_error *error);
  // The monotonic clock that the guest sees, in nanoseconds; its deadlines are of the same clock. NULL = CLOCK_MONOTONIC.
  uint64_t (*monotonic_now)(void *process);
  // The wall clock that the guest sees, in nanoseconds since 1970 (UTC). NULL = CLOCK_REALTIME.
  uint64_t (*wall_now)(void *process);
} weft_hooks;

// How an engine is set up. Fill it with `weft_engine_config_default` first, then change what differs.
typedef struct weft_engine_config {
  struct weft_hooks hooks;
  // Where compiled code is kept between runs; empty = nowhere. A directory that cannot be made or written is not an error: see `weft_engine_warning`.
  struct weft_str cache_directory;
  // The cache is cut back to this size, oldest entries first. Default 1 GiB.
  uint64_t cache_bytes_max;
  // Count executed instructions, so that `weft_limits.fuel` works. Costs guests 10 % and more. Default false.
  bool fuel;
  // Compile epoch checks in, so that guests can be preempted and stopped. Default true.
  bool epochs;
  // Default async. Programs with strands run on continuations always.
  weft_fibers fibers;
  // Compile core modules without shared memory so that strands can run in them, also those that do not import them: see `weft_call_spawn_strand`. Default false.
  bool strands;
  // Compile programs with strands so that one that does not yield is interrupted in favour of the others. Default false.
  bool strands_preemptive;
  // Strands of one process at once. Each that has run takes two memory mappings. Default 1,000,000.
  uint32_t strands_max;
  // The stack that each strand of a C, C++ or Rust program gets in the program's own memory. Default 64 KiB.
  uint32_t strand_stack_bytes;
  // Keep instances, memories and stacks in a pool made at start: spawning takes microseconds and few system calls. Default true.
  bool pooling;
  // Slots in the pool: how many processes without threads can live at once. Default 1,000.
  uint32_t slots_max;
  // Slots of another pool, made when the first program with threads is compiled: how many guest threads can live at once, the first one of each such process included.
  // Default 1,000.
  uint32_t thread_slots_max;
  // Address space set aside for each linear memory. 4 GiB and more = accesses need no bounds checks; less = checks are compiled in, and more
  // processes fit into the address space. Default 4 GiB.
  uint64_t memory_reservation_bytes;
  // How large a linear memory of the pool can grow. Default 4 GiB; never above the reservation when pooling.
  uint64_t memory_bytes_max;
  // Stack of a guest call, before it ends with `WEFT_LIMIT_STACK`. Host functions get 256 KiB on top. Default 512 KiB.
  uint64_t stack_bytes;
  // Default speed.
  weft_optimize optimize;
  // Keep what backtraces need to name source files and lines (read lazily from the module's DWARF sections). Default true.
  bool debug_info;
  // WebAssembly proposals, as bits (`weft_feature_find`). Default: what `weft_features_default` returns.
  uint64_t features;
  // Bytes of a pooled linear memory that are cleared by hand rather than given back to the operating system when a process ends. Default 64 KiB.
  uint64_t memory_keep_resident_bytes;
  // Above 0, stacks are cleared when a process ends: so much of them by hand, the rest by giving it back to the operating system (a system call for each process). 0 = they are
  // not: what a process left on its stack stays there for the next one, which cannot see it unless the compiler has a bug, and what a deep recursion touched stays resident. Default 0.
  uint64_t stack_keep_resident_bytes;
  // As for memories, for tables. Default 4 KiB.
  uint64_t table_keep_resident_bytes;
  // Bound on the threads that blocking file operations of guests use. Default 64.
  uint32_t blocking_threads_max;
} weft_engine_config;

// How to compile.
typedef struct weft_module_options {
  // What to call the module in backtraces, e.g. the file name; may be empty.
  struct weft_str name;
  // Look in the cache first, and put the result there.
  bool cache;
} weft_module_options;

// One line of a backtrace. Strings are borrowed from the backtrace and empty where unknown.
typedef struct weft_frame {
  // The module, as named when it was compiled.
  struct weft_str module;
  // The function, demangled.
  struct weft_str function;
  // Source file, if the module carries DWARF.
  struct weft_str file;
  // From 1; 0 = unknown.
  uint32_t line;
  // From 1; 0 = unknown.
  uint32_t column;
  // Index of the function in its module.
  uint32_t function_index;
  // This function was inlined into the next frame's function.
  bool inlined;
  // Offset of the instruction in the module's file; UINT64_MAX = unknown.
  uint64_t offset;
} weft_frame;

// An immediate host function. Returns NULL, or an error (owned by the engine from then on) that ends the guest's call. `results` has `nresults` values of the
// declared kinds, all zero. Runs on the guest's stack: keep stack use below 32 KiB, do not park, do not throw.
typedef struct weft_error *(*weft_host_fn)(void *env,
                                           void *process,
                                           struct weft_caller *caller,
                                           const struct weft_val *args,
                                           size_t nargs,
                                           struct weft_val *results,
                                           size_t nresults);

// Releases `env` when the last program that uses it is gone. Any thread. May be NULL.
typedef void (*weft_env_drop_fn)(void *env);

// A host function that may wait. First called with `*op` NULL; while it answers pending it is called again, with the same arguments and `op`, after `task`
// was woken (or without reason). With `WEFT_HOST_POLL_TRAP` it sets `*error`. Rules of `weft_host_fn` apply.
typedef weft_host_poll (*weft_host_poll_fn)(void *env,
                                            void *process,
                                            struct weft_caller *caller,
                                            void **op,
                                            const struct weft_val *args,
                                            size_t nargs,
                                            struct weft_val *results,
                                            size_t nresults,
                                            void *task,
                                            struct weft_error **error);

// Releases the state of a host function that may wait: called exactly once for each `op` that is not NULL when the function was ready, trapped or was cancelled.
// From the thread that polls or drops the call.
typedef void (*weft_host_drop_fn)(void *env, void *process, void *op);

// What one process may use. `weft_call_config_default` sets all of them to `WEFT_UNLIMITED`. Growing beyond one ends the process.
typedef struct weft_limits {
  // All linear memories together.
  uint64_t memory_bytes;
  // All tables together.
  uint64_t table_elements;
  uint64_t instances;
  uint64_t memories;
  uint64_t tables;
  // Executed instructions, roughly; needs an engine with `fuel`.
  uint64_t fuel;
} weft_limits;

// Owned by the C++ side and kept alive until the call is dropped. Written by the thread that polls the call, with relaxed atomic stores, readable from any thread with relaxed
// atomic loads; publishes nothing else.
typedef struct weft_counters {
  // Size of all linear memories together.
  uint64_t memory_bytes;
  // The most that was.
  uint64_t memory_bytes_max;
  // Host functions called: WASI preview 1 and those of the linker (WASI calls of components are not counted).
  uint64_t host_calls;
  // Fuel used; brought up to date at epoch checks and at the end.
  uint64_t fuel_consumed;
} weft_counters;

// How to start a process. Fill it with `weft_call_config_default` first. Everything in it is borrowed for `weft_call_new` only, except `counters`.
typedef struct weft_call_config {
  // What the process sees of the world; NULL = nothing, and a program that imports WASI then sees an empty world.
  const struct weft_wasi_config *wasi;
  // The exported function to call; empty = `_start`, or `wasi:cli/run` of a component. A reactor's `_initialize` is called before it.
  struct weft_str entry;
  // Values to pass, for core modules. Either these, or `text_args`.
  const struct weft_val *args;
  size_t nargs;
  // Values to pass, as text, read according to the function's type: numbers for core modules, WAVE notation for components.
  const struct weft_str *text_args;
  size_t ntext_args;
  struct weft_limits limits;
  // Of a program with strands: the process goes on when its entry has returned, for the strands that are asked for, until `weft_call_finish_strands`. If `entry` is empty and
  // there is no `_start`, nothing but a reactor's initialisation is called. Default false.
  bool resident;
  // Of a program with strands: it stays when all of them wait for each other, until it is stopped. Default false.
  bool ignore_deadlock;
  // May be NULL.
  struct weft_counters *counters;
} weft_call_config;

// How a call ended. Everything is borrowed from the call.
typedef struct weft_outcome {
  weft_outcome_kind kind;
  // With `WEFT_OUTCOME_KIND_EXITED`: what the guest passed to exit (also 0). A component that returns failure from `run` counts as exit(1).
  int32_t exit_code;
  weft_trap trap_code;
  // Which limit was reached.
  weft_limit limit;
  // The limit's value.
  uint64_t limit_value;
  // What the guest asked for, or 0 where that makes no sense.
  uint64_t limit_asked;
  // Short name of the trap ("unreachable", "out of bounds memory access").
  struct weft_str trap_name;
  // One line about what happened; empty when returned or exited.
  struct weft_str message;
  // With `WEFT_OUTCOME_KIND_RETURNED`: `results_size` values. Results that are references are left out here and named in `results_text`.
  const struct weft_val *results;
  size_t results_size;
  // The results as text, separated by spaces; of components in WAVE notation.
  struct weft_str results_text;
  // Where the guest was, if it trapped or reached a limit while running; NULL if unknown.
  const struct weft_backtrace *backtrace;
  // With `WEFT_OUTCOME_KIND_FAILED`: why; else NULL.
  const struct weft_error *error;
} weft_outcome;

// Receives a backtrace, exactly once: the guest's stack, or NULL if the call ended first or could not look at its stack. Borrowed for the call. From the
// thread that polls or drops the call, on the guest's stack.
typedef void (*weft_backtrace_fn)(void *context, const struct weft_backtrace *backtrace);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The bytes of `bytes`, borrowed until it is freed. Any thread.
const uint8_t *weft_bytes_data(const struct weft_bytes *bytes);

// How many bytes there are. Any thread.
size_t weft_bytes_size(const struct weft_bytes *bytes);

// Frees `bytes`; NULL is allowed. Any thread.
void weft_bytes_free(struct weft_bytes *bytes);

// Makes an error, for a host function to return: its call ends as trapped with `message`. Any thread.
struct weft_error *weft_error_new(weft_error_code kind, struct weft_str message);

// The kind of `error`. Any thread.
weft_error_code weft_error_kind(const struct weft_error *error);

// One line, without a full stop, borrowed from `error`. Any thread.
struct weft_str weft_error_message(const struct weft_error *error);

// Everything known (chain of causes, lists), several lines, possibly empty; borrowed from `error`. Any thread.
struct weft_str weft_error_detail(const struct weft_error *error);

// Frees `error`; NULL is allowed. Any thread.
void weft_error_free(struct weft_error *error);

// Writes the default settings to `config`: hooks all NULL. Any thread.
void weft_engine_config_default(struct weft_engine_config *config);

// Makes an engine. Takes milliseconds, and with `pooling` maps the address space of the whole pool. Errors: BadArgument, ResourceExhausted. Any thread.
struct weft_error *weft_engine_new(const struct weft_engine_config *config,
                                   struct weft_engine **engine);

// Frees the engine; NULL is allowed. Calls, programs, linkers and modules made from it should be gone. Not from a thread that has entered it. Waits for
// blocking operations under way for at most a second.
void weft_engine_free(struct weft_engine *engine);

// Ends the threads that serve files, sockets and timers of guests, which may still hold wakers, and with them tasks of guests that have ended. Waits for blocking operations
// under way for at most a second. No guest runs after this; again does nothing. Not from a thread that has entered the engine, and not from one of these threads.
void weft_engine_stop_io(const struct weft_engine *engine);

// Makes every running guest ask its `epoch` hook at its next check. Any thread, at any time, also inside hooks.
void weft_engine_increment_epoch(const struct weft_engine *engine);

// What went wrong without being an error, in one line, e.g. a cache that cannot be written; empty if nothing (so far). Borrowed. Any thread.
struct weft_str weft_engine_warning(const struct weft_engine *engine);

// Name and version of what runs the guests: "wasmtime 48.0.8". Static. Any thread.
struct weft_str weft_engine_version(void);

// Enters the engine's Tokio runtime on this thread, as every thread that polls or drops calls must, once. The guard is freed on the same
// thread, in reverse order if there are several.
struct weft_enter_guard *weft_engine_enter(const struct weft_engine *engine);

// Leaves the runtime; on the thread that entered it. NULL is allowed.
void weft_enter_guard_free(struct weft_enter_guard *guard);

// The WebAssembly proposals that are on by default, as bits. Any thread.
uint64_t weft_features_default(void);

// The proposals that can be turned on at all. Any thread.
uint64_t weft_features_known(void);

// The bit of the proposal called `name` ("simd", "threads", "memory64", ...), or 0 if there is none. Any thread.
uint64_t weft_feature_find(struct weft_str name);

// The name of the proposal with this bit, or an empty string. Static. Any thread.
struct weft_str weft_feature_name(uint64_t bit);

// Says what the bytes look like. Any thread.
weft_module_kind weft_module_detect(const uint8_t *bytes, size_t size);

// Compiles text, a core module or a component; blocks, possibly for many seconds. `options` may be NULL: no name, and the cache is used. Precompiled bytes are refused (BadArgument): they are
// machine code, and loading them is a decision of its own. Errors: InvalidModule, UnsupportedFeature, BadArgument, ResourceExhausted. Any thread.
struct weft_error *weft_module_compile(const struct weft_engine *engine,
                                       const uint8_t *bytes,
                                       size_t size,
                                       const struct weft_module_options *options,
                                       struct weft_module **module);

// Loads what `weft_module_serialize` returned. DANGER: the bytes are machine code that runs with all rights of this process. Only load what you
// trust as you trust a shared library; damage is not found. `options` may be NULL. Errors: NotPrecompiledForThisEngine, BadArgument. Any thread.
struct weft_error *weft_module_load_precompiled(const struct weft_engine *engine,
                                                const uint8_t *bytes,
                                                size_t size,
                                                const struct weft_module_options *options,
                                                struct weft_module **module);

// The machine code as bytes, to be loaded by an engine of the same version and settings. Errors: Internal. Any thread.
struct weft_error *weft_module_serialize(const struct weft_module *module, struct weft_bytes **bytes);

// One more owner. Any thread.
void weft_module_retain(const struct weft_module *module);

// One owner less; NULL is allowed. Any thread.
void weft_module_free(const struct weft_module *module);

// Whether it is a component. Any thread.
bool weft_module_is_component(const struct weft_module *module);

// Whether its processes share memory between threads: it imports or defines a memory that is shared. Any thread.
bool weft_module_has_threads(const struct weft_module *module);

// Whether its processes have strands. Any thread.
bool weft_module_has_strands(const struct weft_module *module);

// How it is started. Any thread.
weft_entry weft_module_entry(const struct weft_module *module);

// Whether it exports a function of that name. Any thread.
bool weft_module_exports_function(const struct weft_module *module, struct weft_str name);

// Whether it is a core module that imports anything from the module of that name. Any thread.
bool weft_module_imports_from(const struct weft_module *module, struct weft_str name);

// Whether it came out of the cache. Any thread.
bool weft_module_from_cache(const struct weft_module *module);

// Describes text, a core module or a component as JSON (UTF-8, one object; its fields are in docs/design/engine.md): imports and who provides them, exports,
// memories, tables, needed proposals, and whether this engine can run it and if not why. `engine` may be NULL: the default settings are assumed then.
// Errors: InvalidModule (not valid with all proposals on), BadArgument (precompiled). Any thread.
struct weft_error *weft_inspect(const struct weft_engine *engine,
                                const uint8_t *bytes,
                                size_t size,
                                struct weft_bytes **json);

// Makes an empty one. Any thread.
struct weft_error *weft_wasi_config_new(struct weft_wasi_config **config);

// One more owner; from now on it must not be changed. Any thread.
void weft_wasi_config_retain(const struct weft_wasi_config *config);

// One owner less; NULL is allowed. Any thread.
void weft_wasi_config_free(const struct weft_wasi_config *config);

// Appends an argument; the first one is the program's name. Errors: BadArgument (not UTF-8, or with a zero byte).
struct weft_error *weft_wasi_config_arg(struct weft_wasi_config *config, struct weft_str argument);

// Sets an environment variable; the last setting of a name counts. Errors: BadArgument (not UTF-8, a zero byte, a name that is empty or contains "=").
struct weft_error *weft_wasi_config_env(struct weft_wasi_config *config,
                                        struct weft_str name,
                                        struct weft_str value);

// Sets all environment variables of this process that are UTF-8.
struct weft_error *weft_wasi_config_inherit_env(struct weft_wasi_config *config);

// Gives the guest the directory `host`, under the name `guest`. Errors: Io (missing, not a directory, no permission; names the path), BadArgument.
struct weft_error *weft_wasi_config_dir(struct weft_wasi_config *config,
                                        struct weft_str host,
                                        struct weft_str guest,
                                        bool read_only);

// Where standard input comes from; default empty.
void weft_wasi_config_stdin(struct weft_wasi_config *config, weft_stdin mode);

// What the guest is told when it asks whether stream 0, 1 or 2 is a terminal; default no. (With inherited standard input the truth about that is told.)
void weft_wasi_config_terminal(struct weft_wasi_config *config,
                               uint32_t stream,
                               bool terminal);

// What the guest may do on the network: `WEFT_NETWORK_*` bits; default nothing.
void weft_wasi_config_network(struct weft_wasi_config *config, uint32_t flags);

// How many frames there are. Any thread.
size_t weft_backtrace_size(const struct weft_backtrace *backtrace);

// Writes frame `index` (0 = innermost) to `frame`. False if there is no such frame. Any thread.
bool weft_backtrace_frame(const struct weft_backtrace *backtrace, size_t index, struct weft_frame *frame);

// Frees a backtrace of which somebody became the owner; NULL is allowed. Any thread.
void weft_backtrace_free(struct weft_backtrace *backtrace);

// The memory that the calling guest exports as "memory", or that its threads share: false if there is none. Valid until the host function returns (ready or pending). In a host
// function. Memory that threads share may change while it is looked at: copy out once, then check the copy.
bool weft_caller_memory(struct weft_caller *caller,
                        uint8_t **base,
                        size_t *size);

// The guest's stack at this host call, owned by whoever asks (`weft_backtrace_free`). In a host function.
struct weft_backtrace *weft_caller_backtrace(struct weft_caller *caller);

// Makes an empty set. WASI needs no entry here: programs that import it get it. Any thread.
struct weft_error *weft_linker_new(const struct weft_engine *engine, struct weft_linker **linker);

// Frees the set; NULL is allowed. Programs made from it stay valid. Any thread.
void weft_linker_free(struct weft_linker *linker);

// Defines an immediate host function for core modules (components cannot import it). A function of WASI preview 1 is replaced by one of the same name. On failure
// `drop_env` is called before this returns. Errors: BadArgument (defined twice, a name that is not UTF-8, `function` NULL). One thread at a time.
struct weft_error *weft_linker_define(struct weft_linker *linker,
                                      struct weft_str module,
                                      struct weft_str name,
                                      const weft_val_kind *params,
                                      size_t nparams,
                                      const weft_val_kind *results,
                                      size_t nresults,
                                      weft_host_fn function,
                                      void *env,
                                      weft_env_drop_fn drop_env);

// Defines a host function that may wait. `drop_op` may be NULL if `op` is never set. Otherwise like `weft_linker_define`.
struct weft_error *weft_linker_define_async(struct weft_linker *linker,
                                            struct weft_str module,
                                            struct weft_str name,
                                            const weft_val_kind *params,
                                            size_t nparams,
                                            const weft_val_kind *results,
                                            size_t nresults,
                                            weft_host_poll_fn poll,
                                            weft_host_drop_fn drop_op,
                                            void *env,
                                            weft_env_drop_fn drop_env);

// Links `module`: host functions of `linker` first, then WASI if the module imports it (preview 1 for core modules, 0.2 and 0.3 for components). Keeps the module alive.
// Errors: MissingImport, BadArgument. Any thread.
struct weft_error *weft_program_new(const struct weft_linker *linker,
                                    const struct weft_module *module,
                                    struct weft_program **program);

// One more owner. Any thread.
void weft_program_retain(const struct weft_program *program);

// One owner less; NULL is allowed. Any thread.
void weft_program_free(const struct weft_program *program);

// Writes the default settings to `config`. Any thread.
void weft_call_config_default(struct weft_call_config *config);

// Prepares a call; nothing of the guest runs before the first poll, and no slot of the pool is taken. `process` is passed to all hooks. Errors: NoEntryPoint, BadArgument. Any thread.
struct weft_error *weft_call_new(const struct weft_program *program,
                                 const struct weft_call_config *config,
                                 void *process,
                                 struct weft_call **call);

// Prepares the call of another thread of the process whose thread `parent` is being polled: for the `thread_spawn` hook, and only there. `id` and `argument` are what
// `wasi_thread_start` is called with; limits are those of the process, of which memory is counted together, fuel for each thread. `process` is passed to all hooks of the new
// call; `counters` may be NULL. The first call of the process has to be dropped last. Errors: NoEntryPoint.
struct weft_error *weft_call_new_thread(const struct weft_call *parent,
                                        int32_t id,
                                        int32_t argument,
                                        struct weft_counters *counters,
                                        void *process,
                                        struct weft_call **call);

// Asks for a strand that calls the exported function `function` with `args`, and is known to the host as `token`: it is made by the next poll, so wake the task after this. The hook
// `strand_finished` is told of its end, on the polling thread. Errors: BadArgument (the program has no strands; arguments of other types), NoEntryPoint. Any thread, while the call
// is alive.
struct weft_error *weft_call_spawn_strand(const struct weft_call *call,
                                          struct weft_str function,
                                          const struct weft_val *args,
                                          size_t nargs,
                                          uint64_t token);

// A resident process is to end with the last of its strands; wake the task after this. Any thread, while the call is alive.
void weft_call_finish_strands(const struct weft_call *call);

// Runs the call until it ends (ready) or waits (pending). `task` is borrowed for the poll; wakers that outlive it retain it. Not called again after ready. On a thread that has
// entered the engine; another poll may be on another thread.
weft_poll weft_call_poll(struct weft_call *call,
                         void *task);

// Ends the call wherever it is, and frees it; NULL is allowed. Its stack is unwound, waiting host functions are cancelled. On a thread that has entered the engine.
void weft_call_drop(struct weft_call *call);

// How the call ended; only after ready. Borrowed until the call is dropped.
void weft_call_outcome(const struct weft_call *call, struct weft_outcome *outcome);

// After a pending poll: the host function that is waited in ("wasi poll_oneoff", "env.my_function"); empty if the call yielded. Lives as long as the program. Any thread.
struct weft_str weft_call_waiting_for(const struct weft_call *call);

// Asks for the guest's stack, taken at the next epoch check or at the next poll while the guest waits in a host function: so wake the task and increment the
// epoch after this. False if another request is under way, or the call ended. Any thread, while the call is alive.
bool weft_call_request_backtrace(const struct weft_call *call,
                                 weft_backtrace_fn callback,
                                 void *context);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WEFT_ENGINE_H */
