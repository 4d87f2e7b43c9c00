/* keeper.c - a client's thread for what is due later: models that were idle for long enough are unloaded, and jobs behind a load end when they are canceled, out of time, or
 * their model goes. A client has it once one of its models or jobs needs it. */
#include <math.h>
#include <string.h>

#include "api/job.h"
#include "base/clock.h"

/* Unloads one model that is due; else *next: when the first may be. */
static bool unload_idle(gllm_client *c, double *next) {
    const double now = clock_ms();
    for (struct slot *s = c->slots; s; s = s->next) {
        const double idle = s->opt.idle_seconds * 1e3, due = (slot_requests(s) ? now : s->last_used) + idle;
        if (!s->opt.idle_seconds || s->opt.pinned || s->state != GLLM_MODEL_READY) continue;
        if (slot_is_idle(s) && now >= due) {
            slot_unload(s, &s->log, "nobody asked for it");
            return true;
        }
        *next = fmin(*next, due);
    }
    return false;
}

static bool end_waiting(gllm_client *c, double *next) {
    for (struct slot *s = c->slots; s; s = s->next)
        if (jobs_end_waiting(s, next)) return true;
    return false;
}

static void sleep_until(gllm_client *c, double ms) {
    if (ms == INFINITY) {
        pthread_cond_wait(&c->keep, &c->lock);
        return;
    }
    const struct timespec t = clock_time(ms);
    pthread_cond_timedwait(&c->keep, &c->lock, &t);
}

static void *keep(void *arg) {
    gllm_client *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        double next = INFINITY;
        if (end_waiting(c, &next)) continue;
        if (c->closing) break;
        if (!unload_idle(c, &next)) sleep_until(c, next);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

gllm_status keeper_start(gllm_client *c, gllm_error *err) {
    if (c->has_keeper) return GLLM_OK;
    const int failed = pthread_create(&c->keeper, NULL, keep, c);
    c->has_keeper = !failed;
    return failed ? err_set(err, GLLM_NOMEM, "cannot start the client's thread: %s", strerror(failed)) : GLLM_OK;
}
