/* test_constraint.c - token bytes against the streaming decoder, masks against a search over all tokens, and random walks under a mask.
 *
 * A small byte-level vocabulary is made here; the real tokenizers of SmolLM2 and Qwen2.5 are used where they are installed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "engine/constraint.h"
#include "model/model.h"
#include "text/matcher.h"
#include "text/parts.h"

enum { END = 0 };

static uint32_t seed = 1;
static uint32_t random_below(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 8) * n >> 24);
}

/* <end>, each byte, and some longer pieces, as GPT-2 writes them. */
static struct tokenizer *small_tokenizer(void) {
    static const char *const PIECES[] = {"{\"", "\":", "\": ", "\",", "\", \"", "\"}", "\"}]", "},{", "[]", "{}", "true", "false", "null", " 1", "12", "123", "0.5", "-1", "name", "\"name\":", " the", "abc",
                                         "\\n", "\\u00", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "\xE4\xB8", "\xAD\xE6", "\"a\"", "\"b\":", "  ", "\n\n", "2024-", "-02-", "circle", "red", "yes", "no"};
    enum { N = sizeof PIECES / sizeof *PIECES };
    static struct textbuf text[256 + N];
    struct tokenizer_str tokens[1 + 256 + N] = {{"<end>", 5}};
    int32_t types[1 + 256 + N];
    struct tokenizer *t;
    gllm_error err = {0};
    for (unsigned i = 0; i < 256 + N; i++) {
        text[i].len = 0;
        if (i < 256) byte_level_add(&(char){(char)i}, 1, &text[i]);
        else byte_level_add(PIECES[i - 256], strlen(PIECES[i - 256]), &text[i]);
        tokens[1 + i] = (struct tokenizer_str){text[i].data, text[i].len};
    }
    for (unsigned i = 0; i < 1 + 256 + N; i++) types[i] = i ? 1 : 3;
    const struct tokenizer_tables tables = {.model = "gpt2", .tokens = tokens, .types = types, .merges = (const struct tokenizer_str[]){{"t h", 3}}, .n_tokens = 1 + 256 + N, .bos = -1, .eos = END, .unk = -1, .sep = -1,
                                            .pad = -1, .cls = -1, .add_bos = 0, .add_eos = 0, .add_sep = 0, .add_space_prefix = 0};
    const gllm_status status = tokenizer_from_tables(&t, &tables, "small", &err);
    for (unsigned i = 0; i < 256 + N; i++) textbuf_free(&text[i]);
    if (status != GLLM_OK) fail_msg("%s", err.message);
    return t;
}

static struct token_bytes *bytes_of_tokens(const struct tokenizer *t) {
    struct token_bytes *b;
    gllm_error err = {0};
    if (token_bytes_open(&b, t, &err) != GLLM_OK) fail_msg("%s", err.message);
    return b;
}

/* Random ids: wherever the bytes are UTF-8, they are what the stream gives. Half of the ids are drawn among short texts, so that characters in
 * parts meet. */
static unsigned compare_with_stream(const struct tokenizer *t, const struct token_bytes *b, unsigned rounds) {
    const uint32_t n = tokenizer_vocab_size(t);
    unsigned compared = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct token_stream *s;
        struct textbuf bytes = {0}, text = {0};
        gllm_error err;
        const char *part;
        size_t len;
        assert_int_equal(token_stream_open(&s, t, true, &err), GLLM_OK);
        for (unsigned k = 1 + random_below(6); k; k--) {
            const int32_t id = (int32_t)random_below(n);
            const struct token_table *table = !bytes.len && b->first.n ? &b->first : &b->later;
            if (!tokenizer_piece(t, id, &len) || table->at[id + 1] == table->at[id]) continue;
            textbuf_add(&bytes, table->text + table->at[id], table->at[id + 1] - table->at[id]);
            assert_int_equal(token_stream_push(s, id, &part, &len, &err), GLLM_OK);
            textbuf_add(&text, part, len);
        }
        assert_int_equal(token_stream_end(s, &part, &len, &err), GLLM_OK);
        textbuf_add(&text, part, len);
        if (utf8_valid(bytes.data ? bytes.data : "", bytes.len, NULL)) {
            if (bytes.len != text.len || (text.len && memcmp(bytes.data, text.data, text.len))) fail_msg("bytes \"%.*s\", the stream \"%.*s\"", (int)bytes.len, bytes.data, (int)text.len, text.data);
            compared++;
        }
        token_stream_close(s);
        textbuf_free(&bytes);
        textbuf_free(&text);
    }
    return compared;
}

