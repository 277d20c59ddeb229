// A thread traps in crash_here, called by on_the_way, while main is in join and another thread waits.
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

__attribute__((noinline)) void crash_here(int reason) {
  if (reason) __builtin_trap();
}
__attribute__((noinline)) int on_the_way(int reason) {
  crash_here(reason);
  return reason + 1;
}
static void* crashes(void* argument) {
  puts("about to trap");
  fflush(stdout);
  on_the_way(*(volatile int*)argument);
  return NULL;
}
static void* waits(void* argument) {
  pthread_mutex_lock(&mutex);
  for (;;) pthread_cond_wait(&never, &mutex);
  return argument;
}

int main(void) {
  int reason = 1;
  pthread_t one, two;
  if (pthread_create(&one, NULL, waits, NULL) != 0 || pthread_create(&two, NULL, crashes, &reason) != 0) return 2;
  pthread_join(one, NULL);
  return 1;
}
