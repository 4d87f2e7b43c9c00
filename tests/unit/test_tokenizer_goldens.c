/* test_tokenizer_goldens.c - ids, types and texts against those of HF `tokenizers` and transformers' BertTokenizer for each component of a
 * tokenizer.json (tools/make_tokenizer_goldens.py); and streaming, whose parts must be whole characters and together the decoded text. */
#include "unit/tokenizer_golden.h"

#define GOLDEN "tests/golden/tokenizer/"

static void test_components(void **state) {
    static const char *const GROUPS[] = {"normalizers", "pretokenizers", "decoders", "added-flags", "added-sets", "processors"};
    (void)state;
    for (unsigned g = 0; g < sizeof GROUPS / sizeof *GROUPS; g++) {
        char path[256];
        snprintf(path, sizeof path, GOLDEN "%s.json", GROUPS[g]);
        json_t *root = load(path);
        const json_t *entries = json_object_get(root, "entries"), *texts = json_object_get(root, "texts");
        assert_true(json_array_size(entries) > 0);
        for (size_t i = 0; i < json_array_size(entries); i++) {
            const json_t *entry = json_array_get(entries, i);
            char where[256];
            snprintf(where, sizeof where, "%s/%s", GROUPS[g], json_string_value(json_object_get(entry, "name")));
            struct tokenizer *t = read_entry(entry, where);
            check_texts(t, entry, "ids", texts, true, where);
            check_texts(t, entry, "ids_unparsed", texts, false, where);
            check_cases(t, json_object_get(entry, "cases"), where);
            check_decodes(t, json_object_get(entry, "decode"), where);
            tokenizer_close(t);
        }
        json_decref(root);
    }
}

/* The models alone: each text is one word (tools/make_bpe_goldens.py). */
static void test_models(void **state) {
    (void)state;
    json_t *root = load("tests/golden/bpe/models.json");
    const json_t *entries = json_object_get(root, "entries");
    assert_true(json_array_size(entries) > 0);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        struct tokenizer *t = read_entry(entry, name);
        check_texts(t, entry, "ids", json_object_get(entry, "texts"), true, name);
        tokenizer_close(t);
    }
    json_decref(root);
}

static void test_vocab_txt(void **state) {
    static const char *const DIRS[] = {"uncased", "cased", "accents", "cased-strip", "no-chinese", "own-mask"};
    (void)state;
    for (unsigned i = 0; i < sizeof DIRS / sizeof *DIRS; i++) {
        char dir[256], path[300];
        struct tokenizer *t;
        gllm_error err = {0};
        snprintf(dir, sizeof dir, GOLDEN "bert-%s", DIRS[i]);
        snprintf(path, sizeof path, "%s/expected.json", dir);
        json_t *root = load(path);
        if (tokenizer_open(&t, dir, &err) != GLLM_OK) fail_msg("%s", err.message);
        check_cases(t, json_object_get(root, "cases"), dir);
        check_decodes(t, json_object_get(root, "decode"), dir);
        assert_int_equal(tokenizer_model_max_length(t), 512);
        tokenizer_close(t);
        json_decref(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_components), cmocka_unit_test(test_models), cmocka_unit_test(test_vocab_txt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
