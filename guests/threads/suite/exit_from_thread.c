// exit() in a thread ends the program with its status: what is in the buffers is written, handlers run, and threads that wait
// for ever, or never stop, do not keep it.
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
static void* spins(void* argument) {
  sem_post(&started);
  for (;;) turns++;
  return argument;
}
static void* exits(void* argument) {
  printf("the thread exits, with its line still in the buffer");
  exit(23);
  return argument;
}
static void handler(void) { printf("; then the handler runs\n"); }

int main(void) {
  sem_init(&never, 0, 0);
  sem_init(&started, 0, 0);
  atexit(handler);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, spins, NULL) == 0);
  sem_wait(&started);
  sem_wait(&started);
  CHECK(pthread_create(&thread, NULL, exits, NULL) == 0);
  pthread_join(thread, NULL);
  sem_wait(&never);
  puts("not reached");
  return 1;
}
