// 200 strands allocate, write lines and free in tight loops, none of them giving way by itself. Where strands are preempted this happens in
// the middle of the library's functions, which have no locks in a program without threads. The heap has to be intact, and each line whole.
#include <string.h>

#include "check.h"

enum { kStrands = 200, kRounds = 60 };

static unsigned next(unsigned* state) { return *state = *state * 1664525U + 1013904223U; }

static int works(void* argument) {
  unsigned me = (unsigned)(long)argument, state = me;
  enum { kBlocks = 16 };
  unsigned char* blocks[kBlocks] = {0};
  size_t sizes[kBlocks] = {0};
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < 50; i++) {
      unsigned k = next(&state) >> 16 & (kBlocks - 1);
      for (size_t j = 0; j < sizes[k]; j++) CHECK(blocks[k][j] == (unsigned char)(me + k));
      size_t size = 1 + (next(&state) >> 16) % 500;
      if (i % 3 == 0) {
        blocks[k] = realloc(blocks[k], size);
      } else {
        free(blocks[k]);
        blocks[k] = i % 3 == 1 ? malloc(size) : calloc(1, size);
      }
      CHECK(blocks[k] != NULL);
      sizes[k] = size;
      memset(blocks[k], (int)(me + k), size);
    }
    printf("strand %u, round %d, %s\n", me, round, "a line that is long enough to be cut in two somewhere if two wrote at once");
  }
  for (int k = 0; k < kBlocks; k++) free(blocks[k]);
  return 0;
}

int main(void) {
  static weft_strand_t strands[kStrands];
  for (int i = 0; i < kStrands; i++) strands[i] = spawned(works, number(i));
  for (int i = 0; i < kStrands; i++) CHECK(weft_strand_join(strands[i]) == 0);
}
