/* test_threads.c - one client and many threads, through the public API: every answer has the bits that it has alone; a full queue, a canceled
 * request and a client that closes under its callers each end as the header says. Runs on the tiny models of tests/golden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define EMBEDDER "tests/golden/models/bert-mean"
#define GENERATOR "tests/golden/decoders/qwen3"
enum { N_THREADS = 8, ROUNDS = 6, N_TEXTS = 9, DIM = 32 };

static const char *const TEXTS[N_TEXTS] = {"Call me Ishmael.", "", "the whale", "a", "the sea and the stars and the sea and the stars and the sea and the stars", "whale whale whale",
                                           "It was the best of times", "caf\xc3\xa9", "the whale"};

static gllm_client *open_client(const char *model, uint32_t max_queue) {
    gllm_options o;
    gllm_error err = {0};
    gllm_client *c;
    gllm_options_init(&o);
    o.model = model, o.threads = 2, o.max_queue = max_queue, o.max_batch_tokens = 64;
    if (gllm_client_open(&c, &o, &err) != GLLM_OK) fail_msg("%s: %s", model, err.message);
    return c;
}

/* Texts [first, first + n) of the list, which goes round. */
static gllm_status embed(gllm_client *c, size_t first, size_t n, gllm_embeddings **out, gllm_error *err) {
    gllm_str inputs[N_TEXTS];
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    for (size_t i = 0; i < n; i++) inputs[i] = (gllm_str){TEXTS[(first + i) % N_TEXTS], GLLM_NTS};
    r.inputs = inputs, r.n_inputs = n;
    return gllm_embed(c, &r, out, err);
}

static gllm_status generate(gllm_client *c, size_t which, gllm_completion **out, gllm_error *err) {
    gllm_generate_request r;
    gllm_generate_request_init(&r);
    r.prompt = (gllm_str){TEXTS[which], GLLM_NTS};
    r.max_tokens = 12, r.temperature = which % 2 ? 1 : 0, r.seed = which, r.logprobs = true;
    return gllm_generate(c, &r, out, err);
}

static gllm_status tokenize(gllm_client *c, size_t which, gllm_tokens **out, gllm_error *err) {
    gllm_tokenize_request r;
    gllm_tokenize_request_init(&r);
    r.text = (gllm_str){TEXTS[which], GLLM_NTS};
    return gllm_tokenize(c, &r, out, err);
}

/* What each text gives alone, and a thread's share of asking again beside others. */
struct expected {
    gllm_client *embedder, *generator;
    gllm_embeddings *vector[N_TEXTS];
    gllm_completion *text[N_TEXTS]; /* NULL: the text has no tokens for this model */
    gllm_tokens *tokens[N_TEXTS];
};
struct thread {
    const struct expected *e;
    unsigned index;
    char wrong[600]; /* "": all was right */
};

