// pthread_once: runs once, and whoever comes while it runs waits until it is done.
#include <pthread.h>
#include "check.h"

static pthread_once_t control = PTHREAD_ONCE_INIT;
static int runs, ready;

static void initialise(void) {
  sleep_ms(30);
  runs++;
  ready = 1;
}
static void* uses(void* argument) {
  CHECK(pthread_once(&control, initialise) == 0);
  CHECK(ready);
  return argument;
}

int main(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, uses, NULL) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(pthread_once(&control, initialise) == 0);
  printf("asked for by nine, ran %d time\n", runs);
  return 0;
}
