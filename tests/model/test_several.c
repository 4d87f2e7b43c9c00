/* test_several.c - several models in one client: which one a request gets, when each is loaded, shared, unloaded or evicted, and what becomes of requests whose model goes or cannot be
 * loaded. Runs on the tiny models of tests/golden. */
#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BERT "tests/golden/models/bert-mean"
#define MPNET "tests/golden/models/mpnet-mean"
#define BARE "tests/golden/models/layout-bare" /* a load of it is told: its files name no pooling */
#define GENERATOR "tests/golden/decoders/qwen3"
#define TEXT "the whale and the sea"
enum { LONG = 120000 };

struct log_lines {
    pthread_mutex_t lock;
    char text[16384];
};
static void keep_line(void *user, gllm_log_level level, const char *line) {
    struct log_lines *l = user;
    (void)level;
    pthread_mutex_lock(&l->lock);
    const size_t at = strlen(l->text);
    snprintf(l->text + at, sizeof l->text - at, "%s\n", line);
    pthread_mutex_unlock(&l->lock);
}
static unsigned count_lines(struct log_lines *l, const char *what) {
    unsigned n = 0;
    pthread_mutex_lock(&l->lock);
    for (const char *at = l->text; (at = strstr(at, what)); at++) n++;
    pthread_mutex_unlock(&l->lock);
    return n;
}

static gllm_options named(const char *model, const char *name, gllm_load load) {
    gllm_options o;
    gllm_options_init(&o);
    o.model = model, o.name = name, o.load = load, o.threads = 1;
    return o;
}
static void add(gllm_client *c, const gllm_options *o) {
    gllm_error err = {0};
    if (gllm_client_add_model(c, o, &err) != GLLM_OK) fail_msg("%s", err.message);
}

static gllm_status embed(gllm_client *c, const char *model, gllm_embeddings **out, gllm_error *err) {
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    r.model = model;
    return gllm_embed(c, &r, out, err);
}
static gllm_embeddings *must_embed(gllm_client *c, const char *model) {
    gllm_error err = {0};
    gllm_embeddings *e;
    if (embed(c, model, &e, &err) != GLLM_OK) fail_msg("%s: %s", model, err.message);
    return e;
}
static void ask(gllm_client *c, const char *model) { gllm_embeddings_free(must_embed(c, model)); }

/* One vector that a client of its own gives. */
static gllm_embeddings *alone(const char *model) {
    gllm_options o = named(model, NULL, GLLM_LOAD_NOW);
    gllm_client *c = client_open(&o);
    gllm_embeddings *e = must_embed(c, NULL);
    gllm_client_close(c);
    return e;
}

static gllm_model_status status_of(gllm_client *c, const char *name, char failure[508]) { /* its texts are gone; failure may be NULL */
    gllm_client_status *s;
    gllm_model_status found = {0};
    assert_int_equal(gllm_client_get_status(c, &s, NULL), GLLM_OK);
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->models[i].name, name)) continue;
        found = s->models[i];
        if (failure) snprintf(failure, 508, "%s", found.failure);
    }
    assert_non_null(found.name);
    gllm_client_status_free(s);
    return found;
}
static void assert_state(gllm_client *c, const char *name, gllm_model_state expected) {
    const gllm_model_state found = status_of(c, name, NULL).state;
    if (found != expected) fail_msg("%s: state %d, expected %d", name, (int)found, (int)expected);
}

static size_t count_models(gllm_client *c) {
    gllm_client_status *s;
    assert_int_equal(gllm_client_get_status(c, &s, NULL), GLLM_OK);
    const size_t n = s->count;
    gllm_client_status_free(s);
    return n;
}

/* ---- choosing ---- */

