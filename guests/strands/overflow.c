// One strand recurses without end, each frame in the program's own memory, while its neighbours' stacks lie beside it.
#include <string.h>

#include "check.h"

static volatile int depth;

#pragma clang diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) int too_deep(int n) {
  volatile char frame[200];
  memset((char*)frame, n, sizeof frame);
  depth = n;
  return too_deep(n + 1) + frame[n % 200];
}
static int recurses(void* argument) {
  weft_strand_yield();
  return too_deep((int)(long)argument);
}
// Deep, but not too deep: 64 KiB are to be had.
__attribute__((noinline)) int deep(int n) {
  volatile char frame[200];
  memset((char*)frame, n, sizeof frame);
  return n == 0 ? 0 : deep(n - 1) + frame[n % 200] - (char)n;
}
static int is_well(void* argument) { return deep((int)(long)argument); }
// What its frame holds is looked at while the other one recurses.
static int watches(void* argument) {
  volatile unsigned char frame[2000];
  unsigned char mine = (unsigned char)(long)argument;
  for (unsigned i = 0; i < sizeof frame; i++) frame[i] = mine;
  for (;;) {
    weft_strand_yield();
    for (unsigned i = 0; i < sizeof frame; i++) CHECK(frame[i] == mine);
  }
}

int main(int count, char** arguments) {
  CHECK(weft_strand_join(spawned(is_well, number(200))) == 0);
  for (int i = 0; i < 20; i++) spawned(watches, number(i));
  if (count > 1 && arguments[1][0] == 'm') return too_deep(0);  // in the main strand
  weft_strand_t strand = spawned(recurses, NULL);
  for (int i = 20; i < 40; i++) spawned(watches, number(i));
  puts("about to overflow");
  fflush(stdout);
  return (int)weft_strand_join(strand);
}
