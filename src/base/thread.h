/* thread.h - a pool of compute threads, its barrier, and its chunk counters.
 *
 * The pool belongs to a device. pool_run enters one parallel region: `fn` runs once on each of the pool's threads, the caller
 * being thread 0. Between regions the workers spin for some tens of microseconds, then sleep, so that a process that
 * is idle costs nothing and one that is busy wakes nobody.
 * One region at a time: pool_run is called by one thread (the owner of the device). */
#ifndef GLLM_BASE_THREAD_H
#define GLLM_BASE_THREAD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct pool;
typedef void (*pool_fn)(void *arg, unsigned thread, unsigned n_threads);
gllm_status pool_open(struct pool **out, unsigned n_threads, gllm_error *err); /* n_threads >= 1, the caller included */
void pool_close(struct pool *p);                                              /* NULL ok; joins */
unsigned pool_size(const struct pool *p);
void pool_run(struct pool *p, pool_fn fn, void *arg);
/* All threads of the running region wait for each other. Called by every one of them the same number of times. */
void pool_barrier(struct pool *p);

/* Processors this process may use: the affinity mask, cut by the cgroup CPU quota (rounded up); at least 1. */
unsigned cpu_count(void);
#endif
