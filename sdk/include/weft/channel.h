// Channels: messages of bytes from many senders to many receivers, in the order in which they were sent; between processes, and with the host.
//
//   int ends[2];
//   weft_channel_make(WEFT_CHANNEL_BOUNDED, 64, 0, WEFT_CHANNEL_HOLDS_BACK, ends);        // ends[0] sends, ends[1] receives
//   weft_grant(worker, "jobs", 4, ends[1]);                                             // the worker: int jobs = weft_granted("jobs", 4);
//   weft_channel_send(ends[0], "hello", 5, -1);
//
//   char buffer[256];
//   weft_received_t received;
//   int error = weft_channel_receive(jobs, buffer, sizeof buffer, &received, -1);         // received.size bytes
//
// For guests, in C and C++; the program has to be run by Weft. Ends are handles (weft/process.h): weft_drop gives one back, and the end of the process all of
// them. A channel is closed when its last sender or its last receiver is gone, or by weft_channel_close: nothing can be sent then, what is in it can still be
// received. (With its last receiver what is in it is thrown away. A broadcast stays open without receivers.) A call that waits is served also if its handle is
// dropped meanwhile.
//
// Each message is received once (broadcast: once by each receiver). Who waits is served in order. A message is copied out of the sender's memory and into the
// receiver's, and not in between. Nothing is lost when a process is killed in a call: what it was about to receive goes to the next receiver.
//
// Times and errors are as in weft/process.h: EAGAIN 6  EBADF 8  EDQUOT 19  EINVAL 28  EMFILE 33  EMSGSIZE 35  ENOSPC 51  EOVERFLOW 61  EPIPE 64  ETIMEDOUT 73
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_CHANNEL_IMPORT(name) __attribute__((__import_module__("weft_channel"), __import_name__(name)))

enum {
  WEFT_CHANNEL_BOUNDED = 0,     // `capacity` messages fit; who sends more waits
  WEFT_CHANNEL_UNBOUNDED = 1,   // sending never waits; over bytes_max it fails with ENOSPC
  WEFT_CHANNEL_RENDEZVOUS = 2,  // nothing fits: a send is over when a receiver has come for the message
  WEFT_CHANNEL_ONESHOT = 3,     // one message, then it is closed
  WEFT_CHANNEL_BROADCAST = 4,   // each receiver gets each message that is sent while it is there
};

// What becomes of a broadcast when one of its receivers is `capacity` messages behind.
enum {
  WEFT_CHANNEL_HOLDS_BACK = 0,  // senders wait for it
  WEFT_CHANNEL_LOSES = 1,       // the oldest message goes, and those that had not got it are told (EOVERFLOW)
};

#define WEFT_CHANNEL_CAPACITY_MAX 65536u
#define WEFT_CHANNEL_BYTES_MAX 1048576u  // of a channel that a guest makes; the host's may be larger
#define WEFT_CHANNEL_BATCH_MAX 1024u     // messages a call

// What a receive came to.
typedef struct weft_received {
  uint64_t lost;   // EOVERFLOW: so many messages of a broadcast went by
  uint32_t size;   // bytes in the buffer; EMSGSIZE: that the message has
  uint32_t count;  // messages
} weft_received_t;

typedef struct weft_channel_stats {
  uint64_t messages;  // in it
  uint64_t bytes;     // of these; each counts for 64 at least
  uint64_t sent;      // so far
  uint64_t received;  // so far; broadcast: by all receivers together
  uint64_t lost;      // broadcast
  uint32_t senders;
  uint32_t receivers;
  uint32_t senders_waiting;
  uint32_t receivers_waiting;
  uint32_t closed;
  uint32_t reserved;
} weft_channel_stats_t;

// Stores two handles: a sender, a receiver. `capacity` (1 to WEFT_CHANNEL_CAPACITY_MAX) is for bounded and broadcast channels. `bytes_max`: of all messages in it,
// at least 64; also the most that one message may have; 0: WEFT_CHANNEL_BYTES_MAX.
//   EINVAL     it makes no sense, or is more than it may be     EMFILE  the process has 256 handles
//   ENOSPC     the channels that the process has made may not hold so much more together; each counts for bytes_max and 4 KiB until it is gone, wherever its ends are
WEFT_CHANNEL_IMPORT("make")
int weft_channel_make(uint32_t kind, uint32_t capacity, uint32_t bytes_max, uint32_t slow_receiver, int* ends);

// Sends a copy of `size` bytes. Waits while there is no room.
//   EPIPE      it is closed                  EMSGSIZE  more than a message of this channel may have
//   ENOSPC     unbounded: over its bytes_max
//   EAGAIN     timeout 0: no room            ETIMEDOUT      EBADF     EDQUOT
WEFT_CHANNEL_IMPORT("send")
int weft_channel_send(int sender, const void* bytes, uint32_t size, int64_t timeout_ns);

// Sends `count` messages, which lie one after the other, of the sizes that are given. Waits until all are sent. How many were: fewer than `count` when its time was
// over, when the channel was closed, when a message is too large, or when together they have more than 1 MiB; at least one, or -errno as weft_channel_send.
//   -EINVAL    none, or more than WEFT_CHANNEL_BATCH_MAX
WEFT_CHANNEL_IMPORT("send_many")
int weft_channel_send_many(int sender, const void* bytes, const uint32_t* sizes, uint32_t count, int64_t timeout_ns);

// Receives the next message. `received` is stored but for EBADF and EDQUOT.
//   EPIPE      it is closed, and nothing is in it
//   EMSGSIZE   the message has more than `size` bytes: received->size says how many, and it stays at its place
//   EOVERFLOW  a broadcast: received->lost messages went by; the next receive gets the oldest there is
//   EAGAIN     timeout 0: there is none      ETIMEDOUT      EBADF     EDQUOT
WEFT_CHANNEL_IMPORT("receive")
int weft_channel_receive(int receiver, void* bytes, uint32_t size, weft_received_t* received, int64_t timeout_ns);

// Receives as many as there are, at most `count`, as far as they fit into the buffer together; waits until there is one. They lie one after the other in the
// buffer, and their sizes in `sizes`. How many, or -errno as weft_channel_receive.
//   -EINVAL    room for none, or for more than WEFT_CHANNEL_BATCH_MAX
WEFT_CHANNEL_IMPORT("receive_many")
int weft_channel_receive_many(int receiver, void* bytes, uint32_t size, uint32_t* sizes, uint32_t count, weft_received_t* received,
                              int64_t timeout_ns);

// Closes the channel, whichever end it is. Once is enough. EBADF
WEFT_CHANNEL_IMPORT("close")
int weft_channel_close(int end);

// Another receiver. Given a receiver: one that has received what that one had. Given the sender that weft_channel_make stored (no other): one that gets what is sent
// from now on. Its handle, or -EBADF, -EMFILE.
WEFT_CHANNEL_IMPORT("subscribe")
int weft_channel_subscribe(int end);

// EBADF
WEFT_CHANNEL_IMPORT("stats")
int weft_channel_stats(int end, weft_channel_stats_t* stats);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_CHANNEL_H
