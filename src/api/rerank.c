#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/job.h"
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

/* Texts with their lengths, and room for results; in the job's arena. */
struct scored {
    const gllm_str *texts, *pairs;
    float *logits;
    uint32_t *tokens, *full_tokens;
    bool *first_cut;
};

static gllm_status scored_new(struct scored *s, struct arena *a, const gllm_str *texts, const gllm_str *pairs, size_t n, size_t width, gllm_error *err) {
    *s = (struct scored){.texts = api_strs(a, texts, n), .pairs = pairs ? api_strs(a, pairs, n) : NULL, .logits = n <= SIZE_MAX / width ? arena_array(a, n * width, sizeof(float)) : NULL,
                         .tokens = arena_array(a, n, sizeof(uint32_t)), .full_tokens = arena_array(a, n, sizeof(uint32_t)), .first_cut = arena_array(a, n, sizeof(bool))};
    return s->texts && (s->pairs || !pairs) && s->logits && s->tokens && s->full_tokens && s->first_cut ? GLLM_OK : err_nomem(err, "scores");
}

/* Texts through a classification head. */
static gllm_status submit_classify(gllm_job *job, struct classify_call *call, const gllm_str *texts, const gllm_str *pairs, struct scored *s, gllm_error *err) {
    const uint32_t n_labels = job->use.model->files.classifier.n_labels;
    TRY(scored_new(s, &job->arena, texts, pairs, call->n, n_labels ? n_labels : 1, err));
    call->texts = s->texts, call->pairs = s->pairs;
    call->logits = s->logits, call->tokens = s->tokens, call->full_tokens = s->full_tokens, call->first_cut = s->first_cut;
    job_bind(job, &call->task);
    return engine_classify_submit(job->use.engine, call, err);
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

struct rerank_job {
    gllm_job job; /* first */
    gllm_rerank_request r;
    struct scored s;
    union { /* by what the model is */
        struct classify_call classified;
        struct maxsim_call late;
        struct rank_call causal;
    } call;
};

static gllm_status no_causal_options(const gllm_job *job, const gllm_rerank_request *r, gllm_error *err) {
    const char *name = job->use.slot->name;
    if (r->instruction.ptr) return err_set(err, GLLM_INVALID, "instruction: %s reads none", name);
    return r->as_judge ? err_set(err, GLLM_INVALID, "as_judge: %s is no generator", name) : GLLM_OK;
}

/* By an encoder's classification head. */
static gllm_status rank_classified(struct rerank_job *j, gllm_error *err) {
    const struct classifier *k = &j->job.use.model->files.classifier;
    const gllm_rerank_request *r = &j->r;
    if (k->n_labels > 1) return err_set(err, GLLM_UNSUPPORTED, "%s has %u labels: it classifies, and a reranker has one", j->job.use.slot->name, k->n_labels);
    TRY(no_causal_options(&j->job, r, err));
    const gllm_str query = {r->query.ptr, api_str_len(r->query)};
    j->call.classified = (struct classify_call){.query = &query, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress, .progress_user = r->progress_user};
    return submit_classify(&j->job, &j->call.classified, r->documents, NULL, &j->s, err);
}

/* By the token vectors of query and documents. */
static gllm_status rank_late(struct rerank_job *j, gllm_error *err) {
    const gllm_rerank_request *r = &j->r;
    struct scored *s = &j->s;
    TRY(no_causal_options(&j->job, r, err));
    TRY(scored_new(s, &j->job.arena, r->documents, NULL, r->n_documents, 1, err));
    j->call.late = (struct maxsim_call){.query = {r->query.ptr, api_str_len(r->query)}, .documents = s->texts, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress,
                                        .progress_user = r->progress_user, .scores = s->logits, .tokens = s->tokens, .full_tokens = s->full_tokens, .query_cut = s->first_cut};
    job_bind(&j->job, &j->call.late.task);
    return engine_maxsim_submit(j->job.use.engine, &j->call.late, err);
}

/* By a causal model: a reranker, or a judge. */
static gllm_status rank_causal(struct rerank_job *j, gllm_error *err) {
    const gllm_rerank_request *r = &j->r;
    struct scored *s = &j->s;
    TRY(scored_new(s, &j->job.arena, r->documents, NULL, r->n_documents, 1, err));
    j->call.causal = (struct rank_call){.question = {.query = {r->query.ptr, api_str_len(r->query)}, .instruction = {r->instruction.ptr, api_str_len(r->instruction)}, .judge = r->as_judge},
                                        .documents = s->texts, .n = r->n_documents, .truncate = r->truncate, .progress = r->progress, .progress_user = r->progress_user,
                                        .scores = s->logits, .tokens = s->tokens, .full_tokens = s->full_tokens, .query_cut = s->first_cut};
    job_bind(&j->job, &j->call.causal.task);
    return engine_rank_submit(j->job.use.engine, &j->call.causal, err);
}

static gllm_status submit_rerank(gllm_job *job, gllm_error *err) {
    struct rerank_job *j = (struct rerank_job *)job;
    const struct model *m = job->use.model;
    return model_files_cached(&m->files) ? rank_causal(j, err) : maxsim_has(m) ? rank_late(j, err) : rank_classified(j, err);
}

/* One block: the struct, then the rankings of all documents, then the model's name. Logits are sorted, not what is made of them: near 1
 * different logits have the same probability. */
static gllm_status finish_rerank(gllm_job *job, gllm_error *err) {
    const struct rerank_job *j = (const struct rerank_job *)job;
    const struct scored *s = &j->s;
    const struct model *m = job->use.model;
    const char *model = job->use.slot->name;
    const bool causal = model_files_cached(&m->files), late = !causal && maxsim_has(m);
    const enum score_act act = late ? SCORE_IDENTITY : act_of(&m->files, j->r.scores); /* late interaction gives no logits */
    const size_t n = j->r.n_documents, name = strlen(model) + 1;
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
    a->count = j->r.top_n && j->r.top_n < n ? j->r.top_n : n;
    a->items = items;
    a->untrained = causal && j->call.causal.question.judge;
    a->model = memcpy(items + n, model, name);
    a->compute_ms = causal ? j->call.causal.compute_ms : late ? j->call.late.compute_ms : j->call.classified.compute_ms;
    a->queue_ms = job_queue_ms(job);
    job->result = a;
    return GLLM_OK;
}

static gllm_status copy_rerank(gllm_job *job, gllm_error *err) {
    gllm_rerank_request *r = &((struct rerank_job *)job)->r;
    TRY(job_copy_strs(job, &r->documents, r->n_documents, err));
    TRY(job_copy_str(job, &r->query, err));
    return job_copy_str(job, &r->instruction, err);
}

static void drop_nothing(gllm_job *job) { (void)job; }
static void free_rankings(void *result) { gllm_rankings_free(result); }
static const struct job_kind RERANK = {sizeof(struct rerank_job), copy_rerank, submit_rerank, finish_rerank, drop_nothing, free_rankings};

static gllm_status rerank_job(const char *where, gllm_client *c, const gllm_rerank_request *request, gllm_job **out, gllm_error *err) {
    gllm_rerank_request r;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "%s: a client and a request set by gllm_rerank_request_init are required", where);
    gllm_rerank_request_init(&r);
    TRY(api_copy_sized("gllm_rerank_request", &r, sizeof r, request, request->struct_size, err));
    TRY(check("documents", r.documents, r.n_documents, r.scores, r.truncate, err));
    TRY(check_texts(&r, err));
    struct rerank_job *j = job_new(&RERANK, c, r.model);
    if (!j) return err_nomem(err, "job");
    j->r = r;
    *out = &j->job;
    return GLLM_OK;
}

