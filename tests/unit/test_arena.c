/* test_arena.c - blocks are zeroed, aligned, apart from each other, and all given back at once; sizes that overflow are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void test_blocks(void **state) {
    (void)state;
    enum { N = 3000 };
    static unsigned char *blocks[N];
    static size_t sizes[N];
    struct arena a = {0};
    uint32_t seed = 1;
    for (size_t i = 0; i < N; i++) { /* small ones, and now and then one above every block */
        seed = seed * 1664525u + 1013904223u;
        sizes[i] = i % 97 == 0 ? 1 + seed % 3000000 : seed >> 8 & 1023;
        blocks[i] = arena_alloc(&a, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k += 1 + sizes[i] / 50) assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)(i % 255 + 1), sizes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k += 1 + sizes[i] / 50) assert_int_equal(blocks[i][k], i % 255 + 1);
    arena_free(&a);
    assert_null(a.head);
    assert_int_equal(a.used, 0);
    arena_free(&a);
}

static void test_large_keeps_head(void **state) {
    (void)state;
    struct arena a = {0};
    char *first = arena_alloc(&a, 16);
    assert_non_null(arena_alloc(&a, 1 << 20));
    assert_ptr_equal(arena_alloc(&a, 16), first + 16); /* the head goes on where it was */
    arena_free(&a);
}

static void test_empty_and_overflow(void **state) {
    (void)state;
    struct arena a = {0};
    void *p = arena_alloc(&a, 0), *q = arena_alloc(&a, 0);
    assert_non_null(p);
    assert_non_null(q);
    assert_ptr_not_equal(p, q);
    assert_non_null(arena_array(&a, 0, 8));
    assert_null(arena_array(&a, SIZE_MAX / 8 + 1, 8));
    assert_null(arena_array(&a, SIZE_MAX, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 16));
    assert_null(arena_strndup(&a, "x", SIZE_MAX));
    assert_non_null(arena_alloc(&a, 8)); /* and it still works */
    arena_free(&a);
}

static void test_strings(void **state) {
    (void)state;
    struct arena a = {0};
    char source[] = "whale";
    char *copy = arena_strdup(&a, source), *part = arena_strndup(&a, "a\0bc", 3);
    source[0] = 'X';
    assert_string_equal(copy, "whale");
    assert_memory_equal(part, "a\0b", 4);
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_large_keeps_head), cmocka_unit_test(test_empty_and_overflow), cmocka_unit_test(test_strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
