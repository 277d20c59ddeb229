// The highest level runs first, the first come first within it, and lower levels are not starved.
#include "check.h"

static int done;
static int letter(void* argument) {
  putchar((int)(long)argument);
  return 0;
}
static int many_turns(void* argument) {
  while (!done) {
    ++*(long*)argument;
    weft_strand_yield();
  }
  return 0;
}
static int few_turns(void* argument) {
  for (int i = 0; i < 20; i++) {
    ++*(long*)argument;
    weft_strand_yield();
  }
  done = 1;
  return 0;
}

static void three_of_each(int levels) {
  static const int kLevels[] = {WEFT_STRAND_LOW, WEFT_STRAND_NORMAL, WEFT_STRAND_HIGH};
  weft_strand_t strands[9];
  for (int i = 0; i < 9; i++) {
    strands[i] = weft_strand_spawn(letter, number("abcABC123"[i % 3 * 3 + i / 3]), levels ? kLevels[i % 3] : WEFT_STRAND_NORMAL);
    CHECK(strands[i] > 0);
  }
  for (int i = 0; i < 9; i++) CHECK(weft_strand_join(strands[i]) >= 0);
  putchar('\n');
}

int main(void) {
  three_of_each(1);
  three_of_each(0);

  // Before it has run, and of the one that calls.
  weft_strand_t strand = spawned(letter, number('x')), other = spawned(letter, number('y'));
  CHECK(weft_strand_set_priority(strand, 3) == EINVAL && weft_strand_set_priority(strand, -1) == EINVAL);
  CHECK(weft_strand_set_priority(weft_strand_self(), WEFT_STRAND_LOW) == 0);
  CHECK(weft_strand_set_priority(other, WEFT_STRAND_HIGH) == 0);
  CHECK(weft_strand_join(strand) == 0 && weft_strand_join(other) == 0);
  CHECK(weft_strand_set_priority(strand, WEFT_STRAND_HIGH) == ESRCH);
  CHECK(weft_strand_set_priority(weft_strand_self(), WEFT_STRAND_NORMAL) == 0);
  putchar('\n');

  // The lowest is given a 256th of the turns at least, the middle one a 16th of what is left.
  long high = 0, normal = 0, low = 0;
  weft_strand_t three[] = {weft_strand_spawn(many_turns, &high, WEFT_STRAND_HIGH), weft_strand_spawn(many_turns, &normal, WEFT_STRAND_NORMAL),
                           weft_strand_spawn(few_turns, &low, WEFT_STRAND_LOW)};
  for (int i = 0; i < 3; i++) CHECK(weft_strand_join(three[i]) == 0);
  CHECK(low == 20 && normal > low && high > 4 * normal);
}
