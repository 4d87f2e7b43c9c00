/* test_engine.c - the scheduler: what runs beside what, in which order, and that no value depends on it. Cancelled, late and unlucky tasks; a cache and a memory that are
 * too small; several workers. On the tiny models of tests/golden, on backends ref and cpu. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/classify.h"
#include "model/engine_wait.h"

#define EMBEDDER "tests/golden/models/bert-mean"
#define GENERATOR "tests/golden/decoders/qwen3"
enum { DIM = 32, N_ANSWERS = 12, MAX_TOKENS = 90, N_TEXTS = 6 };

static const char *const TEXTS[N_TEXTS] = {"Call me Ishmael.", "the whale", "a", "the sea and the stars and the sea and the stars and the sea and the stars", "whale whale whale", "It was the best of times"};

/* ---- an engine whose device can be made to fail ---- */

struct wrapped { /* one at a time */
    struct backend_ops ops;
    const struct backend_ops *real;
    uint64_t most_bytes;      /* larger buffers are refused; 0: none is */
    atomic_uint most_seq;     /* a run of more sequences fails; 0: none does */
    const uint32_t *step;     /* the step's first words, as last written */
    uint32_t header[STEP_HEADER_WORDS];
    atomic_uint slow_us;      /* before each run */
    atomic_uint runs;
} wrapped;

static gllm_status wrapped_alloc(struct backend *be, uint64_t bytes, enum buffer_kind kind, struct buffer **out, gllm_error *err) {
    if (wrapped.most_bytes && bytes > wrapped.most_bytes) return err_nomem(err, "a buffer of this test");
    return wrapped.real->alloc(be, bytes, kind, out, err);
}
static gllm_status wrapped_write(struct backend *be, struct buffer *b, uint64_t offset, const void *src, uint64_t n, gllm_error *err) {
    if (!offset && n >= sizeof wrapped.header) memcpy(wrapped.header, src, sizeof wrapped.header);
    return wrapped.real->write(be, b, offset, src, n, err);
}
static gllm_status wrapped_run(struct backend *be, struct plan *p, gllm_error *err) {
    const unsigned most = atomic_load(&wrapped.most_seq), slow = atomic_load(&wrapped.slow_us);
    atomic_fetch_add(&wrapped.runs, 1);
    if (slow) usleep(slow);
    if (most && wrapped.header[STEP_N_SEQ] > most) return err_set(err, GLLM_DEVICE, "a run of %u sequences, which this test refuses", wrapped.header[STEP_N_SEQ]);
    return wrapped.real->run(be, p, err);
}

struct lines { /* of the log */
    pthread_mutex_t lock;
    char text[8192];
};
static struct lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
static void note(void *user, gllm_log_level level, const char *line) {
    struct lines *l = user;
    (void)level;
    pthread_mutex_lock(&l->lock);
    const size_t at = strlen(l->text), n = strlen(line);
    if (at + n + 2 < sizeof l->text) memcpy(l->text + at, line, n), memcpy(l->text + at + n, "\n", 2);
    pthread_mutex_unlock(&l->lock);
}
static bool told(const char *what) {
    pthread_mutex_lock(&lines.lock);
    const bool found = strstr(lines.text, what);
    pthread_mutex_unlock(&lines.lock);
    return found;
}

