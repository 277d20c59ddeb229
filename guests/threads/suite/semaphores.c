// Unnamed semaphores: wait, trywait, timedwait, values, and threads handing a token around.
#include <pthread.h>
#include <semaphore.h>
#include "check.h"

enum { ring = 5, rounds = 300 };
static sem_t places[ring], limit;
static int token, inside, most_inside;

static void* passes_on(void* argument) {
  int place = *(int*)argument;
  for (int round = 0; round < rounds; round++) {
    CHECK(sem_wait(&places[place]) == 0);
    CHECK(token % ring == place);
    token++;
    CHECK(sem_post(&places[(place + 1) % ring]) == 0);
  }
  return NULL;
}

static void* enters(void* argument) {
  for (int i = 0; i < 100; i++) {
    CHECK(sem_wait(&limit) == 0);
    int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    CHECK(now <= 3);
    int most = __atomic_load_n(&most_inside, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&most_inside, &most, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    if (i % 10 == 0) sleep_ms(1);
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
    CHECK(sem_post(&limit) == 0);
  }
  return argument;
}

static void* posts_later(void* argument) {
  sleep_ms(20);
  CHECK(sem_post(argument) == 0);
  return NULL;
}

int main(void) {
  sem_t one;
  int value;
  CHECK(sem_init(&one, 0, 2) == 0);
  CHECK(sem_getvalue(&one, &value) == 0);
  printf("starts at %d\n", value);
  CHECK(sem_wait(&one) == 0);
  CHECK(sem_trywait(&one) == 0);
  CHECK(sem_getvalue(&one, &value) == 0);
  printf("after two waits %d\n", value);
  printf("trywait at zero: %s\n", sem_trywait(&one) == -1 ? error_name(errno) : "done");
  long long start = now_ns();
  struct timespec until = in_ms(CLOCK_REALTIME, 50);
  printf("timedwait at zero: %s\n", sem_timedwait(&one, &until) == -1 ? error_name(errno) : "done");
  CHECK(now_ns() - start >= 45 * 1000000LL);
  pthread_t threads[8];
  CHECK(pthread_create(&threads[0], NULL, posts_later, &one) == 0);
  until = in_ms(CLOCK_REALTIME, 60000);
  printf("timedwait, and somebody posts: %s\n", sem_timedwait(&one, &until) == -1 ? error_name(errno) : "done");
  CHECK(pthread_join(threads[0], NULL) == 0);
  CHECK(sem_destroy(&one) == 0);

  int place[ring];
  for (int i = 0; i < ring; i++) CHECK(sem_init(&places[i], 0, i == 0) == 0);
  for (int i = 0; i < ring; i++) {
    place[i] = i;
    CHECK(pthread_create(&threads[i], NULL, passes_on, &place[i]) == 0);
  }
  for (int i = 0; i < ring; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("the token went from hand to hand %d times\n", token);

  CHECK(sem_init(&limit, 0, 3) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, enters, NULL) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("eight threads, never more than three inside: %s\n", most_inside <= 3 ? "yes" : "no");
  return 0;
}
