// A strand that spins for ever. Where strands are preempted, the others finish, and the program ends with its main strand.
#include <unistd.h>

#include "check.h"

static int spins(void* argument) {
  for (;;) ++*(volatile long*)argument;
}
static int finishes(void* argument) {
  for (int i = 0; i < 3; i++) usleep(1000);
  return (int)(long)argument;
}

int main(void) {
  static long count;
  weft_strand_t strand = spawned(finishes, number(7));
  puts("ready");
  fflush(stdout);
  spawned(spins, &count);
  CHECK(weft_strand_join(strand) == 7);
  CHECK(count > 0);
  puts("the others finished");
}
