/* test_tables.c - tokenizers from GGUF's tables against HF `tokenizers` (tools/make_gguf_tokenizer_goldens.py) and the library `sentencepiece`:
 * each named pre-tokeniser, the real SmolLM2 and Qwen2.5 vocabularies where they are, SentencePiece's two kinds, and BERT's. */
#include "unit/tokenizer_golden.h"

#include "base/file.h"
#include "format/weights.h"
#include "model/gguf_tokenizer.h"
#include "text/sentencepiece.h"

#define GOLDEN "tests/golden/tables/"

static struct tokenizer_tables empty_tables(const char *model) {
    return (struct tokenizer_tables){.model = model, .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .cls = -1, .add_bos = -1, .add_eos = -1, .add_sep = -1, .add_space_prefix = -1, .lowercase = -1, .strip_accents = -1};
}

static struct tokenizer_str *strings(const json_t *list, size_t *n) {
    struct tokenizer_str *out = calloc(json_array_size(list) + 1, sizeof *out);
    assert_non_null(out);
    for (*n = 0; *n < json_array_size(list); ++*n) out[*n] = (struct tokenizer_str){json_string_value(json_array_get(list, *n)), json_string_length(json_array_get(list, *n))};
    return out;
}

static struct tokenizer *from_tables(const struct tokenizer_tables *tables, const char *where) {
    struct tokenizer *t;
    gllm_error err = {0};
    if (tokenizer_from_tables(&t, tables, where, &err) != GLLM_OK) fail_msg("%s: %s", where, err.message);
    return t;
}

static void test_pre_names(void **state) {
    (void)state;
    json_t *root = load(GOLDEN "pre.json");
    struct tokenizer_tables tables = empty_tables("gpt2");
    struct tokenizer_str *tokens = strings(json_object_get(root, "tokens"), &tables.n_tokens), *merges = strings(json_object_get(root, "merges"), &tables.n_merges);
    const json_t *entries = json_object_get(root, "entries"), *texts = json_object_get(root, "texts");
    unsigned seen = 0;
    tables.tokens = tokens, tables.merges = merges;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *names = json_object_get(json_array_get(entries, i), "names");
        for (size_t k = 0; k < json_array_size(names); k++, seen++) {
            tables.pre = json_string_value(json_array_get(names, k));
            struct tokenizer *t = from_tables(&tables, tables.pre);
            check_texts(t, json_array_get(entries, i), "ids", texts, false, tables.pre);
            tokenizer_close(t);
        }
    }
    assert_true(seen > 70);
    struct tokenizer *t;
    gllm_error err = {0};
    tables.pre = "gpt-3";
    assert_int_equal(tokenizer_from_tables(&t, &tables, "x.gguf", &err), GLLM_UNSUPPORTED);
    assert_string_equal(err.message, "x.gguf: pre-tokeniser \"gpt-3\" is not known");
    assert_null(t);
    free(tokens);
    free(merges);
    json_decref(root);
}

/* Who adds bos when the file says nothing, and what stands between the texts of a pair. */
static void test_ends(void **state) {
    static const struct tokenizer_str TOKENS[] = {{"<s>", 3}, {"</s>", 4}, {"a", 1}, {"b", 1}};
    static const int32_t TYPES[] = {3, 3, 1, 1};
    static const struct {
        const char *pre;
        int add_bos, add_eos, add_sep;
        const char *single, *pair;
    } CASES[] = {{"gpt-2", -1, -1, -1, "2", "2 3"}, {"llama-bpe", -1, -1, -1, "0 2", "0 2 0 3"}, {"tekken", -1, -1, -1, "0 2", "0 2 0 3"}, {"llama-bpe", 0, -1, -1, "2", "2 3"}, {"qwen2", -1, 1, -1, "2 1", "2 1 3 1"}, {"roberta-bpe", 1, 1, -1, "0 2 1", "0 2 1 1 3 1"}, {"modern-bert", 1, 1, 0, "0 2 1", "0 2 1 3 1"}};
    (void)state;
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct tokenizer_tables tables = empty_tables("gpt2");
        struct encoding e = {0};
        gllm_error err = {0};
        tables.tokens = TOKENS, tables.types = TYPES, tables.n_tokens = 4, tables.merges = TOKENS;
        tables.pre = CASES[i].pre, tables.bos = 0, tables.eos = 1, tables.add_bos = CASES[i].add_bos, tables.add_eos = CASES[i].add_eos, tables.add_sep = CASES[i].add_sep;
        struct tokenizer *t = from_tables(&tables, CASES[i].pre);
        for (unsigned pair = 0; pair < 2; pair++) {
            char found[64] = "";
            assert_int_equal(tokenizer_encode(t, "a", 1, pair ? "b" : NULL, pair, &(struct encode_options){.add_special = true}, &e, &err), GLLM_OK);
            for (uint32_t k = 0; k < e.count; k++) snprintf(found + strlen(found), sizeof found - strlen(found), "%s%d", k ? " " : "", e.ids[k]);
            assert_string_equal(found, pair ? CASES[i].pair : CASES[i].single);
        }
        encoding_free(&e);
        tokenizer_close(t);
    }
}

