/* test_json.c - values read from objects, and every refusal with its sentence; files that are hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/json.h"
#include "temp_dir.h"

static json_t *parsed(const char *text) {
    json_t *v = NULL;
    gllm_error err = {0};
    if (json_parse(text, strlen(text), "c.json", &v, &err) != GLLM_OK) fail_msg("%s", err.message);
    return v;
}

static void test_values(void **state) {
    (void)state;
    json_t *o = parsed("{\"n\":7,\"max\":4294967295,\"e\":1e3,\"x\":-0.25,\"yes\":true,\"no\":false,\"s\":\"t\\u00e9\",\"z\":null,\"o\":{\"k\":1},\"a\":[1],\"zero\":0,\"nul\":\"a\\u0000b\"}");
    uint32_t n = 5;
    float f = 5;
    bool flag = true;
    const char *s = "old";
    json_t *v;
    gllm_error err = {0};
    assert_int_equal(json_u32(o, "c", "n", &n, &err), GLLM_OK);
    assert_int_equal(n, 7);
    assert_int_equal(json_u32(o, "c", "max", &n, &err), GLLM_OK);
    assert_true(n == UINT32_MAX);
    assert_int_equal(json_u32(o, "c", "e", &n, &err), GLLM_OK);
    assert_int_equal(n, 1000);
    assert_int_equal(json_u32(o, "c", "zero", &n, &err), GLLM_OK);
    assert_int_equal(n, 0);
    n = 5; /* absent and null leave what was there */
    assert_int_equal(json_u32(o, "c", "none", &n, &err), GLLM_OK);
    assert_int_equal(json_u32(o, "c", "z", &n, &err), GLLM_OK);
    assert_int_equal(n, 5);
    assert_int_equal(json_f32(o, "c", "x", &f, &err), GLLM_OK);
    assert_true(f == -0.25f);
    assert_int_equal(json_flag(o, "c", "no", &flag, &err), GLLM_OK);
    assert_false(flag);
    assert_int_equal(json_flag(o, "c", "yes", &flag, &err), GLLM_OK);
    assert_true(flag);
    assert_int_equal(json_str(o, "c", "z", &s, &err), GLLM_OK);
    assert_string_equal(s, "old");
    assert_int_equal(json_str(o, "c", "s", &s, &err), GLLM_OK);
    assert_string_equal(s, "t\xc3\xa9");
    assert_int_equal(json_object_at(o, "c", "o", &v, &err), GLLM_OK);
    assert_int_equal(json_object_size(v), 1);
    assert_int_equal(json_array_at(o, "c", "a", &v, &err), GLLM_OK);
    assert_int_equal(json_array_size(v), 1);
    assert_int_equal(json_array_at(o, "c", "z", &v, &err), GLLM_OK);
    assert_null(v);
    assert_int_equal(json_string_length(json_object_get(o, "nul")), 3);
    json_decref(o);
}

static void test_wrong_values(void **state) {
    (void)state;
    json_t *o = parsed("{\"half\":0.5,\"minus\":-1,\"big\":4294967296,\"s\":\"x\",\"t\":true,\"o\":{},\"a\":[],\"huge\":1e300}");
    uint32_t n = 5;
    float f = 5;
    bool flag = false;
    const char *s = NULL;
    json_t *v;
    gllm_error err = {0};
#define REFUSED(call, says)                     \
    assert_int_equal((call), GLLM_FORMAT);      \
    assert_string_equal(err.message, "c: " says)
    REFUSED(json_u32(o, "c", "half", &n, &err), "half: found 0.5, expected a whole number from 0 to 4294967295");
    REFUSED(json_u32(o, "c", "minus", &n, &err), "minus: found -1, expected a whole number from 0 to 4294967295");
    REFUSED(json_u32(o, "c", "big", &n, &err), "big: found 4294967296, expected a whole number from 0 to 4294967295");
    REFUSED(json_u32(o, "c", "s", &n, &err), "s: found a string, expected a whole number from 0 to 4294967295");
    REFUSED(json_f32(o, "c", "huge", &f, &err), "huge: found 1.0000000000000001e+300, expected a number");
    REFUSED(json_f32(o, "c", "a", &f, &err), "a: found an array, expected a number");
    REFUSED(json_flag(o, "c", "o", &flag, &err), "o: found an object, expected true or false");
    REFUSED(json_str(o, "c", "t", &s, &err), "t: found true, expected a string");
    REFUSED(json_object_at(o, "c", "a", &v, &err), "a: found an array, expected an object");
    REFUSED(json_array_at(o, "c", "o", &v, &err), "o: found an object, expected an array");
#undef REFUSED
    assert_int_equal(n, 5);
    assert_true(f == 5);
    assert_null(v);
    json_decref(o);
}

