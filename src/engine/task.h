/* task.h - one piece of work for an engine: what its maker sets, and what comes back.
 *
 * A task is the first member of a call (embed_call, generate_call …), all-zero but for what its maker sets. From a submit that gave GLLM_OK until done() the
 * engine has it; done() comes exactly once, on a worker, which does not touch the call afterwards: it may free it. Unless a call's header says
 * otherwise all that a call points to is borrowed until done(), and every array of results is valid memory until then.
 * Thread rule: in between only engine_cancel may touch it. */
#ifndef GLLM_ENGINE_TASK_H
#define GLLM_ENGINE_TASK_H
#include <stdatomic.h>

#include "base/error.h"

struct task;
struct task_kind;
struct task { /* set before the submit: */
    void (*done)(struct task *t); /* may submit other tasks; waits for nothing. NULL: nobody is told */
    void *user;      /* its maker's */
    uint64_t caller; /* callers take turns, whatever each has waiting */
    double deadline; /* clock_ms(); then it ends with GLLM_TIMEOUT. 0: none */
    atomic_bool canceled; /* set by engine_cancel: it ends with GLLM_CANCELED; a generation with GLLM_OK, what it has, and GLLM_FINISH_CANCELED */
    /* results, valid in done() and after: */
    gllm_status status;
    gllm_error error; /* when status is not GLLM_OK */
    double queue_ms;  /* from the submit to the first forward */
    /* the engine's: */
    const struct task_kind *kind;
    void *work;       /* of its kind */
    struct task *next;
    double submitted; /* clock_ms() */
    uint32_t cached;  /* TASK_STEPS: tokens that it holds in the cache at most */
    bool started;
};
#endif
