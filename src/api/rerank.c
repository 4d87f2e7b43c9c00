#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "engine/classify.h"

void gllm_rerank_request_init_sized(gllm_rerank_request *r, size_t size) {
    gllm_rerank_request full = {.struct_size = size};
    memset(r, 0, size);
    memcpy(r, &full, size < sizeof full ? size : sizeof full);
}
void gllm_classify_request_init_sized(gllm_classify_request *r, size_t size) {
    gllm_classify_request full = {.struct_size = size};
    memset(r, 0, size);
    memcpy(r, &full, size < sizeof full ? size : sizeof full);
}

static gllm_status check(const char *what, const void *texts, size_t n, gllm_scores scores, gllm_truncate truncate, gllm_error *err) {
    if (!n || !texts) return err_set(err, GLLM_INVALID, "%s: found none, expected at least one text", what);
    if (n > UINT32_MAX) return err_set(err, GLLM_INVALID, "%s: found %zu, expected at most %u", what, n, UINT32_MAX);
    if ((unsigned)scores > GLLM_SCORES_MODEL || (unsigned)truncate > GLLM_TRUNCATE_NONE) return err_set(err, GLLM_INVALID, "scores %d or truncate %d is unknown", (int)scores, (int)truncate);
    return GLLM_OK;
}

static enum score_act act_of(const struct classifier *c, gllm_scores scores) {
    return scores == GLLM_SCORES_RAW ? SCORE_IDENTITY : scores == GLLM_SCORES_MODEL ? c->model_act : c->class_act;
}

static gllm_str *resolved(const gllm_str *texts, size_t n) {
    gllm_str *list = calloc(n ? n : 1, sizeof *list);
    for (size_t i = 0; list && texts && i < n; i++) list[i] = (gllm_str){texts[i].ptr, api_str_len(texts[i])};
    return list;
}

