// Strands: thousands of fibers inside one WebAssembly instance, each with a stack of its own, scheduled without leaving
// the sandbox.
//
//   static int hello(void* name) { printf("hello, %s\n", (const char*)name); return 7; }
//
//   weft_strand_t strand = weft_strand_spawn(hello, "world", WEFT_STRAND_NORMAL);
//   if (strand < 0) return (int)-strand;            // an errno
//   int result = (int)weft_strand_join(strand);     // 7
//
// For guests, in C and C++; the program has to be run by Weft. All strands share the instance's memory, and one of them
// runs at a time. Another one runs when the one that runs waits (in a function below, or in one of the host's: read,
// nanosleep, …), and, only if the host was told to preempt strands, anywhere else too. The program's `main` is a strand
// itself; when it returns, the process ends, with all other strands.
//
// Who is next: the strand that has been ready for longest, of the highest level that has one that is ready. So that
// lower levels go on as well, each 16th choice falls on the second highest of the levels that have a ready strand, and
// each 256th on the third highest (on the lowest, if there are not so many).
//
// All functions may be called by any strand. Errors are the numbers of <errno.h> in WASI: EAGAIN 6, EDEADLK 16, EINVAL
// 28, ENOSYS 52, ESRCH 71, ETIMEDOUT 73. Functions that answer with an id or a result answer with -errno instead; those
// that answer with an int answer with errno itself, 0: done. No value of an argument does harm: ids that are unknown,
// or of strands that are gone, are told from others.
#ifndef WEFT_STRAND_H
#define WEFT_STRAND_H

#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_STRAND_IMPORT(name) __attribute__((__import_module__("weft_strand"), __import_name__(name)))

// Strands get their stacks from the program's malloc, so it has to be in the program. Weft finds it by its name: a program without the
// name section (linked with -s) has to export it (-Wl,--export=malloc).
__attribute__((__used__)) static void* (*const weft_strand_needs_malloc)(size_t) = malloc;

// The name of a strand: positive, and not used again for another one before its record has been used 2^31 times. 0 is
// no strand.
typedef int64_t weft_strand_t;

// Levels of priority.
enum {
  WEFT_STRAND_LOW = 0,
  WEFT_STRAND_NORMAL = 1,
  WEFT_STRAND_HIGH = 2,
};

// Makes a strand that will call `function(argument)`, and goes on: the new one is last in the queue of its level. It
// has to be joined or detached once, or its result is kept until the process ends. A strand that has not run yet costs
// 64 bytes; its stack is made when it first runs, and used again after it. Does not wait. The strand's id, or:
//   -EAGAIN  the process has as many strands as it may (those count that have ended and are not joined), or there is no memory for it
//   -EINVAL  there is no such level
//   -ENOSYS  the program has no function that strands can begin with
WEFT_STRAND_IMPORT("spawn")
weft_strand_t weft_strand_spawn(int (*function)(void*), void* argument, int priority);

// Lets others have a turn that are ready: this strand goes to the end of the queue of its level. If nobody is ready it
// goes on at once; but something that only the host can bring about should not be waited for in this way.
WEFT_STRAND_IMPORT("yield")
void weft_strand_yield(void);

// The strand that calls. Does not wait.
WEFT_STRAND_IMPORT("self")
weft_strand_t weft_strand_self(void);

// Waits until somebody calls weft_strand_unpark for this strand. If somebody has done so since it last returned from a
// park, it takes that permit and returns at once. There is one permit at most: two unparks before a park are as good as
// one. (As java.util.concurrent.locks.LockSupport has it.) Returns without having waited where no other strand can run:
// in the program's allocator, while it is asked for a new strand's stack. So: in a loop, with what is waited for.
WEFT_STRAND_IMPORT("park")
void weft_strand_park(void);

// The same, but not for longer than until `deadline_ns`, a time of weft_strand_now. 0: unparked; ETIMEDOUT: the
// deadline has passed (or had, when it was called).
WEFT_STRAND_IMPORT("park_until")
int weft_strand_park_until(int64_t deadline_ns);

// Wakes a strand from its park, or gives it the permit if it is not in one. Does not wait, nor let the other one run at
// once. 0, or:
//   ESRCH    it has ended, or never was
WEFT_STRAND_IMPORT("unpark")
int weft_strand_unpark(weft_strand_t strand);

// Waits for the end of a strand. What its function has returned, as an unsigned number (so `(int)` of it is what was
// returned), or:
//   -EDEADLK  it is the one that calls. That two wait for each other is NOT found out: they wait for ever
//   -ESRCH    it was joined or detached, or never was; or it is the program's main strand
//   -EINVAL   another one is waiting for it
WEFT_STRAND_IMPORT("join")
int64_t weft_strand_join(weft_strand_t strand);

// Nobody will join this strand: it is forgotten when it ends, or now if it has. Does not wait. 0, or:
//   ESRCH    it was joined or detached, or never was; or it is the program's main strand
//   EINVAL   somebody is waiting for it
WEFT_STRAND_IMPORT("detach")
int weft_strand_detach(weft_strand_t strand);

// Waits for so many nanoseconds, counted from the call, at least; 0 or less: weft_strand_yield. Sleepers with the same
// deadline wake in the order in which they went to sleep. An unpark does not end it. If other strands keep running
// without coming to a point where the host is asked, it lasts longer.
WEFT_STRAND_IMPORT("sleep")
void weft_strand_sleep(int64_t ns);

// The clock of deadlines: monotonic, in nanoseconds, from an unspecified beginning. Does not wait.
WEFT_STRAND_IMPORT("now")
int64_t weft_strand_now(void);

// Gives a strand another level. One that is ready keeps its place, and has the new level from the next time on that it
// becomes ready. Does not wait. 0, or:
//   EINVAL   there is no such level
//   ESRCH    it has ended, or never was
WEFT_STRAND_IMPORT("set_priority")
int weft_strand_set_priority(weft_strand_t strand, int level);

// How many strands there are that have not ended, the main strand included. Does not wait.
WEFT_STRAND_IMPORT("count")
int weft_strand_count(void);

#undef WEFT_STRAND_IMPORT

#ifdef __cplusplus
}
#endif

#endif  // WEFT_STRAND_H