static void test_names(void **state) {
    (void)state;
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    gllm_client *c = client_open(&o);
    gllm_embeddings *e, *small = alone(BERT), *other = alone(MPNET);
    gllm_client_status *s;
    gllm_error err = {0};
    o = named(MPNET, NULL, GLLM_LOAD_LAZY);
    add(c, &o);
    assert_int_equal(gllm_client_add_model(c, &o, &err), GLLM_INVALID);
    assert_string_equal(err.message, "model \"" MPNET "\" is open here already");
    assert_int_equal(gllm_client_get_status(c, &s, NULL), GLLM_OK);
    assert_int_equal(s->count, 2);
    assert_string_equal(s->models[0].name, "small");
    assert_string_equal(s->models[0].task, "embed");
    assert_string_equal(s->models[1].name, MPNET);
    assert_string_equal(s->models[1].task, "embed"); /* its files were read */
    assert_int_equal(s->models[0].state, GLLM_MODEL_READY);
    assert_int_equal(s->models[1].state, GLLM_MODEL_UNLOADED);
    gllm_client_status_free(s);
    for (int i = 0; i < 3; i++) { /* NULL is the first */
        e = must_embed(c, i == 0 ? NULL : i == 1 ? "small" : MPNET);
        assert_string_equal(e->model, i < 2 ? "small" : MPNET);
        assert_memory_equal(e->data, (i < 2 ? small : other)->data, e->dim * sizeof *e->data);
        gllm_embeddings_free(e);
    }
    assert_state(c, MPNET, GLLM_MODEL_READY);
    assert_int_equal(embed(c, BERT, &e, &err), GLLM_NOT_FOUND);
    assert_string_equal(err.message, "model \"" BERT "\" is not open here; \"small\", \"" MPNET "\" are");
    assert_int_equal(gllm_client_remove_model(c, "small", NULL), GLLM_OK);
    e = must_embed(c, NULL); /* the next is the first now */
    assert_string_equal(e->model, MPNET);
    gllm_embeddings_free(e);
    assert_int_equal(gllm_client_remove_model(c, NULL, NULL), GLLM_OK);
    assert_int_equal(embed(c, NULL, &e, &err), GLLM_NOT_FOUND);
    assert_string_equal(err.message, "the client has no model");
    gllm_embeddings_free(small);
    gllm_embeddings_free(other);
    gllm_client_close(c);
}

/* A model that cannot be opened leaves the client as it was. */
static void test_bad_model(void **state) {
    (void)state;
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    gllm_client *c = client_open(&o);
    gllm_error err = {0};
    for (gllm_load load = GLLM_LOAD_NOW; load <= GLLM_LOAD_LAZY; load++) {
        o = named("tests/golden/nothing-here", "bad", load);
        assert_int_equal(gllm_client_add_model(c, &o, &err), GLLM_NOT_FOUND);
        o = named("tests/golden/chat", "bad", load); /* a directory without a model */
        assert_int_not_equal(gllm_client_add_model(c, &o, &err), GLLM_OK);
    }
    o = named(GENERATOR, "bad", GLLM_LOAD_NOW);
    o.kv_cache = GLLM_KV_CACHE_Q8_0; /* heads of another width: known when it is loaded */
    assert_int_equal(gllm_client_add_model(c, &o, &err), GLLM_UNSUPPORTED);
    assert_int_equal(count_models(c), 1);
    ask(c, "small");
    gllm_client_close(c);
}

/* ---- loading ---- */

