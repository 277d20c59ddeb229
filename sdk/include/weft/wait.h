// Wait sets: one wait for many things: messages, channels, topics, timers, events, the ends of processes and threads; for any of them, for all, or for so many.
//
//   int set = weft_wait_set_new();
//   weft_wait_add(set, 1, WEFT_WAIT_MAILBOX, 0);
//   weft_wait_add(set, 2, WEFT_WAIT_READABLE, jobs);                 // a receiver of a channel
//   weft_wait_add(set, 3, WEFT_WAIT_TIMER, 5000000000);              // five seconds from now
//   weft_wait_event_t events[3];
//   int count = weft_wait(set, events, 3, 1, -1);                    // events[0].key: 1, 2 or 3
//
// For guests, in C and C++; the program has to be run by Weft. What is ready is reported as long as it is ready, in turn: take what it is about, or it is reported
// again. A member that will never be ready any more is reported once as gone, and is none from then on. A wait parks the guest, not a thread of the host; several
// threads may wait at one set, and members may be added and removed meanwhile.
//
// Sets and events are handles (weft/process.h). A set is its process's own; events can be granted to others (weft_grant).
//
// Times and errors are as in weft/process.h: EAGAIN 6  EBADF 8  ECANCELED 11  EDEADLK 16  EDQUOT 19  EEXIST 20  EINVAL 28  EMFILE 33  ENOENT 44  ENOSPC 51  ESRCH 71
// ETIMEDOUT 73
#ifndef WEFT_WAIT_H
#define WEFT_WAIT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_WAIT_IMPORT(name) __attribute__((__import_module__("weft_wait"), __import_name__(name)))

// What a member is, and what `argument` says of it.
enum {
  WEFT_WAIT_PROCESS = 0,   // the end of a process: its id. ESRCH: there is none, or it has ended. EDEADLK: one's own
  WEFT_WAIT_READABLE = 1,  // a receiver of a channel: its handle. A receive would not wait
  WEFT_WAIT_WRITABLE = 2,  // a sender: its handle. A send of a small message would not wait
  WEFT_WAIT_MAILBOX = 3,   // one's own: nothing. There is a message, of whatever kind
  WEFT_WAIT_TOPIC = 4,     // a subscription: its handle
  WEFT_WAIT_TIMER = 5,     // nanoseconds from now. Ready once they are over, and from then on
  WEFT_WAIT_EVENT = 6,     // its handle. Ready while it is set
  WEFT_WAIT_THREAD = 7,    // the end of a thread of one's own process: its id, as thread_spawn gave it, or weft_thread_self(). It may have ended.
                           // ESRCH: no thread has had it. EDEADLK: 0, the first thread, with which the process ends
};

#define WEFT_WAIT_ALL 0xffffffffu
#define WEFT_WAIT_MEMBERS_MAX 1024u

typedef struct weft_wait_event {
  uint64_t key;
  uint32_t gone;  // 1: it will never be ready any more
  uint32_t reserved;
} weft_wait_event_t;

// An empty set of up to WEFT_WAIT_MEMBERS_MAX members. Its handle, or -EMFILE: the process has 256, or 16 of sets. weft_drop closes it, and ends waits for it.
WEFT_WAIT_IMPORT("set_new")
int weft_wait_set_new(void);

// Adds a member under a key of one's own. The same thing may be in it under several.
//   EBADF      no such set; or the argument is no such handle
//   EEXIST     the key is taken              ENOSPC  the set is full
//   EINVAL     there is no such kind         ESRCH, EDEADLK: see above
WEFT_WAIT_IMPORT("add")
int weft_wait_add(int set, uint64_t key, uint32_t kind, int64_t argument);

// ENOENT: there is no such member (any more). EBADF
WEFT_WAIT_IMPORT("remove")
int weft_wait_remove(int set, uint64_t key);

// Waits until `least` members are ready at the same time (1 and more; WEFT_WAIT_ALL: all there are), and stores up to `most` events. How many, or:
//   -EINVAL    least is 0 or more than most; most is 0 or more than WEFT_WAIT_MEMBERS_MAX; there are more than `most` to wait for all of them
//   -ECANCELED the set was dropped meanwhile
//   -EAGAIN    timeout 0: not so many are ready     -ETIMEDOUT     -EBADF     -EDQUOT
WEFT_WAIT_IMPORT("wait")
int weft_wait(int set, weft_wait_event_t* events, uint32_t most, uint32_t least, int64_t timeout_ns);

// A switch that others wait for, not set. Its handle, or -EMFILE. When nobody has it any more and it is not set, it is gone.
WEFT_WAIT_IMPORT("event_new")
int weft_event_new(void);

// Lets everybody pass who waits, and whoever comes before it is reset. EBADF EDQUOT
WEFT_WAIT_IMPORT("event_set")
int weft_event_set(int event);

// Those that were waiting when it was set have passed all the same. EBADF
WEFT_WAIT_IMPORT("event_reset")
int weft_event_reset(int event);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_WAIT_H
