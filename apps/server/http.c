/* http.c - libmicrohttpd's side: connections, the life of a request, and its sleep while models work.
 *
 * A request is an exchange. libmicrohttpd holds it until it tells that the request is completed, and every running job holds it too, since callbacks of a
 * canceled job may still come. `pending` counts running jobs, and one more while a handler or `then` runs: whoever takes it to zero wakes the connection,
 * which is suspended before that last one is given up. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

enum { MEMORY = 32 << 10, THREADS = 4, KEEP_READING = 4 }; /* a connection's headers and buffers; threads; a body so many times the limit is still read */

double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* ---- an exchange's life ---- */
static struct connection *connection_of(struct MHD_Connection *c) {
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}
static int fd_of(struct MHD_Connection *c) {
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return i ? i->connect_fd : -1;
}
static void awaited(struct server *s, struct MHD_Connection *c, double since_ms) {
    struct connection *k = connection_of(c);
    pthread_mutex_lock(&s->connection_lock);
    if (k) k->since_ms = since_ms;
    pthread_mutex_unlock(&s->connection_lock);
}

/* The address in text, and hashed without its port: callers without a key are told apart by it. */
static uint64_t remote(struct MHD_Connection *c, char *out, size_t size) {
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = i ? i->client_addr : NULL;
    snprintf(out, size, "local");
    if (a && a->sa_family == AF_INET) inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, out, (socklen_t)size);
    if (a && a->sa_family == AF_INET6) inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, out, (socklen_t)size);
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *p = out; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return h | 1ull << 63; /* apart from the places of keys */
}

static struct exchange *exchange_open(struct server *s, struct MHD_Connection *c, const char *path, const char *method) {
    struct exchange *x = calloc(1, sizeof *x);
    char *copy = x ? strdup(path) : NULL;
    if (!copy) {
        free(x);
        return NULL;
    }
    x->q = (struct request){.server = s, .client = s->client, .method = method, .path = copy, .tail = "", .id = atomic_fetch_add(&s->next_id, 1) + 1, .x = x};
    x->connection = c;
    x->fd = fd_of(c);
    x->start_ms = now_ms();
    x->q.caller = remote(c, x->remote, sizeof x->remote);
    atomic_init(&x->holds, 1);
    pthread_mutex_lock(&s->lock);
    x->next = s->exchanges;
    if (x->next) x->next->previous = x;
    s->exchanges = x;
    pthread_mutex_unlock(&s->lock);
    return x;
}

void exchange_drop(struct exchange *x) {
    if (atomic_fetch_sub(&x->holds, 1) != 1) return;
    for (size_t i = 0; i < x->q.n_jobs; i++) gllm_job_free(x->q.jobs[i]);
    free(x->q.jobs);
    if (x->q.state_free) x->q.state_free(x->q.state);
    if (x->reply.response) MHD_destroy_response(x->reply.response);
    stream_free(x->stream);
    json_decref(x->q.json);
    text_free(&x->body);
    atomic_fetch_add(&x->q.server->body_room, x->room_taken);
    free((char *)(uintptr_t)x->q.path);
    free(x);
}

void exchange_cancel(struct exchange *x) {
    for (size_t i = 0; i < x->q.n_jobs; i++) gllm_job_cancel(x->q.jobs[i]);
}
void exchange_leave(struct exchange *x) {
    atomic_store(&x->gone, true);
    exchange_cancel(x);
}

static void completed(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode how) {
    struct server *s = cls;
    struct exchange *x = *context;
    *context = NULL;
    awaited(s, c, now_ms());
    if (!x) return;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK) atomic_store(&x->gone, true);
    if (x->stream) stream_break(x->stream);
    loop_unwatch(s, x);
    pthread_mutex_lock(&s->lock);
    exchange_cancel(x);
    if (x->next) x->next->previous = x->previous;
    *(x->previous ? &x->previous->next : &s->exchanges) = x->next;
    pthread_mutex_unlock(&s->lock);
    metrics_request(s, x);
    log_request(s, x);
    if (x->counted) atomic_fetch_sub(&s->active, 1);
    exchange_drop(x);
}

int exchange_status(const struct exchange *x) { return atomic_load(&x->gone) || !x->reply.set ? 499 : x->reply.status; }

