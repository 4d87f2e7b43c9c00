#include "engine/worker.h"

#include "base/clock.h"
#include "engine/generate.h"

/* ---- tasks that end before their turn ---- */

struct moment { /* what decides whether a waiting task ends now */
    double now, next_deadline; /* the earliest of those that go on; 0: none */
    bool closing;
};

/* Of a waiting task, found by turns_find, which notes the deadlines of the others. */
static bool ends_now(const void *arg, const struct task *t) {
    struct moment *m = (struct moment *)arg;
    if ((m->closing && !t->started) || atomic_load(&t->canceled) || (t->deadline > 0 && m->now >= t->deadline)) return true;
    if (t->deadline > 0 && !(m->next_deadline > 0 && m->next_deadline <= t->deadline)) m->next_deadline = t->deadline;
    return false;
}

/* Locked: the tasks that wait no longer, as a list; those that have texts in a forward end after it. */
static struct task *take_overdue(struct engine *e) {
    struct moment m = {.now = clock_ms(), .closing = e->closing};
    struct task *ended = NULL;
    for (unsigned i = 0; i < TASK_CLASSES; i++)
        for (struct task *t; (t = turns_find(&e->turns[i], ends_now, &m));) {
            if (e->closing && !t->started) t->status = err_set(&t->error, GLLM_CLOSED, "the client is closing");
            else task_overdue(t);
            if (i == TASK_TEXTS && texts_drop(e, t)) continue;
            if (i != TASK_TEXTS) turns_remove(&e->turns[i], t);
            t->next = ended;
            ended = t;
        }
    e->look = false;
    e->next_deadline = m.next_deadline;
    return ended;
}

static void sweep(struct engine *e) {
    if (!e->look && !(e->next_deadline > 0 && clock_ms() >= e->next_deadline)) return;
    struct task *ended = take_overdue(e);
    pthread_mutex_unlock(&e->lock);
    while (ended) {
        struct task *t = ended;
        ended = t->next;
        task_end(e, t);
    }
    pthread_mutex_lock(&e->lock);
}

/* ---- a task with forwards of its own ---- */

static bool steps_round(struct worker *w) {
    struct engine *e = w->engine;
    struct turns *q = &e->turns[TASK_STEPS];
    struct task *t = w->active ? w->active : turns_find(q, NULL, NULL);
    bool more = true;
    if (!t) return false;
    if (!w->active) {
        turns_pass(q, t);
        turns_remove(q, t);
        task_begin(e, t);
        w->active = t;
    }
    pthread_mutex_unlock(&e->lock);
    if (!task_overdue(t)) {
        answers_make_room(w, t->cached);
        t->status = t->kind->step(e, w->model, t, &more, &t->error);
    }
    if (t->status != GLLM_OK || !more) {
        t->kind->leave(w->model, t);
        w->active = NULL;
        task_end(e, t);
    }
    pthread_mutex_lock(&e->lock);
    return true;
}

/* ---- the round ---- */

static void note_memory(struct worker *w) {
    struct decoder *d = w->model->decoder;
    w->bytes = model_working_bytes(w->model);
    if (!d) return;
    w->cache_tokens = (uint64_t)kv_pages(decoder_kv(d)) * KV_PAGE;
    w->cache_used = (uint64_t)(kv_pages(decoder_kv(d)) - kv_free_pages(decoder_kv(d))) * KV_PAGE;
}

void *worker_main(void *worker) {
    static bool (*const ROUND[TASK_CLASSES])(struct worker *) = {[TASK_TEXTS] = texts_round, [TASK_ANSWER] = answers_round, [TASK_STEPS] = steps_round};
    struct worker *w = worker;
    struct engine *e = w->engine;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        bool worked = false;
        for (unsigned i = 0; i < TASK_CLASSES; i++) {
            sweep(e);
            worked |= ROUND[i](w);
            note_memory(w);
        }
        if (worked || e->look) continue;
        if (e->closing && !e->waiting && !e->running) break;
        pthread_cond_wait(&e->arrived, &e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}
