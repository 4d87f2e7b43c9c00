/* test_outputs.c - models that give more than one pooled vector a text, or something else: BGE-M3, SPLADE, late interaction, static embeddings; through
 * the public API, on every backend and instruction level, against the values of tools/make_output_goldens.py; and that a text's outputs do not depend on
 * its company. */
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
#include "unit/temp_dir.h"

#define GOLDEN "tests/golden/outputs"
static const char *const TARGETS[][2] = {{"ref", ""}, {"cpu", "portable"}, {"cpu", "avx2"}, {"cpu", "avx512"}};

static json_t *load(const char *name) {
    char path[512];
    json_error_t e;
    snprintf(path, sizeof path, GOLDEN "/%s/expected.json", name);
    json_t *v = json_load_file(path, 0, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

static gllm_embeddings *embed(gllm_client *c, const gllm_str *texts, size_t n, uint32_t outputs, bool queries) {
    gllm_embed_request r = client_request(texts);
    r.n_inputs = n, r.outputs = outputs, r.input_type = queries ? GLLM_INPUT_QUERY : GLLM_INPUT_DOCUMENT;
    return client_embed(c, &r);
}

/* The same entries with the same weights, in parts of the larger of 1 and the largest; one that only one side has must be as good as 0. */
static double sparse_off(const gllm_sparse *s, const json_t *expected) {
    const json_t *ids = json_object_get(expected, "ids"), *weights = json_object_get(expected, "weights");
    double worst = 0, top = 1;
    size_t i = 0, k = 0;
    while (i < s->count || k < json_array_size(ids)) {
        const json_int_t id = k < json_array_size(ids) ? json_integer_value(json_array_get(ids, k)) : INT32_MAX;
        const double w = id == INT32_MAX ? 0 : json_number_value(json_array_get(weights, k));
        top = fmax(top, w);
        assert_true(i == 0 || i >= s->count || s->ids[i] > s->ids[i - 1]);
        if (i < s->count && s->ids[i] == id) worst = fmax(worst, fabs(w - (double)s->weights[i++])), k++;
        else if (i < s->count && s->ids[i] < id) worst = fmax(worst, (double)s->weights[i++]);
        else worst = fmax(worst, w), k++;
    }
    return worst / top;
}

static double vectors_off(const gllm_token_vectors *v, size_t dim, const json_t *rows) {
    double worst = 0;
    assert_int_equal(v->count, json_array_size(rows));
    for (size_t i = 0; i < v->count; i++) worst = fmax(worst, worst_of(v->data + i * dim, json_array_get(rows, i), dim));
    return worst;
}

static double check_case(gllm_client *c, const char *name, const json_t *k) {
    const json_t *t = json_object_get(k, "text"), *dense = json_object_get(k, "dense"), *sparse = json_object_get(k, "sparse"), *vectors = json_object_get(k, "vectors");
    const gllm_str text = {json_string_value(t), json_string_length(t)};
    const uint32_t outputs = (dense ? GLLM_OUTPUT_DENSE : 0) | (sparse ? GLLM_OUTPUT_SPARSE : 0) | (vectors ? GLLM_OUTPUT_TOKENS : 0);
    gllm_embeddings *e = embed(c, &text, 1, outputs, json_is_true(json_object_get(k, "query")));
    double worst = 0;
    assert_int_equal(e->outputs, outputs);
    assert_true(!dense == !e->dim && !sparse == !e->sparse && !vectors == !e->token_vectors);
    if (dense) worst = fmax(worst, worst_of(e->data, dense, e->dim));
    if (sparse) worst = fmax(worst, sparse_off(&e->sparse[0], sparse));
    if (vectors) worst = fmax(worst, vectors_off(&e->token_vectors[0], e->token_dim, vectors));
    if (!(worst <= 1e-5)) fail_msg("%s: \"%.40s\" is off by %g, allowed 1e-5", name, text.ptr, worst);
    gllm_embeddings_free(e);
    return worst;
}

static void check_scores(gllm_client *c, const char *name, const json_t *root) {
    const json_t *scores = json_object_get(root, "scores"), *cases = json_object_get(root, "cases");
    gllm_str documents[32];
    gllm_rerank_request r;
    gllm_error err = {0};
    gllm_rankings *got;
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *k = json_array_get(cases, i);
        if (!json_is_true(json_object_get(k, "query"))) documents[n++] = (gllm_str){json_string_value(json_object_get(k, "text")), json_string_length(json_object_get(k, "text"))};
    }
    assert_int_equal(n, json_array_size(scores));
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){json_string_value(json_object_get(root, "rank_query")), GLLM_NTS}, r.documents = documents, r.n_documents = n;
    if (gllm_rerank(c, &r, &got, &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    assert_int_equal(got->count, n);
    for (size_t i = 0; i < n; i++) {
        const double expected = json_number_value(json_array_get(scores, got->items[i].index));
        if (!(fabs(expected - (double)got->items[i].score) <= 1e-5 * fmax(1, fabs(expected)))) fail_msg("%s: document %zu: %g, expected %g", name, got->items[i].index, (double)got->items[i].score, expected);
        assert_true(!i || got->items[i].score <= got->items[i - 1].score);
    }
    gllm_rankings_free(got);
}

/* The values of the model's other adapters, each in a client of its own. */
static double check_others(const char *dir, unsigned target, const json_t *others) {
    double worst = 0;
    for (size_t i = 0; i < json_array_size(others); i++) {
        const json_t *other = json_array_get(others, i), *cases = json_object_get(other, "cases");
        gllm_options o;
        gllm_options_init(&o);
        o.model = dir, o.backend = TARGETS[target][0], o.threads = 2, o.adapter = json_string_value(json_object_get(other, "adapter"));
        gllm_client *c = client_open(&o);
        assert_true(json_array_size(cases) >= 2);
        for (size_t k = 0; k < json_array_size(cases); k++) worst = fmax(worst, check_case(c, dir, json_array_get(cases, k)));
        gllm_client_close(c);
    }
    return worst;
}

static void check_model(const char *name) {
    json_t *root = load(name), *cases = json_object_get(root, "cases");
    char dir[512];
    double worst = 0;
    snprintf(dir, sizeof dir, GOLDEN "/%s", name);
    assert_true(json_array_size(cases) >= 2);
    for (unsigned t = 0; t < sizeof TARGETS / sizeof *TARGETS; t++) {
        setenv("GLLM_CPU_ISA", TARGETS[t][1], 1);
        gllm_client *c = client_open_with(dir, TARGETS[t][0], 2, 0);
        if (c) worst = fmax(worst, check_others(dir, t, json_object_get(root, "others")));
        unsetenv("GLLM_CPU_ISA");
        if (!c) {
            print_message("skipped %s: not on this processor\n", TARGETS[t][1]);
            continue;
        }
        for (size_t i = 0; i < json_array_size(cases); i++) worst = fmax(worst, check_case(c, name, json_array_get(cases, i)));
        if (json_object_get(root, "scores")) check_scores(c, name, root);
        gllm_client_close(c);
    }
    print_message("%-28s within %.1e\n", name, worst);
    json_decref(root);
}

static void test_models(void **state) {
    (void)state;
    struct dirent **names;
    int n = scandir(GOLDEN, &names, NULL, alphasort), seen = 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') check_model(names[i]->d_name), seen++;
        free(names[i]);
    }
    if (n >= 0) free(names);
    assert_true(seen >= 11);
}

/* Each text's outputs have the bits that they have alone, whatever the batch, the threads and the other outputs. */
static void check_company(const char *name, uint32_t outputs) {
    enum { N = 24 };
    static char room[N][200];
    static const uint32_t SHAPES[][2] = {{1, 0}, {2, 48}, {3, 4096}};
    gllm_str texts[N];
    char dir[256];
    for (unsigned i = 0; i < N; i++) {
        room[i][0] = '\0';
        for (unsigned k = 0; k < i * 5 % 17; k++) strcat(room[i], k * i % 3 ? "wisdom " : "sea star ");
        texts[i] = (gllm_str){room[i], GLLM_NTS};
    }
    snprintf(dir, sizeof dir, GOLDEN "/%s", name);
    gllm_client *one = client_open_with(dir, "cpu", 1, 0);
    for (unsigned s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
        gllm_client *c = client_open_with(dir, "cpu", SHAPES[s][0], SHAPES[s][1]);
        gllm_embeddings *e = embed(c, texts, N, outputs, false);
        for (size_t i = 0; i < N; i++) {
            if (outputs & GLLM_OUTPUT_SPARSE) {
                gllm_embeddings *a = embed(one, &texts[i], 1, GLLM_OUTPUT_SPARSE, false);
                assert_int_equal(a->sparse[0].count, e->sparse[i].count);
                assert_memory_equal(a->sparse[0].ids, e->sparse[i].ids, a->sparse[0].count * sizeof(int32_t));
                assert_memory_equal(a->sparse[0].weights, e->sparse[i].weights, a->sparse[0].count * sizeof(float));
                gllm_embeddings_free(a);
            }
            if (outputs & GLLM_OUTPUT_TOKENS) {
                gllm_embeddings *a = embed(one, &texts[i], 1, GLLM_OUTPUT_TOKENS, false);
                assert_int_equal(a->token_vectors[0].count, e->token_vectors[i].count);
                assert_memory_equal(a->token_vectors[0].data, e->token_vectors[i].data, a->token_vectors[0].count * a->token_dim * sizeof(float));
                gllm_embeddings_free(a);
            }
            if (outputs & GLLM_OUTPUT_DENSE) {
                gllm_embeddings *a = embed(one, &texts[i], 1, GLLM_OUTPUT_DENSE, false);
                assert_memory_equal(a->data, e->data + i * e->dim, a->dim * sizeof(float));
                gllm_embeddings_free(a);
            }
        }
        gllm_embeddings_free(e);
        gllm_client_close(c);
    }
    gllm_client_close(one);
}

static void test_company(void **state) {
    (void)state;
    check_company("bge-m3", GLLM_OUTPUT_DENSE | GLLM_OUTPUT_SPARSE | GLLM_OUTPUT_TOKENS);
    check_company("splade-chunks", GLLM_OUTPUT_SPARSE);
    check_company("static-model2vec", GLLM_OUTPUT_DENSE);
    check_company("jina-v4", GLLM_OUTPUT_DENSE | GLLM_OUTPUT_TOKENS);
}

/* An adapter that is not there is refused with the names of those that are. */
static void test_adapters(void **state) {
    (void)state;
    static const char *const CASES[][3] = {{GOLDEN "/jina-v4", "retrieve", "jina-v4 has: retrieval, text-matching, code"}, {GOLDEN "/bge-m3", "code", "bge-m3 has no adapters"}};
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        gllm_options o;
        gllm_error err = {0};
        gllm_client *c;
        gllm_options_init(&o);
        o.model = CASES[i][0], o.adapter = CASES[i][1];
        assert_true(gllm_client_open(&c, &o, &err) != GLLM_OK);
        if (!strstr(err.message, CASES[i][2])) fail_msg("found \"%s\", expected \"%s\"", err.message, CASES[i][2]);
    }
}

