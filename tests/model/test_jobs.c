/* test_jobs.c - jobs through the public API: they give the bits of the calls that wait, also when their model is loaded meanwhile; every way to end (canceled, out of time, a full
 * queue, a client that closes) is as the header says; the descriptor for event loops tells what has ended. Runs on the tiny models of tests/golden. */
#include "client.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EMBEDDER "tests/golden/models/bert-mean"
#define GENERATOR "tests/golden/decoders/qwen3"
#define RERANKER "tests/golden/classifiers/bert"
#define CLASSIFIER "tests/golden/classifiers/distilbert-three"
enum { N_TEXTS = 5, SECOND = 1000, LONG = 120 * SECOND };

static const char *const TEXTS[N_TEXTS] = {"Call me Ishmael.", "", "the whale", "the sea and the stars and the sea and the stars and the sea and the stars", "caf\xc3\xa9"};

static gllm_options options(const char *model) {
    gllm_options o;
    gllm_options_init(&o);
    o.model = model, o.threads = 2, o.max_batch_tokens = 64, o.n_ctx = 256;
    return o;
}
static gllm_client *open_client(const char *model, gllm_load load) {
    gllm_options o = options(model);
    o.load = load;
    return client_open(&o);
}

static gllm_submit how_to(gllm_done_fn done, void *user) {
    gllm_submit how;
    gllm_submit_init(&how);
    how.on_done = done, how.user = user;
    return how;
}

/* Texts whose bytes can be spoilt, to see that a job has copied them. */
struct texts {
    char bytes[N_TEXTS][128];
    gllm_str strs[N_TEXTS];
};
static void fill(struct texts *t) {
    for (size_t i = 0; i < N_TEXTS; i++) {
        strcpy(t->bytes[i], TEXTS[i]);
        t->strs[i] = (gllm_str){t->bytes[i], GLLM_NTS};
    }
}
static void spoil(struct texts *t) { memset(t, 0xff, sizeof *t); }

static gllm_embed_request embed_request(const struct texts *t) {
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    r.inputs = t->strs, r.n_inputs = N_TEXTS;
    return r;
}

static gllm_job *embed_job(gllm_client *c, const gllm_embed_request *r, const gllm_submit *how) {
    gllm_error err = {0};
    gllm_job *j = NULL;
    if (gllm_embed_async(c, r, how, &j, &err) != GLLM_OK) fail_msg("%s", err.message);
    return j;
}

static void await(gllm_job *j) { assert_int_equal(gllm_job_wait(j, LONG), GLLM_OK); }

static gllm_embeddings *take(gllm_job *j) {
    gllm_error err = {0};
    gllm_embeddings *e;
    if (gllm_job_take_embeddings(j, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}
static void assert_ended_with(gllm_job *j, gllm_status expected) {
    gllm_error err = {0};
    gllm_embeddings *e;
    const gllm_status status = gllm_job_take_embeddings(j, &e, &err);
    if (status != expected) fail_msg("ended with %s (%s), expected %s", gllm_status_name(status), err.message, gllm_status_name(expected));
    assert_null(e);
    assert_int_equal(err.status, expected);
}
static void assert_same_vectors(const gllm_embeddings *a, const gllm_embeddings *b) {
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->dim, b->dim);
    assert_memory_equal(a->data, b->data, a->count * a->dim * sizeof *a->data);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    assert_string_equal(a->model, b->model);
}

/* ---- values ---- */

static void check_embed(gllm_load load) {
    struct texts t;
    gllm_client *c = open_client(EMBEDDER, load), *other = open_client(EMBEDDER, GLLM_LOAD_NOW);
    fill(&t);
    gllm_embed_request r = embed_request(&t);
    gllm_embeddings *expected = client_embed(other, &r);
    gllm_job *j = embed_job(c, &r, NULL);
    spoil(&t);
    await(j);
    gllm_embeddings *got = take(j), *again;
    assert_same_vectors(got, expected);
    assert_true(got->queue_ms >= 0);
    gllm_rankings *wrong;
    assert_int_equal(gllm_job_take_embeddings(j, &again, NULL), GLLM_INVALID); /* taken */
    assert_int_equal(gllm_job_take_rankings(j, &wrong, NULL), GLLM_INVALID);   /* of another kind */
    assert_null(wrong);
    gllm_job_free(j);
    gllm_embeddings_free(got);
    gllm_embeddings_free(expected);
    gllm_client_close(c);
    gllm_client_close(other);
}

static void check_rerank(gllm_load load) {
    struct texts t;
    char query[] = "who is Ishmael?";
    gllm_client *c = open_client(RERANKER, load), *other = open_client(RERANKER, GLLM_LOAD_NOW);
    gllm_rerank_request r;
    gllm_rankings *expected, *got;
    gllm_job *j;
    fill(&t);
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){query, GLLM_NTS}, r.documents = t.strs, r.n_documents = N_TEXTS;
    assert_int_equal(gllm_rerank(other, &r, &expected, NULL), GLLM_OK);
    assert_int_equal(gllm_rerank_async(c, &r, NULL, &j, NULL), GLLM_OK);
    spoil(&t);
    memset(query, 0xff, sizeof query);
    await(j);
    assert_int_equal(gllm_job_take_rankings(j, &got, NULL), GLLM_OK);
    assert_int_equal(got->count, N_TEXTS);
    for (size_t i = 0; i < N_TEXTS; i++) {
        assert_int_equal(got->items[i].index, expected->items[i].index);
        assert_memory_equal(&got->items[i].score, &expected->items[i].score, sizeof(float));
    }
    gllm_job_free(j);
    gllm_rankings_free(got);
    gllm_rankings_free(expected);
    gllm_client_close(c);
    gllm_client_close(other);
}