enum { THREADS = 12 };
struct asker {
    gllm_client *client;
    const gllm_embeddings *expected;
    bool job;
    char wrong[600];
};
static void *first_ask(void *arg) {
    struct asker *a = arg;
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *e = NULL;
    gllm_error err = {0};
    gllm_job *j = NULL;
    r.model = "bare";
    gllm_status status = a->job ? gllm_embed_async(a->client, &r, NULL, &j, &err) : gllm_embed(a->client, &r, &e, &err);
    if (a->job && status == GLLM_OK) {
        gllm_job_wait(j, LONG);
        status = gllm_job_take_embeddings(j, &e, &err);
    }
    if (status != GLLM_OK) snprintf(a->wrong, sizeof a->wrong, "%s", err.message);
    else if (memcmp(e->data, a->expected->data, e->dim * sizeof *e->data)) snprintf(a->wrong, sizeof a->wrong, "other bits");
    gllm_embeddings_free(e);
    gllm_job_free(j);
    return NULL;
}
static void test_one_load(void **state) {
    (void)state;
    struct log_lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    gllm_client *c = client_open(&o);
    gllm_embeddings *expected = alone(BARE);
    struct asker a[THREADS];
    pthread_t id[THREADS];
    o = named(BARE, "bare", GLLM_LOAD_LAZY);
    o.log = keep_line, o.log_user = &lines;
    add(c, &o);
    assert_int_equal(count_lines(&lines, "mean pooling is assumed"), 0);
    for (int i = 0; i < THREADS; i++) {
        a[i] = (struct asker){.client = c, .expected = expected, .job = i % 2};
        assert_int_equal(pthread_create(&id[i], NULL, first_ask, &a[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(id[i], NULL);
    for (int i = 0; i < THREADS; i++) assert_string_equal(a[i].wrong, "");
    assert_int_equal(count_lines(&lines, "mean pooling is assumed"), 1);
    assert_int_equal(gllm_client_unload(c, "bare", NULL), GLLM_OK);
    assert_state(c, "bare", GLLM_MODEL_UNLOADED);
    assert_int_equal(count_lines(&lines, "bare is unloaded, "), 1);
    gllm_client_info info = {.struct_size = sizeof info};
    assert_int_equal(gllm_client_describe(c, "bare", &info, NULL), GLLM_OK); /* what asks for the model loads it */
    assert_string_equal(info.model, "bare");
    assert_state(c, "bare", GLLM_MODEL_READY);
    assert_int_equal(count_lines(&lines, "mean pooling is assumed"), 2);
    gllm_embeddings_free(expected);
    gllm_client_close(c);
}

static void copy_file(const char *from, const char *to, size_t most) {
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char block[4096];
    size_t n, total = 0;
    assert_non_null(in);
    assert_non_null(out);
    while (total < most && (n = fread(block, 1, most - total < sizeof block ? most - total : sizeof block, in))) total += fwrite(block, 1, n, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}
struct model_copy {
    char dir[64], weights[128];
};
static void copy_model(struct model_copy *m) {
    static const char *const FILES[] = {"config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json", "model.safetensors"};
    char from[256], to[256];
    strcpy(m->dir, "/tmp/gllm-several-XXXXXX");
    assert_non_null(mkdtemp(m->dir));
    snprintf(m->weights, sizeof m->weights, "%s/model.safetensors", m->dir);
    snprintf(to, sizeof to, "mkdir -p %s/1_Pooling", m->dir);
    assert_int_equal(system(to), 0);
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        snprintf(from, sizeof from, "%s/%s", BERT, FILES[i]);
        snprintf(to, sizeof to, "%s/%s", m->dir, FILES[i]);
        if (access(from, R_OK) == 0) copy_file(from, to, SIZE_MAX);
    }
}
static void remove_copy(const struct model_copy *m) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", m->dir);
    assert_int_equal(system(command), 0);
}

static void test_repaired(void **state) {
    (void)state;
    struct model_copy m;
    char failure[508];
    gllm_error err = {0}, again = {0};
    gllm_embeddings *e, *expected = alone(BERT);
    const gllm_str text = {TEXT, GLLM_NTS};
    copy_model(&m);
    gllm_options o = named(m.dir, "copy", GLLM_LOAD_LAZY);
    gllm_client *c = client_open(&o);
    copy_file(BERT "/model.safetensors", m.weights, 1000); /* after it was looked at */
    assert_int_equal(embed(c, "copy", &e, &err), GLLM_FORMAT);
    assert_int_equal(status_of(c, "copy", failure).state, GLLM_MODEL_FAILED);
    assert_string_equal(failure, err.message);
    copy_file(BERT "/model.safetensors", m.weights, SIZE_MAX);
    assert_int_equal(embed(c, "copy", &e, &again), GLLM_FORMAT); /* not read again at once */
    assert_string_equal(again.message, err.message);
    gllm_embed_request r = client_request(&text);
    gllm_job *j;
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, &again), GLLM_FORMAT);
    sleep(4);
    e = must_embed(c, "copy"); /* but some seconds later */
    assert_memory_equal(e->data, expected->data, e->dim * sizeof *e->data);
    gllm_embeddings_free(e);
    assert_int_equal(status_of(c, "copy", failure).state, GLLM_MODEL_READY);
    assert_string_equal(failure, "");

    assert_int_equal(gllm_client_unload(c, "copy", NULL), GLLM_OK);
    copy_file(BERT "/model.safetensors", m.weights, 1000);
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, NULL), GLLM_OK); /* a job that waits for a load that fails */
    assert_int_equal(gllm_job_wait(j, LONG), GLLM_OK);
    assert_int_equal(gllm_job_take_embeddings(j, &e, &again), GLLM_FORMAT);
    assert_string_equal(again.message, err.message);
    gllm_job_free(j);
    copy_file(BERT "/model.safetensors", m.weights, SIZE_MAX);
    assert_int_equal(gllm_client_load(c, "copy", NULL), GLLM_OK); /* who asks for a load gets one */
    ask(c, "copy");
    gllm_embeddings_free(expected);
    gllm_client_close(c);
    remove_copy(&m);
}

