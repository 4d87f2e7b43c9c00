#include "hub/cache.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { MAX_DEPTH = 8 }; /* folders in a model's folder */

static int is_shown(const struct dirent *e) { return e->d_name[0] != '.'; }

static void list_free(struct dirent **list, int n) {
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
}

/* The only entry of `dir`; NULL: there are none or several. */
static char *only_entry(const char *dir) {
    struct dirent **list = NULL;
    const int n = scandir(dir, &list, is_shown, alphasort);
    char *found = n == 1 ? path_join(dir, list[0]->d_name) : NULL;
    list_free(list, n);
    return found;
}

char *cache_snapshot(const char *cache, const char *org, int org_len, const char *name) {
    char folder[2048], path[4096], *revision = NULL;
    size_t len;
    snprintf(folder, sizeof folder, "%s/models--%.*s--%s", cache, org_len, org, name);
    snprintf(path, sizeof path, "%s/refs/main", folder);
    const bool pinned = file_read(path, 256, &revision, &len, NULL) == GLLM_OK;
    snprintf(path, sizeof path, "%s/snapshots", folder);
    if (!pinned) return only_entry(path);
    revision[strcspn(revision, "\r\n/")] = '\0';
    char *found = *revision && *revision != '.' ? path_join(path, revision) : NULL;
    free(revision);
    if (found && dir_exists(found)) return found;
    free(found);
    return NULL;
}

static uint64_t bytes_of(const char *path, int depth) {
    struct stat st;
    if (stat(path, &st)) return 0;
    if (S_ISREG(st.st_mode)) return (uint64_t)st.st_size;
    struct dirent **list = NULL;
    const int n = S_ISDIR(st.st_mode) && depth < MAX_DEPTH ? scandir(path, &list, is_shown, NULL) : 0;
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        char *inside = path_join(path, list[i]->d_name);
        if (inside) sum += bytes_of(inside, depth + 1);
        free(inside);
    }
    list_free(list, n);
    return sum;
}

/* ORG--NAME as ORG/NAME. */
static const char *repo_of(struct arena *a, const char *folder) {
    const char *dashes = strstr(folder, "--");
    char *repo = arena_strdup(a, folder);
    if (repo && dashes) {
        repo[dashes - folder] = '/';
        memmove(repo + (dashes - folder) + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    return repo;
}

static gllm_status add(struct hub_local *m, struct arena *a, const char *folder, const char *path, gllm_error *err) {
    *m = (struct hub_local){repo_of(a, folder), arena_strdup(a, path), bytes_of(path, 0)};
    return m->repo && m->path ? GLLM_OK : err_nomem(err, path);
}

static gllm_status add_home(struct hub_local *m, struct arena *a, const char *models, const char *folder, bool *added, gllm_error *err) {
    char *path = path_join(models, folder);
    if (!path) return err_nomem(err, models);
    *added = dir_exists(path);
    gllm_status status = *added ? add(m, a, folder, path, err) : GLLM_OK;
    free(path);
    return status;
}

static gllm_status add_cached(struct hub_local *m, struct arena *a, const char *cache, const char *folder, bool *added, gllm_error *err) {
    const char *org = folder + strlen("models--"), *dashes = strncmp(folder, "models--", strlen("models--")) ? NULL : strstr(org, "--");
    char *path = dashes ? cache_snapshot(cache, org, (int)(dashes - org), dashes + 2) : NULL;
    *added = path != NULL;
    gllm_status status = *added ? add(m, a, org, path, err) : GLLM_OK;
    free(path);
    return status;
}

gllm_status hub_local_list(const char *home, const char *cache, struct arena *arena, const struct hub_local **out, size_t *count, gllm_error *err) {
    struct dirent **homes = NULL, **cached = NULL;
    char *models = path_join(home, "models");
    const int n_homes = models ? scandir(models, &homes, is_shown, alphasort) : 0, n_cached = cache ? scandir(cache, &cached, is_shown, alphasort) : 0;
    const size_t most = (size_t)(n_homes > 0 ? n_homes : 0) + (size_t)(n_cached > 0 ? n_cached : 0);
    struct hub_local *list = models ? arena_array(arena, most, sizeof *list) : NULL;
    gllm_status status = list ? GLLM_OK : err_nomem(err, "models");
    bool added = false;
    *count = 0, *out = list;
    for (int i = 0; i < n_homes && status == GLLM_OK; i++) {
        status = add_home(&list[*count], arena, models, homes[i]->d_name, &added, err);
        *count += added;
    }
    for (int i = 0; i < n_cached && status == GLLM_OK; i++) {
        status = add_cached(&list[*count], arena, cache, cached[i]->d_name, &added, err);
        *count += added;
    }
    list_free(homes, n_homes);
    list_free(cached, n_cached);
    free(models);
    return status;
}
