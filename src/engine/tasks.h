/* tasks.h - what the kinds of calls tell the engine of their tasks. For the files of src/engine alone. */
#ifndef GLLM_ENGINE_TASKS_H
#define GLLM_ENGINE_TASKS_H
#include <pthread.h>

#include "engine/engine.h"

enum task_class { /* how a worker runs a task */
    TASK_TEXTS,   /* many texts without a cache, packed with those of others: pack.h */
    TASK_ANSWER,  /* a sequence among others that joins and leaves the running batch: answers.h */
    TASK_STEPS,   /* forwards of its own, one such task at a time, each between the forwards of the other classes */
    TASK_CLASSES
};
struct task_kind {
    enum task_class class;
    gllm_status (*step)(struct engine *e, struct model *m, struct task *t, bool *more, gllm_error *err); /* TASK_STEPS: one forward at most; *more is true before */
    void (*leave)(struct model *m, struct task *t); /* TASK_STEPS: after the last step, also of one that failed or was ended: gives back what it holds of the model */
    void (*end)(struct task *t); /* just before done(), t->status is set: frees what the submit made. NULL: nothing */
};
/* Into the queue. On failure the task is as it was. */
gllm_status engine_submit(struct engine *e, struct task *t, const struct task_kind *kind, void *work, gllm_error *err);

struct task_wait { /* a thread that waits for its own task */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};
gllm_status task_wait_begin(struct task_wait *w, const struct engine *e, struct task *t, gllm_error *err); /* before the submit. GLLM_INVALID: on a worker; nothing to end */
gllm_status task_wait_end(struct task_wait *w, struct task *t, gllm_status submitted, gllm_error *err); /* waits when it was submitted; the task's status */
#define TASK_WAIT(e, call, submit, err)                              \
    do {                                                             \
        struct task_wait wait_;                                      \
        TRY(task_wait_begin(&wait_, (e), &(call)->task, (err)));     \
        return task_wait_end(&wait_, &(call)->task, submit((e), (call), (err)), (err)); \
    } while (0)
#endif
