/* test_classifiers.c - logits and scores of whole cross-encoders and classifiers against the reference libraries' values
 * (tools/make_classifier_goldens.py, tools/make_encoder_goldens.py), through the public API, on every backend and instruction level; order, truncation, refusals, and the promise that a
 * pair's score does not depend on its company. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/client.h"
#include "unit/temp_dir.h"

#define GOLDEN "tests/golden/classifiers"
#define GOLDEN_HEADS "tests/golden/encoder-heads"
static const char *const TARGETS[][2] = {{"ref", ""}, {"cpu", "portable"}, {"cpu", "avx2"}, {"cpu", "avx512"}};

enum { N_WORDS = 5 };
static const char *const WORDS[N_WORDS] = {"sea", "star", "the whale", "It was the best of times", "wisdom wisdom"};

static gllm_classes *classify(gllm_client *c, const gllm_str *texts, const gllm_str *pairs, size_t n, gllm_scores scores) {
    gllm_classify_request r;
    gllm_error err = {0};
    gllm_classes *e;
    gllm_classify_request_init(&r);
    r.inputs = texts, r.pairs = pairs, r.n_inputs = n, r.scores = scores;
    if (gllm_classify(c, &r, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

static gllm_rankings *rerank(gllm_client *c, gllm_str query, const gllm_str *documents, size_t n, gllm_scores scores, uint32_t top_n) {
    gllm_rerank_request r;
    gllm_error err = {0};
    gllm_rankings *e;
    gllm_rerank_request_init(&r);
    r.query = query, r.documents = documents, r.n_documents = n, r.scores = scores, r.top_n = top_n;
    if (gllm_rerank(c, &r, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

static void check_case(gllm_client *c, const char *name, const json_t *k, double *worst) {
    static const struct {
        gllm_scores scores;
        const char *key;
    } KINDS[] = {{GLLM_SCORES_RAW, "logits"}, {GLLM_SCORES_PROBABILITY, "probabilities"}, {GLLM_SCORES_MODEL, "scores"}};
    const bool pair = json_object_get(k, "pair") != NULL;
    gllm_str a = text_at(k, "text"), b = pair ? text_at(k, "pair") : (gllm_str){0};
    for (unsigned i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        const json_t *expected = json_object_get(k, KINDS[i].key);
        if (!expected) continue;
        gllm_classes *e = classify(c, &a, pair ? &b : NULL, 1, KINDS[i].scores);
        double off = worst_of(e->scores, expected, e->n_labels);
        if (!(off <= 1e-5)) fail_msg("%s: %s of \"%s\" are off by %g", name, KINDS[i].key, a.ptr, off);
        if (e->n_labels == 1 && pair) {
            gllm_rankings *r = rerank(c, a, &b, 1, KINDS[i].scores, 0);
            assert_memory_equal(&r->items[0].score, e->scores, sizeof(float));
            gllm_rankings_free(r);
        }
        *worst = off > *worst ? off : *worst;
        gllm_classes_free(e);
    }
}

static void check_model(const char *folder, const char *name) {
    char dir[512], path[600];
    json_error_t je;
    double worst = 0;
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s/expected.json", dir);
    json_t *root = json_load_file(path, 0, &je), *labels = json_object_get(root, "labels"), *cases = json_object_get(root, "cases");
    if (!root) fail_msg("%s: %s", path, je.text);
    for (unsigned t = 0; t < sizeof TARGETS / sizeof *TARGETS; t++) {
        setenv("GLLM_CPU_ISA", TARGETS[t][1], 1);
        gllm_client *c = client_open_with(dir, TARGETS[t][0], 2, 0);
        unsetenv("GLLM_CPU_ISA");
        if (!c) {
            print_message("skipped %s: not on this processor\n", TARGETS[t][1]);
            continue;
        }
        gllm_str text = {"x", 1};
        gllm_classes *e = classify(c, &text, NULL, 1, GLLM_SCORES_RAW);
        assert_int_equal(e->n_labels, json_array_size(labels));
        for (size_t i = 0; i < e->n_labels; i++) assert_string_equal(e->labels[i], json_string_value(json_array_get(labels, i)));
        gllm_classes_free(e);
        assert_true(json_array_size(cases) >= 5);
        for (size_t i = 0; i < json_array_size(cases); i++) check_case(c, name, json_array_get(cases, i), &worst);
        gllm_client_close(c);
    }
    print_message("%-22s within %.1e\n", name, worst);
    json_decref(root);
}

static int check_folder(const char *folder) {
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort), seen = 0;
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') check_model(folder, names[i]->d_name), seen++;
        free(names[i]);
    }
    free(names);
    return seen;
}

static void test_families(void **state) {
    (void)state;
    assert_true(check_folder(GOLDEN) >= 10);
    assert_true(check_folder(GOLDEN_HEADS) >= 5);
}

/* 100 documents of many lengths: every score has the bits that it has alone, whatever the batch and the threads; sorted, stable, cut to top_n. */
static void test_company(void **state) {
    (void)state;
    enum { N = 100 };
    static char room[N][400];
    gllm_str documents[N], query = {"the age of whales", GLLM_NTS};
    for (unsigned i = 0; i < N; i++) {
        room[i][0] = '\0';
        for (unsigned k = 0; k < i % 37; k++) strcat(room[i], k * i % 3 ? "wisdom " : "sea star ");
        documents[i] = (gllm_str){room[i], GLLM_NTS};
    }
    static const uint32_t SHAPES[][2] = {{1, 0}, {2, 64}, {3, 4096}};
    float alone[N];
    gllm_client *c = client_open_with(GOLDEN "/bert", "cpu", 1, 0);
    uint64_t tokens = 0;
    for (unsigned i = 0; i < N; i++) {
        gllm_rankings *r = rerank(c, query, &documents[i], 1, GLLM_SCORES_PROBABILITY, 0);
        alone[i] = r->items[0].score;
        assert_true(alone[i] > 0 && alone[i] < 1);
        tokens += r->usage.prompt_tokens;
        gllm_rankings_free(r);
    }
    gllm_client_close(c);
    for (unsigned s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
        c = client_open_with(GOLDEN "/bert", "cpu", SHAPES[s][0], SHAPES[s][1]);
        gllm_rankings *r = rerank(c, query, documents, N, GLLM_SCORES_PROBABILITY, 0), *top = rerank(c, query, documents, N, GLLM_SCORES_PROBABILITY, 7);
        assert_int_equal(r->count, N);
        assert_int_equal(top->count, 7);
        assert_int_equal(r->usage.prompt_tokens, tokens);
        for (unsigned i = 0; i < N; i++) {
            const gllm_ranking *x = &r->items[i];
            assert_memory_equal(&x->score, &alone[x->index], sizeof(float));
            if (i) assert_true(x[-1].score > x->score || (x[-1].score == x->score && x[-1].index < x->index));
            if (i < 7) assert_int_equal(top->items[i].index, x->index);
        }
        gllm_rankings_free(r);
        gllm_rankings_free(top);
        gllm_client_close(c);
    }
}

