/* test_log.c - lines go to the sink as they are, nowhere without one; the clock only goes forward and measures milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct sink {
    unsigned count;
    gllm_log_level level;
    char line[2048];
};
static void keep(void *user, gllm_log_level level, const char *line) {
    struct sink *s = user;
    s->count++;
    s->level = level;
    strcpy(s->line, line);
}

static void test_lines(void **state) {
    (void)state;
    struct sink s = {0};
    const struct log log = {keep, &s}, silent = {0};
    log_line(&log, GLLM_LOG_WARN, "%s: %u", "x", 7u);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.level, GLLM_LOG_WARN);
    assert_string_equal(s.line, "x: 7");
    log_line(&silent, GLLM_LOG_ERROR, "nobody");
    log_line(NULL, GLLM_LOG_ERROR, "nobody");
    assert_int_equal(s.count, 1);
    char lengthy[3000];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    log_line(&log, GLLM_LOG_DEBUG, "%s", lengthy);
    assert_int_equal(strlen(s.line), 1023); /* cut, not overrun */
}

static void test_clock(void **state) {
    (void)state;
    double last = clock_ms(), start = last;
    for (int i = 0; i < 10000; i++) {
        double now = clock_ms();
        assert_true(now >= last);
        last = now;
    }
    usleep(20000);
    assert_true(clock_ms() - start >= 19.9);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_clock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
