#include "engine/embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/job.h"
#include "base/utf8.h"

void gllm_embed_request_init_sized(gllm_embed_request *r, size_t size) {
    const gllm_embed_request full = {.struct_size = size};
    api_init_sized(r, size, &full, sizeof full);
}

/* What is glued before each text: the request's own, a prompt by name, the input type's, or the model's default. */
static gllm_status prompt_of(const struct hfdir *d, const gllm_embed_request *r, gllm_str *out, gllm_error *err) {
    *out = (gllm_str){0};
    if (r->prompt.ptr) {
        size_t bad;
        if (!utf8_valid(r->prompt.ptr, api_str_len(r->prompt), &bad)) return err_set(err, GLLM_INVALID, "prompt: byte %zu is not UTF-8 (0x%02x)", bad, (unsigned char)r->prompt.ptr[bad]);
        *out = (gllm_str){r->prompt.ptr, api_str_len(r->prompt)};
        return GLLM_OK;
    }
    const struct hf_prompt *p = NULL;
    if (r->prompt_name) {
        p = hfdir_prompt(d, r->prompt_name);
        if (!p) {
            char names[256] = "";
            for (size_t i = 0, at = 0; i < d->n_prompts && at < sizeof names; i++)
                at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", d->prompts[i].name);
            return err_set(err, GLLM_INVALID, "prompt \"%.60s\" is unknown; the model has %s", r->prompt_name, *names ? names : "none");
        }
    } else if (r->input_type == GLLM_INPUT_QUERY) p = hfdir_prompt(d, "query");
    else if (r->input_type == GLLM_INPUT_DOCUMENT) {
        p = hfdir_prompt(d, "document");
        if (!p) p = hfdir_prompt(d, "passage");
    } else if (d->default_prompt_name) p = hfdir_prompt(d, d->default_prompt_name);
    if (p) *out = (gllm_str){p->text, strlen(p->text)};
    return GLLM_OK;
}

static enum pool_kind pooling_of(gllm_pooling p) {
    static const enum pool_kind KINDS[] = {[GLLM_POOLING_CLS] = POOL_CLS, [GLLM_POOLING_MEAN] = POOL_MEAN, [GLLM_POOLING_MAX] = POOL_MAX, [GLLM_POOLING_LAST] = POOL_LAST,
                                           [GLLM_POOLING_MEAN_SQRT_LEN] = POOL_MEAN_SQRT_LEN, [GLLM_POOLING_WEIGHTED_MEAN] = POOL_WEIGHTED_MEAN};
    return KINDS[p];
}

static gllm_status check(const gllm_embed_request *r, gllm_error *err) {
    if (!r->n_inputs || !(r->inputs || r->ids)) return err_set(err, GLLM_INVALID, "inputs: found none, expected at least one text");
    for (size_t i = 0; r->ids && i < r->n_inputs; i++)
        if (!r->ids[i].ptr && r->ids[i].count) return err_set(err, GLLM_INVALID, "ids of input %zu are NULL, their count is %zu", i, r->ids[i].count);
    if (r->inputs && r->ids) return err_set(err, GLLM_INVALID, "inputs and ids: found both, expected one of them");
    if (r->n_inputs > UINT32_MAX) return err_set(err, GLLM_INVALID, "inputs: found %zu, expected at most %u", r->n_inputs, UINT32_MAX);
    if ((unsigned)r->pooling > GLLM_POOLING_WEIGHTED_MEAN || (unsigned)r->truncate > GLLM_TRUNCATE_NONE || (unsigned)r->normalize > GLLM_NORMALIZE_OFF || (unsigned)r->input_type > GLLM_INPUT_DOCUMENT)
        return err_set(err, GLLM_INVALID, "pooling %d, truncate %d, normalize %d or input_type %d is unknown", (int)r->pooling, (int)r->truncate, (int)r->normalize, (int)r->input_type);
    return GLLM_OK;
}

struct answer { /* the public struct first, in one block with the vectors, the counts, the flags and the model's name */
    gllm_embeddings base;
    struct gathered more; /* what sparse and token_vectors point into */
    gllm_sparse *sparse;
    gllm_token_vectors *vectors;
};