static void test_limits(void **state) {
    (void)state;
    static char words[1200];
    for (unsigned i = 0; i < 200; i++) strcat(words, "sea ");
    gllm_client *c = client_open_with(GOLDEN "/bert", "cpu", 2, 0);
    gllm_str query = {"the whale", GLLM_NTS}, many = {words, GLLM_NTS}, few = {"star", GLLM_NTS};
    gllm_rankings *r = rerank(c, query, &many, 1, GLLM_SCORES_RAW, 0); /* the document is cut, the query kept */
    assert_int_equal(r->items[0].tokens, 48);
    assert_true(r->items[0].truncated && r->items[0].full_tokens > 200 && !r->items[0].query_truncated && r->n_truncated == 1);
    gllm_rankings_free(r);
    r = rerank(c, many, &few, 1, GLLM_SCORES_RAW, 0);
    assert_true(r->items[0].truncated && r->items[0].query_truncated);
    gllm_rankings_free(r);

    gllm_rerank_request q;
    gllm_error err;
    gllm_rerank_request_init(&q);
    q.query = query, q.documents = &many, q.n_documents = 1, q.truncate = GLLM_TRUNCATE_NONE;
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_TOO_LONG);
    assert_null(r);
    assert_non_null(strstr(err.message, "document 0 has"));
    q.truncate = GLLM_TRUNCATE_END, q.n_documents = 0;
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_INVALID);
    assert_string_equal(err.message, "documents: found none, expected at least one text");
    gllm_str bad = {"a\xff", 2};
    q.query = bad, q.documents = &few, q.n_documents = 1;
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_INVALID);
    assert_string_equal(err.message, "query: byte 1 is not UTF-8 (0xff)");
    q.query = query, q.documents = &bad;
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_INVALID);
    assert_non_null(strstr(err.message, "document 0: "));
    gllm_embed_request e;
    gllm_embeddings *v;
    gllm_embed_request_init(&e);
    e.inputs = &query, e.n_inputs = 1;
    assert_int_equal(gllm_embed(c, &e, &v, &err), GLLM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is a reranker"));
    gllm_client_close(c);

    q.documents = &few;
    c = client_open_with(GOLDEN "/bert-many", "cpu", 2, 0);
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "4 labels"));
    gllm_client_close(c);
    c = client_open_with("tests/golden/models/bert-mean", "cpu", 2, 0);
    assert_int_equal(gllm_rerank(c, &q, &r, &err), GLLM_UNSUPPORTED);
    assert_string_equal(err.message, "bert-mean is an embedder (bert): it has no classification head");
    gllm_client_close(c);
}

