#include "engine/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pack.h"
#include "model/head.h"

gllm_status embed_dim(const struct model *m, enum pool_kind pooling, uint32_t *dim, gllm_error *err) {
    struct head h = m->head;
    if (pooling) h.n_modes = 1, h.modes[0] = pooling;
    if (m->files.ranker.kind != RANKER_NONE) return err_set(err, GLLM_UNSUPPORTED, "%s is a reranker: it gives scores, not vectors", m->files.dir.name);
    if (!h.n_modes) return err_set(err, GLLM_UNSUPPORTED, "%s is a generator (%s) whose files name no pooling: name one (last, mean …)", m->files.dir.name, m->files.arch.name);
    return head_dim(&h, m->files.cfg.d_model, dim, err);
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
    gllm_status status = prompt_tokens(m, &c->prompt, &opt, &p->pool_from, err);
    for (size_t i = 0; status == GLLM_OK && i < c->n_inputs; i++) {
        status = encode_one(m, c, i, &opt, &glued, &e, err);
        if (status == GLLM_OK) status = packed_add(p, &e, err);
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

static void keep_vector(void *user, size_t text, const float *row) {
    struct embed_call *c = user;
    const size_t keep = c->dimensions ? c->dimensions : c->dim;
    finish(row, (uint32_t)keep, c->normalize, c->data + text * keep);
}

static gllm_status run_all(struct model *m, void *arg, gllm_error *err) { return packed_run(m, arg, err); }

gllm_status engine_embed(struct engine *e, struct embed_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    if (f->classifier.n_labels) return err_set(err, GLLM_UNSUPPORTED, "%s is a %s: it gives scores, not vectors", f->dir.name, f->classifier.n_labels == 1 ? "reranker" : "classifier");
    if (f->generates) log_line(&engine_model(e)->log, GLLM_LOG_INFO, "%s is a generator (%s): it was not trained for vectors; %s pooling, as asked", f->dir.name, f->arch.name, pool_name(c->pooling));
    struct packed packed = {0};
    struct packed_run run = {.packed = &packed, .budget = engine_options_of(e)->max_batch_tokens, .pooling = c->pooling, .dim = c->dim, .each = keep_vector, .user = c,
                             .progress = c->progress, .progress_user = c->progress_user};
    gllm_status status = encode_all(engine_model(e), c, &packed, err);
    if (status == GLLM_OK) status = engine_call(e, run_all, &run, err);
    c->compute_ms = run.compute_ms;
    packed_free(&packed);
    return status;
}
