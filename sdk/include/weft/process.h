// Messages, links, monitors, names and grants: how the processes of one runtime work together, as in Erlang.
//
//   int64_t printer = weft_whereis("printer", 7);
//   weft_send(printer, 1, "hello", 5, -1);
//
//   char buffer[256];
//   weft_message_t message;
//   int error = weft_receive(NULL, 0, WEFT_ANY, buffer, sizeof buffer, &message, -1);
//
// For guests, in C and C++; the program has to be run by Weft. Any thread of the process may call any function; they act for the process.
//
// Times are nanoseconds from now: 0 does not wait, a negative one waits for ever. A wait parks the guest, not a thread of the host.
//
// Errors are the numbers of <errno.h> in WASI. Functions that answer with an id answer with -errno instead; the others with errno itself, 0: done. A pointer
// to what is not memory of the program ends the process with a trap; no other argument does harm.
//   EAGAIN 6  EBADF 8  EDQUOT 19  EEXIST 20  EINVAL 28  EMFILE 33  EMSGSIZE 35  ENOENT 44  ENOSPC 51  EPERM 63  ESRCH 71  ETIMEDOUT 73
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_PROCESS_IMPORT(name) __attribute__((__import_module__("weft_process"), __import_name__(name)))

// The process that calls. Ids are positive, and not used again.
WEFT_PROCESS_IMPORT("self")
int64_t weft_self(void);

// The thread that calls: 0, the first one, or what thread_spawn answered when it was started. Not used again until 2^29 others have been.
WEFT_PROCESS_IMPORT("thread_self")
int32_t weft_thread_self(void);

// ---- messages ----

enum {
  WEFT_MESSAGE_USER = 0,  // somebody sent it
  WEFT_MESSAGE_EXIT = 1,  // a linked process has ended, and this one traps exits
  WEFT_MESSAGE_DOWN = 2,  // a monitored process has ended
};

// How a process ended. A link passes on all but WEFT_EXIT_RETURNED, and WEFT_EXIT_EXITED with the code 0.
enum {
  WEFT_EXIT_NO_PROCESS = -1,  // there was none by then
  WEFT_EXIT_RETURNED = 0,
  WEFT_EXIT_EXITED = 1,
  WEFT_EXIT_TRAPPED = 2,
  WEFT_EXIT_KILLED = 3,
  WEFT_EXIT_LIMIT = 4,
  WEFT_EXIT_FAILED = 5,
  WEFT_EXIT_DEADLOCKED = 6,
};

typedef struct weft_message {
  int64_t sender;     // 0: the host. EXIT, DOWN: who has ended
  uint64_t tag;       // USER
  int64_t monitor;    // DOWN
  uint32_t size;      // of the message, in bytes; of EXIT and DOWN these are a line of text that says why
  int32_t kind;       // WEFT_MESSAGE_…
  int32_t exit_kind;  // EXIT, DOWN: WEFT_EXIT_…
  int32_t exit_code;  // of WEFT_EXIT_EXITED
} weft_message_t;

#define WEFT_ANY ((int64_t)-1)
#define WEFT_TAGS_MAX 64

// Sends a copy of `size` bytes to a process's mailbox. Waits while that is full.
//   ESRCH      there is no such process, or it ended meanwhile
//   EMSGSIZE   larger than its mailbox may ever hold
//   EAGAIN     timeout 0: it is full        ETIMEDOUT
WEFT_PROCESS_IMPORT("send")
int weft_send(int64_t process, uint64_t tag, const void* bytes, uint32_t size, int64_t timeout_ns);

// The same to whoever has the name now. ESRCH: nobody.
WEFT_PROCESS_IMPORT("send_named")
int weft_send_named(const char* name, uint32_t name_size, uint64_t tag, const void* bytes, uint32_t size, int64_t timeout_ns);

// Takes the first message with one of `tags` (of none: any, and messages about ends, which have no tag) from `sender` (WEFT_ANY; 0: the host). All others
// stay, in their order.
//   EMSGSIZE   it has more than `size` bytes: message->size says how many, and it stays where it is
//   EINVAL     more than WEFT_TAGS_MAX tags
//   EAGAIN     timeout 0: there is none     ETIMEDOUT
WEFT_PROCESS_IMPORT("receive")
int weft_receive(const uint64_t* tags, uint32_t tags_count, int64_t sender, void* bytes, uint32_t size, weft_message_t* message,
                 int64_t timeout_ns);

// How many messages there are, of all kinds. Does not wait.
WEFT_PROCESS_IMPORT("pending")
int weft_pending(void);

// ---- links and monitors ----

// If one of the two ends abnormally, the other is killed. Once is enough; with itself it is nothing.
//   ESRCH      there is no such process
//   ENOSPC     too many links, monitors and unread messages about ends, here or there
WEFT_PROCESS_IMPORT("link")
int weft_link(int64_t process);

// ENOENT: they were not linked. A message that has come stays.
WEFT_PROCESS_IMPORT("unlink")
int weft_unlink(int64_t process);

// Not 0: instead of being killed by links from now on, this process gets a message of each end, also of normal ones. 0: not any more.
WEFT_PROCESS_IMPORT("trap_exits")
void weft_trap_exits(int traps);

// One message (WEFT_MESSAGE_DOWN) will come when that process ends; at once, with WEFT_EXIT_NO_PROCESS, if there is none. The monitor's id, or -ENOSPC (as
// for weft_link).
WEFT_PROCESS_IMPORT("monitor")
int64_t weft_monitor(int64_t process);

// Nothing comes of it any more; with `flush` a message that has come is taken out. ENOENT: it is not there (any more).
WEFT_PROCESS_IMPORT("demonitor")
int weft_demonitor(int64_t monitor, int flush);

// ---- names ----

// Gives this process a name: 1 to 255 bytes, no control characters. It goes with the process. Its own again: done.
//   EEXIST     another process has it
//   ENOSPC     this process has 16, or there are too many in the runtime
WEFT_PROCESS_IMPORT("register_name")
int weft_register_name(const char* name, uint32_t name_size);

// ENOENT: it is not this process's.
WEFT_PROCESS_IMPORT("unregister_name")
int weft_unregister_name(const char* name, uint32_t name_size);

// Who has it, or -ESRCH.
WEFT_PROCESS_IMPORT("whereis")
int64_t weft_whereis(const char* name, uint32_t name_size);

// ---- handles and grants ----
//
// Handles are numbers of their own in each process, at most 256: ends of channels, locks, subscriptions, events, wait sets. They go with the process.

// The handle of what the host, or another process, has given this one under that name; asked again: the same. -ENOENT: there is no such grant. -EMFILE
WEFT_PROCESS_IMPORT("granted")
int weft_granted(const char* name, uint32_t name_size);

// Gives what is behind a handle of one's own to another process, under a name of 1 to 255 bytes. Of a channel the other one gets an end of its own (a receiver of
// a broadcast: one that has received what this one had); locks, subscriptions and events are shared. The own handle stays.
//   ESRCH      there is no such process            EBADF    there is no such handle
//   EEXIST     it has a grant of that name         ENOSPC   it has 256 grants
//   EINVAL     the name is none, or it is a wait set
WEFT_PROCESS_IMPORT("grant")
int weft_grant(int64_t process, const char* name, uint32_t name_size, int handle);

// Gives a handle back; and the grant, if it was granted. Not a lock's: weft/lock.h.
//   EBADF      there is no such handle             EPERM    it is a lock's
WEFT_PROCESS_IMPORT("drop")
int weft_drop(int handle);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_PROCESS_H
