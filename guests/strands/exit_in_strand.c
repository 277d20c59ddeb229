// A strand calls exit while others wait: the process ends with what it says, after what is registered with atexit, and with what was written.
#include "check.h"

static void at_exit(void) { puts("at exit"); }
static int waits(void* argument) {
  weft_strand_park();
  return (int)(long)argument;
}
static int exits(void* argument) {
  printf("a line that is not flushed\n");
  exit((int)(long)argument);
}

int main(void) {
  atexit(at_exit);
  weft_strand_t strand = spawned(waits, NULL);
  spawned(exits, number(42));
  return (int)weft_strand_join(strand);
}