/* ---- unloading ---- */

static uint64_t planned_bytes(const char *model) {
    gllm_model_info *i;
    gllm_options o = named(model, NULL, GLLM_LOAD_NOW);
    gllm_error err = {0};
    gllm_machine *machine;
    uint64_t bytes = 0;
    assert_int_equal(gllm_machine_describe(&machine, &err), GLLM_OK);
    const char *chosen = getenv("GLLM_BACKEND") ? getenv("GLLM_BACKEND") : machine->chosen;
    assert_int_equal(gllm_inspect(&i, &o, 0, 0, &err), GLLM_OK);
    for (size_t k = 0; k < i->n_plans; k++)
        if (!strcmp(i->plans[k].backend, chosen)) bytes = i->plans[k].total_bytes;
    gllm_model_info_free(i);
    gllm_machine_free(machine);
    assert_true(bytes > 0);
    return bytes;
}

static void test_budget(void **state) {
    (void)state;
    struct log_lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const uint64_t one = planned_bytes(BERT);
    gllm_options o = named(BERT, "a", GLLM_LOAD_LAZY);
    gllm_error err = {0};
    gllm_embeddings *e;
    o.log = keep_line, o.log_user = &lines;
    o.memory_budget = one * 5 / 2; /* two of them fit */
    gllm_client *c = client_open(&o);
    static const char *const NAMES[] = {"b", "c"};
    for (int i = 0; i < 2; i++) {
        o.name = NAMES[i];
        add(c, &o);
    }
    ask(c, "a"), ask(c, "b"), ask(c, "a");
    assert_int_equal(count_lines(&lines, "is unloaded"), 0);
    ask(c, "c"); /* b was unused for longest */
    assert_state(c, "a", GLLM_MODEL_READY);
    assert_state(c, "b", GLLM_MODEL_UNLOADED);
    assert_state(c, "c", GLLM_MODEL_READY);
    assert_int_equal(count_lines(&lines, "is unloaded, "), 1);
    assert_int_equal(count_lines(&lines, "b is unloaded, "), 1);
    ask(c, "b"); /* and now a */
    assert_state(c, "a", GLLM_MODEL_UNLOADED);
    assert_int_equal(count_lines(&lines, "a is unloaded, "), 1);
    gllm_client_status *s;
    assert_int_equal(gllm_client_get_status(c, &s, NULL), GLLM_OK);
    assert_true(s->memory_budget == one * 5 / 2);
    gllm_client_status_free(s);
    assert_int_equal(gllm_client_remove_model(c, "c", NULL), GLLM_OK);
    o.name = "pinned", o.pinned = true, o.load = GLLM_LOAD_NOW;
    add(c, &o);
    assert_state(c, "b", GLLM_MODEL_READY);
    o.name = "too much";
    assert_int_equal(gllm_client_unload(c, "b", NULL), GLLM_OK);
    o.name = "also pinned";
    add(c, &o);
    assert_int_equal(embed(c, "b", &e, &err), GLLM_NOMEM); /* no pinned one goes */
    if (!strstr(err.message, "memory_budget is ") || !strstr(err.message, "pinned (") || !strstr(err.message, "also pinned (")) fail_msg("found \"%s\"", err.message);
    assert_int_equal(gllm_client_remove_model(c, "pinned", NULL), GLLM_OK);
    ask(c, "b"); /* at once: there is room */
    gllm_client_close(c);
}