/* Results of a classify_call, and what it borrows; freed whether it succeeds or not. */
struct scored {
    gllm_str *texts, *pairs;
    float *logits;
    uint32_t *tokens, *full_tokens;
    bool *first_cut;
};
static void scored_free(struct scored *s) {
    void *all[] = {s->texts, s->pairs, s->logits, s->tokens, s->full_tokens, s->first_cut};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static gllm_status score(gllm_client *client, struct classify_call *call, const gllm_str *texts, const gllm_str *pairs, enum score_act act, struct scored *s, gllm_error *err) {
    const uint32_t n_labels = engine_model(client->engine)->files.classifier.n_labels;
    const size_t n = call->n, width = n_labels ? n_labels : 1;
    *s = (struct scored){.texts = resolved(texts, n), .pairs = resolved(pairs, pairs ? n : 0), .logits = n <= SIZE_MAX / sizeof(float) / width ? malloc(n * width * sizeof(float)) : NULL,
                         .tokens = malloc(n * sizeof(uint32_t)), .full_tokens = malloc(n * sizeof(uint32_t)), .first_cut = malloc(n * sizeof(bool))};
    if (!s->texts || !s->pairs || !s->logits || !s->tokens || !s->full_tokens || !s->first_cut) return err_nomem(err, "scores");
    call->texts = s->texts, call->pairs = pairs ? s->pairs : NULL;
    call->logits = s->logits, call->tokens = s->tokens, call->full_tokens = s->full_tokens, call->first_cut = s->first_cut;
    TRY(engine_classify(client->engine, call, err));
    for (size_t i = 0; i < n; i++) score_apply(act, s->logits + i * n_labels, n_labels);
    return GLLM_OK;
}

static int better(const void *x, const void *y) {
    const gllm_ranking *a = x, *b = y;
    return a->score != b->score ? (a->score < b->score ? 1 : -1) : (a->index > b->index) - (a->index < b->index);
}

gllm_status gllm_rerank(gllm_client *c, const gllm_rerank_request *request, gllm_rankings **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_rerank: out is NULL");
    *out = NULL;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_rerank: a client and a request set by gllm_rerank_request_init are required");
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    api_copy_sized(&r, sizeof r, request, request->struct_size);
    TRY(check("documents", r.documents, r.n_documents, r.scores, r.truncate, err));
    const struct classifier *k = &engine_model(c->engine)->files.classifier;
    if (k->n_labels > 1) return err_set(err, GLLM_UNSUPPORTED, "%s has %u labels: it classifies, and a reranker has one", c->name, k->n_labels);
    const gllm_str query = {r.query.ptr, api_str_len(r.query)};
    struct classify_call call = {.query = &query, .n = r.n_documents, .truncate = r.truncate, .progress = r.progress, .progress_user = r.progress_user};
    struct scored s = {0};
    gllm_rankings *a = NULL;
    gllm_ranking *items = NULL;
    gllm_status status = score(c, &call, r.documents, NULL, act_of(k, r.scores), &s, err);
    if (status == GLLM_OK && !(a = calloc(1, sizeof *a + r.n_documents * sizeof *items))) status = err_nomem(err, "rankings");
    if (status == GLLM_OK) {
        items = (gllm_ranking *)(void *)(a + 1);
        *a = (gllm_rankings){.count = r.top_n && r.top_n < r.n_documents ? r.top_n : r.n_documents, .items = items, .model = c->name, .compute_ms = call.compute_ms};
        for (size_t i = 0; i < r.n_documents; i++) {
            items[i] = (gllm_ranking){i, s.logits[i], s.tokens[i], s.full_tokens[i], s.tokens[i] < s.full_tokens[i], s.first_cut[i]};
            a->n_truncated += items[i].truncated;
            a->usage.prompt_tokens += items[i].tokens;
        }
        qsort(items, r.n_documents, sizeof *items, better);
        *out = a;
    }
    scored_free(&s);
    return status;
}

void gllm_rankings_free(gllm_rankings *r) { free(r); }

gllm_status gllm_classify(gllm_client *c, const gllm_classify_request *request, gllm_classes **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_classify: out is NULL");
    *out = NULL;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_classify: a client and a request set by gllm_classify_request_init are required");
    gllm_classify_request r;
    gllm_classify_request_init(&r);
    api_copy_sized(&r, sizeof r, request, request->struct_size);
    TRY(check("inputs", r.inputs, r.n_inputs, r.scores, r.truncate, err));
    const struct classifier *k = &engine_model(c->engine)->files.classifier;
    struct classify_call call = {.n = r.n_inputs, .truncate = r.truncate, .progress = r.progress, .progress_user = r.progress_user};
    struct scored s = {0};
    gllm_classes *a = NULL;
    gllm_status status = score(c, &call, r.inputs, r.pairs, act_of(k, r.scores), &s, err);
    const size_t n = r.n_inputs, values = n * k->n_labels;
    if (status == GLLM_OK && !(a = calloc(1, sizeof *a + values * sizeof(float) + 2 * n * sizeof(uint32_t)))) status = err_nomem(err, "classes");
    if (status == GLLM_OK) {
        float *scores = (float *)(void *)(a + 1);
        uint32_t *tokens = (uint32_t *)(void *)(scores + values), *full = tokens + n;
        memcpy(scores, s.logits, values * sizeof *scores);
        memcpy(tokens, s.tokens, n * sizeof *tokens);
        memcpy(full, s.full_tokens, n * sizeof *full);
        *a = (gllm_classes){.count = n, .n_labels = k->n_labels, .labels = k->labels, .scores = scores, .tokens = tokens, .full_tokens = full, .model = c->name, .compute_ms = call.compute_ms};
        for (size_t i = 0; i < n; i++) a->n_truncated += tokens[i] < full[i], a->usage.prompt_tokens += tokens[i];
        *out = a;
    }
    scored_free(&s);
    return status;
}

void gllm_classes_free(gllm_classes *r) { free(r); }