static void test_bytes_small(void **state) {
    (void)state;
    struct tokenizer *t = small_tokenizer();
    struct token_bytes *b = bytes_of_tokens(t);
    assert_int_equal(b->first.n, 0);
    assert_int_equal(b->later.at[END + 1] - b->later.at[END], 0); /* a special token adds nothing */
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(b->later.at[i + 2] - b->later.at[i + 1], 1);
        assert_int_equal((unsigned char)b->later.text[b->later.at[i + 1]], i);
    }
    assert_true(compare_with_stream(t, b, 4000) > 300);
    token_bytes_close(b);
    tokenizer_close(t);
}

/* Every tokenizer of the goldens whose decoder works token by token; the others are refused. */
static void test_bytes_goldens(void **state) {
    (void)state;
    static const char *const DECODERS[] = {
        "{\"type\":\"ByteLevel\"}", "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\"}", "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"never\"}",
        "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", "null",
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
    };
    static const char *const REFUSED[] = {"{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}", "{\"type\":\"CTC\",\"pad_token\":\"<pad>\",\"word_delimiter_token\":\"|\",\"cleanup\":true}",
                                          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"\"}]}"};
    for (unsigned i = 0; i < sizeof DECODERS / sizeof *DECODERS + sizeof REFUSED / sizeof *REFUSED; i++) {
        const unsigned n = sizeof DECODERS / sizeof *DECODERS;
        char json[4096];
        struct tokenizer *t;
        struct token_bytes *b;
        gllm_error err = {0};
        snprintf(json, sizeof json,
                 "{\"added_tokens\":[{\"id\":14,\"content\":\"<s>\",\"special\":true},{\"id\":15,\"content\":\"<tool x>\",\"special\":false}],\"decoder\":%s,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":"
                 "{\"a\":0,\"\xE2\x96\x81""b\":1,\"\xE2\x96\x81\":2,\"\xE2\x96\x81\xE2\x96\x81\":3,\"<0x20>\":4,\"<0xE4>\":5,\"<0xB8>\":6,\"<0xAD>\":7,\"##c\":8,\"d .\":9,\"\xC4\xA0""e\":10,\"\xC3\xA4\":11,\"\xC2\xB8\":12,\"\xC2\xAD\":13,\"<s>\":14,\"<tool x>\":15}}}",
                 i < n ? DECODERS[i] : REFUSED[i - n]);
        if (tokenizer_read(&t, json, strlen(json), "decoders", &err) != GLLM_OK) fail_msg("%s", err.message);
        if (i >= n) {
            assert_int_equal(token_bytes_open(&b, t, &err), GLLM_UNSUPPORTED);
            assert_null(b);
        } else {
            b = bytes_of_tokens(t);
            assert_int_equal(b->later.at[15] - b->later.at[14], 0);
            assert_true(compare_with_stream(t, b, 4000) > 500);
            token_bytes_close(b);
        }
        tokenizer_close(t);
    }
}

static struct constraint *open_constraint(enum constraint_kind kind, const char *text, const struct constraint_vocab *v) {
    struct constraint *c;
    gllm_error err = {0};
    if (constraint_open(&c, &(struct constraint_spec){kind, text, strlen(text)}, v, &err) != GLLM_OK) fail_msg("%s: %s", text, err.message);
    return c;
}

