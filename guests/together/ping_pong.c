// Two processes and a ball of changing size, over the channels "there" and "back".
#include "check.h"

enum { kTurns = 2000, kBytesMax = 3000 };

static unsigned char ball[kBytesMax], seen[kBytesMax];

int main(int count, char** arguments) {
  int serves = count > 1 && strcmp(arguments[1], "serve") == 0;
  int out = granted(serves ? "there" : "back");
  int in = granted(serves ? "back" : "there");
  weft_received_t received;
  for (uint32_t turn = 0; turn < kTurns; turn++) {
    uint32_t size = turn * 7 % kBytesMax;
    if (serves) {
      memset(ball, (int)turn, size);
      CHECK(weft_channel_send(out, ball, size, -1) == 0);
    }
    CHECK(weft_channel_receive(in, seen, sizeof seen, &received, -1) == 0);
    CHECK(received.size == size && received.count == 1);
    for (uint32_t i = 0; i < size; i++) CHECK(seen[i] == (unsigned char)turn);
    if (!serves) CHECK(weft_channel_send(out, seen, size, -1) == 0);
  }
  if (serves) {
    CHECK(weft_channel_close(out) == 0);
    CHECK(weft_channel_send(out, ball, 1, 0) == EPIPE);
  } else {
    CHECK(weft_channel_receive(in, seen, sizeof seen, &received, -1) == EPIPE);
  }
  printf("%s: ok\n", serves ? "server" : "returner");
  return 0;
}