/* What a call gave stays valid when its client is gone. */
static void test_outlives(void **state) {
    (void)state;
    gllm_str text = {"the whale", GLLM_NTS}, documents[] = {{"sea", GLLM_NTS}, {"star", GLLM_NTS}};
    gllm_client *c = client_open_with(GOLDEN "/bert-many", "cpu", 1, 0);
    gllm_classes *k = classify(c, &text, NULL, 1, GLLM_SCORES_RAW), *before = classify(c, &text, NULL, 1, GLLM_SCORES_RAW);
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_tokenize_request_init(&r);
    r.text = text;
    assert_int_equal(gllm_tokenize(c, &r, &t, NULL), GLLM_OK);
    char first[4][64];
    for (size_t i = 0; i < 4; i++) snprintf(first[i], sizeof first[i], "%s", before->labels[i]);
    gllm_classes_free(before);
    gllm_client_close(c);
    assert_string_equal(k->model, GOLDEN "/bert-many");
    for (size_t i = 0; i < 4; i++) assert_string_equal(k->labels[i], first[i]);
    assert_true(t->pieces[0].len == 5 && !memcmp(t->pieces[0].ptr, "[CLS]", 5));
    gllm_classes_free(k);
    gllm_tokens_free(t);

    c = client_open_with(GOLDEN "/bert", "cpu", 1, 0);
    gllm_rankings *s = rerank(c, text, documents, 2, GLLM_SCORES_RAW, 1);
    gllm_client_close(c);
    assert_string_equal(s->model, GOLDEN "/bert");
    gllm_rankings_free(s);
}

/* A client that closes under a call of another thread waits for it. */
struct held {
    gllm_client *c;
    atomic_bool inside, let_go;
    gllm_rankings *got;
};
static bool hold(void *user, size_t done, size_t total) {
    struct held *h = user;
    (void)done, (void)total;
    atomic_store(&h->inside, true);
    while (!atomic_load(&h->let_go)) usleep(500);
    return true;
}
static void *rank_held(void *arg) {
    struct held *h = arg;
    gllm_str document = {"sea", GLLM_NTS};
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){"the whale", GLLM_NTS}, r.documents = &document, r.n_documents = 1, r.progress = hold, r.progress_user = h;
    gllm_rerank(h->c, &r, &h->got, NULL);
    return NULL;
}
static void *close_held(void *arg) {
    gllm_client_close(((struct held *)arg)->c);
    return NULL;
}
static void test_close(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct held h = {.c = client_open_with(GOLDEN "/bert", "cpu", 1, 0)};
        pthread_t caller, closer;
        assert_int_equal(pthread_create(&caller, NULL, rank_held, &h), 0);
        while (!atomic_load(&h.inside)) usleep(500);
        assert_int_equal(pthread_create(&closer, NULL, close_held, &h), 0);
        usleep(2000);
        atomic_store(&h.let_go, true);
        pthread_join(closer, NULL);
        pthread_join(caller, NULL);
        assert_non_null(h.got);
        assert_string_equal(h.got->model, GOLDEN "/bert");
        gllm_rankings_free(h.got);
    }
}

