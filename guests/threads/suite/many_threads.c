// 200 threads alive at once, each with a number of its own; then the same again.
#include <pthread.h>
#include <stdint.h>
#include "check.h"

enum { count = 200 };
static pthread_barrier_t all_alive;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;

static void* lives(void* argument) {
  pthread_barrier_wait(&all_alive);
  pthread_mutex_lock(&mutex);
  sum += (intptr_t)argument;
  pthread_mutex_unlock(&mutex);
  pthread_barrier_wait(&all_alive);
  return argument;
}

int main(void) {
  static pthread_t threads[count];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  CHECK(pthread_barrier_init(&all_alive, NULL, count + 1) == 0);
  for (int turn = 1; turn <= 2; turn++) {
    sum = 0;
    for (intptr_t i = 0; i < count; i++) CHECK(pthread_create(&threads[i], &attributes, lives, (void*)i) == 0);
    pthread_barrier_wait(&all_alive);
    pthread_barrier_wait(&all_alive);
    for (intptr_t i = 0; i < count; i++) {
      void* result;
      CHECK(pthread_join(threads[i], &result) == 0 && (intptr_t)result == i);
    }
    printf("turn %d: %d threads at once, sum %ld\n", turn, count, sum);
  }
  return 0;
}
