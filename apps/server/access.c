/* access.c - who may call what: route, key and origin from the headers, then the body as JSON. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../common/utf8_length.h"
#include "core.h"

enum { DEPTH = 64, VALUES = 2000000 }; /* of a body's JSON: beyond them it would take a thousand times its size, or the stack */

/* ---- route ---- */
static bool path_is(const struct route *r, const char *path) {
    if (!(r->flags & ROUTE_TAIL)) return !strcmp(r->path, path);
    const size_t n = strlen(r->path);
    return !strncmp(r->path, path, n) && path[n];
}
static bool method_is(const struct route *r, const char *method) {
    return !strcmp(r->method, method) || (!strcmp(r->method, "GET") && !strcmp(method, "HEAD"));
}

/* The route; else whether the path is one of another method, and the methods in `allow`. */
static const struct route *find(const char *path, const char *method, char *allow, size_t size) {
    size_t n = 0;
    *allow = '\0';
    for (const struct route *const *t = route_tables; *t; t++)
        for (const struct route *r = *t; r->path; r++) {
            if (!path_is(r, path)) continue;
            if (method_is(r, method)) return r;
            n += (size_t)snprintf(allow + n, size - n, "%s%s", n ? ", " : "", r->method);
        }
    return NULL;
}

static void no_route(struct request *q) {
    struct text t = {0};
    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *r = *table; r->path; r++) text_format(&t, "%s%s %s%s", t.len ? ", " : "", r->method, r->path, r->flags & ROUTE_TAIL ? "…" : "");
    reply_error(q, 404, "not_found", NULL, "there is no %s %.100s; there are %s", q->method, q->path, t.failed ? "others" : t.ptr);
    text_free(&t);
}

/* ---- origin: what a page of a browser may call ---- */
static bool local_name(const char *host) {
    const size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    const bool number = strspn(host, "0123456789.") >= n; /* no name: "127.example.com" may lead anywhere */
    return (n == 9 && !strncasecmp(host, "localhost", n)) || (number && n >= 4 && !strncmp(host, "127.", 4)) || (n == 5 && !strncmp(host, "[::1]", n));
}
/* A page of the server itself, or of the origin that may. A name that someone else's resolver points at this machine is not its own. */
static bool origin_may(const struct server *s, struct request *q) {
    const char *origin = request_header(q, "origin"), *host = request_header(q, "host"), *allowed = s->options.cors_origin;
    if (!origin || (allowed && (!strcmp(allowed, "*") || !strcasecmp(allowed, origin)))) return true;
    const char *name = strstr(origin, "://");
    if (!name || !host || strcasecmp(name + 3, host) != 0) return false;
    return !s->loopback || local_name(host);
}

static void preflight(struct request *q, const char *allow) {
    reply_static(q, 204, NULL, "", 0);
    reply_header(q, "access-control-allow-methods", allow);
    reply_header(q, "access-control-allow-headers", "authorization, content-type, x-api-key");
    reply_header(q, "access-control-max-age", "600");
}

/* ---- key ---- */
/* What the client shows, as a bearer or in a header of its own. */
static const char *shown_key(struct request *q) {
    const char *a = request_header(q, "authorization");
    if (a && !strncasecmp(a, "bearer ", 7)) return a + 7 + strspn(a + 7, " ");
    const char *k = request_header(q, "x-api-key");
    return k ? k : request_header(q, "api-key");
}
static bool key_may(struct server *s, struct request *q) {
    if (!s->options.key_file || (q->route->flags & ROUTE_OPEN)) return true;
    const char *key = shown_key(q);
    pthread_mutex_lock(&s->lock);
    const int place = key ? keys_find(s->keys, key, strlen(key)) : -1;
    pthread_mutex_unlock(&s->lock);
    if (place >= 0) q->caller = (uint64_t)place + 1;
    else {
        reply_error(q, 401, "invalid_api_key", NULL, key ? "this key is not one of the server's" : "a key is needed: Authorization: Bearer KEY");
        reply_header(q, "www-authenticate", "Bearer");
    }
    return place >= 0;
}

