// Strands write files of their own, in a directory that is given, and read them again; and all of them add to one.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kStrands = 50, kLines = 40 };

static const char* directory;
static int common;

static int works(void* argument) {
  int me = (int)(long)argument;
  char name[100], line[100], text[4000];
  snprintf(name, sizeof name, "%s/file-%d", directory, me);
  int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
  CHECK(fd >= 0);
  size_t size = 0;
  for (int i = 0; i < kLines; i++) {
    int length = snprintf(line, sizeof line, "line %d of strand %d\n", i, me);
    CHECK(write(fd, line, (size_t)length) == length && write(common, line, (size_t)length) == length);
    size += (size_t)length;
  }
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  CHECK(read(fd, text, sizeof text) == (ssize_t)size);
  CHECK(close(fd) == 0);
  char* at = text;
  for (int i = 0; i < kLines; i++) {
    int length = snprintf(line, sizeof line, "line %d of strand %d\n", i, me);
    CHECK(memcmp(at, line, (size_t)length) == 0);
    at += length;
  }
  struct stat status;
  CHECK(stat(name, &status) == 0 && (size_t)status.st_size == size);
  CHECK(unlink(name) == 0);
  return (int)size;
}

int main(int count, char** arguments) {
  CHECK(count == 2);
  directory = arguments[1];
  char name[100];
  snprintf(name, sizeof name, "%s/common", directory);
  common = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
  CHECK(common >= 0);
  weft_strand_t strands[kStrands];
  long size = 0;
  for (int i = 0; i < kStrands; i++) strands[i] = spawned(works, number(i));
  for (int i = 0; i < kStrands; i++) size += weft_strand_join(strands[i]);
  struct stat status;
  CHECK(stat(name, &status) == 0 && status.st_size == size);
  puts("written and read");
}