static void check_embed(struct thread *t, size_t first, size_t n) {
    gllm_embeddings *got;
    gllm_error err = {0};
    if (embed(t->e->embedder, first, n, &got, &err) != GLLM_OK) {
        snprintf(t->wrong, sizeof t->wrong, "embed: %s", err.message);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (memcmp(got->data + i * DIM, t->e->vector[(first + i) % N_TEXTS]->data, DIM * sizeof(float))) snprintf(t->wrong, sizeof t->wrong, "the vector of \"%s\" has other bits", TEXTS[(first + i) % N_TEXTS]);
    gllm_embeddings_free(got);
}

static void check_generate(struct thread *t, size_t which) {
    const gllm_completion *expected = t->e->text[which];
    gllm_completion *got;
    gllm_error err = {0};
    const gllm_status status = generate(t->e->generator, which, &got, &err);
    if ((status == GLLM_OK) != (expected != NULL)) snprintf(t->wrong, sizeof t->wrong, "generate: status %d: %s", (int)status, err.message);
    else if (got && (got->n_tokens != expected->n_tokens || memcmp(got->tokens, expected->tokens, got->n_tokens * sizeof *got->tokens) ||
                     memcmp(got->logprobs, expected->logprobs, got->n_tokens * sizeof *got->logprobs)))
        snprintf(t->wrong, sizeof t->wrong, "the answer to \"%s\" differs: %s, expected %s", TEXTS[which], got->text.ptr, expected->text.ptr);
    gllm_completion_free(got);
}

static void check_tokens(struct thread *t, size_t which) {
    const gllm_tokens *expected = t->e->tokens[which];
    gllm_tokens *got;
    gllm_error err = {0};
    char *text = NULL;
    if (tokenize(t->e->embedder, which, &got, &err) != GLLM_OK) snprintf(t->wrong, sizeof t->wrong, "tokenize: %s", err.message);
    else if (got->count != expected->count || memcmp(got->ids, expected->ids, got->count * sizeof *got->ids)) snprintf(t->wrong, sizeof t->wrong, "the ids of \"%s\" differ", TEXTS[which]);
    else if (gllm_detokenize(t->e->embedder, NULL, got->ids, got->count, true, &text, &err) != GLLM_OK) snprintf(t->wrong, sizeof t->wrong, "detokenize: %s", err.message);
    gllm_text_free(text);
    gllm_tokens_free(got);
}

static void *ask(void *arg) {
    struct thread *t = arg;
    for (unsigned round = 0; round < ROUNDS && !*t->wrong; round++) {
        const size_t at = (t->index * 5 + round) % N_TEXTS;
        check_embed(t, at, 1 + (t->index + round) % N_TEXTS);
        check_tokens(t, at);
        if (t->index % 2) check_generate(t, at);
    }
    return NULL;
}

static void test_same_bits(void **state) {
    (void)state;
    struct expected e = {.embedder = open_client(EMBEDDER, 0), .generator = open_client(GENERATOR, 0)};
    struct thread t[N_THREADS] = {0};
    pthread_t id[N_THREADS];
    gllm_error err = {0};
    unsigned answers = 0;
    for (size_t i = 0; i < N_TEXTS; i++) {
        assert_int_equal(embed(e.embedder, i, 1, &e.vector[i], &err), GLLM_OK);
        assert_int_equal(e.vector[i]->dim, DIM);
        assert_int_equal(tokenize(e.embedder, i, &e.tokens[i], &err), GLLM_OK);
        answers += generate(e.generator, i, &e.text[i], &err) == GLLM_OK;
    }
    assert_true(answers >= N_TEXTS - 1); /* the empty text may have none */
    for (unsigned i = 0; i < N_THREADS; i++) {
        t[i] = (struct thread){.e = &e, .index = i};
        assert_int_equal(pthread_create(&id[i], NULL, ask, &t[i]), 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) pthread_join(id[i], NULL);
    for (unsigned i = 0; i < N_THREADS; i++)
        if (*t[i].wrong) fail_msg("thread %u: %s", i, t[i].wrong);
    for (size_t i = 0; i < N_TEXTS; i++) {
        gllm_embeddings_free(e.vector[i]);
        gllm_completion_free(e.text[i]);
        gllm_tokens_free(e.tokens[i]);
    }
    gllm_client_close(e.embedder);
    gllm_client_close(e.generator);
}

/* A request that occupies the worker: its progress function waits until it is let go. */
struct holder {
    gllm_client *client;
    atomic_bool inside, let_go;
    atomic_int waiting; /* other threads that are about to call */
    bool go_on;         /* what the progress function answers */
    size_t called;
    gllm_status status;
    gllm_error err;
    gllm_embeddings *got;
};

static bool hold(void *user, size_t done, size_t total) {
    struct holder *h = user;
    h->called++;
    (void)done, (void)total;
    atomic_store(&h->inside, true);
    while (!atomic_load(&h->let_go)) usleep(500);
    return h->go_on;
}

static void *occupy(void *arg) {
    struct holder *h = arg;
    gllm_str inputs[40]; /* several batches of 64 tokens */
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    for (size_t i = 0; i < 40; i++) inputs[i] = (gllm_str){TEXTS[4], GLLM_NTS};
    r.inputs = inputs, r.n_inputs = 40, r.progress = hold, r.progress_user = h;
    h->status = gllm_embed(h->client, &r, &h->got, &h->err);
    return NULL;
}

static pthread_t start(struct holder *h) {
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, occupy, h), 0);
    while (!atomic_load(&h->inside)) usleep(500);
    return id;
}

struct waiter {
    struct holder *h;
    gllm_status status;
    gllm_error err;
};
static void *wait_in_line(void *arg) {
    struct waiter *w = arg;
    gllm_embeddings *got;
    atomic_fetch_add(&w->h->waiting, 1);
    w->status = embed(w->h->client, 0, 1, &got, &w->err);
    gllm_embeddings_free(got);
    return NULL;
}

static void test_full_queue(void **state) {
    (void)state;
    enum { QUEUE = 2, CALLERS = 6 };
    struct holder h = {.client = open_client(EMBEDDER, QUEUE), .go_on = true};
    struct waiter w[CALLERS] = {0};
    pthread_t holder = start(&h), id[CALLERS];
    for (int i = 0; i < CALLERS; i++) { /* the queue holds two; the others are turned away at once */
        w[i].h = &h;
        assert_int_equal(pthread_create(&id[i], NULL, wait_in_line, &w[i]), 0);
        if (i < QUEUE) {
            while (atomic_load(&h.waiting) <= i) usleep(500);
            usleep(50000);
        } else pthread_join(id[i], NULL);
    }
    atomic_store(&h.let_go, true);
    for (int i = 0; i < QUEUE; i++) pthread_join(id[i], NULL);
    pthread_join(holder, NULL);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(w[i].status, i < QUEUE ? GLLM_OK : GLLM_BUSY);
        if (i >= QUEUE) assert_string_equal(w[i].err.message, "the queue is full: 2 jobs wait");
    }
    assert_int_equal(h.status, GLLM_OK);
    gllm_embeddings_free(h.got);
    gllm_client_close(h.client);
}

