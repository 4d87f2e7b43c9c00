#include "format/weights.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/torch_zip.h"

#define MAX_INDEX ((uint64_t)256 << 20)

struct shard {
    const char *name; /* file name */
    struct file_map map;
    struct tensor *tensors; /* [n_tensors] */
    size_t n_tensors;
    struct safetensors st;
    struct gguf gguf; /* name NULL: another form */
    bool torch;
};
struct weights {
    struct arena arena;
    struct shard *shards;
    uint32_t n_shards;
    const struct tensor **tensors; /* all shards', in file order */
    size_t n_tensors;
    struct map by_name; /* name -> index in tensors */
};

static bool ends_in(const char *path, const char *end) {
    const size_t n = strlen(path), k = strlen(end);
    return n >= k && !strcasecmp(path + n - k, end);
}
static bool ends_in_gguf(const char *path) { return ends_in(path, ".gguf"); }

static gllm_status open_shard(struct weights *w, const char *path, gllm_error *err) {
    struct shard *s = &w->shards[w->n_shards];
    TRY(file_map_open(&s->map, path, err));
    uint32_t index = w->n_shards++;
    s->name = arena_strdup(&w->arena, path_base(path));
    if (!s->name) return err_nomem(err, path);
    if (gguf_is(s->map.data, s->map.size) || ends_in_gguf(path)) {
        TRY(gguf_read(&s->gguf, &w->arena, s->map.data, s->map.size, path, err));
        s->tensors = s->gguf.tensors, s->n_tensors = s->gguf.n_tensors;
    } else if (torch_zip_is(s->map.data, s->map.size) || ends_in(path, ".bin") || ends_in(path, ".pt")) {
        struct torch_zip z;
        TRY(torch_zip_read(&z, &w->arena, s->map.data, s->map.size, path, err));
        s->tensors = z.tensors, s->n_tensors = z.n_tensors, s->torch = true;
    } else {
        TRY(safetensors_read(&s->st, &w->arena, s->map.data, s->map.size, path, err));
        s->tensors = s->st.tensors, s->n_tensors = s->st.n_tensors;
    }
    for (size_t i = 0; i < s->n_tensors; i++) s->tensors[i].shard = index;
    return GLLM_OK;
}

/* Joins the shards' tensors under one name space. */
static gllm_status join(struct weights *w, const char *path, gllm_error *err) {
    for (uint32_t s = 0; s < w->n_shards; s++) w->n_tensors += w->shards[s].n_tensors;
    w->tensors = arena_array(&w->arena, w->n_tensors, sizeof *w->tensors);
    if (!w->tensors || !map_reserve(&w->by_name, w->n_tensors)) return err_nomem(err, path);
    uint32_t at = 0, other;
    for (uint32_t s = 0; s < w->n_shards; s++)
        for (size_t i = 0; i < w->shards[s].n_tensors; i++) {
            const struct tensor *t = &w->shards[s].tensors[i];
            size_t len = strlen(t->name);
            if (map_get(&w->by_name, t->name, len, &other))
                return err_set(err, GLLM_FORMAT, "%s: tensor %s is in both %s and %s", path, t->name, w->shards[w->tensors[other]->shard].name, w->shards[s].name);
            if (!map_put(&w->by_name, t->name, len, at)) return err_nomem(err, path);
            w->tensors[at++] = t;
        }
    return GLLM_OK;
}

static uint32_t shard_index(const struct weights *w, const char *name) {
    for (uint32_t i = 0; i < w->n_shards; i++)
        if (!strcmp(w->shards[i].name, name)) return i;
    return UINT32_MAX;
}

static gllm_status open_indexed(struct weights *w, const char *dir, const char *index, const json_t *map, gllm_error *err) {
    const char *tensor;
    json_t *value;
    w->shards = arena_array(&w->arena, json_object_size(map), sizeof *w->shards);
    if (!w->shards) return err_nomem(err, index);
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !*name || strchr(name, '/') || strchr(name, '\\') || !strcmp(name, ".."))
            return err_set(err, GLLM_FORMAT, "%s: weight_map: %s: expected the name of a file beside the index", index, tensor);
        if (shard_index(w, name) != UINT32_MAX) continue;
        char *path = path_join(dir, name);
        if (!path) return err_nomem(err, index);
        gllm_status status = open_shard(w, path, err);
        free(path);
        if (status != GLLM_OK) return err_wrap(err, status == GLLM_NOT_FOUND ? GLLM_FORMAT : status, "shard of %s", path_base(index));
    }
    TRY(join(w, index, err));
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const struct tensor *t = weights_find(w, tensor);
        if (!t || strcmp(w->shards[t->shard].name, json_string_value(value)))
            return err_set(err, GLLM_FORMAT, "%s: tensor %s is not in %s", index, tensor, json_string_value(value));
    }
    return GLLM_OK;
}

