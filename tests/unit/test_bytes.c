/* test_bytes.c - the cursor: little-endian values, and nothing past the end; products and sums that overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/bytes.h"

static void test_cursor(void **state) {
    (void)state;
    static const uint8_t DATA[] = {1, 0x34, 0x12, 0, 0x80, 8, 7, 6, 5, 4, 3, 2, 0xF1, 9};
    struct bytes b = bytes_of(DATA, sizeof DATA);
    assert_int_equal(bytes_u8(&b), 1);
    assert_int_equal(bytes_u32(&b), 0x80001234u);
    assert_true(bytes_u64(&b) == 0xF102030405060708u);
    assert_false(b.bad);
    assert_int_equal(b.at, 13);
    assert_ptr_equal(bytes_take(&b, 0), DATA + 13);
    assert_int_equal(bytes_u32(&b), 0); /* one byte is left */
    assert_true(b.bad);
    assert_int_equal(b.at, 13);
    assert_null(bytes_take(&b, 1)); /* bad stays bad */
    b = bytes_of(DATA, sizeof DATA);
    assert_null(bytes_take(&b, SIZE_MAX));
    assert_true(b.bad);
    b = bytes_of(NULL, 0);
    assert_int_equal(bytes_u8(&b), 0);
    assert_true(b.bad);
}

static void test_sizes(void **state) {
    (void)state;
    uint64_t v = 5;
    assert_true(size_mul(1ull << 32, (1ull << 32) - 1, &v));
    assert_true(v == 0xFFFFFFFF00000000u);
    assert_false(size_mul(1ull << 32, 1ull << 32, &v));
    assert_true(v == 0xFFFFFFFF00000000u);
    assert_true(size_mul(0, UINT64_MAX, &v) && v == 0);
    assert_true(size_mul(UINT64_MAX, 1, &v) && v == UINT64_MAX);
    assert_true(size_add(UINT64_MAX, 0, &v) && v == UINT64_MAX);
    assert_false(size_add(UINT64_MAX, 1, &v));
    assert_true(v == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cursor), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
