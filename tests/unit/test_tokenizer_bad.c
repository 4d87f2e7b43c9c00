/* test_tokenizer_bad.c - tokenizer.json files whose components are wrong or hostile: the right status, one line that names the thing, no hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

/* A tokenizer.json with one more member. */
static gllm_status read_with(struct tokenizer **t, const char *member, gllm_error *err) {
    static char json[1 << 20];
    int n = snprintf(json, sizeof json, "{%s,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,\"b\":1}}}", member);
    assert_true(n > 0 && (size_t)n < sizeof json);
    return tokenizer_read(t, json, (size_t)n, "tokenizer.json", err);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *member;
        gllm_status status;
        const char *says;
    } BAD[] = {
        {"\"normalizer\":7", GLLM_FORMAT, "normalizer: found a number, expected an object"},
        {"\"normalizer\":{}", GLLM_FORMAT, "normalizer: type: found nothing"},
        {"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}", GLLM_FORMAT, "neither String nor Regex"},
        {"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}", GLLM_FORMAT, "normalizer Replace: pattern \"(\""},
        {"\"normalizer\":{\"type\":\"Prepend\",\"prepend\":1}", GLLM_FORMAT, "found a number, expected a text"},
        {"\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"?\"}", GLLM_FORMAT, "is not base64"},
        {"\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}", GLLM_FORMAT, "charsmap of 3 bytes has a trie of 0"},
        {"\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}", GLLM_FORMAT, "a trie of 4294967295"},
        {"\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAD/\"}", GLLM_FORMAT, "is not UTF-8"},
        {"\"pre_tokenizer\":[]", GLLM_FORMAT, "pre_tokenizer: found an array"},
        {"\"pre_tokenizer\":{\"type\":\"Other\"}", GLLM_UNSUPPORTED, "pre_tokenizer \"Other\""},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a{2\\\\p{Nowhere}\"},\"behavior\":\"Isolated\"}", GLLM_FORMAT, "pre_tokenizer: pattern"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Sideways\"}", GLLM_FORMAT, "\"Sideways\", expected Removed"},
        {"\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}", GLLM_FORMAT, "length: found 0"},
        {"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", GLLM_FORMAT, "expected one character"},
        {"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"maybe\"}", GLLM_FORMAT, "\"maybe\", expected always, first or never"},
        {"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"always\",\"add_prefix_space\":false}", GLLM_FORMAT, "contradict"},
        {"\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\"}", GLLM_FORMAT, "delimiter: found \"\", expected one character"},
        {"\"decoder\":{\"type\":\"Strip\",\"content\":\"\"}", GLLM_FORMAT, "content: found \"\", expected one character"},
        {"\"decoder\":{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1}", GLLM_FORMAT, "start: found -1"},
        {"\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"\"}", GLLM_FORMAT, "suffix: found nothing"},
        {"\"decoder\":{\"type\":\"Wordy\"}", GLLM_UNSUPPORTED, "decoder \"Wordy\""},
        {"\"post_processor\":{\"type\":\"Wordy\"}", GLLM_UNSUPPORTED, "post_processor \"Wordy\""},
        {"\"added_tokens\":[7]", GLLM_FORMAT, "added_tokens: found a number"},
        {"\"added_tokens\":[{\"id\":5}]", GLLM_FORMAT, "content and id are required"},
        {"\"added_tokens\":[{\"id\":4000000000,\"content\":\"x\"}]", GLLM_FORMAT, "4000000000"},
    };
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct tokenizer *t;
        gllm_error err = {0};
        gllm_status status = read_with(&t, BAD[i].member, &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says) || !strstr(err.message, "tokenizer.json") || strchr(err.message, '\n'))
            fail_msg("case %u: status %d, \"%s\", expected it to say \"%s\"", i, status, err.message, BAD[i].says);
        assert_null(t);
    }
}

