/* core.h - the server's own parts, which handlers do not see.
 *
 * Threads: the main one sleeps in loop.c for signals and for clients that hang up; libmicrohttpd's few read requests and run handlers; the client's workers
 * call on_done and on_chunk. `lock` guards the list of exchanges; an exchange's jobs are canceled under it, so that they are not freed meanwhile. */
#ifndef GLLM_SERVER_CORE_H
#define GLLM_SERVER_CORE_H
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "server.h"

/* ---- keys.c ---- */
struct keys;
enum { KEY_BYTES = 256 };
struct keys *keys_read(const char *path, char *why, size_t size); /* NULL: *why says what is wrong */
int keys_find(const struct keys *k, const char *given, size_t len); /* its place, from 0; -1: none. In a time that does not depend on how near it is */
size_t keys_count(const struct keys *k);
void keys_free(struct keys *k);

/* ---- metrics.c ---- */
enum { HISTOGRAM = 16 };
struct histogram {
    atomic_ullong buckets[HISTOGRAM], count, thousandths; /* buckets to 1, 2, 4 … and beyond; the sum in thousandths */
};
struct metrics {
    atomic_ullong requests, success, failure, by_class[6], tokens_in, tokens_out, truncated, items, gone, connections;
    atomic_uint open_connections;
    struct histogram duration, queue, inference, length;
};
void histogram_add(struct histogram *h, double value);

/* ---- one request on its connection: http.c, reply.c, stream.c ---- */
enum { HEADERS = 8 };
struct reply {
    bool set;
    int status;
    const char *type;              /* content-type; static */
    struct MHD_Response *response; /* owned until it is sent */
    size_t bytes;
    struct { char name[32], value[224]; } headers[HEADERS];
    unsigned n_headers;
};
struct stream {
    struct request *q;
    enum stream_kind kind;
    pthread_mutex_t lock;
    struct text out; /* [sent, out.len) is still to be sent */
    size_t sent;
    bool asleep, ended, broken, jobs_done; /* asleep: the connection is suspended until there is something to send */
};
struct exchange {
    struct request q;
    struct MHD_Connection *connection;
    struct exchange *next, *previous; /* of the server's list */
    struct reply reply;
    struct stream *stream; /* NULL: none */
    struct text body;
    size_t room_taken;       /* of the server's budget for bodies */
    size_t received;
    atomic_uint pending;     /* jobs that run, and one more while the handler or `then` does; at zero the connection goes on */
    atomic_uint holds;       /* libmicrohttpd's and one of each running job: at zero it is freed */
    atomic_bool gone;
    bool read, counted, watched;
    atomic_bool streaming; /* the stream is the reply; the main thread looks too. counted: in server.active */
    int fd;
    double start_ms;
    char remote[48];
};
struct connection { /* libmicrohttpd's context of a socket */
    struct connection *next, *previous;
    int fd;
    double since_ms; /* when it began to be awaited: of its next request, or of what is left of it; 0: a request is being answered */
};

struct server {
    struct server_options options;
    struct MHD_Daemon *daemon;
    gllm_client *client;
    struct served *models;
    struct model_state *states; /* [n_models] */
    size_t n_models;
    unsigned faults_seen;       /* under lock: bus_faults() when models.c last looked */
    pthread_mutex_t lock;
    struct exchange *exchanges;
    pthread_mutex_t connection_lock; /* apart, since libmicrohttpd may hold locks of its own when it tells of a connection */
    struct connection *connections;
    struct keys *keys;          /* under lock: replaced on SIGHUP */
    atomic_bool ready, failed;
    atomic_bool draining, closing; /* no new connections, and each answer ends its own; no new requests */
    atomic_uint active;         /* requests past the check of closing that are not yet completed */
    atomic_ullong next_id, body_room; /* body_room: bytes that bodies in flight may still take */
    struct metrics metrics;
    int epoll, signals, wakeup; /* of loop.c: signals, and clients of requests that wait */
    int listening;              /* libmicrohttpd's, until the server no longer listens; -1 */
    bool loopback;              /* bound to this machine alone */
    double start_ms;
    int64_t start_time;
};
/* ---- access.c ---- */
void access_admit(struct server *s, struct exchange *x); /* headers: route, key, origin; a refusal is replied */
void access_run(struct server *s, struct exchange *x);   /* the body is there: reads it and runs the handler */

/* ---- http.c, reply.c, stream.c ---- */
bool http_start(struct server *s, int fd, char *why, size_t size); /* fd: a listening socket */
void http_stop_listening(struct server *s);
void http_stop(struct server *s);                                  /* when no request waits any more */
int exchange_status(const struct exchange *x);                     /* as it was answered; 499: it was not, the client had gone */
void exchange_drop(struct exchange *x);                            /* gives up one of `holds` */
void exchange_wake(struct exchange *x);                            /* gives up one of `pending` */
void exchange_cancel(struct exchange *x);                          /* its jobs. With the server's lock held */
void exchange_leave(struct exchange *x);                           /* its client has gone: jobs are canceled. With the server's lock held */
void reply_finish(struct exchange *x, struct MHD_Response *r);     /* the headers that every reply has */
struct MHD_Response *stream_response(struct stream *t);
void stream_wake(struct stream *t, bool jobs_done);
void stream_break(struct stream *t);
void stream_free(struct stream *t);

/* ---- bus.c ---- */
void bus_catch(void);
unsigned bus_faults(void); /* pages of mapped files that were gone when they were read, so far */

/* ---- models.c ---- */
struct model_file {
    char *path;
    int64_t bytes, changed; /* as they were when the server started; changed: nanoseconds since 1970 */
};
struct model_state { /* beside struct served: what changes */
    struct model_file *files;
    size_t n_files;
    atomic_bool broken; /* a file of it was cut: what it computes is wrong until it is loaded again from whole files */
};
/* Before a result of the request's model is given out, and before one is asked for: false, and 503 is replied, while the model is broken. */
bool models_sound(struct request *q);
gllm_status models_open(struct server *s, gllm_error *err); /* reads what they are; loads none */
void models_close(struct server *s); /* the client too, in any state */

/* ---- loop.c: the main thread ---- */
void loop_watch(struct server *s, struct exchange *x);   /* tell when its client hangs up */
void loop_unwatch(struct server *s, struct exchange *x);
bool loop_open(struct server *s, char *why, size_t size); /* before any thread is started: signals are blocked for all of them */
void loop_run(struct server *s);                         /* until SIGTERM or SIGINT, and then until what is in flight is done */
void loop_wakeup(struct server *s); /* any thread: look at what has changed */
void loop_close(struct server *s);

/* ---- listen.c, notify.c ---- */
int listen_open(struct server *s, char *why, size_t size); /* a listening socket, or -1 */
void listen_name(const struct server *s, int fd, char *out, size_t size); /* "http://127.0.0.1:8080" */
uint32_t listen_room(uint32_t connections); /* raises the limit of open files; how many connections there is room for */
void notify(const char *state);             /* to systemd */

/* ---- log.c, metrics.c ---- */
void log_request(const struct server *s, const struct exchange *x);
void server_log(const struct server *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void metrics_request(struct server *s, const struct exchange *x);

double now_ms(void);
bool body_read(struct request *q); /* q->body to q->json; false: replied */
size_t utf8_invalid(const char *s, size_t n); /* the place of the first byte that is no UTF-8; n: there is none */
#endif
