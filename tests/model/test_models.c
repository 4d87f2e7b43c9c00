/* test_models.c - vectors and ids of whole models against the values that the reference library gave (tools/make_model_goldens.py,
 * make_encoder_goldens.py and make_embedder_goldens.py), through the public API, on every backend and instruction level; and the promise that a text's vector does not depend on its company. */
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
#include <sys/stat.h>

#include "gllm.h"

#define GOLDEN "tests/golden"
enum { WIDEST = 64 }; /* of the models of test_invariance */

static gllm_client *open_client(const char *dir, const char *backend, uint32_t threads, uint32_t batch) {
    gllm_options o;
    gllm_error err = {0};
    gllm_client *c;
    gllm_options_init(&o);
    o.model = dir, o.backend = backend, o.threads = threads, o.max_batch_tokens = batch;
    if (gllm_client_open(&c, &o, &err) != GLLM_OK) fail_msg("%s: %s", dir, err.message);
    return c;
}

static json_t *load(const char *path) {
    json_error_t e;
    json_t *v = json_load_file(path, 0, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

static gllm_embeddings *embed_cut(gllm_client *c, const gllm_str *texts, size_t n, const char *prompt_name, uint32_t dimensions) {
    gllm_embed_request r;
    gllm_error err = {0};
    gllm_embeddings *e;
    gllm_embed_request_init(&r);
    r.inputs = texts, r.n_inputs = n, r.prompt_name = prompt_name, r.dimensions = dimensions;
    if (gllm_embed(c, &r, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

static gllm_embeddings *embed(gllm_client *c, const gllm_str *texts, size_t n, const char *prompt_name) { return embed_cut(c, texts, n, prompt_name, 0); }

/* Largest |a - b| over the larger of 1 and the largest |b|. */
static double distance(const float *a, const float *b, size_t n) {
    double worst = 0, top = 1;
    for (size_t i = 0; i < n; i++) {
        top = fmax(top, fabs((double)b[i]));
        worst = fmax(worst, isfinite(a[i]) ? fabs((double)a[i] - b[i]) : INFINITY);
    }
    return worst / top;
}

static double check_model(const char *folder, const char *name, const char *backend) {
    char dir[512], path[600];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s/expected.json", dir);
    json_t *root = load(path), *cases = json_object_get(root, "cases");
    gllm_client *c = open_client(dir, backend, 2, 0);
    const uint32_t dimensions = (uint32_t)json_integer_value(json_object_get(root, "dimensions"));
    double worst = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        json_t *k = json_array_get(cases, i), *v = json_object_get(k, "vector"), *t = json_object_get(k, "text");
        gllm_str text = {json_string_value(t), json_string_length(t)};
        gllm_embeddings *e = embed_cut(c, &text, 1, json_string_value(json_object_get(k, "prompt_name")), dimensions);
        float expected[512];
        assert_int_equal(e->dim, json_array_size(v));
        for (size_t d = 0; d < e->dim; d++) expected[d] = (float)json_number_value(json_array_get(v, d));
        double off = distance(e->data, expected, e->dim);
        if (!(off <= 1e-5)) fail_msg("%s on %s: \"%.40s\" is off by %.3g, allowed 1e-5", name, backend, text.ptr, off);
        worst = fmax(worst, off);
        gllm_embeddings_free(e);
    }
    gllm_client_close(c);
    json_decref(root);
    return worst;
}

static int check_folder(const char *folder, const char *backend, const char *isa) {
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort), models = 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            printf("%-6s %-9s %-28s worst %.2e\n", backend, isa ? isa : "", names[i]->d_name, check_model(folder, names[i]->d_name, backend));
            models++;
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
    return models;
}

static void check_all(const char *backend, const char *isa) {
    if (isa) setenv("GLLM_CPU_ISA", isa, 1);
    assert_true(check_folder(GOLDEN "/models", backend, isa) >= 24);
    assert_true(check_folder(GOLDEN "/encoders", backend, isa) >= 15);
    assert_true(check_folder(GOLDEN "/embedders", backend, isa) >= 8);
    unsetenv("GLLM_CPU_ISA");
}

static void test_ref(void **state) {
    (void)state;
    check_all("ref", NULL);
}
static void test_cpu(void **state) {
    (void)state;
    check_all("cpu", "portable");
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) check_all("cpu", "avx2");
    else printf("skipped avx2: this processor lacks it\n");
    if (__builtin_cpu_supports("avx512bw")) check_all("cpu", "avx512");
    else printf("skipped avx512: this processor lacks it\n");
}

/* Alone, among others, at another place, packed otherwise, with 1, 2 and 3 threads: bit for bit the same. */
static void check_invariance(const char *model) {
    static const char *const TEXTS[] = {"the whale", "", "it was the age of wisdom, it was the age of foolishness", "sea", "the age of wisdom the age of wisdom the age of wisdom and the stars", "a"};
    enum { N = sizeof TEXTS / sizeof *TEXTS };
    float alone[N][WIDEST];
    size_t dim = 0;
    gllm_str texts[4 * N];
    gllm_client *c = open_client(model, "cpu", 1, 0);
    for (int i = 0; i < 4 * N; i++) texts[i] = (gllm_str){TEXTS[i * 5 % N], GLLM_NTS};
    for (int i = 0; i < N; i++) {
        gllm_str one = {TEXTS[i], GLLM_NTS};
        gllm_embeddings *e = embed(c, &one, 1, NULL);
        dim = e->dim;
        assert_true(dim && dim <= WIDEST);
        memcpy(alone[i], e->data, dim * sizeof(float));
        gllm_embeddings_free(e);
    }
    gllm_client_close(c);
    for (uint32_t threads = 1; threads <= 3; threads++)
        for (uint32_t budget = 16; budget <= 1024; budget *= 4) {
            c = open_client(model, "cpu", threads, budget);
            gllm_embeddings *e = embed(c, texts, 4 * N, NULL);
            for (int i = 0; i < 4 * N; i++) assert_memory_equal(e->data + i * dim, alone[i * 5 % N], dim * sizeof(float));
            gllm_embeddings_free(e);
            gllm_client_close(c);
        }
}

static void test_invariance(void **state) {
    (void)state;
    static const char *const MODELS[] = {"models/mpnet-mean", "encoders/jina-v2-six-heads", "encoders/jina-v2-code", "encoders/gte-new-ntk-cls", "encoders/nomic-mean", "encoders/modernbert-mean", "embedders/qwen3", "embedders/codexembed2b", "embedders/qwen2-both-ways"};
    for (unsigned i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        char dir[256];
        snprintf(dir, sizeof dir, GOLDEN "/%s", MODELS[i]);
        check_invariance(dir);
    }
}

static void from_base64(const char *s, unsigned char *out, size_t n) {
    static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0, have = 0;
    for (size_t at = 0; at < n && *s && *s != '='; s++) {
        bits = bits << 6 | (uint32_t)(strchr(ALPHABET, *s) - ALPHABET);
        if ((have += 6) >= 8) out[at++] = (unsigned char)(bits >> (have -= 8));
    }
}

static void test_minilm(void **state) {
    (void)state;
    char dir[1024];
    struct stat st;
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME");
    if (home) snprintf(dir, sizeof dir, "%s/models/sentence-transformers--all-MiniLM-L6-v2", home);
    else snprintf(dir, sizeof dir, "%s/.gllm/models/sentence-transformers--all-MiniLM-L6-v2", user ? user : ".");
    if (stat(dir, &st) != 0) {
        printf("skipped: %s is not there (scripts/models minilm brings it)\n", dir);
        skip();
    }
    json_t *root = load(GOLDEN "/minilm.json"), *cases = json_object_get(root, "cases");
    gllm_client *c = open_client(dir, "cpu", 2, 0);
    double worst = 0;
    assert_true(json_array_size(cases) > 20);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        json_t *k = json_array_get(cases, i), *ids = json_object_get(k, "ids"), *text = json_object_get(k, "text");
        gllm_str s = {json_string_value(text), json_string_length(text)};
        gllm_tokenize_request r;
        gllm_tokens *t;
        gllm_error err = {0};
        gllm_tokenize_request_init(&r);
        r.text = s, r.parse_special = true;
        assert_int_equal(gllm_tokenize(c, &r, &t, &err), GLLM_OK);
        assert_int_equal(t->count, json_array_size(ids));
        for (size_t d = 0; d < t->count; d++) assert_int_equal(t->ids[d], json_integer_value(json_array_get(ids, d)));
        gllm_embeddings *e = embed(c, &s, 1, NULL);
        float expected[384];
        from_base64(json_string_value(json_object_get(k, "vector")), (unsigned char *)expected, sizeof expected);
        double off = distance(e->data, expected, 384);
        if (!(off <= 2e-6)) fail_msg("\"%.40s\" is off by %.3g, allowed 2e-6", s.ptr, off);
        assert_int_equal(e->truncated[0], t->count > 256);
        worst = fmax(worst, off);
        gllm_tokens_free(t);
        gllm_embeddings_free(e);
    }
    printf("all-MiniLM-L6-v2: %zu texts, worst %.2e\n", json_array_size(cases), worst);
    gllm_client_close(c);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref), cmocka_unit_test(test_cpu), cmocka_unit_test(test_invariance), cmocka_unit_test(test_minilm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