static bool has(const uint64_t *mask, uint32_t id) { return mask[id / 64] >> id % 64 & 1; }

/* The mask is what trying each token gives: `text` so far, then the token. */
static void check_mask(const struct constraint *c, const struct constraint_vocab *v, const uint64_t *mask, const struct textbuf *text) {
    struct matcher *m;
    gllm_error err;
    uint32_t at, next;
    assert_int_equal(matcher_open(&m, constraint_grammar(c), &err), GLLM_OK);
    assert_int_equal(matcher_accept(m, MATCHER_START, text->data ? text->data : "", text->len, &at, &err), GLLM_OK);
    for (uint32_t id = 0; id < v->n_vocab; id++) {
        const struct token_table *t = !text->len && v->tokens->first.n ? &v->tokens->first : &v->tokens->later;
        bool expected = false;
        if (id < t->n && t->at[id + 1] > t->at[id]) {
            assert_int_equal(matcher_accept(m, at, t->text + t->at[id], t->at[id + 1] - t->at[id], &next, &err), GLLM_OK);
            expected = next != MATCHER_DEAD;
        }
        for (uint32_t k = 0; k < v->n_ends; k++)
            if (v->ends[k] == (int32_t)id) expected = m->states[at].can_end;
        if (has(mask, id) != expected) fail_msg("after \"%.*s\": token %u is %s", (int)text->len, text->data ? text->data : "", id, expected ? "left out" : "allowed");
    }
    matcher_close(m);
}

/* Whether a JSON text ends within a string. */
static bool in_string(const struct textbuf *text) {
    bool in = false;
    for (size_t i = 0; i < text->len; i++) {
        if (in && text->data[i] == '\\') i++;
        else if (text->data[i] == '"') in = !in;
    }
    return in;
}

/* A token of the mask: any, or when it is time to close the one that closes. -1: none. */
static int32_t choose(const struct constraint_vocab *v, const uint64_t *mask, bool close, bool quote) {
    const char *ORDER = quote ? "\"0123456789-n}]" : "}]n0123456789-\"";
    int32_t best = -1;
    size_t best_rank = SIZE_MAX, seen = 0;
    for (uint32_t id = 0; id < v->n_vocab; id++) {
        if (!has(mask, id)) continue;
        for (uint32_t k = 0; k < v->n_ends; k++)
            if (v->ends[k] == (int32_t)id && close) return (int32_t)id;
        const struct token_table *t = &v->tokens->later;
        const char *found = t->at[id + 1] > t->at[id] ? strchr(ORDER, t->text[t->at[id]]) : NULL;
        const bool letter = quote && t->at[id + 1] > t->at[id] && strchr("abc", t->text[t->at[id]]); /* patterns that look for some */
        const size_t rank = close ? (letter ? 1 : found ? (size_t)(found - ORDER) : 50) + 100 * (t->at[id + 1] - t->at[id] > 1) : 0;
        if (rank < best_rank) best = (int32_t)id, best_rank = rank, seen = 1;
        else if (rank == best_rank && random_below((uint32_t)++seen) == 0) best = (int32_t)id;
    }
    return best;
}

struct timing {
    double *ms;
    size_t n, room;
};
/* Of this thread: what others do on the machine does not count. */
static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
static void note(struct timing *t, double ms) {
    if (!t) return;
    if (t->n == t->room) {
        t->ms = realloc(t->ms, (t->room = 2 * t->room + 1024) * sizeof *t->ms);
        assert_non_null(t->ms);
    }
    t->ms[t->n++] = ms;
}

