/* engine.h - the actor: one worker thread owns a model; everybody else sends it tasks and is told when they are done.
 *
 * An engine's handle holds only a queue.
 * A thread that uses an engine is counted in and out, so that closing can wait for those still inside. */
#ifndef GLLM_ENGINE_ENGINE_H
#define GLLM_ENGINE_ENGINE_H
#include "engine/task.h"
#include "model/model.h"

struct engine;
struct engine_options {
    uint32_t max_batch_tokens, max_queue;
    uint32_t n_ctx; /* generators: tokens of one sequence */
    enum dtype kv_dtype; /* of the cache */
    uint32_t cache_tokens; /* tokens that the cache holds, all sequences together; 0: n_ctx. Several workers divide it, but each has n_ctx at least */
    uint32_t workers; /* threads that run forwards, over one copy of the weights; 0: 1. The backend's threads are divided among them */
};
struct engine_stats {
    uint32_t waiting, running; /* tasks */
    uint64_t batches, batch_tokens, batch_sequences; /* forwards since the engine opened, and what they held */
    uint64_t cache_tokens, cache_used; /* tokens that fit, and that running tasks hold; 0 for a model without a cache */
    uint64_t memory_bytes; /* weights, activations and caches that are allocated */
};
/* Moves the model and its backend into the engine also on failure. */
gllm_status engine_open(struct engine **out, struct model *m, struct backend *be, const struct engine_options *opt, gllm_error *err);
void engine_shut(struct engine *e); /* begins to close, and does not wait: waiting tasks end with GLLM_CLOSED; any number of times */
/* Waiting tasks end with GLLM_CLOSED, running ones are finished, the worker is joined, and everyone who entered has left. NULL ok. */
void engine_close(struct engine *e);
gllm_status engine_enter(struct engine *e, gllm_error *err); /* GLLM_CLOSED: it is closing; then there is nothing to leave */
void engine_leave(struct engine *e);
const struct model *engine_model(const struct engine *e); /* what only reads may be used at once */
const struct engine_options *engine_options_of(const struct engine *e);
void engine_stats(struct engine *e, struct engine_stats *out); /* any thread */

/* Each kind of call has its engine_X_submit, which checks and tokenises on the calling thread. GLLM_OK: done() comes once; else it never comes, and the call holds
 * nothing. GLLM_BUSY: the queue is full. GLLM_CLOSED: the engine is closing. And engine_X, which waits for it: GLLM_INVALID on a worker. */
void engine_cancel(struct engine *e, struct task *t); /* any thread, from the submit until done() has returned; the task ends within a step */
bool engine_is_worker(const struct engine *e); /* the calling thread is one of e's workers: it must not wait for e */
#endif
