// With strands: one that waits in a call of weft lets the others run.
#include <weft/strand.h>

#include "check.h"

enum { kNumbers = 2000, kReceivers = 10 };

static int ends[2], event;
static uint64_t sum;

static int receives(void* nothing) {
  (void)nothing;
  uint32_t number;
  weft_received_t received;
  int error;
  while ((error = weft_channel_receive(ends[1], &number, sizeof number, &received, -1)) == 0) sum += number;
  return error;
}

static int waits(void* nothing) {
  (void)nothing;
  int set = weft_wait_set_new();
  CHECK(weft_wait_add(set, 1, WEFT_WAIT_EVENT, event) == 0 && weft_wait_add(set, 2, WEFT_WAIT_TIMER, 3600000 * MS) == 0);
  weft_wait_event_t events[2];
  CHECK(weft_wait(set, events, 2, 1, -1) == 1 && events[0].key == 1);
  return 5;
}

int main(void) {
  CHECK(weft_channel_make(WEFT_CHANNEL_RENDEZVOUS, 0, 0, WEFT_CHANNEL_HOLDS_BACK, ends) == 0);
  event = weft_event_new();
  weft_strand_t strands[kReceivers];
  for (int i = 0; i < kReceivers; i++) CHECK((strands[i] = weft_strand_spawn(receives, NULL, WEFT_STRAND_NORMAL)) > 0);
  weft_strand_t waiter = weft_strand_spawn(waits, NULL, WEFT_STRAND_NORMAL);
  for (uint32_t i = 1; i <= kNumbers; i++) CHECK(weft_channel_send(ends[0], &i, sizeof i, -1) == 0);
  CHECK(weft_channel_close(ends[0]) == 0);
  for (int i = 0; i < kReceivers; i++) CHECK(weft_strand_join(strands[i]) == EPIPE);
  CHECK(sum == (uint64_t)kNumbers * (kNumbers + 1) / 2);
  CHECK(weft_event_set(event) == 0);
  CHECK(weft_strand_join(waiter) == 5);
  puts("ok");
  return 0;
}
