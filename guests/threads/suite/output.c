// Threads write to one stream at once: each line stays whole. (All lines are the same, so their order does not matter.)
#include <pthread.h>
#include "check.h"

static void* writes(void* argument) {
  for (int i = 0; i < 250; i++) {
    CHECK(printf("%s %d %s\n", "every thread writes", 12345, "this very line") > 0);
  }
  return argument;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, writes, NULL) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
