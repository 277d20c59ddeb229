// C11 <threads.h>: threads, the kinds of mutexes, condition variables, thread storage with destructors, call_once.
#include <threads.h>
#include "check.h"

static const char* name(int status) {
  if (status == thrd_success) return "success";
  if (status == thrd_busy) return "busy";
  if (status == thrd_timedout) return "timedout";
  if (status == thrd_nomem) return "nomem";
  return "error";
}

static int returns(void* argument) { return *(int*)argument * 3; }

static mtx_t mutex;
static cnd_t condition;
static int counter, turn;
static int counts(void* argument) {
  (void)argument;
  for (int i = 0; i < 10000; i++) {
    CHECK(mtx_lock(&mutex) == thrd_success);
    counter++;
    CHECK(mtx_unlock(&mutex) == thrd_success);
  }
  return 0;
}
static int tries(void* argument) {
  int status = mtx_trylock(argument);
  if (status == thrd_success) mtx_unlock(argument);
  return status;
}
static int tries_for_a_while(void* argument) {
  struct timespec until;
  timespec_get(&until, TIME_UTC);
  until.tv_nsec += 30000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  return mtx_timedlock(argument, &until);
}
static int in_another(thrd_start_t function, void* argument) {
  thrd_t thread;
  int result;
  CHECK(thrd_create(&thread, function, argument) == thrd_success);
  CHECK(thrd_join(thread, &result) == thrd_success);
  return result;
}

static int takes_turns(void* argument) {
  int parity = *(int*)argument;
  for (int i = 0; i < 500; i++) {
    mtx_lock(&mutex);
    while (turn % 2 != parity) CHECK(cnd_wait(&condition, &mutex) == thrd_success);
    turn++;
    CHECK(cnd_broadcast(&condition) == thrd_success);
    mtx_unlock(&mutex);
  }
  return 0;
}

static tss_t storage;
static thread_local int mine = 1;
static int destroyed;
static void destroy(void* value) { __atomic_fetch_add(&destroyed, *(int*)value, __ATOMIC_SEQ_CST); }
static int stores(void* argument) {
  CHECK(tss_get(storage) == NULL && mine == 1);
  mine++;
  CHECK(tss_set(storage, argument) == thrd_success);
  CHECK(tss_get(storage) == argument);
  return 0;
}

static once_flag flag = ONCE_FLAG_INIT;
static int once_runs;
static void run_once(void) { once_runs++; }
static int asks_for_it(void* argument) {
  (void)argument;
  call_once(&flag, run_once);
  return once_runs;
}

int main(void) {
  int seven = 7;
  printf("a thread returned %d\n", in_another(returns, &seven));

  CHECK(mtx_init(&mutex, mtx_plain) == thrd_success);
  CHECK(cnd_init(&condition) == thrd_success);
  thrd_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(thrd_create(&threads[i], counts, NULL) == thrd_success);
  for (int i = 0; i < 4; i++) CHECK(thrd_join(threads[i], NULL) == thrd_success);
  printf("counted %d\n", counter);
  CHECK(mtx_lock(&mutex) == thrd_success);
  printf("trylock of a held mutex: %s\n", name(in_another(tries, &mutex)));
  CHECK(mtx_unlock(&mutex) == thrd_success);
  printf("trylock of a free mutex: %s\n", name(in_another(tries, &mutex)));

  mtx_t timed;
  CHECK(mtx_init(&timed, mtx_timed | mtx_recursive) == thrd_success);
  CHECK(mtx_lock(&timed) == thrd_success);
  printf("lock of a recursive mutex by its owner: %s\n", name(mtx_lock(&timed)));
  printf("timedlock by another: %s\n", name(in_another(tries_for_a_while, &timed)));
  CHECK(mtx_unlock(&timed) == thrd_success && mtx_unlock(&timed) == thrd_success);
  mtx_destroy(&timed);

  struct timespec until;
  timespec_get(&until, TIME_UTC);
  CHECK(mtx_lock(&mutex) == thrd_success);
  int status = thrd_success;
  while (status == thrd_success) status = cnd_timedwait(&condition, &mutex, &until);
  printf("wait until now: %s\n", name(status));
  CHECK(mtx_unlock(&mutex) == thrd_success);

  int parities[2] = {0, 1};
  for (int i = 0; i < 2; i++) CHECK(thrd_create(&threads[i], takes_turns, &parities[i]) == thrd_success);
  for (int i = 0; i < 2; i++) CHECK(thrd_join(threads[i], NULL) == thrd_success);
  printf("took %d turns\n", turn);

  CHECK(tss_create(&storage, destroy) == thrd_success);
  for (int i = 0; i < 4; i++) CHECK(thrd_create(&threads[i], stores, &seven) == thrd_success);
  for (int i = 0; i < 4; i++) CHECK(thrd_join(threads[i], NULL) == thrd_success);
  printf("destructors summed up %d; the variable of main is %d\n", destroyed, mine);
  tss_delete(storage);

  for (int i = 0; i < 4; i++) CHECK(thrd_create(&threads[i], asks_for_it, NULL) == thrd_success);
  for (int i = 0; i < 4; i++) {
    int runs;
    CHECK(thrd_join(threads[i], &runs) == thrd_success && runs == 1);
  }
  printf("once: %d\n", once_runs);

  thrd_yield();
  CHECK(thrd_sleep(&(struct timespec){.tv_nsec = 1000000}, NULL) == 0);
  CHECK(thrd_equal(thrd_current(), thrd_current()));
  cnd_destroy(&condition);
  mtx_destroy(&mutex);
  return 0;
}
