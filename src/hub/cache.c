#include "hub/cache.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "hub/tree.h"

enum { MAX_DEPTH = 8, LARGEST_INDEX = 64 << 20 }; /* MAX_DEPTH: folders in a model's folder */

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

/* CACHE/models--ORG--NAME as it is spelled there. */
static char *find_folder(const char *cache, const char *repo) {
    char name[512], *found = NULL;
    const char *slash = strchr(repo, '/');
    snprintf(name, sizeof name, "models--%.*s--%s", (int)(slash - repo), repo, slash + 1);
    DIR *d = opendir(cache);
    for (struct dirent *e; d && !found && (e = readdir(d));)
        if (!strcasecmp(e->d_name, name)) found = path_join(cache, e->d_name);
    if (d) closedir(d);
    return found;
}

static bool ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n > k && !strcmp(name + n - k, end);
}

struct whole { /* what there is of a snapshot's weights */
    const char *dir;
    bool weights, shards_lack;
};
/* Whether each shard that an index names lies beside it. */
static bool has_shards(const char *index) {
    json_t *root, *map = NULL, *shard;
    const char *key;
    char folder[4096];
    if (json_read_file(index, LARGEST_INDEX, &root, NULL) != GLLM_OK) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)(path_base(index) - index), index);
    bool all = json_object_at(root, index, "weight_map", &map, NULL) == GLLM_OK && map;
    json_object_foreach(map, key, shard) {
        char *path = all && json_is_string(shard) ? path_join(folder, json_string_value(shard)) : NULL;
        all = path && file_exists(path);
        free(path);
    }
    json_decref(root);
    return all;
}
static gllm_status look_at(void *user, const char *name, gllm_error *err) {
    static const char *const ENDS[] = {".safetensors", ".bin", ".gguf"};
    struct whole *w = user;
    char *path = path_join(w->dir, name);
    if (!path) return err_nomem(err, name);
    for (unsigned i = 0; i < sizeof ENDS / sizeof *ENDS && !w->weights; i++) w->weights = ends_in(name, ENDS[i]) && file_exists(path);
    if (ends_in(name, ".safetensors.index.json") && !has_shards(path)) w->shards_lack = true;
    free(path);
    return GLLM_OK;
}
static bool is_whole(const char *dir) {
    struct whole w = {.dir = dir};
    return tree_walk(dir, look_at, &w, NULL) == GLLM_OK && w.weights && !w.shards_lack;
}

/* The snapshot that counts in a repository's folder. */
static char *snapshot_of(const char *folder) {
    char *refs = path_join(folder, "refs/main"), *snapshots = path_join(folder, "snapshots"), *revision = NULL, *found = NULL;
    size_t len;
    const bool pinned = refs && file_read(refs, 256, &revision, &len, NULL) == GLLM_OK;
    if (pinned) revision[strcspn(revision, "\r\n/")] = '\0';
    if (snapshots && !pinned) found = only_entry(snapshots);
    else if (snapshots && *revision && *revision != '.') found = path_join(snapshots, revision);
    free(refs);
    free(snapshots);
    free(revision);
    if (found && is_whole(found)) return found;
    free(found);
    return NULL;
}

char *cache_snapshot(const char *cache, const char *repo) {
    char *folder = find_folder(cache, repo), *found = folder ? snapshot_of(folder) : NULL;
    free(folder);
    return found;
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

static bool is_listed(const struct hub_local *list, size_t n, const char *repo) {
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(list[i].repo, repo)) return true;
    return false;
}

/* The next entry of list[0, n), unless it is there already. */
static gllm_status add_cached(struct hub_local *list, size_t n, struct arena *a, const char *cache, const char *folder, bool *added, gllm_error *err) {
    *added = false;
    if (strncmp(folder, "models--", strlen("models--"))) return GLLM_OK;
    const char *repo = repo_of(a, folder + strlen("models--"));
    if (!repo) return err_nomem(err, folder);
    char *path = strchr(repo, '/') && !is_listed(list, n, repo) ? cache_snapshot(cache, repo) : NULL;
    *added = path != NULL;
    gllm_status status = *added ? add(&list[n], a, folder + strlen("models--"), path, err) : GLLM_OK;
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
        status = add_cached(list, *count, arena, cache, cached[i]->d_name, &added, err);
        *count += added;
    }
    list_free(homes, n_homes);
    list_free(cached, n_cached);
    free(models);
    return status;
}
