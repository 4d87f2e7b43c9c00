#include "hub/listing.h"

#include <string.h>

#include "base/json.h"

enum { LONGEST_PATH = 512, MOST_FILES = 100000 };

bool hub_path_is_safe(const char *path) {
    if (!*path || strlen(path) > LONGEST_PATH) return false;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\') return false;
    for (const char *part = path;; part++) {
        const size_t n = strcspn(part, "/");
        if (!n || (n == 1 && *part == '.') || (n == 2 && !strncmp(part, "..", 2))) return false;
        part += n;
        if (!*part) return true;
    }
}

static bool is_hex(const char *text, size_t least, size_t most) {
    const size_t n = strlen(text);
    return n >= least && n <= most && strspn(text, "0123456789abcdef") == n;
}

/* obj[key] when it is a sum of so many digits; NULL when it is not there. */
static gllm_status sum_at(const json_t *obj, const char *name, const char *key, size_t least, size_t most, struct arena *a, const char **out, gllm_error *err) {
    const char *text = NULL;
    *out = NULL;
    TRY(json_str(obj, name, key, &text, err));
    if (!text || !*text) return GLLM_OK;
    if (!is_hex(text, least, most)) return err_set(err, GLLM_FORMAT, "%s: %s: found \"%.80s\", expected %zu digits of a sum", name, key, text, least);
    return (*out = arena_strdup(a, text)) ? GLLM_OK : err_nomem(err, name);
}

static gllm_status size_at(const json_t *obj, const char *name, const char *key, int64_t *out, gllm_error *err) {
    const json_t *v = json_object_get(obj, key);
    *out = HUB_NO_SIZE;
    if (!v || json_is_null(v)) return GLLM_OK;
    const double size = json_is_number(v) ? json_number_value(v) : -1;
    if (!(size >= 0 && size <= 0x1p53) || size != (double)(int64_t)size) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected a number of bytes", name, key, json_kind(v));
    *out = (int64_t)size;
    return GLLM_OK;
}

static gllm_status path_at(const json_t *obj, const char *name, const char *key, struct arena *a, const char **out, gllm_error *err) {
    const char *path = NULL;
    TRY(json_str(obj, name, key, &path, err));
    if (!path) return err_set(err, GLLM_FORMAT, "%s: found a file without %s", name, key);
    if (!hub_path_is_safe(path)) return err_set(err, GLLM_FORMAT, "%s: %s: found \"%.80s\", expected a path inside the repository", name, key, path);
    return (*out = arena_strdup(a, path)) ? GLLM_OK : err_nomem(err, name);
}

static gllm_status read_sibling(struct hub_file *f, const json_t *entry, const char *name, struct arena *a, gllm_error *err) {
    json_t *lfs;
    TRY(path_at(entry, name, "rfilename", a, &f->path, err));
    TRY(size_at(entry, name, "size", &f->size, err));
    TRY(sum_at(entry, name, "blobId", 40, 64, a, &f->oid, err));
    TRY(json_object_at(entry, name, "lfs", &lfs, err));
    if (!lfs) return GLLM_OK;
    if (f->size == HUB_NO_SIZE) TRY(size_at(lfs, name, "size", &f->size, err));
    return sum_at(lfs, name, "sha256", 64, 64, a, &f->sha256, err);
}

static gllm_status read_modelscope(struct hub_file *f, const json_t *entry, const char *name, struct arena *a, gllm_error *err) {
    TRY(path_at(entry, name, "Path", a, &f->path, err));
    TRY(size_at(entry, name, "Size", &f->size, err));
    return sum_at(entry, name, "Sha256", 64, 64, a, &f->sha256, err);
}

typedef gllm_status (*read_file_fn)(struct hub_file *f, const json_t *entry, const char *name, struct arena *a, gllm_error *err);
static gllm_status read_files(struct hub_listing *l, const json_t *files, const char *name, read_file_fn read, gllm_error *err) {
    const size_t n = json_array_size(files);
    if (n > MOST_FILES) return err_set(err, GLLM_FORMAT, "%s: found %zu files, expected at most %d", name, n, MOST_FILES);
    if (!(l->files = arena_array(&l->arena, n, sizeof *l->files))) return err_nomem(err, name);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(files, i);
        if (!json_is_object(entry)) return err_set(err, GLLM_FORMAT, "%s: file %zu: found %s, expected an object", name, i, json_kind(entry));
        const char *type = json_string_value(json_object_get(entry, "Type"));
        if (type && !strcmp(type, "tree")) continue;
        TRY(read(&l->files[l->n_files], entry, name, &l->arena, err));
        l->n_files++;
    }
    return GLLM_OK;
}

static gllm_status read_root(struct hub_listing *l, const json_t *root, const char *name, gllm_error *err) {
    json_t *files, *data;
    if (!json_is_object(root)) return err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", name, json_kind(root));
    TRY(json_array_at(root, name, "siblings", &files, err));
    if (files) {
        TRY(sum_at(root, name, "sha", 40, 64, &l->arena, &l->commit, err));
        return read_files(l, files, name, read_sibling, err);
    }
    TRY(json_object_at(root, name, "Data", &data, err));
    if (data) TRY(json_array_at(data, name, "Files", &files, err));
    if (files) return read_files(l, files, name, read_modelscope, err);
    return err_set(err, GLLM_FORMAT, "%s: found neither \"siblings\" nor \"Data\" with \"Files\", expected a repository's list of files", name);
}

gllm_status hub_listing_parse(struct hub_listing *out, const char *text, size_t len, const char *name, gllm_error *err) {
    json_t *root;
    *out = (struct hub_listing){0};
    TRY(json_parse(text, len, name, &root, err));
    gllm_status status = read_root(out, root, name, err);
    json_decref(root);
    return status;
}

void hub_listing_free(struct hub_listing *l) {
    arena_free(&l->arena);
    *l = (struct hub_listing){0};
}

const struct hub_file *hub_listing_find(const struct hub_listing *l, const char *path) {
    for (size_t i = 0; i < l->n_files; i++)
        if (!strcmp(l->files[i].path, path)) return &l->files[i];
    return NULL;
}

bool hub_file_same(const struct hub_file *a, const struct hub_file *b) {
    const char *x = a->sha256 || b->sha256 ? a->sha256 : a->oid, *y = a->sha256 || b->sha256 ? b->sha256 : b->oid;
    return x && y && !strcmp(x, y);
}
