// Normal, recursive and errorcheck mutexes: lock, trylock, timedlock, from the owner and from another thread; spin locks.
#include <pthread.h>
#include "check.h"

static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
static const char* const type_names[] = {"normal", "recursive", "errorcheck"};

static void init(pthread_mutex_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  CHECK(pthread_mutexattr_init(&attributes) == 0);
  CHECK(pthread_mutexattr_settype(&attributes, type) == 0);
  int got;
  CHECK(pthread_mutexattr_gettype(&attributes, &got) == 0 && got == type);
  CHECK(pthread_mutex_init(mutex, &attributes) == 0);
  CHECK(pthread_mutexattr_destroy(&attributes) == 0);
}

struct other {
  pthread_mutex_t* mutex;
  int trylock, timedlock, unlock;
  long long waited_ns;
};

static void* other_thread(void* argument) {
  struct other* other = argument;
  other->trylock = pthread_mutex_trylock(other->mutex);
  long long start = now_ns();
  struct timespec until = in_ms(CLOCK_REALTIME, 40);
  other->timedlock = pthread_mutex_timedlock(other->mutex, &until);
  other->waited_ns = now_ns() - start;
  return NULL;
}
static void* other_unlocks(void* argument) {
  struct other* other = argument;
  other->unlock = pthread_mutex_unlock(other->mutex);
  return NULL;
}
static void run(void* (*function)(void*), void* argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, function, argument) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

static pthread_mutex_t counter_mutex;
static int counter;
static void* count(void* argument) {
  for (int i = 0; i < 20000; i++) {
    CHECK(pthread_mutex_lock(&counter_mutex) == 0);
    counter++;
    CHECK(pthread_mutex_unlock(&counter_mutex) == 0);
  }
  return argument;
}

static void* lock_soon(void* argument) {
  struct timespec until = in_ms(CLOCK_REALTIME, 60000);
  CHECK(pthread_mutex_timedlock(argument, &until) == 0);
  CHECK(pthread_mutex_unlock(argument) == 0);
  return NULL;
}

static pthread_spinlock_t spinlock;
static void* spin(void* argument) {
  for (int i = 0; i < 2000; i++) {
    CHECK(pthread_spin_lock(&spinlock) == 0);
    counter++;
    CHECK(pthread_spin_unlock(&spinlock) == 0);
  }
  return argument;
}

int main(void) {
  for (int kind = 0; kind < 3; kind++) {
    pthread_mutex_t mutex;
    init(&mutex, types[kind]);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    if (types[kind] == PTHREAD_MUTEX_NORMAL) {
      printf("%s: trylock by the owner: %s\n", type_names[kind], error_name(pthread_mutex_trylock(&mutex)));
      struct timespec until = in_ms(CLOCK_REALTIME, 20);
      printf("%s: timedlock by the owner: %s\n", type_names[kind], error_name(pthread_mutex_timedlock(&mutex, &until)));
    } else {
      int again = pthread_mutex_lock(&mutex);
      printf("%s: lock by the owner: %s\n", type_names[kind], error_name(again));
      if (again == 0) CHECK(pthread_mutex_unlock(&mutex) == 0);
    }
    struct other other = {.mutex = &mutex};
    run(other_thread, &other);
    printf("%s: trylock by another: %s\n", type_names[kind], error_name(other.trylock));
    printf("%s: timedlock by another: %s\n", type_names[kind], error_name(other.timedlock));
    CHECK(other.waited_ns >= 35 * 1000000LL);
    if (types[kind] != PTHREAD_MUTEX_NORMAL) {
      run(other_unlocks, &other);
      printf("%s: unlock by another: %s\n", type_names[kind], error_name(other.unlock));
    }
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    if (types[kind] != PTHREAD_MUTEX_NORMAL) {
      printf("%s: unlock once too often: %s\n", type_names[kind], error_name(pthread_mutex_unlock(&mutex)));
    }

    // Free again: a waiter with a time-out gets it.
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, lock_soon, &mutex) == 0);
    sleep_ms(20);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_destroy(&mutex) == 0);

    init(&counter_mutex, types[kind]);
    counter = 0;
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, count, NULL) == 0);
    for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%s: counted by six threads: %d\n", type_names[kind], counter);
    CHECK(pthread_mutex_destroy(&counter_mutex) == 0);
  }

  pthread_mutex_t recursive;
  init(&recursive, PTHREAD_MUTEX_RECURSIVE);
  for (int i = 0; i < 100; i++) CHECK(pthread_mutex_lock(&recursive) == 0);
  for (int i = 0; i < 99; i++) CHECK(pthread_mutex_unlock(&recursive) == 0);
  struct other other = {.mutex = &recursive};
  run(other_thread, &other);
  printf("recursive, 100 locks and 99 unlocks: trylock by another: %s\n", error_name(other.trylock));
  CHECK(pthread_mutex_unlock(&recursive) == 0);

  CHECK(pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE) == 0);
  CHECK(pthread_spin_lock(&spinlock) == 0);
  printf("spin lock: trylock: %s\n", error_name(pthread_spin_trylock(&spinlock)));
  CHECK(pthread_spin_unlock(&spinlock) == 0);
  counter = 0;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, spin, NULL) == 0);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("spin lock: counted by two threads: %d\n", counter);
  return 0;
}