static struct answer *answer_new(size_t n, size_t dim, const char *model, struct embed_call *call, bool **cut) {
    if (dim && n > (SIZE_MAX - sizeof(struct answer)) / 16 / dim) return NULL;
    const size_t name = strlen(model) + 1;
    struct answer *a = calloc(1, sizeof *a + n * dim * sizeof(float) + n * (2 * sizeof(uint32_t) + sizeof(bool)) + name);
    if (!a) return NULL;
    gllm_embeddings *e = &a->base;
    e->count = n, e->dim = dim;
    e->data = call->data = (float *)(void *)(a + 1);
    e->tokens = call->tokens = (uint32_t *)(void *)(call->data + n * dim);
    e->full_tokens = call->full_tokens = call->tokens + n;
    e->truncated = *cut = (bool *)(call->full_tokens + n);
    e->model = memcpy((char *)(*cut + n), model, name);
    return a;
}

/* A vector may be cut where the model was trained for it, or where nothing is known of that. */
static gllm_status check_dimensions(const struct model *m, uint32_t dimensions, uint32_t dim, gllm_error *err) {
    const struct model_hints *h = &m->files.hints;
    if (dimensions > dim) return err_set(err, GLLM_INVALID, "dimensions: found %u, expected 1 to %u", dimensions, dim);
    if (!dimensions || dimensions == dim || h->task != HINT_TASK_EMBED) return GLLM_OK;
    if (!h->dims) return err_set(err, GLLM_INVALID, "dimensions: found %u, expected %u: %s was not trained to be cut (Matryoshka)", dimensions, dim, h->name);
    return dimensions >= h->dims[0] ? GLLM_OK : err_set(err, GLLM_INVALID, "dimensions: found %u, expected %u to %u, which %s was trained for", dimensions, h->dims[0], dim, h->name);
}

/* The outputs beside the pooled vectors, text by text. */
static gllm_status show_more(struct answer *a, uint32_t outputs, size_t token_dim, gllm_error *err) {
    const struct gathered *g = &a->more;
    gllm_embeddings *e = &a->base;
    e->outputs = outputs;
    if (outputs & OUTPUT_SPARSE) {
        e->sparse = a->sparse = malloc(g->n * sizeof *a->sparse);
        if (!a->sparse) return err_nomem(err, "embeddings");
        for (size_t i = 0, at; at = g->pair_start[i], i < g->n; i++) a->sparse[i] = (gllm_sparse){g->pair_start[i + 1] - at, g->ids + at, g->weights + at};
    }
    if (outputs & OUTPUT_TOKENS) {
        e->token_vectors = a->vectors = malloc(g->n * sizeof *a->vectors);
        if (!a->vectors) return err_nomem(err, "embeddings");
        e->token_dim = token_dim;
        for (size_t i = 0, at; at = g->vector_start[i], i < g->n; i++) a->vectors[i] = (gllm_token_vectors){g->vector_start[i + 1] - at, g->vectors + at * token_dim};
    }
    return GLLM_OK;
}

struct embed_job {
    gllm_job job; /* first */
    gllm_embed_request r;
    struct embed_call call;
    struct answer *answer; /* until it is the job's result */
    bool *cut;
};

static gllm_status copy_ids(gllm_job *job, const gllm_ids **list, size_t n, gllm_error *err) {
    if (!*list) return GLLM_OK;
    gllm_ids *ids = arena_array(&job->arena, n, sizeof *ids);
    for (size_t i = 0; ids && i < n; i++) {
        int32_t *own = arena_array(&job->arena, (*list)[i].count, sizeof *own);
        if (!own) return err_nomem(err, "request");
        if ((*list)[i].count) memcpy(own, (*list)[i].ptr, (*list)[i].count * sizeof *own);
        ids[i] = (gllm_ids){own, (*list)[i].count};
    }
    *list = ids;
    return ids ? GLLM_OK : err_nomem(err, "request");
}

static gllm_status copy(gllm_job *job, gllm_error *err) {
    gllm_embed_request *r = &((struct embed_job *)job)->r;
    TRY(copy_ids(job, &r->ids, r->n_inputs, err));
    TRY(job_copy_strs(job, &r->inputs, r->n_inputs, err));
    TRY(job_copy_text(job, &r->prompt_name, err));
    return job_copy_str(job, &r->prompt, err);
}

