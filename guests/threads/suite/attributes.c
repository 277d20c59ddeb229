// Thread attributes: what is set comes back, and a stack has the size that was asked for.
#include <pthread.h>
#include <stdint.h>
#include "check.h"

// Uses about a KiB of stack for each step down.
static __attribute__((noinline)) int descend(int depth) {
  volatile char frame[1024];
  for (int i = 0; i < 1024; i += 64) frame[i] = (char)depth;
  if (depth == 0) return 0;
  int below = descend(depth - 1);
  CHECK(frame[512] == (char)depth);
  return below + 1;
}
static void* descends(void* argument) { return (void*)(intptr_t)descend((int)(intptr_t)argument); }

int main(void) {
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  int state;
  CHECK(pthread_attr_getdetachstate(&attributes, &state) == 0);
  printf("joinable unless said otherwise: %s\n", state == PTHREAD_CREATE_JOINABLE ? "yes" : "no");
  CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
  CHECK(pthread_attr_getdetachstate(&attributes, &state) == 0 && state == PTHREAD_CREATE_DETACHED);
  CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_JOINABLE) == 0);
  printf("a stack of one byte: %s\n", error_name(pthread_attr_setstacksize(&attributes, 1)));

  static const int sizes_kib[] = {128, 1024, 8192};
  for (int i = 0; i < 3; i++) {
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)sizes_kib[i] * 1024) == 0);
    size_t size;
    CHECK(pthread_attr_getstacksize(&attributes, &size) == 0);
    int depth = sizes_kib[i] / 2;
    pthread_t thread;
    void* result;
    CHECK(pthread_create(&thread, &attributes, descends, (void*)(intptr_t)depth) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    printf("a stack of %d KiB: %d frames of 1 KiB\n", (int)(size / 1024), (int)(intptr_t)result);
  }

  // On memory of our own.
  size_t size = 256 * 1024;
  void* stack = aligned_alloc(4096, size);
  CHECK(stack != NULL);
  CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, &attributes, descends, (void*)64) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  printf("on a stack of ours: %d frames\n", (int)(intptr_t)result);
  free(stack);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  return 0;
}
