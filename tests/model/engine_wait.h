/* engine_wait.h - calls of the engine that wait for their task: what the tests of src/engine need, since the library waits for jobs (api/job.h). */
#ifndef GLLM_TESTS_ENGINE_WAIT_H
#define GLLM_TESTS_ENGINE_WAIT_H
#include <pthread.h>

#include "engine/embed.h"
#include "engine/generate.h"
#include "engine/rank.h"

struct task_wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static inline void task_wake(struct task *t) {
    struct task_wait *w = t->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static inline void task_wait_begin(struct task_wait *w, struct task *t) { /* before the submit */
    w->done = false;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    t->done = task_wake, t->user = w;
}

static inline gllm_status task_wait_end(struct task_wait *w, struct task *t, gllm_status submitted, gllm_error *err) { /* the task's status when it was submitted */
    pthread_mutex_lock(&w->lock);
    while (submitted == GLLM_OK && !w->done) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    if (submitted != GLLM_OK) return submitted;
    if (t->status != GLLM_OK && err) *err = t->error;
    return t->status;
}

static inline gllm_status engine_embed(struct engine *e, struct embed_call *c, gllm_error *err) {
    struct task_wait w;
    task_wait_begin(&w, &c->task);
    return task_wait_end(&w, &c->task, engine_embed_submit(e, c, err), err);
}

static inline gllm_status engine_generate(struct engine *e, struct generate_call *c, gllm_error *err) {
    struct task_wait w;
    task_wait_begin(&w, &c->task);
    return task_wait_end(&w, &c->task, engine_generate_submit(e, c, err), err);
}

static inline gllm_status engine_rank(struct engine *e, struct rank_call *c, gllm_error *err) {
    struct task_wait w;
    task_wait_begin(&w, &c->task);
    return task_wait_end(&w, &c->task, engine_rank_submit(e, c, err), err);
}
#endif