static void test_idle(void **state) {
    (void)state;
    gllm_options o = named(BERT, "goes", GLLM_LOAD_NOW);
    o.idle_seconds = 1;
    gllm_client *c = client_open(&o);
    o.name = "stays", o.pinned = true;
    add(c, &o);
    ask(c, "goes");
    assert_state(c, "goes", GLLM_MODEL_READY);
    for (int i = 0; i < 6; i++) { /* asked again and again it stays */
        usleep(300000);
        ask(c, "goes");
    }
    const gllm_model_status before = status_of(c, "goes", NULL);
    assert_int_equal(before.state, GLLM_MODEL_READY);
    for (int i = 0; i < 100 && status_of(c, "goes", NULL).state == GLLM_MODEL_READY; i++) usleep(100000);
    assert_state(c, "goes", GLLM_MODEL_UNLOADED);
    assert_state(c, "stays", GLLM_MODEL_READY);
    ask(c, "goes");
    const gllm_model_status after = status_of(c, "goes", NULL);
    assert_int_equal(after.state, GLLM_MODEL_READY);
    assert_true(after.batches > before.batches); /* counted since the client opened */
    gllm_client_close(c);
}

/* ---- removing a model in use ---- */

struct holder {
    gllm_client *client;
    atomic_bool inside, let_go;
    gllm_status other, unloaded, removed;
};
static bool hold(void *user, size_t done, size_t total) {
    struct holder *h = user;
    (void)done, (void)total;
    atomic_store(&h->inside, true);
    while (!atomic_load(&h->let_go)) usleep(500);
    return true;
}
static gllm_job *hold_model(struct holder *h, const char *model) {
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    gllm_job *j;
    r.model = model, r.progress = hold, r.progress_user = h;
    assert_int_equal(gllm_embed_async(h->client, &r, NULL, &j, NULL), GLLM_OK);
    while (!atomic_load(&h->inside)) usleep(500);
    return j;
}
static gllm_job *wait_for_model(gllm_client *c, const char *model) {
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    gllm_job *j;
    r.model = model;
    assert_int_equal(gllm_embed_async(c, &r, NULL, &j, NULL), GLLM_OK);
    return j;
}

struct remover {
    gllm_client *client;
    gllm_status status;
};
static void *remove_it(void *arg) {
    struct remover *r = arg;
    r->status = gllm_client_remove_model(r->client, "small", NULL);
    return NULL;
}

static void test_remove(void **state) {
    (void)state;
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    struct holder h = {.client = client_open(&o)};
    struct remover r = {.client = h.client};
    pthread_t id;
    gllm_embeddings *e;
    gllm_error err = {0};
    o = named(MPNET, "other", GLLM_LOAD_NOW);
    add(h.client, &o);
    gllm_job *running = hold_model(&h, "small"), *waiting = wait_for_model(h.client, "small");
    assert_int_equal(gllm_client_unload(h.client, "small", &err), GLLM_BUSY);
    assert_string_equal(err.message, "model \"small\" has 2 requests");
    assert_int_equal(pthread_create(&id, NULL, remove_it, &r), 0);
    while (count_models(h.client) == 2) usleep(500);
    assert_int_equal(embed(h.client, "small", &e, &err), GLLM_NOT_FOUND);
    assert_string_equal(err.message, "model \"small\" is not open here; \"other\" is");
    ask(h.client, "other"); /* goes on meanwhile */
    assert_int_equal(gllm_job_wait(running, 20), GLLM_TIMEOUT);
    atomic_store(&h.let_go, true);
    pthread_join(id, NULL);
    assert_int_equal(r.status, GLLM_OK);
    assert_int_equal(gllm_job_wait(running, LONG), GLLM_OK);
    assert_int_equal(gllm_job_take_embeddings(running, &e, NULL), GLLM_OK); /* it was running: whole */
    gllm_embeddings_free(e);
    assert_int_equal(gllm_job_wait(waiting, LONG), GLLM_OK);
    assert_int_equal(gllm_job_take_embeddings(waiting, &e, &err), GLLM_CLOSED);
    assert_string_equal(err.message, "model \"small\" was taken out of the client");
    gllm_job_free(running);
    gllm_job_free(waiting);
    o = named(BERT, "small", GLLM_LOAD_LAZY); /* the name is free again */
    add(h.client, &o);
    ask(h.client, "small");
    gllm_client_close(h.client);
}

