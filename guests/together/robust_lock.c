// A lock whose owner dies: the next one is told, once. And a semaphore, which two have at the same time.
#include "check.h"

static weft_message_t message;

static int dies(void) {
  int lock = weft_lock_open(NAME("ledger"), 1);
  CHECK(lock > 0 && weft_lock_acquire(lock, -1) == 0);
  CHECK(weft_lock_acquire(lock, -1) == EDEADLK);
  CHECK(weft_drop(lock) == EPERM);
  int pair = weft_lock_open(NAME("pair"), 2);
  CHECK(pair > 0 && weft_lock_acquire(pair, -1) == 0);
  int64_t heir = process_named("heir");
  CHECK(weft_send(heir, 1, NULL, 0, -1) == 0);
  CHECK(weft_receive(NULL, 0, heir, NULL, 0, &message, -1) == 0);
  __builtin_trap();
}

static int inherits(void) {
  CHECK(weft_register_name(NAME("heir")) == 0);
  CHECK(weft_receive(NULL, 0, WEFT_ANY, NULL, 0, &message, -1) == 0);
  int64_t other = message.sender;
  CHECK(weft_monitor(other) > 0);
  int lock = weft_lock_open(NAME("ledger"), 1);
  int pair = weft_lock_open(NAME("pair"), 2);
  CHECK(lock > 0 && pair > 0 && weft_lock_open(NAME("pair"), 3) == -EINVAL);
  CHECK(weft_lock_acquire(lock, 0) == EAGAIN && weft_lock_acquire(lock, MS) == ETIMEDOUT);
  CHECK(weft_lock_acquire(pair, 0) == 0 && weft_lock_acquire(pair, 0) == EAGAIN);
  CHECK(weft_lock_release(lock) == EPERM);
  CHECK(weft_send(other, 1, NULL, 0, -1) == 0);
  CHECK(weft_lock_acquire(lock, -1) == EOWNERDEAD);
  CHECK(weft_lock_release(lock) == 0);
  CHECK(weft_lock_acquire(lock, -1) == 0);
  CHECK(weft_lock_acquire(pair, -1) == EOWNERDEAD);
  static char why[256];
  CHECK(weft_receive(NULL, 0, other, why, sizeof why, &message, -1) == 0);
  CHECK(message.kind == WEFT_MESSAGE_DOWN && message.exit_kind == WEFT_EXIT_TRAPPED && message.size > 0);
  puts("heir: ok");
  return 0;
}

int main(int count, char** arguments) { return count > 1 && strcmp(arguments[1], "die") == 0 ? dies() : inherits(); }
