/* test_chat_templates.c - texts of conversations against transformers' apply_chat_template, for many models' templates, and a table of small
 * templates against jinja2 (tools/make_chat_goldens.py). With arguments: checks the templates of those folders instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/chat.h"

#define GOLDEN "tests/golden/chat"

/* 2024-07-26 09:05:03, a Friday: when the goldens were made. */
static const struct tm NOW = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_hour = 9, .tm_min = 5, .tm_sec = 3, .tm_wday = 5, .tm_yday = 207};

static json_t *load(const char *path) {
    json_error_t e;
    json_t *v = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

/* Whether a result is the expected one: a string, or an object whose "error" the message must hold. */
static bool as_expected(const json_t *expected, gllm_status status, const struct jinja_text *out, const gllm_error *err, const char *where) {
    const json_t *error = json_object_get(expected, "error"), *text = json_is_string(expected) ? expected : json_object_get(expected, "text");
    if (error && status == GLLM_OK) fprintf(stderr, "%s: expected an error \"%s\", found the text:\n%s\n", where, json_string_value(error), out->data);
    if (error && status != GLLM_OK && !strstr(err->message, json_string_value(error))) fprintf(stderr, "%s: expected the error \"%s\", found \"%s\"\n", where, json_string_value(error), err->message);
    if (error) return status != GLLM_OK && strstr(err->message, json_string_value(error));
    if (status != GLLM_OK) fprintf(stderr, "%s: %s\n", where, err->message);
    else if (out->len != json_string_length(text) || memcmp(out->data, json_string_value(text), out->len))
        fprintf(stderr, "%s: expected\n%s<end>\nfound\n%s<end>\n", where, json_string_value(text), out->data);
    else return true;
    return false;
}

/* Stretches are in order, apart from each other and within the text. */
static void check_spans(const struct jinja_text *t, const char *where) {
    size_t end = 0;
    for (size_t i = 0; i < t->n_caller; i++) {
        const struct text_span *s = &t->caller[i];
        if (!s->len || (i && s->at <= end) || s->at + s->len > t->len) fail_msg("%s: stretch %zu at %zu of %zu bytes", where, i, s->at, s->len);
        end = s->at + s->len;
    }
}

static struct chat_string string_of(const char *name, const json_t *v) { return (struct chat_string){name, json_string_value(v), json_string_length(v)}; }

static bool check_case(const json_t *golden, const json_t *conversations, const json_t *c, const char *where) {
    struct chat_string template = string_of("default", json_object_get(golden, "template")), tokens[16];
    struct chat_source source = {.templates = &template, .n_templates = 1, .tokens = tokens};
    const json_t *conversation = json_object_get(conversations, json_string_value(json_object_get(c, "conversation")));
    json_t *args = json_object_get(c, "args") ? json_copy(json_object_get(c, "args")) : json_object();
    struct chat_request r = {.messages = json_object_get(conversation, "messages"), .tools = json_object_get(conversation, "tools"), .args = args, .continue_final = json_is_true(json_object_get(c, "final")), .now = NOW};
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(golden, "tokens"), key, v) tokens[source.n_tokens++] = string_of(key, v);
    json_object_set(args, "add_generation_prompt", json_object_get(c, "generate"));
    struct jinja_text out;
    gllm_error err = {0};
    gllm_status status = chat_render(&source, &r, &out, &err);
    bool ok = as_expected(c, status, &out, &err, where);
    check_spans(&out, where);
    jinja_text_free(&out);
    json_decref(args);
    return ok;
}

/* Returns the number of cases that differ. */
static unsigned check_folder(const char *folder, unsigned *n) {
    json_t *conversations = load(GOLDEN "/conversations.json");
    DIR *d = opendir(folder);
    unsigned bad = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[1024], where[1200];
        if (!strstr(e->d_name, ".json") || !strcmp(e->d_name, "conversations.json") || !strcmp(e->d_name, "expressions.json")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        json_t *golden = load(path);
        const json_t *cases = json_object_get(golden, "cases");
        for (size_t i = 0; i < json_array_size(cases); i++, ++*n) {
            const json_t *c = json_array_get(cases, i);
            snprintf(where, sizeof where, "%s, case %zu (%s)", path, i, json_string_value(json_object_get(c, "conversation")));
            bad += !check_case(golden, conversations, c, where);
        }
        json_decref(golden);
    }
    closedir(d);
    json_decref(conversations);
    return bad;
}

static void test_goldens(void **state) {
    unsigned n = 0, bad = check_folder(GOLDEN, &n);
    (void)state;
    if (bad || n < 500) fail_msg("%u of %u texts differ", bad, n);
}

static void test_expressions(void **state) {
    json_t *golden = load(GOLDEN "/expressions.json"), *value;
    const json_t *cases = json_object_get(golden, "cases");
    struct jinja_var vars[64];
    struct jinja_input in = {.vars = vars, .now = NOW};
    const char *key;
    unsigned bad = 0;
    (void)state;
    json_object_foreach(json_object_get(golden, "context"), key, value) vars[in.n_vars++] = (struct jinja_var){key, value, false};
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *template = json_array_get(json_array_get(cases, i), 0), *expected = json_array_get(json_array_get(cases, i), 1);
        struct jinja *t;
        struct jinja_text out = {0};
        gllm_error err = {0};
        gllm_status status = jinja_open(&t, json_string_value(template), json_string_length(template), "t", &err);
        if (status == GLLM_OK) status = jinja_render(t, &in, &out, &err);
        bad += !as_expected(expected, status, &out, &err, json_string_value(template));
        check_spans(&out, json_string_value(template));
        jinja_text_free(&out);
        jinja_close(t);
    }
    const size_t n = json_array_size(cases);
    json_decref(golden);
    if (bad || n < 1000) fail_msg("%u of %zu expressions differ", bad, n);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens), cmocka_unit_test(test_expressions)};
    unsigned n = 0, bad = 0;
    if (argc == 1) return cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 1; i < argc; i++) bad += check_folder(argv[i], &n);
    printf("%u of %u texts differ\n", bad, n);
    return bad != 0;
}