static void test_cancel(void **state) {
    (void)state;
    struct holder h = {.client = open_client(EMBEDDER, 0), .let_go = true, .go_on = false};
    gllm_embeddings *after;
    gllm_error err = {0};
    occupy(&h);
    assert_int_equal(h.status, GLLM_CANCELED);
    assert_null(h.got);
    assert_int_equal(h.called, 1);
    if (strncmp(h.err.message, "canceled after ", 15) || !strstr(h.err.message, " of 40 texts")) fail_msg("found \"%s\"", h.err.message);
    assert_int_equal(embed(h.client, 0, 1, &after, &err), GLLM_OK); /* the client goes on */
    gllm_embeddings_free(after);
    gllm_client_close(h.client);
}

/* A callback cannot wait for its own client: that is told, and nobody waits for ever. What needs no worker goes on. */
static bool ask_again(void *user, size_t done, size_t total) {
    struct holder *h = user;
    gllm_embeddings *e;
    gllm_tokens *t;
    (void)done, (void)total;
    h->called++;
    h->status = embed(h->client, 0, 1, &e, &h->err);
    gllm_embeddings_free(e);
    assert_int_equal(tokenize(h->client, 0, &t, NULL), GLLM_OK);
    gllm_tokens_free(t);
    return true;
}
static void test_own_callback(void **state) {
    (void)state;
    struct holder h = {.client = open_client(EMBEDDER, 0)};
    gllm_str text = {TEXTS[0], GLLM_NTS};
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    r.inputs = &text, r.n_inputs = 1, r.progress = ask_again, r.progress_user = &h;
    assert_int_equal(gllm_embed(h.client, &r, &h.got, NULL), GLLM_OK);
    assert_int_equal(h.called, 1);
    assert_int_equal(h.status, GLLM_INVALID);
    assert_string_equal(h.err.message, "a callback asks its own client, which waits for the callback");
    gllm_embeddings_free(h.got);
    gllm_client_close(h.client);
}

static void test_close(void **state) {
    (void)state;
    enum { CALLERS = 5 };
    struct holder h = {.client = open_client(EMBEDDER, 0), .go_on = true};
    struct waiter w[CALLERS] = {0};
    pthread_t holder = start(&h), id[CALLERS], closer;
    for (int i = 0; i < CALLERS; i++) {
        w[i].h = &h;
        assert_int_equal(pthread_create(&id[i], NULL, wait_in_line, &w[i]), 0);
    }
    while (atomic_load(&h.waiting) < CALLERS) usleep(500);
    usleep(100000); /* they are in line */
    assert_int_equal(pthread_create(&closer, NULL, client_close_thread, h.client), 0);
    usleep(50000);
    gllm_client_info info = {.struct_size = sizeof info};
    gllm_tokens *late;
    assert_int_equal(gllm_client_describe(h.client, NULL, &info, NULL), GLLM_CLOSED);
    assert_int_equal(tokenize(h.client, 0, &late, NULL), GLLM_CLOSED);
    assert_null(late);
    atomic_store(&h.let_go, true);
    pthread_join(closer, NULL);
    pthread_join(holder, NULL);
    for (int i = 0; i < CALLERS; i++) pthread_join(id[i], NULL);
    assert_int_equal(h.status, GLLM_OK); /* it was running, so it is whole */
    assert_int_equal(h.got->count, 40);
    assert_string_equal(h.got->model, EMBEDDER); /* and outlives its client */
    gllm_embeddings_free(h.got);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(w[i].status, GLLM_CLOSED);
        assert_string_equal(w[i].err.message, "the client is closing");
    }
}

/* Clients opened and closed side by side share nothing that can be broken. */
static void *come_and_go(void *arg) {
    gllm_options o;
    gllm_error err = {0};
    char *wrong = arg;
    gllm_options_init(&o);
    o.model = EMBEDDER, o.threads = 1;
    for (int i = 0; i < 4; i++) {
        gllm_client *c;
        gllm_embeddings *e = NULL;
        if (gllm_client_open(&c, &o, &err) != GLLM_OK || embed(c, 0, 2, &e, &err) != GLLM_OK) snprintf(wrong, 600, "%s", err.message);
        gllm_embeddings_free(e);
        gllm_client_close(c);
    }
    return NULL;
}

static void test_many_clients(void **state) {
    (void)state;
    pthread_t id[4];
    char wrong[4][600] = {{0}};
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&id[i], NULL, come_and_go, wrong[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(id[i], NULL);
    for (int i = 0; i < 4; i++) assert_string_equal(wrong[i], "");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_full_queue), cmocka_unit_test(test_cancel), cmocka_unit_test(test_own_callback), cmocka_unit_test(test_close), cmocka_unit_test(test_many_clients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
