// What every program of the suite uses: a check that says what was wrong and exits with 1, and names for error numbers, which are
// not the same numbers on every system.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

static inline const char* error_name(int error) {
  switch (error) {
    case 0:
      return "done";
    case EAGAIN:
      return "EAGAIN";
    case EBUSY:
      return "EBUSY";
    case EDEADLK:
      return "EDEADLK";
    case EINVAL:
      return "EINVAL";
    case EPERM:
      return "EPERM";
    case ETIMEDOUT:
      return "ETIMEDOUT";
    default:
      return "some other error";
  }
}

static inline void sleep_ms(int ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
  while (nanosleep(&time, &time) != 0) {
  }
}

static inline long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// `ms` from now on a clock that functions with an absolute time-out use.
static inline struct timespec in_ms(clockid_t clock, int ms) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_nsec += ms % 1000 * 1000000L;
  time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000L;
  time.tv_nsec %= 1000000000L;
  return time;
}
