#include "engine/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/head.h"

gllm_status embed_dim(const struct model *m, enum pool_kind pooling, uint32_t *dim, gllm_error *err) {
    struct head h = m->head;
    if (pooling) h.n_modes = 1, h.modes[0] = pooling;
    return head_dim(&h, m->files.cfg.d_model, dim, err);
}

/* All texts of a call as ids, one after the other. */
struct packed {
    int32_t *ids;
    uint8_t *types;
    size_t *start; /* [n_inputs + 1] */
    size_t count, capacity;
    uint32_t pool_from;
};
static void packed_free(struct packed *p) {
    free(p->ids);
    free(p->types);
    free(p->start);
}

static bool packed_add(struct packed *p, const struct encoding *e) {
    if (p->count + e->count > p->capacity) {
        size_t n = 2 * (p->count + e->count);
        int32_t *ids = realloc(p->ids, n * sizeof *ids);
        if (ids) p->ids = ids;
        uint8_t *types = realloc(p->types, n);
        if (types) p->types = types;
        if (!ids || !types) return false;
        p->capacity = n;
    }
    if (e->count) {
        memcpy(p->ids + p->count, e->ids, e->count * sizeof *e->ids);
        memcpy(p->types + p->count, e->types, e->count);
    }
    p->count += e->count;
    return true;
}

/* Tokens of the prompt alone, without the special token that ends it: what pooling leaves out when the files say include_prompt: false. */
static gllm_status prompt_tokens(const struct model *m, const gllm_str *prompt, const struct encode_options *opt, uint32_t *out, gllm_error *err) {
    struct encoding e = {0};
    *out = 0;
    if (!prompt->len || m->head.include_prompt) return GLLM_OK;
    gllm_status status = tokenizer_encode(m->files.tokenizer, prompt->ptr, prompt->len, NULL, 0, opt, &e, err);
    if (status == GLLM_OK) *out = e.count && tokenizer_is_special(m->files.tokenizer, e.ids[e.count - 1]) ? e.count - 1 : e.count;
    encoding_free(&e);
    return status;
}

static gllm_status encode_one(const struct model *m, struct embed_call *c, size_t i, const struct encode_options *opt, char **glued, struct encoding *e, gllm_error *err) {
    const char *text = c->inputs[i].ptr ? c->inputs[i].ptr : "";
    size_t len = c->inputs[i].len;
    if (c->prompt.len) {
        if (len > SIZE_MAX - c->prompt.len - 1) return err_nomem(err, "prompt");
        char *joined = realloc(*glued, c->prompt.len + len + 1);
        if (!joined) return err_nomem(err, "prompt");
        *glued = joined;
        memcpy(joined, c->prompt.ptr, c->prompt.len);
        if (len) memcpy(joined + c->prompt.len, text, len);
        text = joined, len += c->prompt.len;
    }
    gllm_status status = tokenizer_encode(m->files.tokenizer, text, len, NULL, 0, opt, e, err);
    if (status != GLLM_OK) return err_wrap(err, status, "input %zu", i);
    c->tokens[i] = e->count;
    c->full_tokens[i] = e->full_count;
    if (c->truncate == GLLM_TRUNCATE_NONE && e->full_count > opt->max_tokens)
        return err_set(err, GLLM_TOO_LONG, "input %zu has %u tokens, expected at most %u", i, e->full_count, opt->max_tokens);
    return GLLM_OK;
}

static gllm_status encode_all(const struct model *m, struct embed_call *c, struct packed *p, gllm_error *err) {
    struct encode_options opt = {.add_special = true, .parse_special = true, .lowercase = m->files.dir.do_lower_case, .max_tokens = m->files.max_tokens,
                                 .side = c->truncate == GLLM_TRUNCATE_START ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
    struct encoding e = {0};
    char *glued = NULL;
    gllm_status status = GLLM_OK;
    p->start = calloc(c->n_inputs + 1, sizeof *p->start);
    if (!p->start) status = err_nomem(err, "tokens");
    if (status == GLLM_OK) status = prompt_tokens(m, &c->prompt, &opt, &p->pool_from, err);
    for (size_t i = 0; status == GLLM_OK && i < c->n_inputs; i++) {
        status = encode_one(m, c, i, &opt, &glued, &e, err);
        if (status == GLLM_OK && !packed_add(p, &e)) status = err_nomem(err, "tokens");
        p->start[i + 1] = p->count;
    }
    encoding_free(&e);
    free(glued);
    return status;
}

/* Cuts to `keep` values and scales to length 1, in double so that the order of the sum does not show. A zero vector stays zero. */
static void finish(const float *in, uint32_t keep, bool normalize, float *out) {
    double square = 0, scale = 1;
    for (uint32_t i = 0; i < keep; i++) square += (double)in[i] * in[i];
    if (normalize) scale = 1 / fmax(sqrt(square), 1e-12);
    for (uint32_t i = 0; i < keep; i++) out[i] = (float)(in[i] * scale);
}

struct work {
    struct embed_call *call;
    struct packed packed;
    uint32_t budget;
};

/* Texts [first, last) as one packed forward. */
static gllm_status run_batch(struct model *m, struct work *w, size_t first, size_t last, gllm_error *err) {
    struct embed_call *c = w->call;
    const size_t n = last - first, base = w->packed.start[first], keep = c->dimensions ? c->dimensions : c->dim;
    uint32_t *starts = malloc((2 * n + 1) * sizeof *starts);
    float *raw = malloc(n * c->dim * sizeof *raw);
    gllm_status status = starts && raw ? GLLM_OK : err_nomem(err, "batch");
    if (status == GLLM_OK) {
        for (size_t i = 0; i <= n; i++) starts[i] = (uint32_t)(w->packed.start[first + i] - base);
        for (size_t i = 0; i < n; i++) starts[n + 1 + i] = w->packed.pool_from;
        struct batch b = {.n_tok = starts[n], .n_seq = (uint32_t)n, .tokens = w->packed.ids + base, .types = w->packed.types + base, .starts = starts, .pool_from = starts + n + 1};
        status = model_run(m, &b, c->pooling, raw, err);
    }
    for (size_t i = 0; status == GLLM_OK && i < n; i++) finish(raw + i * c->dim, (uint32_t)keep, c->normalize, c->data + (first + i) * keep);
    free(starts);
    free(raw);
    return status;
}

static gllm_status run_all(struct model *m, void *arg, gllm_error *err) {
    struct work *w = arg;
    struct embed_call *c = w->call;
    const size_t *start = w->packed.start;
    for (size_t first = 0, last; first < c->n_inputs; first = last) {
        for (last = first + 1; last < c->n_inputs && start[last + 1] - start[first] <= w->budget && last - first < w->budget; last++) {}
        double begin = clock_ms();
        TRY(run_batch(m, w, first, last, err));
        c->compute_ms += clock_ms() - begin;
        if (c->progress && !c->progress(c->progress_user, last, c->n_inputs) && last < c->n_inputs) return err_set(err, GLLM_CANCELED, "canceled after %zu of %zu texts", last, c->n_inputs);
    }
    return GLLM_OK;
}

gllm_status engine_embed(struct engine *e, struct embed_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    if (f->cfg.causal) return err_set(err, GLLM_UNSUPPORTED, "%s is a generator (%s): embeddings from such models are not in this version", f->dir.name, f->arch.name);
    struct work w = {.call = c, .budget = engine_options_of(e)->max_batch_tokens};
    gllm_status status = encode_all(engine_model(e), c, &w.packed, err);
    if (status == GLLM_OK) status = engine_call(e, run_all, &w, err);
    packed_free(&w.packed);
    return status;
}
