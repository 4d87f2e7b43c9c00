#include "engine/engine.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct job { /* lives on its caller's stack until done */
    struct job *next;
    engine_fn fn;
    void *arg;
    gllm_status status;
    gllm_error error;
    bool done;
};
struct engine {
    struct model *model;
    struct backend *backend;
    struct engine_options opt;
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t arrived, finished;
    struct job *first, **last; /* the queue */
    uint32_t waiting, inside;
    bool closing;
};

static gllm_status is_closing(gllm_error *err) { return err_set(err, GLLM_CLOSED, "the client is closing"); }

static void *work(void *arg) {
    struct engine *e = arg;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->first && !e->closing) pthread_cond_wait(&e->arrived, &e->lock);
        struct job *j = e->first;
        if (!j) break;
        e->first = j->next;
        if (!e->first) e->last = &e->first;
        e->waiting--;
        if (e->closing) j->status = is_closing(&j->error);
        else {
            pthread_mutex_unlock(&e->lock);
            j->status = j->fn(e->model, j->arg, &j->error);
            pthread_mutex_lock(&e->lock);
        }
        j->done = true;
        pthread_cond_broadcast(&e->finished);
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

gllm_status engine_call(struct engine *e, engine_fn fn, void *arg, gllm_error *err) {
    struct job j = {.fn = fn, .arg = arg};
    if (pthread_equal(pthread_self(), e->worker)) return err_set(err, GLLM_INVALID, "a callback asks its own client, which waits for the callback");
    pthread_mutex_lock(&e->lock);
    if (e->closing || e->waiting >= e->opt.max_queue) {
        bool closing = e->closing;
        pthread_mutex_unlock(&e->lock);
        return closing ? is_closing(err) : err_set(err, GLLM_BUSY, "the queue is full: %u jobs wait", e->opt.max_queue);
    }
    *e->last = &j;
    e->last = &j.next;
    e->waiting++;
    pthread_cond_signal(&e->arrived);
    while (!j.done) pthread_cond_wait(&e->finished, &e->lock);
    pthread_mutex_unlock(&e->lock);
    if (j.status != GLLM_OK && err) *err = j.error;
    return j.status;
}
