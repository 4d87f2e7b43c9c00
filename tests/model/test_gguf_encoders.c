/* test_gguf_encoders.c - encoders in GGUF files against the reference libraries' values (tools/make_gguf_encoder_goldens.py), through the public API, on
 * every backend and instruction level: ids, vectors, logits and labels; quantised files exactly and as they run by default; and what `gllm_inspect`
 * says. What is refused stands in unit/test_gguf_model.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/client.h"

#define GOLDEN "tests/golden/gguf-encoders"

struct target {
    const char *backend, *isa;
    bool exact;
};
static const struct target TARGETS[] = {{"ref", "", true}, {"cpu", "portable", true}, {"cpu", "avx2", true}, {"cpu", "avx512", true}, {"cpu", "portable", false}, {"cpu", "avx2", false}, {"cpu", "avx512", false}};
enum { N_TARGETS = sizeof TARGETS / sizeof *TARGETS };

static gllm_client *open_client(const char *path, const struct target *t) { /* NULL: not on this machine */
    gllm_options o;
    gllm_options_init(&o);
    o.model = path, o.backend = t->backend, o.threads = 2, o.exact = t->exact;
    setenv("GLLM_CPU_ISA", t->isa, 1);
    gllm_client *c = client_open(&o);
    unsetenv("GLLM_CPU_ISA");
    return c;
}

static void check_ids(gllm_client *c, const char *name, gllm_str text, const json_t *ids, size_t limit) {
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_error err = {0};
    gllm_tokenize_request_init(&r);
    r.text = text, r.parse_special = true;
    if (gllm_tokenize(c, &r, &t, &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    const size_t n = json_array_size(ids);
    if (n < limit) assert_int_equal(t->count, n); /* a longer text was cut, before its last special token */
    for (size_t i = 0; i < (n < limit ? n : n - 1); i++)
        if (t->ids[i] != json_integer_value(json_array_get(ids, i))) fail_msg("%s: \"%.40s\": token %zu is %d, expected %d", name, text.ptr, i, t->ids[i], (int)json_integer_value(json_array_get(ids, i)));
    gllm_tokens_free(t);
}

static double check_vector(gllm_client *c, const char *name, const json_t *k) {
    gllm_embed_request r;
    gllm_error err = {0};
    gllm_embeddings *e;
    gllm_str text = text_at(k, "text");
    gllm_embed_request_init(&r);
    r.inputs = &text, r.n_inputs = 1;
    if (gllm_embed(c, &r, &e, &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    assert_int_equal(e->tokens[0], json_array_size(json_object_get(k, "ids")));
    const double off = worst_of(e->data, json_object_get(k, "vector"), e->dim);
    gllm_embeddings_free(e);
    return off;
}

static double check_logits(gllm_client *c, const char *name, const json_t *k, const json_t *labels) {
    gllm_classify_request r;
    gllm_error err = {0};
    gllm_classes *e;
    gllm_str a = text_at(k, "text"), b = text_at(k, "pair");
    gllm_classify_request_init(&r);
    r.inputs = &a, r.pairs = &b, r.n_inputs = 1, r.scores = GLLM_SCORES_RAW;
    if (gllm_classify(c, &r, &e, &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    assert_int_equal(e->tokens[0], json_array_size(json_object_get(k, "ids")));
    assert_int_equal(e->n_labels, json_array_size(labels));
    for (size_t i = 0; i < e->n_labels; i++) assert_string_equal(e->labels[i], json_string_value(json_array_get(labels, i)));
    const double off = worst_of(e->scores, json_object_get(k, "logits"), e->n_labels);
    gllm_classes_free(e);
    return off;
}

static uint32_t check_info(const char *path, const json_t *root) {
    gllm_options o;
    gllm_model_info *i;
    gllm_error err = {0};
    const json_t *labels = json_object_get(root, "labels");
    gllm_options_init(&o);
    o.model = path;
    if (gllm_inspect(&i, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s: %s", path, err.message);
    assert_string_equal(i->format, "gguf");
    assert_string_equal(i->task, !labels ? "embed" : json_array_size(labels) == 1 ? "rerank" : "classify");
    assert_int_equal(i->normalize, !labels);
    assert_int_equal(i->n_labels, json_array_size(labels));
    if (!labels) assert_string_equal(i->pooling, json_string_value(json_object_get(root, "pooling")));
    const uint32_t max_tokens = i->max_tokens;
    gllm_model_info_free(i);
    return max_tokens;
}

static void check_file(const char *name) {
    char path[512], expected[512];
    json_error_t je;
    double worst = 0, by_default = 0;
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    snprintf(expected, sizeof expected, GOLDEN "/%.*sjson", (int)(strlen(name) - strlen("gguf")), name);
    json_t *root = json_load_file(expected, 0, &je), *cases = json_object_get(root, "cases"), *labels = json_object_get(root, "labels");
    if (!root) fail_msg("%s: %s", expected, je.text);
    const bool quantised = strstr(name, "blocks");
    const uint32_t max_tokens = check_info(path, root);
    assert_true(json_array_size(cases) >= 5);
    for (unsigned t = 0; t < N_TARGETS; t++) {
        gllm_client *c = open_client(path, &TARGETS[t]);
        if (!c) {
            print_message("skipped %s: not on this processor\n", TARGETS[t].isa);
            continue;
        }
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *k = json_array_get(cases, i);
            if (!labels) check_ids(c, name, text_at(k, "text"), json_object_get(k, "ids"), max_tokens);
            const double off = labels ? check_logits(c, name, k, labels) : check_vector(c, name, k), allowed = quantised && !TARGETS[t].exact ? 0.02 : 1e-5;
            if (!(off <= allowed)) fail_msg("%s on %s %s: \"%s\" is off by %.3g, allowed %g", name, TARGETS[t].backend, TARGETS[t].isa, text_at(k, "text").ptr, off, allowed);
            if (TARGETS[t].exact) worst = fmax(worst, off);
            else by_default = fmax(by_default, off);
        }
        gllm_client_close(c);
    }
    print_message("%-28s within %.1e, by default %.1e\n", name, worst, by_default);
    json_decref(root);
}

static void test_files(void **state) {
    (void)state;
    struct dirent **names;
    int n = scandir(GOLDEN, &names, NULL, alphasort), seen = 0;
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        const size_t len = strlen(names[i]->d_name);
        if (len > 5 && !strcmp(names[i]->d_name + len - 5, ".gguf")) check_file(names[i]->d_name), seen++;
        free(names[i]);
    }
    free(names);
    assert_true(seen >= 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
