/* test_reply.c - answers taken apart: what many models' templates write for calls is read back, hand-written answers give their parts, broken
 * calls stay content, and no cut of the text changes anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/reply.h"
#include "text/chat.h"
#include "text/grammar.h"
#include "text/matcher.h"

#define GOLDEN "tests/golden/chat/"
enum { MAX_CALLS = 8, ROOM = 4096 };

struct parts { /* events put together */
    char content[ROOM], reasoning[ROOM], names[MAX_CALLS][300], args[MAX_CALLS][ROOM];
    uint32_t n_calls, n_pieces; /* pieces: events of arguments */
};

static void append(char *to, const struct reply_event *e) {
    const size_t n = strlen(to);
    assert_true(n + e->len < ROOM);
    memcpy(to + n, e->text, e->len);
    to[n + e->len] = '\0';
}

static gllm_status collect(void *user, const struct reply_event *e, gllm_error *err) {
    struct parts *p = user;
    (void)err;
    if (e->part == REPLY_CONTENT) append(p->content, e);
    else if (e->part == REPLY_REASONING) append(p->reasoning, e);
    else if (e->part == REPLY_CALL) {
        assert_int_equal(e->call, p->n_calls);
        assert_true(p->n_calls < MAX_CALLS && e->len < sizeof p->names[0]);
        memcpy(p->names[p->n_calls++], e->text, e->len);
    } else {
        assert_int_equal(e->call + 1, p->n_calls);
        append(p->args[e->call], e);
        p->n_pieces++;
    }
    return GLLM_OK;
}

/* The answer in pieces of `cut` bytes. */
static struct parts *read_answer(const struct reply_style *style, const json_t *tools, bool opened, bool hold, const char *text, size_t cut) {
    struct parts *p = calloc(1, sizeof *p);
    const struct reply_options o = {.style = *style, .tools = tools, .opened = opened, .hold_calls = hold, .fn = collect, .user = p};
    struct reply *a;
    gllm_error err;
    const size_t n = strlen(text);
    assert_int_equal(reply_open(&a, &o, &err), GLLM_OK);
    for (size_t at = 0; at < n; at += cut) {
        char *piece = malloc(cut); /* exact size, so that a read past the end is seen */
        const size_t m = n - at < cut ? n - at : cut;
        memcpy(piece, text + at, m);
        assert_int_equal(reply_push(a, piece, m, &err), GLLM_OK);
        free(piece);
    }
    assert_int_equal(reply_end(a, &err), GLLM_OK);
    reply_close(a);
    return p;
}

static json_t *tools_named(const char *const *names) {
    json_t *list = json_array();
    for (; *names; names++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:[s, s]}}}}}", "type", "function", "function", "name", *names, "description", "It does.", "parameters", "type", "object", "properties", "city", "type",
                                              "string", "days", "type", "integer", "place", "type", "string", "null"));
    return list;
}

static void same(const struct parts *a, const struct parts *b, const char *where, size_t cut) {
    bool equal = !strcmp(a->content, b->content) && !strcmp(a->reasoning, b->reasoning) && a->n_calls == b->n_calls;
    for (uint32_t i = 0; equal && i < a->n_calls; i++) equal = !strcmp(a->names[i], b->names[i]) && !strcmp(a->args[i], b->args[i]);
    if (!equal) fail_msg("%s: in pieces of %zu: content \"%s\" (whole: \"%s\"), %u calls (%u), arguments \"%s\" (\"%s\")", where, cut, b->content, a->content, b->n_calls, a->n_calls, b->args[0], a->args[0]);
}

/* Read whole; every cut must give the same. */
static struct parts *read_cut(const struct reply_style *style, const json_t *tools, bool opened, bool hold, const char *text, const char *where) {
    struct parts *p = read_answer(style, tools, opened, hold, text, strlen(text) + 1);
    for (size_t cut = 1; cut <= 17 && cut < strlen(text); cut++) {
        struct parts *q = read_answer(style, tools, opened, hold, text, cut);
        same(p, q, where, cut);
        free(q);
    }
    return p;
}

