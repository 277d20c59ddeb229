// A shared region in C: every function of <weft/region.h>, and two strands that take turns by a word of it: a wait suspends the strand, not the program.
#include <string.h>
#include <weft/region.h>

#include "check.h"

enum { kTurns = 1000 };

static int region;

static int plays(void* argument) {
  uint32_t me = (uint32_t)(long)argument;
  for (int i = 0; i < kTurns; i++) {
    uint32_t turn;
    for (;;) {
      CHECK(weft_region_load32(region, 0, &turn) == 0);
      if (turn == me) break;
      int error = weft_region_wait32(region, 0, turn, -1);
      CHECK(error == 0 || error == EAGAIN);
    }
    CHECK(weft_region_add32(region, 4, 1, NULL) == 0);
    CHECK(weft_region_store32(region, 0, 1 - me) == 0);
    CHECK(weft_region_notify(region, 0, UINT32_MAX) >= 0);
  }
  return 0;
}

int main(void) {
  region = weft_region_make(100);
  CHECK(region > 0 && weft_region_size(region) == 100);
  char text[6] = "";
  CHECK(weft_region_write(region, 93, "hello", 6) == 0 && weft_region_read(region, 93, text, 6) == 0 && strcmp(text, "hello") == 0);
  CHECK(weft_region_write(region, 95, "hello", 6) == EINVAL && weft_region_read(region + 1, 0, text, 6) == EBADF);

  uint32_t before;
  CHECK(weft_region_store32(region, 8, 5) == 0 && weft_region_xchg32(region, 8, 12, &before) == 0 && before == 5);
  CHECK(weft_region_and32(region, 8, 8, &before) == 0 && before == 12 && weft_region_or32(region, 8, 1, &before) == 0 && before == 8);
  CHECK(weft_region_cmpxchg32(region, 8, 9, 2, &before) == 0 && before == 9 && weft_region_load32(region, 8, &before) == 0 && before == 2);
  CHECK(weft_region_add32(region, 10, 1, &before) == EINVAL);
  uint64_t wide;
  CHECK(weft_region_store64(region, 16, 1ULL << 40) == 0 && weft_region_add64(region, 16, 1, &wide) == 0 && wide == 1ULL << 40);
  CHECK(weft_region_and64(region, 16, 1, NULL) == 0 && weft_region_or64(region, 16, 1ULL << 50, &wide) == 0 && wide == 1);
  CHECK(weft_region_xchg64(region, 16, 3, &wide) == 0 && wide == (1ULL << 50 | 1));
  CHECK(weft_region_cmpxchg64(region, 16, 4, 5, &wide) == 0 && wide == 3 && weft_region_load64(region, 16, &wide) == 0 && wide == 3);
  CHECK(weft_region_wait64(region, 16, 4, -1) == EAGAIN && weft_region_wait64(region, 16, 3, MS) == ETIMEDOUT);

  weft_strand_t players[2];
  for (int i = 0; i < 2; i++) players[i] = spawned(plays, number(i));
  for (int i = 0; i < 2; i++) CHECK(weft_strand_join(players[i]) == 0);
  CHECK(weft_region_load32(region, 4, &before) == 0 && before == 2 * kTurns);

  int named = weft_region_open("board", 5, 64);
  CHECK(named > 0 && weft_region_open("board", 5, 64) == named && weft_region_open("board", 5, 65) == -EINVAL);
  CHECK(weft_region_close(region) == 0 && weft_region_close(region) == EBADF);
  puts("shared");
}
