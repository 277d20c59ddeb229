// parked [COUNT [STACK_BYTES]]: that many threads wait for a condition; prints "parked COUNT" when all do, and ends them and itself when
// standard input ends.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go_on = PTHREAD_COND_INITIALIZER, one_more = PTHREAD_COND_INITIALIZER;
static int waiting, may_end;

static size_t stack_bytes = 32 * 1024;

// So that what a waiting thread takes can be told apart from its stack: it has used all of that, but for what the calls from here on need.
static void use_stack(void) {
  size_t size = stack_bytes > 4096 ? stack_bytes - 3072 : 1024;
  char room[size];
  volatile char* at = room;
  for (size_t i = 0; i < size; i += 512) at[i] = 1;
}

static void* waits(void* argument) {
  use_stack();
  pthread_mutex_lock(&mutex);
  waiting++;
  pthread_cond_signal(&one_more);
  while (!may_end) pthread_cond_wait(&go_on, &mutex);
  pthread_mutex_unlock(&mutex);
  return argument;
}

int main(int count, char** words) {
  int threads_count = count > 1 ? atoi(words[1]) : 100;
  if (count > 2) stack_bytes = strtoul(words[2], NULL, 10);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (pthread_attr_setstacksize(&attributes, stack_bytes) != 0) {
    fprintf(stderr, "parked: no such stack size: %zu\n", stack_bytes);
    return 2;
  }
  pthread_t* threads = calloc((size_t)threads_count, sizeof *threads);
  for (int i = 0; i < threads_count; i++) {
    int error = pthread_create(&threads[i], &attributes, waits, NULL);
    if (error != 0) {
      fprintf(stderr, "parked: thread %d could not be created: error %d\n", i, error);
      return 1;
    }
  }
  pthread_mutex_lock(&mutex);
  while (waiting < threads_count) pthread_cond_wait(&one_more, &mutex);
  pthread_mutex_unlock(&mutex);
  printf("parked %d\n", threads_count);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  pthread_mutex_lock(&mutex);
  may_end = 1;
  pthread_cond_broadcast(&go_on);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < threads_count; i++) pthread_join(threads[i], NULL);
  puts("all ended");
  return 0;
}