/* The pieces of a SentencePiece model as GGUF has them: the ids of the library again. */
static void test_sentencepiece_tables(void **state) {
    static const char *const NAMES[] = {"bpe-bytes", "bpe-rules", "bpe-ties", "unigram", "unigram-bytes-rules", "unigram-ties"};
    (void)state;
    json_t *root = load("tests/golden/sentencepiece/models.json");
    const json_t *entries = json_object_get(root, "entries");
    unsigned seen = 0;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        bool chosen = false;
        for (unsigned k = 0; k < sizeof NAMES / sizeof *NAMES; k++) chosen |= !strcmp(name, NAMES[k]);
        if (!chosen) continue;
        char path[256], *data;
        size_t len;
        struct spm_model m;
        gllm_error err = {0};
        snprintf(path, sizeof path, "tests/golden/sentencepiece/%s.model", name);
        assert_int_equal(file_read(path, 1 << 20, &data, &len, &err), GLLM_OK);
        assert_int_equal(spm_read(&m, data, len, path, &err), GLLM_OK);
        struct tokenizer_tables tables = empty_tables(m.bpe ? "llama" : "t5");
        tables.tokens = m.pieces, tables.scores = m.scores, tables.types = m.types, tables.n_tokens = m.n, tables.unk = m.unk;
        tables.charsmap = m.charsmap.text, tables.charsmap_len = m.charsmap.len;
        tables.add_space_prefix = m.dummy_prefix, tables.remove_extra_whitespaces = m.remove_extra_whitespaces;
        struct tokenizer *t = from_tables(&tables, name);
        check_texts(t, entry, "ids", json_object_get(entry, "texts"), false, name);
        check_decodes(t, json_object_get(entry, "decode"), name);
        tokenizer_close(t);
        spm_free(&m);
        free(data);
        seen++;
    }
    assert_int_equal(seen, sizeof NAMES / sizeof *NAMES);
    json_decref(root);
}

/* WordPiece's entries as converters to GGUF write them: U+2581 before what begins a word, no ## before what goes on. */
/* A user-defined piece, or a rule of the charsmap, that would end within a character is none: the text is taken whole characters at a time. */
static void test_parts_of_characters(void **state) {
    static const struct tokenizer_str TOKENS[] = {{"<unk>", 5}, {"\xE2", 1}, {"\u2581", 3}, {"a", 1}, {"\u2582", 3}};
    static const int32_t USER[] = {2, 4, 1, 1, 1}, PLAIN[] = {2, 1, 1, 1, 1};
    static const float SCORES[] = {0, -1, -1, -1, -1};
    enum { N_UNITS = 0x400 };
    static unsigned char map[4 + 4 * N_UNITS + 2]; /* one rule: the byte E2 becomes "x" */
    const struct {
        size_t unit;
        uint32_t value;
    } UNITS[] = {{0, 0x100 << 10}, {0x100 ^ 0xE2, 0x200 << 10 | 1 << 8 | 0xE2}, {0x100 ^ 0xE2 ^ 0x200, 0x80000000}};
    (void)state;
    map[1] = N_UNITS * 4 >> 8;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 4; k++) map[4 + 4 * UNITS[i].unit + k] = (unsigned char)(UNITS[i].value >> 8 * k);
    map[4 + 4 * N_UNITS] = 'x';
    for (unsigned i = 0; i < 4; i++) {
        struct tokenizer_tables tables = empty_tables(i & 1 ? "llama" : "t5");
        struct encoding e = {0};
        gllm_error err = {0};
        tables.tokens = TOKENS, tables.n_tokens = 5, tables.scores = SCORES, tables.unk = 0, tables.types = i < 2 ? USER : PLAIN, tables.add_space_prefix = 0;
        if (i >= 2) tables.charsmap = (const char *)map, tables.charsmap_len = sizeof map;
        struct tokenizer *t = from_tables(&tables, "parts of characters");
        assert_int_equal(tokenizer_encode(t, "a\u2582a", 5, NULL, 0, &(struct encode_options){0}, &e, &err), GLLM_OK);
        assert_int_equal(e.count, 3);
        assert_true(e.ids[0] == 3 && e.ids[1] == 4 && e.ids[2] == 3);
        encoding_free(&e);
        tokenizer_close(t);
    }
}

