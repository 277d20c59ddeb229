// exit(7) in a thread while main is in join, one thread waits for a condition, one sleeps, one reads standard input and one spins.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static volatile unsigned long turns;

static void* waits(void* argument) {
  pthread_mutex_lock(&mutex);
  for (;;) pthread_cond_wait(&never, &mutex);
  return argument;
}
static void* sleeps(void* argument) {
  nanosleep(&(struct timespec){.tv_sec = 3600}, NULL);
  return argument;
}
static void* reads(void* argument) {
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  return argument;
}
static void* spins(void* argument) {
  for (;;) turns++;
  return argument;
}
static void* exits(void* argument) {
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  puts("exit(7)");
  exit(7);
  return argument;
}

int main(void) {
  void* (*const functions[])(void*) = {waits, sleeps, reads, spins, exits};
  pthread_t threads[5];
  for (int i = 0; i < 5; i++) {
    if (pthread_create(&threads[i], NULL, functions[i], NULL) != 0) return 2;
  }
  pthread_join(threads[0], NULL);
  return 1;
}
