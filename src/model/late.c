#include "model/late.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAX_JSON ((uint64_t)16 << 20)

/* dir/name, or *out NULL where it is not there. */
static gllm_status read_json(const char *dir, const char *name, json_t **out, gllm_error *err) {
    char *path = path_join(dir, name);
    *out = NULL;
    if (!path) return err_nomem(err, name);
    gllm_status status = json_read_file(path, MAX_JSON, out, err);
    free(path);
    return status == GLLM_NOT_FOUND ? GLLM_OK : status;
}

gllm_status late_named_token(const struct model_files *f, const char *role, int32_t *id, gllm_error *err) {
    static const char *const FILES[] = {"tokenizer_config.json", "special_tokens_map.json"};
    *id = -1;
    for (unsigned i = 0; i < 2 && *id < 0; i++) {
        json_t *root;
        TRY(read_json(f->dir.weights_dir, FILES[i], &root, err));
        const json_t *v = json_object_get(root, role), *content = json_object_get(v, "content");
        const char *text = json_string_value(content ? content : v);
        if (text && !tokenizer_id(f->tokenizer, text, strlen(text), id)) *id = -1;
        json_decref(root);
    }
    return GLLM_OK;
}

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
