/* slot.h - a model of a client: its options and path, and the engine while it is loaded.
 *
 * A load runs on a thread of its own (or on the one that opens the client) and serves everybody who waits for the model. Who uses a model is counted: only one without
 * users is unloaded, and one that is taken out lives until the last has left. A load that failed answers requests for some seconds, then the next tries again.
 * Thread rule: all that changes belongs to the client's lock; "locked" says that the caller holds it. */
#ifndef GLLM_API_SLOT_H
#define GLLM_API_SLOT_H
#include <pthread.h>

#include "backend/backend.h"
#include "base/log.h"
#include "engine/engine.h"

struct slot {
    struct slot *next;
    gllm_client *client;
    gllm_options opt;        /* its strings are owned */
    char *name, *path;       /* owned */
    struct log log;          /* to opt.log, one line at a time in a client */
    const char *task;        /* static; "" while its files were not read */
    uint64_t plan;           /* bytes that it takes at most when loaded; 0: not planned, since there is no budget */
    const char *backend;     /* since the first load, as caps */
    struct backend_caps caps; /* detail: the instruction level alone, "avx512" */

    gllm_model_state state;
    bool unloading;          /* UNLOADED, but its memory is not given back yet */
    bool removed;            /* taken out: nobody finds it */
    bool has_loader, busy;   /* busy: until it is done with the jobs that waited for it */
    pthread_t loader;        /* of the last load that had a thread; joined before the next */
    struct engine *engine;   /* READY; else NULL */
    uint64_t held;           /* bytes that count for the budget */
    gllm_error failure;      /* of the last load; message "": none */
    double failed_at;        /* clock_ms() until which requests get the failure counts from here */
    uint32_t users;          /* calls and jobs that have named it, and its load */
    double last_used;        /* clock_ms() when a request ended, or the load */
    double load_ms;
    struct gllm_job *waiting, **waiting_last; /* jobs behind its load */
    uint32_t n_waiting;
    struct engine_stats past; /* of engines that were closed: the three counts of forwards */
};

/* Copies the options and finds the model; reads its files where it is not loaded at once, or memory is planned. */
gllm_status slot_open(struct slot **out, gllm_client *c, const gllm_options *o, gllm_error *err);
void slot_free(struct slot *s); /* nobody uses it, and it has no engine; NULL ok */
void slot_load(struct slot *s); /* on this thread; the state was set to LOADING by the caller, who is one of its users */
gllm_status slot_start_load(struct slot *s, gllm_error *err); /* locked, not while LOADING: on a thread of its own, or that of the last load when it is still busy */
/* Locked, but waits: until the model is there. `again`: also after a failure that is still fresh. GLLM_CLOSED: it is taken out, or the client closes.
 * GLLM_INVALID: on the thread that would load it. */
gllm_status slot_await(struct slot *s, bool again, gllm_error *err);
bool slot_gone(const struct slot *s);         /* locked: taken out, or the client closes */
gllm_status slot_closed(const struct slot *s, gllm_error *err); /* locked: the error for that */
bool slot_failure_is_fresh(const struct slot *s); /* locked */
uint32_t slot_requests(const struct slot *s); /* locked: users but its load */
bool slot_is_idle(const struct slot *s);      /* locked: loaded, and without requests */
/* Locked, but unlocks while the memory of an idle one is given back, and told with the reason. */
void slot_unload(struct slot *s, const struct log *log, const char *why);
void slot_stop(struct slot *s);               /* one that is gone: waiting tasks end with GLLM_CLOSED, running ones are finished, and its load has ended */
void slot_stats(struct slot *s, struct engine_stats *out); /* locked: since the client opened, jobs behind a load among the waiting */
#endif
