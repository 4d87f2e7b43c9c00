#include "api/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/client.h"
#include "api/job.h"
#include "base/clock.h"
#include "model/adapter.h"

enum { FRESH_MS = 3000 }; /* a failed load is not tried again before */

static void tell_log(void *user, gllm_log_level level, const char *line) {
    struct slot *s = user;
    pthread_mutex_lock(&s->client->log_lock);
    s->opt.log(s->opt.log_user, level, line);
    pthread_mutex_unlock(&s->client->log_lock);
}

/* ---- opening ---- */

static gllm_status own(const char **text, gllm_error *err) {
    if (!*text || (*text = strdup(*text))) return GLLM_OK;
    return err_nomem(err, "options");
}

/* All strings become owned, or NULL. */
static gllm_status copy_options(struct slot *s, const gllm_options *o, gllm_error *err) {
    gllm_options *c = &s->opt;
    *c = *o;
    c->model = c->home = c->backend = c->name = c->adapter = NULL;
    const char **to[] = {&c->model, &c->home, &c->backend, &c->name, &c->adapter};
    const char *const from[] = {o->model, o->home, o->backend, o->name, o->adapter};
    for (unsigned i = 0; i < sizeof to / sizeof *to; i++) {
        *to[i] = from[i];
        TRY(own(to[i], err));
    }
    s->name = strdup(o->name ? o->name : o->model);
    return s->name ? GLLM_OK : err_nomem(err, "options");
}

/* Its files without a device: what it is, whether they are whole, and what it will take. */
static gllm_status survey(struct slot *s, gllm_error *err) {
    const struct backend_ops *ops;
    struct model_files files;
    struct model *m;
    gllm_memory_plan plan;
    const struct log silent = {0}; /* the load tells it all */
    TRY(backend_choose(api_backend(&s->opt), &silent, &ops, err));
    TRY(api_files_open(&files, s->path, &silent, err));
    gllm_status status = tasks_choose(&files, s->opt.adapter, err);
    if (status != GLLM_OK) {
        model_files_close(&files);
        return status;
    }
    TRY(model_open(&m, &files, NULL, &silent, err));
    status = api_plan(&s->opt, m, ops, 0, 0, &plan, err);
    if (status == GLLM_OK) s->task = api_task(&m->files), s->plan = plan.total_bytes;
    model_close(m);
    return status;
}

gllm_status slot_open(struct slot **out, gllm_client *c, const gllm_options *o, gllm_error *err) {
    struct slot *s = calloc(1, sizeof *s);
    gllm_status status;
    *out = NULL;
    if (!s) return err_nomem(err, "model");
    s->client = c;
    s->task = "";
    s->failed_at = -FRESH_MS;
    s->waiting_last = &s->waiting;
    s->last_used = clock_ms();
    TRY_GO(copy_options(s, o, err));
    if (o->log) s->log = (struct log){tell_log, s};
    gllm_options where = s->opt; /* a fetch tells the log as everybody does */
    if (o->log) where.log = tell_log, where.log_user = s;
    TRY_GO(api_locate(&where, &s->path, err));
    if (o->load == GLLM_LOAD_LAZY || c->memory_budget) TRY_GO(survey(s, err));
done:
    if (status != GLLM_OK) slot_free(s);
    else *out = s;
    return status;
}

