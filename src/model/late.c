#include "model/late.h"

#include <string.h>

#include "model/side_files.h"

/* The vocabulary entries among the words; one that is no entry skips nothing. */
static gllm_status read_skipped(struct model_files *f, const struct hf_module *m, gllm_error *err) {
    struct outputs_cfg *o = &f->outputs;
    int32_t *ids = arena_array(&f->arena, m->mask.n_words, sizeof *ids);
    if (!ids) return err_nomem(err, "skiplist_words");
    o->n_skipped = 0;
    for (size_t i = 0; i < m->mask.n_words; i++) o->n_skipped += tokenizer_id(f->tokenizer, m->mask.words[i], strlen(m->mask.words[i]), &ids[o->n_skipped]);
    o->skipped = ids;
    o->skip_queries = m->mask.queries;
    return GLLM_OK;
}

static gllm_status read_expansion(struct model_files *f, gllm_error *err) {
    const struct hf_expansion *e = &f->dir.expansion;
    struct outputs_cfg *o = &f->outputs;
    o->query.max_tokens = e->length ? e->length : f->dir.query_length;
    o->document.max_tokens = f->dir.document_length;
    if (!e->length) return GLLM_OK;
    if (!e->attend)
        return err_set(err, GLLM_UNSUPPORTED, "%s: query_expansion: attend: found false, expected true: queries filled up with tokens that the others do not see are not in this version", f->dir.name);
    o->expand.length = e->length;
    o->expand.token = -1;
    if (!e->token) TRY(side_tokens(f, &(const char *){"mask_token"}, 1, &o->expand.token, err));
    else if (!tokenizer_id(f->tokenizer, e->token, strlen(e->token), &o->expand.token)) o->expand.token = -1;
    return o->expand.token >= 0 ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: query_expansion: token: found \"%.40s\", expected a token of the vocabulary", f->dir.name, e->token ? e->token : "");
}

/* Layouts of late interaction whose markers and lengths stand elsewhere: read as plain encoders they would give other vectors. */
static gllm_status refuse_others(const struct model_files *f, gllm_error *err) {
    const json_t *list = json_object_get(f->dir.config, "architectures");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && !strcmp(name, "HF_ColBERT"))
            return err_set(err, GLLM_UNSUPPORTED, "%s/config.json: architectures: found \"HF_ColBERT\": save it as sentence-transformers' MultiVectorEncoder", f->dir.weights_dir);
    }
    return GLLM_OK;
}

gllm_status late_read(struct model_files *f, gllm_error *err) {
    TRY(refuse_others(f, err));
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *m = &f->dir.modules[i];
        if (m->kind != HF_TOKEN_MASK && !m->per_token) continue;
        if (!f->outputs.token_dim) f->outputs.token_dim = f->cfg.d_model;
        f->outputs.available |= OUTPUT_TOKENS;
        if (m->kind == HF_TOKEN_MASK) TRY(read_skipped(f, m, err));
        if (m->kind != HF_DENSE) continue;
        if (m->dense.in_dim != f->outputs.token_dim)
            return err_set(err, GLLM_FORMAT, "%s: in_features: found %u, expected the %u of the layer before it", m->path, m->dense.in_dim, f->outputs.token_dim);
        f->outputs.token_dim = m->dense.out_dim;
    }
    return f->outputs.available & OUTPUT_TOKENS ? read_expansion(f, err) : GLLM_OK;
}
