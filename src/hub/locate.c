#include "hub/locate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "hub/cache.h"
#include "hub/gguf_name.h"
#include "hub/registry.h"

/* ---- folders of models ---- */

/* The only folder of `dir` that is called `name` or ends in --name; several: the first in the alphabet is no answer, so none. */
static char *find_by_name(const char *dir, const char *name, char *there, size_t there_size) {
    DIR *d = opendir(dir);
    char *found = NULL;
    size_t n = strlen(name), at = 0, hits = 0;
    there[0] = '\0';
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.') continue;
        if (at < there_size) at += (size_t)snprintf(there + at, there_size - at, "%s%s", at ? ", " : "", e->d_name);
        bool hit = len == n ? !strcasecmp(e->d_name, name) : len > n + 2 && !strncmp(e->d_name + len - n - 2, "--", 2) && !strcasecmp(e->d_name + len - n, name);
        if (!hit) continue;
        hits++;
        free(found);
        found = path_join(dir, e->d_name);
    }
    if (d) closedir(d);
    if (hits == 1) return found;
    free(found);
    return NULL;
}

/* Where a repository lies: below `models`, else in the cache; NULL: nowhere. */
static char *find_repo(const char *models, const char *cache, const char *repo, char *there, size_t there_size) {
    char folder[512];
    const char *slash = strchr(repo, '/');
    snprintf(folder, sizeof folder, "%.*s--%s", (int)(slash - repo), repo, slash + 1);
    char *found = find_by_name(models, folder, there, there_size);
    return found || !cache ? found : cache_snapshot(cache, repo);
}

static char *find_known(const char *models, const char *cache, const struct registry_ref *ref, char *there, size_t there_size) {
    if (ref->variant) return find_repo(models, cache, ref->variant->repo, there, there_size);
    char *found = NULL;
    for (const char *const *r = ref->model->repos; *r && !found; r++) found = find_repo(models, cache, *r, there, there_size);
    return found;
}

/* A model of the registry that is not on this machine: what it is, and how it would come here. */
static gllm_status known_absent(const char *model, const struct registry_ref *ref, const char *models, const char *cache, gllm_error *err) {
    const struct registry_model *m = ref->model;
    const char *repo = ref->variant ? ref->variant->repo : m->repos[0], *slash = strchr(repo, '/');
    if (m->nearest) return err_set(err, GLLM_NOT_FOUND, "%s: %s is not public; the nearest model that is public: %s", model, repo, m->nearest);
    const char *file = ref->choice ? ref->choice : ref->variant ? ref->variant->file : NULL;
    return err_set(err, GLLM_NOT_FOUND, "%s: no such model here: expected %s%s of https://huggingface.co/%s in %s/%.*s--%s or the Hugging Face cache (%s); licence: %s%s", model,
                   file ? "the GGUF file " : "the files", file ? file : "", repo, models, (int)(slash - repo), repo, slash + 1, cache ? cache : "none", m->licence,
                   m->gated ? "; gated: its terms must be accepted there first" : "");
}

static gllm_status absent(const char *model, const char *models, const char *there, gllm_error *err) {
    const char *hint = strchr(model, '/') ? NULL : registry_nearest(model);
    return err_set(err, GLLM_NOT_FOUND, "%s: no such model: no directory of that name, none in %s (found there: %s)%s%s%s", model, models, *there ? there : "nothing",
                   hint ? "; did you mean " : "", hint ? hint : "", hint ? "?" : "");
}

gllm_status hub_locate_folder(const char *model, const char *home, const char *cache, char **out, const char **choice, const char **fallback, gllm_error *err) {
    const char *colon = strchr(model, ':');
    char *head = colon ? strndup(model, (size_t)(colon - model)) : strdup(model), *models = path_join(home, "models"), there[200] = "";
    const char *slash = head ? strchr(head, '/') : NULL;
    const bool repo = slash && slash != head && slash[1] && !strchr(slash + 1, '/');
    struct registry_ref ref = {0};
    gllm_status status = GLLM_OK;
    *out = NULL;
    if (!head || !models) status = err_nomem(err, model);
    else if (slash && !repo) status = err_set(err, GLLM_NOT_FOUND, "%s: no such model: no directory of that name", head);
    else status = registry_resolve(head, colon ? colon + 1 : NULL, &ref, err);
    if (status == GLLM_OK) {
        if (ref.model) *out = find_known(models, cache, &ref, there, sizeof there);
        else if (repo) *out = find_repo(models, cache, head, there, sizeof there);
        if (!*out && !repo && !ref.variant) *out = find_by_name(models, head, there, sizeof there);
        *choice = ref.choice;
        *fallback = ref.variant ? ref.variant->file : NULL;
        if (!*out) status = ref.model ? known_absent(model, &ref, models, cache, err) : absent(head, models, there, err);
    }
    free(head);
    free(models);
    return status;
}

/* ---- GGUF files of a folder ---- */

static bool ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n > k && !strcasecmp(name + n - k, end);
}

static int is_gguf(const struct dirent *e) { return gguf_name_is(e->d_name); }
static int is_folder(const struct dirent *e) { return e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN); }

