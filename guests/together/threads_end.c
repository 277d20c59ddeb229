// Threads whose ends are waited for among other things: a pool that is told of each of its workers' ends, starts others in their place, and of a message as well.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "check.h"

enum { kWorkers = 8, kJobs = 200 };

typedef struct job {
  atomic_int thread;  // its id, once it runs
  int number;
} job_t;

static job_t jobs[kJobs];
static atomic_int done;

static void* works(void* argument) {
  job_t* job = argument;
  atomic_store(&job->thread, weft_thread_self());
  if (job->number % 50 == 7) CHECK(weft_send(weft_self(), 1, &job->number, sizeof job->number, -1) == 0);
  atomic_fetch_add(&done, 1);
  return NULL;
}

static void start(int set, int number) {
  pthread_t thread;
  job_t* job = &jobs[number];
  job->number = number;
  CHECK(pthread_create(&thread, NULL, works, job) == 0);
  CHECK(pthread_detach(thread) == 0);
  while (atomic_load(&job->thread) == 0) sched_yield();
  CHECK(weft_wait_add(set, (uint64_t)number, WEFT_WAIT_THREAD, job->thread) == 0);
}

int main(void) {
  const uint64_t mail = 1000;
  int set = weft_wait_set_new(), started = 0, ended = 0, messages = 0;
  CHECK(weft_wait_add(set, mail, WEFT_WAIT_THREAD, 1) == ESRCH);
  CHECK(weft_wait_add(set, mail, WEFT_WAIT_THREAD, 0) == EDEADLK);
  CHECK(weft_wait_add(set, mail, WEFT_WAIT_MAILBOX, 0) == 0);
  for (; started < kWorkers; started++) start(set, started);
  while (ended < kJobs || messages < kJobs / 50) {
    weft_wait_event_t events[4];
    int count = weft_wait(set, events, 4, 1, -1);
    CHECK(count >= 1);
    for (int i = 0; i < count; i++) {
      CHECK(!events[i].gone);
      if (events[i].key == mail) {
        weft_message_t message;
        int number;
        CHECK(weft_receive(NULL, 0, WEFT_ANY, &number, sizeof number, &message, 0) == 0 && number % 50 == 7);
        messages++;
        continue;
      }
      CHECK(weft_wait_remove(set, events[i].key) == 0);
      ended++;
      CHECK(atomic_load(&done) >= ended);
      if (started < kJobs) start(set, started++);
    }
  }
  // All of them have ended, and are remembered.
  for (int i = 0; i < kJobs; i += 20) CHECK(weft_wait_add(set, (uint64_t)i, WEFT_WAIT_THREAD, jobs[i].thread) == 0);
  weft_wait_event_t events[kJobs / 20];
  CHECK(weft_wait(set, events, kJobs / 20, kJobs / 20, 0) == kJobs / 20);
  puts("ok");
  return 0;
}
