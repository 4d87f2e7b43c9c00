#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/generate.h"
#include "engine/worker.h"
#include "text/token_bytes.h"

static gllm_status is_closing(gllm_error *err) { return err_set(err, GLLM_CLOSED, "the client is closing"); }

static void worker_free(struct worker *w) {
    text_batch_free(&w->batch);
    if (!w->backend) return;
    model_unshare(w->model);
    w->backend->ops->close(w->backend);
}

static void release(struct engine *e) {
    struct backend *be = e->backend;
    for (unsigned i = 0; i < e->n_workers; i++) worker_free(&e->workers[i]);
    token_bytes_close(e->token_bytes);
    model_close(e->model);
    be->ops->close(be);
    pthread_cond_destroy(&e->arrived);
    pthread_cond_destroy(&e->left);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->grammar_lock);
    free(e->workers);
    free(e);
}

void engine_shut(struct engine *e) {
    pthread_mutex_lock(&e->lock);
    e->closing = e->look = true;
    pthread_cond_broadcast(&e->arrived);
    pthread_mutex_unlock(&e->lock);
}

static void join_workers(struct engine *e) {
    engine_shut(e);
    for (unsigned i = 0; i < e->n_started; i++) pthread_join(e->workers[i].thread, NULL);
}

/* A model and threads of its own for one of several workers. */
static gllm_status share_model(struct worker *w, uint32_t threads, gllm_error *err) {
    struct engine *e = w->engine;
    TRY(e->backend->ops->share(e->backend, threads ? threads : 1, &w->backend, err));
    return model_share(&w->model, e->model, w->backend, err);
}

static gllm_status prepare_workers(struct engine *e, gllm_error *err) {
    const unsigned n = e->opt.workers ? e->opt.workers : 1;
    struct backend_caps caps = {0};
    e->backend->ops->describe(e->backend, &caps);
    e->workers = calloc(n, sizeof *e->workers);
    if (!e->workers) return err_nomem(err, "engine");
    for (unsigned i = 0; i < n; i++) {
        struct worker *w = &e->workers[e->n_workers++];
        w->engine = e;
        TRY(text_batch_init(&w->batch, e->opt.max_batch_tokens, err));
        if (n == 1) w->model = e->model;
        else TRY(share_model(w, caps.threads / n + (i < caps.threads % n), err));
    }
    return GLLM_OK;
}

static gllm_status start_workers(struct engine *e, gllm_error *err) {
    for (; e->n_started < e->n_workers; e->n_started++) {
        const int failed = pthread_create(&e->workers[e->n_started].thread, NULL, worker_main, &e->workers[e->n_started]);
        if (failed) return err_set(err, GLLM_NOMEM, "cannot start the worker thread: %s", strerror(failed));
    }
    return GLLM_OK;
}

gllm_status engine_open(struct engine **out, struct model *m, struct backend *be, const struct engine_options *opt, gllm_error *err) {
    *out = NULL;
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        model_close(m);
        be->ops->close(be);
        return err_nomem(err, "engine");
    }
    e->model = m;
    e->backend = be;
    e->opt = *opt;
    if (!e->opt.cache_tokens) e->opt.cache_tokens = opt->n_ctx;
    if (e->opt.n_ctx > e->opt.cache_tokens) e->opt.n_ctx = e->opt.cache_tokens;
    e->weight_bytes = model_weight_bytes(&m->bindings, be->ops);
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->grammar_lock, NULL);
    pthread_cond_init(&e->arrived, NULL);
    pthread_cond_init(&e->left, NULL);
    gllm_status status = prepare_workers(e, err);
    if (status == GLLM_OK) status = start_workers(e, err);
    if (status == GLLM_OK) {
        *out = e;
        return GLLM_OK;
    }
    join_workers(e);
    release(e);
    return status;
}

void engine_close(struct engine *e) {
    if (!e) return;
    join_workers(e);
    pthread_mutex_lock(&e->lock);
    while (e->inside) pthread_cond_wait(&e->left, &e->lock);
    pthread_mutex_unlock(&e->lock);
    release(e);
}

gllm_status engine_enter(struct engine *e, gllm_error *err) {
    pthread_mutex_lock(&e->lock);
    const bool closing = e->closing;
    if (!closing) e->inside++;
    pthread_mutex_unlock(&e->lock);
    return closing ? is_closing(err) : GLLM_OK;
}

