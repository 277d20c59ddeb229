// createjoin [COUNT]: creates and joins that many threads, one after the other; prints ns for each.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void* nothing(void* argument) { return argument; }

int main(int count, char** words) {
  long threads = count > 1 ? atol(words[1]) : 10000;
  struct timespec start, end;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, nothing, NULL) != 0) {
      fprintf(stderr, "createjoin: thread %ld could not be created\n", i);
      return 1;
    }
    pthread_join(thread, NULL);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("%.0f ns to create and join a thread\n", ns / (double)threads);
  return 0;
}
