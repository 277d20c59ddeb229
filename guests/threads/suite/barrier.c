// A barrier: nobody goes on before all have come, one of them is told that it is the serial one, and it can be used again at once.
#include <pthread.h>
#include "check.h"

enum { threads_count = 7, rounds = 200 };
static pthread_barrier_t barrier;
static int arrived[rounds], serial[rounds];

static void* walks(void* argument) {
  for (int round = 0; round < rounds; round++) {
    __atomic_fetch_add(&arrived[round], 1, __ATOMIC_SEQ_CST);
    int result = pthread_barrier_wait(&barrier);
    CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
    CHECK(__atomic_load_n(&arrived[round], __ATOMIC_SEQ_CST) == threads_count);
    if (result == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_fetch_add(&serial[round], 1, __ATOMIC_SEQ_CST);
  }
  return argument;
}

int main(void) {
  CHECK(pthread_barrier_init(&barrier, NULL, threads_count) == 0);
  pthread_t threads[threads_count];
  for (int i = 0; i < threads_count; i++) CHECK(pthread_create(&threads[i], NULL, walks, NULL) == 0);
  for (int i = 0; i < threads_count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (int round = 0; round < rounds; round++) CHECK(serial[round] == 1);
  CHECK(pthread_barrier_destroy(&barrier) == 0);
  printf("%d threads met %d times\n", threads_count, rounds);

  CHECK(pthread_barrier_init(&barrier, NULL, 1) == 0);
  CHECK(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
  puts("a barrier for one lets it pass");
  printf("a barrier for none: %s\n", error_name(pthread_barrier_init(&barrier, NULL, 0)));
  return 0;
}
