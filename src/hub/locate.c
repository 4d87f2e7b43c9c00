#include "hub/locate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"

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

gllm_status hub_locate(const char *model, const char *home, char **out, gllm_error *err) {
    *out = NULL;
    if (!model || !*model) return err_set(err, GLLM_INVALID, "no model given; expected a directory, ORG/NAME or NAME");
    if (dir_exists(model)) {
        *out = strdup(model);
        return *out ? GLLM_OK : err_nomem(err, model);
    }
    if (path_exists(model)) {
        if (!file_exists(model)) return err_set(err, GLLM_UNSUPPORTED, "%s: is no regular file, expected a model directory or a .gguf file", model);
        const char *dot = strrchr(model, '.');
        if (!dot || strcasecmp(dot, ".gguf")) return err_set(err, GLLM_UNSUPPORTED, "%s: found a file, expected a model directory or a .gguf file", model);
        *out = strdup(model);
        return *out ? GLLM_OK : err_nomem(err, model);
    }
    char *models = path_join(home, "models"), there[200];
    const char *slash = strchr(model, '/');
    bool named = true; /* as ORG/NAME or NAME, not as a path */
    if (!models) return err_nomem(err, model);
    if (slash && slash != model && slash[1] && !strchr(slash + 1, '/')) {
        char folder[512];
        snprintf(folder, sizeof folder, "%.*s--%s", (int)(slash - model), model, slash + 1);
        *out = find_by_name(models, folder, there, sizeof there);
    } else if (!slash) *out = find_by_name(models, model, there, sizeof there);
    else named = false;
    gllm_status status = GLLM_OK;
    if (!*out && !named) status = err_set(err, GLLM_NOT_FOUND, "%s: no such model: no directory of that name", model);
    else if (!*out) status = err_set(err, GLLM_NOT_FOUND, "%s: no such model: no directory of that name, none in %s (found there: %s)", model, models, *there ? there : "nothing");
    free(models);
    return status;
}
