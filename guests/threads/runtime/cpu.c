// cpu [THREADS [ITERATIONS]]: work without memory and without calls, split evenly; prints a checksum that does not depend on the number
// of threads, and on standard error how long it took.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct part {
  uint64_t begin, end, sum;
};

static void* works(void* argument) {
  struct part* part = argument;
  uint64_t sum = 0;
  for (uint64_t i = part->begin; i < part->end; i++) {
    uint64_t x = i + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    sum += x ^ (x >> 31);
  }
  part->sum = sum;
  return NULL;
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int count, char** words) {
  int threads_count = count > 1 ? atoi(words[1]) : 4;
  uint64_t iterations = count > 2 ? strtoull(words[2], NULL, 10) : 100000000;
  if (threads_count < 1) return 2;
  struct part* parts = calloc((size_t)threads_count, sizeof *parts);
  pthread_t* threads = calloc((size_t)threads_count, sizeof *threads);
  double start = now_ms();
  for (int i = 0; i < threads_count; i++) {
    parts[i].begin = iterations * (uint64_t)i / (uint64_t)threads_count;
    parts[i].end = iterations * ((uint64_t)i + 1) / (uint64_t)threads_count;
    if (pthread_create(&threads[i], NULL, works, &parts[i]) != 0) {
      fprintf(stderr, "cpu: thread %d could not be created\n", i);
      return 1;
    }
  }
  uint64_t sum = 0;
  for (int i = 0; i < threads_count; i++) {
    pthread_join(threads[i], NULL);
    sum += parts[i].sum;
  }
  fprintf(stderr, "%d threads: %.1f ms\n", threads_count, now_ms() - start);
  printf("checksum %016llx\n", (unsigned long long)sum);
  return 0;
}