/* ---- what templates write ---- */
static json_t *load(const char *name) {
    char path[256];
    json_error_t e;
    snprintf(path, sizeof path, GOLDEN "%s.json", name);
    json_t *v = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

static struct jinja_text render(const json_t *golden, json_t *messages, const json_t *tools, bool generate, const char *where) {
    const json_t *source = json_object_get(golden, "template"), *v;
    struct chat_string template = {"default", json_string_value(source), json_string_length(source)}, tokens[16];
    struct chat_source files = {.templates = &template, .n_templates = 1, .tokens = tokens};
    const char *key;
    json_object_foreach(json_object_get(golden, "tokens"), key, v) tokens[files.n_tokens++] = (struct chat_string){key, json_string_value(v), json_string_length(v)};
    json_t *args = json_pack("{s:b}", "add_generation_prompt", generate);
    const struct chat_request r = {.messages = messages, .tools = tools, .args = args};
    struct jinja_text out;
    gllm_error err;
    if (chat_render(&files, &r, &out, &err) != GLLM_OK) fail_msg("%s: %s", where, err.message);
    json_decref(args);
    return out;
}

static json_t *question(void) { return json_pack("[{s:s, s:s}]", "role", "user", "content", "Weather?"); }

/* The message as the template writes it, without the end of a turn: owned. The end is what it writes behind a message of plain text. */
static char *written(const json_t *golden, const json_t *tools, json_t *message, const struct reply_style *style, bool *opened, const char *where) {
    json_t *messages = question(), *plain = question();
    struct jinja_text head = render(golden, messages, tools, true, where);
    json_array_append_new(messages, message);
    json_array_append_new(plain, json_pack("{s:s, s:s}", "role", "assistant", "content", "Xq7"));
    struct jinja_text whole = render(golden, messages, tools, false, where), other = render(golden, plain, tools, false, where);
    size_t from = 0;
    while (from < head.len && from < whole.len && head.data[from] == whole.data[from]) from++; /* some heads hold <think> already */
    while (from && whole.data[from - 1] != '\n' && whole.data[from - 1] != '>' && whole.data[from - 1] != ']') from--;
    const char *end = strstr(other.data, "Xq7") + 3;
    size_t len = whole.len - from, tail = strlen(end);
    if (tail <= len && !strcmp(whole.data + whole.len - tail, end)) len -= tail;
    char *text = strndup(whole.data + from, len);
    *opened = reply_opened(style, whole.data, from);
    jinja_text_free(&head);
    jinja_text_free(&whole);
    jinja_text_free(&other);
    json_decref(messages);
    json_decref(plain);
    return text;
}

static void check_args(const char *text, const char *expected, const char *where) {
    json_t *got = json_loads(text, JSON_DECODE_ANY, NULL), *want = json_loads(expected, 0, NULL);
    assert_non_null(want);
    if (!got || !json_equal(got, want)) fail_msg("%s: expected the arguments %s, found %s", where, expected, text);
    json_decref(got);
    json_decref(want);
}

static void test_templates(void **state) {
    static const char *const NAMES[] = {"get_weather", "get_time", NULL};
    static const struct {
        const char *template;
        unsigned calls; /* that one message may hold */
    } FAMILIES[] = {{"qwen2.5", 2}, {"qwen2.5-coder", 2}, {"qwen3", 2}, {"qwen3-instruct-2507", 2}, {"qwen3-thinking", 2}, {"qwen3-vl", 2}, {"qwq", 2}, {"exaone4", 2}, {"qwen3-coder", 2}, {"qwen3.5", 2},
                    {"nemotron-3", 2}, {"seed-oss", 2}, {"minimax-m2", 2}, {"glm-4.5", 2}, {"glm-4.6", 2}, {"glm-4.7", 2}, {"mistral-v0.3", 2}, {"mistral-nemo", 2}, {"mixtral-8x22b", 2},
                    {"deepseek-r1-0528", 2}, {"jamba", 2}, {"llama3.1", 1}, {"llama3.2", 1}};
    static const char ARGS[] = "{\"city\": \"Z\u00fcrich <3>\", \"days\": 2, \"place\": \"12\"}";
    (void)state;
    json_t *tools = tools_named(NAMES);
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++) {
        const char *name = FAMILIES[i].template;
        json_t *golden = load(name), *calls = json_array(), *template = json_object_get(golden, "template");
        json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", "call00001", "type", "function", "function", "name", "get_weather", "arguments", json_loads(ARGS, 0, NULL)));
        if (FAMILIES[i].calls > 1) json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:{}}}", "id", "call00002", "type", "function", "function", "name", "get_time", "arguments"));
        const struct reply_style style = reply_style(json_string_value(template), json_string_length(template));
        bool opened;
        char *text = written(golden, tools, json_pack("{s:s, s:s, s:o}", "role", "assistant", "content", "", "tool_calls", calls), &style, &opened, name);
        for (unsigned hold = 0; hold < 2; hold++) {
            struct parts *p = read_cut(&style, tools, opened, hold, text, name);
            if (p->n_calls != FAMILIES[i].calls || strcmp(p->names[0], "get_weather") || p->content[0]) fail_msg("%s: found %u calls and \"%s\" in: %s", name, p->n_calls, p->content, text);
            check_args(p->args[0], ARGS, name);
            if (FAMILIES[i].calls > 1) assert_string_equal(p->names[1], "get_time"), check_args(p->args[1], "{}", name);
            free(p);
        }
        free(text);
        json_decref(golden);
    }
    json_decref(tools);
}

