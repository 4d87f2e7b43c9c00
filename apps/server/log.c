/* log.c - one line a request on standard error. A disk that is full or a reader that has gone costs the line, not the server. */
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "core.h"

static void stamp(char out[32]) {
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    const size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void put(struct text *t) {
    text_put(t, "\n");
    if (!t->failed) fwrite(t->ptr, 1, t->len, stderr); /* one call: lines of several threads do not mix */
    text_free(t);
}

void log_request(const struct server *s, const struct exchange *x) {
    const struct request *q = &x->q;
    const int status = exchange_status(x);
    const double ms = now_ms() - x->start_ms;
    struct text t = {0};
    char at[32];
    if (s->options.log == LOG_NONE) return;
    stamp(at);
    if (s->options.log == LOG_JSON) {
        text_format(&t, "{\"time\":\"%s\",\"request\":\"req_%llu\",\"remote\":\"%s\",\"method\":", at, (unsigned long long)q->id, x->remote);
        text_json_put(&t, q->method);
        text_put(&t, ",\"path\":");
        text_json(&t, q->path, utf8_invalid(q->path, strlen(q->path)));
        text_format(&t, ",\"status\":%d,\"ms\":%.1f,\"bytes_in\":%zu,\"bytes_out\":%zu", status, ms, x->received, x->reply.bytes);
        if (q->model) text_put(&t, ",\"model\":"), text_json_put(&t, q->model);
        if (q->items || q->tokens_in)
            text_format(&t, ",\"items\":%llu,\"tokens_in\":%llu,\"tokens_out\":%llu,\"truncated\":%llu,\"queue_ms\":%.1f,\"compute_ms\":%.1f", (unsigned long long)q->items,
                        (unsigned long long)q->tokens_in, (unsigned long long)q->tokens_out, (unsigned long long)q->truncated, q->queue_ms, q->compute_ms);
        text_put(&t, "}");
    } else {
        text_format(&t, "%s %s %s ", at, x->remote, q->method);
        text_json(&t, q->path, utf8_invalid(q->path, strlen(q->path)));
        text_format(&t, " %d %.1fms", status, ms);
        if (q->model) text_format(&t, " %s %llu+%llu tokens, queue %.1fms", q->model, (unsigned long long)q->tokens_in, (unsigned long long)q->tokens_out, q->queue_ms);
    }
    put(&t);
}

void server_log(const struct server *s, const char *format, ...) {
    struct text t = {0};
    char line[1024], at[32];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    line[utf8_invalid(line, strlen(line))] = '\0';
    if (s->options.quiet) return;
    stamp(at);
    if (s->options.log == LOG_JSON) {
        text_format(&t, "{\"time\":\"%s\",\"message\":", at);
        text_json_put(&t, line);
        text_put(&t, "}");
    } else text_format(&t, "gllm: %s", line);
    put(&t);
}
