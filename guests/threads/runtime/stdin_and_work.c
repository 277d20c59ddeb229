// One thread reads standard input, which may block it for long, while another one works and says so.
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void* works(void* argument) {
  for (int step = 1; step <= 5; step++) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    printf("step %d\n", step);
    fflush(stdout);
  }
  return argument;
}
static void* reads(void* argument) {
  char bytes[256];
  ssize_t got;
  while ((got = read(0, bytes, sizeof bytes)) > 0) *(long*)argument += got;
  return argument;
}

int main(void) {
  long total = 0;
  pthread_t reader, worker;
  if (pthread_create(&reader, NULL, reads, &total) != 0 || pthread_create(&worker, NULL, works, NULL) != 0) return 2;
  pthread_join(worker, NULL);
  puts("the work is done");
  fflush(stdout);
  pthread_join(reader, NULL);
  printf("read %ld bytes\n", total);
  return 0;
}