/* ---- jobs ---- */
void exchange_wake(struct exchange *x) {
    if (atomic_fetch_sub(&x->pending, 1) != 1) return;
    if (x->streaming) stream_wake(x->stream, true);
    else MHD_resume_connection(x->connection);
}

static void on_done(void *user, gllm_job *job) {
    struct exchange *x = user;
    (void)job;
    exchange_wake(x);
    exchange_drop(x);
}

void job_prepare(struct request *q, gllm_submit *how) {
    gllm_submit_init(how);
    how->on_done = on_done;
    how->user = q->x;
    how->caller = q->caller;
    how->timeout_ms = (int64_t)q->server->options.request_seconds * 1000;
    atomic_fetch_add(&q->x->pending, 1);
    atomic_fetch_add(&q->x->holds, 1);
}

/* A job that ran away while there was no memory to note it: canceled, and freed by nobody but its own end. */
static bool note_job(struct request *q, gllm_job *job) {
    gllm_job **jobs = realloc(q->jobs, (q->n_jobs + 1) * sizeof *jobs);
    if (!jobs) {
        gllm_job_free(job);
        return false;
    }
    q->jobs = jobs;
    q->jobs[q->n_jobs++] = job;
    return true;
}

bool job_started(struct request *q, gllm_status status, gllm_job *const *job, const gllm_error *err) {
    if (status == GLLM_OK) {
        pthread_mutex_lock(&q->server->lock);
        const bool noted = note_job(q, *job);
        pthread_mutex_unlock(&q->server->lock);
        if (!noted) reply_error(q, 503, "server_error", NULL, "out of memory");
        return noted;
    }
    atomic_fetch_sub(&q->x->pending, 1);
    atomic_fetch_sub(&q->x->holds, 1);
    reply_failure(q, status, err, NULL);
    return false;
}

/* ---- from a handler to the reply ---- */
static enum MHD_Result send_reply(struct exchange *x) {
    struct MHD_Response *r = x->reply.response;
    x->reply.response = NULL;
    if (!r) return MHD_NO;
    if (!x->streaming) loop_unwatch(x->q.server, x); /* one that hangs up with its answer has not gone */
    reply_finish(x, r);
    const enum MHD_Result done = MHD_queue_response(x->connection, (unsigned)x->reply.status, r);
    MHD_destroy_response(r); /* libmicrohttpd has its own hold */
    return done;
}

/* Gives up the handler's count; the connection sleeps if a job still runs. */
static enum MHD_Result rest(struct exchange *x) {
    MHD_suspend_connection(x->connection);
    loop_watch(x->q.server, x);
    exchange_wake(x);
    return MHD_YES;
}

static enum MHD_Result settle(struct exchange *x) {
    struct request *q = &x->q;
    for (;;) {
        const bool jobs = atomic_load(&x->pending) > 1;
        if (x->reply.set && !jobs) return send_reply(x);
        if (x->reply.set) {
            pthread_mutex_lock(&q->server->lock);
            exchange_cancel(x);
            pthread_mutex_unlock(&q->server->lock);
            return rest(x);
        }
        if (x->stream) {
            x->reply.set = true, x->reply.status = 200;
            x->reply.response = stream_response(x->stream);
            x->streaming = true;
            loop_watch(q->server, x);
            const enum MHD_Result done = send_reply(x);
            if (done == MHD_YES) exchange_wake(x);
            return done;
        }
        if (jobs) return rest(x);
        void (*then)(struct request *) = q->then;
        q->then = NULL;
        if (then && models_sound(q)) then(q);
        else if (!then) reply_error(q, 500, "server_error", NULL, "the route gave no answer");
    }
}

static enum MHD_Result resumed(struct exchange *x) {
    atomic_store(&x->pending, 1);
    return settle(x);
}

/* ---- bodies ---- */
static void take_body(struct exchange *x, const char *bytes, size_t n) {
    struct server *s = x->q.server;
    const size_t limit = (size_t)s->options.max_body_mb << 20;
    if (x->reply.set) return; /* refused already: read on, so that the client gets to its answer */
    if (x->body.len + n > limit) {
        reply_error(&x->q, 413, "request_too_large", NULL, "the body is larger than %u MiB (--max-body)", s->options.max_body_mb);
        return;
    }
    unsigned long long room = atomic_load(&s->body_room);
    do {
        if (room < n) {
            reply_error(&x->q, 503, "overloaded", NULL, "the bodies of other requests take all the memory that is set aside for bodies");
            return;
        }
    } while (!atomic_compare_exchange_weak(&s->body_room, &room, room - n));
    x->room_taken += n;
    text_bytes(&x->body, bytes, n);
    if (x->body.failed) reply_error(&x->q, 503, "overloaded", NULL, "out of memory");
}

