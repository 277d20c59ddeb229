// _Thread_local variables start from their initialiser in each thread; keys have a value per thread and a destructor.
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "check.h"

static _Thread_local int number = 42;
static _Thread_local char text[32] = "as written";
static _Thread_local int zero;
static _Alignas(64) _Thread_local char aligned[64];
static int* addresses[6];
static pthread_barrier_t all_here;

static void* own_copy(void* argument) {
  int index = (int)(intptr_t)argument;
  CHECK(number == 42 && zero == 0 && strcmp(text, "as written") == 0);
  CHECK((uintptr_t)aligned % 64 == 0);
  number += index;
  zero = index;
  snprintf(text, sizeof text, "thread %d", index);
  addresses[index] = &number;
  pthread_barrier_wait(&all_here);
  char expected[32];
  snprintf(expected, sizeof expected, "thread %d", index);
  CHECK(number == 42 + index && zero == index && strcmp(text, expected) == 0);
  pthread_barrier_wait(&all_here);
  return NULL;
}

static pthread_key_t key, plain, again;
static int destroyed_sum, destroyed_count, again_count;
static void destroy(void* value) {
  __atomic_fetch_add(&destroyed_sum, *(int*)value, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&destroyed_count, 1, __ATOMIC_SEQ_CST);
  free(value);
}
static void sets_itself_again(void* value) {
  __atomic_fetch_add(&again_count, 1, __ATOMIC_SEQ_CST);
  if (value == (void*)2) CHECK(pthread_setspecific(again, (void*)1) == 0);
}
static void* uses_keys(void* argument) {
  CHECK(pthread_getspecific(key) == NULL);
  if (argument == NULL) return NULL;  // never sets it: no destructor
  int* value = malloc(sizeof *value);
  *value = (int)(intptr_t)argument;
  CHECK(pthread_setspecific(key, value) == 0);
  CHECK(pthread_setspecific(plain, argument) == 0);
  CHECK(pthread_setspecific(again, (void*)2) == 0);
  CHECK(pthread_getspecific(key) == value && pthread_getspecific(plain) == argument);
  return NULL;
}

int main(void) {
  pthread_t threads[6];
  CHECK(pthread_barrier_init(&all_here, NULL, 6) == 0);
  number = 7;
  for (intptr_t i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, own_copy, (void*)i) == 0);
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(number == 7);
  for (int i = 0; i < 6; i++) {
    for (int j = 0; j < i; j++) CHECK(addresses[i] != addresses[j]);
  }
  puts("six threads, six copies of each variable");

  CHECK(pthread_key_create(&key, destroy) == 0);
  CHECK(pthread_key_create(&plain, NULL) == 0);
  CHECK(pthread_key_create(&again, sets_itself_again) == 0);
  for (intptr_t i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, uses_keys, (void*)i) == 0);
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  printf("destructors: %d, of values that sum up to %d\n", destroyed_count, destroyed_sum);
  printf("a destructor that sets its key again was called %d times by five threads\n", again_count);
  CHECK(pthread_getspecific(key) == NULL);
  CHECK(pthread_key_delete(key) == 0 && pthread_key_delete(plain) == 0 && pthread_key_delete(again) == 0);

  pthread_key_t many[64];
  for (int i = 0; i < 64; i++) {
    CHECK(pthread_key_create(&many[i], NULL) == 0);
    CHECK(pthread_setspecific(many[i], (void*)(intptr_t)(i + 1)) == 0);
  }
  for (int i = 0; i < 64; i++) {
    CHECK(pthread_getspecific(many[i]) == (void*)(intptr_t)(i + 1));
    CHECK(pthread_key_delete(many[i]) == 0);
  }
  puts("64 keys at once");
  return 0;
}
