/* test_grammar.c - GBNF: what is accepted, refused and how it is told; the matcher byte by byte; hostile grammars. */
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

#include "text/gbnf.h"
#include "text/matcher.h"

static struct grammar *read(const char *text) {
    struct grammar *g;
    gllm_error err = {0};
    if (gbnf_read(&g, text, strlen(text), &err) != GLLM_OK) fail_msg("%s\n%s", text, err.message);
    return g;
}

enum verdict { NO, PREFIX, YES };
static const char *const VERDICTS[] = {"refused", "a beginning", "whole"};

/* The whole text; also byte by byte with a trim at each, which must not matter. */
static enum verdict match(const struct grammar *g, const char *text, size_t len) {
    struct matcher *m;
    gllm_error err = {0};
    uint32_t whole, at = MATCHER_START;
    assert_int_equal(matcher_open(&m, g, &err), GLLM_OK);
    if (matcher_accept(m, MATCHER_START, text, len, &whole, &err) != GLLM_OK) fail_msg("%s", err.message);
    const enum verdict v = whole == MATCHER_DEAD ? NO : m->states[whole].can_end ? YES : PREFIX;
    for (size_t i = 0; i < len; i++) {
        if (matcher_accept(m, at, text + i, 1, &at, &err) != GLLM_OK) fail_msg("%s", err.message);
        matcher_trim(m, &at);
    }
    assert_int_equal(at, whole);
    matcher_close(m);
    return v;
}