gllm_status gllm_rerank(gllm_client *c, const gllm_rerank_request *request, gllm_rankings **out, gllm_error *err) {
    gllm_job *j;
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_rerank: out is NULL");
    *out = NULL;
    TRY(rerank_job("gllm_rerank", c, request, &j, err));
    gllm_status status = job_call(j, &result, err);
    *out = result;
    return status;
}

gllm_status gllm_rerank_async(gllm_client *c, const gllm_rerank_request *request, const gllm_submit *how, gllm_job **job, gllm_error *err) {
    gllm_job *j;
    if (!job) return err_set(err, GLLM_INVALID, "gllm_rerank_async: job is NULL");
    *job = NULL;
    TRY(rerank_job("gllm_rerank_async", c, request, &j, err));
    return job_post(j, how, job, err);
}

gllm_status gllm_job_take_rankings(gllm_job *j, gllm_rankings **out, gllm_error *err) {
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_job_take_rankings: out is NULL");
    gllm_status status = job_take(j, &RERANK, &result, err);
    *out = result;
    return status;
}

void gllm_rankings_free(gllm_rankings *r) { free(r); }

/* ---- classes ---- */

struct classify_job {
    gllm_job job; /* first */
    gllm_classify_request r;
    struct scored s;
    struct classify_call call;
};

