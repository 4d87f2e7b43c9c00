/* models.c - the models that are served, by name. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

size_t served_count(const struct server *s) { return s->n_models; }
const struct served *served_at(const struct server *s, size_t i) { return &s->models[i]; }

static const char *last_part(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* Ollama's clients add the tag that is meant when none is. */
static size_t untagged(const char *name) {
    const size_t n = strlen(name);
    return n > 7 && !strcmp(name + n - 7, ":latest") ? n - 7 : n;
}

const struct served *served_find(const struct server *s, const char *name) {
    for (size_t i = 0; i < s->n_models; i++)
        if (!strcmp(s->models[i].name, name)) return &s->models[i];
    const char *last = last_part(name);
    const size_t n = untagged(last);
    for (size_t i = 0; i < s->n_models; i++) {
        const char *own = last_part(s->models[i].name);
        if (n == untagged(own) && !strncasecmp(own, last, n)) return &s->models[i];
    }
    return NULL;
}

static const struct served *of_task(const struct server *s, const char *task) {
    for (size_t i = 0; task && i < s->n_models; i++)
        if (!strcmp(s->models[i].info->task, task)) return &s->models[i];
    return &s->models[0];
}

const struct served *request_model(struct request *q, const char *task) {
    const struct server *s = q->server;
    const char *name = NULL;
    if (!field_string(q, q->json, "model", &name)) return NULL;
    const struct served *m = name && *name ? served_find(s, name) : of_task(s, task);
    if (m) q->model = m->name;
    if (m) return models_sound(q) ? m : NULL;
    struct text t = {0};
    for (size_t i = 0; i < s->n_models; i++) text_format(&t, "%s\"%s\"", i ? ", " : "", s->models[i].name);
    reply_error(q, 404, "model_not_found", "model", "there is no model \"%.200s\"; served are %s", name, t.failed ? "others" : t.ptr);
    text_free(&t);
    return NULL;
}

/* ---- files that change under a model ---- */
static bool look(const char *path, struct model_file *f) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    f->bytes = st.st_size, f->changed = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return true;
}

/* The distinct files that the weights lie in. A model whose list does not fit in memory has none, and is then taken for one that may have changed. */
static void note_files(struct model_state *m, const gllm_model_info *info) {
    for (size_t i = 0; i < info->n_tensors; i++) {
        const char *name = info->tensors[i].file;
        struct text path = {0};
        struct stat st;
        if (i && !strcmp(name, info->tensors[i - 1].file)) continue;
        if (name[0] == '/' || stat(info->path, &st) != 0 || !S_ISDIR(st.st_mode)) text_put(&path, name[0] == '/' ? name : info->path);
        else text_format(&path, "%s/%s", info->path, name);
        struct model_file *files = path.failed ? NULL : realloc(m->files, (m->n_files + 1) * sizeof *files);
        if (files) m->files = files;
        if (files && look(path.ptr, &files[m->n_files])) files[m->n_files++].path = path.ptr;
        else text_free(&path);
    }
}

static bool whole(const struct model_state *m) {
    for (size_t i = 0; i < m->n_files; i++) {
        struct model_file now;
        if (!look(m->files[i].path, &now) || now.bytes != m->files[i].bytes) return false;
    }
    return true;
}

/* Pages were missing since the last look: those of models whose files are not whole, or, when all are, of any. */
static void find_broken(struct server *s) {
    bool found = false;
    pthread_mutex_lock(&s->lock);
    const unsigned faults = bus_faults();
    const bool fresh = faults != s->faults_seen;
    s->faults_seen = faults;
    for (size_t i = 0; fresh && i < s->n_models; i++)
        if (!whole(&s->states[i])) {
            atomic_store(&s->states[i].broken, true);
            found = true;
        }
    for (size_t i = 0; fresh && !found && i < s->n_models; i++) atomic_store(&s->states[i].broken, true);
    pthread_mutex_unlock(&s->lock);
    if (fresh) server_log(s, "a model's file was cut while it was in use; the models that it may be of answer nothing until they are loaded anew");
}

bool models_sound(struct request *q) {
    struct server *s = q->server;
    size_t i = 0;
    if (bus_faults()) find_broken(s);
    while (q->model && i < s->n_models && strcmp(s->models[i].name, q->model) != 0) i++;
    if (!q->model || i == s->n_models || !atomic_load(&s->states[i].broken)) return true;
    /* The pages of zeros go with the mapping: once no request uses the model, and its files are whole, it may be loaded anew. */
    if (!q->n_jobs && whole(&s->states[i]) && gllm_client_unload(s->client, q->model, NULL) == GLLM_OK) {
        atomic_store(&s->states[i].broken, false);
        return true;
    }
    reply_error(q, 503, "model_failed", "model", "the files of \"%.200s\" changed while it was in use: it answers again when they are whole", q->model);
    return false;
}

/* NAME=MODEL, or MODEL alone; a path that is there may hold an = itself, and is called by its last part. */
static bool split(const char *spec, char **name, const char **model) {
    const char *equals = strchr(spec, '=');
    const bool path = access(spec, F_OK) == 0, named = !path && equals && equals > spec;
    *model = named ? equals + 1 : spec;
    *name = named ? strndup(spec, (size_t)(equals - spec)) : strdup(path ? last_part(spec) : spec);
    return *name != NULL;
}

static gllm_status add(struct server *s, const char *spec, gllm_error *err) {
    gllm_options o = s->options.base;
    char *name;
    gllm_model_info *info;
    if (!split(spec, &name, &o.model)) {
        snprintf(err->message, sizeof err->message, "out of memory");
        return GLLM_NOMEM;
    }
    o.name = name;
    o.load = GLLM_LOAD_LAZY; /* it is loaded once the server listens, so that /health can tell */
    gllm_status status = gllm_inspect(&info, &o, 0, 0, err);
    if (status == GLLM_OK) status = s->client ? gllm_client_add_model(s->client, &o, err) : gllm_client_open(&s->client, &o, err);
    if (status != GLLM_OK) {
        free(name);
        return status;
    }
    struct stat st = {0};
    if (stat(info->path, &st) != 0) st.st_mtime = s->start_time;
    note_files(&s->states[s->n_models], info);
    s->models[s->n_models++] = (struct served){name, info, st.st_mtime};
    return GLLM_OK;
}

gllm_status models_open(struct server *s, gllm_error *err) {
    gllm_status status = GLLM_OK;
    s->models = calloc(s->options.n_models, sizeof *s->models);
    s->states = calloc(s->options.n_models, sizeof *s->states);
    if (!s->models || !s->states) {
        snprintf(err->message, sizeof err->message, "out of memory");
        return GLLM_NOMEM;
    }
    for (size_t i = 0; status == GLLM_OK && i < s->options.n_models; i++) status = add(s, s->options.models[i], err);
    return status;
}

void models_close(struct server *s) {
    gllm_client_close(s->client);
    for (size_t i = 0; i < s->n_models; i++) {
        free((char *)(uintptr_t)s->models[i].name);
        gllm_model_info_free((gllm_model_info *)(uintptr_t)s->models[i].info);
        for (size_t k = 0; k < s->states[i].n_files; k++) free(s->states[i].files[k].path);
        free(s->states[i].files);
    }
    free(s->models);
    free(s->states);
}