/* The GGUF files of dir/below, "" for dir itself, in the order of the alphabet. */
static gllm_status add_files(struct hub_gguf_files *f, const char *dir, const char *below, gllm_error *err) {
    struct dirent **list = NULL;
    char *path = path_join(dir, below);
    const int n = path ? scandir(path, &list, is_gguf, alphasort) : 0;
    const char **names = n > 0 ? realloc(f->names, (f->n + (size_t)n) * sizeof *names) : f->names;
    gllm_status status = path && (names || n <= 0) ? GLLM_OK : err_nomem(err, dir);
    if (names) f->names = names;
    for (int i = 0; i < n; i++) {
        char *name = status != GLLM_OK ? NULL : *below ? path_join(below, list[i]->d_name) : strdup(list[i]->d_name);
        if (name) f->names[f->n++] = name;
        else if (status == GLLM_OK) status = err_nomem(err, dir);
        free(list[i]);
    }
    free(list);
    free(path);
    return status;
}

gllm_status hub_gguf_files(struct hub_gguf_files *f, const char *dir, gllm_error *err) {
    struct dirent **folders = NULL;
    *f = (struct hub_gguf_files){0};
    const int n = scandir(dir, &folders, is_folder, alphasort);
    gllm_status status = add_files(f, dir, "", err);
    for (int i = 0; i < n; i++) {
        if (status == GLLM_OK) status = add_files(f, dir, folders[i]->d_name, err);
        free(folders[i]);
    }
    free(folders);
    if (status == GLLM_OK && !(f->models = malloc((f->n + 1) * sizeof *f->models))) status = err_nomem(err, dir);
    for (size_t i = 0; status == GLLM_OK && i < f->n; i++)
        if (gguf_name_is_model(f->names[i])) f->models[f->n_models++] = f->names[i];
    if (status != GLLM_OK) hub_gguf_files_free(f);
    return status;
}

void hub_gguf_files_free(struct hub_gguf_files *f) {
    for (size_t i = 0; i < f->n; i++) free((char *)(uintptr_t)f->names[i]);
    free(f->names);
    free(f->models);
    *f = (struct hub_gguf_files){0};
}

static gllm_status choose(const char *dir, const struct hub_gguf_files *f, const char *choice, const char *fallback, char **out, gllm_error *err) {
    char names[400] = "";
    size_t at = 0, hits;
    if (!choice && f->n_models > 1) choice = fallback;
    const size_t hit = gguf_name_choose(f->models, f->n_models, choice, &hits);
    if (hit < f->n_models) return (*out = path_join(dir, f->models[hit])) ? GLLM_OK : err_nomem(err, dir);
    for (size_t i = 0; i < f->n_models && at < sizeof names; i++) at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", f->models[i]);
    if (choice) return err_set(err, GLLM_NOT_FOUND, "%s: found %zu GGUF files that \"%.100s\" names, expected one of: %s", dir, hits, choice, f->n_models ? names : "no GGUF file is there");
    return err_set(err, GLLM_INVALID, "%s: found %zu GGUF files, expected one or a choice as in NAME:FILE or NAME:Q4_K_M: %s", dir, f->n_models, names);
}

static bool holds(const char *dir, const char *name) {
    char *path = path_join(dir, name);
    const bool there = path && file_exists(path);
    free(path);
    return there;
}

/* What a folder stands for: itself with its safetensors or torch files, or a GGUF file of it: `choice`, else the only one, else `fallback`. *out is the
 * folder's path and is replaced. */
static gllm_status open_folder(char **out, const char *choice, const char *fallback, gllm_error *err) {
    char *dir = *out;
    static const char *const OWN[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "modules.json"};
    for (unsigned i = 0; !choice && i < sizeof OWN / sizeof *OWN; i++)
        if (holds(dir, OWN[i])) return GLLM_OK;
    struct hub_gguf_files files;
    TRY(hub_gguf_files(&files, dir, err));
    gllm_status status = GLLM_OK;
    if (files.n_models || choice) {
        *out = NULL;
        status = choose(dir, &files, choice, fallback, out, err);
        free(dir);
    }
    hub_gguf_files_free(&files);
    return status;
}

/* ---- all together ---- */

static gllm_status check_file(const char *path, gllm_error *err) {
    if (!file_exists(path)) return err_set(err, GLLM_UNSUPPORTED, "%s: is no regular file, expected a model directory or a .gguf file", path);
    return ends_in(path, ".gguf") ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s: found a file, expected a model directory or a .gguf file", path);
}

/* A path that exists, as it is or before its last colon; *out NULL: it is none. */
static gllm_status by_path(const char *model, char **out, const char **choice, bool *file, gllm_error *err) {
    const char *colon = strrchr(model, ':');
    const bool folder = dir_exists(model);
    *file = !folder && path_exists(model);
    if (*file) TRY(check_file(model, err));
    if (folder || *file) return (*out = strdup(model)) ? GLLM_OK : err_nomem(err, model);
    if (colon && !colon[1]) return err_set(err, GLLM_INVALID, "%s: found nothing after the colon, expected a quantised form or a file", model);
    char *name = colon ? strndup(model, (size_t)(colon - model)) : NULL;
    if (name && dir_exists(name)) *out = name, *choice = colon + 1;
    else free(name);
    return GLLM_OK;
}

gllm_status hub_locate(const char *model, const char *home, const char *cache, char **out, gllm_error *err) {
    const char *choice = NULL, *fallback = NULL;
    bool file = false;
    *out = NULL;
    if (!model || !*model) return err_set(err, GLLM_INVALID, "no model given; expected a directory, ORG/NAME or NAME");
    gllm_status status = by_path(model, out, &choice, &file, err);
    if (status == GLLM_OK && !*out) status = hub_locate_folder(model, home, cache, out, &choice, &fallback, err);
    if (status == GLLM_OK && !file) status = open_folder(out, choice, fallback, err);
    if (status != GLLM_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}
