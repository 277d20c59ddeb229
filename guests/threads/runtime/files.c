// files DIRECTORY: threads share file descriptors. One thread opens a file, another reads and closes it; and many write files of
// their own at once and read them back. Leaves the directory as it was.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition)                                                                                        \
  do {                                                                                                          \
    if (!(condition)) {                                                                                         \
      fprintf(stderr, "%s:%d: this does not hold: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      exit(1);                                                                                                  \
    }                                                                                                           \
  } while (0)

static const char* directory;
static void path_of(char* path, size_t size, const char* name, int number) {
  snprintf(path, size, "%s/%s-%d", directory, name, number);
}

static void* opens(void* argument) {
  char path[256];
  path_of(path, sizeof path, "shared", 0);
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  *(int*)argument = fd;
  return NULL;
}
static void* reads_and_closes(void* argument) {
  char text[64] = {0};
  int fd = *(int*)argument;
  CHECK(read(fd, text, sizeof text) == 23);
  CHECK(strcmp(text, "written before threads\n") == 0);
  CHECK(close(fd) == 0);
  return NULL;
}

static void* own_file(void* argument) {
  int number = (int)(intptr_t)argument;
  char path[256], line[64], got[64];
  path_of(path, sizeof path, "own", number);
  for (int round = 0; round < 5; round++) {
    FILE* file = fopen(path, "w");
    CHECK(file != NULL);
    for (int i = 0; i < 200; i++) CHECK(fprintf(file, "thread %d line %d\n", number, i) > 0);
    CHECK(fclose(file) == 0);
    struct stat status;
    CHECK(stat(path, &status) == 0 && status.st_size > 200 * 10);
    file = fopen(path, "r");
    CHECK(file != NULL);
    for (int i = 0; i < 200; i++) {
      snprintf(line, sizeof line, "thread %d line %d\n", number, i);
      CHECK(fgets(got, sizeof got, file) != NULL && strcmp(got, line) == 0);
    }
    CHECK(fgets(got, sizeof got, file) == NULL);
    CHECK(fclose(file) == 0);
    CHECK(unlink(path) == 0);
    CHECK(open(path, O_RDONLY) < 0 && errno == ENOENT);
  }
  return NULL;
}

static int common_fd;
static void* writes_a_part(void* argument) {
  intptr_t number = (intptr_t)argument;
  char part[100];
  memset(part, 'a' + (int)number, sizeof part);
  for (int i = 0; i < 20; i++) CHECK(pwrite(common_fd, part, sizeof part, (number * 20 + i) * 100) == 100);
  return NULL;
}
static void* appends(void* argument) {
  for (int i = 0; i < 50; i++) CHECK(write(common_fd, "sixteen bytes..\n", 16) == 16);
  return argument;
}

static void run(int count, void* (*function)(void*)) {
  pthread_t threads[16];
  for (intptr_t i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, function, (void*)i) == 0);
  for (int i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}
static void run_one(void* (*function)(void*), void* argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, function, argument) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

int main(int count, char** words) {
  if (count != 2) {
    fprintf(stderr, "usage: files DIRECTORY\n");
    return 2;
  }
  directory = words[1];
  char path[256];
  path_of(path, sizeof path, "shared", 0);
  FILE* file = fopen(path, "w");
  CHECK(file != NULL);
  CHECK(fputs("written before threads\n", file) >= 0 && fclose(file) == 0);
  for (int i = 0; i < 20; i++) {
    int fd = -1;
    run_one(opens, &fd);
    run_one(reads_and_closes, &fd);
    CHECK(close(fd) == -1 && errno == EBADF);
  }
  CHECK(unlink(path) == 0);
  puts("one opened, another read and closed");

  run(12, own_file);
  puts("twelve threads, each with a file of its own");

  path_of(path, sizeof path, "parts", 0);
  common_fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(common_fd >= 0);
  run(8, writes_a_part);
  for (int i = 0; i < 8 * 20; i++) {
    char part[100];
    CHECK(pread(common_fd, part, sizeof part, i * 100) == 100);
    for (int j = 0; j < 100; j++) CHECK(part[j] == 'a' + i / 20);
  }
  CHECK(close(common_fd) == 0 && unlink(path) == 0);
  puts("eight threads, each with a part of one file");

  path_of(path, sizeof path, "appended", 0);
  common_fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(common_fd >= 0);
  run(8, appends);
  CHECK(close(common_fd) == 0);
  struct stat status;
  CHECK(stat(path, &status) == 0);
  printf("eight threads appended %d bytes\n", (int)status.st_size);
  CHECK(unlink(path) == 0);

  DIR* entries = opendir(directory);
  CHECK(entries != NULL);
  int left = 0;
  for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
    if (strncmp(entry->d_name, "own-", 4) == 0 || strncmp(entry->d_name, "parts-", 6) == 0 ||
        strncmp(entry->d_name, "appended-", 9) == 0)
      left++;
  }
  CHECK(closedir(entries) == 0);
  printf("%d files left behind\n", left);
  return 0;
}
