// Never ends: a deadlock over two errorcheck mutexes. musl keeps the owner's thread id in the low 30 bits of the lock word, which
// is the second int of the mutex; the top bit says that somebody waits.
#include "deadlock.h"
int main(void) { return deadlock(PTHREAD_MUTEX_ERRORCHECK); }
