/* client.h - a client: the models, the jobs, and the lock of both.
 *
 * The memory of a client lives as long as its handle or the handle of one of its jobs; its models live until it is closed. Every public call and every job
 * in flight is counted inside, so that closing can wait for them. One lock guards all: it is held for moments, never during work or a callback.
 * Order of locks: the client's, then an engine's. */
#ifndef GLLM_API_CLIENT_H
#define GLLM_API_CLIENT_H
#include <stdatomic.h>

#include "api/slot.h"

struct gllm_client {
    atomic_uint refs;
    pthread_mutex_t lock;
    pthread_cond_t changed;   /* the state of a model, who uses it, who is inside */
    struct slot *slots;       /* in the order in which they were added */
    uint64_t memory_budget;   /* 0: none */
    uint32_t inside;
    bool closing;
    pthread_mutex_t log_lock; /* recursive: a log function may call what logs */
    pthread_t keeper;         /* keeper.c */
    pthread_cond_t keep;
    bool has_keeper;
    struct gllm_job *done, **done_last; /* ended with `notify` and not yet given */
    int fd[2];                /* a pipe that holds one byte while there are such; -1: nobody asked for it */
};
void client_ref(gllm_client *c);
void client_unref(gllm_client *c);
gllm_status client_enter(gllm_client *c, gllm_error *err); /* GLLM_CLOSED: it is closing; then there is nothing to leave */
void client_leave(gllm_client *c);
bool client_is_own_thread(gllm_client *c); /* the calling thread belongs to the client: it must not wait for others of its threads */
gllm_status client_refuse_wait(gllm_client *c, gllm_error *err); /* GLLM_INVALID on such a thread */

/* A model in use: it stays loaded until client_release. */
struct use {
    struct slot *slot;
    struct engine *engine;
    const struct model *model;
};
/* Enters the client, finds the model (NULL: the first) and waits until it is loaded. GLLM_NOT_FOUND lists the names that there are; the errors of a load. */
gllm_status client_use(gllm_client *c, const char *name, struct use *out, gllm_error *err);
void client_release(struct use *u);
/* In parts, for jobs that do not wait. Locked: */
gllm_status client_find(gllm_client *c, const char *name, struct slot **out, gllm_error *err);
void client_hold(struct slot *s);   /* one more user, who is inside */
void client_let_go(struct slot *s); /* the reverse */
gllm_status client_take_engine(struct use *u, gllm_error *err); /* the engine of u->slot, which is held. GLLM_CLOSED, or the failure of its load */

/* keeper.c - the thread that unloads idle models, and ends jobs that wait for a load in vain. Locked. */
gllm_status keeper_start(gllm_client *c, gllm_error *err); /* once; nothing where it runs */
#endif