static void check_classify(gllm_load load) {
    struct texts t;
    gllm_client *c = open_client(CLASSIFIER, load), *other = open_client(CLASSIFIER, GLLM_LOAD_NOW);
    gllm_classify_request r;
    gllm_classes *expected, *got;
    gllm_job *j;
    fill(&t);
    gllm_classify_request_init(&r);
    r.inputs = t.strs, r.n_inputs = N_TEXTS;
    assert_int_equal(gllm_classify(other, &r, &expected, NULL), GLLM_OK);
    assert_int_equal(gllm_classify_async(c, &r, NULL, &j, NULL), GLLM_OK);
    spoil(&t);
    await(j);
    assert_int_equal(gllm_job_take_classes(j, &got, NULL), GLLM_OK);
    assert_int_equal(got->n_labels, 3);
    assert_memory_equal(got->scores, expected->scores, N_TEXTS * 3 * sizeof *got->scores);
    for (size_t i = 0; i < 3; i++) assert_string_equal(got->labels[i], expected->labels[i]);
    gllm_job_free(j);
    gllm_classes_free(got);
    gllm_classes_free(expected);
    gllm_client_close(c);
    gllm_client_close(other);
}

static bool count_chunks(void *user, const gllm_chunk *chunk) {
    atomic_int *n = user;
    atomic_fetch_add(n, chunk->token >= 0);
    return true;
}
static gllm_generate_request generate_request(const struct texts *t, size_t which) {
    gllm_generate_request r;
    gllm_generate_request_init(&r);
    r.prompt = t->strs[which];
    r.max_tokens = 12, r.temperature = 1, r.seed = 7, r.logprobs = true, r.ignore_eos = true;
    return r;
}
static void check_generate(gllm_load load) {
    static const gllm_logit_bias BIAS[] = {{5, 2.0f}, {9, -1.0f}};
    struct texts t;
    char grammar[] = "root ::= [^0]*";
    gllm_client *c = open_client(GENERATOR, load), *other = open_client(GENERATOR, GLLM_LOAD_NOW);
    gllm_completion *expected, *got;
    gllm_logit_bias bias[2];
    gllm_job *j;
    atomic_int chunks = 0;
    fill(&t);
    memcpy(bias, BIAS, sizeof bias);
    gllm_generate_request r = generate_request(&t, 0);
    r.grammar = grammar, r.logit_bias = bias, r.n_logit_bias = 2, r.stop = &t.strs[2], r.n_stop = 1;
    gllm_error err = {0};
    if (gllm_generate(other, &r, &expected, &err) != GLLM_OK) fail_msg("%s", err.message);
    r.on_chunk = count_chunks, r.user = &chunks;
    assert_int_equal(gllm_generate_async(c, &r, NULL, &j, NULL), GLLM_OK);
    spoil(&t);
    memset(grammar, 'x', sizeof grammar - 1);
    memset(bias, 0, sizeof bias);
    await(j);
    assert_int_equal(gllm_job_take_completion(j, &got, NULL), GLLM_OK);
    assert_string_equal(got->text.ptr, expected->text.ptr);
    assert_int_equal(got->n_tokens, expected->n_tokens);
    assert_true(got->n_tokens > 0);
    assert_memory_equal(got->logprobs, expected->logprobs, got->n_tokens * sizeof *got->logprobs);
    assert_int_equal(atomic_load(&chunks), got->n_tokens);
    gllm_job_free(j);
    gllm_completion_free(got);
    gllm_completion_free(expected);
    gllm_client_close(c);
    gllm_client_close(other);
}

