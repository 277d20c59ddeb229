// Reader-writer locks: readers together, writers alone, tries and time-outs.
#include <pthread.h>
#include "check.h"

static pthread_rwlock_t lock;
static pthread_barrier_t all_readers;

static void* reads_with_others(void* argument) {
  CHECK(pthread_rwlock_rdlock(&lock) == 0);
  pthread_barrier_wait(&all_readers);  // returns only if all of them hold the lock at once
  CHECK(pthread_rwlock_unlock(&lock) == 0);
  return argument;
}

struct tries {
  int tryrd, trywr, timedrd, timedwr;
};
static void* tries(void* argument) {
  struct tries* tries = argument;
  tries->tryrd = pthread_rwlock_tryrdlock(&lock);
  if (tries->tryrd == 0) pthread_rwlock_unlock(&lock);
  tries->trywr = pthread_rwlock_trywrlock(&lock);
  if (tries->trywr == 0) pthread_rwlock_unlock(&lock);
  long long start = now_ns();
  struct timespec until = in_ms(CLOCK_REALTIME, 30);
  tries->timedrd = pthread_rwlock_timedrdlock(&lock, &until);
  if (tries->timedrd == 0)
    pthread_rwlock_unlock(&lock);
  else
    CHECK(now_ns() - start >= 25 * 1000000LL);
  until = in_ms(CLOCK_REALTIME, 30);
  tries->timedwr = pthread_rwlock_timedwrlock(&lock, &until);
  if (tries->timedwr == 0) pthread_rwlock_unlock(&lock);
  return NULL;
}
static void report(const char* when) {
  struct tries result;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, tries, &result) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  printf("%s: tryrdlock %s, trywrlock %s, timedrdlock %s, timedwrlock %s\n", when, error_name(result.tryrd),
         error_name(result.trywr), error_name(result.timedrd), error_name(result.timedwr));
}

static int a, b, readers_content;
static void* writes(void* argument) {
  for (int i = 0; i < 3000; i++) {
    CHECK(pthread_rwlock_wrlock(&lock) == 0);
    a++;
    b++;
    CHECK(pthread_rwlock_unlock(&lock) == 0);
  }
  return argument;
}
static void* reads(void* argument) {
  for (int i = 0; i < 3000; i++) {
    CHECK(pthread_rwlock_rdlock(&lock) == 0);
    CHECK(a == b);
    CHECK(pthread_rwlock_unlock(&lock) == 0);
  }
  __atomic_fetch_add(&readers_content, 1, __ATOMIC_SEQ_CST);
  return argument;
}

int main(void) {
  CHECK(pthread_rwlock_init(&lock, NULL) == 0);
  CHECK(pthread_barrier_init(&all_readers, NULL, 5) == 0);
  pthread_t threads[6];
  for (int i = 0; i < 5; i++) CHECK(pthread_create(&threads[i], NULL, reads_with_others, NULL) == 0);
  for (int i = 0; i < 5; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  puts("five readers at once");

  report("free");
  CHECK(pthread_rwlock_rdlock(&lock) == 0);
  report("held for reading");
  CHECK(pthread_rwlock_unlock(&lock) == 0);
  CHECK(pthread_rwlock_wrlock(&lock) == 0);
  report("held for writing");
  CHECK(pthread_rwlock_unlock(&lock) == 0);

  for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, i % 2 ? writes : reads, NULL) == 0);
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("%d writes, seen whole by %d readers\n", a, readers_content);
  CHECK(pthread_rwlock_destroy(&lock) == 0);
  return 0;
}
