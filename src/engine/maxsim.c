#include "engine/maxsim.h"

#include <math.h>
#include <string.h>

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

static float score(const struct outputs_cfg *o, const struct gathered *query, const struct gathered *documents, size_t document) {
    const size_t n = query->vector_start[1], first = documents->vector_start[document], count = documents->vector_start[document + 1] - first;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += best_product(query->vectors + i * o->token_dim, documents->vectors + first * o->token_dim, count, o->token_dim);
    return (float)(o->mean_of_best && n ? sum / (double)n : sum);
}

gllm_status engine_maxsim(struct engine *e, struct maxsim_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    uint32_t tokens, full;
    struct embed_call query = {.inputs = &c->query, .n_inputs = 1, .outputs = OUTPUT_TOKENS, .queries = true, .prompt = prompt_of(&f->dir, "query", ""), .tokens = &tokens, .full_tokens = &full};
    struct embed_call all = {.inputs = c->documents, .n_inputs = c->n, .outputs = OUTPUT_TOKENS, .prompt = prompt_of(&f->dir, "document", "passage"), .truncate = c->truncate, .tokens = c->tokens,
                             .full_tokens = c->full_tokens, .progress = c->progress, .progress_user = c->progress_user};
    gllm_status status = engine_embed(e, &query, err);
    if (status != GLLM_OK) err_wrap(err, status, "query");
    if (status == GLLM_OK) status = engine_embed(e, &all, err);
    for (size_t i = 0; status == GLLM_OK && i < c->n; i++) {
        c->scores[i] = score(&f->outputs, &query.more, &all.more, i);
        c->tokens[i] += tokens;
        c->full_tokens[i] += full;
        c->query_cut[i] = tokens < full;
    }
    c->compute_ms = query.compute_ms + all.compute_ms;
    gathered_free(&query.more);
    gathered_free(&all.more);
    return status;
}
