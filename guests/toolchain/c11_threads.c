// C11 <threads.h> over pthreads, for wasm32-wasip1-threads: the libc of that target declares these functions and has the pthread ones
// below them, but of these only thrd_current, thrd_detach, thrd_equal, thrd_sleep and tss_get. scripts/guest-toolchain adds this to
// its copy of libc.a.
//
// thrd_t, mtx_t, cnd_t, once_flag and tss_t are laid out in musl as their pthread namesakes. Not here: thrd_exit, because a thread
// cannot leave its frames without unwinding; returning from its function does.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t is a pthread_mutex_t");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t is a pthread_cond_t");
_Static_assert(sizeof(int) == sizeof(void*), "int(void *) and void *(void *) have one signature in wasm32");

static int status(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ETIMEDOUT:
      return thrd_timedout;
    case EAGAIN:
    case ENOMEM:
      return thrd_nomem;
    default:
      return thrd_error;
  }
}

int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  return status(pthread_create((pthread_t*)thread, 0, (void* (*)(void*))(uintptr_t)start, argument));
}
int thrd_join(thrd_t thread, int* result) {
  void* value;
  int error = pthread_join((pthread_t)thread, &value);
  if (error) return status(error);
  if (result) *result = (int)(intptr_t)value;
  return thrd_success;
}
void thrd_yield(void) { sched_yield(); }

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
  int error = pthread_mutex_init((pthread_mutex_t*)mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return status(error);
}
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy((pthread_mutex_t*)mutex); }
int mtx_lock(mtx_t* mutex) { return status(pthread_mutex_lock((pthread_mutex_t*)mutex)); }
int mtx_trylock(mtx_t* mutex) { return status(pthread_mutex_trylock((pthread_mutex_t*)mutex)); }
int mtx_timedlock(mtx_t* restrict mutex, const struct timespec* restrict until) {
  return status(pthread_mutex_timedlock((pthread_mutex_t*)mutex, until));
}
int mtx_unlock(mtx_t* mutex) { return status(pthread_mutex_unlock((pthread_mutex_t*)mutex)); }

int cnd_init(cnd_t* condition) { return status(pthread_cond_init((pthread_cond_t*)condition, 0)); }
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy((pthread_cond_t*)condition); }
int cnd_signal(cnd_t* condition) { return status(pthread_cond_signal((pthread_cond_t*)condition)); }
int cnd_broadcast(cnd_t* condition) { return status(pthread_cond_broadcast((pthread_cond_t*)condition)); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return status(pthread_cond_wait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex));
}
int cnd_timedwait(cnd_t* restrict condition, mtx_t* restrict mutex, const struct timespec* restrict until) {
  return status(pthread_cond_timedwait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex, until));
}

int tss_create(tss_t* key, tss_dtor_t destroy) { return status(pthread_key_create((pthread_key_t*)key, destroy)); }
void tss_delete(tss_t key) { pthread_key_delete((pthread_key_t)key); }
int tss_set(tss_t key, void* value) { return status(pthread_setspecific((pthread_key_t)key, value)); }

void call_once(once_flag* flag, void (*run)(void)) { pthread_once((pthread_once_t*)flag, run); }
