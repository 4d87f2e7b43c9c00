/* test_utf8.c - every code point there and back, and every short byte string against a decoder written from the definition: a string
 * is a character exactly when writing its value with the fewest bytes gives that string again and the value is no surrogate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/utf8.h"

/* The bytes of cp by arithmetic alone. */
static unsigned spell(uint32_t cp, unsigned char out[4]) {
    const unsigned n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char LEAD[] = {0, 0, 192, 224, 240};
    for (unsigned i = n; i-- > 1; cp /= 64) out[i] = (unsigned char)(128 + cp % 64);
    out[0] = (unsigned char)(LEAD[n] + cp);
    return n;
}

/* The character at s[0..len) by the definition; 0: there is none. */
static unsigned judge(const unsigned char *s, size_t len, uint32_t *cp) {
    const unsigned n = s[0] < 128 ? 1 : s[0] < 192 ? 0 : s[0] < 224 ? 2 : s[0] < 240 ? 3 : s[0] < 248 ? 4 : 0;
    unsigned char again[4];
    if (!n || len < n) return 0;
    uint32_t v = n == 1 ? s[0] : s[0] % (128u >> n);
    for (unsigned i = 1; i < n; i++) v = v * 64 + s[i] % 64;
    if (v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF) || spell(v, again) != n || memcmp(s, again, n)) return 0;
    *cp = v;
    return n;
}

static void test_every_code_point(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        unsigned char expected[4];
        char text[4] = {0};
        uint32_t back = 0;
        if (cp == 0xD800) cp = 0xE000;
        const unsigned n = spell(cp, expected);
        if (utf8_write(cp, text) != n || memcmp(text, expected, n)) fail_msg("U+%04X is written wrongly", cp);
        if (utf8_read(text, n, &back) != n || back != cp) fail_msg("U+%04X is read as U+%04X", cp, back);
        if (utf8_read(text, n - 1, &back)) fail_msg("U+%04X is read from %u of its bytes", cp, n - 1);
    }
}

static void check(const unsigned char *s, size_t len) {
    uint32_t found = 0, expected = 0;
    const unsigned n = utf8_read((const char *)s, len, &found), want = judge(s, len, &expected);
    if (n != want || (n && found != expected)) fail_msg("%02x %02x %02x %02x (%zu): %u bytes, U+%04X; expected %u, U+%04X", s[0], s[1], s[2], s[3], len, n, found, want, expected);
}

static void test_every_short_string(void **state) {
    (void)state;
    static const unsigned char EDGES[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    unsigned char s[4] = {0};
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            s[0] = (unsigned char)a, s[1] = (unsigned char)b;
            check(s, 1);
            check(s, 2);
            for (unsigned c = 0; a >= 0xE0 && c < 256; c++) {
                s[2] = (unsigned char)c;
                check(s, 3);
                for (unsigned d = 0; a >= 0xF0 && d < sizeof EDGES; d++) {
                    s[3] = EDGES[d];
                    check(s, 4);
                }
            }
        }
}

static void test_texts(void **state) {
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8bz"; /* 1 + 2 + 3 + 4 + 1 bytes */
    static const size_t CUTS[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    size_t bad = 99;
    assert_true(utf8_valid(text, 11, &bad));
    assert_int_equal(bad, 99);
    assert_int_equal(utf8_count(text, 11), 5);
    for (size_t max = 0; max < sizeof CUTS / sizeof *CUTS; max++) assert_int_equal(utf8_cut(text, 11, max), CUTS[max]);
    assert_false(utf8_valid(text, 9, &bad));
    assert_int_equal(bad, 6);
    assert_false(utf8_valid("ab\xff", 3, NULL));
    assert_true(utf8_valid("", 0, NULL));
    assert_true(utf8_valid("a\0b", 3, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_code_point), cmocka_unit_test(test_every_short_string), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