/* A client that closes ends what waits for any of its models, whatever another one is busy with. */
static void test_close(void **state) {
    (void)state;
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    struct holder h = {.client = client_open(&o)}, k = {.client = h.client};
    pthread_t closer;
    gllm_embeddings *e;
    gllm_error err = {0};
    o = named(MPNET, "other", GLLM_LOAD_NOW);
    add(h.client, &o);
    gllm_job *first = hold_model(&h, "small"), *second = hold_model(&k, "other"), *waiting = wait_for_model(h.client, "other");
    assert_int_equal(pthread_create(&closer, NULL, client_close_thread, h.client), 0);
    while (embed(h.client, "unknown", &e, &err) != GLLM_CLOSED) usleep(500);
    atomic_store(&k.let_go, true);
    assert_int_equal(gllm_job_wait(second, LONG), GLLM_OK);
    assert_int_equal(gllm_job_wait(waiting, LONG), GLLM_OK);
    assert_int_equal(gllm_job_wait(first, 0), GLLM_TIMEOUT);
    assert_int_equal(gllm_job_take_embeddings(waiting, &e, &err), GLLM_CLOSED);
    assert_string_equal(err.message, "the client is closing");
    atomic_store(&h.let_go, true);
    pthread_join(closer, NULL);
    assert_int_equal(gllm_job_take_embeddings(first, &e, NULL), GLLM_OK);
    gllm_embeddings_free(e);
    gllm_job_free(first), gllm_job_free(second), gllm_job_free(waiting);
}

/* On a worker no model of the client may be waited for. */
static bool ask_other(void *user, size_t done, size_t total) {
    struct holder *h = user;
    gllm_embeddings *e;
    (void)done, (void)total;
    h->other = embed(h->client, "other", &e, NULL);
    h->removed = gllm_client_remove_model(h->client, "other", NULL);
    h->unloaded = gllm_client_unload(h->client, "small", NULL);
    return true;
}
static void test_callback(void **state) {
    (void)state;
    gllm_options o = named(BERT, "small", GLLM_LOAD_NOW);
    struct holder h = {.client = client_open(&o)};
    const gllm_str text = {TEXT, GLLM_NTS};
    o = named(MPNET, "other", GLLM_LOAD_NOW);
    add(h.client, &o);
    gllm_embed_request r = client_request(&text);
    r.progress = ask_other, r.progress_user = &h;
    gllm_embeddings_free(client_embed(h.client, &r));
    assert_int_equal(h.other, GLLM_INVALID);
    assert_int_equal(h.removed, GLLM_INVALID);
    assert_int_equal(h.unloaded, GLLM_BUSY);
    gllm_client_close(h.client);
}

