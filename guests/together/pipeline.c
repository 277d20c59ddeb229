// A producer that sends numbers in batches, workers that square them, a collector that adds up; a broadcast tells the workers by what to multiply.
#include "check.h"

enum { kNumbers = 20000, kBatch = 100 };

static uint64_t numbers[kBatch];
static uint32_t sizes[kBatch];

static int produce(void) {
  int jobs = granted("jobs");
  int factor = granted("factor");
  uint64_t three = 3;
  CHECK(weft_channel_send(factor, &three, sizeof three, -1) == 0);
  for (int i = 0; i < kBatch; i++) sizes[i] = sizeof numbers[0];
  for (uint64_t next = 0; next < kNumbers;) {
    for (int i = 0; i < kBatch; i++) numbers[i] = ++next;
    for (int sent = 0; sent < kBatch;) {
      int count = weft_channel_send_many(jobs, numbers + sent, sizes + sent, (uint32_t)(kBatch - sent), -1);
      CHECK(count > 0);
      sent += count;
    }
  }
  return weft_channel_close(jobs);
}

static int work(void) {
  int jobs = granted("jobs");
  int results = granted("results");
  uint64_t factor = 0;
  weft_received_t received;
  CHECK(weft_channel_receive(granted("factor"), &factor, sizeof factor, &received, -1) == 0);
  for (;;) {
    int count = weft_channel_receive_many(jobs, numbers, sizeof numbers, sizes, kBatch, &received, -1);
    if (count == -EPIPE) return 0;
    CHECK(count > 0 && received.size == (uint32_t)count * sizeof numbers[0]);
    for (int i = 0; i < count; i++) numbers[i] *= numbers[i] * factor;
    CHECK(weft_channel_send_many(results, numbers, sizes, (uint32_t)count, -1) == count);
  }
}

static int collect(void) {
  int results = granted("results");
  uint64_t sum = 0;
  for (int left = kNumbers; left > 0;) {
    weft_received_t received;
    int count = weft_channel_receive_many(results, numbers, sizeof numbers, sizes, kBatch, &received, -1);
    CHECK(count > 0);
    for (int i = 0; i < count; i++) sum += numbers[i];
    left -= count;
  }
  uint64_t n = kNumbers;
  CHECK(sum == 3 * (n * (n + 1) * (2 * n + 1) / 6));
  weft_channel_stats_t stats;
  CHECK(weft_channel_stats(results, &stats) == 0 && stats.received == n && stats.messages == 0);
  puts("collector: ok");
  return 0;
}

int main(int count, char** arguments) {
  const char* role = count > 1 ? arguments[1] : "";
  if (strcmp(role, "produce") == 0) return produce();
  return strcmp(role, "work") == 0 ? work() : collect();
}
