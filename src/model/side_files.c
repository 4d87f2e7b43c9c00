#include "model/side_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAX_JSON ((uint64_t)64 << 20)

gllm_status side_json(const struct model_files *f, const char *name, json_t **out, gllm_error *err) {
    char *path = path_join(f->dir.weights_dir, name);
    *out = NULL;
    if (!path) return err_nomem(err, name);
    gllm_status status = json_read_file(path, MAX_JSON, out, err);
    free(path);
    return status == GLLM_NOT_FOUND ? GLLM_OK : status;
}

static int32_t token_of(const struct model_files *f, const json_t *root, const char *role) {
    const json_t *v = json_object_get(root, role), *content = json_object_get(v, "content");
    const char *text = json_string_value(content ? content : v);
    int32_t id;
    return text && tokenizer_id(f->tokenizer, text, strlen(text), &id) ? id : -1;
}

gllm_status side_tokens(const struct model_files *f, const char *const *roles, unsigned n, int32_t *ids, gllm_error *err) {
    static const char *const FILES[] = {"tokenizer_config.json", "special_tokens_map.json"};
    unsigned missing = n;
    for (unsigned k = 0; k < n; k++) ids[k] = -1;
    for (unsigned i = 0; i < 2 && missing; i++) {
        json_t *root;
        TRY(side_json(f, FILES[i], &root, err));
        for (unsigned k = 0; k < n; k++) {
            if (ids[k] >= 0) continue;
            ids[k] = token_of(f, root, roles[k]);
            missing -= ids[k] >= 0;
        }
        json_decref(root);
    }
    return GLLM_OK;
}