/* Token models that are wrong, or would give other ids each time. */
static void test_models(void **state) {
    (void)state;
    static const struct {
        const char *model;
        gllm_status status;
        const char *says;
    } BAD[] = {
        {"{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}", GLLM_UNSUPPORTED, "model.dropout: found 0.1, expected none"},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}", GLLM_FORMAT, "\"ab\" is what a merge makes, but is not in the vocabulary"},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"c\"]]}", GLLM_FORMAT, "model.merges[0]: \"c\" is not in the vocabulary"},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}", GLLM_FORMAT, "\"aa\" is no merge"},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}", GLLM_FORMAT, "\"a a a\" is no merge"},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[7]}", GLLM_FORMAT, "model.merges[0]: found a number"},
        {"{\"type\":\"BPE\",\"unk_token\":\"x\",\"vocab\":{\"a\":0},\"merges\":[]}", GLLM_FORMAT, "model.unk_token: found \"x\""},
        {"{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}", GLLM_FORMAT, "\"a\" has id -1"},
        {"{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}", GLLM_FORMAT, "model.unk_id: found 1"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",\"0\"]]}", GLLM_FORMAT, "model.vocab[0]"},
        {"{\"type\":\"WordPiece\",\"unk_token\":\"x\",\"vocab\":{\"a\":0}}", GLLM_FORMAT, "model.unk_token: found \"x\""},
        {"{\"type\":\"Magic\",\"vocab\":{\"a\":0}}", GLLM_UNSUPPORTED, "model \"Magic\""},
    };
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char json[512];
        struct tokenizer *t;
        gllm_error err = {0};
        const int n = snprintf(json, sizeof json, "{\"model\":%s}", BAD[i].model);
        const gllm_status status = tokenizer_read(&t, json, (size_t)n, "tokenizer.json", &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says)) fail_msg("case %u: status %d, \"%s\", expected it to say \"%s\"", i, status, err.message, BAD[i].says);
        assert_null(t);
    }
}

/* kind nested n deep in Sequences. */
static void nested(char *to, size_t size, const char *stage, const char *list, const char *leaf, unsigned n) {
    size_t at = (size_t)snprintf(to, size, "\"%s\":", stage);
    for (unsigned i = 0; i < n; i++) at += (size_t)snprintf(to + at, size - at, "{\"type\":\"Sequence\",\"%s\":[", list);
    at += (size_t)snprintf(to + at, size - at, "{\"type\":\"%s\"}", leaf);
    for (unsigned i = 0; i < n; i++) at += (size_t)snprintf(to + at, size - at, "]}");
}

static void test_nesting(void **state) {
    static const char *const STAGES[][3] = {{"normalizer", "normalizers", "NFC"}, {"pre_tokenizer", "pretokenizers", "Whitespace"}, {"decoder", "decoders", "Fuse"}, {"post_processor", "processors", "ByteLevel"}};
    static char member[1 << 16];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct tokenizer *t;
        gllm_error err = {0};
        nested(member, sizeof member, STAGES[i][0], STAGES[i][1], STAGES[i][2], 10);
        assert_int_equal(read_with(&t, member, &err), GLLM_OK);
        tokenizer_close(t);
        nested(member, sizeof member, STAGES[i][0], STAGES[i][1], STAGES[i][2], 400);
        assert_int_equal(read_with(&t, member, &err), GLLM_FORMAT);
        if (!strstr(err.message, "nested more than 16 deep")) fail_msg("\"%s\"", err.message);
    }
}

/* A pattern that backtracks without end is given up, and the text refused. */
static void test_backtracking(void **state) {
    static const char *const PATTERNS[] = {"(a+)+$", "(a|aa)+[cd]", "(a*)*[cd]", "(?=(a+)+[cd])b|(a?a?)*[cd]"};
    (void)state;
    char member[256], text[3001];
    memset(text, 'a', 3000);
    text[3000] = 'b';
    for (unsigned i = 0; i < 4; i++) {
        struct tokenizer *t;
        struct encoding e = {0};
        gllm_error err = {0};
        snprintf(member, sizeof member, "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"}", PATTERNS[i]);
        assert_int_equal(read_with(&t, member, &err), GLLM_OK);
        assert_int_equal(tokenizer_encode(t, text, sizeof text, NULL, 0, &(struct encode_options){0}, &e, &err), GLLM_INVALID);
        if (!strstr(err.message, "too many steps")) fail_msg("\"%s\"", err.message);
        encoding_free(&e);
        tokenizer_close(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_models), cmocka_unit_test(test_nesting), cmocka_unit_test(test_backtracking)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
