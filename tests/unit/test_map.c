/* test_map.c - a vocabulary of 50,000 keys: every one is found with its last value, its neighbours are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

enum { N = 50000 };
static char keys[N][16];
static size_t lens[N];

static void test_many(void **state) {
    (void)state;
    struct map m = {0};
    uint32_t value;
    for (uint32_t i = 0; i < N; i++) {
        lens[i] = (size_t)snprintf(keys[i], sizeof keys[i], i % 3 ? "%u" : "##%08u", i);
        assert_true(map_put(&m, keys[i], lens[i], i * 7));
    }
    assert_int_equal(m.count, N);
    for (uint32_t i = 0; i < N; i += 2) assert_true(map_put(&m, keys[i], lens[i], i + 1)); /* replaces */
    assert_int_equal(m.count, N);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(map_get(&m, keys[i], lens[i], &value));
        assert_int_equal(value, i % 2 ? i * 7 : i + 1);
    }
    value = 77;
    assert_false(map_get(&m, "50000x", 6, &value));
    assert_false(map_get(&m, "##00000003", 9, &value)); /* a prefix of a key is no key */
    assert_int_equal(value, 77);
    map_free(&m);
    assert_int_equal(m.count, 0);
}

static void test_odd_keys(void **state) {
    (void)state;
    static const char *const KEYS[] = {"", "\0", "\0\0", "a", "a\0", "a\0b", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaaaa"};
    static const size_t LENS[] = {0, 1, 2, 1, 2, 3, 8, 9, 9};
    enum { ODD = sizeof LENS / sizeof *LENS };
    struct map m = {0};
    uint32_t value;
    assert_false(map_get(&m, "a", 1, &value)); /* an empty map has nothing */
    for (uint32_t i = 0; i < ODD; i++) assert_true(map_put(&m, KEYS[i], LENS[i], UINT32_MAX - i));
    assert_int_equal(m.count, ODD);
    for (uint32_t i = 0; i < ODD; i++) {
        assert_true(map_get(&m, KEYS[i], LENS[i], &value));
        assert_int_equal(value, UINT32_MAX - i);
    }
    map_free(&m);
    map_free(&m);
}

static void test_reserve(void **state) {
    (void)state;
    struct map m = {0};
    uint32_t value;
    assert_true(map_put(&m, "before", 6, 1));
    assert_true(map_reserve(&m, 1000));
    size_t capacity = m.capacity;
    for (uint32_t i = 0; i < 900; i++) assert_true(map_put(&m, keys[i], lens[i], i));
    assert_int_equal(m.capacity, capacity);
    assert_true(map_get(&m, "before", 6, &value));
    assert_int_equal(value, 1);
    assert_false(map_reserve(&m, SIZE_MAX));
    assert_true(map_get(&m, "before", 6, &value));
    map_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many), cmocka_unit_test(test_odd_keys), cmocka_unit_test(test_reserve)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
