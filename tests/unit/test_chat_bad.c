/* test_chat_bad.c - templates that are wrong or hostile: the right status, one line with the template's line that says what is wrong, and an end
 * in less than a second and 64 MiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "text/chat.h"

static gllm_status run(const char *template, size_t len, const char *json, gllm_error *err) {
    struct jinja *t;
    struct jinja_text out = {0};
    json_t *v = NULL;
    *err = (gllm_error){0};
    gllm_status status = jinja_open(&t, template, len, "chat template", err);
    if (status == GLLM_OK && json) assert_int_equal(json_parse_values(json, strlen(json), "input", &v, err), GLLM_OK);
    const struct jinja_var var = {"x", v, false};
    const struct jinja_input in = {.vars = &var, .n_vars = v ? 1 : 0};
    if (status == GLLM_OK) status = jinja_render(t, &in, &out, err);
    if (status != GLLM_OK && (out.data || out.caller || strchr(err->message, '\n') || strncmp(err->message, "chat template: ", 15))) fail_msg("not one clear line: %s", err->message);
    jinja_text_free(&out);
    jinja_close(t);
    json_decref(v);
    return status;
}

static void test_messages(void **state) {
    static const struct {
        const char *template;
        gllm_status status;
        const char *says;
    } BAD[] = {
        {"a\nb{{ x", GLLM_FORMAT, "line 2: found {{ without its }}"},
        {"\n\n{% if x", GLLM_FORMAT, "line 3: found {% without its %}"},
        {"{# a", GLLM_FORMAT, "line 1: found {# without its #}"},
        {"a\n{% raw %}", GLLM_FORMAT, "line 2: found {% raw %} without its {% endraw %}"},
        {"{{ 'a }}", GLLM_FORMAT, "line 1: found a string without its closing quote"},
        {"{{ '\\x4' }}", GLLM_FORMAT, "line 1: found a string with a malformed \\ escape"},
        {"{{ 99999999999999999999 }}", GLLM_FORMAT, "line 1: found an integer of more than 64 bits"},
        {"{{ a ? b }}", GLLM_FORMAT, "line 1: unexpected character \"?\""},
        {"{{ \xC3\xA9\xE2\x80\x9C }}", GLLM_FORMAT, "line 1: unexpected character \"\xE2\x80\x9C\""},
        {"{{ (1] }}", GLLM_FORMAT, "line 1: unexpected \"]\""},
        {"{{ }}", GLLM_FORMAT, "line 1: found \"}}\", expected an expression"},
        {"{{ 1 + }}", GLLM_FORMAT, "line 1: found \"}}\", expected an expression"},
        {"{{ 1 2 }}", GLLM_FORMAT, "line 1: found a number, expected \"}}\""},
        {"{{ x. }}", GLLM_FORMAT, "line 1: found \"}}\", expected a name"},
        {"{{ x[1, 2] }}", GLLM_FORMAT, "line 1: found a subscript of several parts, expected one"},
        {"{{ {'a'} }}", GLLM_FORMAT, "line 1: found \"}\", expected \":\""},
        {"{{ f(a=1, 2) }}", GLLM_FORMAT, "line 1: an argument stands where a call cannot have it"},
        {"{{ x is a is b }}", GLLM_FORMAT, "line 1: found a second \"is\", expected one test"},
        {"{% if x %}\na", GLLM_FORMAT, "line 2: found the end of the template, expected {% endif %}"},
        {"{% for a in b %}", GLLM_FORMAT, "line 1: found the end of the template, expected {% endfor %}"},
        {"{% if x %}{% endfor %}", GLLM_FORMAT, "line 1: found the tag \"endfor\", expected one that jinja knows here"},
        {"{% foo %}", GLLM_FORMAT, "line 1: found the tag \"foo\", expected one that jinja knows here"},
        {"{% for 1 in b %}{% endfor %}", GLLM_FORMAT, "line 1: found an expression, expected a name to assign to"},
        {"{% for a b %}{% endfor %}", GLLM_FORMAT, "line 1: found \"b\", expected \"in\""},
        {"{% set a.b.c = 1 %}", GLLM_FORMAT, "line 1: found \".\", expected \"%}\""},
        {"{% macro m(a=1, b) %}{% endmacro %}", GLLM_FORMAT, "line 1: found a parameter without a default behind one that has one"},
        {"{% call x %}{% endcall %}", GLLM_FORMAT, "expected a call in front of it"},
        {"{% break %}", GLLM_FORMAT, "line 1: found a break outside a loop"},
        {"{% for a in b %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", GLLM_FORMAT, "line 1: found a continue outside a loop"},
        {"{% include 'a' %}", GLLM_UNSUPPORTED, "line 1: include is not supported in a chat template"},
        {"{% extends 'a' %}", GLLM_UNSUPPORTED, "line 1: extends is not supported"},
        {"{% block a %}{% endblock %}", GLLM_UNSUPPORTED, "line 1: block is not supported"},
        {"{% for a in b recursive %}{% endfor %}", GLLM_UNSUPPORTED, "line 1: a recursive loop is not supported"},
        {"a\n\n{{ y.z.q }}", GLLM_INVALID, "line 3: \"y\" is undefined"},
        {"{{ none.a.b }}", GLLM_INVALID, "line 1: \"a\" is undefined"},
        {"{{ y() }}", GLLM_INVALID, "line 1: \"y\" is undefined"},
        {"{{ 1 + y }}", GLLM_INVALID, "line 1: \"y\" is undefined"},
        {"{{ 'a' + 1 }}", GLLM_INVALID, "line 1: + is not supported between str and int"},
        {"{{ 1 < 'a' }}", GLLM_INVALID, "line 1: < is not supported between int and str"},
        {"{{ 1 // 0 }}", GLLM_INVALID, "line 1: division by zero"},
        {"{{ 9223372036854775807 + 1 }}", GLLM_INVALID, "line 1: an integer exceeds 64 bits"},
        {"{{ 5|length }}", GLLM_INVALID, "line 1: a int has no length"},
        {"{% for a in 5 %}{% endfor %}", GLLM_INVALID, "line 1: a int cannot be iterated"},
        {"{% set a, b = [1] %}", GLLM_INVALID, "line 1: found 1 values, expected 2 to assign"},
        {"{{ 'a'|nope }}", GLLM_INVALID, "line 1: found the filter \"nope\", which does not exist"},
        {"{{ 1 is nope }}", GLLM_INVALID, "line 1: found the test \"nope\", which does not exist"},
        {"{{ 'a'.nope() }}", GLLM_INVALID, "line 1: \"nope\" is undefined"},
        {"{{ [1].append(2) }}", GLLM_INVALID, "line 1: \"append\" is undefined"},
        {"{{ 'a'.split(1) }}", GLLM_INVALID, "line 1: split: found int, expected a str"},
        {"{{ 'a'.upper(1) }}", GLLM_INVALID, "line 1: upper: found 1 arguments, expected at most 0"},
        {"{{ 'a'|trim(foo=1) }}", GLLM_INVALID, "line 1: trim: found the argument \"foo\", which it does not have"},
        {"{% macro m() %}{% endmacro %}\n{{ m(1) }}", GLLM_INVALID, "line 2: macro \"m\": found 1 arguments, expected at most 0"},
        {"{{ y|tojson }}", GLLM_INVALID, "line 1: tojson: a undefined cannot be written as JSON"},
        {"{% set y.a = 1 %}", GLLM_INVALID, "line 1: cannot assign an attribute of a undefined, only of a namespace"},
        {"{{ range(0, 1000000) }}", GLLM_INVALID, "line 1: range: found about 1000000 numbers, expected at most 100000"},
        {"a\n{{ raise_exception('Roles must\nalternate') }}", GLLM_INVALID, "line 2: Roles must\\x0aalternate"},
        {"{{ (-9.25e18)|int }}", GLLM_INVALID, "line 1: int: a number exceeds 64 bits"},
        {"{{ '%\\x00' % 5 }}", GLLM_INVALID, "line 1: found the format %"},
        {"{{ '%d' % 9223372036854775807 }}", GLLM_OK, ""},
        {"{{ strftime_now('%Q') }}", GLLM_INVALID, "line 1: strftime_now: found %Q, expected a directive of strftime"},
        {"\xFF", GLLM_FORMAT, "byte 0 is not UTF-8 (0xff)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        gllm_error err;
        gllm_status status = run(BAD[i].template, strlen(BAD[i].template), NULL, &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says)) fail_msg("%s: expected %s \"%s\", found %s \"%s\"", BAD[i].template, gllm_status_name(BAD[i].status), BAD[i].says, gllm_status_name(status), err.message);
    }
}

/* `count` times `part` between two texts; the caller frees. */
static char *repeated(const char *before, const char *part, size_t count, const char *after) {
    const size_t n = strlen(part);
    char *s = malloc(strlen(before) + n * count + strlen(after) + 1), *p = s;
    assert_non_null(s);
    p += strlen(strcpy(p, before));
    for (size_t i = 0; i < count; i++, p += n) memcpy(p, part, n);
    strcpy(p, after);
    return s;
}