/* A hostile charsmap's units point in a circle, so that a rule begins everywhere and ends nowhere: a long text still takes a moment, not its square. */
static void test_rules_in_circles(void **state) {
    static const struct tokenizer_str TOKENS[] = {{"<unk>", 5}, {"a", 1}};
    static const float SCORES[] = {0, -1};
    static const int32_t TYPES[] = {2, 1};
    enum { N_UNITS = 0x80, LEN = 1 << 20 };
    static char text[LEN];
    static unsigned char map[4 + 4 * N_UNITS + 1];
    const uint32_t unit = 'a' << 10 | 'a'; /* from the root by "a" to the root */
    struct tokenizer_tables tables = empty_tables("t5");
    struct encoding e = {0};
    gllm_error err = {0};
    (void)state;
    map[1] = N_UNITS * 4 >> 8;
    for (unsigned k = 0; k < 4; k++) map[4 + 4 * 'a' + k] = (unsigned char)(unit >> 8 * k);
    memset(text, 'a', LEN);
    tables.tokens = TOKENS, tables.n_tokens = 2, tables.scores = SCORES, tables.unk = 0, tables.types = TYPES, tables.add_space_prefix = 0;
    tables.charsmap = (const char *)map, tables.charsmap_len = sizeof map;
    struct tokenizer *t = from_tables(&tables, "circles");
    assert_int_equal(tokenizer_encode(t, text, LEN, NULL, 0, &(struct encode_options){0}, &e, &err), GLLM_OK);
    assert_int_equal(e.count, LEN);
    encoding_free(&e);
    tokenizer_close(t);
}

static void test_bert_tables(void **state) {
    static const char DIR[] = "tests/golden/tokenizer/bert-uncased";
    (void)state;
    char path[256], *text, *store, *to;
    size_t len;
    gllm_error err = {0};
    snprintf(path, sizeof path, "%s/vocab.txt", DIR);
    assert_int_equal(file_read(path, 1 << 20, &text, &len, &err), GLLM_OK);
    struct tokenizer_str *tokens = calloc(len, sizeof *tokens);
    int32_t *types = calloc(len, sizeof *types);
    to = store = malloc(4 * len);
    struct tokenizer_tables tables = empty_tables("bert");
    for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
        const size_t n = strcspn(line, "\n");
        const bool special = line[0] == '[' && line[n - 1] == ']' && n > 2, more = n > 2 && line[0] == '#' && line[1] == '#';
        const int k = sprintf(to, "%s%.*s", special || more ? "" : "\u2581", (int)(n - 2 * more), line + 2 * more);
        types[tables.n_tokens] = special ? 3 : 1;
        tokens[tables.n_tokens++] = (struct tokenizer_str){to, (size_t)k};
        to += k;
    }
    tables.tokens = tokens, tables.types = types, tables.pad = 0, tables.unk = 1, tables.cls = 2, tables.sep = 3;
    struct tokenizer *t = from_tables(&tables, "bert");
    snprintf(path, sizeof path, "%s/expected.json", DIR);
    json_t *root = load(path);
    check_cases(t, json_object_get(root, "cases"), "bert");
    json_decref(root);
    tokenizer_close(t);
    free(store);
    free(types);
    free(tokens);
    free(text);
}

