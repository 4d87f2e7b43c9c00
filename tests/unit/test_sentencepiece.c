/* test_sentencepiece.c - SentencePiece models against the library `sentencepiece`, directories with one against transformers
 * (tools/make_sentencepiece_goldens.py), and models that are cut off or wrong. */
#include "unit/tokenizer_golden.h"

#include "base/file.h"

#define GOLDEN "tests/golden/sentencepiece/"

static struct tokenizer *read_model(const char *name, char **data, size_t *len) {
    char path[256];
    struct tokenizer *t;
    gllm_error err = {0};
    snprintf(path, sizeof path, GOLDEN "%s.model", name);
    if (file_read(path, 1 << 20, data, len, &err) != GLLM_OK) fail_msg("%s", err.message);
    if (tokenizer_read_sentencepiece(&t, *data, *len, path, &err) != GLLM_OK) fail_msg("%s", err.message);
    return t;
}

static void test_models(void **state) {
    (void)state;
    json_t *root = load(GOLDEN "models.json");
    const json_t *entries = json_object_get(root, "entries");
    assert_true(json_array_size(entries) > 0);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i), *pieces = json_object_get(entry, "pieces");
        const char *name = json_string_value(json_object_get(entry, "name"));
        char *data;
        size_t len;
        struct tokenizer *t = read_model(name, &data, &len);
        free(data); /* nothing of the file stays borrowed */
        assert_int_equal(tokenizer_vocab_size(t), json_array_size(pieces));
        for (size_t id = 0; id < json_array_size(pieces); id++) assert_string_equal(tokenizer_piece(t, (int32_t)id, &len), json_string_value(json_array_get(pieces, id)));
        check_texts(t, entry, "ids", json_object_get(entry, "texts"), false, name);
        check_decodes(t, json_object_get(entry, "decode"), name);
        tokenizer_close(t);
    }
    json_decref(root);
}

static void test_directories(void **state) {
    static const char *const DIRS[] = {"xlmr", "camembert", "t5", "t5-few", "llama-first", "llama-each", "llama-added", "llama-json"};
    (void)state;
    for (unsigned i = 0; i < sizeof DIRS / sizeof *DIRS; i++) {
        char dir[256], path[300];
        struct tokenizer *t;
        gllm_error err = {0};
        snprintf(dir, sizeof dir, GOLDEN "dir-%s", DIRS[i]);
        snprintf(path, sizeof path, "%s/expected.json", dir);
        json_t *root = load(path);
        if (tokenizer_open(&t, dir, &err) != GLLM_OK) fail_msg("%s", err.message);
        check_cases(t, json_object_get(root, "cases"), dir);
        tokenizer_close(t);
        json_decref(root);
    }
}

/* A model that ends early opens as a smaller one (only where a field ends) or is refused with a word. */
static void test_truncated(void **state) {
    static const char *const NAMES[] = {"bpe-rules", "unigram-ties-user"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        char *data;
        size_t len, opened = 0;
        tokenizer_close(read_model(NAMES[i], &data, &len));
        for (size_t n = 0; n < len; n++) {
            struct tokenizer *t;
            gllm_error err = {0};
            char *part = malloc(n ? n : 1); /* of the exact size, so that a read past the end is seen */
            memcpy(part, data, n);
            gllm_status status = tokenizer_read_sentencepiece(&t, part, n, "cut.model", &err);
            if (status == GLLM_OK) opened++;
            else if ((status != GLLM_FORMAT && status != GLLM_UNSUPPORTED) || !strstr(err.message, "cut.model") || strchr(err.message, '\n')) fail_msg("%s, %zu bytes: status %d, \"%s\"", NAMES[i], n, status, err.message);
            tokenizer_close(t);
            free(part);
        }
        assert_true(opened > 0 && opened < len / 4);
        free(data);
    }
}

