// One wait for messages, a channel, a topic, an event of another process, a timer and the end of that process.
#include "check.h"

enum { kMail = 1, kOrder, kNews, kEvent, kTimer, kEnd };

static char buffer[64];

static int waits(void) {
  int orders = granted("orders");
  int news = weft_topic_subscribe(NAME("news"), 8);
  int event = weft_event_new();
  int set = weft_wait_set_new();
  CHECK(news > 0 && event > 0 && set > 0);
  CHECK(weft_wait_add(set, kMail, WEFT_WAIT_MAILBOX, 0) == 0);
  CHECK(weft_wait_add(set, kOrder, WEFT_WAIT_READABLE, orders) == 0);
  CHECK(weft_wait_add(set, kNews, WEFT_WAIT_TOPIC, news) == 0);
  CHECK(weft_wait_add(set, kEvent, WEFT_WAIT_EVENT, event) == 0);
  CHECK(weft_wait_add(set, kTimer, WEFT_WAIT_TIMER, 20 * MS) == 0);
  CHECK(weft_register_name(NAME("waits")) == 0);

  int64_t other = 0;
  int seen[kEnd + 1] = {0};
  weft_wait_event_t events[8];
  while (!seen[kEnd] || !seen[kTimer]) {
    int count = weft_wait(set, events, 8, 1, -1);
    CHECK(count > 0);
    for (int i = 0; i < count; i++) {
      CHECK(!events[i].gone);
      seen[events[i].key]++;
      weft_message_t message;
      weft_received_t received;
      weft_event_t published;
      switch (events[i].key) {
        case kMail:
          CHECK(weft_receive(NULL, 0, WEFT_ANY, buffer, sizeof buffer, &message, 0) == 0);
          other = message.sender;
          CHECK(weft_grant(other, NAME("event"), event) == 0);
          CHECK(weft_wait_add(set, kEnd, WEFT_WAIT_PROCESS, other) == 0);
          CHECK(weft_send(other, 1, NULL, 0, -1) == 0);
          break;
        case kOrder:
          CHECK(weft_channel_receive(orders, buffer, sizeof buffer, &received, 0) == 0);
          CHECK(received.size == 5 && memcmp(buffer, "order", 5) == 0);
          break;
        case kNews:
          CHECK(weft_topic_next(news, buffer, sizeof buffer, &published, 0) == 0);
          CHECK(published.publisher == other && published.size == 4);
          break;
        case kEvent:
          CHECK(weft_event_reset(event) == 0);
          break;
        default:
          CHECK(weft_wait_remove(set, events[i].key) == 0);
      }
    }
  }
  for (int key = kMail; key <= kEnd; key++) CHECK(seen[key] == 1);
  CHECK(weft_wait(set, events, 8, WEFT_WAIT_ALL, 0) == -EAGAIN);
  CHECK(weft_drop(set) == 0 && weft_wait(set, events, 8, 1, 0) == -EBADF);
  puts("waits: ok");
  return 0;
}

static int feeds(void) {
  int64_t other = process_named("waits");
  CHECK(weft_send(other, 1, NULL, 0, -1) == 0);
  weft_message_t message;
  CHECK(weft_receive(NULL, 0, other, NULL, 0, &message, -1) == 0);
  CHECK(weft_channel_send(granted("orders"), "order", 5, -1) == 0);
  CHECK(weft_topic_publish(NAME("news"), "news", 4) == 1);
  CHECK(weft_event_set(granted("event")) == 0);
  // It has seen all of them before this one ends.
  CHECK(weft_receive((uint64_t[]){2}, 1, other, NULL, 0, &message, 10 * MS) == ETIMEDOUT);
  return 0;
}

int main(int count, char** arguments) { return count > 1 && strcmp(arguments[1], "feed") == 0 ? feeds() : waits(); }
