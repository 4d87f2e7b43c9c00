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

gllm_status side_token(const struct model_files *f, const char *role, int32_t *id, gllm_error *err) {
    static const char *const FILES[] = {"tokenizer_config.json", "special_tokens_map.json"};
    *id = -1;
    for (unsigned i = 0; i < 2 && *id < 0; i++) {
        json_t *root;
        TRY(side_json(f, FILES[i], &root, err));
        const json_t *v = json_object_get(root, role), *content = json_object_get(v, "content");
        const char *text = json_string_value(content ? content : v);
        if (text && !tokenizer_id(f->tokenizer, text, strlen(text), id)) *id = -1;
        json_decref(root);
    }
    return GLLM_OK;
}
