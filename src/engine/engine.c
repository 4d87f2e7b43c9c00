#include "engine/tasks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/decoder.h"

struct engine {
    struct model *model;
    struct backend *backend;
    struct engine_options opt;
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t arrived, finished;
    struct task *first, **last; /* the queue */
    uint32_t waiting, running, inside;
    bool closing;
};

static gllm_status is_closing(gllm_error *err) { return err_set(err, GLLM_CLOSED, "the client is closing"); }

/* The first task of the queue; NULL: it is empty and the engine closes. */
static struct task *next_task(struct engine *e) {
    while (!e->first && !e->closing) pthread_cond_wait(&e->arrived, &e->lock);
    struct task *t = e->first;
    if (!t) return NULL;
    e->first = t->next;
    if (!e->first) e->last = &e->first;
    e->waiting--;
    e->running++;
    return t;
}

static void run_task(struct engine *e, struct task *t, bool closing) {
    t->queue_ms = clock_ms() - t->submitted;
    if (closing) t->status = is_closing(&t->error);
    else if (atomic_load(&t->canceled)) t->status = err_set(&t->error, GLLM_CANCELED, "canceled before it began");
    else if (t->deadline > 0 && clock_ms() >= t->deadline) t->status = err_set(&t->error, GLLM_TIMEOUT, "timed out after %.0f ms in the queue", t->queue_ms);
    else t->status = t->kind->run(e, e->model, t, &t->error);
    t->kind->end(t);
}

static void *work(void *arg) {
    struct engine *e = arg;
    pthread_mutex_lock(&e->lock);
    for (struct task *t; (t = next_task(e));) {
        const bool closing = e->closing;
        pthread_mutex_unlock(&e->lock);
        run_task(e, t, closing);
        pthread_mutex_lock(&e->lock);
        e->running--;
        pthread_mutex_unlock(&e->lock);
        if (t->done) t->done(t);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

static void release(struct engine *e) {
    struct backend *be = e->backend;
    model_close(e->model);
    be->ops->close(be);
    pthread_cond_destroy(&e->arrived);
    pthread_cond_destroy(&e->finished);
    pthread_mutex_destroy(&e->lock);
    free(e);
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
    e->last = &e->first;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->arrived, NULL);
    pthread_cond_init(&e->finished, NULL);
    int failed = pthread_create(&e->worker, NULL, work, e);
    if (failed) {
        release(e);
        return err_set(err, GLLM_NOMEM, "cannot start the worker thread: %s", strerror(failed));
    }
    *out = e;
    return GLLM_OK;
}

void engine_close(struct engine *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    e->closing = true;
    pthread_cond_signal(&e->arrived);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->worker, NULL);
    pthread_mutex_lock(&e->lock);
    while (e->inside) pthread_cond_wait(&e->finished, &e->lock);
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
    if (!--e->inside && e->closing) pthread_cond_broadcast(&e->finished);
    pthread_mutex_unlock(&e->lock);
}

const struct model *engine_model(const struct engine *e) { return e->model; }
const struct engine_options *engine_options_of(const struct engine *e) { return &e->opt; }

bool engine_is_worker(const struct engine *e) { return pthread_equal(pthread_self(), e->worker); }

void engine_stats(struct engine *e, struct engine_stats *out) {
    *out = (struct engine_stats){.cache_tokens = model_files_cached(&e->model->files) ? e->opt.n_ctx : 0};
    pthread_mutex_lock(&e->lock);
    out->waiting = e->waiting, out->running = e->running;
    pthread_mutex_unlock(&e->lock);
}

void engine_cancel(struct engine *e, struct task *t) {
    (void)e;
    atomic_store(&t->canceled, true);
}

gllm_status engine_submit(struct engine *e, struct task *t, const struct task_kind *kind, void *work_of, gllm_error *err) {
    pthread_mutex_lock(&e->lock);
    if (e->closing || e->waiting >= e->opt.max_queue) {
        const bool closing = e->closing;
        pthread_mutex_unlock(&e->lock);
        return closing ? is_closing(err) : err_set(err, GLLM_BUSY, "the queue is full: %u jobs wait", e->opt.max_queue);
    }
    t->kind = kind, t->work = work_of, t->next = NULL, t->submitted = clock_ms();
    *e->last = t;
    e->last = &t->next;
    e->waiting++;
    pthread_cond_signal(&e->arrived);
    pthread_mutex_unlock(&e->lock);
    return GLLM_OK;
}

static void wake(struct task *t) {
    struct task_wait *w = t->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

gllm_status task_wait_begin(struct task_wait *w, const struct engine *e, struct task *t, gllm_error *err) {
    if (engine_is_worker(e)) return err_set(err, GLLM_INVALID, "a callback asks its own client, which waits for the callback");
    w->done = false;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    t->done = wake, t->user = w;
    return GLLM_OK;
}

gllm_status task_wait_end(struct task_wait *w, struct task *t, gllm_status submitted, gllm_error *err) {
    pthread_mutex_lock(&w->lock);
    while (submitted == GLLM_OK && !w->done) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    if (submitted != GLLM_OK) return submitted;
    if (t->status != GLLM_OK && err) *err = t->error;
    return t->status;
}
