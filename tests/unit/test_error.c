/* test_error.c - messages: one line, valid UTF-8, cut at a character; the status is what was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static void test_set(void **state) {
    (void)state;
    gllm_error err = {0};
    assert_int_equal(err_set(&err, GLLM_FORMAT, "%s: found %d, expected %d", "x", 3, 4), GLLM_FORMAT);
    assert_int_equal(err.status, GLLM_FORMAT);
    assert_string_equal(err.message, "x: found 3, expected 4");
    assert_int_equal(err_set(NULL, GLLM_IO, "%s", "nobody listens"), GLLM_IO);
    assert_int_equal(err_nomem(&err, "cache"), GLLM_NOMEM);
    assert_string_equal(err.message, "out of memory: cache");
    assert_int_equal(sizeof err, 512);
}

static void test_wrap(void **state) {
    (void)state;
    gllm_error err = {0};
    err_set(&err, GLLM_FORMAT, "no such tensor");
    assert_int_equal(err_wrap(&err, GLLM_IO, "shard %d", 2), GLLM_IO);
    assert_string_equal(err.message, "shard 2: no such tensor");
    assert_int_equal(err.status, GLLM_IO);
    assert_int_equal(err_wrap(NULL, GLLM_BUSY, "x"), GLLM_BUSY);
}

static void test_one_printable_line(void **state) {
    (void)state;
    gllm_error err = {0};
    err_set(&err, GLLM_FORMAT, "%s", "a\nb\tc\x7f\x1b[31m");
    assert_string_equal(err.message, "a\\x0ab\\x09c\\x7f\\x1b[31m");
    err_set(&err, GLLM_FORMAT, "%s", "caf\xc3\xa9 \xff\xc3 \xed\xa0\x80 \xf0\x9f\x90\x8b");
    assert_string_equal(err.message, "caf\xc3\xa9 \\xff\\xc3 \\xed\\xa0\\x80 \xf0\x9f\x90\x8b");
}

static void test_cut(void **state) {
    (void)state;
    char text[2000];
    gllm_error err = {0};
    for (size_t lead = 0; lead < 4; lead++) { /* four-byte characters that end at every place around the limit */
        memset(text, 'a', lead);
        for (size_t i = lead; i + 4 < sizeof text; i += 4) memcpy(text + i, "\xf0\x9f\x90\x8b", 5);
        err_set(&err, GLLM_FORMAT, "%s", text);
        size_t n = strlen(err.message);
        assert_true(n <= 507 && n > 503 && utf8_valid(err.message, n, NULL));
        assert_memory_equal(err.message, text, n);
    }
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&err, GLLM_FORMAT, "%s", text); /* an escape is never cut either */
    assert_int_equal(strlen(err.message) % 4, 0);
    assert_string_equal(err.message + strlen(err.message) - 4, "\\x0a");
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        int value;
        const char *name, *text;
    } ALL[] = {{0, "GLLM_OK", "ok"}, {-1, "GLLM_INVALID", "invalid argument"}, {-4, "GLLM_FORMAT", "malformed file"}, {-10, "GLLM_BUSY", "queue is full"},
               {-12, "GLLM_NOT_FOUND", "model not found"}, {-99, "GLLM_UNKNOWN", "unknown status"}, {7, "GLLM_UNKNOWN", "unknown status"}};
    for (unsigned i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        assert_string_equal(gllm_status_name((gllm_status)ALL[i].value), ALL[i].name);
        assert_string_equal(gllm_status_text((gllm_status)ALL[i].value), ALL[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set), cmocka_unit_test(test_wrap), cmocka_unit_test(test_one_printable_line), cmocka_unit_test(test_cut), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