static void test_accepts(void **state) {
    (void)state;
    static const struct {
        const char *grammar, *yes, *prefix, *no; /* texts separated by | ; "-" stands for the empty text */
    } CASES[] = {
        {"root ::= \"abc\"", "abc", "-|a|ab", "b|abcd|abd"},
        {"root ::= \"a\" | \"b\" \"c\"", "a|bc", "-|b", "c|ac|ab"},
        {"root ::= \"a\"* \"b\"", "b|ab|aaab", "-|a|aa", "ba|c"},
        {"root ::= \"ab\"+", "ab|abab", "-|a|aba", "b|abb"},
        {"root ::= \"a\"? \"b\"?", "-|a|b|ab", "", "ba|aa|c"},
        {"root ::= \"a\"{3}", "aaa", "-|a|aa", "aaaa"},
        {"root ::= \"a\"{2,}", "aa|aaaaaa", "-|a", "b"},
        {"root ::= \"a\"{2,4}", "aa|aaa|aaaa", "-|a", "aaaaa"},
        {"root ::= \"a\"{0,2} \"b\"{ 1 , 2 }", "b|ab|aabb", "-|a|aa", "aaab|bbb"},
        {"root ::= (\"a\" | \"b\"){2} \"c\"", "abc|bbc", "a|ab", "ac|abb"},
        {"root ::= [a-cx]+", "a|cx|xb", "-", "d|ad"},
        {"root ::= [^a-c]", "d|\xC3\xA9|\xF0\x9F\x98\x80", "-|\xC3|\xF0\x9F|\xE4\xB8", "a|dd|\xFF|\xC0|\xED\xA0|\xF4\x90|\xE0\x80|\x80"},
        {"root ::= .", "a|\n|\xEF\xBF\xBF", "-|\xE4", "ab|\x80"},
        {"root ::= [\xD0\xB0-\xD1\x8F]+", "\xD0\xB0|\xD0\xBF\xD1\x80\xD1\x8F", "\xD0|\xD0\xBF\xD1", "\xD0\x90|a|\xD1\x90"},
        {"root ::= [\\u4e00-\\u9fff] [\\U0001F600-\\U0001F64F] [\\x41]", "\xE4\xB8\xAD\xF0\x9F\x98\x80""A", "\xE4\xB8\xAD\xF0\x9F\x98", "\xE4\xB8\xAD\xF0\x9F\x99\x90|B"},
        {"root ::= \"\\n\\t\\r\\\\\\\"\\[\\]\\x7e\\u00e9\\U0001F600\"", "\n\t\r\\\"[]~\xC3\xA9\xF0\x9F\x98\x80", "\n\t", "n"},
        {"root ::= [\\]\\[\\\\\\\"-]+", "[]\\\"-", "-", "a"},
        {"root ::= [-a]+ [a-]", "-a-|aa", "a", "b"},
        {"root ::= a b\na ::= \"x\" | \"y\" # one\n# two\n\nb ::= (\n  \"1\" # three\n  | \"2\"\n)\n", "x1|y2", "x|-", "1|x3"},
        {"root ::= \"a\" |\n  \"b\" |\n\n  \"c\"\n", "a|b|c", "-", "d"},
        {"root ::=\n  \"a\"\r\nx ::= \"b\"", "a", "-", "b"},
        {"root ::= under_score-1 Name\nunder_score-1 ::= \"u\"\nName ::= \"N\"", "uN", "u", "N"},
        {"root ::= \"(\" root \")\" | \"\"", "-|()|((()))", "(|(()", ")|())"},
        {"root ::= e\ne ::= t (\"+\" t)*\nt ::= f (\"*\" f)*\nf ::= \"(\" e \")\" | [0-9]+", "1|1+2*3|(1+2)*(3)", "-|1+|(1", "+1|1)|)"},
        {"root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"d\"", "d|adb|adc|aaadbcb|aaaaaaaaaaaaaaaadbcbcbcbcbcbcbcbc", "a|aad", "b|adbb"},
        {"root ::= x{20}\nx ::= a | b | \"\"\na ::= \"q\"\nb ::= \"q\"", "-|q|qqqqqqqqqqqqqqqqqqqq", "", "qqqqqqqqqqqqqqqqqqqqq"},
        {"root ::= (\"\"*)* \"a\"", "a", "-", "b"},
        {"root ::= ((\"a\"?)*)+ \"b\"", "b|aab", "-|a", "c"},
        {"root ::= a a a \"x\"\na ::= b | \"\"\nb ::= \"1\"? \"2\"?", "x|1x|12x|121212x|22x", "-|1|12", "12121212x|111 1"},
        {"root ::= ws \"a\" ws\nws ::= [ ] ws | \"\"", "a|  a  ", "-| ", "a b"},
        {"root ::= \"a\" |", "a|-", "", "b"},
        {"root ::= | \"a\"", "a|-", "", "b"},
        {"root ::= ()", "-", "", "a"},
        {"root ::= \"\"", "-", "", "a"},
        {"root ::= \"a\"{0}", "-", "", "a"},
        {"root ::= \"a\"?+*{2}", "-|aa", "", "b"},
        {"root ::= \"a\" \"b\"\nunused ::= \"x\"\n", "ab", "a", "x"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const char *lists[] = {CASES[i].no, CASES[i].prefix, CASES[i].yes};
        struct grammar *g = read(CASES[i].grammar);
        for (unsigned v = 0; v < 3; v++)
            for (const char *s = lists[v]; *s;) {
                const size_t n = strcspn(s, "|");
                const bool empty = n == 1 && *s == '-' && strcmp(CASES[i].grammar, "root ::= [-a]+ [a-]");
                const enum verdict found = match(g, s, empty ? 0 : n);
                if (found != v) fail_msg("%s\n\"%.*s\": found %s, expected %s", CASES[i].grammar, (int)n, s, VERDICTS[found], VERDICTS[v]);
                s += n + (s[n] == '|');
            }
        grammar_close(g);
    }
}

/* Against llama.cpp's grammar sampler (tools/make_gbnf_goldens.py). */
static void test_goldens(void **state) {
    (void)state;
    json_error_t e;
    json_t *root = json_load_file("tests/golden/gbnf.json", 0, &e), *c, *text;
    size_t i, k, n = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        struct grammar *g = read(json_string_value(json_object_get(c, "grammar")));
        json_array_foreach(json_object_get(c, "texts"), k, text) {
            const json_t *s = json_array_get(text, 0);
            const enum verdict expected = (enum verdict)json_integer_value(json_array_get(text, 1)), found = match(g, json_string_value(s), json_string_length(s));
            if (found != expected) fail_msg("%s\n\"%s\": found %s, expected %s", json_string_value(json_object_get(c, "grammar")), json_string_value(s), VERDICTS[found], VERDICTS[expected]);
            n++;
        }
        grammar_close(g);
    }
    assert_true(i > 20 && n > 1000);
    json_decref(root);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const CASES[][2] = {
        {"", "the grammar has no rule \"root\", where it would begin"},
        {"x ::= \"a\"", "the grammar has no rule \"root\", where it would begin"},
        {"root ::= x", "rule \"x\" is called and not defined"},
        {"root ::= root \"a\" | \"b\"", "rule \"root\" begins with itself (left recursion)"},
        {"root ::= a\na ::= b\nb ::= \"\" a | \"x\"", "rule \"a\" begins with itself (left recursion)"},
        {"root ::= a\na ::= e a \"x\" | \"y\"\ne ::= \"z\"?", "rule \"a\" begins with itself (left recursion)"},
        {"root ::= (\"a\"? root)* \"b\"", "rule \"root\" begins with itself (left recursion)"},
        {"root ::= \"a\" x\nx ::= \"b\" x", "rule \"root\" can never end"},
        {"root ::= \"a\" | x\nx ::= \"b\" x", "rule \"x\" can never end"},
        {"root = \"a\"", "grammar 1:6: expected ::="},
        {"root ::= \"a", "grammar 1:12: the grammar ends in the middle of a text or class"},
        {"root ::= [a", "grammar 1:12: the grammar ends in the middle of a text or class"},
        {"root ::= [z-a]", "grammar 1:12: the range ends before it begins"},
        {"root ::= []", "grammar 1:10: the class holds no character"},
        {"root ::= [^\\x00-\\U0010FFFF]", "grammar 1:10: the class holds no character"},
        {"root ::= \"\\q\"", "grammar 1:11: the escape is not known; expected one of \\n \\r \\t \\\\ \\\" \\[ \\] \\x \\u \\U"},
        {"root ::= \"\\x4\"", "grammar 1:14: expected 2 hexadecimal digits"},
        {"root ::= \"\\ud800\"", "grammar 1:11: the escape is no Unicode character"},
        {"root ::= \"\\U00110000\"", "grammar 1:11: the escape is no Unicode character"},
        {"root ::= (\"a\"", "grammar 1:14: a group is not closed: expected )"},
        {"root ::= \"a\")", "grammar 1:13: expected an item, | or the end of the line"},
        {"root ::= * \"a\"", "grammar 1:10: nothing before it to repeat"},
        {"root ::= \"a\"{", "grammar 1:14: expected a number of repetitions"},
        {"root ::= \"a\"{2", "grammar 1:15: expected }"},
        {"root ::= \"a\"{3,2}", "grammar 1:16: the most repetitions are fewer than the least"},
        {"root ::= \"a\"{99999999999}", "grammar 1:14: the number of repetitions is too large"},
        {"root ::= \"\xC3\xA9\" ?? \xC3\xA9", "grammar 1:17: expected an item, | or the end of the line"},
        {"root ::= \"a\"\nroot ::= \"b\"", "grammar 2:1: the rule is defined twice: root"},
        {"root ::= \"a\"\n  | \"b\"", "grammar 2:3: expected a rule's name"},
        {"root ::= <[12]>", "grammar 1:10: token ids in a grammar are not supported"},
        {"root ::= !<think>", "grammar 1:10: token ids in a grammar are not supported"},
        {"root ::= \"a\"????????????", "grammar 1:22: too many repetitions of repetitions"},
        {"root ::= \"a\"{1000000}", "the grammar is too large: with its repetitions written out it has more than 262144 places, at rule \"root\""},
        {"root ::= \"\"{4000000000}", "the grammar is too large: with its repetitions written out it has more than 262144 places, at rule \"root\""},
        {"root ::= (((\"a\"{1000}){1000}){1000}){1000}", "the grammar is too large: with its repetitions written out it has more than 262144 places, at rule \"root\""},
        {"root ::= \xFF", "grammar: byte 9 is not UTF-8 (0xff)"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct grammar *g;
        gllm_error err = {0};
        assert_int_equal(gbnf_read(&g, CASES[i][0], strlen(CASES[i][0]), &err), GLLM_INVALID);
        assert_null(g);
        assert_string_equal(err.message, CASES[i][1]);
    }
}

static double cpu_ms(void) { return (double)clock() * 1e3 / CLOCKS_PER_SEC; } /* of this process: others may be busy */

static char *repeated(const char *before, const char *part, size_t n, const char *after) {
    const size_t len = strlen(part);
    char *s = malloc(strlen(before) + n * len + strlen(after) + 1), *p = s;
    assert_non_null(s);
    p = stpcpy(p, before);
    for (size_t i = 0; i < n; i++) p = stpcpy(p, part);
    stpcpy(p, after);
    return s;
}

/* Whatever the grammar, an answer or an error within a second or so. */
static void test_hostile(void **state) {
    (void)state;
    static const struct {
        const char *before, *part, *after;
        size_t n;
    } CASES[] = {
        {"root ::= ", "(", "", 100000},
        {"root ::= ", "(\"a\" ", "", 49},
        {"root ::= ", "\"a\"? ", "", 20000},
        {"root ::= x\nx ::= ", "\"a\"* ", "", 20000},
        {"root ::= (", "\"\" | ", "\"a\"){200}", 500},
        {"root ::= ((\"a\"?){400}){400}", "", "", 0},
        {"root ::= ((\"a\"*){400}){400}", "", "", 0},
        {"root ::= \"a\" root \"b\" | \"a\" root root \"c\" | \"a\"", "", "", 0},
        {"root ::= \"a\" s\ns ::= \"a\" s s | \"\"", "", "", 0},
        {"root ::= ", "[^\\u1234-\\u4321]", "", 5000},
        {"root ::= [", "\\u1000", "]", 30000},
        {"root ::= \"", "\\x61", "\"", 200000},
        {"root ::= ", "a|", "\"a\"\na ::= \"a\"", 100000},
        {"root ::= a0\n", "a0 ::= a0\n", "", 1000},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *text = repeated(CASES[i].before, CASES[i].part, CASES[i].n, CASES[i].after);
        struct grammar *g = NULL;
        struct matcher *m = NULL;
        gllm_error err = {0};
        const double start = cpu_ms();
        gllm_status status = gbnf_read(&g, text, strlen(text), &err);
        if (status == GLLM_OK) status = matcher_open(&m, g, &err);
        uint32_t at = MATCHER_START;
        for (unsigned k = 0; status == GLLM_OK && k < 300 && at != MATCHER_DEAD; k++) {
            matcher_trim(m, &at);
            status = matcher_accept(m, at, "a", 1, &at, &err);
            if (cpu_ms() - start > 2000) break; /* bounded for each step; enough seen */
        }
        if (status != GLLM_OK) assert_true(err.message[0] && !strchr(err.message, '\n'));
        print_message("hostile %2u: %6.0f ms, %s\n", i, cpu_ms() - start, status == GLLM_OK ? "matched" : err.message);
        assert_true(cpu_ms() - start < 20000);
        matcher_close(m);
        grammar_close(g);
        free(text);
    }
}

static void test_unused_rules_are_named(void **state) {
    (void)state;
    struct grammar *g = read("root ::= \"a\"\nb ::= c\nc ::= \"d\"\n");
    assert_int_equal(g->n_unused, 2);
    assert_string_equal(g->unused[0], "b");
    assert_string_equal(g->unused[1], "c");
    grammar_close(g);
}

/* A long text of a nested grammar: memory stays bounded by what is open, and trimming keeps the way. */
static void test_long_text(void **state) {
    (void)state;
    struct grammar *g = read("root ::= item*\nitem ::= \"(\" item* \")\" | [a-z] [0-9]{0,300} \";\"");
    struct matcher *m;
    gllm_error err = {0};
    uint32_t at = MATCHER_START, seed = 1, depth = 0, trims = 0;
    assert_int_equal(matcher_open(&m, g, &err), GLLM_OK);
    for (unsigned i = 0; i < 60000; i++) {
        seed = seed * 1664525u + 1013904223u;
        char text[400];
        size_t n = 0;
        const unsigned what = seed >> 28;
        if (what < 6 && depth < 400) text[n++] = '(', depth++;
        else if (what < 10 && depth) text[n++] = ')', depth--;
        else {
            text[n++] = 'q';
            for (unsigned k = (seed >> 16) % 300; k; k--) text[n++] = '7';
            text[n++] = ';';
        }
        trims += matcher_trim(m, &at);
        assert_int_equal(matcher_accept(m, at, text, n, &at, &err), GLLM_OK);
        assert_int_not_equal(at, MATCHER_DEAD);
        assert_int_equal(m->states[at].can_end, depth == 0);
    }
    assert_true(trims > 0);
    matcher_close(m);
    grammar_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepts), cmocka_unit_test(test_goldens), cmocka_unit_test(test_refusals),  cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_unused_rules_are_named), cmocka_unit_test(test_long_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
