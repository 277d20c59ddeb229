// Many sleep at once, in the ways that C has: together they take as long as the longest, and not the sum (which is 25 s).
#include <poll.h>
#include <unistd.h>

#include "check.h"

enum { kStrands = 500 };

static int naps(void* argument) {
  int i = (int)(long)argument, ms = i == 7 ? 200 : 50;
  switch (i % 4) {
    case 0:
      return nanosleep(&(struct timespec){.tv_nsec = ms * MS}, NULL);
    case 1:
      return usleep((useconds_t)ms * 1000);
    case 2:
      return poll(NULL, 0, ms);
    default:
      weft_strand_sleep(ms * MS);
      return 0;
  }
}

int main(void) {
  static weft_strand_t strands[kStrands];
  int64_t began = weft_strand_now();
  for (int i = 0; i < kStrands; i++) strands[i] = spawned(naps, number(i));
  for (int i = 0; i < kStrands; i++) CHECK(weft_strand_join(strands[i]) == 0);
  int64_t took = weft_strand_now() - began;
  CHECK(took >= 200 * MS);
  if (took > 5000 * MS) {
    printf("they took %lld ms\n", took / MS);
    return 1;
  }
  puts("slept");
}
