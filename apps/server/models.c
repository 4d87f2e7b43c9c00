/* models.c - the models that are served, by name. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

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
    if (m) return m;
    struct text t = {0};
    for (size_t i = 0; i < s->n_models; i++) text_format(&t, "%s\"%s\"", i ? ", " : "", s->models[i].name);
    reply_error(q, 404, "model_not_found", "model", "there is no model \"%.200s\"; served are %s", name, t.failed ? "others" : t.ptr);
    text_free(&t);
    return NULL;
}

/* NAME=MODEL, or MODEL alone; an = within a path is no sign of a name. */
static bool split(const char *spec, char **name, const char **model) {
    const char *equals = strchr(spec, '=');
    const bool named = equals && equals > spec && !memchr(spec, '/', (size_t)(equals - spec));
    *model = named ? equals + 1 : spec;
    *name = named ? strndup(spec, (size_t)(equals - spec)) : strdup(spec);
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
    s->models[s->n_models++] = (struct served){name, info, st.st_mtime};
    return GLLM_OK;
}

gllm_status models_open(struct server *s, gllm_error *err) {
    gllm_status status = GLLM_OK;
    s->models = calloc(s->options.n_models, sizeof *s->models);
    if (!s->models) {
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
    }
    free(s->models);
}