void access_admit(struct server *s, struct exchange *x) {
    struct request *q = &x->q;
    char allow[64];
    q->route = find(q->path, q->method, allow, sizeof allow);
    if (q->route && (q->route->flags & ROUTE_TAIL)) q->tail = q->path + strlen(q->route->path);
    atomic_fetch_add(&s->active, 1);
    x->counted = true;
    const char *coding = request_header(q, "content-encoding");
    if (!origin_may(s, q)) reply_error(q, 403, "origin_not_allowed", NULL, "pages of %.100s may not call this server (--cors-origin)", request_header(q, "origin"));
    else if (!q->route && *allow && s->options.cors_origin && !strcmp(q->method, "OPTIONS")) preflight(q, allow);
    else if (!q->route && *allow) {
        reply_error(q, 405, "method_not_allowed", NULL, "%.100s takes %s, found %.20s", q->path, allow, q->method);
        reply_header(q, "allow", allow);
    } else if (!q->route) no_route(q);
    else if (!key_may(s, q)) return;
    else if (coding && strcasecmp(coding, "identity") != 0)
        reply_error(q, 415, "unsupported_encoding", NULL, "content-encoding is \"%.40s\", expected a body that is not encoded", coding);
    else if (atomic_load(&s->closing)) reply_error(q, 503, "shutting_down", NULL, "the server is shutting down");
}

/* ---- body ---- */
size_t utf8_invalid(const char *text, size_t len) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0, n; i < len; i += n)
        if (!(n = s[i] < 0x80 ? 1 : utf8_length(s + i, len - i))) return i;
    return len;
}

/* Whether the JSON is nested or strewn beyond the bounds; strings are passed over. */
static const char *excess(const char *s, size_t len) {
    size_t depth = 0, values = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"') {
            for (i++; i < len && s[i] != '"'; i++) i += s[i] == '\\';
        } else if (s[i] == '[' || s[i] == '{') {
            if (++depth > DEPTH) return "nested more than 64 deep";
            values++;
        } else if (s[i] == ']' || s[i] == '}') depth -= depth > 0;
        else if (s[i] == ',') values++;
        if (values > VALUES) return "of more than 2000000 values";
    }
    return NULL;
}

bool body_read(struct request *q) {
    const size_t bad = utf8_invalid(q->body, q->body_len);
    const char *much = excess(q->body, q->body_len);
    json_error_t e;
    if (bad < q->body_len) reply_error(q, 400, "invalid_utf8", NULL, "the body is not UTF-8 at byte %zu: found 0x%02x", bad, (unsigned char)q->body[bad]);
    else if (much) reply_error(q, 400, "invalid_json", NULL, "the body is JSON %s", much);
    else if (!q->body_len) reply_error(q, 400, "invalid_json", NULL, "the body is empty, expected a JSON object");
    else if (!(q->json = json_loadb(q->body, q->body_len, JSON_ALLOW_NUL, &e)))
        reply_error(q, 400, "invalid_json", NULL, "the body is not JSON: line %d, column %d: %s", e.line, e.column, e.text);
    else if (!json_is_object(q->json)) reply_error(q, 400, "invalid_json", NULL, "the body is JSON, but not an object");
    else return true;
    return false;
}

void access_run(struct server *s, struct exchange *x) {
    struct request *q = &x->q;
    q->body = x->body.ptr ? x->body.ptr : "", q->body_len = x->body.len;
    const bool get = !strcmp(q->route->method, "GET");
    if (!get && !body_read(q)) return;
    if (!(q->route->flags & ROUTE_OPEN) && !get && !atomic_load(&s->ready)) {
        if (atomic_load(&s->failed)) reply_error(q, 503, "model_failed", NULL, "a model could not be loaded; see /health");
        else reply_error(q, 503, "model_loading", NULL, "the models are being loaded");
        return;
    }
    q->route->run(q);
}
