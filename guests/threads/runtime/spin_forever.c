// spin_forever [THREADS]: that many threads, main among them, run for ever.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static volatile unsigned long turns;
static void* spins(void* argument) {
  for (;;) turns++;
  return argument;
}

int main(int count, char** words) {
  int threads = count > 1 ? atoi(words[1]) : 4;
  for (int i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, spins, NULL) != 0) return 2;
  }
  printf("%d threads spin\n", threads);
  fflush(stdout);
  spins(NULL);
}
