// park and unpark: a permit that came before is not lost, and there is one at most; deadlines; two strands that take turns.
#include "check.h"

enum { kTurns = 10000 };

static weft_strand_t players[2];
static int turn, played;

static int plays(void* argument) {
  int me = (int)(long)argument;
  for (int i = 0; i < kTurns; i++) {
    while (turn != me) weft_strand_park();
    played++;
    turn = 1 - me;
    CHECK(weft_strand_unpark(players[turn]) == 0 || i == kTurns - 1);
  }
  return 0;
}
static int parks(void* argument) {
  weft_strand_park();
  return ++*(int*)argument;
}
static int nothing(void* argument) { return (int)(long)argument; }

int main(int count, char** arguments) {
  int preempted = count > 1 && arguments[1][0] == 'p';
  weft_strand_t self = weft_strand_self();
  // Before, and twice.
  CHECK(weft_strand_unpark(self) == 0);
  CHECK(weft_strand_unpark(self) == 0);
  weft_strand_park();
  int64_t before = weft_strand_now();
  CHECK(weft_strand_park_until(before + 5 * MS) == ETIMEDOUT);
  CHECK(weft_strand_now() >= before + 5 * MS);
  CHECK(weft_strand_park_until(0) == ETIMEDOUT && weft_strand_park_until(-1) == ETIMEDOUT && weft_strand_park_until(INT64_MIN) == ETIMEDOUT);
  CHECK(weft_strand_unpark(self) == 0 && weft_strand_park_until(INT64_MAX) == 0);

  // Before it has run at all.
  int woken = 0;
  weft_strand_t strand = spawned(parks, &woken);
  CHECK(weft_strand_unpark(strand) == 0);
  CHECK(weft_strand_join(strand) == 1 && woken == 1);
  CHECK(weft_strand_unpark(strand) == ESRCH);
  // While it waits. It goes on when it is its turn, not at once.
  strand = spawned(parks, &woken);
  weft_strand_yield();
  CHECK(weft_strand_unpark(strand) == 0 && (preempted || woken == 1));
  CHECK(weft_strand_join(strand) == 2);
  // One that has ended and was not joined is gone as well.
  strand = spawned(nothing, NULL);
  weft_strand_yield();
  CHECK(weft_strand_unpark(strand) == ESRCH && weft_strand_join(strand) == 0);

  for (int i = 0; i < 2; i++) players[i] = spawned(plays, number(i));
  for (int i = 0; i < 2; i++) CHECK(weft_strand_join(players[i]) == 0);
  CHECK(played == 2 * kTurns);
  puts("unparked");
}
