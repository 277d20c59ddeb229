// What every program here uses: a check that says what was wrong and exits with 1, a strand that has to be made, and the clock.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weft/strand.h>

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

static inline weft_strand_t spawned(int (*function)(void*), void* argument) {
  weft_strand_t strand = weft_strand_spawn(function, argument, WEFT_STRAND_NORMAL);
  CHECK(strand > 0);
  return strand;
}

static inline void* number(int n) { return (void*)(long)n; }

#define MS 1000000LL
