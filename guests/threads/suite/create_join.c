// Threads are created, joined with what they returned, detached, and joined with a time-out.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include "check.h"

static void* square(void* argument) {
  intptr_t number = (intptr_t)argument;
  return (void*)(number * number);
}

static sem_t detached_is_done;
static void* detached(void* argument) {
  *(int*)argument = 17;
  sem_post(&detached_is_done);
  return NULL;
}
static void* detaches_itself(void* argument) {
  CHECK(pthread_detach(pthread_self()) == 0);
  return detached(argument);
}

static sem_t may_end;
static void* waits(void* argument) {
  sem_wait(&may_end);
  return argument;
}

static void* starts_another(void* argument) {
  intptr_t depth = (intptr_t)argument;
  if (depth == 0) return (void*)1;
  pthread_t child;
  CHECK(pthread_create(&child, NULL, starts_another, (void*)(depth - 1)) == 0);
  void* result;
  CHECK(pthread_join(child, &result) == 0);
  return (void*)((intptr_t)result * 2);
}

static void* says_who(void* argument) {
  *(pthread_t*)argument = pthread_self();
  return NULL;
}

static atomic_int counter;
static void* counts(void* argument) {
  for (int i = 0; i < 10000; i++) counter++;
  return argument;
}

int main(void) {
  pthread_t threads[8];
  for (intptr_t i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, square, (void*)i) == 0);
  for (int i = 0; i < 8; i++) {
    void* result;
    CHECK(pthread_join(threads[i], &result) == 0);
    printf("thread %d returned %d\n", i, (int)(intptr_t)result);
  }

  CHECK(sem_init(&detached_is_done, 0, 0) == 0);
  CHECK(sem_init(&may_end, 0, 0) == 0);
  int value = 0;
  CHECK(pthread_create(&threads[0], NULL, detached, &value) == 0);
  CHECK(pthread_detach(threads[0]) == 0);
  sem_wait(&detached_is_done);
  printf("detached: %d\n", value);
  value = 0;
  CHECK(pthread_create(&threads[0], NULL, detaches_itself, &value) == 0);
  sem_wait(&detached_is_done);
  printf("detached by itself: %d\n", value);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  value = 0;
  CHECK(pthread_create(&threads[0], &attributes, detached, &value) == 0);
  sem_wait(&detached_is_done);
  printf("created detached: %d\n", value);

  CHECK(pthread_create(&threads[0], NULL, waits, (void*)5) == 0);
  printf("tryjoin while it runs: %s\n", error_name(pthread_tryjoin_np(threads[0], NULL)));
  long long start = now_ns();
  struct timespec until = in_ms(CLOCK_REALTIME, 30);
  printf("timedjoin while it runs: %s\n", error_name(pthread_timedjoin_np(threads[0], NULL, &until)));
  CHECK(now_ns() - start >= 25 * 1000000LL);
  sem_post(&may_end);
  void* result;
  until = in_ms(CLOCK_REALTIME, 60000);
  printf("timedjoin when it may end: %s\n", error_name(pthread_timedjoin_np(threads[0], &result, &until)));
  printf("it returned %d\n", (int)(intptr_t)result);

  CHECK(pthread_create(&threads[0], NULL, starts_another, (void*)6) == 0);
  CHECK(pthread_join(threads[0], &result) == 0);
  printf("a chain of threads, each started by the one before: %d\n", (int)(intptr_t)result);

  pthread_t self;
  CHECK(pthread_create(&threads[0], NULL, says_who, &self) == 0);
  CHECK(pthread_join(threads[0], NULL) == 0);
  CHECK(pthread_equal(self, threads[0]));
  CHECK(!pthread_equal(self, pthread_self()));
  CHECK(pthread_equal(pthread_self(), pthread_self()));

  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, counts, NULL) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("counted together: %d\n", counter);

  // One after the other, so that what an ended thread leaves is used again.
  for (intptr_t i = 0; i < 500; i++) {
    CHECK(pthread_create(&threads[0], NULL, square, (void*)i) == 0);
    CHECK(pthread_join(threads[0], &result) == 0);
    CHECK((intptr_t)result == i * i);
  }
  puts("500 one after the other");
  return 0;
}