/* ---- changed models ---- */

static char *slurp(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    char *data = malloc(1 << 20);
    if (!f || !data) fail_msg("%s: cannot be read", path);
    *n = fread(data, 1, (1 << 20) - 1, f);
    data[*n] = '\0';
    fclose(f);
    return data;
}

/* temp_dir/NAME becomes the golden bert with `bias` added to its logit and `keys` at the start of its config.json. */
static void changed_bert(const char *name, float bias, const char *keys) {
    static const char *const FILES[] = {"config.json", "config_sentence_transformers.json", "model.safetensors", "modules.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json"};
    for (unsigned i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char from[300], to[300];
        size_t n;
        snprintf(from, sizeof from, GOLDEN "/bert/%s", FILES[i]);
        snprintf(to, sizeof to, "%s/%s", name, FILES[i]);
        char *data = slurp(from, &n);
        if (i == 0) {
            memmove(data + 1 + strlen(keys), data + 1, n);
            memcpy(data + 1, keys, strlen(keys));
            n += strlen(keys);
        } else if (i == 2) {
            uint64_t header;
            float b;
            memcpy(&header, data, 8);
            const char *offsets = strstr(strstr(data + 8, "\"classifier.bias\""), "\"data_offsets\":[");
            char *at = data + 8 + header + strtoul(offsets + strlen("\"data_offsets\":["), NULL, 10);
            memcpy(&b, at, 4);
            b += bias;
            memcpy(at, &b, 4);
        }
        temp_write(to, data, n);
        free(data);
    }
}

/* Logits so large that every probability is 1 still have an order. */
static void test_saturated(void **state) {
    (void)state;
    gllm_str query = {"the age of whales", GLLM_NTS}, documents[N_WORDS];
    for (unsigned i = 0; i < N_WORDS; i++) documents[i] = (gllm_str){WORDS[i], GLLM_NTS};
    changed_bert("large", 40, "");
    gllm_client *c = client_open_with(temp_path("large"), "cpu", 1, 0);
    gllm_rankings *raw = rerank(c, query, documents, N_WORDS, GLLM_SCORES_RAW, 0), *p = rerank(c, query, documents, N_WORDS, GLLM_SCORES_PROBABILITY, 0);
    bool moved = false;
    for (unsigned i = 0; i < N_WORDS; i++) {
        assert_true(raw->items[i].score > 30 && p->items[i].score == 1);
        assert_int_equal(p->items[i].index, raw->items[i].index);
        moved |= p->items[i].index != i;
    }
    assert_true(moved);
    gllm_rankings_free(raw);
    gllm_rankings_free(p);
    gllm_client_close(c);
}

/* A regression has no probabilities: a classifier shows its logits; relevance is still between 0 and 1. */
static void test_regression(void **state) {
    (void)state;
    gllm_str query = {"the age of whales", GLLM_NTS}, document = {"sea", GLLM_NTS};
    changed_bert("regression", 3, "\"problem_type\":\"regression\",");
    gllm_client *c = client_open_with(temp_path("regression"), "cpu", 1, 0);
    gllm_classes *raw = classify(c, &query, &document, 1, GLLM_SCORES_RAW), *k = classify(c, &query, &document, 1, GLLM_SCORES_PROBABILITY);
    gllm_rankings *p = rerank(c, query, &document, 1, GLLM_SCORES_PROBABILITY, 0);
    assert_true(raw->scores[0] > 1 && k->scores[0] == raw->scores[0]);
    assert_true(fabs((double)p->items[0].score - 1 / (1 + exp(-(double)raw->scores[0]))) < 1e-6);
    gllm_classes_free(raw);
    gllm_classes_free(k);
    gllm_rankings_free(p);
    gllm_client_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families), cmocka_unit_test(test_company), cmocka_unit_test(test_limits), cmocka_unit_test(test_outlives),
                                       cmocka_unit_test(test_close), cmocka_unit_test(test_saturated), cmocka_unit_test(test_regression)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
