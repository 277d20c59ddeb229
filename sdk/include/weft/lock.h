// Mutexes and semaphores that processes of one runtime share by name, and that survive the death of who holds them.
//
//   int ledger = weft_lock_open("ledger", 6, 1);          // 1 permit: a mutex
//   int error = weft_lock_acquire(ledger, -1);
//   if (error == EOWNERDEAD) repair();                    // it is ours; who had it before ended with it in hand
//   …
//   weft_lock_release(ledger);
//
// For guests, in C and C++; the program has to be run by Weft. A permit belongs to the process, not to one of its threads. Who waits is served in order; a wait
// parks the guest, not a thread of the host. What a process still has when it ends is given back, and the next one is told, once.
//
// Times and errors are as in weft/process.h: EAGAIN 6  EBADF 8  EDEADLK 16  EINVAL 28  EMFILE 33  ENOSPC 51  EOWNERDEAD 62  EPERM 63
// ETIMEDOUT 73
#ifndef WEFT_LOCK_H
#define WEFT_LOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_LOCK_IMPORT(name) __attribute__((__import_module__("weft_lock"), __import_name__(name)))

// A handle to the lock of that name (1 to 255 bytes), which is made if nobody has it open. Again: the same handle. It is closed when the process ends.
//   -EINVAL    no permits, or not as many as others have opened it with; no name
//   -EMFILE    the process has 256 handles       -ENOSPC  there are too many locks
WEFT_LOCK_IMPORT("open")
int weft_lock_open(const char* name, uint32_t name_size, uint32_t permits);

// Takes a permit. 0 and EOWNERDEAD: it is this process's.
//   EDEADLK    a mutex that this process has already
//   EAGAIN     timeout 0: none is free            ETIMEDOUT         EBADF
WEFT_LOCK_IMPORT("acquire")
int weft_lock_acquire(int lock, int64_t timeout_ns);

// Gives one back. EPERM: this process has none. EBADF
WEFT_LOCK_IMPORT("release")
int weft_lock_release(int lock);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_LOCK_H
