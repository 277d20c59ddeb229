// Strands are made, by strands too, and joined; results come back whole; what cannot be joined or detached is refused. Holds wherever strands are
// preempted.
#include "check.h"

enum { kStrands = 1000 };

static int twice(void* argument) { return (int)(long)argument * 2; }
static int yields(void* argument) {
  for (int i = 0; i < 3; i++) weft_strand_yield();
  return (int)(long)argument;
}
static int parks(void* argument) {
  weft_strand_park();
  return (int)(long)argument;
}
static int joins(void* argument) { return (int)weft_strand_join(*(weft_strand_t*)argument); }
static int own_id(void* argument) {
  *(weft_strand_t*)argument = weft_strand_self();
  return 0;
}
static int tree(void* argument) {  // how many leaves it has
  int depth = (int)(long)argument;
  if (depth == 0) return 1;
  weft_strand_t left = spawned(tree, number(depth - 1)), right = spawned(tree, number(depth - 1));
  return (int)weft_strand_join(left) + (int)weft_strand_join(right);
}

int main(void) {
  static weft_strand_t strands[kStrands];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < kStrands; i++) strands[i] = spawned(i % 2 ? twice : yields, number(i));
    CHECK(weft_strand_count() <= kStrands + 1);
    for (int i = 0; i < kStrands; i++) CHECK(weft_strand_join(strands[i]) == (i % 2 ? 2 * i : i));
    CHECK(weft_strand_count() == 1);
  }
  // A result that looks like an error is none.
  CHECK((int)weft_strand_join(spawned(twice, number(-ESRCH))) == -2 * ESRCH);
  CHECK(weft_strand_join(spawned(twice, number(-1))) == (int64_t)0xfffffffe);
  CHECK(weft_strand_join(spawned(tree, number(8))) == 256);

  weft_strand_t told, strand = spawned(own_id, &told);
  CHECK(weft_strand_join(strand) == 0 && told == strand);
  CHECK(weft_strand_join(strand) == -ESRCH && weft_strand_detach(strand) == ESRCH);

  weft_strand_t self = weft_strand_self();
  CHECK(self > 0 && weft_strand_join(self) == -EDEADLK);
  CHECK(weft_strand_detach(self) == ESRCH);
  const weft_strand_t never[] = {0, -1, 1LL << 62, self + 1000000, self + (1LL << 32), INT64_MIN, INT64_MAX};
  for (unsigned i = 0; i < sizeof never / sizeof *never; i++) {
    CHECK(weft_strand_join(never[i]) == -ESRCH && weft_strand_detach(never[i]) == ESRCH && weft_strand_unpark(never[i]) == ESRCH);
    CHECK(weft_strand_set_priority(never[i], WEFT_STRAND_LOW) == ESRCH);
  }

  // Two cannot wait for one.
  strand = spawned(parks, number(5));
  weft_strand_t other = spawned(joins, &strand);
  weft_strand_yield();
  CHECK(weft_strand_count() == 3);
  CHECK(weft_strand_join(strand) == -EINVAL && weft_strand_detach(strand) == EINVAL);
  CHECK(weft_strand_unpark(strand) == 0 && weft_strand_join(other) == 5);
  // Nobody waits for one that is detached, but it runs.
  strand = spawned(own_id, &told);
  CHECK(weft_strand_detach(strand) == 0 && weft_strand_join(strand) == -ESRCH);
  while (told != strand) weft_strand_yield();
  // There is no such level.
  CHECK(weft_strand_spawn(twice, NULL, 3) == -EINVAL && weft_strand_spawn(twice, NULL, -1) == -EINVAL);
  CHECK(weft_strand_count() == 1);
  puts("joined");
}
