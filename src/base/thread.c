#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* Pauses before a waiter sleeps (between regions) or yields (inside one): about 40 microseconds. */
enum { SPIN = 2000, CACHE_LINE = 64 };

struct pool {
    unsigned n, started;
    pthread_t *threads;
    struct worker *workers;
    pool_fn fn;
    void *arg;
    _Alignas(CACHE_LINE) _Atomic uint32_t region; /* counts regions; workers wait for it to change */
    _Atomic uint32_t sleepers;
    _Atomic bool closing;
    _Alignas(CACHE_LINE) _Atomic uint32_t running; /* workers still inside the region */
    _Alignas(CACHE_LINE) _Atomic uint32_t arrived; /* at the barrier */
    _Alignas(CACHE_LINE) _Atomic uint32_t phase;   /* barriers passed */
#ifndef __linux__
    pthread_mutex_t lock;
    pthread_cond_t changed;
#endif
};
struct worker {
    struct pool *pool;
    unsigned index;
};

static inline void cpu_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#ifdef __linux__
static void sleep_while(struct pool *p, uint32_t seen) {
    syscall(SYS_futex, &p->region, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
static void wake_all(struct pool *p) { syscall(SYS_futex, &p->region, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0); }
#else
static void sleep_while(struct pool *p, uint32_t seen) {
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->region) == seen) pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
static void wake_all(struct pool *p) {
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}
#endif

/* Opens a region: sequentially consistent against the worker's "sleepers, then region". */
static void region_open(struct pool *p) {
    atomic_fetch_add(&p->region, 1);
    if (atomic_load(&p->sleepers)) wake_all(p);
}

static void region_await(struct pool *p, uint32_t seen) {
    for (unsigned i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&p->region, memory_order_acquire) != seen) return;
        cpu_pause();
    }
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->region) == seen) sleep_while(p, seen);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct pool *p = w->pool;
    for (uint32_t seen = 0;; seen++) {
        region_await(p, seen);
        if (atomic_load(&p->closing)) return NULL;
        p->fn(p->arg, w->index, p->n);
        atomic_fetch_sub_explicit(&p->running, 1, memory_order_release);
    }
}

gllm_status pool_open(struct pool **out, unsigned n_threads, gllm_error *err) {
    *out = NULL;
    if (!n_threads || n_threads > 4096) return err_set(err, GLLM_INVALID, "threads: found %u, expected 1 to 4096", n_threads);
    struct pool *p = aligned_alloc(CACHE_LINE, (sizeof *p + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!p) return err_nomem(err, "thread pool");
    memset(p, 0, sizeof *p);
    p->n = n_threads;
#ifndef __linux__
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
#endif
    p->threads = calloc(n_threads, sizeof *p->threads);
    p->workers = calloc(n_threads, sizeof *p->workers);
    if (!p->threads || !p->workers) {
        pool_close(p);
        return err_nomem(err, "thread pool");
    }
    for (unsigned i = 1; i < n_threads; i++) {
        p->workers[i] = (struct worker){p, i};
        int e = pthread_create(&p->threads[i], NULL, worker_main, &p->workers[i]);
        if (e) {
            pool_close(p);
            return err_set(err, GLLM_NOMEM, "cannot start thread %u of %u: %s", i + 1, n_threads, strerror(e));
        }
        p->started = i;
    }
    *out = p;
    return GLLM_OK;
}

void pool_close(struct pool *p) {
    if (!p) return;
    atomic_store(&p->closing, true);
    if (p->started) region_open(p);
    for (unsigned i = 1; i <= p->started; i++) pthread_join(p->threads[i], NULL);
#ifndef __linux__
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
#endif
    free(p->threads);
    free(p->workers);
    free(p);
}

unsigned pool_size(const struct pool *p) { return p->n; }

void pool_run(struct pool *p, pool_fn fn, void *arg) {
    if (p->n == 1) {
        fn(arg, 0, 1);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_store_explicit(&p->running, p->n - 1, memory_order_relaxed);
    region_open(p);
    fn(arg, 0, p->n);
    for (unsigned i = 0; atomic_load_explicit(&p->running, memory_order_acquire); i++) {
        if (i < SPIN) cpu_pause();
        else sched_yield();
    }
}

void pool_barrier(struct pool *p) {
    if (p->n == 1) return;
    uint32_t phase = atomic_load_explicit(&p->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) == p->n - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&p->phase, phase + 1, memory_order_release);
        return;
    }
    for (unsigned i = 0; atomic_load_explicit(&p->phase, memory_order_acquire) == phase; i++) {
        if (i < SPIN) cpu_pause();
        else sched_yield();
    }
}

/* Processors that the cgroup's CPU quota pays for, rounded up; 0: no quota. */
static unsigned cgroup_quota(void) {
    double quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0; /* "max 100000": no quota */
        fclose(f);
    } else {
        FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re"), *t = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (!q || !t || fscanf(q, "%lf", &quota) != 1 || fscanf(t, "%lf", &period) != 1) quota = 0;
        if (q) fclose(q);
        if (t) fclose(t);
    }
    if (!(quota > 0 && period > 0)) return 0;
    double n = quota / period;
    return n >= 4096 ? 4096 : (unsigned)n + (n > (unsigned)n);
}

unsigned cpu_count(void) {
    unsigned n = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = (unsigned)CPU_COUNT(&set);
#endif
    if (!n) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 ? (unsigned)online : 1;
    }
    unsigned quota = cgroup_quota();
    return quota && quota < n ? quota : n;
}
