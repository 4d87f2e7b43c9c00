/* job.h - a request on its way: all calls that need a worker are jobs; the ones that wait are a job and a wait.
 *
 * A job begins with its caller's handle and, from its start to its end, a reference of its run. It ends once: the result or the error is set, on_done is called, and then those
 * who wait are told. After that it uses nothing of its client but the lock.
 * A kind of request begins with `struct gllm_job` and says how it is copied, submitted to an engine, and made the public answer. */
#ifndef GLLM_API_JOB_H
#define GLLM_API_JOB_H
#include "api/client.h"
#include "base/arena.h"

struct job_kind {
    size_t size; /* of the struct that begins with gllm_job */
    gllm_status (*copy)(gllm_job *j, gllm_error *err);   /* what the request points to, into j->arena; NULL: never posted */
    gllm_status (*submit)(gllm_job *j, gllm_error *err); /* j->use is there: fills the call, job_bind, then the engine's submit */
    gllm_status (*finish)(gllm_job *j, gllm_error *err); /* on the worker, after success: j->result */
    void (*drop)(gllm_job *j);          /* what submit made and finish did not give away */
    void (*free_result)(void *result);
};
struct gllm_job {
    const struct job_kind *kind;
    gllm_client *client;
    const char *model;   /* until it is started */
    struct arena arena;
    gllm_submit how;     /* of a call that waits: zeros */
    struct use use;      /* from the start to the end; of one behind a load the slot alone */
    struct task *task;   /* since it was submitted */
    double called, deadline; /* clock_ms(); 0: none */
    double before_ms;    /* from the call to its hand-over to the engine */
    void *result;        /* the public answer */
    atomic_uint refs;
    /* the client's lock: */
    struct gllm_job *next; /* behind a load, or in the client's list of ended ones */
    bool canceled, submitted, ended, told, freed, taken, listed;
    gllm_error error;    /* status GLLM_OK: it gave a result */
    pthread_cond_t tell;
};
/* A job of a kind, all zero but for what job.h knows; NULL: out of memory. The caller fills the request, then calls one of: */
void *job_new(const struct job_kind *kind, gllm_client *c, const char *model);
gllm_status job_call(gllm_job *j, void **result, gllm_error *err); /* runs it, waits, and frees it */
gllm_status job_post(gllm_job *j, const gllm_submit *how, gllm_job **out, gllm_error *err); /* starts it; frees it on failure */
gllm_status job_take(gllm_job *j, const struct job_kind *kind, void **result, gllm_error *err);

/* For kinds. */
void job_bind(gllm_job *j, struct task *t);
double job_queue_ms(const gllm_job *j); /* from the call to the first forward */
gllm_status job_copy_str(gllm_job *j, gllm_str *s, gllm_error *err);           /* lengths become known; ptr NULL stays */
gllm_status job_copy_strs(gllm_job *j, const gllm_str **list, size_t n, gllm_error *err);
gllm_status job_copy_text(gllm_job *j, const char **text, gllm_error *err);    /* NULL stays */

/* Behind a load. */
void jobs_loaded(struct slot *s);      /* its load has ended, however: they go on, or end with the load's error */
/* Locked, but unlocks to end one: whether there was one to end. *next: when the next will time out. */
bool jobs_end_waiting(struct slot *s, double *next);
void jobs_forget(gllm_client *c);      /* locked: ended ones that nobody asked for are no longer listed */
#endif