/* Models come and go under threads that ask for them: every answer is right, or says why there is none. */
struct churn {
    gllm_client *client;
    const gllm_embeddings *expected;
    unsigned index;
    char wrong[600];
};
static void *churn(void *arg) {
    struct churn *k = arg;
    gllm_error err = {0};
    for (unsigned i = 0; i < 12 && !*k->wrong; i++) {
        const char *const name = i % 2 ? "x" : "y";
        gllm_embeddings *e = NULL;
        if (k->index == 0) gllm_client_unload(k->client, name, NULL);
        else if (k->index == 1 && i % 4 == 0) {
            gllm_options o = named(BERT, "y", GLLM_LOAD_LAZY);
            gllm_client_remove_model(k->client, "y", NULL);
            if (gllm_client_add_model(k->client, &o, &err) != GLLM_OK) snprintf(k->wrong, sizeof k->wrong, "%s", err.message);
        }
        const gllm_status status = embed(k->client, name, &e, &err);
        if (status != GLLM_OK && status != GLLM_NOT_FOUND && status != GLLM_CLOSED) snprintf(k->wrong, sizeof k->wrong, "%s", err.message);
        if (e && memcmp(e->data, k->expected->data, e->dim * sizeof *e->data)) snprintf(k->wrong, sizeof k->wrong, "other bits");
        gllm_embeddings_free(e);
    }
    return NULL;
}
static void test_churn(void **state) {
    (void)state;
    gllm_options o = named(BERT, "x", GLLM_LOAD_LAZY);
    o.memory_budget = planned_bytes(BERT) * 3; /* both fit beside one that is going */
    gllm_client *c = client_open(&o);
    gllm_embeddings *expected = alone(BERT);
    struct churn k[8];
    pthread_t id[8];
    o = named(BERT, "y", GLLM_LOAD_LAZY);
    add(c, &o);
    for (unsigned i = 0; i < 8; i++) {
        k[i] = (struct churn){.client = c, .expected = expected, .index = i};
        assert_int_equal(pthread_create(&id[i], NULL, churn, &k[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) pthread_join(id[i], NULL);
    for (unsigned i = 0; i < 8; i++) assert_string_equal(k[i].wrong, "");
    gllm_embeddings_free(expected);
    gllm_client_close(c);
}

/* A load begins the moment after the last one was over, whatever became of its model. */
static void test_at_once(void **state) {
    (void)state;
    const uint64_t one = planned_bytes(BERT);
    gllm_options o = named(BERT, "x", GLLM_LOAD_LAZY);
    o.memory_budget = one * 3 / 2;
    gllm_client *c = client_open(&o);
    gllm_embeddings *e;
    gllm_error err = {0};
    for (int i = 0; i < 20; i++) {
        gllm_options p = named(BERT, "pinned", GLLM_LOAD_NOW);
        gllm_job *j = wait_for_model(c, "x");
        assert_int_equal(gllm_job_wait(j, LONG), GLLM_OK);
        assert_int_equal(gllm_job_take_embeddings(j, &e, NULL), GLLM_OK);
        gllm_embeddings_free(e);
        gllm_job_free(j);
        assert_int_equal(gllm_client_unload(c, "x", NULL), GLLM_OK);
        if (i % 2) continue;
        p.pinned = true;
        add(c, &p);
        j = wait_for_model(c, "x");
        assert_int_equal(gllm_job_wait(j, LONG), GLLM_OK);
        assert_int_equal(gllm_job_take_embeddings(j, &e, &err), GLLM_NOMEM);
        gllm_job_free(j);
        assert_int_equal(gllm_client_remove_model(c, "pinned", NULL), GLLM_OK);
        if (i % 4) ask(c, "x");
    }
    gllm_client_close(c);
}

/* Nor is a load waited for where it ended: the thread that tells of it would have to do it. */
static void tokenize_at_end(void *user, gllm_job *job) {
    struct holder *h = user;
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_tokenize_request_init(&r);
    r.text = (gllm_str){TEXT, GLLM_NTS};
    (void)job;
    h->other = gllm_tokenize(h->client, &r, &t, NULL);
    gllm_tokens_free(t);
}
static void test_end_of_load(void **state) {
    (void)state;
    gllm_options o = named(BERT, "x", GLLM_LOAD_LAZY);
    o.memory_budget = 1000;
    struct holder h = {.client = client_open(&o)};
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *e;
    gllm_submit how;
    gllm_job *j;
    gllm_submit_init(&how);
    how.on_done = tokenize_at_end, how.user = &h;
    assert_int_equal(gllm_embed_async(h.client, &r, &how, &j, NULL), GLLM_OK);
    assert_int_equal(gllm_job_wait(j, LONG), GLLM_OK);
    assert_int_equal(gllm_job_take_embeddings(j, &e, NULL), GLLM_NOMEM);
    assert_int_equal(h.other, GLLM_INVALID);
    gllm_job_free(j);
    gllm_client_close(h.client);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_bad_model), cmocka_unit_test(test_one_load), cmocka_unit_test(test_repaired),
                                       cmocka_unit_test(test_budget), cmocka_unit_test(test_idle), cmocka_unit_test(test_remove), cmocka_unit_test(test_close), cmocka_unit_test(test_callback), cmocka_unit_test(test_churn), cmocka_unit_test(test_at_once),
                                       cmocka_unit_test(test_end_of_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