void engine_leave(struct engine *e) {
    pthread_mutex_lock(&e->lock);
    if (!--e->inside && e->closing) pthread_cond_broadcast(&e->left);
    pthread_mutex_unlock(&e->lock);
}

const struct model *engine_model(const struct engine *e) { return e->model; }
const struct engine_options *engine_options_of(const struct engine *e) { return &e->opt; }

bool engine_is_worker(const struct engine *e) {
    for (unsigned i = 0; i < e->n_workers; i++)
        if (pthread_equal(pthread_self(), e->workers[i].thread)) return true;
    return false;
}

void engine_stats(struct engine *e, struct engine_stats *out) {
    pthread_mutex_lock(&e->lock);
    const bool cached = model_files_cached(&e->model->files);
    *out = (struct engine_stats){.waiting = e->waiting, .running = e->running, .batches = e->batches, .batch_tokens = e->batch_tokens, .batch_sequences = e->batch_sequences, .memory_bytes = e->weight_bytes};
    for (unsigned i = 0; i < e->n_workers; i++) {
        const struct worker *w = &e->workers[i];
        out->memory_bytes += w->bytes;
        if (cached) out->cache_tokens += w->cache_tokens ? w->cache_tokens : engine_decoder_options(&e->opt).cache_tokens;
        out->cache_used += w->cache_used;
    }
    pthread_mutex_unlock(&e->lock);
}

void engine_count(struct engine *e, uint32_t n_tok, uint32_t n_seq) {
    pthread_mutex_lock(&e->lock);
    e->batches++;
    e->batch_tokens += n_tok;
    e->batch_sequences += n_seq;
    pthread_mutex_unlock(&e->lock);
}

void engine_cancel(struct engine *e, struct task *t) {
    atomic_store(&t->canceled, true);
    pthread_mutex_lock(&e->lock);
    e->look = true;
    pthread_cond_broadcast(&e->arrived);
    pthread_mutex_unlock(&e->lock);
}

gllm_status engine_submit(struct engine *e, struct task *t, const struct task_kind *kind, void *work, gllm_error *err) {
    gllm_status status = GLLM_OK;
    pthread_mutex_lock(&e->lock);
    if (e->closing) status = is_closing(err);
    else if (e->waiting >= e->opt.max_queue) status = err_set(err, GLLM_BUSY, "the queue is full: %u jobs wait", e->opt.max_queue);
    else status = turns_add(&e->turns[kind->class], t, err);
    if (status == GLLM_OK) {
        t->kind = kind, t->work = work, t->submitted = clock_ms(), t->started = false, t->status = GLLM_OK;
        e->waiting++;
        if (t->deadline > 0 && !(e->next_deadline > 0 && e->next_deadline <= t->deadline)) e->next_deadline = t->deadline;
        if (atomic_load(&t->canceled)) e->look = true; /* canceled while it was made */
        pthread_cond_signal(&e->arrived);
    }
    pthread_mutex_unlock(&e->lock);
    return status;
}

void task_begin(struct engine *e, struct task *t) {
    if (t->started) return;
    t->started = true;
    t->queue_ms = clock_ms() - t->submitted;
    e->waiting--;
    e->running++;
}

void task_end(struct engine *e, struct task *t) {
    if (t->kind->end) t->kind->end(t);
    pthread_mutex_lock(&e->lock);
    if (!t->started) t->queue_ms = clock_ms() - t->submitted;
    if (!--*(t->started ? &e->running : &e->waiting) && e->closing) pthread_cond_broadcast(&e->arrived);
    pthread_mutex_unlock(&e->lock);
    if (t->done) t->done(t);
}

bool task_overdue(struct task *t) {
    if (atomic_load(&t->canceled)) t->status = err_set(&t->error, GLLM_CANCELED, "canceled %s", t->started ? "while it ran" : "before it began");
    else if (t->deadline > 0 && clock_ms() >= t->deadline) t->status = err_set(&t->error, GLLM_TIMEOUT, "timed out %.0f ms after it was asked for%s", clock_ms() - t->submitted, t->started ? "" : ", before it began");
    return t->status != GLLM_OK;
}
