/* server.h - how a route is written.
 *
 * A handler is a function that takes a request; a row of a route table (routes.c lists the tables) gives it a method and a path. It runs on
 * one of the server's few connection threads, so it never waits. It reads q->json with the field_* functions, each of which answers a
 * wrong field itself, and then does one of these:
 *   1. answers at once: reply_json, reply_text, reply_static, reply_error, reply_failure;
 *   2. starts jobs, which call q->then, again on a connection thread, when all of them have ended, whatever their end:
 *          gllm_submit how;  gllm_job *job = NULL;  gllm_error err;
 *          job_prepare(q, &how);
 *          if (!job_started(q, gllm_embed_async(q->client, &r, &how, &job, &err), &job, &err)) return;    // the error is answered
 *          q->then = answer;
 *      and `answer` takes the result (gllm_job_take_… of q->jobs[i], or reply_failure) and replies. The connection sleeps meanwhile: it holds no thread;
 *   3. streams: stream_begin before the jobs are started, stream_event from any thread (a job's on_chunk: return what it gives, so that the job ends
 *      when the client has gone or does not read), stream_end in `then`. An error of a job that did not start is still answered as in 1.
 * What a handler needs until `then` goes into q->state, freed by q->state_free. Jobs are canceled when the client has gone; the server frees them. */
#ifndef GLLM_SERVER_SERVER_H
#define GLLM_SERVER_SERVER_H
#include <jansson.h>

#include "gllm.h"
#include "serve.h"
#include "text.h"

struct server;
struct request;
struct stream;

/* ---- routes ---- */
enum family { FAMILY_OPENAI, FAMILY_TEI, FAMILY_COHERE, FAMILY_OLLAMA }; /* whose clients call it: the shape of its errors */
enum {
    ROUTE_OPEN = 1, /* needs no key */
    ROUTE_TAIL = 2  /* the path is a beginning: what follows is q->tail */
};
struct route {
    const char *method; /* "GET" (answers HEAD too) or "POST" (its body is a JSON object) */
    const char *path;
    void (*run)(struct request *q);
    enum family family;
    unsigned flags;
};
extern const struct route *const route_tables[]; /* routes.c; NULL-terminated, each table ends with a NULL path */

/* ---- models ---- */
struct served { /* one model; lives as long as the server */
    const char *name;
    const gllm_model_info *info; /* what its files say; read before it is loaded */
    int64_t created;             /* seconds since 1970 of the model's files */
};
size_t served_count(const struct server *s);
const struct served *served_at(const struct server *s, size_t i);
/* The model that the request's `model` names, by its whole name or what follows the last slash; without one the first whose task is `task` (NULL: any), else
 * the first. NULL: answered, 404 model_not_found. */
const struct served *request_model(struct request *q, const char *task);
const struct served *served_find(const struct server *s, const char *name); /* NULL: there is none */

/* ---- requests ---- */
struct request {
    struct server *server;
    gllm_client *client;
    const struct route *route;
    const char *method, *path;
    const char *tail;  /* of a ROUTE_TAIL, percent-decoded; else "" */
    json_t *json;      /* the body, an object; NULL for GET */
    const char *body;  /* its bytes, NUL-terminated beyond body_len */
    size_t body_len;
    uint64_t id;       /* also the header x-request-id, as "req_…" */
    uint64_t caller;   /* the key's place, or the client's address hashed: for gllm_submit.caller, which job_prepare sets */
    void (*then)(struct request *q); /* when all jobs have ended */
    gllm_job **jobs;   /* [n_jobs] in the order in which they were started */
    size_t n_jobs;
    void *state;       /* the handler's own */
    void (*state_free)(void *state);
    /* for the log and the metrics, set by whoever knows */
    const char *model;
    uint64_t tokens_in, tokens_out, truncated, items;
    double queue_ms, compute_ms;
    struct exchange *x; /* http.c's own */
};
const char *request_header(struct request *q, const char *name); /* NULL: absent; borrowed */
bool request_gone(struct request *q);                            /* the client has hung up: the answer is for nobody */
const struct server_options *request_options(const struct request *q);

/* ---- fields of a JSON object: absent and null leave *out as it is; of the wrong kind or out of range: 400 with `param`, and false ---- */
bool field_string(struct request *q, const json_t *o, const char *key, const char **out); /* without NUL bytes */
bool field_text(struct request *q, const json_t *o, const char *key, gllm_str *out);
bool field_items(struct request *q, const char *key, size_t n); /* a list of n items is not above --max-items; else 413 */
bool field_bool(struct request *q, const json_t *o, const char *key, bool *out);
bool field_u32(struct request *q, const json_t *o, const char *key, uint32_t low, uint32_t high, uint32_t *out);
bool field_real(struct request *q, const json_t *o, const char *key, double low, double high, double *out);
bool field_choice(struct request *q, const json_t *o, const char *key, const char *choices, int *out); /* "a|b": the place in them */
/* Given, and neither null nor `harmless` (JSON text: "false", "1", "{}"; NULL: nothing is): 400 "… is not supported: why". */
bool field_refuse(struct request *q, const json_t *o, const char *key, const char *harmless, const char *why);
bool field_missing(struct request *q, const char *key, const char *expected); /* answers 400; false */
/* A text, or a list of 1 to max_items texts; *list is owned (free), the texts are the body's. */
bool field_texts(struct request *q, const json_t *o, const char *key, gllm_str **list, size_t *count);
/* The token ids of a JSON list into ids[its length]. */
bool field_ids(struct request *q, const json_t *list, const char *key, int32_t *ids);

/* ---- replies: exactly one a request; sent when the handler has returned ---- */
void reply_json(struct request *q, int status, json_t *body);            /* moves; NULL: out of memory, 500 */
void reply_text(struct request *q, int status, const char *type, struct text *body); /* moves */
void reply_static(struct request *q, int status, const char *type, const void *bytes, size_t n); /* borrowed for ever */
void reply_header(struct request *q, const char *name, const char *value); /* copied; before the reply is sent */
bool replied(const struct request *q);
/* An error in the family's shape. `code` as OpenAI's: "model_not_found" …, NULL: none; `param`: the field at fault, NULL: none. 429 and 503 get Retry-After. */
void reply_error(struct request *q, int status, const char *code, const char *param, const char *format, ...) __attribute__((format(printf, 5, 6)));
void reply_no_memory(struct request *q); /* 503 out_of_memory */
void reply_failure(struct request *q, gllm_status status, const gllm_error *err, const char *param); /* what the library said */
/* The body alone, for a stream's error event; owned (json_decref). */
json_t *error_body(enum family family, int status, const char *code, const char *param, const char *message);
int failure_http(gllm_status status, const char **code); /* the HTTP status of a library status, and its code */

/* ---- jobs ---- */
void job_prepare(struct request *q, gllm_submit *how);
bool job_started(struct request *q, gllm_status status, gllm_job *const *job, const gllm_error *err);

/* ---- streams ---- */
enum stream_kind { STREAM_SSE, STREAM_NDJSON }; /* "data: …\n\n"; "…\n" */
bool stream_begin(struct request *q, enum stream_kind kind);                  /* false: out of memory, answered */
bool stream_event(struct request *q, const char *bytes, size_t n);            /* one event; any thread. false: stop, nobody reads */
bool stream_named(struct request *q, const char *event, const char *bytes, size_t n); /* SSE with an `event:` line before */
bool stream_json(struct request *q, json_t *event);                           /* moves */
void stream_failure(struct request *q, gllm_status status, const gllm_error *err); /* an error event; stream_end is still to come */
void stream_end(struct request *q);                                           /* after what was pushed; any thread, once */
#endif
