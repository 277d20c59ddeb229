// pingpong [ROUNDS]: two threads take turns over a mutex and two condition variables; prints ns per round trip.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ping = PTHREAD_COND_INITIALIZER, pong = PTHREAD_COND_INITIALIZER;
static int turn;  // 0: ping's, 1: pong's
static long rounds = 100000;

static void play(int me, pthread_cond_t* mine, pthread_cond_t* theirs) {
  for (long i = 0; i < rounds; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != me) pthread_cond_wait(mine, &mutex);
    turn = !me;
    pthread_cond_signal(theirs);
    pthread_mutex_unlock(&mutex);
  }
}
static void* plays_pong(void* argument) {
  play(1, &pong, &ping);
  return argument;
}

int main(int count, char** words) {
  if (count > 1) rounds = atol(words[1]);
  pthread_t thread;
  struct timespec start, end;
  if (pthread_create(&thread, NULL, plays_pong, NULL) != 0) return 2;
  clock_gettime(CLOCK_MONOTONIC, &start);
  play(0, &ping, &pong);
  pthread_join(thread, NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("%.0f ns per round trip\n", ns / (double)rounds);
  return 0;
}
