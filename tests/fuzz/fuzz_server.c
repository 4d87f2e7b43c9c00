/* fuzz_server.c - a request's body as a client may send it, through a route's handler into the library and back, without a socket: the first byte chooses the
 * route, the rest is the body. Each request is answered once, at once or after its jobs. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 64 << 10, MOST = 64 }; /* of a body; texts in a request: a run is short */

/* One server for all runs, as a process has: tiny models, no thread of libmicrohttpd. */
static struct server *server(void) {
    static struct server s;
    static const char *const MODELS[] = {"mean=" GLLM_TEST_GOLDEN "/models/bert-prompts", "rank=" GLLM_TEST_GOLDEN "/classifiers/bert"};
    gllm_error err;
    if (s.client) return &s;
    s.options = (struct server_options){.models = MODELS, .n_models = 2, .max_items = MOST, .max_body_mb = 1, .log = LOG_NONE, .quiet = true};
    gllm_options_init(&s.options.base);
    s.options.base.threads = 1;
    pthread_mutex_init(&s.lock, NULL);
    if (models_open(&s, &err) != GLLM_OK) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return &s;
}

static const struct route *choose(unsigned n) {
    for (;;)
        for (const struct route *const *t = route_tables; *t; t++)
            for (const struct route *r = *t; r->path; r++)
                if (!strcmp(r->method, "POST") && !n--) return r;
}

static void handle(struct request *q) {
    if (!body_read(q)) return;
    q->route->run(q);
    for (size_t i = 0; i < q->n_jobs; i++) gllm_job_wait(q->jobs[i], -1);
    while (atomic_load(&q->x->pending) > 1) sched_yield(); /* on_done has been called, or is */
    if (!replied(q) && q->then) q->then(q);
    if (!replied(q) && !q->x->stream) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || size > LARGEST) return 0;
    struct server *s = server();
    struct exchange *x = calloc(1, sizeof *x);
    char *body = malloc(size);
    if (!x || !body) abort();
    memcpy(body, data + 1, size - 1);
    body[size - 1] = '\0';
    x->q = (struct request){.server = s, .client = s->client, .route = choose(data[0]), .method = "POST", .path = strdup(""), .tail = "", .body = body, .body_len = size - 1, .x = x};
    atomic_init(&x->pending, 1);
    atomic_init(&x->holds, 1);
    handle(&x->q);
    exchange_drop(x);
    free(body);
    return 0;
}
