// Who sleeps until later wakes later, whoever began first; the same deadline: in the order of falling asleep. What a busy machine delays too much is done
// again with more time.
#include "check.h"

enum { kStrands = 100 };

static int64_t base, step;
static int woken;

static int naps(void* argument) {  // which one it was that woke
  weft_strand_sleep(base + (int)(long)argument * step - weft_strand_now());
  return ++woken;
}
static int sleeps_until(void* argument) {
  weft_strand_park_until(*(int64_t*)argument);
  return ++woken;
}
static int yields(void* argument) {
  int* steps = argument;
  for (int i = 0; i < 3; i++) {
    weft_strand_sleep(i - 1);  // -1, 0: a yield
    ++*steps;
  }
  return 0;
}

// Whether all had gone to sleep before the first was to wake.
static int different_deadlines(void) {
  static const int steps[] = {4, 1, 3, 5, 2};
  weft_strand_t strands[5];
  base = weft_strand_now();
  woken = 0;
  for (int i = 0; i < 5; i++) strands[i] = spawned(naps, number(steps[i]));
  weft_strand_yield();
  int in_time = weft_strand_now() < base + step;
  for (int i = 0; i < 5; i++) {
    int place = (int)weft_strand_join(strands[i]);
    CHECK(!in_time || place == steps[i]);
  }
  CHECK(weft_strand_now() >= base + 5 * step);
  return in_time;
}
static int same_deadline(void) {
  weft_strand_t strands[kStrands];
  int64_t deadline = weft_strand_now() + step;
  woken = 0;
  for (int i = 0; i < kStrands; i++) strands[i] = spawned(sleeps_until, &deadline);
  weft_strand_yield();
  int in_time = weft_strand_now() < deadline;
  for (int i = 0; i < kStrands; i++) {
    int place = (int)weft_strand_join(strands[i]);
    CHECK(!in_time || place == i + 1);
  }
  return in_time;
}

int main(void) {
  for (step = 5 * MS; !different_deadlines(); step *= 2) {
  }
  for (step = 5 * MS; !same_deadline(); step *= 2) {
  }
  int steps = 0;
  CHECK(weft_strand_join(spawned(yields, &steps)) == 0 && steps == 3);
  puts("in order");
}
