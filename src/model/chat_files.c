#include "model/chat_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/gguf.h"

enum { MAX_TEMPLATES = 64, MAX_TEMPLATE = 16 << 20, N_TOKENS = 7 };
static const char *const TOKENS[N_TOKENS] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

static gllm_status add(struct model_files *f, const char *name, size_t name_len, const char *text, size_t len, gllm_error *err) {
    struct chat_source *c = &f->chat;
    if (!c->templates && !(c->templates = arena_array(&f->arena, MAX_TEMPLATES, sizeof *c->templates))) return err_nomem(err, "chat templates");
    if (c->n_templates == MAX_TEMPLATES) return GLLM_OK;
    struct chat_string *t = &c->templates[c->n_templates];
    t->name = arena_strndup(&f->arena, name, name_len);
    t->text = arena_strndup(&f->arena, text, len);
    t->len = len;
    if (!t->name || !t->text) return err_nomem(err, "chat templates");
    c->n_templates++;
    return GLLM_OK;
}

static gllm_status add_token(struct model_files *f, const char *name, const char *text, size_t len, gllm_error *err) {
    struct chat_source *c = &f->chat;
    if (!c->tokens && !(c->tokens = arena_array(&f->arena, N_TOKENS, sizeof *c->tokens))) return err_nomem(err, "special tokens");
    const char *copy = arena_strndup(&f->arena, text, len);
    if (!copy) return err_nomem(err, "special tokens");
    c->tokens[c->n_tokens++] = (struct chat_string){name, copy, len};
    return GLLM_OK;
}

/* ---- directories ---- */

/* dir/name as the template `as`, when there is such a file. */
static gllm_status add_file(struct model_files *f, const char *dir, const char *name, const char *as, size_t as_len, gllm_error *err) {
    char *path = path_join(dir, name), *text = NULL;
    size_t len;
    if (!path) return err_nomem(err, name);
    gllm_status status = file_exists(path) ? file_read(path, MAX_TEMPLATE, &text, &len, err) : GLLM_OK;
    if (text) status = add(f, as, as_len, text, len, err);
    free(text);
    free(path);
    return status;
}

static gllm_status add_folder(struct model_files *f, const char *dir, gllm_error *err) {
    static const char SUFFIX[] = ".jinja";
    gllm_status status = GLLM_OK;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && status == GLLM_OK && (e = readdir(d));) {
        const size_t n = strlen(e->d_name), suffix = sizeof SUFFIX - 1;
        if (n > suffix && !strcmp(e->d_name + n - suffix, SUFFIX)) status = add_file(f, dir, e->d_name, e->d_name, n - suffix, err);
    }
    if (d) closedir(d);
    return status;
}

/* "chat_template" of an object: a string, or [{"name", "template"} …]. What has another form is no template. */
static gllm_status add_json(struct model_files *f, const json_t *object, gllm_error *err) {
    const json_t *v = json_object_get(object, "chat_template");
    if (json_is_string(v)) return add(f, "default", 7, json_string_value(v), json_string_length(v), err);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *name = json_object_get(json_array_get(v, i), "name"), *text = json_object_get(json_array_get(v, i), "template");
        if (json_is_string(name) && json_is_string(text)) TRY(add(f, json_string_value(name), json_string_length(name), json_string_value(text), json_string_length(text), err));
    }
    return GLLM_OK;
}

/* dir/name as a JSON object; *out NULL when there is no such file. */
static gllm_status read_object(const char *dir, const char *name, json_t **out, gllm_error *err) {
    char *path = path_join(dir, name);
    *out = NULL;
    if (!path) return err_nomem(err, name);
    gllm_status status = file_exists(path) ? json_read_file(path, MAX_TEMPLATE, out, err) : GLLM_OK;
    free(path);
    return status;
}

static gllm_status add_tokens(struct model_files *f, const json_t *config, const json_t *map, gllm_error *err) {
    for (unsigned i = 0; i < N_TOKENS; i++) {
        const json_t *v = json_object_get(config, TOKENS[i]);
        if (!v) v = json_object_get(map, TOKENS[i]);
        if (json_is_object(v)) v = json_object_get(v, "content");
        if (json_is_string(v)) TRY(add_token(f, TOKENS[i], json_string_value(v), json_string_length(v), err));
    }
    return GLLM_OK;
}

static gllm_status from_directory(struct model_files *f, gllm_error *err) {
    const char *dir = f->dir.weights_dir;
    json_t *config = NULL, *map = NULL, *legacy = NULL;
    char *folder = path_join(dir, "additional_chat_templates");
    gllm_status status;
    if (!folder) return err_nomem(err, dir);
    TRY_GO(read_object(dir, "tokenizer_config.json", &config, err));
    TRY_GO(read_object(dir, "special_tokens_map.json", &map, err));
    TRY_GO(add_tokens(f, config, map, err));
    TRY_GO(add_file(f, dir, "chat_template.jinja", "default", 7, err));
    TRY_GO(add_folder(f, folder, err));
    if (!f->chat.n_templates) TRY_GO(add_json(f, config, err));
    if (f->chat.n_templates) goto done;
    TRY_GO(read_object(dir, "chat_template.json", &legacy, err));
    TRY_GO(add_json(f, legacy, err));
done:
    json_decref(config);
    json_decref(map);
    json_decref(legacy);
    free(folder);
    return status;
}

/* ---- GGUF ---- */

static gllm_status gguf_token(struct model_files *f, const char *key, const char *name, gllm_error *err) {
    const struct gguf_entry *e = gguf_find(weights_gguf(f->weights), key);
    int64_t id;
    size_t len;
    if (!e || !gguf_at_i64(&e->value, 0, &id) || id < 0 || id > INT32_MAX) return GLLM_OK;
    const char *piece = tokenizer_piece(f->tokenizer, (int32_t)id, &len);
    return piece ? add_token(f, name, piece, len, err) : GLLM_OK;
}

static gllm_status from_gguf(struct model_files *f, gllm_error *err) {
    static const char KEY[] = "tokenizer.chat_template";
    static const char *const IDS[N_TOKENS] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.seperator_token_id",
                                              "tokenizer.ggml.padding_token_id", "tokenizer.ggml.cls_token_id", "tokenizer.ggml.mask_token_id"};
    const struct gguf *g = weights_gguf(f->weights);
    for (unsigned i = 0; i < N_TOKENS; i++) TRY(gguf_token(f, IDS[i], TOKENS[i], err));
    for (size_t i = 0; i < g->n_entries; i++) {
        const struct gguf_entry *e = &g->entries[i];
        const size_t n = sizeof KEY - 1;
        struct gguf_array rest = e->value;
        struct gguf_str text;
        if (e->type != GGUF_STRING || e->key.len < n || memcmp(e->key.data, KEY, n) || !gguf_next_str(&rest, &text)) continue;
        if (e->key.len == n) TRY(add(f, "default", 7, text.data, text.len, err));
        else if (e->key.data[n] == '.') TRY(add(f, e->key.data + n + 1, e->key.len - n - 1, text.data, text.len, err));
    }
    return GLLM_OK;
}

gllm_status chat_files_read(struct model_files *f, gllm_error *err) { return weights_gguf(f->weights) ? from_gguf(f, err) : from_directory(f, err); }
