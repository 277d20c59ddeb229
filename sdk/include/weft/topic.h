// Topics: events by name for whoever is interested. A publisher never waits; who is slow loses the oldest, and is told how many.
//
//   int prices = weft_topic_subscribe("prices", 6, 64);
//   weft_event_t event;
//   int error = weft_topic_next(prices, buffer, sizeof buffer, &event, -1);
//   weft_topic_publish("prices", 6, "42", 2);
//
// For guests, in C and C++; the program has to be run by Weft. Times and errors are as in weft/process.h: EAGAIN 6  EBADF 8  EINVAL 28  EMFILE 33  EMSGSIZE 35
// ENOSPC 51  ETIMEDOUT 73
#ifndef WEFT_TOPIC_H
#define WEFT_TOPIC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_TOPIC_IMPORT(name) __attribute__((__import_module__("weft_topic"), __import_name__(name)))

typedef struct weft_event {
  int64_t publisher;  // a process; 0: the host
  uint64_t lost;      // events that went by since the last one that was received
  uint32_t size;      // of the event, in bytes
  uint32_t reserved;
} weft_event_t;

// A copy of `size` bytes, at most 1 MiB, to all subscribers. To how many it went, or -EMSGSIZE. Does not wait.
WEFT_TOPIC_IMPORT("publish")
int weft_topic_publish(const char* name, uint32_t name_size, const void* bytes, uint32_t size);

// A handle to what is published from now on. Up to `events` of them (1 to 1024), and 1 MiB, wait to be received. Closed when the process ends.
//   -EINVAL    no name, no events or too many    -EMFILE  the process has 256 handles    -ENOSPC  too many topics or subscribers
WEFT_TOPIC_IMPORT("subscribe")
int weft_topic_subscribe(const char* name, uint32_t name_size, uint32_t events);

// The oldest event that waits.
//   EMSGSIZE   it has more than `size` bytes: event->size says how many, and it stays
//   EAGAIN     timeout 0: there is none     ETIMEDOUT     EBADF
WEFT_TOPIC_IMPORT("next")
int weft_topic_next(int subscription, void* bytes, uint32_t size, weft_event_t* event, int64_t timeout_ns);

// EBADF: it is none.
WEFT_TOPIC_IMPORT("unsubscribe")
int weft_topic_unsubscribe(int subscription);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_TOPIC_H
