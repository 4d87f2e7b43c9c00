#include "hub/pick.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "hub/gguf_name.h"

enum { MOST_FOLDERS = 32 };

/* Beside the weights, in each folder of the model. */
static const char *const BESIDE[] = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.json", "chat_template.jinja", "modules.json", "config_sentence_transformers.json", "sentence_*_config.json",
    "quantize_config.json", "quant_config.json", "colbert_linear.pt", "sparse_linear.pt", "artifact.metadata", "README.md", "LICENSE*"};
/* In folders that no other file names. */
static const char *const ELSEWHERE[] = {"1_Pooling/config.json", "additional_chat_templates/*.jinja", "adapters/*.json", "adapters/*.safetensors"};

struct pick {
    const struct hub_listing *l;
    const struct hub_want *want;
    const char *name;
    bool *picked;
    const char *folders[MOST_FOLDERS]; /* of the model, inside the repository; "" is the root; borrowed or of `arena` */
    unsigned n_folders;
    struct arena arena;
};

static gllm_status add_folder(struct pick *p, const char *folder, gllm_error *err) {
    for (unsigned i = 0; i < p->n_folders; i++)
        if (!strcmp(p->folders[i], folder)) return GLLM_OK;
    if (p->n_folders == MOST_FOLDERS) return err_set(err, GLLM_UNSUPPORTED, "%s: modules.json names more than %d folders", p->name, MOST_FOLDERS);
    p->folders[p->n_folders++] = folder;
    return GLLM_OK;
}

static gllm_status read_json(struct pick *p, const struct hub_file *f, json_t **out, gllm_error *err) {
    char *text, where[300];
    size_t len;
    snprintf(where, sizeof where, "%.100s/%.190s", p->name, f->path);
    TRY(p->want->read(p->want->user, f, &text, &len, err));
    gllm_status status = json_parse(text, len, where, out, err);
    free(text);
    return status;
}

/* The folders that modules.json names. */
static gllm_status read_modules(struct pick *p, gllm_error *err) {
    const struct hub_file *f = hub_listing_find(p->l, "modules.json");
    json_t *root, *module;
    size_t i;
    TRY(add_folder(p, "", err));
    if (!f) return GLLM_OK;
    TRY(read_json(p, f, &root, err));
    gllm_status status = GLLM_OK;
    json_array_foreach(root, i, module) {
        const char *path = NULL;
        TRY_GO(json_str(module, "modules.json", "path", &path, err));
        if (!path || !*path) continue;
        if (!hub_path_is_safe(path)) {
            status = err_set(err, GLLM_FORMAT, "%s/modules.json: path: found \"%.80s\", expected a folder of the repository", p->name, path);
            goto done;
        }
        char *copy = arena_strdup(&p->arena, path);
        TRY_GO(copy ? add_folder(p, copy, err) : err_nomem(err, p->name));
    }
done:
    json_decref(root);
    return status;
}

/* The name of `path` in `folder`; NULL: it lies elsewhere. */
static const char *inside(const char *path, const char *folder) {
    const size_t n = strlen(folder);
    const char *name = !n ? path : !strncmp(path, folder, n) && path[n] == '/' ? path + n + 1 : NULL;
    return name && !strchr(name, '/') ? name : NULL;
}

static bool is_one_of(const char *name, const char *const *patterns, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!fnmatch(patterns[i], name, FNM_PATHNAME)) return true;
    return false;
}

static void pick_beside(struct pick *p) {
    for (size_t i = 0; i < p->l->n_files; i++) {
        const char *path = p->l->files[i].path, *name;
        for (unsigned k = 0; k < p->n_folders; k++)
            if ((name = inside(path, p->folders[k])) && is_one_of(name, BESIDE, sizeof BESIDE / sizeof *BESIDE)) p->picked[i] = true;
        if (is_one_of(path, ELSEWHERE, sizeof ELSEWHERE / sizeof *ELSEWHERE)) p->picked[i] = true;
    }
}

static const struct hub_file *in_folder(const struct pick *p, const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    return hub_listing_find(p->l, path);
}

