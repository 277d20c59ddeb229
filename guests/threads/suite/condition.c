// Condition variables: signal, broadcast, time-outs on both clocks, and a bounded queue between producers and consumers.
#include <pthread.h>
#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int tickets, waiting, awake;

static void* takes_a_ticket(void* argument) {
  pthread_mutex_lock(&mutex);
  waiting++;
  while (tickets == 0) CHECK(pthread_cond_wait(&condition, &mutex) == 0);
  tickets--;
  awake++;
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void await(const int* value, int wanted) {
  for (;;) {
    pthread_mutex_lock(&mutex);
    int now = *value;
    pthread_mutex_unlock(&mutex);
    if (now == wanted) return;
    sleep_ms(1);
  }
}

enum { room = 4, each = 2000 };
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int queue[room], first, length;
static long long sum;

static void* produces(void* argument) {
  for (int i = 1; i <= each; i++) {
    pthread_mutex_lock(&mutex);
    while (length == room) pthread_cond_wait(&not_full, &mutex);
    queue[(first + length++) % room] = i;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}
static void* consumes(void* argument) {
  for (int i = 1; i <= each; i++) {
    pthread_mutex_lock(&mutex);
    while (length == 0) pthread_cond_wait(&not_empty, &mutex);
    sum += queue[first];
    first = (first + 1) % room;
    length--;
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

static void* signals_later(void* argument) {
  sleep_ms(20);
  pthread_mutex_lock(&mutex);
  tickets = 1;
  pthread_cond_signal(argument);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void time_outs(const char* name, clockid_t clock) {
  pthread_condattr_t attributes;
  CHECK(pthread_condattr_init(&attributes) == 0);
  CHECK(pthread_condattr_setclock(&attributes, clock) == 0);
  pthread_cond_t timed;
  CHECK(pthread_cond_init(&timed, &attributes) == 0);
  CHECK(pthread_condattr_destroy(&attributes) == 0);

  pthread_mutex_lock(&mutex);
  long long start = now_ns();
  struct timespec until = in_ms(clock, 50);
  int error = 0;
  while (error == 0) error = pthread_cond_timedwait(&timed, &mutex, &until);
  printf("%s: nobody signals: %s\n", name, error_name(error));
  CHECK(now_ns() - start >= 45 * 1000000LL);
  until.tv_sec -= 10;
  printf("%s: a time that is over: %s\n", name, error_name(pthread_cond_timedwait(&timed, &mutex, &until)));
  until.tv_nsec = 1000000000L;
  printf("%s: no such time: %s\n", name, error_name(pthread_cond_timedwait(&timed, &mutex, &until)));

  tickets = 0;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, signals_later, &timed) == 0);
  until = in_ms(clock, 60000);
  error = 0;
  while (tickets == 0 && error == 0) error = pthread_cond_timedwait(&timed, &mutex, &until);
  printf("%s: somebody signals: %s\n", name, error_name(error));
  pthread_mutex_unlock(&mutex);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_cond_destroy(&timed) == 0);
}

int main(void) {
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) CHECK(pthread_create(&threads[i], NULL, takes_a_ticket, NULL) == 0);
  await(&waiting, 10);
  for (int i = 1; i <= 4; i++) {
    pthread_mutex_lock(&mutex);
    tickets++;
    CHECK(pthread_cond_signal(&condition) == 0);
    pthread_mutex_unlock(&mutex);
    await(&awake, i);
    printf("signal: %d awake\n", i);
  }
  pthread_mutex_lock(&mutex);
  tickets += 6;
  CHECK(pthread_cond_broadcast(&condition) == 0);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < 10; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("broadcast: %d awake, %d tickets left\n", awake, tickets);

  time_outs("real time", CLOCK_REALTIME);
  time_outs("monotonic", CLOCK_MONOTONIC);

  for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, i % 2 ? produces : consumes, NULL) == 0);
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("three producers, three consumers, a queue of %d: sum %lld\n", room, sum);
  return 0;
}
