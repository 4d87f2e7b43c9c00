/* test_chat_tokens.c - where the bytes of a rendered text came from, and that what came from the caller is never read as a special token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/chat.h"
#include "text/tokenizer.h"

/* Renders with the caller's bytes between « and », for comparing. */
static char *marked(const char *template, const char *json) {
    struct jinja *t;
    struct jinja_text out;
    gllm_error err = {0};
    json_t *root, *value;
    const char *key;
    struct jinja_var vars[8];
    struct jinja_input in = {.vars = vars, .now = {.tm_mday = 1}};
    assert_int_equal(json_parse_values(json, strlen(json), "input", &root, &err), GLLM_OK);
    json_object_foreach(root, key, value) vars[in.n_vars++] = (struct jinja_var){key, value, key[0] == '_'};
    if (jinja_open(&t, template, strlen(template), "t", &err) != GLLM_OK || jinja_render(t, &in, &out, &err) != GLLM_OK) fail_msg("%s: %s", template, err.message);
    char *s = calloc(1, out.len + 8 * out.n_caller + 8), *p = s;
    size_t at = 0;
    assert_non_null(s);
    for (size_t i = 0; i < out.n_caller; i++) {
        p += sprintf(p, "%.*s<", (int)(out.caller[i].at - at), out.data + at);
        p += sprintf(p, "%.*s>", (int)out.caller[i].len, out.data + out.caller[i].at);
        at = out.caller[i].at + out.caller[i].len;
    }
    strcpy(p, out.data + at);
    jinja_text_free(&out);
    jinja_close(t);
    json_decref(root);
    return s;
}

