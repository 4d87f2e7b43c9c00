/* test_turns.c - who comes next: callers take turns, each caller's tasks in the order of their arrival. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/turns.h"

static bool is_not(const void *arg, const struct task *t) { return t != arg; }

/* The next task leaves, its caller had its turn. */
static struct task *take(struct turns *q) {
    struct task *t = turns_find(q, NULL, NULL);
    if (!t) return NULL;
    turns_pass(q, t);
    turns_remove(q, t);
    return t;
}

static void test_turns(void **state) {
    (void)state;
    struct turns q = {0};
    struct task a[4] = {{.caller = 1}, {.caller = 1}, {.caller = 1}, {.caller = 1}}, b[2] = {{.caller = 2}, {.caller = 2}}, c = {.caller = 3};
    assert_null(turns_find(&q, NULL, NULL));
    for (int i = 0; i < 4; i++) assert_int_equal(turns_add(&q, &a[i], NULL), GLLM_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(turns_add(&q, &b[i], NULL), GLLM_OK);
    assert_int_equal(turns_add(&q, &c, NULL), GLLM_OK);
    struct task *const expected[] = {&a[0], &b[0], &c, &a[1], &b[1], &a[2], &a[3], NULL};
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) assert_ptr_equal(take(&q), expected[i]);
}

/* A turn may pass without a task leaving, and tasks may leave from anywhere. */
static void test_order(void **state) {
    (void)state;
    struct turns q = {0};
    struct task a[3] = {{.caller = 7}, {.caller = 7}, {.caller = 7}}, b = {.caller = 8};
    for (int i = 0; i < 3; i++) assert_int_equal(turns_add(&q, &a[i], NULL), GLLM_OK);
    assert_int_equal(turns_add(&q, &b, NULL), GLLM_OK);
    turns_pass(&q, &a[0]);
    assert_ptr_equal(turns_find(&q, NULL, NULL), &b);
    assert_ptr_equal(turns_find(&q, is_not, &b), &a[0]);
    assert_ptr_equal(turns_find(&q, is_not, &a[0]), &b);
    turns_remove(&q, &a[1]); /* the middle, then the last */
    turns_remove(&q, &a[2]);
    assert_int_equal(turns_add(&q, &a[1], NULL), GLLM_OK);
    turns_remove(&q, &b);
    assert_ptr_equal(take(&q), &a[0]);
    assert_ptr_equal(take(&q), &a[1]);
    assert_null(take(&q));
    assert_int_equal(turns_add(&q, &b, NULL), GLLM_OK); /* empty is as new */
    assert_ptr_equal(take(&q), &b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns), cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