static gllm_status open_index(struct weights *w, const char *dir, const char *index, gllm_error *err) {
    json_t *root, *map = NULL;
    TRY(json_read_file(index, MAX_INDEX, &root, err));
    gllm_status status = GLLM_OK;
    if (!json_is_object(root)) status = err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", index, json_kind(root));
    else status = json_object_at(root, index, "weight_map", &map, err);
    if (status == GLLM_OK && json_object_size(map) == 0) status = err_set(err, GLLM_FORMAT, "%s: weight_map: found nothing, expected tensor names and files", index);
    if (status == GLLM_OK) status = open_indexed(w, dir, index, map, err);
    json_decref(root);
    return status;
}

/* The first name in `dir` that ends as weights of another form do; false: none. *empty: there is nothing at all. */
static bool find_other(const char *dir, char found[256], bool *empty) {
    static const char *const ENDS[] = {".gguf", ".bin", ".pt", ".onnx", ".h5", ".msgpack", ".ot"};
    DIR *d = opendir(dir);
    *found = '\0';
    *empty = d != NULL;
    for (struct dirent *e; d && !*found && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) *empty = false;
        for (unsigned i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
            size_t k = strlen(ENDS[i]);
            if (n > k && n < 256 && !strcasecmp(e->d_name + n - k, ENDS[i])) memcpy(found, e->d_name, n + 1);
        }
    }
    if (d) closedir(d);
    return *found;
}

static bool holds(const char *dir, const char *name) {
    char *path = path_join(dir, name);
    bool there = path && path_exists(path);
    free(path);
    return there;
}

gllm_status weights_absent(const char *dir, const char *what, gllm_error *err) {
    char found[256], *onnx = path_join(dir, "onnx");
    bool empty, unused;
    const char *below = "";
    if (!find_other(dir, found, &empty) && onnx && find_other(onnx, found, &unused)) below = "onnx/";
    free(onnx);
    if (empty) return err_set(err, GLLM_NOT_FOUND, "%s: is empty, expected a model directory with config.json, tokenizer.json and model.safetensors", dir);
    if (holds(dir, "adapter_config.json")) return err_set(err, GLLM_UNSUPPORTED, "%s: holds an adapter (adapter_config.json), expected a whole model: merge it into its base", dir);
    if (!*found) return err_set(err, GLLM_NOT_FOUND, "%s: found no %s", dir, what);
    bool gguf = ends_in_gguf(found);
    return err_set(err, GLLM_UNSUPPORTED, "%s: found %s%s, but no %s%s", dir, below, found, what, gguf ? "; a GGUF file is opened by its own path" : "");
}

static gllm_status open_single(struct weights *w, const char *path, gllm_error *err) {
    w->shards = arena_array(&w->arena, 1, sizeof *w->shards);
    if (!w->shards) return err_nomem(err, path);
    TRY(open_shard(w, path, err));
    return join(w, path, err);
}

/* The first of these that is there. */
static gllm_status open_dir(struct weights *w, const char *dir, gllm_error *err) {
    static const struct {
        const char *name;
        gllm_status (*open)(struct weights *w, const char *dir, const char *path, gllm_error *err);
    } FORMS[] = {{"model.safetensors", NULL}, {"model.safetensors.index.json", open_index}, {"pytorch_model.bin", NULL}, {"pytorch_model.bin.index.json", open_index}};
    for (unsigned i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        char *path = path_join(dir, FORMS[i].name);
        if (!path) return err_nomem(err, dir);
        const bool there = path_exists(path);
        gllm_status status = GLLM_OK;
        if (there) status = FORMS[i].open ? FORMS[i].open(w, dir, path, err) : open_single(w, path, err);
        free(path);
        if (there) return status;
    }
    return weights_absent(dir, "model.safetensors or pytorch_model.bin, nor an index of either", err);
}

/* ---- one file, or the parts of a split GGUF file ---- */

/* PREFIX-00002-of-00003.gguf: the length of PREFIX and 3. False: not such a name. */
static bool split_name(const char *path, size_t *prefix, uint32_t *n_parts) {
    static const char FORM[] = "-#####-of-#####.gguf";
    const size_t n = strlen(path), k = sizeof FORM - 1;
    if (n <= k) return false;
    const char *s = path + n - k;
    for (size_t i = 0; i < k; i++)
        if (FORM[i] == '#' ? s[i] < '0' || s[i] > '9' : s[i] != FORM[i]) return false;
    *prefix = n - k;
    *n_parts = (uint32_t)strtoul(s + 10, NULL, 10);
    return *n_parts > 0;
}

