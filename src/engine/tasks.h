/* tasks.h - what the kinds of calls tell the engine of their tasks. For the files of src/engine alone. */
#ifndef GLLM_ENGINE_TASKS_H
#define GLLM_ENGINE_TASKS_H
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
#endif