static void test_values(void **state) {
    (void)state;
    for (gllm_load load = GLLM_LOAD_NOW; load <= GLLM_LOAD_LAZY; load++) {
        check_embed(load);
        check_rerank(load);
        check_classify(load);
        check_generate(load);
    }
}

/* What is wrong with a request shows at once, and leaves no job. */
static void test_wrong_requests(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct texts t;
    gllm_error err = {0};
    gllm_job *j = (gllm_job *)&t;
    fill(&t);
    gllm_embed_request r = embed_request(&t);
    r.dimensions = 4000;
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, &err), GLLM_INVALID);
    assert_null(j);
    assert_string_equal(err.message, "dimensions: found 4000, expected 1 to 32");
    r = embed_request(&t);
    t.bytes[0][0] = (char)0xff;
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, &err), GLLM_INVALID);
    assert_non_null(strstr(err.message, "input 0"));
    r.model = "another";
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, &err), GLLM_NOT_FOUND);
    assert_string_equal(err.message, "model \"another\" is not open here; \"" EMBEDDER "\" is");
    gllm_submit how = how_to(NULL, NULL);
    how.timeout_ms = -1;
    r.model = NULL;
    assert_int_equal(gllm_embed_async(c, &r, &how, &j, &err), GLLM_INVALID);
    gllm_client_close(c);
}

/* ---- a worker that is kept busy ---- */

struct holder { /* a job whose progress function waits until it is let go */
    gllm_client *client;
    gllm_job *job;
    atomic_bool inside, let_go;
    gllm_status asked, waited, taken; /* what calls from the callback gave */
    struct texts texts;
    gllm_str many[40];
};
static bool hold(void *user, size_t done, size_t total) {
    struct holder *h = user;
    (void)done, (void)total;
    atomic_store(&h->inside, true);
    while (!atomic_load(&h->let_go)) usleep(500);
    return true;
}
static gllm_embed_request many_texts(struct holder *h) {
    fill(&h->texts);
    gllm_embed_request r = embed_request(&h->texts);
    for (int i = 0; i < 40; i++) h->many[i] = h->texts.strs[3];
    r.inputs = h->many, r.n_inputs = 40; /* several forwards of 64 tokens */
    r.progress = hold, r.progress_user = h;
    return r;
}
static void start(struct holder *h, gllm_client *c, const gllm_submit *how) {
    *h = (struct holder){.client = c};
    gllm_embed_request r = many_texts(h);
    h->job = embed_job(c, &r, how);
    while (!atomic_load(&h->inside)) usleep(500);
}
static void let_go(struct holder *h) { atomic_store(&h->let_go, true); }

static void test_cancel(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct holder h;
    start(&h, c, NULL);
    gllm_embed_request r = embed_request(&h.texts);
    gllm_job *canceled = embed_job(c, &r, NULL), *after = embed_job(c, &r, NULL);
    gllm_job_cancel(canceled);
    gllm_job_cancel(h.job); /* which is running */
    gllm_job_cancel(h.job);
    assert_int_equal(gllm_job_wait(h.job, 0), GLLM_TIMEOUT);
    assert_int_equal(gllm_job_wait(after, 20), GLLM_TIMEOUT);
    assert_ended_with(after, GLLM_TIMEOUT);
    let_go(&h);
    await(h.job), await(canceled), await(after);
    assert_ended_with(h.job, GLLM_CANCELED);
    assert_ended_with(canceled, GLLM_CANCELED);
    gllm_embeddings_free(take(after));
    gllm_job_cancel(after); /* too late */
    gllm_job_free(h.job), gllm_job_free(canceled), gllm_job_free(after);
    gllm_client_close(c);
}

