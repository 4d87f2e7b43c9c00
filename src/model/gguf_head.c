#include "model/gguf_head.h"

#include <string.h>

#include "model/gguf_config.h"

/* dense_2 and dense_3, EmbeddingGemma's layers between pooling and length 1. */
static gllm_status add_dense(struct hfdir *d, const struct weights *w, gllm_error *err) {
    static const char *const NAMES[][2] = {{"dense_2", "dense_2.weight"}, {"dense_3", "dense_3.weight"}};
    enum { N_NAMES = sizeof NAMES / sizeof *NAMES };
    struct hf_module *all = arena_array(&d->arena, d->n_modules + N_NAMES, sizeof *all);
    if (!all) return err_nomem(err, d->dir);
    const struct hf_module last = d->modules[d->n_modules - 1];
    size_t n = d->n_modules - 1;
    memcpy(all, d->modules, n * sizeof *all);
    for (unsigned i = 0; i < N_NAMES; i++) {
        const struct tensor *t = weights_find(w, NAMES[i][1]);
        if (!t) continue;
        if (t->rank != 2 || !t->shape[0] || !t->shape[1] || t->shape[0] > 1 << 20 || t->shape[1] > 1 << 20) return err_set(err, GLLM_FORMAT, "%s: %s: found a tensor of rank %u, expected a matrix of at most 1048576 rows and columns", d->dir, t->name, t->rank);
        all[n++] = (struct hf_module){.kind = HF_DENSE, .path = d->dir, .dense = {.in_dim = (uint32_t)t->shape[1], .out_dim = (uint32_t)t->shape[0], .act = HF_ACT_IDENTITY, .tensor = NAMES[i][0]}};
    }
    all[n++] = last;
    d->modules = all, d->n_modules = n;
    return GLLM_OK;
}

gllm_status gguf_head(struct hfdir *d, const struct weights *w, bool assume_mean, const struct log *log, gllm_error *err) {
    static const enum hf_pool POOLS[] = {[GGUF_POOL_MEAN] = HF_POOL_MEAN, [GGUF_POOL_CLS] = HF_POOL_CLS, [GGUF_POOL_LAST] = HF_POOL_LAST};
    const double type = json_number_value(json_object_get(d->config, "pooling_type"));
    const bool classifier = json_object_get(d->config, "architectures") != NULL;
    if (classifier || (type == GGUF_POOL_NONE && !assume_mean)) return GLLM_OK;
    if (type == GGUF_POOL_RANK) return err_set(err, GLLM_FORMAT, "%s: pooling_type: found 4 (rank), expected a classification head: there is no cls.weight or cls.output.weight", d->dir);
    if (type != GGUF_POOL_NONE && type != GGUF_POOL_MEAN && type != GGUF_POOL_CLS && type != GGUF_POOL_LAST)
        return err_set(err, GLLM_UNSUPPORTED, "%s: pooling_type: found %g, expected 0 to 4", d->dir, type);
    if (type == GGUF_POOL_NONE) log_line(log, GLLM_LOG_WARN, "%s: pooling_type: no pooling is said: mean pooling is assumed", d->name);
    TRY(hfdir_pool_by(d, type == GGUF_POOL_NONE ? HF_POOL_MEAN : POOLS[(int)type], true, err));
    return add_dense(d, w, err);
}
