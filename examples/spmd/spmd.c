// Traffic on a ring road: ten thousand drivers who all run the same program, each of them a strand with a stack of its own, all over one
// memory. In each step everybody looks at the car ahead, drives, and waits until all the others have driven.
//
//   weft run spmd.wasm [cars [steps]]
//   weft run --dir OUT::/out spmd.wasm cars steps /out/trace.csv     # also writes down which strand ran when
//
// spmd.go is the same with goroutines, and prints the same. The rules are those of Nagel and Schreckenberg (1992), and that who has come to
// a halt is slow to start again (after Takayasu and Takayasu, 1993). There are integers only. Relies on it that strands are not interrupted
// between the places where they wait, as is so without --preempt-strands.
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/strand.h>

enum { kFastest = 5, kCellsForEach = 7, kReports = 10, kSamplesMax = 1 << 20 };

static int cars = 10000, steps = 200;
static int now;            // the step that is being made
static int64_t* place[2];  // of each car, in cells from the beginning: before this step [now % 2], and after it. It never gets less
static weft_strand_t* driver;  // of each car
static int arrived;            // how many have made this step

// --- The trace ---

struct Sample {
  int64_t ns;
  int car, step, speed;
};
static struct Sample* samples;  // NULL: no trace
static int sampled;

static int64_t clock_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void sample(int car, int speed) {
  if (sampled < kSamplesMax) samples[sampled++] = (struct Sample){clock_ns(), car, now, speed};
}

static bool write_samples(const char* path) {
  FILE* file = fopen(path, "w");
  if (!file) return false;
  fprintf(file, "ns,strand,step,speed\n");
  for (int i = 0; i < sampled; i++) {
    fprintf(file, "%" PRId64 ",%d,%d,%d\n", samples[i].ns - samples[0].ns, samples[i].car, samples[i].step, samples[i].speed);
  }
  return fclose(file) == 0;
}

// --- The road ---

static void report(void) {
  const int64_t *before = place[1 - now % 2], *after = place[now % 2];
  int64_t driven = 0;
  int standing = 0;
  for (int car = 0; car < cars; car++) {
    driven += after[car] - (int64_t)car * kCellsForEach;
    standing += after[car] == before[car];
  }
  printf("step %d: %" PRId64 " cells driven, %d cars stand\n", now, driven, standing);
}

// Free cells between this car and the one ahead of it. Nobody overtakes; ahead of the last car is the first one, a round further.
static int64_t gap(int car) {
  const int64_t* at = place[now % 2];
  int64_t ahead = car + 1 < cars ? at[car + 1] : at[0] + (int64_t)cars * kCellsForEach;
  return ahead - at[car] - 1;
}

// A number that looks random, but is the same whoever asks first.
static uint32_t dice(int car) {
  uint32_t x = (uint32_t)car * 0x9e3779b9U ^ (uint32_t)now * 0x85ebca6bU;
  x = (x ^ x >> 16) * 0x7feb352dU;
  x = (x ^ x >> 15) * 0x846ca68bU;
  return x ^ x >> 16;
}

// Drives, and returns when all have. The last one to come wakes the others: a barrier.
static void step(int car, int64_t speed) {
  place[1 - now % 2][car] = place[now % 2][car] + speed;
  if (samples) sample(car, (int)speed);
  if (++arrived < cars) {
    for (int step = now; now == step;) weft_strand_park();
    return;
  }
  arrived = 0;
  now++;
  if (now % (steps / kReports) == 0) report();
  for (int other = 0; other < cars; other++) {
    if (other != car) weft_strand_unpark(driver[other]);
  }
}

// At a halt. That a driver is in here is kept nowhere but on her own stack: there is no table of states.
static void stand(int car) {
  do step(car, 0);
  while (now < steps && (gap(car) == 0 || (dice(car) >> 8) % 2 == 0));
}

static int drive(void* argument) {
  int car = (int)(intptr_t)argument;
  int64_t speed = 0;
  driver[car] = weft_strand_self();
  while (now < steps) {
    if (speed < kFastest) speed++;
    if (speed > gap(car)) speed = gap(car);
    if (speed > 0 && dice(car) % 4 == 0) speed--;  // dawdles
    if (speed > 0) {
      step(car, speed);
    } else {
      stand(car);
    }
  }
  return 0;
}

static int fail(const char* what) {
  fprintf(stderr, "spmd: %s\n", what);
  return 1;
}

int main(int count, char** words) {
  if (count > 1) cars = atoi(words[1]);
  if (count > 2) steps = atoi(words[2]);
  if (cars < 1 || cars > 1000000 || steps < kReports || steps > 1000000) {
    return fail("from 1 to 1000000 cars, and from 10 to 1000000 steps");
  }
  for (int side = 0; side < 2; side++) place[side] = malloc((size_t)cars * sizeof *place[side]);
  driver = malloc((size_t)cars * sizeof *driver);
  if (!place[0] || !place[1] || !driver) return fail("no memory for so many cars");
  if (count > 3) {
    samples = malloc(kSamplesMax * sizeof *samples);
    if (!samples) return fail("no memory for the trace");
    memset(samples, 1, kSamplesMax * sizeof *samples);  // so that no page of it is touched for the first time in the picture
  }
  for (int car = 0; car < cars; car++) place[0][car] = (int64_t)car * kCellsForEach;
  printf("%d cars on a ring of %" PRId64 " cells, %d steps\n", cars, (int64_t)cars * kCellsForEach, steps);

  int64_t began = clock_ns();
  for (int car = 0; car < cars; car++) {
    driver[car] = weft_strand_spawn(drive, (void*)(intptr_t)car, WEFT_STRAND_NORMAL);
    if (driver[car] < 0) {
      fprintf(stderr, "spmd: no strand for car %d: error %d; on Linux, sysctl vm.max_map_count limits how many there can be\n", car,
              (int)-driver[car]);
      return 1;
    }
  }
  for (int car = 0; car < cars; car++) {
    if (weft_strand_join(driver[car]) != 0) return fail("a driver was lost");
  }
  int64_t took = clock_ns() - began;

  uint64_t fingerprint = 0xcbf29ce484222325U;  // FNV-1a, of words
  for (int car = 0; car < cars; car++) fingerprint = (fingerprint ^ (uint64_t)place[now % 2][car]) * 0x100000001b3U;
  printf("fingerprint of all places: %016" PRIx64 "\n", fingerprint);
  fprintf(stderr, "took %" PRId64 " us\n", took / 1000);
  if (samples && !write_samples(words[3])) return fail("the trace cannot be written");
  return 0;
}