struct canceler {
    atomic_bool have;
    gllm_job *job;
    int tokens;
};
static bool cancel_third(void *user, const gllm_chunk *chunk) {
    struct canceler *k = user;
    while (!atomic_load(&k->have)) usleep(100);
    if (chunk->token >= 0 && ++k->tokens == 3) gllm_job_cancel(k->job);
    return true;
}
static void test_cancel_answer(void **state) {
    (void)state;
    gllm_client *c = open_client(GENERATOR, GLLM_LOAD_NOW);
    struct canceler k = {0};
    struct texts t;
    gllm_completion *got;
    fill(&t);
    gllm_generate_request r = generate_request(&t, 0);
    r.max_tokens = 100, r.on_chunk = cancel_third, r.user = &k;
    assert_int_equal(gllm_generate_async(c, &r, NULL, &k.job, NULL), GLLM_OK);
    atomic_store(&k.have, true);
    await(k.job);
    assert_int_equal(gllm_job_take_completion(k.job, &got, NULL), GLLM_OK);
    assert_int_equal(got->finish, GLLM_FINISH_CANCELED);
    assert_true(got->n_tokens >= 3 && got->n_tokens <= 4); /* within a step */
    gllm_completion_free(got);
    gllm_job_free(k.job);
    gllm_client_close(c);
}

static void test_timeout(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct holder h;
    start(&h, c, NULL);
    gllm_embed_request r = embed_request(&h.texts);
    gllm_submit how = how_to(NULL, NULL);
    how.timeout_ms = 30;
    gllm_job *late = embed_job(c, &r, &how);
    how.timeout_ms = LONG;
    gllm_job *in_time = embed_job(c, &r, &how);
    usleep(60000);
    let_go(&h);
    await(late), await(in_time);
    assert_ended_with(late, GLLM_TIMEOUT);
    gllm_embeddings_free(take(in_time));
    gllm_job_free(h.job), gllm_job_free(late), gllm_job_free(in_time);
    gllm_client_close(c);
}

static void test_busy(void **state) {
    (void)state;
    gllm_options o = options(EMBEDDER);
    o.max_queue = 2;
    gllm_client *c = client_open(&o);
    struct holder h;
    gllm_error err = {0};
    gllm_job *turned_away;
    start(&h, c, NULL);
    gllm_embed_request r = embed_request(&h.texts);
    gllm_job *first = embed_job(c, &r, NULL), *second = embed_job(c, &r, NULL);
    assert_int_equal(gllm_embed_async(c, &r, NULL, &turned_away, &err), GLLM_BUSY);
    assert_string_equal(err.message, "the queue is full: 2 jobs wait");
    assert_null(turned_away);
    let_go(&h);
    await(first), await(second), await(h.job);
    gllm_job *later = embed_job(c, &r, NULL);
    await(later);
    gllm_job_free(h.job), gllm_job_free(first), gllm_job_free(second), gllm_job_free(later);
    gllm_client_close(c);
}

/* ---- on_done ---- */

struct ending {
    atomic_int calls;
    gllm_job *handle;
    gllm_embeddings *got;
    gllm_status status, looked, waited;
    void *user;
};
static void take_and_free(void *user, gllm_job *j) {
    struct ending *e = user;
    e->looked = gllm_job_wait(j, 0);
    e->waited = gllm_job_wait(j, -1);
    e->user = gllm_job_user(j);
    e->status = gllm_job_take_embeddings(j, &e->got, NULL);
    gllm_job_free(j);
    atomic_fetch_add(&e->calls, 1);
}
static void keep_handle(void *user, gllm_job *j) {
    struct ending *e = user;
    e->handle = j;
    atomic_fetch_add(&e->calls, 1);
}

static void test_done(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct texts t;
    struct ending e = {0};
    fill(&t);
    gllm_embed_request r = embed_request(&t);
    gllm_embeddings *expected = client_embed(c, &r);
    const gllm_submit how = how_to(take_and_free, &e);
    embed_job(c, &r, &how);
    while (!atomic_load(&e.calls)) usleep(500);
    assert_int_equal(e.status, GLLM_OK);
    assert_int_equal(e.looked, GLLM_OK);
    assert_int_equal(e.waited, GLLM_OK);
    assert_ptr_equal(e.user, &e);
    assert_same_vectors(e.got, expected);
    gllm_embeddings_free(e.got);
    gllm_embeddings_free(expected);
    gllm_client_close(c);
    assert_int_equal(atomic_load(&e.calls), 1);
}