/* ---- by hand ---- */
static const char HERMES[] = "<tool_call>", TAGS[] = "<tool_call><parameter=", GLM[] = "<tool_call><arg_key>", MISTRAL[] = "[TOOL_CALLS][/THINK]", LLAMA[] = "<|python_tag|>", GLM4[] = "<|observation|>",
                  DEEPSEEK[] = "<｜tool▁call▁begin｜></think>", THINKER[] = "</think><tool_call>", PHI[] = "<|/tool|>", KIMI[] = "<|tool_calls_section_begin|>", LM3[] = "<|action_start|>", FUNCTIONARY[] = "<function=";
#define CALL(args) "<tool_call>\n{\"name\": \"f\", \"arguments\": " args "}\n</tool_call>"
static const struct answer_case {
    const char *template, *text, *content, *reasoning;
    const char *calls; /* NAME ARGUMENTS, each on a line */
    bool opened;
} CASES[] = {
    {HERMES, "I look.\n" CALL("{\"a\": 1}") "\n" CALL("{}"), "I look.", "", "f {\"a\": 1}\nf {}\n", false},
    {HERMES, CALL("{\"a\": \"}\\\"</tool_call>\"}") " done", "done", "", "f {\"a\": \"}\\\"</tool_call>\"}\n", false},
    {HERMES, "<tool_call>{\"arguments\": {\"a\": [1, {\"b\": 2}]}, \"name\": \"f\"}</tool_call>", "", "", "f {\"a\": [1, {\"b\": 2}]}\n", false},
    {HERMES, "<tool_call>{\"name\": \"f\"}</tool_call>", "", "", "f {}\n", false},
    {HERMES, "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>", "", "", "f {}\n", false},
    {HERMES, "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "", "", "f {\"a\": 1}\n", false},
    {HERMES, CALL("{\"a\": 1}") CALL("{\"b\": \"\u00e9\U0001f600\"}"), "", "", "f {\"a\": 1}\nf {\"b\": \"\u00e9\U0001f600\"}\n", false},
    {HERMES, CALL("{\"a\": }"), CALL("{\"a\": }"), "", "", false},
    {HERMES, "a  <tool_call>{\"nam\": \"f\"}</tool_call> b ", "a  <tool_call>{\"nam\": \"f\"}</tool_call> b ", "", "", false},
    {HERMES, "a <tool_call> b " CALL("{}"), "a <tool_call> b", "", "f {}\n", false},
    {HERMES, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\"", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\"", "", "", false},
    {HERMES, "", "", "", "", false},
    {HERMES, "  x <tool_cal", "  x <tool_cal", "", "", false},
    {HERMES, "1 < 2 <tool\n", "1 < 2 <tool\n", "", "", false},
    {HERMES, "<think>no thought here</think>", "<think>no thought here</think>", "", "", false},
    {THINKER, "\n<think>\nWhy?\n\nSo.\n</think>\n\nYes.", "Yes.", "Why?\n\nSo.", "", false},
    {THINKER, "Why?</think>Yes <think>no</think>", "Yes <think>no</think>", "Why?", "", true},
    {THINKER, "<think>\n\n</think>\n\n" CALL("{}"), "", "", "f {}\n", false},
    {THINKER, "<think>a <tool_call> b</think>" CALL("{}"), "", "a <tool_call> b", "f {}\n", false},
    {THINKER, "<think>never ends ", "", "never ends", "", false},
    {THINKER, "never ends </thi", "", "never ends </thi", "", true},
    {THINKER, " \n ", " \n ", "", "", false},
    {TAGS, "<tool_call>\n<function=f>\n<parameter=city>\n a\nb\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=x>\nTrue\n</parameter>\n</function>\n</tool_call>", "", "",
     "f {\"city\": \" a\\nb\", \"days\": 3, \"x\": true}\n", false},
    {TAGS, "ok\n<function=f>\n<parameter=city>\n12\n</parameter>\n</function>\n</tool_call>\n<tool_call><function=g></function></tool_call>", "ok", "", "f {\"city\": \"12\"}\ng {}\n", false},
    {TAGS, "<tool_call>\n<function=f>\nnothing", "<tool_call>\n<function=f>\nnothing", "", "", false},
    {GLM, "<tool_call>f\n<arg_key>city</arg_key>\n<arg_value>7</arg_value>\n<arg_key>z</arg_key><arg_value>{\"k\": [1]}</arg_value></tool_call>", "", "", "f {\"city\": \"7\", \"z\": {\"k\": [1]}}\n", false},
    {GLM, "<tool_call>f</tool_call>\n<tool_call>g</tool_call>", "", "", "f {}\ng {}\n", false},
    {MISTRAL, "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"id\": \"123456789\"}, {\"name\": \"g\", \"arguments\": {}}]", "", "", "f {\"a\": 1}\ng {}\n", false},
    {MISTRAL, "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[CALL_ID]abc[ARGS]{}", "", "", "f {\"a\": 1}\ng {}\n", false},
    {MISTRAL, "[TOOL_CALLS]f{\"a\": 1}", "", "", "f {\"a\": 1}\n", false},
    {MISTRAL, "[THINK]hm[/THINK]yes[TOOL_CALLS][]", "yes[TOOL_CALLS][]", "hm", "", false},
    {MISTRAL, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, 7]", ", 7]", "", "f {}\n", false},
    {LLAMA, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "", "", "f {\"a\": 1}\n", false},
    {LLAMA, "<|python_tag|>{\"type\": \"function\", \"name\": \"g\", \"parameters\": {}}", "", "", "g {}\n", false},
    {LLAMA, "{\"name\": \"unknown\", \"parameters\": {}}", "{\"name\": \"unknown\", \"parameters\": {}}", "", "", false},
    {LLAMA, "{\"answer\": 42}", "{\"answer\": 42}", "", "", false},
    {LLAMA, "It is {\"name\": \"f\", \"parameters\": {}}", "It is {\"name\": \"f\", \"parameters\": {}}", "", "", false},
    {GLM4, "f\n{\"a\": 1}", "", "", "f {\"a\": 1}\n", false},
    {GLM4, "f is a function\n{", "f is a function\n{", "", "", false},
    {GLM4, "fine {", "fine {", "", "", false},
    {DEEPSEEK, "so</think>Now.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "Now.", "so", "f {\"a\": 1}\ng {}\n", true},
    {DEEPSEEK, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", "", "f {\"a\": 1}\ng {}\n", false},
    {DEEPSEEK, "<｜tool▁calls▁begin｜>nothing", "<｜tool▁calls▁begin｜>nothing", "", "", false},
    {PHI, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]<|/tool_call|>", "", "", "f {\"a\": 1}\n", false},
    {KIMI, "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|><|tool_calls_section_end|>", "", "", "f {\"a\": 1}\n", false},
    {LM3, "I look.<|action_start|><|plugin|>\n{\"name\": \"f\", \"parameters\": {\"a\": 1}}<|action_end|>", "I look.", "", "f {\"a\": 1}\n", false},
    {FUNCTIONARY, "<function=f>{\"a\": 1}</function><function=g>{}</function>", "", "", "f {\"a\": 1}\ng {}\n", false},
};

static void test_cases(void **state) {
    static const char *const NAMES[] = {"f", "g", NULL};
    (void)state;
    json_t *tools = tools_named(NAMES);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct answer_case *c = &CASES[i];
        const struct reply_style style = reply_style(c->template, strlen(c->template));
        struct parts *p = read_cut(&style, tools, c->opened, true, c->text, c->text);
        char calls[2 * ROOM] = "";
        for (uint32_t k = 0; k < p->n_calls; k++) strcat(strcat(strcat(strcat(calls, p->names[k]), " "), p->args[k]), "\n");
        if (strcmp(p->content, c->content) || strcmp(p->reasoning, c->reasoning) || strcmp(calls, c->calls))
            fail_msg("%s\nexpected \"%s\" \"%s\" %s\nfound \"%s\" \"%s\" %s", c->text, c->content, c->reasoning, c->calls, p->content, p->reasoning, calls);
        free(p);
        free(read_cut(&style, tools, c->opened, false, c->text, c->text));
        if (c->calls[0] && c->content[0] == '\0' && !c->reasoning[0]) { /* nothing is read where no tools are offered */
            p = read_cut(&style, NULL, c->opened, true, c->text, c->text);
            assert_int_equal(p->n_calls, 0);
            free(p);
        }
    }
    json_decref(tools);
}

/* Arguments come as they are written; of a call that breaks off, they are what was written. */
static void test_streaming(void **state) {
    static const char *const NAMES[] = {"f", NULL};
    (void)state;
    json_t *tools = tools_named(NAMES);
    const struct reply_style style = reply_style(HERMES, strlen(HERMES));
    struct parts *p = read_answer(&style, tools, false, false, CALL("{\"city\": \"Paris\", \"days\": 2}"), 1);
    assert_string_equal(p->args[0], "{\"city\": \"Paris\", \"days\": 2}");
    assert_true(p->n_pieces > 20);
    free(p);
    p = read_cut(&style, tools, false, false, "<tool_call>{\"name\": \"f\", \"arguments\": {\"city\": \"Pa", "cut short");
    assert_int_equal(p->n_calls, 1);
    assert_string_equal(p->args[0], "{\"city\": \"Pa");
    assert_string_equal(p->content, "");
    free(p);
    json_decref(tools);
}

static void test_opened(void **state) {
    (void)state;
    const struct reply_style style = reply_style(THINKER, strlen(THINKER)), none = reply_style("{{ messages }}", 14);
    assert_true(reply_opened(&style, "<|assistant|>\n<think>\n", 22));
    assert_false(reply_opened(&style, "<think>\n\n</think>\n", 18));
    assert_false(reply_opened(&none, "<think>", 7));
    assert_null(none.calls);
    const struct reply_style mistral = reply_style(MISTRAL, strlen(MISTRAL));
    assert_true(reply_is_mark(&mistral, "[TOOL_CALLS]", 12));
    assert_true(reply_is_mark(&mistral, "[ARGS]", 6));
    assert_false(reply_is_mark(&mistral, "</s>", 4));
}

/* ---- answers that must call ---- */
static bool accepts(const struct grammar *g, const char *text) {
    struct matcher *m;
    gllm_error err;
    uint32_t at;
    assert_int_equal(matcher_open(&m, g, &err), GLLM_OK);
    assert_int_equal(matcher_accept(m, MATCHER_START, text, strlen(text), &at, &err), GLLM_OK);
    const bool can_end = at != MATCHER_DEAD && m->states[at].can_end;
    matcher_close(m);
    return can_end;
}

static gllm_status demand(const char *template, const json_t *tools, const char *name, bool one, bool opened, struct grammar **g, gllm_error *err) {
    const struct reply_demand d = {.style = reply_style(template, strlen(template)), .tools = tools, .name = name, .one = one, .opened = opened};
    char *text;
    *g = NULL;
    gllm_status status = reply_demand_text(&d, &text, err);
    if (status == GLLM_OK) status = reply_grammar_read(g, text, strlen(text), err);
    free(text);
    return status;
}

#define OBJECT(name, key) "{\"name\": \"" name "\", \"" key "\": {\"city\": \"x\"}}"
static void test_demands(void **state) {
    static const char *const NAMES[] = {"f", "g", NULL};
    static const struct {
        const char *template, *name, *yes, *no;
        bool one, opened;
    } DEMANDS[] = {
        {HERMES, NULL, "<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>\n<tool_call>\n" OBJECT("g", "arguments") "\n</tool_call>", "I look.", false, false},
        {HERMES, "g", "<tool_call>\n" OBJECT("g", "arguments") "\n</tool_call>", "<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>", true, false},
        {HERMES, NULL, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"days\": 3}}\n</tool_call>", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"days\": \"3\"}}\n</tool_call>", true, false},
        {HERMES, NULL, "<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>", "<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>\n<tool_call>\n" OBJECT("g", "arguments") "\n</tool_call>", true, false},
        {THINKER, NULL, "<think>\na <b> <</think>\n\n<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>", "<think>\nno end", false, false},
        {THINKER, NULL, "so</think><tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>", "<tool_call>\n" OBJECT("f", "arguments") "\n</tool_call>", false, true},
        {MISTRAL, NULL, "[TOOL_CALLS][" OBJECT("f", "arguments") ", " OBJECT("g", "arguments") "]", "[TOOL_CALLS][]", false, false},
        {"[TOOL_CALLS][ARGS]", NULL, "[TOOL_CALLS]f[ARGS]{\"city\": \"x\"}[TOOL_CALLS]g[ARGS]{}", "[TOOL_CALLS]h[ARGS]{}", false, false},
        {LLAMA, NULL, OBJECT("f", "parameters"), OBJECT("f", "parameters") OBJECT("f", "parameters"), false, false},
        {DEEPSEEK, NULL, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", false, false},
        {PHI, NULL, "<|tool_call|>[" OBJECT("f", "arguments") "]<|/tool_call|>", "", false, false},
        {GLM4, NULL, "f\n{\"city\": \"x\"}", "f {}", false, false},
    };
    (void)state;
    struct grammar *g;
    gllm_error err;
    json_t *tools = tools_named(NAMES);
    for (size_t i = 0; i < sizeof DEMANDS / sizeof *DEMANDS; i++) {
        if (demand(DEMANDS[i].template, tools, DEMANDS[i].name, DEMANDS[i].one, DEMANDS[i].opened, &g, &err) != GLLM_OK) fail_msg("%s: %s", DEMANDS[i].yes, err.message);
        if (!accepts(g, DEMANDS[i].yes) || accepts(g, DEMANDS[i].no)) fail_msg("demand %zu: %s or not %s", i, DEMANDS[i].yes, DEMANDS[i].no);
        grammar_close(g);
        const struct reply_style style = reply_style(DEMANDS[i].template, strlen(DEMANDS[i].template)); /* and what it allows is read as calls */
        struct parts *p = read_cut(&style, tools, DEMANDS[i].opened, true, DEMANDS[i].yes, DEMANDS[i].yes);
        assert_true(p->n_calls > 0 && !p->content[0]);
        free(p);
    }
    assert_int_equal(demand(TAGS, tools, NULL, false, false, &g, &err), GLLM_UNSUPPORTED);
    assert_int_equal(demand("{{ messages }}", tools, NULL, false, false, &g, &err), GLLM_UNSUPPORTED);
    assert_int_equal(demand(HERMES, tools, "h", false, false, &g, &err), GLLM_INVALID);
    assert_string_equal(err.message, "tool_choice: there is no tool \"h\" in tools");
    json_decref(tools);
    tools = json_loads("[{\"function\":{\"name\":\"n\",\"parameters\":{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/$defs/P\"}},\"required\":[\"p\"],\"$defs\":{\"P\":{\"type\":\"integer\"}}}}}]", 0, NULL);
    assert_int_equal(demand(HERMES, tools, NULL, true, false, &g, &err), GLLM_OK);
    assert_true(accepts(g, "<tool_call>\n{\"name\": \"n\", \"arguments\": {\"p\": 7}}\n</tool_call>"));
    assert_false(accepts(g, "<tool_call>\n{\"name\": \"n\", \"arguments\": {\"p\": \"7\"}}\n</tool_call>"));
    grammar_close(g);
    json_decref(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_templates), cmocka_unit_test(test_cases), cmocka_unit_test(test_streaming), cmocka_unit_test(test_opened), cmocka_unit_test(test_demands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
