/* test_number.c - decimal numbers have a point, also where the process's locale says comma. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include "base/number.h"
#include "temp_dir.h"
#include "text/jinja.h"
#include "text/json_schema.h"
#include "text/matcher.h"

static void digits(double v, int count, const char *text) {
    char out[32];
    assert_int_equal(number_digits(v, out), count);
    assert_string_equal(out, text);
    assert_true(number_parse(out, NULL) == v);
}

static void check_numbers(void) {
    char out[64], *end;
    const char *two = "2.5e-1,7";
    digits(0, 1, "0e+00");
    digits(0.1, 1, "1e-01");
    digits(-12.5, 3, "-1.25e+01");
    digits(1.0 / 3, 16, "3.333333333333333e-01");
    digits(0.1 + 0.2, 17, "3.0000000000000004e-01");
    digits(DBL_MAX, 17, "1.7976931348623157e+308");
    digits(0x1p-1074, 1, "5e-324");
    assert_int_equal(number_print(out, sizeof out, "%08.2f|%g", 3.14159, 0.5), 12);
    assert_string_equal(out, "00003.14|0.5");
    assert_true(number_parse(two, &end) == 0.25);
    assert_string_equal(end, ",7");
}

static void renders(const char *source, const char *expected) {
    struct jinja *t;
    struct jinja_text out;
    gllm_error err = {0};
    const struct jinja_input in = {0};
    if (jinja_open(&t, source, strlen(source), "t", &err) != GLLM_OK || jinja_render(t, &in, &out, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(out.data, expected);
    jinja_text_free(&out);
    jinja_close(t);
}

static void check_templates(void) {
    renders("{{ 1.5 }} {{ 1e20 }} {{ '%.2f' % 2.345 }} {{ '%8.1e' % 12345 }}", "1.5 1e+20 2.35  1.2e+04");
    renders("{{ '2.75' | float + 0.5 }} {{ 2.675 | round(1) }} {{ {'a': 0.1} | tojson }}", "3.25 2.7 {\"a\": 0.1}");
}

static bool accepts(const char *schema, const char *text) {
    struct grammar *g;
    struct matcher *m = NULL;
    gllm_error err = {0};
    uint32_t at = MATCHER_DEAD;
    if (json_schema_read(&g, schema, strlen(schema), &err) != GLLM_OK || matcher_open(&m, g, &err) != GLLM_OK || matcher_accept(m, MATCHER_START, text, strlen(text), &at, &err) != GLLM_OK)
        fail_msg("%s", err.message);
    const bool yes = at != MATCHER_DEAD && m->states[at].can_end;
    matcher_close(m);
    grammar_close(g);
    return yes;
}

static void check_schemas(void) {
    assert_true(accepts("{\"enum\": [0.5, 2.25]}", "0.5"));
    assert_false(accepts("{\"enum\": [0.5, 2.25]}", "0,5"));
    assert_true(accepts("{\"type\": \"number\", \"minimum\": 0.5, \"maximum\": 2.25}", "2.25"));
    assert_false(accepts("{\"type\": \"number\", \"minimum\": 0.5, \"maximum\": 2.25}", "2.26"));
}

static void test_plain(void **state) {
    (void)state;
    check_numbers();
    check_templates();
    check_schemas();
}

static void test_comma(void **state) {
    (void)state;
    char command[200], half[8];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1", temp_dir);
    if (system(command) || setenv("LOCPATH", temp_dir, 1) || !setlocale(LC_ALL, "de_DE.UTF-8")) {
        puts("skipped: localedef makes no de_DE.UTF-8 here, and no other locale with a comma is at hand");
        skip();
    }
    snprintf(half, sizeof half, "%.1f", 0.5);
    assert_string_equal(half, "0,5");
    check_numbers();
    check_templates();
    check_schemas();
    snprintf(half, sizeof half, "%.1f", 0.5); /* and the locale is as it was */
    assert_string_equal(half, "0,5");
    setlocale(LC_ALL, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_comma)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
