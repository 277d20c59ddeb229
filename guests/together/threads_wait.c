// With threads: one that waits in a call of weft parks itself only. A producer, two consumers and one that waits for an event, beside a main thread that works.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

enum { kNumbers = 5000 };

static int ends[2], set;
static atomic_int told;

static void* consumes(void* sum) {
  uint32_t number;
  weft_received_t received;
  int error;
  while ((error = weft_channel_receive(ends[1], &number, sizeof number, &received, -1)) == 0) *(uint64_t*)sum += number;
  CHECK(error == EPIPE);
  return NULL;
}

static void* waits(void* nothing) {
  weft_wait_event_t event;
  CHECK(weft_wait(set, &event, 1, 1, -1) == 1 && event.key == 7);
  atomic_store(&told, 1);
  CHECK(weft_wait(set, &event, 1, 1, -1) == 1);
  CHECK(weft_wait_remove(set, 7) == 0);
  CHECK(weft_wait(set, &event, 1, 1, -1) == -ECANCELED);  // main drops the set
  return nothing;
}

int main(void) {
  pthread_t threads[3];
  uint64_t sums[2] = {0, 0};
  int event = weft_event_new();
  set = weft_wait_set_new();
  CHECK(weft_wait_add(set, 7, WEFT_WAIT_EVENT, event) == 0);
  CHECK(weft_channel_make(WEFT_CHANNEL_BOUNDED, 8, 0, WEFT_CHANNEL_HOLDS_BACK, ends) == 0);
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, consumes, &sums[i]) == 0);
  CHECK(pthread_create(&threads[2], NULL, waits, NULL) == 0);
  for (uint32_t i = 1; i <= kNumbers; i++) CHECK(weft_channel_send(ends[0], &i, sizeof i, -1) == 0);
  CHECK(weft_channel_close(ends[0]) == 0);
  CHECK(!atomic_load(&told));
  CHECK(weft_event_set(event) == 0);
  while (!atomic_load(&told)) continue;
  weft_message_t message;
  CHECK(weft_receive(NULL, 0, WEFT_ANY, NULL, 0, &message, 5 * MS) == ETIMEDOUT);
  CHECK(weft_drop(set) == 0);
  for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(sums[0] + sums[1] == (uint64_t)kNumbers * (kNumbers + 1) / 2);
  puts("ok");
  return 0;
}
