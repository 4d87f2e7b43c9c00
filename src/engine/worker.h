/* worker.h - the inside of an engine: its queue, and the threads that run forwards. For the files of src/engine alone.
 *
 * A worker goes round: texts of all waiting calls packed into one forward, a step of the running answers, a step of a task that has its own forwards. So
 * nobody waits longer than one forward of each other class.
 * Thread rule: an engine's fields are read and written under its lock, but model, opt and workers, which stay; a worker's belong to its thread. */
#ifndef GLLM_ENGINE_WORKER_H
#define GLLM_ENGINE_WORKER_H
#include <pthread.h>

#include "engine/answers.h"
#include "engine/pack.h"
#include "engine/tasks.h"
#include "engine/turns.h"

struct worker {
    struct engine *engine;
    pthread_t thread;
    struct model *model;     /* the engine's; of several workers each has one that shares its weights, on `backend` */
    struct backend *backend; /* NULL: the engine's */
    struct text_batch batch;
    struct answers answers;
    struct task *active;     /* TASK_STEPS; NULL: none */
    uint64_t bytes;          /* under the lock: of what the model allocated for forwards */
    uint64_t cache_tokens, cache_used; /* likewise: of its cache */
    uint32_t n_answers;      /* likewise: in flight here */
};
struct engine {
    struct model *model;
    struct backend *backend;
    struct engine_options opt;
    uint64_t weight_bytes;
    pthread_mutex_t lock, grammar_lock;
    pthread_cond_t arrived, left; /* something for a worker; the last one left */
    struct token_bytes *token_bytes; /* made at the first grammar, under grammar_lock; then only read */
    struct turns turns[TASK_CLASSES];
    uint32_t waiting, running, inside; /* tasks, tasks, threads */
    bool closing, look;       /* look: a waiting task was canceled, or waiting ones are to end with GLLM_CLOSED */
    double next_deadline;     /* of all waiting tasks; 0: none */
    uint64_t batches, batch_tokens, batch_sequences;
    struct worker *workers;   /* [n_workers] */
    unsigned n_workers, n_started; /* n_started: threads */
};
void *worker_main(void *worker);

/* For tasks at work. task_begin: locked; it stops waiting, once. task_end: unlocked; its status is set, and nobody has it any more. */
void task_begin(struct engine *e, struct task *t);
void task_end(struct engine *e, struct task *t);
/* A task that is to end now: t->status and t->error say so. False: it goes on. */
bool task_overdue(struct task *t);
void engine_count(struct engine *e, uint32_t n_tok, uint32_t n_seq); /* one forward; unlocked */
#endif
