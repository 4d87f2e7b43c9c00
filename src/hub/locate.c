#include "hub/locate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"

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

static gllm_status in_home(const char *model, const char *home, char **out, gllm_error *err) {
    char *models = path_join(home, "models"), there[200] = "";
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

/* ---- GGUF files of a folder ---- */

static bool ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n > k && !strcasecmp(name + n - k, end);
}

/* A whole file or the first part of a split one; not the image encoder that may lie beside a model. */
static int is_model_file(const struct dirent *e) {
    const char *of = strstr(e->d_name, "-of-");
    const bool later_part = of && ends_in(e->d_name, ".gguf") && of - e->d_name >= 6 && strspn(of - 5, "0123456789") == 5 && strncmp(of - 6, "-00001", 6);
    return ends_in(e->d_name, ".gguf") && e->d_name[0] != '.' && !later_part && strncasecmp(e->d_name, "mmproj", 6);
}

/* `choice` is the file's name, with or without .gguf, or a whole word of it such as Q4_K_M; case is ignored. */
static bool is_exactly(const char *name, const char *choice) {
    const size_t k = strlen(choice);
    return !strcasecmp(name, choice) || (!strncasecmp(name, choice, k) && !strcasecmp(name + k, ".gguf"));
}
static bool has_word(const char *name, const char *choice) {
    const size_t k = strlen(choice);
    for (const char *p = name; *p; p++)
        if (!strncasecmp(p, choice, k) && (p == name || strchr("-._", p[-1])) && (p[k] == '.' || p[k] == '-')) return true;
    return false;
}

static gllm_status choose(const char *dir, struct dirent **list, int n, const char *choice, char **out, gllm_error *err) {
    char names[400] = "";
    const char *hit = NULL;
    int hits = 0, exact = 0;
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        if (at < sizeof names) at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", name);
        if (choice && is_exactly(name, choice)) exact++, hit = name;
        else if (!exact && (!choice || has_word(name, choice))) hits++, hit = name;
    }
    if (exact || hits == 1) return (*out = path_join(dir, hit)) ? GLLM_OK : err_nomem(err, dir);
    if (choice) return err_set(err, GLLM_NOT_FOUND, "%s: found %d GGUF files that \"%.100s\" names, expected one of: %s", dir, hits, choice, n ? names : "no GGUF file is there");
    return err_set(err, GLLM_INVALID, "%s: found %d GGUF files, expected one or a choice as in NAME:FILE or NAME:Q4_K_M: %s", dir, n, names);
}

static bool holds(const char *dir, const char *name) {
    char *path = path_join(dir, name);
    const bool there = path && file_exists(path);
    free(path);
    return there;
}

/* What a folder stands for: itself with its safetensors or torch files, or a GGUF file of it. *out is the folder's path and is replaced. */
static gllm_status open_folder(char **out, const char *choice, gllm_error *err) {
    char *dir = *out;
    static const char *const OWN[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "modules.json"};
    for (unsigned i = 0; !choice && i < sizeof OWN / sizeof *OWN; i++)
        if (holds(dir, OWN[i])) return GLLM_OK;
    struct dirent **list = NULL;
    const int n = scandir(dir, &list, is_model_file, alphasort);
    gllm_status status = GLLM_OK;
    if (n > 0 || choice) {
        *out = NULL;
        status = choose(dir, list, n > 0 ? n : 0, choice, out, err);
        free(dir);
    }
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
    return status;
}

/* ---- all together ---- */

static gllm_status check_file(const char *path, gllm_error *err) {
    if (!file_exists(path)) return err_set(err, GLLM_UNSUPPORTED, "%s: is no regular file, expected a model directory or a .gguf file", path);
    return ends_in(path, ".gguf") ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s: found a file, expected a model directory or a .gguf file", path);
}

gllm_status hub_locate(const char *model, const char *home, char **out, gllm_error *err) {
    *out = NULL;
    if (!model || !*model) return err_set(err, GLLM_INVALID, "no model given; expected a directory, ORG/NAME or NAME");
    const bool folder = dir_exists(model), file = !folder && path_exists(model);
    const char *colon = folder || file ? NULL : strrchr(model, ':');
    char *name = colon ? strndup(model, (size_t)(colon - model)) : strdup(model);
    if (!name) return err_nomem(err, model);
    gllm_status status = GLLM_OK;
    if (file) status = check_file(name, err);
    if (file || folder || dir_exists(name)) *out = name;
    else {
        status = in_home(name, home, out, err);
        free(name);
    }
    if (status == GLLM_OK && !file) status = open_folder(out, colon ? colon + 1 : NULL, err);
    if (status != GLLM_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}