/* The shards that the weight_map of an index names. */
static gllm_status pick_shards(struct pick *p, const char *folder, const struct hub_file *index, gllm_error *err) {
    json_t *root, *map, *shard;
    const char *key;
    TRY(read_json(p, index, &root, err));
    gllm_status status = json_object_at(root, index->path, "weight_map", &map, err);
    if (status == GLLM_OK && !map) status = err_set(err, GLLM_FORMAT, "%s/%s: found no weight_map", p->name, index->path);
    if (status == GLLM_OK) {
        json_object_foreach(map, key, shard) {
            const char *name = json_string_value(shard);
            const struct hub_file *f = name ? in_folder(p, folder, name) : NULL;
            if (f) p->picked[f - p->l->files] = true;
            else {
                status = err_set(err, GLLM_NOT_FOUND, "%s/%s: names the shard \"%.100s\", which the repository lacks", p->name, index->path, name ? name : "");
                break;
            }
        }
    }
    if (status == GLLM_OK) p->picked[index - p->l->files] = true;
    json_decref(root);
    return status;
}

/* One form of a folder's weights; *found: there is one. */
static gllm_status pick_weights(struct pick *p, const char *folder, bool *found, gllm_error *err) {
    static const char *const FORMS[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (unsigned i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        const struct hub_file *f = in_folder(p, folder, FORMS[i]);
        if (!f) continue;
        *found = true;
        if (i % 2) return pick_shards(p, folder, f, err);
        p->picked[f - p->l->files] = true;
        return GLLM_OK;
    }
    return GLLM_OK;
}

/* ---- GGUF ---- */

static gllm_status several(const struct pick *p, const char *const *names, size_t n, size_t hits, const char *choice, gllm_error *err) {
    char list[300] = "";
    size_t at = 0;
    for (size_t i = 0; i < n && at < sizeof list; i++) at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
    if (choice) return err_set(err, GLLM_NOT_FOUND, "%s: found %zu GGUF files that \"%.60s\" names, expected one of: %s", p->name, hits, choice, n ? list : "no GGUF file is there");
    return err_set(err, GLLM_INVALID, "%s: found %zu GGUF files, expected a choice as in ORG/NAME:FILE or ORG/NAME:Q4_K_M: %s", p->name, n, list);
}

static gllm_status pick_gguf(struct pick *p, const char *const *names, size_t n, gllm_error *err) {
    size_t hits, hit = gguf_name_choose(names, n, p->want->choice, &hits);
    if (hit == n && !p->want->choice) {
        size_t unused;
        hit = gguf_name_choose(names, n, p->want->fallback ? p->want->fallback : "Q4_K_M", &unused);
    }
    if (hit == n) return several(p, names, n, hits, p->want->choice, err);
    for (size_t i = 0; i < p->l->n_files; i++)
        if (gguf_name_same_set(names[hit], p->l->files[i].path)) p->picked[i] = true;
    return GLLM_OK;
}

/* The names of the GGUF models of the repository, NULL when memory is out. */
static const char **gguf_names(struct pick *p, size_t *n) {
    const char **names = arena_array(&p->arena, p->l->n_files, sizeof *names);
    *n = 0;
    for (size_t i = 0; names && i < p->l->n_files; i++)
        if (gguf_name_is_model(p->l->files[i].path)) names[(*n)++] = p->l->files[i].path;
    return names;
}

/* ---- all together ---- */

static gllm_status pick_all(struct pick *p, gllm_error *err) {
    size_t n_gguf;
    const char **gguf = gguf_names(p, &n_gguf);
    bool found = false;
    if (!gguf) return err_nomem(err, p->name);
    if (p->want->choice) return pick_gguf(p, gguf, n_gguf, err);
    TRY(read_modules(p, err));
    for (unsigned i = 0; i < p->n_folders; i++) TRY(pick_weights(p, p->folders[i], &found, err));
    if (!found && n_gguf) return pick_gguf(p, gguf, n_gguf, err);
    if (!found)
        return err_set(err, GLLM_UNSUPPORTED, "%s: found no weights among its %zu files, expected model.safetensors, its shards with an index, pytorch_model.bin or a .gguf file", p->name,
                       p->l->n_files);
    pick_beside(p);
    return GLLM_OK;
}

gllm_status hub_pick(const struct hub_listing *l, const struct hub_want *want, const char *name, bool *picked, gllm_error *err) {
    struct pick p = {.l = l, .want = want, .name = name, .picked = picked};
    memset(picked, 0, l->n_files * sizeof *picked);
    gllm_status status = pick_all(&p, err);
    arena_free(&p.arena);
    return status;
}