/* A job that is freed while it runs is canceled; its end is told once, without a handle. */
static void test_free_running(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct holder h;
    struct ending e = {.handle = (gllm_job *)&e}, f = e;
    gllm_submit how = how_to(keep_handle, &e);
    start(&h, c, &how);
    gllm_embed_request r = embed_request(&h.texts);
    how.user = &f, how.notify = true;
    gllm_job *waiting = embed_job(c, &r, &how);
    gllm_job_free(h.job);
    gllm_job_free(waiting);
    assert_int_equal(atomic_load(&e.calls), 0);
    let_go(&h);
    while (!atomic_load(&e.calls) || !atomic_load(&f.calls)) usleep(500);
    assert_null(e.handle);
    assert_null(f.handle);
    assert_null(gllm_client_next_done(c));
    gllm_client_close(c);
    assert_int_equal(atomic_load(&e.calls) + atomic_load(&f.calls), 2);
}

/* What would wait for the worker is refused there; a new job is not. */
static bool ask_on_worker(void *user, size_t done, size_t total) {
    struct holder *h = user;
    (void)done, (void)total;
    if (atomic_exchange(&h->inside, true)) return true;
    gllm_embed_request r = embed_request(&h->texts);
    gllm_embeddings *e;
    h->asked = gllm_embed(h->client, &r, &e, NULL);
    h->taken = gllm_embed_async(h->client, &r, NULL, &h->job, NULL);
    h->waited = gllm_job_wait(h->job, LONG);
    return true;
}
static void test_callback(void **state) {
    (void)state;
    struct holder h = {.client = open_client(EMBEDDER, GLLM_LOAD_NOW)};
    gllm_embed_request r = many_texts(&h);
    r.progress = ask_on_worker;
    gllm_embeddings_free(client_embed(h.client, &r));
    assert_int_equal(h.asked, GLLM_INVALID);
    assert_int_equal(h.taken, GLLM_OK);
    assert_int_equal(h.waited, GLLM_INVALID);
    await(h.job);
    gllm_embeddings_free(take(h.job));
    gllm_job_free(h.job);
    gllm_client_close(h.client);
}

/* ---- closing ---- */

static void test_close(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    gllm_options o = options(GENERATOR);
    struct holder h;
    struct ending told = {0};
    pthread_t closer;
    o.load = GLLM_LOAD_LAZY, o.name = "lazy";
    assert_int_equal(gllm_client_add_model(c, &o, NULL), GLLM_OK);
    start(&h, c, NULL);
    gllm_embed_request r = embed_request(&h.texts);
    gllm_submit how = how_to(keep_handle, &told);
    how.notify = true;
    let_go(&h);
    await(h.job);
    gllm_job *ended = embed_job(c, &r, &how);
    await(ended);
    struct holder running;
    start(&running, c, NULL);
    gllm_job *waiting = embed_job(c, &r, &how), *freed = embed_job(c, &r, &how);
    gllm_generate_request g = generate_request(&h.texts, 0);
    gllm_job *behind_load;
    g.model = "lazy";
    assert_int_equal(gllm_generate_async(c, &g, &how, &behind_load, NULL), GLLM_OK); /* loaded or not: it ends */
    gllm_job_free(freed);
    assert_int_equal(pthread_create(&closer, NULL, client_close_thread, c), 0);
    usleep(50000);
    gllm_job *late;
    assert_int_equal(gllm_embed_async(c, &r, NULL, &late, NULL), GLLM_CLOSED);
    let_go(&running);
    pthread_join(closer, NULL);
    assert_int_equal(atomic_load(&told.calls), 4);
    assert_int_equal(gllm_job_wait(waiting, 0), GLLM_OK); /* handles are good after the client */
    assert_ended_with(waiting, GLLM_CLOSED);
    assert_int_equal(gllm_job_wait(running.job, -1), GLLM_OK);
    gllm_embeddings *whole = take(running.job), *kept = take(ended);
    assert_int_equal(whole->count, 40); /* it was running */
    assert_int_equal(gllm_job_wait(behind_load, -1), GLLM_OK);
    gllm_job_cancel(running.job);
    gllm_embeddings_free(whole);
    gllm_embeddings_free(kept);
    gllm_job_free(h.job), gllm_job_free(ended), gllm_job_free(running.job), gllm_job_free(waiting), gllm_job_free(behind_load);
}

/* ---- the descriptor ---- */

static int readable(int fd, int timeout) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout) == 1 && p.revents & POLLIN;
}

