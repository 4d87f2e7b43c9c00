/* Registry: the order of backends, what auto takes, and the sentences for those that are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"

struct heard {
    unsigned lines;
    char text[1024];
};
static void hear(void *user, gllm_log_level level, const char *line) {
    (void)level;
    struct heard *h = user;
    h->lines++;
    size_t at = strlen(h->text);
    snprintf(h->text + at, sizeof h->text - at, "%s\n", line);
}

static void test_entries(void **state) {
    (void)state;
    static const char *const order[] = {"cuda", "rocm", "metal", "wgpu", "cpu", "ref"};
    size_t n;
    const struct backend_entry *e = backend_entries(&n);
    assert_int_equal(n, sizeof order / sizeof *order);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(e[i].name, order[i]);
        assert_true(!e[i].ops != !e[i].absent); /* there, or a reason */
        if (e[i].ops) assert_string_equal(e[i].ops->name, e[i].name);
        assert_int_equal(e[i].automatic, strcmp(e[i].name, "ref") != 0);
    }
}

static void test_auto(void **state) {
    (void)state;
    struct heard heard = {0};
    const struct log log = {hear, &heard};
    const struct backend_ops *ops = NULL, *again = NULL;
    gllm_error err = {0};
    assert_int_equal(backend_choose("auto", &log, &ops, &err), GLLM_OK);
    size_t n, passed = 0;
    const struct backend_entry *e = backend_entries(&n);
    for (; e[passed].ops != ops; passed++) /* each entry before the one taken was heard of, by name */
        assert_non_null(strstr(heard.text, e[passed].name));
    assert_true(e[passed].automatic);
    assert_int_equal(heard.lines, passed);
    assert_int_equal(backend_choose(NULL, NULL, &again, NULL), GLLM_OK);
    assert_ptr_equal(again, ops);
    assert_int_equal(backend_choose("", NULL, &again, NULL), GLLM_OK);
    assert_ptr_equal(again, ops);
}

static void test_by_name(void **state) {
    (void)state;
    const struct backend_ops *ops = &backend_cpu;
    gllm_error err = {0};
    assert_int_equal(backend_choose("ref", NULL, &ops, &err), GLLM_OK);
    assert_ptr_equal(ops, &backend_ref);
    assert_int_equal(backend_choose("cpu", NULL, &ops, &err), GLLM_OK);
    assert_ptr_equal(ops, &backend_cpu);
    assert_int_equal(backend_choose("tpu", NULL, &ops, &err), GLLM_UNSUPPORTED);
    assert_null(ops);
    assert_string_equal(err.message, "backend \"tpu\" is unknown; expected auto, cuda, rocm, metal, wgpu, cpu or ref");
    assert_int_equal(backend_choose("CPU", NULL, &ops, &err), GLLM_UNSUPPORTED);
    size_t n;
    const struct backend_entry *e = backend_entries(&n);
    for (size_t i = 0; i < n; i++) {
        if (e[i].ops) continue;
        char expected[256];
        snprintf(expected, sizeof expected, "backend \"%s\": %s", e[i].name, e[i].absent);
        assert_int_equal(backend_choose(e[i].name, NULL, &ops, &err), GLLM_UNSUPPORTED);
        assert_null(ops);
        assert_string_equal(err.message, expected);
        assert_non_null(strstr(err.message, "not in this build"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_entries), cmocka_unit_test(test_auto), cmocka_unit_test(test_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