static struct engine *open_engine(const char *path, const struct backend_ops *ops, struct engine_options o) {
    const struct log log = {note, &lines};
    const struct backend_options bo = {.threads = ops == &backend_ref ? 0 : 2, .precision = GLLM_PRECISION_F32};
    struct model_files files;
    struct backend *be;
    struct model *m;
    struct engine *e = NULL;
    gllm_error err = {0};
    *lines.text = '\0';
    memset(&wrapped, 0, sizeof wrapped);
    wrapped.real = ops;
    wrapped.ops = *ops;
    wrapped.ops.alloc = wrapped_alloc, wrapped.ops.write = wrapped_write, wrapped.ops.run = wrapped_run;
    if (!o.max_batch_tokens) o.max_batch_tokens = 64;
    if (!o.max_queue) o.max_queue = 1000;
    if (!o.n_ctx) o.n_ctx = 256;
    o.kv_dtype = DTYPE_F32;
    if (model_files_open(&files, path, &log, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_int_equal(ops->open(&be, &bo, &err), GLLM_OK);
    be->ops = &wrapped.ops;
    if (model_open(&m, &files, be, &log, &err) != GLLM_OK || engine_open(&e, m, be, &o, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

/* ---- tasks that note when they are done ---- */

struct watch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n; /* tasks that are done */
};
static struct watch watch = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void note_done(struct task *t) {
    pthread_mutex_lock(&watch.lock);
    *(unsigned *)t->user = ++watch.n;
    pthread_cond_signal(&watch.changed);
    pthread_mutex_unlock(&watch.lock);
}
static void wait_for(unsigned n) {
    pthread_mutex_lock(&watch.lock);
    while (watch.n < n) pthread_cond_wait(&watch.changed, &watch.lock);
    pthread_mutex_unlock(&watch.lock);
}

struct vectors { /* an embed call and what it fills */
    struct embed_call call;
    gllm_str *inputs;
    float *data;
    uint32_t *tokens, *full;
    unsigned place; /* in which it was done; 0: not yet */
};
static void vectors_init(struct vectors *v, size_t n, size_t first) {
    *v = (struct vectors){.inputs = calloc(n, sizeof *v->inputs), .data = calloc(n * DIM, sizeof *v->data), .tokens = calloc(n, sizeof *v->tokens), .full = calloc(n, sizeof *v->full)};
    for (size_t i = 0; i < n; i++) v->inputs[i] = (gllm_str){TEXTS[(first + i) % N_TEXTS], strlen(TEXTS[(first + i) % N_TEXTS])};
    v->call = (struct embed_call){.task = {.done = note_done, .user = &v->place}, .inputs = v->inputs, .n_inputs = n, .normalize = true, .outputs = OUTPUT_DENSE, .dim = DIM, .data = v->data,
                                  .tokens = v->tokens, .full_tokens = v->full};
}
static void vectors_free(struct vectors *v) {
    void *all[] = {v->inputs, v->data, v->tokens, v->full};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
static void submit_embed(struct engine *e, struct vectors *v) {
    gllm_error err = {0};
    if (engine_embed_submit(e, &v->call, &err) != GLLM_OK) fail_msg("%s", err.message);
}

struct answer_of {
    struct generate_call call;
    struct encoding prompt;
    unsigned place;
};
/* Answer i of the list: prompts of all lengths, greedy and drawn, some with log-probabilities, one with a grammar. */
static void answer_init(struct engine *e, struct answer_of *a, unsigned i) {
    static const char GRAMMAR[] = "root ::= [^z]+";
    const struct encode_options opt = {.add_special = true};
    char text[2000] = "";
    gllm_error err = {0};
    *a = (struct answer_of){0};
    for (unsigned k = 0; k <= i % 5 * 2; k++) strcat(strcat(text, TEXTS[(i + k) % N_TEXTS]), " ");
    assert_int_equal(tokenizer_encode(engine_model(e)->files.tokenizer, text, strlen(text), NULL, 0, &opt, &a->prompt, &err), GLLM_OK);
    a->call = (struct generate_call){.task = {.done = note_done, .user = &a->place, .caller = i % 3}, .prompt = a->prompt.ids, .n_prompt = a->prompt.count, .max_tokens = MAX_TOKENS - i % 4, .ignore_eos = true,
                                     .sampler = SAMPLER_DEFAULTS};
    a->call.sampler.temperature = i % 2 ? 1.5f : 0;
    a->call.sampler.seed = i;
    a->call.sampler.logprobs = true;
    a->call.sampler.repetition_penalty = i % 3 ? 1 : 1.1f;
    if (i == 7) a->call.constraint = (struct constraint_spec){CONSTRAINT_GBNF, GRAMMAR, sizeof GRAMMAR - 1};
}
static void answer_release(struct answer_of *a) {
    generate_call_free(&a->call);
    encoding_free(&a->prompt);
}
static void submit_answer(struct engine *e, struct answer_of *a) {
    gllm_error err = {0};
    if (engine_generate_submit(e, &a->call, &err) != GLLM_OK) fail_msg("%s", err.message);
}
static void same_answer(const struct answer_of *a, const struct answer_of *b) {
    if (a->call.task.status != GLLM_OK) fail_msg("%s", a->call.task.error.message);
    assert_int_equal(a->call.n_tokens, b->call.n_tokens);
    assert_memory_equal(a->call.tokens, b->call.tokens, a->call.n_tokens * sizeof *a->call.tokens);
    for (uint32_t i = 0; i < a->call.n_tokens; i++) assert_memory_equal(&a->call.sampled[i].logprob, &b->call.sampled[i].logprob, sizeof(float));
    assert_string_equal(a->call.text, b->call.text);
    assert_int_equal(a->call.finish, b->call.finish);
}

static void answers_alone(const struct backend_ops *ops, struct answer_of *out) {
    struct engine *e = open_engine(GENERATOR, ops, (struct engine_options){0});
    for (unsigned i = 0; i < N_ANSWERS; i++) {
        gllm_error err = {0};
        answer_init(e, &out[i], i);
        if (engine_generate(e, &out[i].call, &err) != GLLM_OK) fail_msg("%s", err.message);
        assert_true(out[i].call.n_tokens > 0);
    }
    engine_close(e);
}

static void answers_together(struct engine *e, struct answer_of *got) {
    watch.n = 0;
    for (unsigned i = 0; i < N_ANSWERS; i++) {
        answer_init(e, &got[i], i);
        submit_answer(e, &got[i]);
    }
    wait_for(N_ANSWERS);
}

/* ---- tests ---- */

static void check_company(const struct backend_ops *ops, struct engine_options o, bool crowded) {
    struct answer_of alone[N_ANSWERS], got[N_ANSWERS];
    struct engine_stats s;
    answers_alone(ops, alone);
    struct engine *e = open_engine(GENERATOR, ops, o);
    answers_together(e, got);
    for (unsigned i = 0; i < N_ANSWERS; i++) same_answer(&got[i], &alone[i]);
    assert_int_equal(told("is put back"), crowded);
    engine_stats(e, &s);
    assert_int_equal(s.waiting, 0);
    assert_true(s.batch_sequences > s.batches); /* they did run beside each other */
    engine_close(e);
    for (unsigned i = 0; i < N_ANSWERS; i++) answer_release(&alone[i]), answer_release(&got[i]);
}
static void test_answers(void **state) {
    (void)state;
    check_company(&backend_ref, (struct engine_options){.cache_tokens = 4096}, false);
    check_company(&backend_cpu, (struct engine_options){.cache_tokens = 4096}, false);
}
/* So few pages that answers wait for them, are put back and computed again. */
static void test_few_pages(void **state) {
    (void)state;
    check_company(&backend_ref, (struct engine_options){.n_ctx = 256, .cache_tokens = 256}, true);
    check_company(&backend_cpu, (struct engine_options){.n_ctx = 256, .cache_tokens = 256}, true);
}
static void test_workers(void **state) {
    (void)state;
    enum { CALLS = 20 };
    struct vectors alone[CALLS], got[CALLS];
    check_company(&backend_cpu, (struct engine_options){.cache_tokens = 4096, .workers = 3}, false);
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct engine *e = open_engine(EMBEDDER, &backend_cpu, (struct engine_options){.workers = workers});
        watch.n = 0;
        for (unsigned i = 0; i < CALLS; i++) {
            struct vectors *v = workers == 1 ? &alone[i] : &got[i];
            vectors_init(v, 1 + i % 7 * 5, i);
            v->call.task.caller = i % 4;
            submit_embed(e, v);
        }
        wait_for(CALLS);
        engine_close(e);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(got[i].call.task.status, GLLM_OK);
        assert_memory_equal(got[i].data, alone[i].data, (1 + i % 7 * 5) * DIM * sizeof(float));
        vectors_free(&alone[i]), vectors_free(&got[i]);
    }
}

/* One caller with many texts does not hold up another with one, and calls share forwards. */
static void test_turns(void **state) {
    (void)state;
    enum { MANY = 300, OTHERS = 8 };
    struct engine *e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){0});
    struct vectors many, one[OTHERS], alone;
    struct engine_stats before, after;
    gllm_error err = {0};
    vectors_init(&alone, N_TEXTS, 0);
    assert_int_equal(engine_embed(e, &alone.call, &err), GLLM_OK);
    watch.n = 0;
    atomic_store(&wrapped.slow_us, 2000);
    vectors_init(&many, MANY, 0);
    many.call.task.caller = 1;
    submit_embed(e, &many);
    while (engine_stats(e, &before), before.running == 0) usleep(500);
    for (unsigned i = 0; i < OTHERS; i++) {
        vectors_init(&one[i], 1, i);
        one[i].call.task.caller = 2 + i;
        submit_embed(e, &one[i]);
    }
    wait_for(1 + OTHERS);
    engine_stats(e, &after);
    assert_int_equal(many.place, 1 + OTHERS);
    assert_true(after.batch_sequences - before.batch_sequences <= MANY + OTHERS);
    for (size_t i = 0; i < MANY; i++) assert_memory_equal(many.data + i * DIM, alone.data + i % N_TEXTS * DIM, DIM * sizeof(float));
    for (unsigned i = 0; i < OTHERS; i++) assert_memory_equal(one[i].data, alone.data + i % N_TEXTS * DIM, DIM * sizeof(float));
    for (unsigned i = 0; i < OTHERS; i++) vectors_free(&one[i]);
    vectors_free(&many), vectors_free(&alone);
    engine_close(e);
}

static void until(struct engine *e, uint32_t running, uint32_t waiting) {
    struct engine_stats s;
    while (engine_stats(e, &s), s.running != running || s.waiting != waiting) usleep(500);
}

/* Running and waiting tasks end within a step when they are canceled or late; the cache has its pages back. */
static void test_end_early(void **state) {
    (void)state;
    struct engine *e = open_engine(GENERATOR, &backend_ref, (struct engine_options){.n_ctx = 512});
    struct answer_of a[4];
    struct engine_stats s;
    watch.n = 0;
    atomic_store(&wrapped.slow_us, 3000);
    for (unsigned i = 0; i < 4; i++) {
        answer_init(e, &a[i], 0);
        a[i].call.max_tokens = 0;
        if (i == 1) a[i].call.task.deadline = clock_ms() + 60;
        if (i == 3) atomic_store(&a[i].call.task.canceled, true); /* before it was submitted */
        submit_answer(e, &a[i]);
    }
    wait_for(2);
    until(e, 2, 0);
    assert_int_equal(a[1].call.task.status, GLLM_TIMEOUT);
    assert_non_null(strstr(a[1].call.task.error.message, "timed out"));
    assert_null(a[1].call.tokens);
    assert_int_equal(a[3].call.task.status, GLLM_OK);
    assert_int_equal(a[3].call.finish, GLLM_FINISH_CANCELED);
    assert_int_equal(a[3].call.n_tokens, 0);
    assert_string_equal(a[3].call.text, "");
    const unsigned runs = atomic_load(&wrapped.runs);
    engine_cancel(e, &a[0].call.task);
    wait_for(3);
    assert_true(atomic_load(&wrapped.runs) - runs <= 2);
    assert_int_equal(a[0].call.task.status, GLLM_OK);
    assert_int_equal(a[0].call.finish, GLLM_FINISH_CANCELED);
    assert_true(a[0].call.n_tokens > 0 && strlen(a[0].call.text) == a[0].call.text_len);
    engine_cancel(e, &a[2].call.task);
    wait_for(4);
    until(e, 0, 0);
    do engine_stats(e, &s);
    while (s.cache_used);
    assert_int_equal(s.cache_tokens, 512);
    for (unsigned i = 0; i < 4; i++) answer_release(&a[i]);
    engine_close(e);
}

static void test_texts_end_early(void **state) {
    (void)state;
    struct engine *e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){0});
    struct vectors v[4];
    watch.n = 0;
    atomic_store(&wrapped.slow_us, 3000);
    for (unsigned i = 0; i < 4; i++) {
        vectors_init(&v[i], i < 2 ? 500 : 3, 0);
        if (i % 2) v[i].call.task.deadline = clock_ms() + 40;
        submit_embed(e, &v[i]);
    }
    until(e, 1, 3);
    engine_cancel(e, &v[2].call.task);
    wait_for(3);
    assert_int_equal(v[1].call.task.status, GLLM_TIMEOUT);
    assert_int_equal(v[2].call.task.status, GLLM_CANCELED);
    assert_string_equal(v[2].call.task.error.message, "canceled before it began");
    assert_int_equal(v[3].call.task.status, GLLM_TIMEOUT);
    engine_cancel(e, &v[0].call.task);
    wait_for(4);
    assert_int_equal(v[0].call.task.status, GLLM_CANCELED);
    assert_true(v[0].call.task.queue_ms < 1000);
    for (unsigned i = 0; i < 4; i++) vectors_free(&v[i]);
    engine_close(e);
}