static void test_fd(void **state) {
    (void)state;
    enum { JOBS = 12 };
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct texts t;
    int fd, same, n = 0, seen[JOBS] = {0}, ids[JOBS];
    fill(&t);
    gllm_embed_request r = embed_request(&t);
    gllm_submit how = how_to(NULL, NULL);
    how.notify = true;
    gllm_job *early = embed_job(c, &r, &how); /* before anybody asked for the descriptor */
    await(early);
    assert_int_equal(gllm_client_fd(c, &fd, NULL), GLLM_OK);
    assert_int_equal(gllm_client_fd(c, &same, NULL), GLLM_OK);
    assert_int_equal(fd, same);
    assert_true(readable(fd, 0));
    gllm_job_free(early); /* a listed one goes off the list */
    assert_false(readable(fd, 0));
    assert_null(gllm_client_next_done(c));
    for (int i = 0; i < JOBS; i++) {
        ids[i] = i;
        how.user = &ids[i];
        embed_job(c, &r, &how);
    }
    while (n < JOBS && readable(fd, LONG)) {
        for (gllm_job *j; (j = gllm_client_next_done(c)); n++) {
            seen[*(int *)gllm_job_user(j)]++;
            gllm_embeddings_free(take(j));
            gllm_job_free(j);
        }
    }
    assert_int_equal(n, JOBS);
    for (int i = 0; i < JOBS; i++) assert_int_equal(seen[i], 1);
    assert_false(readable(fd, 0));
    gllm_client_close(c);
}

/* ---- many threads ---- */

enum { THREADS = 64, ROUNDS = 4 };
struct thread {
    gllm_client *client;
    const gllm_embeddings *expected;
    unsigned index;
    char wrong[600];
};
static void *submit_many(void *arg) {
    struct thread *t = arg;
    struct texts texts;
    gllm_job *jobs[ROUNDS];
    gllm_error err = {0};
    for (int i = 0; i < ROUNDS; i++) {
        fill(&texts);
        gllm_embed_request r = embed_request(&texts);
        gllm_submit how = how_to(NULL, NULL);
        how.caller = t->index % 7;
        if (gllm_embed_async(t->client, &r, &how, &jobs[i], &err) != GLLM_OK) snprintf(t->wrong, sizeof t->wrong, "%s", err.message);
        spoil(&texts);
        if ((t->index + (unsigned)i) % 5 == 0) gllm_job_cancel(jobs[i]);
    }
    for (int i = 0; i < ROUNDS; i++) {
        gllm_embeddings *e = NULL;
        const bool canceled = (t->index + (unsigned)i) % 5 == 0;
        if (gllm_job_wait(jobs[i], LONG) != GLLM_OK) snprintf(t->wrong, sizeof t->wrong, "job %d does not end", i);
        const gllm_status status = gllm_job_take_embeddings(jobs[i], &e, &err);
        if (status != GLLM_OK && !(canceled && status == GLLM_CANCELED)) snprintf(t->wrong, sizeof t->wrong, "job %d: %s", i, err.message);
        if (e && memcmp(e->data, t->expected->data, e->count * e->dim * sizeof *e->data)) snprintf(t->wrong, sizeof t->wrong, "job %d has other bits", i);
        gllm_embeddings_free(e);
        gllm_job_free(jobs[i]);
    }
    return NULL;
}
static void test_threads(void **state) {
    (void)state;
    gllm_client *c = open_client(EMBEDDER, GLLM_LOAD_LAZY);
    gllm_client *other = open_client(EMBEDDER, GLLM_LOAD_NOW);
    struct texts texts;
    struct thread t[THREADS];
    pthread_t id[THREADS];
    fill(&texts);
    gllm_embed_request r = embed_request(&texts);
    gllm_embeddings *expected = client_embed(other, &r);
    for (unsigned i = 0; i < THREADS; i++) {
        t[i] = (struct thread){.client = c, .expected = expected, .index = i};
        assert_int_equal(pthread_create(&id[i], NULL, submit_many, &t[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(id[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        if (*t[i].wrong) fail_msg("thread %u: %s", i, t[i].wrong);
    gllm_embeddings_free(expected);
    gllm_client_close(c);
    gllm_client_close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_wrong_requests), cmocka_unit_test(test_cancel), cmocka_unit_test(test_cancel_answer),
                                       cmocka_unit_test(test_timeout), cmocka_unit_test(test_busy), cmocka_unit_test(test_done), cmocka_unit_test(test_free_running),
                                       cmocka_unit_test(test_callback), cmocka_unit_test(test_close), cmocka_unit_test(test_fd), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