void slot_free(struct slot *s) {
    if (!s) return;
    void *owned[] = {(void *)s->opt.model, (void *)s->opt.home, (void *)s->opt.backend, (void *)s->opt.name, (void *)s->opt.adapter, s->name, s->path};
    for (unsigned i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(s);
}

/* ---- what it is now; locked ---- */

bool slot_gone(const struct slot *s) { return s->removed || s->client->closing; }
gllm_status slot_closed(const struct slot *s, gllm_error *err) {
    return s->client->closing ? err_set(err, GLLM_CLOSED, "the client is closing") : err_set(err, GLLM_CLOSED, "model \"%.120s\" was taken out of the client", s->name);
}
bool slot_failure_is_fresh(const struct slot *s) { return s->state == GLLM_MODEL_FAILED && clock_ms() - s->failed_at < FRESH_MS; }
uint32_t slot_requests(const struct slot *s) { return s->users - s->busy; }
bool slot_is_idle(const struct slot *s) { return s->state == GLLM_MODEL_READY && !slot_requests(s); }

static void add_counts(struct engine_stats *sum, const struct engine_stats *one) {
    sum->batches += one->batches, sum->batch_tokens += one->batch_tokens, sum->batch_sequences += one->batch_sequences;
}

void slot_stats(struct slot *s, struct engine_stats *out) {
    *out = (struct engine_stats){0};
    if (s->engine) engine_stats(s->engine, out);
    add_counts(out, &s->past);
    out->waiting += s->n_waiting;
}

/* What counts for the budget: what it was planned to take, or has taken. */
static uint64_t held(struct slot *s) {
    struct engine_stats now;
    if (!s->engine) return s->held;
    engine_stats(s->engine, &now);
    return now.memory_bytes > s->held ? now.memory_bytes : s->held;
}

/* ---- memory; locked ---- */

/* Closes an engine that was taken off `s`. */
static void close_engine(struct slot *s, struct engine *e) {
    struct engine_stats last;
    pthread_mutex_unlock(&s->client->lock);
    engine_stats(e, &last);
    engine_close(e);
    pthread_mutex_lock(&s->client->lock);
    add_counts(&s->past, &last);
    s->held = 0;
}

static void give_back(struct slot *s) {
    struct engine *e = s->engine;
    s->engine = NULL;
    s->state = GLLM_MODEL_UNLOADED;
    if (!e) return;
    s->unloading = true;
    close_engine(s, e);
    s->unloading = false;
    pthread_cond_broadcast(&s->client->changed);
}

void slot_unload(struct slot *s, const struct log *log, const char *why) {
    const uint64_t bytes = held(s);
    client_hold(s); /* its name is needed to the end */
    give_back(s);
    pthread_mutex_unlock(&s->client->lock);
    log_line(log, GLLM_LOG_INFO, "%s is unloaded, %llu bytes: %s", s->name, (unsigned long long)bytes, why);
    pthread_mutex_lock(&s->client->lock);
    client_let_go(s);
}

void slot_stop(struct slot *s) {
    gllm_client *c = s->client;
    pthread_mutex_lock(&c->lock);
    if (s->has_loader) {
        pthread_mutex_unlock(&c->lock);
        pthread_join(s->loader, NULL);
        pthread_mutex_lock(&c->lock);
        s->has_loader = false;
    }
    give_back(s);
    while (s->users || s->unloading) pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static double megabytes(uint64_t bytes) { return (double)bytes * 1e-6; }

static gllm_status budget_too_small(const struct slot *s, gllm_error *err) {
    char who[300] = "";
    size_t at = 0;
    for (struct slot *o = s->client->slots; o; o = o->next) {
        if (o == s || !held(o) || at >= sizeof who) continue;
        at += (size_t)snprintf(who + at, sizeof who - at, "%s%.60s (%.1f MB, %s)", at ? ", " : "", o->name, megabytes(held(o)), o->opt.pinned ? "pinned" : slot_requests(o) ? "in use" : "idle");
    }
    return err_set(err, GLLM_NOMEM, "memory_budget is %.1f MB, and %.120s needs %.1f MB; others hold: %s", megabytes(s->client->memory_budget), s->name, megabytes(s->plan), *who ? who : "nothing");
}

/* The one that was unused for longest of those that may go, and what all others hold with and without such. */
static struct slot *look_for_room(const struct slot *s, uint64_t *all, uint64_t *fixed, bool *unloading) {
    struct slot *oldest = NULL;
    *all = *fixed = 0, *unloading = false;
    for (struct slot *o = s->client->slots; o; o = o->next) {
        const bool may_go = o != s && slot_is_idle(o) && !o->opt.pinned;
        if (o != s) *all += held(o);
        if (o != s && !may_go && !o->unloading) *fixed += held(o);
        *unloading |= o->unloading;
        if (may_go && (!oldest || o->last_used < oldest->last_used)) oldest = o;
    }
    return oldest;
}

/* Unloads others until the budget has room for s, which then counts as holding its plan. */
static gllm_status make_room(struct slot *s, gllm_error *err) {
    gllm_client *c = s->client;
    uint64_t all, fixed;
    bool unloading;
    char why[300];
    for (;;) {
        struct slot *oldest = look_for_room(s, &all, &fixed, &unloading);
        if (!c->memory_budget || all + s->plan <= c->memory_budget) break;
        if (fixed + s->plan > c->memory_budget) return budget_too_small(s, err);
        if (oldest) {
            snprintf(why, sizeof why, "unused for %.1f s, and memory_budget is %llu with %.120s to come", (clock_ms() - oldest->last_used) * 1e-3, (unsigned long long)c->memory_budget, s->name);
            slot_unload(oldest, &s->log, why);
        } else pthread_cond_wait(&c->changed, &c->lock); /* one is being unloaded */
    }
    s->held = s->plan;
    return GLLM_OK;
}

/* ---- loading ---- */

static gllm_status open_engine(struct slot *s, struct engine **out, gllm_error *err) {
    struct model *m;
    struct engine_options e;
    TRY(api_model_open(&s->opt, s->path, &s->log, &m, err));
    struct backend *be = m->backend;
    if (!s->backend) { /* once: a description stays where it is */
        be->ops->describe(be, &s->caps);
        s->caps.detail[strcspn(s->caps.detail, ",")] = '\0'; /* "avx512, 2 threads": threads has its own field */
        s->backend = be->ops->name;
    }
    gllm_status status = api_engine_options(&s->opt, m, &e, err);
    if (status == GLLM_OK) return engine_open(out, m, be, &e, err);
    model_close(m);
    be->ops->close(be);
    return status;
}

static void fail(struct slot *s, const gllm_error *err, bool keep) {
    s->state = GLLM_MODEL_FAILED;
    s->failure = *err;
    s->failed_at = keep ? clock_ms() : -FRESH_MS;
    s->held = 0;
}

void slot_load(struct slot *s) {
    gllm_client *c = s->client;
    struct engine *e = NULL;
    gllm_error err = {0};
    const double start = clock_ms();
    pthread_mutex_lock(&c->lock);
    while (s->unloading) pthread_cond_wait(&c->changed, &c->lock);
    gllm_status status = make_room(s, &err);
    if (status != GLLM_OK) fail(s, &err, false); /* others may be gone in a moment, and asking again costs nothing */
    else {
        pthread_mutex_unlock(&c->lock);
        status = open_engine(s, &e, &err);
        pthread_mutex_lock(&c->lock);
        if (status != GLLM_OK) fail(s, &err, true);
    }
    if (status == GLLM_OK) {
        s->engine = e;
        s->task = api_task(&engine_model(e)->files);
        s->failure.message[0] = '\0';
        s->last_used = clock_ms();
        s->load_ms = s->last_used - start;
        s->state = GLLM_MODEL_READY;
        if (slot_gone(s)) give_back(s);
    }
    pthread_cond_broadcast(&c->changed);
    if (c->has_keeper) pthread_cond_signal(&c->keep); /* it may be idle one day */
    pthread_mutex_unlock(&c->lock);
    jobs_loaded(s);
}

static void *load(void *arg) {
    struct slot *s = arg;
    gllm_client *c = s->client;
    for (bool again = true; again;) {
        slot_load(s);
        pthread_mutex_lock(&c->lock);
        again = s->busy = s->state == GLLM_MODEL_LOADING; /* it was unloaded, or failed, and asked for anew meanwhile */
        if (again) pthread_mutex_unlock(&c->lock);
    }
    pthread_cond_broadcast(&c->changed);
    client_let_go(s);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

gllm_status slot_start_load(struct slot *s, gllm_error *err) {
    const gllm_model_state before = s->state;
    s->state = GLLM_MODEL_LOADING;
    if (s->busy) return GLLM_OK; /* the last one is still at its end, and goes on */
    if (s->has_loader) pthread_join(s->loader, NULL); /* it needs the lock no more */
    client_hold(s);
    const int failed = pthread_create(&s->loader, NULL, load, s);
    s->has_loader = s->busy = !failed;
    if (!failed) return GLLM_OK;
    s->state = before;
    client_let_go(s);
    return err_set(err, GLLM_NOMEM, "%.120s: cannot start a thread to load it: %s", s->name, strerror(failed));
}

gllm_status slot_await(struct slot *s, bool again, gllm_error *err) {
    for (bool waited = false;; waited = true) {
        if (slot_gone(s)) return slot_closed(s, err);
        if (s->state == GLLM_MODEL_READY) return GLLM_OK;
        if (s->state == GLLM_MODEL_FAILED && (waited || (!again && slot_failure_is_fresh(s)))) {
            if (err) *err = s->failure;
            return s->failure.status;
        }
        if (s->busy && pthread_equal(s->loader, pthread_self())) return err_set(err, GLLM_INVALID, "a callback waits for model \"%.120s\", which its own thread would load", s->name);
        if (s->state != GLLM_MODEL_LOADING) TRY(slot_start_load(s, err));
        pthread_cond_wait(&s->client->changed, &s->client->lock);
    }
}