static long peak_kib(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 20, MEASURES_MEMORY = 0 };
#else
enum { SLOWER = 1, MEASURES_MEMORY = 1 };
#endif

/* Refused or not, it ends soon and small. */
static void check_bounds(const char *template, const char *json, bool refused) {
    gllm_error err;
    const clock_t start = clock(); /* of this process, whatever else runs */
    const long before = peak_kib();
    gllm_status status = run(template, strlen(template), json, &err);
    const double ms = (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC;
    if (refused && status == GLLM_OK) fail_msg("%.200s: expected to be refused", template);
    if (ms > 1000 * SLOWER) fail_msg("%.200s: took %.0f ms", template, ms);
    if (MEASURES_MEMORY && peak_kib() - before > 64 << 10) fail_msg("%.200s: took %ld KiB", template, peak_kib() - before);
}

static void test_hostile(void **state) {
    static const char *const TEMPLATES[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000)|list|length }}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for a in range(100000) %}{% set ns.s = ns.s ~ 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' %}{% endfor %}{{ ns.s|length }}",
        "{{ 'x' * 1000000000 }}", "{{ [0] * 1000000000 }}", "{{ '%999999999d' % 1 }}", "{{ '%s' * 100000 % range(3) }}", "{{ 'a'.ljust(1000000000) }}", "{{ 'a'|center(1000000000) }}",
        "{{ 'a\\nb'|indent(1000000000) }}", "{{ [1]|tojson(indent=1000000000) }}", "{{ ('x' * 1000000).replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}", "{{ ('x' * 1000000).replace('', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", "{% macro m() %}{% call m() %}{% endcall %}{{ caller() }}{% endmacro %}{% call m() %}{% endcall %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}", "{% set ns = namespace(l=[]) %}{% for a in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[]) %}{% for a in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l|tojson }}", "{% set ns = namespace(l=[], m=[]) %}{% for a in range(1000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}{{ ns.l < ns.m }}",
        "{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}", "{% set ns = namespace(l=(1,)) %}{% for a in range(100) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ {ns.l: 1} }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a == [ns.a] }}{{ ns.a }}", "{{ 2 ** 63 }}", "{{ 10 ** 400 }}", "{{ 2.0 ** 5000 }}", "{{ (range(100000)|list) * 1000 }}",
        "{% for a in range(100000) %}{{ ('x' * 10000)|upper|length }}{% endfor %}", "{% for a in range(100000) %}{{ 'x' * 10000 == 'x' * 10000 }}{% endfor %}", "{% for a in range(100000) %}{{ ('a' * 20000).find('b') }}{% endfor %}", "{% set s = 'a' * 200000 %}{{ s.rfind('a' * 100000 + 'b') }}",
        "{% set s = 'a' * 100000 %}{% for a in range(100000) %}{{ ('a' * 50000 + 'b') in s }}{% endfor %}", "{% set s = 'a ' * 100000 %}{% for a in range(1000) %}{{ s.split()|length }}{% endfor %}", "{{ range(100000)|unique|list|length }}", "{{ range(100000)|sort|list|length }}", "{{ (range(100000)|list)|groupby('x')|list }}",
        "{% set l = range(100000)|list %}{% for a in l %}{{ -1 in l }}{% endfor %}", "{% set d = dict(range(50000)|batch(2)|list) %}{% for a in range(50000) %}{{ d[a] }}{% endfor %}", "{{ range(100000)|map('string')|join(', ' * 10000) }}", "{% for a in range(100000) %}{% set x %}{{ 'x' * 1000 }}{% endset %}{% endfor %}",
        "{% set s = 'x' * 1000000 %}{% for a in range(100000) %}{{ s[500000] }}{% endfor %}", "{% set s = 'x' * 1000000 %}{% for a in range(100000) %}{{ s[1:] }}{% endfor %}", "{% set s = 'x' * 100000 %}{% for a in range(100000) %}{% set q = s|reverse %}{% endfor %}", "{{ 'x'|slice(1000000000)|list }}", "{{ [1]|batch(1000000000, 0)|list }}",
        "{% for a in range(100000) %}{% with b = 1 %}{% endwith %}{% macro m() %}{% endmacro %}{{ m() }}{% endfor %}", "{% set s = ' ' * 1000000 %}{% for a in range(100000) %}{% set q = s.strip() %}{% endfor %}", "{% set k = 'a' * 200000 %}{% set d = {k ~ 1: 1, k ~ 2: 2, k ~ 3: 3, k ~ 4: 4} %}{% set q = k ~ 5 %}{% for a in range(100000) %}{{ d[q] }}{% endfor %}",
        "{% set s = 'a' * 200000 ~ 1 %}{% set t = 'a' * 200000 ~ 2 %}{% for a in range(100000) %}{{ s == t }}{{ s == t }}{{ s == t }}{{ s == t }}{% endfor %}",
        "{% set s = 'a' * 400000 %}{% for a in range(100000) %}{% set q = s.startswith(s) %}{% set q = s.endswith((s, s, s)) %}{% endfor %}",
        "{% set s = 'a' * 400000 %}{% for a in range(100000) %}{% set q = s.removeprefix(s) %}{% set q = s.removesuffix(s) %}{% endfor %}",
        "{% set s = 'a' * 100000 %}{% for a in range(10000) %}{% set q = s.strip('bcdefghijklmnopqrstuvwxyz' * 1000 + 'a') %}{% endfor %}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof TEMPLATES / sizeof *TEMPLATES; i++) check_bounds(TEMPLATES[i], NULL, false);
    static const struct {
        const char *before, *part, *after;
        bool refused;
    } LONG[] = {{"{{ ", "(", "", true}, {"{{ ", "[", "", true}, {"{{ ", "-", "1 }}", true}, {"{{ ", "not ", "1 }}", true}, {"{{ 1", "+1", " }}", true}, {"{{ 1", "~1", " }}", false}, {"{{ [1", ",1", "] }}", false}, {"{{ x", ".x", " }}", true},
                {"{{ x", "|x", " }}", true}, {"{{ x", "[0]", " }}", true}, {"{{ 1", " if 1 else 1", " }}", true}, {"{{ 1", " and 1", " }}", true}, {"{{ 1", " == 1", " }}", false}, {"", "{% if 1 %}", "", true}, {"", "{% for x in y %}", "", true}, {"{% if 0 %}", "{% elif 0 %}", "{% endif %}", false},
                {"", "{", "", false}, {"", "{{", "", true}, {"", "{#", "", true}, {"", "{% raw %}", "", true}, {"{{ '", "\\", "' }}", false}, {"{{ \"", "\\u0041", "\" }}", false}, {"{{ 1", "0", " }}", true}, {"{{ ", "'a'", " }}", false}, {"{{ {", "1:1,", "} }}", false}, {"", "a\n", "", false},
                {"{{ x(", "a=1,", ") }}", true}, {"{% macro m(", "a,", "b) %}{% endmacro %}{{ m() }}", false}, {"", "{{ '' }}\n", "", false}, {"", " {%- set a = 1 -%} ", "", false}};
    for (size_t i = 0; i < sizeof LONG / sizeof *LONG; i++) {
        char *t = repeated(LONG[i].before, LONG[i].part, (JINJA_MAX_SOURCE - 100) / strlen(LONG[i].part), LONG[i].after);
        check_bounds(t, NULL, LONG[i].refused);
        free(t);
    }
    char *t = repeated("", "x", JINJA_MAX_SOURCE + 1, "");
    check_bounds(t, NULL, true);
    free(t);
    char *chain = repeated("", "|string", 150, " is defined"); /* a long chain of long chains */
    t = repeated("{{ x", chain, 100, " }}");
    check_bounds(t, NULL, true);
    free(chain);
    free(t);
    t = repeated("", "[", 1000, "");
    char *json = repeated(t, "]", 1000, "");
    check_bounds("{{ x }}", json, true);
    free(json);
    free(t);
}