/* The queue has an end; a closing engine finishes what runs and tells the others. */
static void test_close(void **state) {
    (void)state;
    struct engine *e = open_engine(GENERATOR, &backend_ref, (struct engine_options){.max_queue = 2, .n_ctx = 160, .cache_tokens = 160});
    struct answer_of a[4];
    gllm_error err = {0};
    watch.n = 0;
    atomic_store(&wrapped.slow_us, 5000);
    for (unsigned i = 0; i < 4; i++) {
        answer_init(e, &a[i], 4); /* so long that there is no room for two */
        if (i == 1) until(e, 1, 0);
        if (i < 3) submit_answer(e, &a[i]);
    }
    assert_int_equal(engine_generate_submit(e, &a[3].call, &err), GLLM_BUSY);
    assert_string_equal(err.message, "the queue is full: 2 jobs wait");
    engine_close(e);
    assert_int_equal(watch.n, 3);
    assert_int_equal(a[0].call.task.status, GLLM_OK);
    assert_int_equal(a[0].call.n_tokens, a[0].call.max_tokens);
    for (unsigned i = 1; i < 3; i++) assert_int_equal(a[i].call.task.status, GLLM_CLOSED);
    for (unsigned i = 0; i < 4; i++) answer_release(&a[i]);
}

/* Memory that does not suffice: smaller forwards, then a smaller cache, each told; the values stay. */
static void test_no_memory(void **state) {
    (void)state;
    enum { N = 40 };
    struct vectors v, expected;
    struct answer_of alone[N_ANSWERS], got[N_ANSWERS];
    gllm_error err = {0};
    struct engine *e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){.max_batch_tokens = 512});
    vectors_init(&expected, N, 0), vectors_init(&v, N, 0);
    assert_int_equal(engine_embed(e, &expected.call, &err), GLLM_OK);
    engine_close(e);
    e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){.max_batch_tokens = 512});
    wrapped.most_bytes = 64 * DIM * 4 * sizeof(float); /* a session of 64 tokens fits, one of 128 does not */
    if (engine_embed(e, &v.call, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_memory_equal(v.data, expected.data, N * DIM * sizeof(float));
    assert_true(told("out of memory in a forward of "));
    wrapped.most_bytes = 1;
    assert_int_equal(engine_embed(e, &expected.call, &err), GLLM_OK); /* what is allocated is enough */
    engine_close(e);
    e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){0});
    wrapped.most_bytes = 1;
    assert_int_equal(engine_embed(e, &v.call, &err), GLLM_NOMEM);
    wrapped.most_bytes = 0;
    assert_int_equal(engine_embed(e, &v.call, &err), GLLM_OK); /* and the engine lives on */
    engine_close(e);
    vectors_free(&v), vectors_free(&expected);

    answers_alone(&backend_ref, alone);
    e = open_engine(GENERATOR, &backend_ref, (struct engine_options){.n_ctx = 256, .cache_tokens = 1 << 20});
    wrapped.most_bytes = 4 << 20;
    answers_together(e, got);
    for (unsigned i = 0; i < N_ANSWERS; i++) same_answer(&got[i], &alone[i]);
    assert_true(told("out of memory: no cache for 1048576 tokens, trying 524288"));
    engine_close(e);
    for (unsigned i = 0; i < N_ANSWERS; i++) answer_release(&alone[i]), answer_release(&got[i]);
}

