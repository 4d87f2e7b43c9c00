#include "engine/maxsim.h"

#include <math.h>
#include <string.h>

#include "engine/tasks.h"

bool maxsim_has(const struct model *m) { return m->files.outputs.available & OUTPUT_TOKENS; }

static gllm_str prompt_of(const struct hfdir *d, const char *name, const char *other) {
    const struct hf_prompt *p = hfdir_prompt(d, name);
    if (!p) p = hfdir_prompt(d, other);
    return p ? (gllm_str){p->text, strlen(p->text)} : (gllm_str){0};
}

/* Sums in double: the order of the products in a vector is all that could show. */
static double best_product(const float *q, const float *vectors, size_t n, uint32_t dim) {
    double best = -INFINITY;
    for (size_t i = 0; i < n; i++, vectors += dim) {
        double sum = 0;
        for (uint32_t k = 0; k < dim; k++) sum += (double)q[k] * vectors[k];
        best = sum > best ? sum : best;
    }
    return n ? best : 0;
}

static float score(const struct outputs_cfg *o, const struct gathered *query, const struct gathered *document) {
    const size_t n = query->vector_start[1];
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += best_product(query->vectors + i * o->token_dim, document->vectors, document->vector_start[1], o->token_dim);
    return (float)(o->mean_of_best && n ? sum / (double)n : sum);
}

/* Text 0 is the query; a document is scored as soon as it is there. */
static gllm_status score_text(void *user, size_t text, const struct text_outputs *o, gllm_error *err) {
    struct maxsim_call *c = user;
    struct gathered *query = &c->vectors[0], *document = &c->vectors[1];
    TRY(gathered_add(text ? document : query, 0, o, err));
    if (text) c->scores[text - 1] = score(&query->files->outputs, query, document);
    return GLLM_OK;
}

static bool tell(void *user, size_t done, size_t total) {
    const struct maxsim_call *c = user;
    return c->progress(c->progress_user, done - 1, total - 1);
}

static void release(struct maxsim_call *c) {
    for (int i = 0; i < 2; i++) gathered_free(&c->vectors[i]);
    c->compute_ms = c->run.compute_ms;
}
static void end_maxsim(struct task *t) { release((struct maxsim_call *)t); }

static gllm_status encode(const struct model *m, struct maxsim_call *c, gllm_error *err) {
    const struct model_files *f = &m->files;
    uint32_t tokens, full;
    struct embed_call query = {.inputs = &c->query, .n_inputs = 1, .outputs = OUTPUT_TOKENS, .queries = true, .prompt = prompt_of(&f->dir, "query", ""), .tokens = &tokens, .full_tokens = &full};
    struct embed_call all = {.inputs = c->documents, .n_inputs = c->n, .outputs = OUTPUT_TOKENS, .prompt = prompt_of(&f->dir, "document", "passage"), .truncate = c->truncate, .tokens = c->tokens,
                             .full_tokens = c->full_tokens};
    for (int i = 0; i < 2; i++) TRY(gathered_begin(&c->vectors[i], f, 1, !i, err));
    gllm_status status = embed_encode(m, &query, &c->run.packed, err);
    if (status != GLLM_OK) return err_wrap(err, status, "query");
    TRY(embed_encode(m, &all, &c->run.packed, err));
    for (size_t i = 0; i < c->n; i++) {
        c->tokens[i] += tokens;
        c->full_tokens[i] += full;
        c->query_cut[i] = tokens < full;
    }
    return GLLM_OK;
}

gllm_status engine_maxsim_submit(struct engine *e, struct maxsim_call *c, gllm_error *err) {
    c->run = (struct packed_run){.user = c, .outputs = OUTPUT_TOKENS, .more = score_text, .progress = c->progress ? tell : NULL, .progress_user = c, .end = end_maxsim};
    gllm_status status = encode(engine_model(e), c, err);
    if (status == GLLM_OK) status = packed_submit(e, &c->task, &c->run, err);
    else packed_free(&c->run.packed);
    if (status != GLLM_OK) release(c);
    return status;
}
