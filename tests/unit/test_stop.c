/* test_stop.c - stop strings in any cut of a text, against a search of the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "text/stop.h"

/* Where the first string completes: its end; of several the longest. */
static size_t naive(const char *text, size_t n, const struct stop_string *s, size_t count, int *hit) {
    for (size_t end = 1; end <= n; end++) {
        *hit = -1;
        for (size_t i = 0; i < count; i++)
            if (s[i].len <= end && !memcmp(text + end - s[i].len, s[i].text, s[i].len) && (*hit < 0 || s[i].len > s[*hit].len)) *hit = (int)i;
        if (*hit >= 0) return end - s[*hit].len;
    }
    *hit = -1;
    return n;
}

static void test_random(void **state) {
    (void)state;
    uint32_t seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        char text[40], words[3][6], out[41];
        struct stop_string s[3];
        size_t n = 0, shown = 0, count = round % 4;
        int want, hit = -1, got = -1;
#define RANDOM(m) ((seed = seed * 1664525u + 1013904223u) >> 16) % (m)
        for (size_t i = 0; i < count; i++) {
            s[i] = (struct stop_string){words[i], 1 + RANDOM(5)};
            for (size_t k = 0; k < s[i].len; k++) words[i][k] = (char)('a' + RANDOM(2));
        }
        n = RANDOM(40);
        for (size_t i = 0; i < n; i++) text[i] = (char)('a' + RANDOM(2));
        const size_t keep = naive(text, n, s, count, &want);
        struct stop_matcher *m;
        gllm_error err;
        const char *p;
        size_t len;
        assert_int_equal(stop_open(&m, s, count, &err), GLLM_OK);
        for (size_t at = 0, step; at < n && got < 0; at += step) {
            step = 1 + RANDOM(4);
            if (step > n - at) step = n - at;
            assert_int_equal(stop_push(m, text + at, step, &p, &len, &hit, &err), GLLM_OK);
            memcpy(out + shown, p, len);
            shown += len;
            assert_true(shown <= keep); /* nothing of a stop string leaks */
            if (hit >= 0) got = hit;
        }
        stop_end(m, &p, &len);
        memcpy(out + shown, p, len);
        shown += len;
        assert_int_equal(got, want);
        assert_int_equal(shown, keep);
        assert_memory_equal(out, text, keep);
        stop_close(m);
    }
}

static void test_nothing_waits_needlessly(void **state) {
    (void)state;
    struct stop_matcher *m;
    gllm_error err;
    const char *p;
    size_t len;
    int hit;
    assert_int_equal(stop_open(&m, (const struct stop_string[]){{"END", 3}}, 1, &err), GLLM_OK);
    assert_int_equal(stop_push(m, "the E", 5, &p, &len, &hit, &err), GLLM_OK);
    assert_int_equal(len, 4);
    assert_int_equal(stop_push(m, "at", 2, &p, &len, &hit, &err), GLLM_OK);
    assert_int_equal(len, 3);
    stop_close(m);
    assert_int_equal(stop_open(&m, (const struct stop_string[]){{"", 0}}, 1, &err), GLLM_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_nothing_waits_needlessly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