static void refuse(const char *text, size_t len, const char *says) {
    json_t *v = NULL;
    gllm_error err = {0};
    assert_int_equal(json_parse(text, len, "c.json", &v, &err), GLLM_FORMAT);
    assert_string_equal(err.message, says);
    assert_null(v);
}

static void test_hostile(void **state) {
    (void)state;
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP);
    memset(deep, '[', DEEP);
    refuse(deep, DEEP, "c.json: line 1, column 2049: not JSON: maximum parsing depth reached near '['");
    free(deep);
    refuse("", 0, "c.json: is empty, expected JSON");
    refuse("{\"a\":1e999}", 11, "c.json: line 1, column 10: not JSON: real number overflow near '1e999'");
    refuse("{\"a\"\n:tru}", 10, "c.json: line 2, column 4: not JSON: invalid token near 'tru'");
    refuse("{} x", 4, "c.json: line 1, column 4: not JSON: end of file expected near 'x'");
    refuse("{\"\xff\":1}", 7, "c.json: byte 2 is not UTF-8 (0xff)");
    refuse("[\"\\ud800\"]", 10, "c.json: line 1, column 9: not JSON: invalid Unicode '\\uD800' near '\"\\ud800\"'");
    json_t *v;
    gllm_error err = {0};
    assert_int_equal(json_parse("{\"a\":1,\"a\":2}", 13, "c.json", &v, &err), GLLM_OK); /* the last one counts, as everywhere */
    assert_true(json_number_value(json_object_get(v, "a")) == 2);
    json_decref(v);
    assert_int_equal(json_parse_unique("{\"a\":1,\"a\":2}", 13, "c.json", &v, &err), GLLM_FORMAT);
    assert_string_equal(err.message, "c.json: line 1, column 10: not JSON: duplicate object key near '\"a\"'");
    assert_null(v);
    v = parsed("[123456789012345678901234567890]"); /* a whole number beyond 64 bits is a number */
    assert_true(json_number_value(json_array_get(v, 0)) == 123456789012345678901234567890.0);
    json_decref(v);
}

static void test_files(void **state) {
    (void)state;
    json_t *v;
    char expected[600];
    gllm_error err = {0};
    temp_text("good.json", "{\"a\":1}");
    temp_text("bad.json", "{\"a\":\n1");
    assert_int_equal(json_read_file(temp_path("good.json"), 100, &v, &err), GLLM_OK);
    assert_int_equal(json_object_size(v), 1);
    json_decref(v);
    assert_int_equal(json_read_file(temp_path("bad.json"), 100, &v, &err), GLLM_FORMAT);
    snprintf(expected, sizeof expected, "%s: line 2, column 1: not JSON: '}' expected near end of file", temp_path("bad.json"));
    assert_string_equal(err.message, expected);
    assert_int_equal(json_read_file(temp_path("good.json"), 6, &v, &err), GLLM_FORMAT);
    assert_int_equal(json_read_file(temp_path("none.json"), 6, &v, &err), GLLM_NOT_FOUND);
    assert_null(v);
}

static void test_kinds(void **state) {
    (void)state;
    static const char *const KINDS[][2] = {{"{}", "an object"}, {"[]", "an array"}, {"\"\"", "a string"}, {"1", "a number"}, {"1.5", "a number"}, {"true", "true"}, {"false", "false"}, {"null", "null"}};
    for (unsigned i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        json_t *v = parsed(KINDS[i][0]);
        assert_string_equal(json_kind(v), KINDS[i][1]);
        json_decref(v);
    }
    assert_string_equal(json_kind(NULL), "nothing");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_hostile), cmocka_unit_test(test_files), cmocka_unit_test(test_kinds)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
