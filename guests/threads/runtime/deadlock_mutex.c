// Never ends: a deadlock over two normal mutexes. musl keeps no owner in the lock word of these.
#include "deadlock.h"
int main(void) { return deadlock(PTHREAD_MUTEX_NORMAL); }