static void test_chat_errors(void **state) {
    static const struct {
        const char *messages, *template, *says;
        bool final;
        gllm_status status;
    } BAD[] = {
        {"[{\"role\":\"user\",\"content\":\"a\"}]", NULL, "no chat template", false, GLLM_UNSUPPORTED}, {"[]", "x", "found no messages", false, GLLM_INVALID},
        {"[5]", "x", "message 0: found a number, expected an object", false, GLLM_INVALID}, {"[{\"content\":\"a\"}]", "x", "message 0: role: found nothing, expected a string", false, GLLM_INVALID},
        {"[{\"role\":null}]", "x", "message 0: role: found null", false, GLLM_INVALID}, {"[{\"role\":\"user\",\"content\":\"a\"}]", "x", "does not show the last message", true, GLLM_INVALID},
        {"[{\"role\":\"user\"}]", "x", "message 0: found no text to continue", true, GLLM_INVALID}, {"[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]", "x", "message 0: found no text to continue", true, GLLM_INVALID},
        {"[{\"role\":\"user\",\"content\":\"a\"}]", "{{ messages[0]['content'] + missing }}", "chat template: line 1: \"missing\" is undefined", false, GLLM_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        json_t *messages;
        gllm_error err = {0};
        struct jinja_text out;
        const struct chat_source source = {0};
        assert_int_equal(json_parse_values(BAD[i].messages, strlen(BAD[i].messages), "m", &messages, &err), GLLM_OK);
        const struct chat_request r = {.messages = messages, .template = BAD[i].template, .template_len = BAD[i].template ? strlen(BAD[i].template) : 0, .continue_final = BAD[i].final};
        gllm_status status = chat_render(&source, &r, &out, &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says)) fail_msg("case %zu: expected \"%s\", found %s \"%s\"", i, BAD[i].says, gllm_status_name(status), err.message);
        json_decref(messages);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile), cmocka_unit_test(test_messages), cmocka_unit_test(test_chat_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