/* Each byte sequence of tokens: what a stream hands out is whole characters, and together what decoding at once gives. */
static void random_streams(const struct tokenizer *t, const char *where) {
    uint64_t seed = 88172645463325252u;
    gllm_error err = {0};
    for (unsigned round = 0; round < 300; round++) {
        int32_t ids[64];
        char *text, joined[8192];
        const char *part;
        size_t len, n, at = 0;
        struct token_stream *s;
        unsigned count = 0;
        while (count < 64) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            const int32_t id = (int32_t)(seed % (round % 2 ? 600 : tokenizer_vocab_size(t))); /* low ids: single bytes */
            if (tokenizer_piece(t, id, &n)) ids[count++] = id;
        }
        assert_int_equal(tokenizer_decode(t, ids, count, round % 3 == 0, &text, &len, &err), GLLM_OK);
        assert_int_equal(token_stream_open(&s, t, round % 3 == 0, &err), GLLM_OK);
        for (unsigned i = 0; i <= count; i++) {
            if (i < count) assert_int_equal(token_stream_push(s, ids[i], &part, &n, &err), GLLM_OK);
            else assert_int_equal(token_stream_end(s, &part, &n, &err), GLLM_OK);
            if (!utf8_valid(part, n, NULL) || at + n > sizeof joined) fail_msg("%s, round %u, token %u: \"%.*s\"", where, round, i, (int)n, part);
            memcpy(joined + at, part, n);
            at += n;
        }
        if (at != len || memcmp(joined, text, len)) fail_msg("%s, round %u: streamed \"%.*s\", decoded \"%s\"", where, round, (int)at, joined, text);
        token_stream_close(s);
        free(text);
    }
}

static void test_real_files(void **state) {
    static const char *const FILES[][2] = {
        {"HuggingFaceTB--SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2.json"},
        {"Qwen--Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.json"},
    };
    (void)state;
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME");
    unsigned seen = 0;
    for (unsigned i = 0; i < 2; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s%s/models/%s", home ? home : user ? user : "", home ? "" : "/.gllm", FILES[i][0]);
        if (!file_exists(path)) {
            print_message("skipped: there is no %s\n", path);
            continue;
        }
        struct weights *w;
        struct tokenizer *t = NULL;
        gllm_error err = {0};
        if (weights_open(&w, path, &err) != GLLM_OK || gguf_tokenizer(&t, w, path, &err) != GLLM_OK) fail_msg("%s", err.message);
        weights_close(w);
        snprintf(path, sizeof path, GOLDEN "%s", FILES[i][1]);
        json_t *root = load(path);
        check_texts(t, root, "ids", json_object_get(root, "texts"), false, FILES[i][1]);
        random_streams(t, FILES[i][1]);
        json_decref(root);
        tokenizer_close(t);
        seen++;
    }
    if (!seen) skip();
}

static void test_streams(void **state) {
    static const char *const NAMES[] = {"bpe-bytes", "unigram-bytes-rules", "bpe-user", "unigram-suffix"};
    (void)state;
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char path[256], *data;
        size_t len;
        struct tokenizer *t;
        gllm_error err = {0};
        snprintf(path, sizeof path, "tests/golden/sentencepiece/%s.model", NAMES[i]);
        assert_int_equal(file_read(path, 1 << 20, &data, &len, &err), GLLM_OK);
        assert_int_equal(tokenizer_read_sentencepiece(&t, data, len, path, &err), GLLM_OK);
        random_streams(t, NAMES[i]);
        tokenizer_close(t);
        free(data);
    }
    json_t *root = load(GOLDEN "pre.json");
    struct tokenizer_tables tables = empty_tables("gpt2");
    struct tokenizer_str *tokens = strings(json_object_get(root, "tokens"), &tables.n_tokens);
    tables.tokens = tokens, tables.merges = tokens, tables.pre = "qwen2";
    struct tokenizer *t = from_tables(&tables, "byte level");
    random_streams(t, "byte level");
    tokenizer_close(t);
    free(tokens);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pre_names), cmocka_unit_test(test_ends),  cmocka_unit_test(test_sentencepiece_tables), cmocka_unit_test(test_bert_tables), cmocka_unit_test(test_rules_in_circles), cmocka_unit_test(test_parts_of_characters),
                                       cmocka_unit_test(test_streams),   cmocka_unit_test(test_real_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
