// A strand traps in crash_here, called by on_the_way, while main is in join and another strand waits.
#include "check.h"

__attribute__((noinline)) void crash_here(int reason) {
  if (reason) __builtin_trap();
}
__attribute__((noinline)) int on_the_way(int reason) {
  crash_here(reason);
  return reason + 1;
}
static int crashes(void* argument) {
  weft_strand_yield();
  puts("about to trap");
  fflush(stdout);
  return on_the_way(*(volatile int*)argument);
}
static int waits(void* argument) {
  weft_strand_park();
  return (int)(long)argument;
}

int main(void) {
  int reason = 1;
  weft_strand_t strand = spawned(waits, NULL);
  spawned(crashes, &reason);
  return (int)weft_strand_join(strand);
}