#define UNK "\x0a\x09\x0a\x05<unk>\x18\x02"
static void test_refused(void **state) {
    static const struct {
        const char *data;
        size_t len;
        gllm_status status;
        const char *says;
    } BAD[] = {
#define CASE(bytes, status, says) {bytes, sizeof bytes - 1, status, says}
        CASE("", GLLM_FORMAT, "found no pieces"),
        CASE("{\"version\":", GLLM_FORMAT, "this is no SentencePiece model"),
        CASE("\x0a\x7f", GLLM_FORMAT, "field 1 does not end where its message does"),
        CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", GLLM_FORMAT, "field 1 does not end"),
        CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", GLLM_FORMAT, "field 1 does not end"),
        CASE("\x00\x00", GLLM_FORMAT, "found field number 0"),
        CASE("\x08\x01", GLLM_FORMAT, "a part of the model: found wire type 0, expected 2"),
        CASE("\x0a\x00", GLLM_FORMAT, "piece 0: found no text"),
        CASE("\x0a\x03\x0a\x01\xff", GLLM_FORMAT, "piece 0: byte 0 is not UTF-8"),
        CASE("\x0a\x05\x0a\x01" "a\x18\x07", GLLM_FORMAT, "piece 0: found type 7, expected 1 to 6"),
        CASE("\x0a\x08\x0a\x01" "a\x15\x00\x00\xc0\x7f", GLLM_FORMAT, "piece 0: found score nan"),
        CASE("\x0a\x04\x0a\x01" "a\x10", GLLM_FORMAT, "field 2 does not end"),
        CASE("\x0a\x05\x0a\x01" "a\x10\x01", GLLM_FORMAT, "score: found wire type 0, expected 5"),
        CASE("\x0a\x03\x0a\x01" "a", GLLM_FORMAT, "found no piece of type unknown"),
        CASE(UNK "\x0a\x05\x0a\x01" "a\x18\x02", GLLM_FORMAT, "pieces 0 and 1: found two of type unknown"),
        CASE(UNK "\x0a\x07\x0a\x05<unk>", GLLM_FORMAT, "piece 1: found \"<unk>\", which is piece 0 already"),
        CASE(UNK "\x12\x02\x18\x03", GLLM_UNSUPPORTED, "model_type: found word, expected unigram or bpe"),
        CASE(UNK "\x12\x02\x18\x04", GLLM_UNSUPPORTED, "model_type: found char"),
        CASE(UNK "\x12\x06\x18\xff\xff\xff\xff\x7f", GLLM_FORMAT, "model_type: found 34359738367, expected a 32-bit number"),
        CASE(UNK "\x1a\x03\x12\x01\x00", GLLM_FORMAT, "a charsmap of 1 bytes has a trie of 0"),
        CASE(UNK "\x1a\x02\x18\x01\x1a\x04\x1a\x02" "ab", GLLM_FORMAT, "add_dummy_prefix: found wire type 2, expected 0"),
        CASE(UNK "\x2a\x03\x12\x01" "a", GLLM_UNSUPPORTED, "denormalizer_spec.precompiled_charsmap"),
    };
    (void)state;
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct tokenizer *t;
        gllm_error err = {0};
        gllm_status status = tokenizer_read_sentencepiece(&t, BAD[i].data, BAD[i].len, "m.model", &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says) || !strstr(err.message, "m.model")) fail_msg("case %u: status %d, \"%s\", expected it to say \"%s\"", i, status, err.message, BAD[i].says);
        assert_null(t);
    }
}

static void test_not_utf8(void **state) {
    (void)state;
    char *data;
    size_t len;
    struct encoding e = {0};
    gllm_error err = {0};
    struct tokenizer *t = read_model("bpe-bytes", &data, &len);
    assert_int_equal(tokenizer_encode(t, "low\xE6\x97", 5, NULL, 0, &(struct encode_options){0}, &e, &err), GLLM_INVALID);
    if (!strstr(err.message, "byte 3 is not UTF-8 (0xe6)")) fail_msg("\"%s\"", err.message);
    encoding_free(&e);
    tokenizer_close(t);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models), cmocka_unit_test(test_directories), cmocka_unit_test(test_truncated), cmocka_unit_test(test_refused), cmocka_unit_test(test_not_utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
