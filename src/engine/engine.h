/* engine.h - the actor: one worker thread owns a model; everybody else sends it jobs and waits for the answer.
 *
 * An engine's handle holds only a queue. Jobs run in the order of their arrival, one at a time, on the worker.
 * A thread that uses an engine is counted in and out, so that closing can wait for those still inside. */
#ifndef GLLM_ENGINE_ENGINE_H
#define GLLM_ENGINE_ENGINE_H
#include "model/model.h"

struct engine;
struct engine_options {
    uint32_t max_batch_tokens, max_queue;
    uint32_t n_ctx; /* generators: tokens that the cache holds */
    enum dtype kv_dtype; /* of the cache */
};
/* Moves the model and its backend into the engine also on failure. */
gllm_status engine_open(struct engine **out, struct model *m, struct backend *be, const struct engine_options *opt, gllm_error *err);
/* Waiting jobs end with GLLM_CLOSED, the running one is finished, the worker is joined, and everyone who entered has left. NULL ok. */
void engine_close(struct engine *e);
gllm_status engine_enter(struct engine *e, gllm_error *err); /* GLLM_CLOSED: it is closing; then there is nothing to leave */
void engine_leave(struct engine *e);
const struct model *engine_model(const struct engine *e); /* what only reads may be used at once */

typedef gllm_status (*engine_fn)(struct model *m, void *arg, gllm_error *err);
/* Runs fn on the worker and waits. GLLM_BUSY: the queue is full. GLLM_CLOSED: the engine is closing. GLLM_INVALID: called on the worker. */
gllm_status engine_call(struct engine *e, engine_fn fn, void *arg, gllm_error *err);
const struct engine_options *engine_options_of(const struct engine *e);
#endif
