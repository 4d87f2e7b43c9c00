/* test_json_schema.c - schemas against jsonschema's verdicts (tools/make_schema_goldens.py); what is refused, and by which pointer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "text/json_schema.h"
#include "text/matcher.h"

static bool accepts(const struct grammar *g, const char *text, size_t len) {
    struct matcher *m;
    gllm_error err = {0};
    uint32_t at;
    assert_int_equal(matcher_open(&m, g, &err), GLLM_OK);
    if (matcher_accept(m, MATCHER_START, text, len, &at, &err) != GLLM_OK) fail_msg("%s", err.message);
    const bool yes = at != MATCHER_DEAD && m->states[at].can_end;
    matcher_close(m);
    return yes;
}

static struct grammar *read(const json_t *schema, const char *name) {
    char *text = json_dumps(schema, JSON_ENCODE_ANY);
    struct grammar *g;
    gllm_error err = {0};
    assert_non_null(text);
    if (json_schema_read(&g, text, strlen(text), &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    free(text);
    return g;
}

static void test_goldens(void **state) {
    (void)state;
    json_error_t e;
    json_t *root = json_load_file("tests/golden/json_schema.json", 0, &e), *c, *text;
    size_t i, k, n = 0, wrong = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        const char *name = json_string_value(json_object_get(c, "name"));
        struct grammar *g = read(json_object_get(c, "schema"), name);
        for (unsigned yes = 0; yes < 2; yes++)
            json_array_foreach(json_object_get(c, yes ? "yes" : "no"), k, text) {
                n++;
                if (accepts(g, json_string_value(text), json_string_length(text)) == yes) continue;
                print_message("%s: %s is %s\n", name, json_string_value(text), yes ? "valid and refused" : "invalid and accepted");
                wrong++;
            }
        grammar_close(g);
    }
    assert_true(i >= 80 && n > 2000);
    json_decref(root);
    assert_int_equal(wrong, 0);
}

/* The form that is written: no other white space, order, escapes. */
static void test_form(void **state) {
    (void)state;
    static const struct {
        const char *schema, *text;
        bool yes;
    } CASES[] = {
        {"{}", "{\"a\": [1, 2,3], \"b\":{}}", true},
        {"{}", " 1", false},
        {"{}", "{ \"a\":1}", false},
        {"{}", "[1,\n2]", false},
        {"{}", "[1,  2]", false},
        {"{}", "[1 ,2]", false},
        {"{}", "01", false},
        {"{}", "-0", true},
        {"{}", "1.", false},
        {"{}", "1e5", true},
        {"{}", "1E+05", true},
        {"{}", "1e400", false},
        {"{}", "123456789012345678", true},
        {"{}", "1234567890123456789", false},
        {"{}", "\"\\u00e9\\ud83d\\ude00\\/\\\"\"", true},
        {"{}", "\"\\ud83d\"", false},
        {"{}", "\"\\ude00\"", false},
        {"{}", "\"\\ud83dx\"", false},
        {"{}", "\"\\x\"", false},
        {"{}", "\"\t\"", false},
        {"{}", "\"\xFF\"", false},
        {"{}", "\"\x7F\xC2\x80\"", true},
        {"{}", "tru", false},
        {"{}", "{\"a\":1,}", false},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}}}", "{\"b\":1,\"a\":2}", false},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":1,\"b\":2}", false},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":true}", "{\"a\":1,\"\\u0061\":2}", false},
        {"{\"type\":\"integer\"}", "1.0", false},
        {"{\"type\":\"string\",\"maxLength\":2}", "\"\\u00e9\\ud83d\\ude00\"", true},
        {"{\"type\":\"string\",\"maxLength\":1}", "\"\\ud83d\\ude00\"", true},
        {"{\"type\":\"string\",\"nullable\":true}", "null", true},
        {"{\"nullable\":true,\"allOf\":[{\"type\":\"string\"}],\"type\":\"string\"}", "null", false},
        {"{\"items\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"additionalItems\":{\"type\":\"null\"}}", "[1,\"a\",null]", true},
        {"{\"items\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"additionalItems\":false}", "[1,\"a\",null]", false},
        {"{\"type\":\"number\",\"minimum\":1e-40}", "0", false},
        {"{\"type\":\"number\",\"minimum\":1e-40}", "0.00000000000001", true},
        {"{\"type\":\"number\",\"minimum\":0,\"exclusiveMaximum\":1e-40}", "0", true},
        {"{\"type\":\"number\",\"minimum\":0,\"exclusiveMaximum\":1e-40}", "0.00000000000001", false},
        {"{\"pattern\":\"^.{1}$\"}", "\"\\n\"", false},
        {"{\"pattern\":\"^[^]$\"}", "\"\\n\"", true},
        {"{\"pattern\":\"^\\\\x41\\\\u0042\\\\t(?<name>c)+?\\\\d$\"}", "\"AB\\tcc7\"", true},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct grammar *g;
        gllm_error err = {0};
        if (json_schema_read(&g, CASES[i].schema, strlen(CASES[i].schema), &err) != GLLM_OK) fail_msg("%s: %s", CASES[i].schema, err.message);
        if (accepts(g, CASES[i].text, strlen(CASES[i].text)) != CASES[i].yes) fail_msg("%s: %s: expected %s", CASES[i].schema, CASES[i].text, CASES[i].yes ? "accepted" : "refused");
        grammar_close(g);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *schema, *message;
        gllm_status status;
    } CASES[] = {
        {"", "schema: is empty, expected JSON", GLLM_INVALID},
        {"{\"a\":", NULL, GLLM_INVALID},
        {"{\"type\":\"integer\",\"type\":\"string\"}", NULL, GLLM_INVALID},
        {"3", "schema #: found a number, expected a schema: an object, true or false", GLLM_INVALID},
        {"false", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"type\":\"strin\"}", "schema #/type: found \"strin\", expected object, array, string, number, integer, boolean or null", GLLM_INVALID},
        {"{\"type\":[\"string\",3]}", "schema #/type/1: found a number, expected a type's name", GLLM_INVALID},
        {"{\"properties\":[]}", "schema #/properties: found an array, expected an object of schemas", GLLM_INVALID},
        {"{\"required\":\"a\"}", "schema #/required: found a string, expected an array of strings", GLLM_INVALID},
        {"{\"minLength\":-1}", "schema #/minLength: found -1, expected a whole number from 0 to 262144", GLLM_INVALID},
        {"{\"maxItems\":1.5}", "schema #/maxItems: found 1.5, expected a whole number from 0 to 262144", GLLM_INVALID},
        {"{\"enum\":[]}", "schema #/enum: found an array, expected an array of values", GLLM_INVALID},
        {"{\"anyOf\":[]}", "schema #/anyOf: found an array, expected an array of schemas", GLLM_INVALID},
        {"{\"not\":{}}", "schema #/not: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED},
        {"{\"properties\":{\"a/b\":{\"items\":{\"multipleOf\":2}}}}", "schema #/properties/a~1b/items/multipleOf: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED},
        {"{\"allOf\":[{},{\"properties\":{\"x\":{\"if\":{}}}}]}", "schema #/allOf/1/properties/x/if: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED},
        {"{\"uniqueItems\":true}", "schema #/uniqueItems: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED},
        {"{\"typ\":\"string\"}", "schema #/typ: this keyword is not known", GLLM_UNSUPPORTED},
        {"{\"format\":\"uri\"}", "schema #/format: found \"uri\", expected date, time, date-time, uuid, ipv4 or email", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"^(?=a)b$\"}", "schema #/pattern: \"^(?=a)b$\": not supported: look-around", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"(a)\\\\1\"}", "schema #/pattern: \"(a)\\1\": not supported: back references", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"a\\\\b\"}", "schema #/pattern: \"a\\b\": not supported: \\b", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"(^a)\"}", "schema #/pattern: \"(^a)\": not supported: an anchor inside the pattern", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"a)\"}", "schema #/pattern: \"a)\": not supported: a bracket that was not opened", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"[b-a]\"}", "schema #/pattern: \"[b-a]\": not supported: a range that ends before it begins", GLLM_UNSUPPORTED},
        {"{\"pattern\":\"^a+$\",\"maxLength\":3}", "schema #/maxLength: beside pattern or format a length cannot be held to", GLLM_UNSUPPORTED},
        {"{\"enum\":[\"a\"],\"minLength\":3}", "schema #/minLength: beside enum or const only type can be held to", GLLM_UNSUPPORTED},
        {"{\"enum\":[12345678901234567890]}", "schema #: the value 1.2345678901234567e+19 is a whole number of 2^53 or more: it may not be exact", GLLM_UNSUPPORTED},
        {"{\"const\":9007199254740993}", "schema #: the value 9007199254740992 is a whole number of 2^53 or more: it may not be exact", GLLM_UNSUPPORTED},
        {"{\"type\":\"integer\",\"minimum\":9007199254740993}", "schema #/minimum: 9007199254740992 is a whole number of 2^53 or more: it may not be exact", GLLM_UNSUPPORTED},
        {"{\"type\":\"integer\",\"maximum\":9007199254740995}", "schema #/maximum: 9007199254740996 is a whole number of 2^53 or more: it may not be exact", GLLM_UNSUPPORTED},
        {"{\"type\":\"integer\",\"maximum\":18446744073709551615}", NULL, GLLM_OK},
        {"{\"$ref\":\"other.json\"}", "schema #/$ref: found \"other.json\", expected a pointer within the schema (#/\xE2\x80\xA6)", GLLM_UNSUPPORTED},
        {"{\"$ref\":\"#/$defs/x\"}", "schema #/$ref: there is nothing at \"#/$defs/x\"", GLLM_INVALID},
        {"{\"$ref\":\"#/%4\"}", "schema #/$ref: found \"#/%4\", which is no JSON pointer", GLLM_INVALID},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"contains\":{}}}}", "schema #/$defs/a/contains: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED},
        {"{\"$ref\":\"#\"}", "schema: rule \"#\" can never end", GLLM_INVALID},
        {"{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", "schema: rule \"#\" begins with itself (left recursion)", GLLM_INVALID},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", "schema: rule \"#\" can never end", GLLM_INVALID},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", "schema #/oneOf: alternatives 0 and 1 might both fit one value, which oneOf forbids (anyOf does not)", GLLM_UNSUPPORTED},
        {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "schema #/oneOf: alternatives 0 and 1 might both fit one value, which oneOf forbids (anyOf does not)", GLLM_UNSUPPORTED},
        {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", "schema #/allOf/1/pattern: cannot be merged with another pattern that must hold, too", GLLM_UNSUPPORTED},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"type\":\"string\",\"minLength\":5,\"maxLength\":4}", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"type\":\"array\",\"items\":false,\"minItems\":1}", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"type\":\"object\",\"properties\":{\"a\":false},\"required\":[\"a\"]}", "schema #: no value can fit this schema", GLLM_INVALID},
        {"{\"type\":\"string\",\"maxLength\":262144}", "schema: the grammar is too large: with its repetitions written out it has more than 262144 places, at rule \"#\"", GLLM_INVALID},
        {"{\"$ref\":\"#/$defs/a\",\"maximum\":1,\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\",\"minimum\":0}}}", "schema #/$defs/a: more than 64 schemas must hold together", GLLM_UNSUPPORTED},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct grammar *g;
        gllm_error err = {0};
        const gllm_status status = json_schema_read(&g, CASES[i].schema, strlen(CASES[i].schema), &err);
        if (status != CASES[i].status || (CASES[i].message && strcmp(err.message, CASES[i].message))) fail_msg("%s\nfound    %d %s\nexpected %d %s", CASES[i].schema, status, err.message, CASES[i].status, CASES[i].message);
        if (status != GLLM_OK) assert_true(err.status == status && err.message[0] && !g);
        grammar_close(g);
    }
}

static double cpu_ms(void) { return (double)clock() * 1e3 / CLOCKS_PER_SEC; } /* of this process: others may be busy */

static char *nested(const char *open, const char *inner, const char *close, unsigned n) {
    char *s = malloc(n * (strlen(open) + strlen(close)) + strlen(inner) + 1), *p = s;
    assert_non_null(s);
    for (unsigned i = 0; i < n; i++) p = stpcpy(p, open);
    p = stpcpy(p, inner);
    for (unsigned i = 0; i < n; i++) p = stpcpy(p, close);
    return s;
}

/* head, n times part, tail */
static char *repeated(const char *head, const char *part, unsigned n, const char *tail) {
    char *s = malloc(strlen(head) + n * strlen(part) + strlen(tail) + 1), *p = s;
    assert_non_null(s);
    p = stpcpy(p, head);
    for (unsigned i = 0; i < n; i++) p = stpcpy(p, part);
    stpcpy(p, tail);
    return s;
}

/* A tuple over several rules: as many items as it may have, and no others. */
static void test_long_tuple(void **state) {
    (void)state;
    char *schema = repeated("{\"minItems\":20,\"prefixItems\":[{\"type\":\"integer\"}", ",{\"type\":\"integer\"}", 39, "]}");
    static const struct {
        unsigned n;
        bool yes;
    } CASES[] = {{18, false}, {19, true}, {20, true}, {31, true}, {32, true}, {39, true}, {40, false}};
    struct grammar *g;
    gllm_error err = {0};
    if (json_schema_read(&g, schema, strlen(schema), &err) != GLLM_OK) fail_msg("%s", err.message);
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *text = repeated("[1", ",2", CASES[i].n, "]");
        if (accepts(g, text, strlen(text)) != CASES[i].yes) fail_msg("%u items: expected %s", CASES[i].n + 1, CASES[i].yes ? "accepted" : "refused");
        free(text);
    }
    grammar_close(g);
    free(schema);
}

/* Long ones too: a tuple of many items, long lists of values and of names that are compared with each other, a long name that goes along. */
static void test_long(void **state) {
    (void)state;
    char *values = repeated("{\"enum\":[1", ",1", 40000, "]}"), *others = repeated("{\"enum\":[2", ",2", 40000, "]}"), *name = repeated("", "n", 400000, "");
    char *names = repeated("{\"type\":\"object\",\"required\":[\"a\"", ",\"a\"", 100000, "]}"), *text[6];
    assert_true(asprintf(&text[0], "{\"allOf\":[%s,%s]}", values, others) > 0);
    assert_true(asprintf(&text[1], "{\"oneOf\":[%s,%s]}", values, others) > 0);
    assert_true(asprintf(&text[2], "{\"allOf\":[%s,%s]}", names, names) > 0);
    char *uses = repeated("", "{\"$ref\":\"#/$defs/a\",\"type\":\"object\"},", 6000, "null");
    memcpy(strstr(uses, ",null"), "     ", 5);
    assert_true(asprintf(&text[3], "{\"anyOf\":[%s],\"$defs\":{\"a\":{\"x-%s\":1,\"anyOf\":[{\"type\":\"object\"},{}]}}}", uses, name) > 0);
    char *refs = repeated("", "{\"$ref\":\"#/$defs/a\",\"type\":\"object\",\"properties\":{\"t\":{\"const\":0000}},\"required\":[\"t\"]},", 100, "null"), *at = refs;
    for (unsigned i = 0; (at = strstr(at, "0000")); i++) memcpy(at, (const char[]){'1', '0', (char)('0' + i / 10 % 10), (char)('0' + i % 10)}, 4);
    memcpy(strstr(refs, ",null"), "     ", 5);
    assert_true(asprintf(&text[4], "{\"oneOf\":[%s],\"$defs\":{\"a\":%s}}", refs, names) > 0);
    text[5] = repeated("{\"prefixItems\":[true", ",true", 15000, "]}");
    for (unsigned i = 0; i < 6; i++) {
        struct grammar *g;
        gllm_error err = {0};
        const double start = cpu_ms();
        const gllm_status status = json_schema_read(&g, text[i], strlen(text[i]), &err);
        print_message("long %u: %.0f ms, %s\n", i, cpu_ms() - start, status == GLLM_OK ? "a grammar" : err.message);
        if (status == GLLM_OK ? i != 5 : i == 5) fail_msg("long %u: %s", i, status == GLLM_OK ? "expected to be refused" : err.message);
        assert_true(cpu_ms() - start < 5000);
        grammar_close(g);
        free(text[i]);
    }
    free(values), free(others), free(name), free(names), free(uses), free(refs);
}

/* Large and deep schemas end soon, with a grammar or one line. */
static void test_hostile(void **state) {
    (void)state;
    static const struct {
        const char *open, *inner, *close;
        unsigned n;
    } CASES[] = {
        {"{\"items\":", "{}", "}", 50},
        {"{\"items\":", "{}", "}", 1500},
        {"{\"anyOf\":[{\"type\":\"null\"},", "{\"type\":\"string\"}", "]}", 50},
        {"{\"allOf\":[{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"},{\"type\":\"null\"}]},", "{}", "]}", 30},
        {"{\"allOf\":[{\"anyOf\":[{\"minimum\":1},{\"maximum\":2},{\"minimum\":3}]},", "{}", "]}", 30},
        {"{\"enum\":[", "1", "]}", 1},
        {"{\"const\":", "[[[[]]]]", "}", 1},
        {"{\"pattern\":\"^(((((a{9}){9}){9}){9}){9}){9}$\",\"description\":\"", "", "\"}", 1},
        {"{\"oneOf\":[{\"oneOf\":[{\"$ref\":\"#\"},", "{\"type\":\"null\"}", "]},{\"type\":\"string\"}]}", 1},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *text = nested(CASES[i].open, CASES[i].inner, CASES[i].close, CASES[i].n);
        struct grammar *g;
        gllm_error err = {0};
        const double start = cpu_ms();
        const gllm_status status = json_schema_read(&g, text, strlen(text), &err);
        print_message("hostile %u: %.0f ms, %s\n", i, cpu_ms() - start, status == GLLM_OK ? "a grammar" : err.message);
        assert_true(cpu_ms() - start < 10000);
        if (status != GLLM_OK) assert_true(err.message[0] && !strchr(err.message, '\n'));
        grammar_close(g);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens), cmocka_unit_test(test_form), cmocka_unit_test(test_refusals), cmocka_unit_test(test_hostile), cmocka_unit_test(test_long_tuple), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