/* A text under the mask; `text` gets it. */
static void walk(enum constraint_kind kind, const char *source, const struct constraint_vocab *v, unsigned open_for, bool check, struct textbuf *text, struct timing *timing) {
    struct constraint *c = open_constraint(kind, source, v);
    gllm_error err = {0};
    text->len = 0;
    for (unsigned step = 0; !constraint_complete(c); step++) {
        const uint64_t *mask;
        const double start = cpu_ms();
        if (constraint_mask(c, &mask, &err) != GLLM_OK) fail_msg("%s: after \"%.*s\": %s", source, (int)text->len, text->data ? text->data : "", err.message);
        note(timing, cpu_ms() - start);
        if (check && step % 3 == 0) check_mask(c, v, mask, text);
        const int32_t id = choose(v, mask, step >= open_for || random_below(3) == 0, in_string(text));
        bool end = id < 0;
        for (uint32_t k = 0; k < v->n_ends; k++) end |= v->ends[k] == id;
        if (end) break;
        const struct token_table *t = !step && v->tokens->first.n ? &v->tokens->first : &v->tokens->later;
        textbuf_add(text, t->text + t->at[id], t->at[id + 1] - t->at[id]);
        if (constraint_accept(c, id, &err) != GLLM_OK) fail_msg("%s", err.message);
        if (step > 4000) fail_msg("%s: no end: \"%.*s\"", source, (int)text->len, text->data);
    }
    constraint_close(c);
}

/* Each schema of the goldens: what comes out is JSON. GLLM_TEST_WALKS=FILE keeps the texts for tools/make_schema_goldens.py check. */
static size_t walk_schemas(const struct constraint_vocab *v, unsigned rounds, bool check, struct timing *timing) {
    const char *path = getenv("GLLM_TEST_WALKS");
    FILE *out = path ? fopen(path, "ab") : NULL;
    json_error_t e;
    json_t *root = json_load_file("tests/golden/json_schema.json", 0, &e), *c;
    struct textbuf text = {0};
    size_t i, n = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        char *schema = json_dumps(json_object_get(c, "schema"), JSON_ENCODE_ANY);
        for (unsigned k = 0; k < rounds; k++, n++) {
            walk(CONSTRAINT_SCHEMA, schema, v, 4 + 6 * k, check && k == 0, &text, timing);
            json_t *value = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
            if (!value) fail_msg("%s: %.*s: %s", schema, (int)text.len, text.data, e.text);
            json_decref(value);
            if (out) fprintf(out, "%s\t%.*s\n", json_string_value(json_object_get(c, "name")), (int)text.len, text.data);
        }
        free(schema);
    }
    if (out) fclose(out);
    textbuf_free(&text);
    json_decref(root);
    return n;
}

static void test_walks_small(void **state) {
    (void)state;
    struct tokenizer *t = small_tokenizer();
    struct token_bytes *b = bytes_of_tokens(t);
    const int32_t ends[] = {END};
    const struct constraint_vocab v = {b, ends, 1, tokenizer_vocab_size(t) + 70 /* rows of padding */};
    assert_true(walk_schemas(&v, 12, true, NULL) > 900);
    struct textbuf text = {0};
    for (unsigned i = 0; i < 20; i++) walk(CONSTRAINT_GBNF, "root ::= (\"a\" [^a\\n]{0,3} | \"b\" root \"c\")+ \"\xC3\xA9\"?", &v, 20, true, &text, NULL);
    textbuf_free(&text);
    token_bytes_close(b);
    tokenizer_close(t);
}

