// Mailboxes and links: a server that counts, a client that asks for what it wants first, and falls with the server unless it traps exits.
#include "check.h"

enum { kAdd = 1, kGet, kStop, kReply = 10 };

static char buffer[256];
static weft_message_t message;

static int serves(void) {
  CHECK(weft_register_name(NAME("counter")) == 0 && weft_register_name(NAME("counter")) == 0);
  int64_t sum = 0;
  for (;;) {
    CHECK(weft_receive(NULL, 0, WEFT_ANY, buffer, sizeof buffer, &message, -1) == 0);
    int64_t value = 0;
    memcpy(&value, buffer, message.size < sizeof value ? message.size : sizeof value);
    if (message.tag == kAdd) sum += value;
    if (message.tag == kGet) CHECK(weft_send(message.sender, kReply + (uint64_t)value, &sum, sizeof sum, -1) == 0);
    if (message.tag == kStop) exit(7);
  }
}

static int asks(void) {
  int64_t server = process_named("counter");
  weft_trap_exits(1);
  CHECK(weft_link(server) == 0 && weft_link(-5) == ESRCH);
  CHECK(weft_register_name(NAME("counter")) == EEXIST);
  for (int64_t i = 1; i <= 1000; i++) CHECK(weft_send_named(NAME("counter"), kAdd, &i, sizeof i, -1) == 0);
  for (int64_t which = 0; which < 3; which++) CHECK(weft_send(server, kGet, &which, sizeof which, -1) == 0);
  // The last reply first, then the first, then whatever is there.
  CHECK(weft_receive((uint64_t[]){kReply + 2, 99}, 2, server, buffer, sizeof buffer, &message, -1) == 0 && message.tag == kReply + 2);
  CHECK(weft_receive((uint64_t[]){kReply}, 1, WEFT_ANY, buffer, 4, &message, -1) == EMSGSIZE && message.size == 8);
  CHECK(weft_receive((uint64_t[]){kReply}, 1, WEFT_ANY, buffer, 8, &message, -1) == 0 && *(int64_t*)buffer == 500500);
  CHECK(weft_pending() == 1);
  CHECK(weft_receive(NULL, 0, WEFT_ANY, buffer, sizeof buffer, &message, -1) == 0 && message.tag == kReply + 1);
  CHECK(weft_receive(NULL, 0, WEFT_ANY, buffer, sizeof buffer, &message, 0) == EAGAIN);
  CHECK(weft_send(server, kStop, NULL, 0, -1) == 0);
  CHECK(weft_receive(NULL, 0, server, buffer, sizeof buffer, &message, -1) == 0);
  CHECK(message.kind == WEFT_MESSAGE_EXIT && message.exit_kind == WEFT_EXIT_EXITED && message.exit_code == 7);
  CHECK(weft_send(server, kStop, NULL, 0, -1) == ESRCH && weft_whereis(NAME("counter")) == -ESRCH);
  puts("client: ok");
  return 0;
}

int main(int count, char** arguments) { return count > 1 && strcmp(arguments[1], "serve") == 0 ? serves() : asks(); }