static gllm_status submit_classes(gllm_job *job, gllm_error *err) {
    struct classify_job *j = (struct classify_job *)job;
    const gllm_classify_request *r = &j->r;
    j->call = (struct classify_call){.n = r->n_inputs, .truncate = r->truncate, .progress = r->progress, .progress_user = r->progress_user};
    return submit_classify(job, &j->call, r->inputs, r->pairs, &j->s, err);
}

/* One block: the struct, then the labels' addresses, the scores, the counts, and the texts of the labels and of the model's name. */
static gllm_status finish_classes(gllm_job *job, gllm_error *err) {
    const struct classify_job *j = (const struct classify_job *)job;
    const struct scored *s = &j->s;
    const struct classifier *k = &job->use.model->files.classifier;
    const enum score_act act = j->r.scores == GLLM_SCORES_RAW ? SCORE_IDENTITY : j->r.scores == GLLM_SCORES_MODEL ? k->model_act : k->class_act;
    const char *model = job->use.slot->name;
    const size_t n = j->r.n_inputs, values = n * k->n_labels, name = strlen(model) + 1;
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
    a->model = memcpy(text, model, name);
    a->compute_ms = j->call.compute_ms;
    a->queue_ms = job_queue_ms(job);
    job->result = a;
    return GLLM_OK;
}

static gllm_status copy_classes(gllm_job *job, gllm_error *err) {
    gllm_classify_request *r = &((struct classify_job *)job)->r;
    TRY(job_copy_strs(job, &r->inputs, r->n_inputs, err));
    return job_copy_strs(job, &r->pairs, r->n_inputs, err);
}

static void free_classes(void *result) { gllm_classes_free(result); }
static const struct job_kind CLASSIFY = {sizeof(struct classify_job), copy_classes, submit_classes, finish_classes, drop_nothing, free_classes};

static gllm_status classify_job(const char *where, gllm_client *c, const gllm_classify_request *request, gllm_job **out, gllm_error *err) {
    gllm_classify_request r;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "%s: a client and a request set by gllm_classify_request_init are required", where);
    gllm_classify_request_init(&r);
    TRY(api_copy_sized("gllm_classify_request", &r, sizeof r, request, request->struct_size, err));
    TRY(check("inputs", r.inputs, r.n_inputs, r.scores, r.truncate, err));
    struct classify_job *j = job_new(&CLASSIFY, c, r.model);
    if (!j) return err_nomem(err, "job");
    j->r = r;
    *out = &j->job;
    return GLLM_OK;
}

gllm_status gllm_classify(gllm_client *c, const gllm_classify_request *request, gllm_classes **out, gllm_error *err) {
    gllm_job *j;
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_classify: out is NULL");
    *out = NULL;
    TRY(classify_job("gllm_classify", c, request, &j, err));
    gllm_status status = job_call(j, &result, err);
    *out = result;
    return status;
}

gllm_status gllm_classify_async(gllm_client *c, const gllm_classify_request *request, const gllm_submit *how, gllm_job **job, gllm_error *err) {
    gllm_job *j;
    if (!job) return err_set(err, GLLM_INVALID, "gllm_classify_async: job is NULL");
    *job = NULL;
    TRY(classify_job("gllm_classify_async", c, request, &j, err));
    return job_post(j, how, job, err);
}

gllm_status gllm_job_take_classes(gllm_job *j, gllm_classes **out, gllm_error *err) {
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_job_take_classes: out is NULL");
    gllm_status status = job_take(j, &CLASSIFY, &result, err);
    *out = result;
    return status;
}

void gllm_classes_free(gllm_classes *r) { free(r); }