static void test_refusals(void **state) {
    (void)state;
    struct tokenizer *t = small_tokenizer();
    struct token_bytes *b = bytes_of_tokens(t);
    const int32_t ends[] = {END};
    struct constraint_vocab v = {b, ends, 1, tokenizer_vocab_size(t)};
    const uint64_t *mask;
    gllm_error err = {0};
    struct constraint *c = open_constraint(CONSTRAINT_GBNF, "root ::= \"ab\" | \"abc\"", &v);
    assert_int_equal(constraint_accept(c, 1 + 'b', &err), GLLM_INVALID);
    assert_string_equal(err.message, "token id 99 is not one that the grammar allows");
    assert_int_equal(constraint_accept(c, END, &err), GLLM_INVALID);
    assert_int_equal(constraint_accept(c, -1, &err), GLLM_INVALID);
    assert_int_equal(constraint_accept(c, 1 << 20, &err), GLLM_INVALID);
    assert_int_equal(constraint_mask(c, &mask, &err), GLLM_OK);
    assert_false(has(mask, END));
    assert_int_equal(constraint_accept(c, 1 + 'a', &err), GLLM_OK);
    assert_int_equal(constraint_accept(c, 1 + 'b', &err), GLLM_OK);
    assert_int_equal(constraint_mask(c, &mask, &err), GLLM_OK);
    assert_true(has(mask, END) && has(mask, 1 + 'c') && !constraint_complete(c));
    assert_int_equal(constraint_accept(c, 1 + 'c', &err), GLLM_OK);
    assert_true(constraint_complete(c));
    constraint_close(c);
    v.n_vocab = 1 + 'a'; /* a vocabulary without the letter */
    c = open_constraint(CONSTRAINT_GBNF, "root ::= \"ab\"", &v);
    assert_int_equal(constraint_mask(c, &mask, &err), GLLM_INVALID);
    assert_string_equal(err.message, "no token of the vocabulary goes on as the grammar demands");
    constraint_close(c);
    assert_int_equal(constraint_open(&c, &(struct constraint_spec){CONSTRAINT_GBNF, "root ::=", 8}, &v, &err), GLLM_OK);
    assert_true(constraint_complete(c)); /* the empty text alone */
    constraint_close(c);
    token_bytes_close(b);
    tokenizer_close(t);
}

static int by_size(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static bool find_model(const char *folder, char path[1024]) {
    char dir[512];
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME");
    if (home) snprintf(dir, sizeof dir, "%s/models/%s", home, folder);
    else snprintf(dir, sizeof dir, "%s/.gllm/models/%s", user ? user : "", folder);
    DIR *d = opendir(dir);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        if ((found = strstr(e->d_name, ".gguf") != NULL)) snprintf(path, 1024, "%s/%.400s", dir, e->d_name);
    if (d) closedir(d);
    return found;
}

static void test_real(void **state) {
    (void)state;
    static const char *const FOLDERS[] = {"HuggingFaceTB--SmolLM2-135M-Instruct-GGUF", "Qwen--Qwen2.5-Coder-0.5B-Instruct-GGUF"};
    for (unsigned i = 0; i < 2; i++) {
        char path[1024];
        struct model_files f;
        gllm_error err = {0};
        const struct log quiet = {0};
        if (!find_model(FOLDERS[i], path)) {
            print_message("skipped: %s is not under the model folder\n", FOLDERS[i]);
            continue;
        }
        if (model_files_open(&f, path, &quiet, &err) != GLLM_OK) fail_msg("%s", err.message);
        double start = clock_ms();
        struct token_bytes *b = bytes_of_tokens(f.tokenizer);
        const double built = clock_ms() - start;
        assert_true(compare_with_stream(f.tokenizer, b, 3000) > 1000);
        const struct constraint_vocab v = {b, f.eos, f.n_eos, f.cfg.n_vocab};
        struct timing timing = {0};
        const size_t n = walk_schemas(&v, 2, false, &timing);
        qsort(timing.ms, timing.n, sizeof *timing.ms, by_size);
        print_message("%s: %u tokens, %u nodes in %.0f ms; %zu texts, %zu masks: median %.3f ms, 99 %% %.3f ms, worst %.3f ms\n", FOLDERS[i], f.cfg.n_vocab, b->later.n_nodes, built, n, timing.n, timing.ms[timing.n / 2],
                      timing.ms[timing.n * 99 / 100], timing.ms[timing.n - 1]);
        free(timing.ms);
        token_bytes_close(b);
        model_files_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes_small), cmocka_unit_test(test_bytes_goldens), cmocka_unit_test(test_walks_small), cmocka_unit_test(test_refusals), cmocka_unit_test(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
