// What every program here uses: a check that says what was wrong and exits with 1, and names as the calls want them.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/channel.h>
#include <weft/lock.h>
#include <weft/process.h>
#include <weft/topic.h>
#include <weft/wait.h>

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

#define NAME(text) text, (uint32_t)strlen(text)
#define MS 1000000LL

static inline int granted(const char* name) {
  int handle = weft_granted(NAME(name));
  CHECK(handle > 0);
  return handle;
}

// Who has the name, as soon as somebody has.
static inline int64_t process_named(const char* name) {
  for (;;) {
    int64_t process = weft_whereis(NAME(name));
    if (process > 0) return process;
    CHECK(process == -ESRCH);
    weft_message_t message;
    CHECK(weft_receive((uint64_t[]){UINT64_MAX}, 1, WEFT_ANY, NULL, 0, &message, MS) == ETIMEDOUT);
  }
}
