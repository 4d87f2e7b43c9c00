/* stream.c - a reply that grows: events pushed from any thread, read by the connection when its socket takes more.
 *
 * The worker that pushes must not wait for a slow reader, since other requests share it: what is not read is kept up to a bound, and beyond it the push says stop. */
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { LARGEST = 4 << 20, KEPT = 64 << 10 }; /* bytes kept for a reader that is slow; sent bytes that are moved away at a time */

bool stream_begin(struct request *q, enum stream_kind kind) {
    struct stream *t = calloc(1, sizeof *t);
    if (!t) {
        reply_error(q, 503, "overloaded", NULL, "out of memory");
        return false;
    }
    t->q = q;
    t->kind = kind;
    pthread_mutex_init(&t->lock, NULL);
    q->x->stream = t;
    return true;
}

void stream_free(struct stream *t) {
    if (!t) return;
    pthread_mutex_destroy(&t->lock);
    text_free(&t->out);
    free(t);
}

/* With the lock held. */
static void wake(struct stream *t) {
    if (!t->asleep) return;
    t->asleep = false;
    MHD_resume_connection(t->q->x->connection);
}
void stream_wake(struct stream *t, bool jobs_done) {
    pthread_mutex_lock(&t->lock);
    t->jobs_done |= jobs_done;
    wake(t);
    pthread_mutex_unlock(&t->lock);
}
void stream_break(struct stream *t) {
    pthread_mutex_lock(&t->lock);
    t->broken = true;
    pthread_mutex_unlock(&t->lock);
}

static void add(struct stream *t, const char *event, const char *bytes, size_t n) {
    if (t->kind == STREAM_SSE && event) text_format(&t->out, "event: %s\n", event);
    if (t->kind == STREAM_SSE) text_put(&t->out, "data: ");
    text_bytes(&t->out, bytes, n);
    text_put(&t->out, t->kind == STREAM_SSE ? "\n\n" : "\n");
}

bool stream_named(struct request *q, const char *event, const char *bytes, size_t n) {
    struct stream *t = q->x->stream;
    pthread_mutex_lock(&t->lock);
    if (t->out.len - t->sent + n > LARGEST) t->broken = true;
    if (!t->broken && !t->ended) add(t, event, bytes, n);
    if (t->out.failed) t->broken = true;
    const bool on = !t->broken && !atomic_load(&q->x->gone);
    wake(t);
    pthread_mutex_unlock(&t->lock);
    return on;
}
bool stream_event(struct request *q, const char *bytes, size_t n) { return stream_named(q, NULL, bytes, n); }

bool stream_json(struct request *q, json_t *event) {
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    const bool on = text && stream_event(q, text, strlen(text));
    free(text);
    json_decref(event);
    return on;
}

void stream_failure(struct request *q, gllm_status status, const gllm_error *err) {
    const char *code;
    const int http = failure_http(status, &code);
    stream_json(q, error_body(q->route->family, http, code, NULL, err->message));
}

void stream_end(struct request *q) {
    struct stream *t = q->x->stream;
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    wake(t);
    pthread_mutex_unlock(&t->lock);
}

/* With the lock held: up to `room` bytes of what is there. */
static size_t take(struct stream *t, char *out, size_t room) {
    size_t n = t->out.len - t->sent;
    if (n > room) n = room;
    memcpy(out, t->out.ptr + t->sent, n);
    t->sent += n;
    if (t->sent == t->out.len) t->sent = t->out.len = 0;
    else if (t->sent >= KEPT) {
        memmove(t->out.ptr, t->out.ptr + t->sent, t->out.len - t->sent);
        t->out.len -= t->sent, t->sent = 0;
    }
    t->q->x->reply.bytes += n;
    return n;
}

static void finish(struct stream *t) {
    struct request *q = t->q;
    void (*then)(struct request *) = q->then;
    q->then = NULL;
    if (then && !models_sound(q)) stream_json(q, error_body(q->route->family, 503, "model_failed", "model", "the model's files changed while it was in use"));
    else if (then) then(q);
    stream_end(q);
}

/* What comes next to the socket; the connection sleeps when there is nothing. `then` runs here, on the connection's thread. */
static ssize_t next(void *cls, uint64_t at, char *out, size_t room) {
    struct stream *t = cls;
    (void)at;
    for (;;) {
        pthread_mutex_lock(&t->lock);
        const bool broken = t->broken || atomic_load(&t->q->x->gone), more = t->out.len > t->sent;
        const bool then = t->jobs_done && !t->ended;
        ssize_t n = 0;
        if (more && !broken) n = (ssize_t)take(t, out, room);
        else if (t->ended) n = broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
        else if (!then) {
            t->asleep = true;
            MHD_suspend_connection(t->q->x->connection);
        }
        pthread_mutex_unlock(&t->lock);
        if (!then || n) return n;
        finish(t);
    }
}

struct MHD_Response *stream_response(struct stream *t) {
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, next, t, NULL);
    if (!r) return NULL;
    MHD_add_response_header(r, "content-type", t->kind == STREAM_SSE ? "text/event-stream" : "application/x-ndjson");
    MHD_add_response_header(r, "cache-control", "no-store");
    return r;
}
