// Threads allocate, grow, hand over and free memory at once, and each finds in it what was written there. The memory has to grow.
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "check.h"

enum { threads_count = 6, slots = 64, rounds = 4000 };
struct block {
  size_t size;
  unsigned char mark;
  unsigned char bytes[];
};
static struct block* shared[slots];  // exchanged atomically between the threads

static void verify(const struct block* block) {
  for (size_t i = 0; i < block->size; i++) CHECK(block->bytes[i] == block->mark);
}
static struct block* allocate(uint32_t random) {
  size_t size = random % 16 == 0 ? random % 60000 : random % 500;
  struct block* block = malloc(sizeof *block + size);
  CHECK(block != NULL);
  block->size = size;
  block->mark = (unsigned char)random;
  memset(block->bytes, block->mark, size);
  return block;
}

static void* works(void* argument) {
  uint32_t random = 2463534242u + (uint32_t)(intptr_t)argument * 7919u;
  long handled = 0;
  for (int round = 0; round < rounds; round++) {
    random ^= random << 13, random ^= random >> 17, random ^= random << 5;
    struct block* block = allocate(random);
    if (random % 7 == 0) {
      block = realloc(block, sizeof *block + block->size + 1000);
      CHECK(block != NULL);
      memset(block->bytes + block->size, block->mark, 1000);
      block->size += 1000;
    }
    struct block* before = __atomic_exchange_n(&shared[random % slots], block, __ATOMIC_ACQ_REL);
    if (before != NULL) {
      verify(before);
      free(before);
    }
    handled++;
  }
  return (void*)handled;
}

static void* allocates_much(void* argument) {
  size_t size = 12u << 20;
  unsigned char* bytes = malloc(size);
  CHECK(bytes != NULL);
  for (size_t i = 0; i < size; i += 4096) bytes[i] = (unsigned char)(i / 4096 + (uintptr_t)argument);
  sleep_ms(5);
  for (size_t i = 0; i < size; i += 4096) CHECK(bytes[i] == (unsigned char)(i / 4096 + (uintptr_t)argument));
  free(bytes);
  return argument;
}

int main(void) {
  pthread_t threads[threads_count];
  long handled = 0;
  for (intptr_t i = 0; i < threads_count; i++) CHECK(pthread_create(&threads[i], NULL, works, (void*)i) == 0);
  for (int i = 0; i < threads_count; i++) {
    void* result;
    CHECK(pthread_join(threads[i], &result) == 0);
    handled += (long)(intptr_t)result;
  }
  for (int i = 0; i < slots; i++) {
    if (shared[i] != NULL) verify(shared[i]);
    free(shared[i]);
  }
  printf("%ld blocks, each as it was written\n", handled);
  for (intptr_t i = 0; i < threads_count; i++) CHECK(pthread_create(&threads[i], NULL, allocates_much, (void*)i) == 0);
  for (int i = 0; i < threads_count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  puts("72 MiB at once");
  return 0;
}
