/* service.c - what tells about the server: health, models, version. */
#include <string.h>

#include "core.h"

static void health(struct request *q) {
    const struct server *s = q->server;
    const bool ready = atomic_load(&s->ready), failed = atomic_load(&s->failed), draining = atomic_load(&s->draining);
    const char *status = draining ? "shutting down" : failed ? "failed" : ready ? "ok" : "loading models";
    if (!ready || failed || draining) reply_header(q, "retry-after", "5");
    reply_json(q, ready && !failed && !draining ? 200 : 503, json_pack("{s:s}", "status", status));
}

static void ping(struct request *q) { reply_static(q, 200, "text/plain", "pong", 4); }

static void version(struct request *q) { reply_json(q, 200, json_pack("{s:s,s:s}", "version", gllm_version_string(), "server", "gllm")); }

static json_t *capabilities(const gllm_model_info *i) {
    json_t *prompts = json_array(), *dims = json_array();
    for (size_t k = 0; k < i->n_prompts; k++) json_array_append_new(prompts, json_string(i->prompts[k].name));
    for (size_t k = 0; k < i->n_dims; k++) json_array_append_new(dims, json_integer(i->dims[k]));
    return json_pack("{s:s,s:s,s:i,s:i,s:s,s:o,s:o,s:s,s:I}", "task", i->task, "architecture", i->architecture, "max_tokens", (int)i->max_tokens, "dimensions", (int)i->dim,
                     "pooling", i->pooling, "trained_dimensions", dims, "prompts", prompts, "dtype", i->dtype, "parameters", (json_int_t)i->n_params);
}

static const char *const STATES[] = {"unloaded", "loading", "ready", "failed"};

static json_t *model_object(const struct served *m, const gllm_client_status *status) {
    json_t *o = json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", m->name, "object", "model", "created", (json_int_t)m->created, "owned_by", "gllm", "gllm", capabilities(m->info));
    for (size_t i = 0; status && i < status->count; i++) {
        const gllm_model_status *t = &status->models[i];
        if (strcmp(t->name, m->name) != 0) continue;
        json_object_update_new(json_object_get(o, "gllm"),
                           json_pack("{s:s,s:s,s:b,s:I,s:i,s:i,s:I,s:I}", "state", STATES[t->state], "failure", t->failure, "pinned", t->pinned, "memory_bytes",
                                     (json_int_t)t->memory_bytes, "waiting", (int)t->waiting, "running", (int)t->running, "cache_tokens", (json_int_t)t->cache_tokens,
                                     "cache_used", (json_int_t)t->cache_used));
    }
    return o;
}

static void list_models(struct request *q) {
    gllm_client_status *status = NULL;
    json_t *data = json_array();
    gllm_client_get_status(q->client, &status, NULL);
    for (size_t i = 0; i < served_count(q->server); i++) json_array_append_new(data, model_object(served_at(q->server, i), status));
    gllm_client_status_free(status);
    reply_json(q, 200, json_pack("{s:s,s:o}", "object", "list", "data", data));
}

static void one_model(struct request *q) {
    const struct served *m = served_find(q->server, q->tail);
    gllm_client_status *status = NULL;
    if (!m) {
        reply_error(q, 404, "model_not_found", "model", "there is no model \"%.200s\"", q->tail);
        return;
    }
    gllm_client_get_status(q->client, &status, NULL);
    reply_json(q, 200, model_object(m, status));
    gllm_client_status_free(status);
}

const struct route service_routes[] = {
    {"GET", "/health", health, FAMILY_OPENAI, ROUTE_OPEN},
    {"GET", "/ping", ping, FAMILY_OPENAI, ROUTE_OPEN},
    {"GET", "/version", version, FAMILY_OPENAI, ROUTE_OPEN},
    {"GET", "/v1/models", list_models, FAMILY_OPENAI, 0},
    {"GET", "/v1/models/", one_model, FAMILY_OPENAI, ROUTE_TAIL},
    {0},
};