/* split.no and split.count of part i (from 0), and split.tensors.count, must agree with the names. */
static gllm_status check_part(const struct gguf *g, uint32_t i, uint32_t n_parts, uint64_t *n_tensors, gllm_error *err) {
    uint64_t no = 0, count = 1;
    TRY(gguf_u64(g, "split.no", &no, NULL, err));
    TRY(gguf_u64(g, "split.count", &count, NULL, err));
    TRY(gguf_u64(g, "split.tensors.count", n_tensors, NULL, err));
    if (count != n_parts && !(count == 0 && n_parts == 1))
        return err_set(err, GLLM_FORMAT, "%s: split.count: found %llu, expected the %u of the file's name", g->name, (unsigned long long)count, n_parts);
    if (no != i) return err_set(err, GLLM_FORMAT, "%s: split.no: found %llu, expected %u", g->name, (unsigned long long)no, i);
    return GLLM_OK;
}

static gllm_status open_part(struct weights *w, const char *path, size_t prefix, uint32_t n_parts, gllm_error *err) {
    const uint32_t i = w->n_shards;
    const size_t size = prefix + 32;
    char *part = malloc(size);
    if (!part) return err_nomem(err, path);
    snprintf(part, size, "%.*s-%05u-of-%05u.gguf", (int)prefix, path, i + 1, n_parts);
    gllm_status status = open_shard(w, part, err);
    free(part);
    return status == GLLM_NOT_FOUND ? err_wrap(err, status, "part %u of %u is missing", i + 1, n_parts) : status;
}

static gllm_status open_file(struct weights *w, const char *path, gllm_error *err) {
    size_t prefix = 0;
    uint32_t n_parts = 1;
    const bool split = split_name(path, &prefix, &n_parts);
    uint64_t n_tensors = UINT64_MAX;
    w->shards = arena_array(&w->arena, n_parts, sizeof *w->shards);
    if (!w->shards) return err_nomem(err, path);
    for (uint32_t i = 0; i < n_parts; i++) {
        TRY(split ? open_part(w, path, prefix, n_parts, err) : open_shard(w, path, err));
        if (w->shards[i].gguf.name) TRY(check_part(&w->shards[i].gguf, i, n_parts, &n_tensors, err));
    }
    TRY(join(w, path, err));
    if (n_tensors != UINT64_MAX && n_tensors != w->n_tensors)
        return err_set(err, GLLM_FORMAT, "%s: split.tensors.count: found %llu, expected the %zu tensors of all parts", path, (unsigned long long)n_tensors, w->n_tensors);
    return GLLM_OK;
}

gllm_status weights_open(struct weights **out, const char *path, gllm_error *err) {
    *out = NULL;
    struct weights *w = calloc(1, sizeof *w);
    if (!w) return err_nomem(err, path);
    gllm_status status;
    if (dir_exists(path)) status = open_dir(w, path, err);
    else status = open_file(w, path, err);
    if (status != GLLM_OK) weights_close(w);
    else *out = w;
    return status;
}

void weights_close(struct weights *w) {
    if (!w) return;
    for (uint32_t i = 0; i < w->n_shards; i++) file_map_close(&w->shards[i].map);
    map_free(&w->by_name);
    arena_free(&w->arena);
    free(w);
}

const struct tensor *weights_find(const struct weights *w, const char *name) {
    uint32_t i;
    return map_get(&w->by_name, name, strlen(name), &i) ? w->tensors[i] : NULL;
}
size_t weights_count(const struct weights *w) { return w->n_tensors; }
const struct tensor *weights_at(const struct weights *w, size_t i) { return w->tensors[i]; }
const char *weights_meta(const struct weights *w, const char *key) {
    const struct safetensors *st = &w->shards[0].st;
    for (size_t i = 0; i < st->n_meta; i++)
        if (!strcmp(st->meta[2 * i], key)) return st->meta[2 * i + 1];
    return NULL;
}
const struct gguf *weights_gguf(const struct weights *w) { return w->shards[0].gguf.name ? &w->shards[0].gguf : NULL; }
const char *weights_format(const struct weights *w) { return weights_gguf(w) ? "gguf" : w->shards[0].torch ? "torch" : "safetensors"; }
uint32_t weights_shards(const struct weights *w) { return w->n_shards; }
const char *weights_shard_name(const struct weights *w, uint32_t shard) { return w->shards[shard].name; }
uint64_t weights_file_bytes(const struct weights *w) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < w->n_shards; i++) n += w->shards[i].map.size;
    return n;
}
void weights_release(const struct weights *w, const struct tensor *t) {
    (void)w;
    file_map_release(t->data, t->bytes);
}
