// Two threads lock two mutexes in opposite order; a barrier between the first lock and the second makes the deadlock certain.
#pragma once
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t first_mutex, second_mutex;
static pthread_barrier_t each_has_one;

static void init_both(int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutex_init(&first_mutex, &attributes);
  pthread_mutex_init(&second_mutex, &attributes);
  pthread_barrier_init(&each_has_one, NULL, 2);
}

static void lock_two(pthread_mutex_t* mine, pthread_mutex_t* theirs) {
  pthread_mutex_lock(mine);
  pthread_barrier_wait(&each_has_one);
  int error = pthread_mutex_lock(theirs);
  fprintf(stderr, "no deadlock: the second lock returned %d\n", error);
  exit(1);
}
static void* first_then_second(void* argument) {
  lock_two(&first_mutex, &second_mutex);
  return argument;
}
static void* second_then_first(void* argument) {
  lock_two(&second_mutex, &first_mutex);
  return argument;
}

static int deadlock(int type) {
  init_both(type);
  printf("the mutexes are at %p and %p\n", (void*)&first_mutex, (void*)&second_mutex);
  fflush(stdout);
  pthread_t one, two;
  if (pthread_create(&one, NULL, first_then_second, NULL) != 0 || pthread_create(&two, NULL, second_then_first, NULL) != 0)
    return 2;
  pthread_join(one, NULL);
  pthread_join(two, NULL);
  return 1;
}
