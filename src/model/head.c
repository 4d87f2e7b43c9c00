/* head.c - what stands after the encoder, read from the modules of the directory. */
#include "model/head.h"

static const enum pool_kind KINDS[HF_POOL_COUNT] = {
    [HF_POOL_CLS] = POOL_CLS,   [HF_POOL_MAX] = POOL_MAX, [HF_POOL_MEAN] = POOL_MEAN, [HF_POOL_MEAN_SQRT_LEN] = POOL_MEAN_SQRT_LEN,
    [HF_POOL_WEIGHTED_MEAN] = POOL_WEIGHTED_MEAN, [HF_POOL_LAST] = POOL_LAST,
};

const char *pool_name(enum pool_kind k) {
    switch (k) {
    case POOL_CLS: return "cls";
    case POOL_MAX: return "max";
    case POOL_MEAN: return "mean";
    case POOL_MEAN_SQRT_LEN: return "mean-sqrt-len";
    case POOL_WEIGHTED_MEAN: return "weighted-mean";
    case POOL_LAST: return "last";
    default: return "none";
    }
}

gllm_status head_read(struct head *h, struct arena *arena, const struct hfdir *d, uint32_t d_model, const struct log *log, gllm_error *err) {
    *h = (struct head){.include_prompt = true};
    h->steps = arena_array(arena, d->n_modules, sizeof *h->steps);
    if (!h->steps) return err_nomem(err, "modules");
    for (size_t i = 1; i < d->n_modules; i++) {
        const struct hf_module *m = &d->modules[i];
        if (m->per_token || m->kind == HF_TOKEN_MASK || m->kind == HF_SPLADE) continue; /* outputs.c */
        if (m->kind != HF_POOLING) {
            h->steps[h->n_steps++] = m;
            continue;
        }
        if (h->n_modes || h->n_steps) return err_set(err, GLLM_UNSUPPORTED, "%s/modules.json: module %zu is a Pooling, expected one, right after the Transformer", d->dir, i);
        if (m->pooling.dim && m->pooling.dim != d_model)
            return err_set(err, GLLM_FORMAT, "%s/config.json: word_embedding_dimension: found %u, expected %u", m->path, m->pooling.dim, d_model);
        h->include_prompt = m->pooling.include_prompt;
        for (; h->n_modes < m->pooling.n_modes; h->n_modes++) h->modes[h->n_modes] = KINDS[m->pooling.modes[h->n_modes]];
    }
    if (!h->n_modes) {
        h->modes[h->n_modes++] = POOL_MEAN;
        if (!d->n_modules || d->modules[0].kind != HF_STATIC)
            log_line(log, GLLM_LOG_WARN, "%s: no pooling in modules.json or 1_Pooling: mean pooling is assumed, as sentence-transformers does", d->name);
    }
    if (d->lone_pooling) log_line(log, GLLM_LOG_WARN, "%s: no modules.json: the pooling of 1_Pooling is taken (sentence-transformers would take the mean)", d->name);
    if (h->n_steps && h->steps[h->n_steps - 1]->kind == HF_NORMALIZE) {
        h->normalize = true;
        h->n_steps--;
    }
    return head_dim(h, d_model, &h->dim, err);
}

gllm_status head_dim(const struct head *h, uint32_t d_model, uint32_t *dim, gllm_error *err) {
    *dim = h->n_labels ? h->n_labels : d_model * h->n_modes;
    for (uint32_t i = 0; i < h->n_steps; i++) {
        const struct hf_module *m = h->steps[i];
        if (m->kind != HF_DENSE) continue;
        if (m->dense.in_dim != *dim) return err_set(err, GLLM_INVALID, "%s: a dense layer for vectors of %u, found %u after pooling", m->path, m->dense.in_dim, *dim);
        *dim = m->dense.out_dim;
    }
    return GLLM_OK;
}
