/* tokenizer_golden.h - a tokenizer beside the JSON of what another library gives: ids, types, masks, decoded texts, and streams of them. */
#ifndef TESTS_TOKENIZER_GOLDEN_H
#define TESTS_TOKENIZER_GOLDEN_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

static inline json_t *load(const char *path) {
    json_error_t e;
    json_t *v = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

/* The tokenizer that an entry of a golden file holds. */
static inline struct tokenizer *read_entry(const json_t *entry, const char *where) {
    char *text = json_dumps(json_object_get(entry, "tokenizer"), JSON_ENSURE_ASCII);
    struct tokenizer *t;
    gllm_error err = {0};
    assert_non_null(text);
    if (tokenizer_read(&t, text, strlen(text), where, &err) != GLLM_OK) fail_msg("%s: %s", where, err.message);
    free(text);
    return t;
}

static inline void same_ids(const struct encoding *e, const json_t *ids, const char *where, size_t i) {
    bool same = e->count == json_array_size(ids);
    for (uint32_t k = 0; k < e->count && same; k++) same = e->ids[k] == json_integer_value(json_array_get(ids, k));
    if (same) return;
    char *expected = json_dumps(ids, JSON_COMPACT);
    fprintf(stderr, "%s, text %zu: expected %s, found", where, i, expected);
    for (uint32_t k = 0; k < e->count; k++) fprintf(stderr, " %d", e->ids[k]);
    fprintf(stderr, "\n");
    free(expected);
    fail();
}

static inline void same_bytes(const uint8_t *found, uint32_t count, const json_t *expected, const char *where, size_t i) {
    assert_int_equal(count, json_array_size(expected));
    for (uint32_t k = 0; k < count; k++)
        if (found[k] != json_integer_value(json_array_get(expected, k))) fail_msg("%s, case %zu, token %u: type or mask %u", where, i, k, found[k]);
}

/* entry[key][i]: the ids of texts[i], without special tokens. */
static inline void check_texts(const struct tokenizer *t, const json_t *entry, const char *key, const json_t *texts, bool parse_special, const char *where) {
    const json_t *ids = json_object_get(entry, key);
    struct encoding e = {0};
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *text = json_array_get(texts, i);
        gllm_error err = {0};
        struct encode_options opt = {.parse_special = parse_special};
        if (tokenizer_encode(t, json_string_value(text), json_string_length(text), NULL, 0, &opt, &e, &err) != GLLM_OK) fail_msg("%s: %s", where, err.message);
        same_ids(&e, json_array_get(ids, i), where, i);
    }
    encoding_free(&e);
}

static inline void check_cases(const struct tokenizer *t, const json_t *cases, const char *where) {
    struct encoding e = {0};
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *text = json_object_get(c, "text"), *pair = json_object_get(c, "pair"), *add = json_object_get(c, "add");
        const char *side = json_string_value(json_object_get(c, "side")), *strategy = json_string_value(json_object_get(c, "strategy"));
        struct encode_options opt = {.add_special = !add || json_is_true(add), .parse_special = true, .max_tokens = (uint32_t)json_integer_value(json_object_get(c, "max"))};
        if (side && !strcmp(side, "left")) opt.side = TOKENIZER_CUT_START;
        if (strategy && !strcmp(strategy, "only_first")) opt.strategy = TOKENIZER_ONLY_FIRST;
        if (strategy && !strcmp(strategy, "only_second")) opt.strategy = TOKENIZER_ONLY_SECOND;
        gllm_error err = {0};
        gllm_status status = tokenizer_encode(t, json_string_value(text), json_string_length(text), json_string_value(pair), json_string_length(pair), &opt, &e, &err);
        if (json_object_get(c, "error")) {
            if (status != GLLM_TOO_LONG) fail_msg("%s, case %zu: status %d, expected that it is too long", where, i, status);
            continue;
        }
        if (status != GLLM_OK) fail_msg("%s, case %zu: %s", where, i, err.message);
        same_ids(&e, json_object_get(c, "ids"), where, i);
        if (json_object_get(c, "types")) same_bytes(e.types, e.count, json_object_get(c, "types"), where, i);
        if (json_object_get(c, "special")) same_bytes(e.special, e.count, json_object_get(c, "special"), where, i);
    }
    encoding_free(&e);
}

static inline void same_text(const char *found, size_t len, const json_t *expected, const char *where, size_t i) {
    if (len != json_string_length(expected) || memcmp(found, json_string_value(expected), len))
        fail_msg("%s, decode %zu: found \"%.*s\", expected \"%s\"", where, i, (int)len, found, json_string_value(expected));
}

static inline size_t collect(char *to, size_t at, const char *part, size_t len) {
    assert_true(utf8_valid(part, len, NULL));
    assert_true(at + len < 65536);
    memcpy(to + at, part, len);
    return at + len;
}

static inline void check_decode(const struct tokenizer *t, const json_t *ids, bool skip, const json_t *expected, const char *where, size_t i) {
    static char streamed[65536];
    size_t n = json_array_size(ids), len, at = 0;
    int32_t *list = calloc(n + 1, sizeof *list);
    const char *part;
    char *text;
    struct token_stream *s;
    gllm_error err = {0};
    for (size_t k = 0; k < n; k++) list[k] = (int32_t)json_integer_value(json_array_get(ids, k));
    if (tokenizer_decode(t, list, n, skip, &text, &len, &err) != GLLM_OK) fail_msg("%s: %s", where, err.message);
    same_text(text, len, expected, where, i);
    free(text);
    assert_int_equal(token_stream_open(&s, t, skip, &err), GLLM_OK);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(token_stream_push(s, list[k], &part, &len, &err), GLLM_OK);
        at = collect(streamed, at, part, len);
    }
    assert_int_equal(token_stream_end(s, &part, &len, &err), GLLM_OK);
    at = collect(streamed, at, part, len);
    same_text(streamed, at, expected, where, i);
    token_stream_close(s);
    free(list);
}

static inline void check_decodes(const struct tokenizer *t, const json_t *list, const char *where) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i), *ids = json_object_get(c, "ids");
        if (json_object_get(c, "text")) check_decode(t, ids, false, json_object_get(c, "text"), where, i);
        if (json_object_get(c, "skip")) check_decode(t, ids, true, json_object_get(c, "skip"), where, i);
    }
}
#endif
