#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/utf8.h"
#include "engine/classify.h"
#include "engine/rank.h"
#include "engine/maxsim.h"

void gllm_rerank_request_init_sized(gllm_rerank_request *r, size_t size) {
    const gllm_rerank_request full = {.struct_size = size};
    api_init_sized(r, size, &full, sizeof full);
}
void gllm_classify_request_init_sized(gllm_classify_request *r, size_t size) {
    const gllm_classify_request full = {.struct_size = size};
    api_init_sized(r, size, &full, sizeof full);
}

static gllm_status check(const char *what, const void *texts, size_t n, gllm_scores scores, gllm_truncate truncate, gllm_error *err) {
    if (!n || !texts) return err_set(err, GLLM_INVALID, "%s: found none, expected at least one text", what);
    if (n > UINT32_MAX) return err_set(err, GLLM_INVALID, "%s: found %zu, expected at most %u", what, n, UINT32_MAX);
    if ((unsigned)scores > GLLM_SCORES_MODEL || (unsigned)truncate > GLLM_TRUNCATE_NONE) return err_set(err, GLLM_INVALID, "scores %d or truncate %d is unknown", (int)scores, (int)truncate);
    return GLLM_OK;
}

/* Whatever the way to a score: bytes are counted in the caller's text, before a prompt is put around it. */
static gllm_status check_texts(const gllm_rerank_request *r, gllm_error *err) {
    gllm_status status = utf8_check(r->query.ptr, api_str_len(r->query), err);
    if (status != GLLM_OK) return err_wrap(err, status, "query");
    status = utf8_check(r->instruction.ptr, api_str_len(r->instruction), err);
    if (status != GLLM_OK) return err_wrap(err, status, "instruction");
    for (size_t i = 0; i < r->n_documents; i++) {
        status = utf8_check(r->documents[i].ptr, api_str_len(r->documents[i]), err);
        if (status != GLLM_OK) return err_wrap(err, status, "document %zu", i);
    }
    return GLLM_OK;
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
    bool untrained;
};
static void scored_free(struct scored *s) {
    void *all[] = {s->texts, s->pairs, s->logits, s->tokens, s->full_tokens, s->first_cut};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static gllm_status scored_new(struct scored *s, const gllm_str *texts, const gllm_str *pairs, size_t n, size_t width, gllm_error *err) {
    *s = (struct scored){.texts = resolved(texts, n), .pairs = resolved(pairs, pairs ? n : 0), .logits = n <= SIZE_MAX / sizeof(float) / width ? malloc(n * width * sizeof(float)) : NULL,
                         .tokens = malloc(n * sizeof(uint32_t)), .full_tokens = malloc(n * sizeof(uint32_t)), .first_cut = malloc(n * sizeof(bool))};
    return s->texts && s->pairs && s->logits && s->tokens && s->full_tokens && s->first_cut ? GLLM_OK : err_nomem(err, "scores");
}

/* Fills s with the logits of all texts. */
static gllm_status run(gllm_client *client, struct classify_call *call, const gllm_str *texts, const gllm_str *pairs, struct scored *s, gllm_error *err) {
    const uint32_t n_labels = engine_model(client->engine)->files.classifier.n_labels;
    TRY(scored_new(s, texts, pairs, call->n, n_labels ? n_labels : 1, err));
    call->texts = s->texts, call->pairs = pairs ? s->pairs : NULL;
    call->logits = s->logits, call->tokens = s->tokens, call->full_tokens = s->full_tokens, call->first_cut = s->first_cut;
    return engine_classify(client->engine, call, err);
}

/* By descending score, NaN last: a total order. */
static int better(const void *x, const void *y) {
    const gllm_ranking *a = x, *b = y;
    const bool no_a = a->score != a->score, no_b = b->score != b->score;
    if (no_a != no_b) return no_a - no_b;
    if (!no_a && a->score != b->score) return a->score < b->score ? 1 : -1;
    return (a->index > b->index) - (a->index < b->index);
}

static enum score_act act_of(const struct model_files *f, gllm_scores scores) {
    if (scores == GLLM_SCORES_RAW || f->ranker.kind == RANKER_LIST) return SCORE_IDENTITY;
    if (scores == GLLM_SCORES_MODEL) return model_files_cached(f) ? f->ranker.model_act : f->classifier.model_act;
    return SCORE_SIGMOID;
}

/* One block: the struct, then the rankings of all documents, then the model's name. Logits are sorted, not what is made of them: near 1
 * different logits have the same probability. */
static gllm_status rankings_new(gllm_client *c, const gllm_rerank_request *r, const struct scored *s, gllm_rankings **out, gllm_error *err) {
    const struct model_files *f = &engine_model(c->engine)->files;
    const enum score_act act = maxsim_has(engine_model(c->engine)) ? SCORE_IDENTITY : act_of(f, r->scores); /* late interaction gives no logits */
    const size_t n = r->n_documents, name = strlen(c->name) + 1;
    gllm_rankings *a = calloc(1, sizeof *a + n * sizeof *a->items + name);
    if (!a) return err_nomem(err, "rankings");
    gllm_ranking *items = (gllm_ranking *)(void *)(a + 1);
    for (size_t i = 0; i < n; i++) {
        items[i] = (gllm_ranking){i, s->logits[i], s->tokens[i], s->full_tokens[i], s->tokens[i] < s->full_tokens[i], s->first_cut[i]};
        a->n_truncated += items[i].truncated;
        a->usage.prompt_tokens += items[i].tokens;
    }
    qsort(items, n, sizeof *items, better);
    for (size_t i = 0; i < n; i++) score_apply(act, &items[i].score, 1);
    a->count = r->top_n && r->top_n < n ? r->top_n : n;
    a->items = items;
    a->untrained = s->untrained;
    a->model = memcpy(items + n, c->name, name);
    *out = a;
    return GLLM_OK;
}

static gllm_status no_causal_options(const gllm_client *c, const gllm_rerank_request *r, gllm_error *err) {
    if (r->instruction.ptr) return err_set(err, GLLM_INVALID, "instruction: %s reads none", c->name);
    return r->as_judge ? err_set(err, GLLM_INVALID, "as_judge: %s is no generator", c->name) : GLLM_OK;
}

/* By an encoder's classification head. */
static gllm_status rank_classified(gllm_client *c, const gllm_rerank_request *r, struct scored *s, double *ms, gllm_error *err) {
    const struct classifier *k = &engine_model(c->engine)->files.classifier;
    if (k->n_labels > 1) return err_set(err, GLLM_UNSUPPORTED, "%s has %u labels: it classifies, and a reranker has one", c->name, k->n_labels);
    TRY(no_causal_options(c, r, err));
    const gllm_str query = {r->query.ptr, api_str_len(r->query)};
    struct classify_call call = {.query = &query, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress, .progress_user = r->progress_user};
    gllm_status status = run(c, &call, r->documents, NULL, s, err);
    *ms = call.compute_ms;
    return status;
}

/* By the token vectors of query and documents. */
static gllm_status rank_late(gllm_client *c, const gllm_rerank_request *r, struct scored *s, double *ms, gllm_error *err) {
    TRY(no_causal_options(c, r, err));
    TRY(scored_new(s, r->documents, NULL, r->n_documents, 1, err));
    struct maxsim_call call = {.query = {r->query.ptr, api_str_len(r->query)}, .documents = s->texts, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress,
                               .progress_user = r->progress_user, .scores = s->logits, .tokens = s->tokens, .full_tokens = s->full_tokens, .query_cut = s->first_cut};
    gllm_status status = engine_maxsim(c->engine, &call, err);
    *ms = call.compute_ms;
    return status;
}

/* By a causal model: a reranker, or a judge. */
static gllm_status rank_causal(gllm_client *c, const gllm_rerank_request *r, struct scored *s, double *ms, gllm_error *err) {
    TRY(scored_new(s, r->documents, NULL, r->n_documents, 1, err));
    struct rank_call call = {.question = {.query = {r->query.ptr, api_str_len(r->query)}, .instruction = {r->instruction.ptr, api_str_len(r->instruction)}, .judge = r->as_judge},
                             .documents = s->texts, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress, .progress_user = r->progress_user,
                             .scores = s->logits, .tokens = s->tokens, .full_tokens = s->full_tokens, .query_cut = s->first_cut};
    gllm_status status = engine_rank(c->engine, &call, err);
    s->untrained = call.question.judge;
    *ms = call.compute_ms;
    return status;
}

static gllm_status rank(gllm_client *c, const gllm_rerank_request *r, struct scored *s, double *ms, gllm_error *err) {
    const struct model *m = engine_model(c->engine);
    return model_files_cached(&m->files) ? rank_causal(c, r, s, ms, err) : maxsim_has(m) ? rank_late(c, r, s, ms, err) : rank_classified(c, r, s, ms, err);
}

static gllm_status rerank(gllm_client *c, const gllm_rerank_request *request, gllm_rankings **out, gllm_error *err) {
    gllm_rerank_request r;
    gllm_rerank_request_init(&r);
    api_copy_sized(&r, sizeof r, request, request->struct_size);
    TRY(check("documents", r.documents, r.n_documents, r.scores, r.truncate, err));
    TRY(check_texts(&r, err));
    struct scored s = {0};
    double ms = 0;
    gllm_status status = rank(c, &r, &s, &ms, err);
    if (status == GLLM_OK) status = rankings_new(c, &r, &s, out, err);
    if (status == GLLM_OK) (*out)->compute_ms = ms;
    scored_free(&s);
    return status;
}

gllm_status gllm_rerank(gllm_client *c, const gllm_rerank_request *request, gllm_rankings **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_rerank: out is NULL");
    *out = NULL;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_rerank: a client and a request set by gllm_rerank_request_init are required");
    TRY(engine_enter(c->engine, err));
    gllm_status status = rerank(c, request, out, err);
    engine_leave(c->engine);
    return status;
}

void gllm_rankings_free(gllm_rankings *r) { free(r); }

/* One block: the struct, then the labels' addresses, the scores, the counts, and the texts of the labels and of the model's name. */
static gllm_status classes_new(gllm_client *c, const gllm_classify_request *r, const struct scored *s, gllm_classes **out, gllm_error *err) {
    const struct classifier *k = &engine_model(c->engine)->files.classifier;
    const enum score_act act = r->scores == GLLM_SCORES_RAW ? SCORE_IDENTITY : r->scores == GLLM_SCORES_MODEL ? k->model_act : k->class_act;
    const size_t n = r->n_inputs, values = n * k->n_labels, name = strlen(c->name) + 1;
    size_t bytes = name;
    for (uint32_t i = 0; i < k->n_labels; i++) bytes += strlen(k->labels[i]) + 1;
    gllm_classes *a = calloc(1, sizeof *a + k->n_labels * sizeof(char *) + values * sizeof(float) + 2 * n * sizeof(uint32_t) + bytes);
    if (!a) return err_nomem(err, "classes");
    const char **labels = (const char **)(void *)(a + 1);
    float *scores = (float *)(void *)(labels + k->n_labels);
    uint32_t *tokens = (uint32_t *)(void *)(scores + values), *full = tokens + n;
    char *text = (char *)(full + n);
    memcpy(scores, s->logits, values * sizeof *scores);
    memcpy(tokens, s->tokens, n * sizeof *tokens);
    memcpy(full, s->full_tokens, n * sizeof *full);
    for (size_t i = 0; i < n; i++) {
        score_apply(act, scores + i * k->n_labels, k->n_labels);
        a->n_truncated += tokens[i] < full[i];
        a->usage.prompt_tokens += tokens[i];
    }
    for (uint32_t i = 0; i < k->n_labels; i++) {
        labels[i] = strcpy(text, k->labels[i]);
        text += strlen(text) + 1;
    }
    a->count = n, a->n_labels = k->n_labels, a->labels = labels, a->scores = scores, a->tokens = tokens, a->full_tokens = full;
    a->model = memcpy(text, c->name, name);
    *out = a;
    return GLLM_OK;
}

static gllm_status classify(gllm_client *c, const gllm_classify_request *request, gllm_classes **out, gllm_error *err) {
    gllm_classify_request r;
    gllm_classify_request_init(&r);
    api_copy_sized(&r, sizeof r, request, request->struct_size);
    TRY(check("inputs", r.inputs, r.n_inputs, r.scores, r.truncate, err));
    struct classify_call call = {.n = r.n_inputs, .truncate = r.truncate, .progress = r.progress, .progress_user = r.progress_user};
    struct scored s = {0};
    gllm_status status = run(c, &call, r.inputs, r.pairs, &s, err);
    if (status == GLLM_OK) status = classes_new(c, &r, &s, out, err);
    if (status == GLLM_OK) (*out)->compute_ms = call.compute_ms;
    scored_free(&s);
    return status;
}

gllm_status gllm_classify(gllm_client *c, const gllm_classify_request *request, gllm_classes **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_classify: out is NULL");
    *out = NULL;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_classify: a client and a request set by gllm_classify_request_init are required");
    TRY(engine_enter(c->engine, err));
    gllm_status status = classify(c, request, out, err);
    engine_leave(c->engine);
    return status;
}

void gllm_classes_free(gllm_classes *r) { free(r); }
