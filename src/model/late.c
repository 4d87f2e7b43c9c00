#include "model/late.h"

gllm_status late_read(struct model_files *f, gllm_error *err) {
    (void)err;
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *m = &f->dir.modules[i];
        if (m->kind != HF_TOKEN_MASK && !m->per_token) continue;
        if (!f->outputs.token_dim) f->outputs.token_dim = f->cfg.d_model;
        f->outputs.available |= OUTPUT_TOKENS;
        if (m->kind != HF_DENSE) continue;
        if (m->dense.in_dim != f->outputs.token_dim)
            return err_set(err, GLLM_FORMAT, "%s: in_features: found %u, expected the %u of the layer before it", m->path, m->dense.in_dim, f->outputs.token_dim);
        f->outputs.token_dim = m->dense.out_dim;
    }
    return GLLM_OK;
}