static gllm_status submit(gllm_job *job, gllm_error *err) {
    struct embed_job *j = (struct embed_job *)job;
    const gllm_embed_request *r = &j->r;
    const struct model *m = job->use.model;
    const char *name = job->use.slot->name;
    struct embed_call *call = &j->call;
    *call = (struct embed_call){.inputs = r->ids ? NULL : api_strs(&job->arena, r->inputs, r->n_inputs), .ids = r->ids, .n_inputs = r->n_inputs, .pooling = pooling_of(r->pooling), .truncate = r->truncate, .dimensions = r->dimensions,
                                .queries = r->input_type == GLLM_INPUT_QUERY, .progress = r->progress, .progress_user = r->progress_user,
                                .normalize = r->normalize == GLLM_NORMALIZE_ON || (r->normalize == GLLM_NORMALIZE_MODEL && m->head.normalize)};
    if (!call->inputs && !call->ids) return err_nomem(err, "embeddings");
    TRY(embed_outputs(m, r->outputs, &call->outputs, err));
    if (call->outputs & OUTPUT_DENSE) TRY(embed_dim(m, call->pooling, &call->dim, err));
    else if (r->dimensions || r->pooling) return err_set(err, GLLM_INVALID, "dimensions or pooling: %s gives no pooled vector to cut here", name);
    TRY(check_dimensions(m, r->dimensions, call->dim, err));
    if (!r->ids) TRY(prompt_of(&m->files.dir, r, &call->prompt, err));
    j->answer = answer_new(r->n_inputs, r->dimensions ? r->dimensions : call->dim, name, call, &j->cut);
    if (!j->answer) return err_nomem(err, "embeddings");
    job_bind(job, &call->task);
    return engine_embed_submit(job->use.engine, call, err);
}

static gllm_status finish(gllm_job *job, gllm_error *err) {
    struct embed_job *j = (struct embed_job *)job;
    const struct embed_call *call = &j->call;
    struct answer *a = j->answer;
    gllm_embeddings *e = &a->base;
    a->more = call->more;
    j->call.more = (struct gathered){0};
    for (size_t i = 0; i < e->count; i++) {
        j->cut[i] = call->tokens[i] < call->full_tokens[i];
        e->n_truncated += j->cut[i];
        e->usage.prompt_tokens += call->tokens[i];
    }
    e->compute_ms = call->compute_ms;
    e->queue_ms = job_queue_ms(job);
    TRY(show_more(a, call->outputs, job->use.model->files.outputs.token_dim, err));
    job->result = e;
    j->answer = NULL;
    return GLLM_OK;
}

static void drop(gllm_job *job) {
    struct embed_job *j = (struct embed_job *)job;
    gathered_free(&j->call.more);
    if (j->answer) gllm_embeddings_free(&j->answer->base);
}

static void free_result(void *result) { gllm_embeddings_free(result); }
static const struct job_kind EMBED = {sizeof(struct embed_job), copy, submit, finish, drop, free_result};

static gllm_status embed_job(const char *where, gllm_client *c, const gllm_embed_request *request, gllm_job **out, gllm_error *err) {
    gllm_embed_request r;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "%s: a client and a request set by gllm_embed_request_init are required", where);
    gllm_embed_request_init(&r);
    TRY(api_copy_sized("gllm_embed_request", &r, sizeof r, request, request->struct_size, err));
    TRY(check(&r, err));
    struct embed_job *j = job_new(&EMBED, c, r.model);
    if (!j) return err_nomem(err, "job");
    j->r = r;
    *out = &j->job;
    return GLLM_OK;
}

gllm_status gllm_embed(gllm_client *c, const gllm_embed_request *request, gllm_embeddings **out, gllm_error *err) {
    gllm_job *j;
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_embed: out is NULL");
    *out = NULL;
    TRY(embed_job("gllm_embed", c, request, &j, err));
    gllm_status status = job_call(j, &result, err);
    *out = result;
    return status;
}

gllm_status gllm_embed_async(gllm_client *c, const gllm_embed_request *request, const gllm_submit *how, gllm_job **job, gllm_error *err) {
    gllm_job *j;
    if (!job) return err_set(err, GLLM_INVALID, "gllm_embed_async: job is NULL");
    *job = NULL;
    TRY(embed_job("gllm_embed_async", c, request, &j, err));
    return job_post(j, how, job, err);
}

gllm_status gllm_job_take_embeddings(gllm_job *j, gllm_embeddings **out, gllm_error *err) {
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_job_take_embeddings: out is NULL");
    gllm_status status = job_take(j, &EMBED, &result, err);
    *out = result;
    return status;
}

void gllm_embeddings_free(gllm_embeddings *e) {
    struct answer *a = (struct answer *)e;
    if (!a) return;
    gathered_free(&a->more);
    free(a->sparse);
    free(a->vectors);
    free(a);
}