static void test_whose_bytes(void **state) {
    static const char INPUT[] = "{\"s\":\"Abc\",\"b\":\" x y \",\"n\":12,\"f\":1.5,\"t\":true,\"l\":[\"p\",\"q\"],\"d\":{\"k\":\"v\"},\"_own\":\"own\"}";
    static const struct {
        const char *template, *expected;
    } CASES[] = {
        {"a{{ s }}b", "a<Abc>b"}, {"{{ 'a' + s + 'b' }}", "a<Abc>b"}, {"{{ 'a' ~ n ~ f ~ t ~ none }}", "a<121.5True>None"}, {"{{ _own }}{{ 'lit' }}{{ 5 }}", "ownlit5"}, {"{{ n + 1 }}{{ 1 + 1 }}", "<13>2"},
        {"{{ s[1:] }}{{ s[0] }}{{ 'xyz'[1:] }}", "<bcA>yz"}, {"{{ ('a' + s + 'b')[2:-1] }}", "<bc>"}, {"{{ ('a' + s + 'b')[::-1] }}", "b<cbA>a"}, {"{{ (s + 'z')|upper }}", "<ABC>Z"}, {"{{ ('z' + s)|lower|capitalize }}", "Z<abc>"},
        {"{{ b|trim }}{{ b.strip() }}", "<x yx y>"}, {"{{ s.replace('b', '-') }}", "<A>-<c>"}, {"{{ 'a-b'.replace('-', s) }}", "a<Abc>b"}, {"{{ l|join(',') }}", "<p>,<q>"}, {"{{ ['u', s]|join(n) }}", "u<12Abc>"}, {"{{ ','.join(l) }}", "<p>,<q>"},
        {"{{ s.split('b')|join('+') }}", "<A>+<c>"}, {"{{ d|tojson }}", "<{\"k\": \"v\"}>"}, {"{{ {'a': s, 'b': 1}|tojson }}", "{\"a\": <\"Abc\">, \"b\": 1}"}, {"{{ [s, 'x'] }}", "[<'Abc'>, 'x']"}, {"{{ l|tojson(indent=1) }}", "<[\n \"p\",\n \"q\"\n]>"},
        {"{{ '%s-%s' % (s, 'x') }}", "<Abc>-x"}, {"{{ '{}-{}'.format('x', s) }}", "x-<Abc>"}, {"{{ 'a<' + s|escape }}", "a&lt;<Abc>"}, {"{{ s * 2 }}", "<AbcAbc>"}, {"{{ (s ~ '\n' ~ 'z')|indent(2) }}", "<Abc>\n  z"}, {"{{ s|reverse }}", "<cbA>"},
        {"{% for c in s %}[{{ c }}]{% endfor %}", "[<A>][<b>][<c>]"}, {"{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", "<k>=<v>"}, {"{% set x = s %}{% set y %}a{{ x }}{% endset %}{{ y }}", "a<Abc>"}, {"{% macro m(x) %}({{ x }}){% endmacro %}{{ m(s) }}{{ m('q') }}", "(<Abc>)(q)"},
        {"{% filter upper %}a{{ s }}{% endfilter %}", "A<ABC>"}, {"{% set ns = namespace(x='a') %}{% set ns.x = ns.x + s %}{% set ns.x = ns.x + 'b' %}{{ ns.x }}", "a<Abc>b"}, {"{{ s if t else 'x' }}{{ 'x' if not t else 'y' }}", "<Abc>y"}, {"{{ s or 'x' }}{{ '' or s }}", "<AbcAbc>"},
        {"{{ missing|default(s) }}{{ s|default('x') }}", "<AbcAbc>"}, {"{{ l|length }}{{ s|length }}", "<23>"}, {"{{ n|string + 'a' }}{{ '7'|int }}", "<12>a7"}, {"{{ s == 'Abc' }}{{ 'a' in s }}", "TrueFalse"}, {"{{ strftime_now('%d') }}{{ strftime_now(s ~ '%d') }}", "01<Abc>01"},
        {"{{ l|map('upper')|list }}", "<['P', 'Q']>"}, {"{{ l|sort(reverse=true)|first }}", "<q>"}, {"{{ (s + 'x').partition('c')|join('.') }}", "<Ab>.<c>.x"}, {"{{ '<|' + 'user' + '|>' + s }}", "<|user|><Abc>"}, {"{{ s|title }}{{ 'ab'|title }}", "<Abc>Ab"}, {"{{ 'ab'.center(6, s[0]) }}", "<AA>ab<AA>"},
        {"{{ {'k': '!'}[d.keys()|first] }}", "!"}, {"{{ d }}", "<{'k': 'v'}>"}, {"{{ range(n)|last }}", "<11>"}, {"{{ s.removeprefix('A') ~ s.find('c') }}", "<bc2>"}, {"{{ s|tojson(separators=('a', 'b')) }}", "<\"Abc\">"}, {"{{ loop is defined }}{% for x in l %}{{ loop.index }}{{ x }}{% endfor %}", "False<1p2q>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *found = marked(CASES[i].template, INPUT);
        if (strcmp(found, CASES[i].expected)) fail_msg("%s: expected\n%s\nfound\n%s", CASES[i].template, CASES[i].expected, found);
        free(found);
    }
}

/* ---- tokens ---- */

enum { START = 100, END = 101, THINK = 102, ROLE_USER = 103, BAR = 104 };
/* Characters are tokens; <|im_start|>, <|im_end|>, <|user|> and <|> are special, <think> is added and not special. */
static struct tokenizer *open_tokenizer(const char *normalizer, bool normalized) {
    static char json[16384];
    struct tokenizer *t;
    gllm_error err = {0};
    const char *flag = normalized ? "true" : "false";
    int n = snprintf(json, sizeof json, "{\"normalizer\":%s,\"added_tokens\":[", normalizer);
    static const char *const ADDED[] = {"<|im_start|>", "<|im_end|>", "<think>", "<|user|>", "<|>"};
    for (int i = 0; i < 5; i++) n += snprintf(json + n, sizeof json - (size_t)n, "%s{\"id\":%d,\"content\":\"%s\",\"special\":%s,\"normalized\":%s}", i ? "," : "", START + i, ADDED[i], i == 2 ? "false" : "true", i == 2 ? "false" : flag);
    n += snprintf(json + n, sizeof json - (size_t)n, "],\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"merges\":[],\"vocab\":{\"?\":0");
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz<>|_ \n";
    for (int i = 0; LETTERS[i]; i++) n += LETTERS[i] == '\n' ? snprintf(json + n, sizeof json - (size_t)n, ",\"\\n\":%d", i + 1) : snprintf(json + n, sizeof json - (size_t)n, ",\"%c\":%d", LETTERS[i], i + 1);
    snprintf(json + n, sizeof json - (size_t)n, ",\"\xE2\x96\x81\":50}}}");
    if (tokenizer_read(&t, json, strlen(json), "tokenizer.json", &err) != GLLM_OK) fail_msg("%s", err.message);
    return t;
}

static const char CHATML[] = "{% for m in messages %}<|im_start|>{{ m.role }}<|>{{ m.content }}<|im_end|>{% endfor %}";
static const char BY_ROLE[] = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|im_end|>' }}{% endfor %}";

/* The tokens of one user message. */
static void encode(const struct tokenizer *t, const char *template, const char *role, const char *content, bool plain, struct encoding *e) {
    json_t *messages = json_pack("[{s:s,s:s}]", "role", role, "content", content);
    const struct chat_request r = {.messages = messages, .template = template, .template_len = strlen(template)};
    const struct chat_source source = {0};
    struct jinja_text out;
    gllm_error err = {0};
    if (chat_render(&source, &r, &out, &err) != GLLM_OK) fail_msg("%s", err.message);
    const struct encode_options opt = {.parse_special = true, .plain = out.caller, .n_plain = plain ? out.n_caller : 0};
    if (tokenizer_encode(t, out.data, out.len, NULL, 0, &opt, e, &err) != GLLM_OK) fail_msg("%s", err.message);
    jinja_text_free(&out);
    json_decref(messages);
}

static unsigned count(const struct encoding *e, int32_t id) {
    unsigned n = 0;
    for (uint32_t i = 0; i < e->count; i++) n += e->ids[i] == id;
    return n;
}

/* The same special tokens, each as often. */
static bool same_specials(const struct encoding *a, const struct encoding *b) {
    return count(a, START) == count(b, START) && count(a, END) == count(b, END) && count(a, BAR) == count(b, BAR) && count(a, ROLE_USER) == count(b, ROLE_USER);
}

static const struct {
    const char *normalizer;
    bool normalized;
} TOKENIZERS[] = {
    {"null", false}, {"null", true}, {"{\"type\":\"Lowercase\"}", true}, {"{\"type\":\"NFC\"}", true}, {"{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", true},
    {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]}", true},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"<|im_end|>\"}", true}, {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"\"}", true},
};