/* A copy of jina-v4 by links, with this adapter_config.json. */
static const char *with_adapter_config(const char *config) {
    static const char *const LINKS[] = {"config.json", "model.safetensors", "modules.json", "tokenizer.json", "tokenizer_config.json", "adapters/adapter_model.safetensors"};
    char here[300], from[700];
    temp_text("jina/adapters/adapter_config.json", config);
    if (!getcwd(here, sizeof here)) fail_msg("no working directory");
    for (unsigned i = 0; i < sizeof LINKS / sizeof *LINKS; i++) {
        char to[128];
        snprintf(from, sizeof from, "%s/" GOLDEN "/jina-v4/%s", here, LINKS[i]);
        snprintf(to, sizeof to, "jina/%s", LINKS[i]);
        unlink(temp_path(to));
        if (symlink(from, temp_path(to))) fail_msg("cannot link %s", to);
    }
    return temp_path("jina");
}

/* What PEFT can do beside adding B A is refused by its key. */
static void test_adapter_variants(void **state) {
    (void)state;
    static const char *const CASES[][2] = {
        {"[]", "r: found 0"},
        {"{\"r\":4,\"lora_alpha\":6,\"use_dora\":true}", "use_dora: found true"},
        {"{\"r\":4,\"lora_alpha\":6,\"peft_type\":\"IA3\"}", "peft_type: found \"IA3\""},
        {"{\"r\":4,\"lora_alpha\":6,\"bias\":\"all\"}", "bias \"all\""},
        {"{\"r\":4,\"lora_alpha\":6,\"rank_pattern\":{\"q_proj\":8}}", "rank_pattern: found 1 entries"},
        {"{\"r\":4,\"lora_alpha\":6,\"modules_to_save\":[\"norm\"]}", "modules_to_save: found 1 entries"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        gllm_options o;
        gllm_error err = {0};
        gllm_client *c;
        gllm_options_init(&o);
        o.model = with_adapter_config(CASES[i][0]);
        assert_true(gllm_client_open(&c, &o, &err) != GLLM_OK);
        if (!strstr(err.message, CASES[i][1])) fail_msg("found \"%s\", expected \"%s\"", err.message, CASES[i][1]);
    }
}

/* What a model lacks is refused by name; what it has first is the default. */
static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *dir;
        uint32_t outputs, first;
        const char *message;
    } CASES[] = {{GOLDEN "/splade-bert", GLLM_OUTPUT_DENSE, GLLM_OUTPUT_SPARSE, "splade-bert gives no pooled vectors"},
                 {GOLDEN "/bge-m3", 8, GLLM_OUTPUT_DENSE, "outputs: found 0x8"},
                 {"tests/golden/models/bert-mean", GLLM_OUTPUT_SPARSE, GLLM_OUTPUT_DENSE, "bert-mean gives no sparse vectors"},
                 {GOLDEN "/static-sentence", GLLM_OUTPUT_TOKENS | GLLM_OUTPUT_DENSE, GLLM_OUTPUT_DENSE, "static-sentence gives no token vectors"}};
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        gllm_client *c = client_open_with(CASES[i].dir, "cpu", 1, 0);
        gllm_embed_request r;
        gllm_error err = {0};
        gllm_embeddings *e;
        gllm_str text = {"sea", GLLM_NTS};
        gllm_embed_request_init(&r);
        r.inputs = &text, r.n_inputs = 1, r.outputs = CASES[i].outputs;
        assert_true(gllm_embed(c, &r, &e, &err) != GLLM_OK);
        if (!strstr(err.message, CASES[i].message)) fail_msg("found \"%s\", expected \"%s\"", err.message, CASES[i].message);
        e = embed(c, &text, 1, 0, false);
        assert_int_equal(e->outputs, CASES[i].first);
        gllm_embeddings_free(e);
        gllm_client_close(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models), cmocka_unit_test(test_company), cmocka_unit_test(test_adapters), cmocka_unit_test(test_adapter_variants), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
