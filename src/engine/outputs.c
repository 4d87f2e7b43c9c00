#include "engine/outputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    int32_t id;
    float weight;
};

gllm_status gathered_begin(struct gathered *g, const struct model_files *files, size_t n, bool queries, gllm_error *err) {
    *g = (struct gathered){.files = files, .n = n, .queries = queries, .pair_start = calloc(n + 1, sizeof(size_t)), .vector_start = calloc(n + 1, sizeof(size_t))};
    return g->pair_start && g->vector_start ? GLLM_OK : err_nomem(err, "outputs");
}

void gathered_free(struct gathered *g) {
    void *all[] = {g->pair_start, g->vector_start, g->ids, g->weights, g->vectors};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    *g = (struct gathered){0};
}

static bool contains(const int32_t *list, uint32_t n, int32_t id) {
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == id) return true;
    return false;
}

static bool grow(void **list, size_t room, size_t size) {
    void *p = realloc(*list, room * size);
    if (p) *list = p;
    return p;
}

static gllm_status reserve_pairs(struct gathered *g, size_t need, gllm_error *err) {
    if (need <= g->room_pairs) return GLLM_OK;
    const size_t room = 2 * need + 64;
    if (!grow((void **)&g->ids, room, sizeof *g->ids) || !grow((void **)&g->weights, room, sizeof *g->weights)) return err_nomem(err, "sparse vectors");
    g->room_pairs = room;
    return GLLM_OK;
}

static int by_id(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->weight < y->weight) - (x->weight > y->weight); /* the largest first */
}

/* The largest weight of each token that has one above 0. */
static gllm_status add_tokens(struct gathered *g, const struct outputs_cfg *cfg, const struct text_outputs *o, size_t *at, gllm_error *err) {
    struct pair *pairs = malloc((o->n_tok + 1) * sizeof *pairs);
    uint32_t n = 0;
    if (!pairs) return err_nomem(err, "sparse vectors");
    for (uint32_t i = 0; i < o->n_tok; i++)
        if (o->sparse[i] > 0 && !contains(cfg->unweighed, cfg->n_unweighed, o->ids[i])) pairs[n++] = (struct pair){o->ids[i], o->sparse[i]};
    qsort(pairs, n, sizeof *pairs, by_id);
    gllm_status status = reserve_pairs(g, *at + n, err);
    for (uint32_t i = 0; status == GLLM_OK && i < n; i++)
        if (!i || pairs[i].id != pairs[i - 1].id) g->ids[*at] = pairs[i].id, g->weights[(*at)++] = pairs[i].weight;
    free(pairs);
    return status;
}

/* What a logit above 0 becomes. */
static float weight_of(const struct outputs_cfg *cfg, float logit) {
    const float w = log1pf(logit);
    return cfg->log_twice ? log1pf(w) : w;
}

/* The weight of entry v. The logarithm grows with the logit, so that the largest logit gives the largest weight; a sum is of the weights of all tokens, in double. */
static float vocabulary_weight(const struct outputs_cfg *cfg, uint32_t n_vocab, const struct text_outputs *o, uint32_t v) {
    double sum = 0;
    if (cfg->sparse == SPARSE_BY_VOCABULARY) return o->sparse[v] > 0 ? weight_of(cfg, o->sparse[v]) : 0;
    for (uint32_t i = 0; i < o->n_tok; i++) {
        const float logit = o->sparse[(size_t)i * n_vocab + v];
        if (logit > 0) sum += (double)weight_of(cfg, logit);
    }
    return (float)sum;
}

static gllm_status add_vocabulary(struct gathered *g, const struct outputs_cfg *cfg, uint32_t n_vocab, const struct text_outputs *o, size_t *at, gllm_error *err) {
    if (!o->n_tok) return GLLM_OK;
    for (uint32_t v = 0; v < n_vocab; v++) {
        const float w = vocabulary_weight(cfg, n_vocab, o, v);
        if (!(w > 0)) continue;
        TRY(reserve_pairs(g, *at + 1, err));
        g->ids[*at] = (int32_t)v;
        g->weights[(*at)++] = w;
    }
    return GLLM_OK;
}

static gllm_status add_vectors(struct gathered *g, const struct outputs_cfg *cfg, const struct text_outputs *o, size_t *at, gllm_error *err) {
    const size_t dim = cfg->token_dim, need = *at + o->n_tok;
    const bool skip = !g->queries || cfg->skip_queries;
    if (need > g->room_vectors) {
        if (!grow((void **)&g->vectors, 2 * need + 64, dim * sizeof *g->vectors)) return err_nomem(err, "token vectors");
        g->room_vectors = 2 * need + 64;
    }
    for (uint32_t i = cfg->first_token; i < o->n_tok; i++)
        if (!skip || !contains(cfg->skipped, cfg->n_skipped, o->ids[i])) memcpy(g->vectors + (*at)++ * dim, o->tokens + i * dim, dim * sizeof *g->vectors);
    return GLLM_OK;
}

gllm_status gathered_add(struct gathered *g, size_t text, const struct text_outputs *o, gllm_error *err) {
    const struct outputs_cfg *cfg = &g->files->outputs;
    size_t pairs = g->pair_start[text], vectors = g->vector_start[text];
    if (o->sparse) TRY(outputs_by_vocabulary(cfg) ? add_vocabulary(g, cfg, g->files->cfg.n_vocab, o, &pairs, err) : add_tokens(g, cfg, o, &pairs, err));
    if (o->tokens) TRY(add_vectors(g, cfg, o, &vectors, err));
    g->pair_start[text + 1] = pairs;
    g->vector_start[text + 1] = vectors;
    return GLLM_OK;
}
