/* reply.c - answers and errors, in the shape that the route's family of clients expects. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

bool replied(const struct request *q) { return q->x->reply.set; }

static void set(struct request *q, int status, const char *type, struct MHD_Response *r, size_t bytes) {
    struct reply *a = &q->x->reply;
    if (a->response) MHD_destroy_response(a->response);
    a->set = true;
    a->status = status, a->type = type, a->response = r, a->bytes = bytes;
}

void reply_text(struct request *q, int status, const char *type, struct text *body) {
    struct MHD_Response *r = body->failed || !body->ptr ? NULL : MHD_create_response_from_buffer_with_free_callback(body->len, body->ptr, free);
    if (!r) {
        const bool empty = !body->failed && !body->ptr;
        text_free(body);
        if (empty) reply_static(q, status, type, "", 0);
        else reply_static(q, 500, "application/json", "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"param\":null,\"code\":null}}", 84);
        return;
    }
    set(q, status, type, r, body->len);
    *body = (struct text){0};
}

void reply_static(struct request *q, int status, const char *type, const void *bytes, size_t n) {
    set(q, status, type, MHD_create_response_from_buffer(n, (void *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT), n);
}

void reply_json(struct request *q, int status, json_t *body) {
    struct text t = {.ptr = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL};
    t.failed = !t.ptr;
    if (t.ptr) t.len = strlen(t.ptr);
    json_decref(body);
    reply_text(q, status, "application/json", &t);
}

void reply_header(struct request *q, const char *name, const char *value) {
    struct reply *a = &q->x->reply;
    if (a->n_headers == HEADERS) return;
    snprintf(a->headers[a->n_headers].name, sizeof a->headers->name, "%s", name);
    snprintf(a->headers[a->n_headers++].value, sizeof a->headers->value, "%s", value);
}

void reply_finish(struct exchange *x, struct MHD_Response *r) {
    const struct server *s = x->q.server;
    char id[32];
    snprintf(id, sizeof id, "req_%llu", (unsigned long long)x->q.id);
    MHD_add_response_header(r, "x-request-id", id);
    if (x->reply.type) MHD_add_response_header(r, "content-type", x->reply.type);
    for (unsigned i = 0; i < x->reply.n_headers; i++) MHD_add_response_header(r, x->reply.headers[i].name, x->reply.headers[i].value);
    if (s->options.cors_origin) {
        MHD_add_response_header(r, "access-control-allow-origin", s->options.cors_origin);
        MHD_add_response_header(r, "vary", "origin");
    }
    if (atomic_load(&s->draining)) MHD_add_response_header(r, "connection", "close");
}

/* ---- errors ---- */
static const char *openai_type(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
    }
}
static const char *tei_type(int status, const char *code) {
    switch (status) {
    case 429: return "Overloaded";
    case 503: return "Unhealthy";
    case 500: return "Backend";
    default: return code && !strcmp(code, "empty_input") ? "Empty" : code && !strcmp(code, "model_not_found") ? "NotFound" : "Validation";
    }
}

json_t *error_body(enum family family, int status, const char *code, const char *param, const char *message) {
    switch (family) {
    case FAMILY_TEI: return json_pack("{s:s,s:s}", "error", message, "error_type", tei_type(status, code));
    case FAMILY_COHERE: return json_pack("{s:s}", "message", message);
    case FAMILY_OLLAMA: return json_pack("{s:s}", "error", message);
    case FAMILY_OPENAI: break;
    }
    return json_pack("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", message, "type", openai_type(status), "param", param, "code", code);
}

int failure_http(gllm_status status, const char **code) {
    *code = NULL;
    switch (status) {
    case GLLM_INVALID: return 400;
    case GLLM_UNSUPPORTED: *code = "unsupported"; return 400;
    case GLLM_TOO_LONG: *code = "context_length_exceeded"; return 400;
    case GLLM_NOT_FOUND: *code = "model_not_found"; return 404;
    case GLLM_BUSY: *code = "rate_limit_exceeded"; return 429;
    case GLLM_CANCELED: *code = "shutting_down"; return 503; /* of a client that has gone the log says 499 */
    case GLLM_TIMEOUT: *code = "timeout"; return 504;
    case GLLM_CLOSED: *code = "shutting_down"; return 503;
    case GLLM_NOMEM: *code = "out_of_memory"; return 503;
    default: *code = "server_error"; return 500;
    }
}

static void fail(struct request *q, int status, const char *code, const char *param, const char *message) {
    const enum family family = q->route ? q->route->family : FAMILY_OPENAI;
    if (family == FAMILY_TEI && status == 400 && (!code || strcmp(code, "empty_input") != 0)) status = 422; /* what its clients look for */
    if (status == 429 || status == 503) reply_header(q, "retry-after", status == 429 ? "1" : "5");
    reply_json(q, status, error_body(family, status, code, param, message));
}

void reply_error(struct request *q, int status, const char *code, const char *param, const char *format, ...) {
    char message[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    message[utf8_invalid(message, strlen(message))] = '\0'; /* one that was cut within a character */
    fail(q, status, code, param, message);
}

/* The field that holds what a model was asked to read. */
static const char *input_field(const struct request *q) {
    static const char *const NAMES[] = {"input", "inputs", "texts", "documents", "messages", "prompt"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (json_object_get(q->json, NAMES[i])) return NAMES[i];
    return NULL;
}

void reply_no_memory(struct request *q) { reply_error(q, 503, "out_of_memory", NULL, "out of memory"); }

void reply_failure(struct request *q, gllm_status status, const gllm_error *err, const char *param) {
    const char *code;
    const int http = failure_http(status, &code);
    if (status == GLLM_NOT_FOUND && !param) param = "model";
    if (status == GLLM_TOO_LONG && !param) param = input_field(q);
    fail(q, http, code, param, err->message);
}
