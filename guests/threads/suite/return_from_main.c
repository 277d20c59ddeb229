// Returning from main ends the program although threads still wait, sleep and run.
#include <pthread.h>
#include <semaphore.h>
#include "check.h"

static sem_t never, started;
static volatile unsigned long turns;
static void* waits(void* argument) {
  sem_post(&started);
  sem_wait(&never);
  return argument;
}
static void* sleeps(void* argument) {
  sem_post(&started);
  sleep_ms(3600 * 1000);
  return argument;
}
static void* spins(void* argument) {
  sem_post(&started);
  for (;;) turns++;
  return argument;
}

int main(void) {
  sem_init(&never, 0, 0);
  sem_init(&started, 0, 0);
  void* (*const functions[])(void*) = {waits, sleeps, spins};
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, functions[i], NULL) == 0);
  }
  for (int i = 0; i < 3; i++) sem_wait(&started);
  puts("main returns 5");
  return 5;
}
