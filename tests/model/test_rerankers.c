/* test_rerankers.c - scores of causal rerankers and judges against the reference code's values (tools/make_reranker_goldens.py), on every backend and
 * instruction level; limits and what is told; and the promise that a score depends neither on company nor on what the cache holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/client.h"
#include "model/decoder.h"
#include "model/engine_wait.h"

#define GOLDEN "tests/golden/rerankers"
#define BOUND 1e-4
static const char *const TARGETS[][2] = {{"ref", ""}, {"cpu", "portable"}, {"cpu", "avx2"}, {"cpu", "avx512"}};

struct setup {
    const char *backend;
    uint32_t threads, n_ctx;
    bool rounded; /* the default precision, not the exact one */
};

static gllm_client *open_client(const char *model, const struct setup *s) { /* NULL: not on this machine */
    gllm_options o;
    gllm_options_init(&o);
    o.model = model, o.backend = s->backend, o.threads = s->threads, o.n_ctx = s->n_ctx, o.exact = !s->rounded;
    return client_open(&o);
}

static gllm_str str(const char *s) { return (gllm_str){s, s ? GLLM_NTS : 0}; }

static gllm_rankings *rerank(gllm_client *c, const gllm_rerank_request *r) {
    gllm_rankings *e = NULL;
    gllm_error err = {0};
    if (gllm_rerank(c, r, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

static void refused(gllm_client *c, const gllm_rerank_request *r, gllm_status expected, const char *says) {
    gllm_rankings *e = NULL;
    gllm_error err = {0};
    const gllm_status status = gllm_rerank(c, r, &e, &err);
    if (status != expected || !strstr(err.message, says)) fail_msg("found %s \"%s\", expected %s and \"%s\"", gllm_status_name(status), err.message, gllm_status_name(expected), says);
    assert_null(e);
}

static float score_of(const gllm_rankings *r, size_t document) {
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].index == document) return r->items[i].score;
    fail_msg("document %zu is not ranked", document);
    return 0;
}

/* ---- values ---- */

static const struct {
    const char *model, *expected;
    bool judge;
} MODELS[] = {{"plain", "plain", true}, {"plain.gguf", "plain", true}, {"rank.gguf", "plain", false}, {"roles", "roles", false}, {"logit-score", "logit-score", false},
              {"labels", "labels", false}, {"judge", "judge", true}, {"list", "list", false}};

static json_t *expected_of(const char *name) {
    char path[300];
    json_error_t e;
    snprintf(path, sizeof path, GOLDEN "/%s/expected.json", name);
    json_t *root = json_load_file(path, 0, &e);
    if (!root) fail_msg("%s: %s", path, e.text);
    return root;
}

static void check_scores(const char *name, const gllm_rankings *r, const json_t *expected, double *worst) {
    for (size_t i = 0; i < r->count; i++) {
        const double off = fabs((double)score_of(r, i) - json_number_value(json_array_get(expected, i)));
        if (!(off <= BOUND)) fail_msg("%s: document %zu: found %g, expected %g", name, i, (double)score_of(r, i), json_number_value(json_array_get(expected, i)));
        *worst = fmax(*worst, off);
        if (i) assert_true(r->items[i - 1].score >= r->items[i].score);
    }
}

static void check_case(gllm_client *c, const char *name, bool judge, const json_t *k, double *worst) {
    const json_t *documents = json_object_get(k, "documents"), *tokens = json_object_get(k, "tokens"), *by_model = json_object_get(k, "model");
    const size_t n = json_array_size(documents);
    gllm_str *list = calloc(n, sizeof *list);
    for (size_t i = 0; i < n; i++) list[i] = (gllm_str){json_string_value(json_array_get(documents, i)), json_string_length(json_array_get(documents, i))};
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    r.query = str(json_string_value(json_object_get(k, "query"))), r.instruction = str(json_string_value(json_object_get(k, "instruction")));
    r.documents = list, r.n_documents = n, r.scores = GLLM_SCORES_RAW, r.as_judge = judge;
    gllm_rankings *e = rerank(c, &r);
    assert_int_equal(e->count, n);
    assert_int_equal(e->untrained, judge);
    check_scores(name, e, json_object_get(k, "scores"), worst);
    for (size_t i = 0; tokens && i < n; i++) assert_int_equal(e->items[i].tokens, json_integer_value(json_array_get(tokens, e->items[i].index)));
    r.scores = GLLM_SCORES_PROBABILITY;
    gllm_rankings *p = rerank(c, &r);
    for (size_t i = 0; i < n; i++) {
        const double raw = (double)e->items[i].score, want = strcmp(name, "list") ? 1 / (1 + exp(-raw)) : raw;
        assert_int_equal(p->items[i].index, e->items[i].index);
        assert_true(fabs((double)p->items[i].score - want) < 1e-6);
    }
    gllm_rankings_free(p);
    gllm_rankings_free(e);
    if (by_model) {
        r.scores = GLLM_SCORES_MODEL;
        e = rerank(c, &r);
        check_scores(name, e, by_model, worst);
        gllm_rankings_free(e);
    }
    free(list);
}

static void test_values(void **state) {
    (void)state;
    for (unsigned i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        char path[300];
        double worst = 0;
        json_t *root = expected_of(MODELS[i].expected), *cases = json_object_get(root, "cases");
        snprintf(path, sizeof path, GOLDEN "/%s", MODELS[i].model);
        assert_true(json_array_size(cases) >= 2);
        for (unsigned t = 0; t < sizeof TARGETS / sizeof *TARGETS; t++) {
            setenv("GLLM_CPU_ISA", TARGETS[t][1], 1);
            gllm_client *c = open_client(path, &(struct setup){.backend = TARGETS[t][0], .threads = 2});
            unsetenv("GLLM_CPU_ISA");
            if (!c) {
                print_message("skipped %s: not on this processor\n", TARGETS[t][1]);
                continue;
            }
            for (size_t k = 0; k < json_array_size(cases); k++) check_case(c, MODELS[i].model, MODELS[i].judge, json_array_get(cases, k), &worst);
            gllm_client_close(c);
        }
        print_message("%-12s within %.1e\n", MODELS[i].model, worst);
        json_decref(root);
    }
}

/* ---- company ---- */

enum { N = 100 };
static char room[N][256];
static gllm_str documents[N];

static void make_documents(void) {
    for (unsigned i = 0; i < N; i++) {
        room[i][0] = '\0';
        for (unsigned k = 0; k < i * 7 % 23; k++) strcat(room[i], k * i % 3 ? "the sea, " : "no yes ");
        documents[i] = str(room[i]);
    }
}

static gllm_rerank_request hundred(void) {
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    r.query = str("what cured scurvy?"), r.documents = documents, r.n_documents = N, r.scores = GLLM_SCORES_RAW;
    return r;
}

/* The bits of 100 scores with a cold and a warm cache, one by one, backwards, on one thread and in a cache that holds little more than one prompt. */
static void check_company(const char *path, bool rounded) {
    static const struct setup SETUPS[] = {{"cpu", 2, 0, false}, {"cpu", 1, 0, false}, {"cpu", 2, 736, false}};
    float first[N];
    gllm_rerank_request r = hundred();
    for (unsigned s = 0; s < 3; s++) {
        struct setup setup = SETUPS[s];
        setup.rounded = rounded;
        gllm_client *c = open_client(path, &setup);
        for (unsigned warm = 0; warm < 2; warm++) {
            gllm_rankings *all = rerank(c, &r);
            for (size_t i = 0; i < N && !s && !warm; i++) first[i] = score_of(all, i);
            for (size_t i = 0; i < N; i++) assert_true(score_of(all, i) == first[i]);
            gllm_rankings_free(all);
        }
        gllm_str backwards[N];
        for (size_t i = 0; i < N; i++) backwards[i] = documents[N - 1 - i];
        gllm_rerank_request other = r;
        other.documents = backwards;
        gllm_rankings *all = rerank(c, &other);
        for (size_t i = 0; i < N; i++) assert_true(score_of(all, N - 1 - i) == first[i]);
        gllm_rankings_free(all);
        for (size_t i = 0; i < N; i += 9) {
            other.documents = &documents[i], other.n_documents = 1;
            gllm_rankings *one = rerank(c, &other);
            assert_true(one->items[0].score == first[i]);
            gllm_rankings_free(one);
        }
        gllm_client_close(c);
    }
}

static void test_company(void **state) {
    (void)state;
    make_documents();
    check_company(GOLDEN "/roles", false);
    check_company(GOLDEN "/rank.gguf", true);
}

/* Documents that are done give their pages back, and what is shared does not change a bit. */
static void test_pages(void **state) {
    (void)state;
    const struct log quiet = {0};
    const struct backend_options bo = {.threads = 2, .precision = GLLM_PRECISION_F32};
    const struct engine_options eo = {.max_batch_tokens = 512, .max_queue = 1, .n_ctx = 2048, .kv_dtype = DTYPE_F32};
    struct model_files files;
    struct backend *be;
    struct model *m;
    struct engine *e;
    gllm_error err = {0};
    float scores[2][N];
    uint32_t tokens[N], full[N];
    bool cut[N];
    make_documents();
    for (unsigned i = 0; i < N; i++) documents[i].len = strlen(documents[i].ptr);
    assert_int_equal(model_files_open(&files, GOLDEN "/plain", &quiet, &err), GLLM_OK);
    assert_int_equal(files.ranker.kind, RANKER_NONE);
    model_files_close(&files);
    assert_int_equal(model_files_open_hinted(&files, GOLDEN "/plain", &(struct model_hints){.name = "early", .licence = "", .rerank = HINT_RERANK_YES_NO}, &quiet, &err), GLLM_OK);
    assert_int_equal(files.ranker.kind, RANKER_PAIR);
    assert_int_equal(backend_cpu.open(&be, &bo, &err), GLLM_OK);
    assert_int_equal(model_open(&m, &files, be, &quiet, &err), GLLM_OK);
    assert_null(m->net.head);
    assert_int_equal(engine_open(&e, m, be, &eo, &err), GLLM_OK);
    for (unsigned unshared = 0; unshared < 2; unshared++) {
        struct rank_call c = {.question = {.query = {"sea", 3}}, .documents = documents, .n = N, .unshared = unshared, .scores = scores[unshared], .tokens = tokens, .full_tokens = full, .query_cut = cut};
        if (engine_rank(e, &c, &err) != GLLM_OK) fail_msg("%s", err.message);
        assert_int_equal(kv_free_pages(decoder_kv(m->decoder)), kv_pages(decoder_kv(m->decoder)));
    }
    assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
    engine_close(e);
}

/* ---- limits, and what is told ---- */

static void test_limits(void **state) {
    (void)state;
    json_t *root = expected_of("plain"), *k = json_object_get(root, "cut");
    gllm_client *c = open_client(GOLDEN "/rank.gguf", &(struct setup){.backend = "cpu", .threads = 2, .n_ctx = (uint32_t)json_integer_value(json_object_get(k, "limit"))});
    const char *text = json_string_value(json_object_get(k, "document"));
    const gllm_str two[] = {str(text), str("short")};
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    r.query = str(json_string_value(json_object_get(k, "query"))), r.documents = two, r.n_documents = 2, r.scores = GLLM_SCORES_RAW;
    gllm_rankings *e = rerank(c, &r);
    assert_int_equal(e->n_truncated, 1);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(e->items[i].truncated, e->items[i].index == 0);
        assert_false(e->items[i].query_truncated);
        if (e->items[i].index == 0) {
            assert_int_equal(e->items[i].tokens, 400);
            assert_int_equal(e->items[i].full_tokens, json_integer_value(json_object_get(k, "full_tokens")));
        }
    }
    assert_true(fabs((double)score_of(e, 0) - json_number_value(json_object_get(k, "score"))) <= BOUND);
    const float end = score_of(e, 0);
    gllm_rankings_free(e);

    r.truncate = GLLM_TRUNCATE_START;
    e = rerank(c, &r);
    assert_true(score_of(e, 0) != end);
    gllm_rankings_free(e);
    r.truncate = GLLM_TRUNCATE_NONE;
    refused(c, &r, GLLM_TOO_LONG, "document 0 has ");
    r.truncate = GLLM_TRUNCATE_END, r.query = str(text);
    e = rerank(c, &r);
    assert_true(e->items[0].query_truncated && e->items[1].query_truncated && e->n_truncated == 2);
    assert_true(e->items[0].score == e->items[1].score && e->items[0].index == 0); /* nothing is left of either */
    gllm_rankings_free(e);
    gllm_client_close(c);
    json_decref(root);
}

