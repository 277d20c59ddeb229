// spawn_storm [STACK_BYTES [ATTEMPTS_MAX]]: creates threads that wait until creating one fails, tries ten times more, says how many of
// the errors were EAGAIN, lets all threads go and joins them. Exit status 0 if each one could be joined.
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;
static int storm_is_over;

static void* waits(void* argument) {
  pthread_mutex_lock(&mutex);
  while (!storm_is_over) pthread_cond_wait(&over, &mutex);
  pthread_mutex_unlock(&mutex);
  return argument;
}

int main(int count, char** words) {
  size_t stack_bytes = count > 1 ? strtoul(words[1], NULL, 10) : 32 * 1024;
  int attempts_max = count > 2 ? atoi(words[2]) : 200000;
  pthread_t* threads = malloc(sizeof *threads * (size_t)attempts_max);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (pthread_attr_setstacksize(&attributes, stack_bytes) != 0) {
    fprintf(stderr, "spawn_storm: no such stack size: %zu\n", stack_bytes);
    return 2;
  }
  int created = 0, errors = 0, again = 0;
  for (int i = 0; i < attempts_max && errors < 11; i++) {
    int error = pthread_create(&threads[created], &attributes, waits, (void*)(intptr_t)created);
    if (error == 0) {
      created++;
    } else {
      errors++;
      if (error == EAGAIN) again++;
    }
  }
  printf("created %d, errors %d, of them EAGAIN %d\n", created, errors, again);
  fflush(stdout);
  pthread_mutex_lock(&mutex);
  storm_is_over = 1;
  pthread_cond_broadcast(&over);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < created; i++) {
    void* result;
    if (pthread_join(threads[i], &result) != 0 || (intptr_t)result != i) {
      fprintf(stderr, "spawn_storm: thread %d could not be joined\n", i);
      return 1;
    }
  }
  printf("joined %d\n", created);
  return 0;
}