/* A device that fails for some: the others go on, with the values that they have. */
static void test_failing_device(void **state) {
    (void)state;
    struct answer_of alone[N_ANSWERS], got[N_ANSWERS];
    struct vectors v;
    gllm_error err = {0};
    answers_alone(&backend_ref, alone);
    struct engine *e = open_engine(GENERATOR, &backend_ref, (struct engine_options){.cache_tokens = 4096});
    atomic_store(&wrapped.most_seq, 1);
    answers_together(e, got);
    for (unsigned i = 0; i < N_ANSWERS; i++) same_answer(&got[i], &alone[i]);
    engine_close(e);
    for (unsigned i = 0; i < N_ANSWERS; i++) answer_release(&alone[i]), answer_release(&got[i]);
    e = open_engine(EMBEDDER, &backend_ref, (struct engine_options){0});
    atomic_store(&wrapped.most_seq, 2);
    vectors_init(&v, 9, 0);
    assert_int_equal(engine_embed(e, &v.call, &err), GLLM_OK);
    engine_close(e);
    vectors_free(&v);
}

/* Vectors, judgements, scores and answers of one generator at once. */
static void test_all_kinds(void **state) {
    (void)state;
    enum { ROUNDS = 2, DOCUMENTS = 5 };
    const gllm_str documents[DOCUMENTS] = {{TEXTS[0], 16}, {TEXTS[1], 9}, {TEXTS[3], 40}, {TEXTS[4], 17}, {TEXTS[5], 24}};
    float judged[ROUNDS][DOCUMENTS], logprob[ROUNDS][64], pooled[ROUNDS][DOCUMENTS * 64];
    int32_t best[ROUNDS][64];
    struct answer_of a[ROUNDS][3];
    struct engine *e = open_engine(GENERATOR, &backend_cpu, (struct engine_options){.n_ctx = 512, .cache_tokens = 512});
    const uint32_t d_model = engine_model(e)->files.cfg.d_model;
    const bool judges = engine_model(e)->files.ranker.n_out;
    assert_true(d_model <= 64);
    for (unsigned together = 0; together < ROUNDS; together++) {
        unsigned places[3], n = 0;
        uint32_t tokens[2][DOCUMENTS], full[2][DOCUMENTS];
        bool cut[DOCUMENTS];
        gllm_error err = {0};
        watch.n = 0;
        for (unsigned i = 0; i < 3; i++) answer_init(e, &a[together][i], 2 + i);
        struct score_call score = {.task = {.done = note_done, .user = &places[0]}, .tokens = a[together][2].prompt.ids, .n = a[together][2].prompt.count < 64 ? a[together][2].prompt.count : 64,
                                   .logprob = logprob[together], .best = best[together]};
        struct rank_call rank = {.task = {.done = note_done, .user = &places[1]}, .question = {.query = {"sea", 3}, .judge = true}, .documents = documents, .n = DOCUMENTS, .scores = judged[together],
                                 .tokens = tokens[0], .full_tokens = full[0], .query_cut = cut};
        struct embed_call embed = {.task = {.done = note_done, .user = &places[2]}, .inputs = documents, .n_inputs = DOCUMENTS, .pooling = POOL_MEAN, .outputs = OUTPUT_DENSE, .dim = d_model,
                                   .data = pooled[together], .tokens = tokens[1], .full_tokens = full[1]};
        memset(logprob[together], 0, sizeof logprob[together]), memset(best[together], 0, sizeof best[together]), memset(judged[together], 0, sizeof judged[together]);
        for (unsigned i = 0; i < 3; i++) {
            submit_answer(e, &a[together][i]);
            if (!together) wait_for(++n);
        }
        assert_int_equal(engine_score_submit(e, &score, &err), GLLM_OK);
        if (!together) wait_for(++n);
        if (judges && engine_rank_submit(e, &rank, &err) != GLLM_OK) fail_msg("%s", err.message);
        if (!together && judges) wait_for(++n);
        assert_int_equal(engine_embed_submit(e, &embed, &err), GLLM_OK);
        wait_for(5 + judges);
        assert_int_equal(score.task.status, GLLM_OK);
        assert_int_equal(embed.task.status, GLLM_OK);
        if (judges && rank.task.status != GLLM_OK) fail_msg("%s", rank.task.error.message);
    }
    for (unsigned i = 0; i < 3; i++) same_answer(&a[0][i], &a[1][i]);
    assert_memory_equal(logprob[0], logprob[1], sizeof logprob[0]);
    assert_memory_equal(best[0], best[1], sizeof best[0]);
    assert_memory_equal(judged[0], judged[1], sizeof judged[0]);
    assert_memory_equal(pooled[0], pooled[1], DOCUMENTS * d_model * sizeof(float));
    for (unsigned i = 0; i < 6; i++) answer_release(&a[i / 3][i % 3]);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_few_pages), cmocka_unit_test(test_workers), cmocka_unit_test(test_turns), cmocka_unit_test(test_end_early),
                                       cmocka_unit_test(test_texts_end_early), cmocka_unit_test(test_close), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_failing_device),
                                       cmocka_unit_test(test_all_kinds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
