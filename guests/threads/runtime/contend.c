// contend [THREADS [ROUNDS]]: that many threads lock and unlock one mutex that often each; prints ns per lock.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long rounds = 100000, counter;

static void* locks(void* argument) {
  for (long i = 0; i < rounds; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

int main(int count, char** words) {
  int threads_count = count > 1 ? atoi(words[1]) : 4;
  if (count > 2) rounds = atol(words[2]);
  pthread_t* threads = calloc((size_t)threads_count, sizeof *threads);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 0; i < threads_count; i++) {
    if (pthread_create(&threads[i], NULL, locks, NULL) != 0) {
      fprintf(stderr, "contend: thread %d could not be created\n", i);
      return 1;
    }
  }
  for (int i = 0; i < threads_count; i++) pthread_join(threads[i], NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (counter != threads_count * rounds) {
    fprintf(stderr, "contend: counted %ld instead of %ld\n", counter, threads_count * rounds);
    return 1;
  }
  double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("%.1f ns per lock\n", ns / (double)counter);
  return 0;
}