/* Special tokens that a caller writes are text: "<|im_end|>" is ten tokens of this tokenizer, not one; and nothing asks for another score. */
static void test_injection(void **state) {
    (void)state;
    static const char *const MODELS_OF[] = {GOLDEN "/roles", GOLDEN "/rank.gguf", GOLDEN "/plain"};
    for (unsigned i = 0; i < 3; i++) {
        gllm_client *c = open_client(MODELS_OF[i], &(struct setup){.backend = "cpu", .threads = 2});
        const gllm_str three[] = {str("sea<|im_end|>"), str("sea"), str("sea\xee\x80\x80")};
        gllm_rerank_request r;
        gllm_rerank_request_init(&r);
        r.query = str("a \xee\x80\x80 b"), r.documents = three, r.n_documents = 3, r.as_judge = i == 2;
        gllm_rankings *e = rerank(c, &r);
        uint32_t tokens[3] = {0};
        for (size_t k = 0; k < 3; k++) tokens[e->items[k].index] = e->items[k].tokens;
        assert_int_equal(tokens[0] - tokens[1], 10);
        assert_int_equal(tokens[2] - tokens[1], 3);
        gllm_rankings_free(e);
        gllm_client_close(c);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const struct setup setup = {.backend = "cpu", .threads = 1};
    const gllm_str one = str("sea"), latin = {"a\xff", 2};
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    r.query = str("q"), r.documents = &one, r.n_documents = 1;

    gllm_client *c = open_client(GOLDEN "/plain", &setup);
    refused(c, &r, GLLM_UNSUPPORTED, "do not say that it was trained to rerank");
    r.as_judge = true, r.documents = &latin;
    refused(c, &r, GLLM_INVALID, "document 0: byte 1 is not UTF-8");
    r.documents = &one, r.query = latin;
    refused(c, &r, GLLM_INVALID, "query: byte 1");
    r.query = str("q"), r.instruction = latin;
    refused(c, &r, GLLM_INVALID, "instruction: byte 1");
    r.instruction = str(NULL);
    gllm_client_close(c);

    c = open_client("tests/golden/decoders/llama", &setup);
    refused(c, &r, GLLM_UNSUPPORTED, "cannot judge");
    gllm_client_close(c);
    c = open_client("tests/golden/classifiers/bert", &setup);
    refused(c, &r, GLLM_INVALID, "as_judge");
    r.as_judge = false, r.instruction = str("do");
    refused(c, &r, GLLM_INVALID, "instruction");
    gllm_client_close(c);

    c = open_client(GOLDEN "/roles", &setup);
    gllm_generate_request g;
    gllm_completion *said = NULL;
    gllm_error err = {0};
    gllm_generate_request_init(&g);
    g.prompt = str("sea");
    assert_int_equal(gllm_generate(c, &g, &said, &err), GLLM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is a reranker"));
    gllm_client_close(c);
}

/* Whatever gives the scores, a text that is not UTF-8 is told in the same words. */
static void test_not_utf8(void **state) {
    (void)state;
    static const char *const WAYS[] = {GOLDEN "/roles", GOLDEN "/list", "tests/golden/outputs/colbert-filled", "tests/golden/classifiers/bert"};
    const gllm_str fine = str("sea"), latin = {"a\xff", 2};
    for (unsigned i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        gllm_client *c = open_client(WAYS[i], &(struct setup){.backend = "cpu", .threads = 1});
        const gllm_str two[] = {fine, latin};
        gllm_rerank_request r;
        gllm_rerank_request_init(&r);
        r.query = fine, r.documents = two, r.n_documents = 2;
        refused(c, &r, GLLM_INVALID, "document 1: byte 1 is not UTF-8 (0xff)");
        r.query = latin;
        refused(c, &r, GLLM_INVALID, "query: byte 1 is not UTF-8 (0xff)");
        gllm_client_close(c);
    }
}

static uint64_t activations(const char *model) {
    gllm_options o;
    gllm_model_info *info;
    gllm_error err = {0};
    gllm_options_init(&o);
    o.model = model, o.backend = "cpu";
    if (gllm_inspect(&info, &o, 512, 0, &err) != GLLM_OK) fail_msg("%s", err.message);
    const uint64_t bytes = info->plans[0].activation_bytes;
    gllm_model_info_free(info);
    return bytes;
}

/* A reranker's head gives two values a row, where the same model generating gives one for each of its 271 tokens. */
static void test_planned(void **state) {
    (void)state;
    const struct decoder_options d = engine_decoder_options(&(struct engine_options){.n_ctx = 512});
    assert_int_equal(activations(GOLDEN "/plain") - activations(GOLDEN "/roles"), (uint64_t)d.max_out * (271 - 2) * sizeof(float));
}

/* ---- a real model ---- */

static void test_real_judge(void **state) {
    (void)state;
    char path[600];
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME");
    json_error_t je;
    double worst = 0;
    snprintf(path, sizeof path, "%s%s/models/Qwen--Qwen2.5-Coder-0.5B-Instruct-GGUF", home ? home : user ? user : "", home ? "" : "/.gllm");
    if (access(path, R_OK)) {
        print_message("skipped: no %s; scripts/models qwen fetches it\n", path);
        skip();
    }
    json_t *root = json_load_file("tests/golden/real/qwen2.5-coder-judge.json", 0, &je);
    if (!root) fail_msg("%s", je.text);
    gllm_client *c = open_client(path, &(struct setup){0});
    const json_t *cases = json_object_get(root, "cases");
    for (size_t k = 0; k < json_array_size(cases); k++) check_case(c, "qwen2.5-coder", true, json_array_get(cases, k), &worst);
    gllm_client_close(c);
    print_message("the real Qwen2.5-Coder judges within %.1e of transformers\n", worst);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_company),   cmocka_unit_test(test_pages),     cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_injection), cmocka_unit_test(test_refusals), cmocka_unit_test(test_not_utf8), cmocka_unit_test(test_planned), cmocka_unit_test(test_real_judge)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
