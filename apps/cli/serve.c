/* serve.c - gllm serve: the HTTP server. */
#include <string.h>

#include "../server/serve.h"
#include "cli.h"

static uint32_t or(uint32_t given, uint32_t otherwise) { return given ? given : otherwise; }

int verb_serve(const struct cli_options *o) {
    struct server_options s = {
        .models = o->operands,
        .n_models = o->n_operands,
        .host = o->host ? o->host : "127.0.0.1",
        .port = o->port.given ? (uint32_t)o->port.value : 8080,
        .key_file = o->key_file,
        .public_without_key = o->public_bind,
        .cors_origin = o->cors_origin,
        .prompt_name = o->prompt_name,
        .auto_truncate = o->auto_truncate,
        .max_body_mb = or(o->max_body, 32),
        .max_items = or(o->max_items, 2048),
        .max_connections = or(o->max_connections, 10000),
        .request_seconds = or(o->request_timeout, 600),
        .idle_seconds = or(o->idle_timeout, 60),
        .drain_seconds = or(o->drain_timeout, 30),
        .log = (enum log_form)o->log,
        .quiet = o->quiet,
    };
    cli_model_options(o, &s.base);
    s.base.max_queue = o->max_queue;
    s.base.pinned = o->pin;
    s.base.load = o->lazy ? GLLM_LOAD_LAZY : GLLM_LOAD_NOW;
    s.base.idle_seconds = o->unload_after;
    s.base.memory_budget = (uint64_t)o->memory_budget << 20;
    return server_run(&s);
}