/* Contents made of pieces of special tokens give no more of them than a harmless content does; and where a content spells none, all is as without
 * stretches. */
static void test_injection(void **state) {
    static const char *const PARTS[] = {"<|im_end|>", "<|im_start|>", "<|", "|>", "im_", "end", "start", "<", ">", "|", "<|user|>", "<|>", " ", "x", "a", "\n", "<think>", "IM_END", "<|IM_END|>", "e\xCC\x81"};
    uint32_t seed = 12345;
    struct encoding e = {0}, f = {0}, harmless = {0};
    (void)state;
    for (size_t k = 0; k < sizeof TOKENIZERS / sizeof *TOKENIZERS; k++) {
        struct tokenizer *t = open_tokenizer(TOKENIZERS[k].normalizer, TOKENIZERS[k].normalized);
        encode(t, CHATML, "user", "a", false, &harmless);
        assert_int_equal(count(&harmless, START), 1);
        for (unsigned round = 0; round < 3000; round++) {
            char content[256] = "";
            for (unsigned n = (seed >> 8) % 8 + 1; n > 0; n--) {
                seed = seed * 1664525u + 1013904223u;
                strcat(content, PARTS[(seed >> 12) % (sizeof PARTS / sizeof *PARTS)]);
            }
            if (strstr(TOKENIZERS[k].normalizer, "Prepend") && strstr(content, "<think>")) continue; /* cuts the text, and what follows gets a prefix: other tokens match */
            encode(t, CHATML, "user", content, true, &e);
            if (!same_specials(&e, &harmless)) fail_msg("tokenizer %zu: \"%s\" gives %u, %u, %u, %u special tokens", k, content, count(&e, START), count(&e, END), count(&e, BAR), count(&e, ROLE_USER));
            encode(t, CHATML, "user", content, false, &f);
            if (same_specials(&f, &harmless) && (e.count != f.count || memcmp(e.ids, f.ids, e.count * sizeof *e.ids))) fail_msg("tokenizer %zu: \"%s\" is cut in another way than without stretches", k, content);
        }
        tokenizer_close(t);
    }
    encoding_free(&e);
    encoding_free(&f);
    encoding_free(&harmless);
}

/* A template builds a special token from a role that it knows, and from no other text. */
static void test_roles(void **state) {
    struct tokenizer *t = open_tokenizer("null", false);
    struct encoding e = {0};
    (void)state;
    encode(t, BY_ROLE, "user", "a", true, &e);
    assert_int_equal(count(&e, ROLE_USER), 1);
    encode(t, BY_ROLE, "im_start", "a", true, &e);
    assert_int_equal(count(&e, START), 0);
    assert_int_equal(count(&e, END), 1);
    encode(t, "{{ '<|' + messages[0].content + '|>' }}", "user", "user", true, &e);
    assert_int_equal(count(&e, ROLE_USER), 0);
    encode(t, CHATML, "user", "<think>", true, &e); /* added, but not special: read everywhere */
    assert_int_equal(count(&e, THINK), 1);
    encoding_free(&e);
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whose_bytes), cmocka_unit_test(test_injection), cmocka_unit_test(test_roles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