/* Whether so much is still to come that an answer goes out at once, and the connection with it. */
static bool too_much_to_read(struct exchange *x) {
    const char *length = request_header(&x->q, "content-length");
    return length && strtoull(length, NULL, 10) > (unsigned long long)x->q.server->options.max_body_mb * KEEP_READING << 20;
}

static enum MHD_Result begin(struct exchange *x) {
    struct server *s = x->q.server;
    awaited(s, x->connection, x->start_ms);
    access_admit(s, x);
    if (!too_much_to_read(x)) return MHD_YES;
    if (!x->reply.set) reply_error(&x->q, 413, "request_too_large", NULL, "the body is larger than %u MiB (--max-body)", s->options.max_body_mb);
    return send_reply(x);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *bytes, size_t *n,
                                  void **context) {
    struct exchange *x = *context;
    (void)version;
    if (!x) {
        *context = x = exchange_open(cls, c, path, method);
        return x ? begin(x) : MHD_NO;
    }
    if (*n) {
        if ((x->received += *n) > (size_t)x->q.server->options.max_body_mb * KEEP_READING << 20) return MHD_NO;
        take_body(x, bytes, *n);
        *n = 0;
        return MHD_YES;
    }
    if (x->read) return resumed(x);
    x->read = true;
    awaited(x->q.server, c, 0);
    atomic_store(&x->pending, 1);
    if (!x->reply.set) access_run(x->q.server, x);
    return settle(x);
}

/* ---- connections ---- */
static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what) {
    struct server *s = cls;
    struct connection *k = what == MHD_CONNECTION_NOTIFY_STARTED ? calloc(1, sizeof *k) : *context;
    if (!k) return; /* no memory: this connection's silence is not watched but by libmicrohttpd */
    pthread_mutex_lock(&s->connection_lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *k = (struct connection){.next = s->connections, .fd = fd_of(c), .since_ms = now_ms()};
        if (k->next) k->next->previous = k;
        s->connections = k;
        *context = k;
    } else {
        if (k->next) k->next->previous = k->previous;
        *(k->previous ? &k->previous->next : &s->connections) = k->next;
        *context = NULL;
    }
    pthread_mutex_unlock(&s->connection_lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&s->metrics.connections, 1);
        atomic_fetch_add(&s->metrics.open_connections, 1);
    } else {
        atomic_fetch_sub(&s->metrics.open_connections, 1);
        free(k);
    }
}

/* A request's first line has come: from now on the rest is awaited. */
static void *on_line(void *cls, const char *uri, struct MHD_Connection *c) {
    (void)uri;
    awaited(cls, c, now_ms());
    return NULL;
}

static void on_message(void *cls, const char *format, va_list args) {
    char line[512];
    const struct server *s = cls;
    if (s->options.base.log == NULL) return;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    s->options.base.log(s->options.base.log_user, GLLM_LOG_DEBUG, line);
}

bool http_start(struct server *s, int fd, char *why, size_t size) {
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned threads = cores < 2 ? 2 : cores > THREADS ? THREADS : (unsigned)cores;
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_message, s, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_NOTIFY_COMPLETED, completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_URI_LOG_CALLBACK, on_line, s,
                                 MHD_OPTION_CONNECTION_TIMEOUT, s->options.idle_seconds, MHD_OPTION_CONNECTION_LIMIT, s->options.max_connections,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                 MHD_OPTION_END);
    if (!s->daemon) snprintf(why, size, "libmicrohttpd %s does not start", MHD_get_version());
    return s->daemon != NULL;
}

void http_stop_listening(struct server *s) {
    const MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0) close(fd);
}
void http_stop(struct server *s) {
    if (s->daemon) MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
}

/* ---- what handlers ask ---- */
const char *request_header(struct request *q, const char *name) { return MHD_lookup_connection_value(q->x->connection, MHD_HEADER_KIND, name); }
bool request_gone(struct request *q) { return atomic_load(&q->x->gone); }
const struct server_options *request_options(const struct request *q) { return &q->server->options; }
