/* test_thread.c - the pool: each thread enters a region once, barriers hold everybody, sleepers wake, the processors are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"

enum { MOST = 9 };
struct region {
    struct pool *pool;
    unsigned entered[MOST], n_seen[MOST]; /* by thread */
    unsigned long turn[MOST];             /* plain memory: only the barrier keeps its readers apart from its writers */
    unsigned bad;
    unsigned rounds;
};

static void enter(void *arg, unsigned thread, unsigned n) {
    struct region *r = arg;
    r->entered[thread]++;
    r->n_seen[thread] = n;
}

/* Each thread writes its place, waits, reads all places, waits. */
static void march(void *arg, unsigned thread, unsigned n) {
    struct region *r = arg;
    for (unsigned round = 1; round <= r->rounds; round++) {
        r->turn[thread] = round;
        pool_barrier(r->pool);
        unsigned bad = 0;
        for (unsigned i = 0; i < n; i++) bad += r->turn[i] != round;
        pool_barrier(r->pool);
        if (bad && thread == 0) r->bad += bad;
    }
}

static void test_regions(void **state) {
    (void)state;
    static const unsigned SIZES[] = {1, 2, 3, MOST};
    for (unsigned s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
        struct region r = {0};
        gllm_error err = {0};
        assert_int_equal(pool_open(&r.pool, SIZES[s], &err), GLLM_OK);
        assert_int_equal(pool_size(r.pool), SIZES[s]);
        for (int i = 0; i < 300; i++) {
            pool_run(r.pool, enter, &r);
            if (i % 100 == 99) usleep(20000); /* the workers fall asleep */
        }
        for (unsigned i = 0; i < MOST; i++) {
            assert_int_equal(r.entered[i], i < SIZES[s] ? 300 : 0);
            assert_int_equal(r.n_seen[i], i < SIZES[s] ? SIZES[s] : 0);
        }
        pool_close(r.pool);
    }
}

static void test_barrier(void **state) {
    (void)state;
    static const unsigned SIZES[] = {1, 2, 4};
    for (unsigned s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
        struct region r = {.rounds = 200};
        assert_int_equal(pool_open(&r.pool, SIZES[s], NULL), GLLM_OK);
        for (int i = 0; i < 5; i++) pool_run(r.pool, march, &r);
        assert_int_equal(r.bad, 0);
        for (unsigned i = 0; i < SIZES[s]; i++) assert_int_equal(r.turn[i], 200);
        pool_close(r.pool);
    }
}

static void test_refused(void **state) {
    (void)state;
    struct pool *p = (struct pool *)state;
    gllm_error err = {0};
    assert_int_equal(pool_open(&p, 0, &err), GLLM_INVALID);
    assert_string_equal(err.message, "threads: found 0, expected 1 to 4096");
    assert_null(p);
    assert_int_equal(pool_open(&p, 4097, &err), GLLM_INVALID);
    assert_string_equal(err.message, "threads: found 4097, expected 1 to 4096");
    pool_close(NULL);
}

static void test_unused(void **state) { /* a pool that never ran ends too, its workers awake or asleep */
    (void)state;
    struct pool *p;
    assert_int_equal(pool_open(&p, 4, NULL), GLLM_OK);
    pool_close(p);
    assert_int_equal(pool_open(&p, 4, NULL), GLLM_OK);
    usleep(20000);
    pool_close(p);
}

static void test_count(void **state) {
    (void)state;
    const unsigned all = cpu_count();
    assert_true(all >= 1 && all <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
#ifdef __linux__
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before) && !CPU_COUNT(&one)) CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(cpu_count(), all);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_regions), cmocka_unit_test(test_barrier), cmocka_unit_test(test_refused), cmocka_unit_test(test_unused), cmocka_unit_test(test_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
