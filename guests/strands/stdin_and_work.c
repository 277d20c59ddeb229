// One strand reads standard input, which may take long, while another one works and says so.
#include <unistd.h>

#include "check.h"

static int works(void* argument) {
  for (int step = 1; step <= 5; step++) {
    usleep(2000);
    printf("step %d\n", step);
    fflush(stdout);
  }
  return (int)(long)argument;
}
static int reads(void* argument) {
  char bytes[256];
  ssize_t got;
  while ((got = read(0, bytes, sizeof bytes)) > 0) *(long*)argument += got;
  return 0;
}

int main(void) {
  long total = 0;
  weft_strand_t reader = spawned(reads, &total), worker = spawned(works, NULL);
  CHECK(weft_strand_join(worker) == 0);
  puts("the work is done");
  fflush(stdout);
  CHECK(weft_strand_join(reader) == 0);
  printf("read %ld bytes\n", total);
}
