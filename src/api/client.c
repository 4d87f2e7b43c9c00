#include "api/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/job.h"
#include "base/clock.h"

uint32_t gllm_version(void) { return GLLM_VERSION_MAJOR << 16 | GLLM_VERSION_MINOR << 8 | GLLM_VERSION_PATCH; }
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
const char *gllm_version_string(void) { return TEXT(GLLM_VERSION_MAJOR) "." TEXT(GLLM_VERSION_MINOR) "." TEXT(GLLM_VERSION_PATCH); }

/* ---- its life ---- */

static void release(gllm_client *c) {
    pthread_cond_destroy(&c->changed);
    pthread_cond_destroy(&c->keep);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->log_lock);
    free(c);
}

void client_ref(gllm_client *c) { atomic_fetch_add(&c->refs, 1); }
void client_unref(gllm_client *c) {
    if (atomic_fetch_sub(&c->refs, 1) == 1) release(c);
}

static gllm_client *client_new(const gllm_options *o) {
    gllm_client *c = calloc(1, sizeof *c);
    pthread_mutexattr_t recursive;
    pthread_condattr_t steady;
    if (!c) return NULL;
    atomic_init(&c->refs, 1);
    c->memory_budget = o->memory_budget;
    c->done_last = &c->done;
    c->fd[0] = c->fd[1] = -1;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&c->log_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&c->keep, &steady);
    pthread_condattr_destroy(&steady);
    return c;
}

gllm_status client_enter(gllm_client *c, gllm_error *err) {
    pthread_mutex_lock(&c->lock);
    const bool closing = c->closing;
    c->inside += !closing;
    pthread_mutex_unlock(&c->lock);
    return closing ? err_set(err, GLLM_CLOSED, "the client is closing") : GLLM_OK;
}

void client_leave(gllm_client *c) {
    pthread_mutex_lock(&c->lock);
    if (!--c->inside && c->closing) pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Out of the list of models, and freed. Nobody uses it. */
static void take_out(struct slot *s) {
    gllm_client *c = s->client;
    pthread_mutex_lock(&c->lock);
    struct slot **at = &c->slots;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&c->lock);
    slot_free(s);
}

/* A model of which nobody knows yet that it goes, and which now goes; NULL: none is left. */
static struct slot *mark_one(gllm_client *c) {
    pthread_mutex_lock(&c->lock);
    struct slot *s = c->slots;
    while (s && s->removed) s = s->next;
    if (s) s->removed = true;
    pthread_mutex_unlock(&c->lock);
    return s;
}

void gllm_client_close(gllm_client *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    for (const struct slot *s = c->slots; s; s = s->next)
        if (s->engine) engine_shut(s->engine);
    pthread_cond_broadcast(&c->changed);
    pthread_cond_signal(&c->keep);
    const bool has_keeper = c->has_keeper;
    pthread_mutex_unlock(&c->lock);
    if (has_keeper) pthread_join(c->keeper, NULL);
    for (struct slot *s; (s = mark_one(c));) {
        slot_stop(s);
        take_out(s);
    }
    pthread_mutex_lock(&c->lock);
    while (c->inside) pthread_cond_wait(&c->changed, &c->lock);
    jobs_forget(c);
    for (int i = 0; i < 2; i++)
        if (c->fd[i] >= 0) close(c->fd[i]);
    pthread_mutex_unlock(&c->lock);
    client_unref(c);
}

/* ---- finding and using a model ---- */

static gllm_status not_found(const gllm_client *c, const char *name, gllm_error *err) {
    char names[300] = "";
    size_t at = 0, n = 0;
    for (const struct slot *s = c->slots; s; s = s->next) {
        if (s->removed) continue;
        if (at < sizeof names) at += (size_t)snprintf(names + at, sizeof names - at, "%s\"%.120s\"", n ? ", " : "", s->name);
        n++;
    }
    if (!n) return err_set(err, GLLM_NOT_FOUND, "the client has no model");
    return err_set(err, GLLM_NOT_FOUND, "model \"%.120s\" is not open here; %s %s", name, names, n == 1 ? "is" : "are");
}

static struct slot *look_up(const gllm_client *c, const char *name) {
    struct slot *s = c->slots;
    while (s && (s->removed || (name && strcmp(name, s->name)))) s = s->next;
    return s;
}

gllm_status client_find(gllm_client *c, const char *name, struct slot **out, gllm_error *err) {
    if (c->closing) return err_set(err, GLLM_CLOSED, "the client is closing");
    *out = look_up(c, name);
    return *out ? GLLM_OK : not_found(c, name, err);
}

void client_hold(struct slot *s) { s->users++, s->client->inside++; }
void client_let_go(struct slot *s) {
    gllm_client *c = s->client;
    const bool last = !--s->users, empty = !--c->inside;
    if ((last && slot_gone(s)) || (empty && c->closing)) pthread_cond_broadcast(&c->changed);
}

gllm_status client_take_engine(struct use *u, gllm_error *err) {
    struct slot *s = u->slot;
    if (slot_gone(s)) return slot_closed(s, err);
    if (s->state != GLLM_MODEL_READY) {
        if (err) *err = s->failure;
        return s->failure.status;
    }
    TRY(engine_enter(s->engine, err));
    u->engine = s->engine;
    u->model = engine_model(s->engine);
    return GLLM_OK;
}

gllm_status client_use(gllm_client *c, const char *name, struct use *out, gllm_error *err) {
    *out = (struct use){0};
    pthread_mutex_lock(&c->lock);
    gllm_status status = client_find(c, name, &out->slot, err);
    if (status == GLLM_OK) {
        client_hold(out->slot);
        status = slot_await(out->slot, false, err);
        if (status == GLLM_OK) status = client_take_engine(out, err);
        if (status != GLLM_OK) client_let_go(out->slot);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

void client_release(struct use *u) {
    gllm_client *c = u->slot->client;
    if (u->engine) engine_leave(u->engine);
    pthread_mutex_lock(&c->lock);
    u->slot->last_used = clock_ms();
    client_let_go(u->slot);
    pthread_mutex_unlock(&c->lock);
}

bool client_is_own_thread(gllm_client *c) {
    pthread_mutex_lock(&c->lock);
    bool own = c->has_keeper && pthread_equal(c->keeper, pthread_self());
    for (const struct slot *s = c->slots; s && !own; s = s->next)
        own = (s->engine && engine_is_worker(s->engine)) || (s->has_loader && pthread_equal(s->loader, pthread_self()));
    pthread_mutex_unlock(&c->lock);
    return own;
}

gllm_status client_refuse_wait(gllm_client *c, gllm_error *err) {
    return client_is_own_thread(c) ? err_set(err, GLLM_INVALID, "a callback asks its own client, which waits for the callback") : GLLM_OK;
}

/* ---- adding and removing ---- */

static gllm_status insert(gllm_client *c, struct slot *s, gllm_error *err) {
    pthread_mutex_lock(&c->lock);
    gllm_status status = c->closing                 ? err_set(err, GLLM_CLOSED, "the client is closing")
                         : look_up(c, s->name) ? err_set(err, GLLM_INVALID, "model \"%.120s\" is open here already", s->name) : GLLM_OK;
    if (status == GLLM_OK && s->opt.idle_seconds && !s->opt.pinned) status = keeper_start(c, err);
    if (status == GLLM_OK) {
        struct slot **last = &c->slots;
        while (*last) last = &(*last)->next;
        *last = s;
        if (s->opt.load == GLLM_LOAD_NOW) {
            s->state = GLLM_MODEL_LOADING;
            client_hold(s);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* Loads a model that was just inserted, on this thread; the client goes without it when that fails. */
static gllm_status load_now(struct slot *s, gllm_error *err) {
    gllm_client *c = s->client;
    slot_load(s);
    pthread_mutex_lock(&c->lock);
    gllm_status status = slot_gone(s) ? slot_closed(s, err) : s->state == GLLM_MODEL_FAILED ? s->failure.status : GLLM_OK;
    const bool drop = s->state == GLLM_MODEL_FAILED && !s->removed;
    if (drop && status != GLLM_CLOSED && err) *err = s->failure;
    s->removed |= drop;
    client_let_go(s);
    pthread_mutex_unlock(&c->lock);
    if (!drop) return status;
    slot_stop(s);
    take_out(s);
    return status;
}

static gllm_status add(gllm_client *c, const gllm_options *o, gllm_error *err) {
    struct slot *s;
    if (!o->model) return err_set(err, GLLM_INVALID, "model: found none, expected a directory, a file or a name");
    if ((unsigned)o->load > GLLM_LOAD_LAZY) return err_set(err, GLLM_INVALID, "load: found %d, expected 0 or %d", (int)o->load, GLLM_LOAD_LAZY);
    TRY(slot_open(&s, c, o, err));
    gllm_status status = insert(c, s, err);
    if (status == GLLM_OK) return o->load == GLLM_LOAD_NOW ? load_now(s, err) : GLLM_OK;
    slot_free(s);
    return status;
}

static gllm_status take_options(const char *where, const gllm_options *opt, gllm_options *o, gllm_error *err) {
    if (!opt || !opt->struct_size) return err_set(err, GLLM_INVALID, "%s: options were not set by gllm_options_init", where);
    gllm_options_init(o);
    TRY(api_copy_sized("gllm_options", o, sizeof *o, opt, opt->struct_size, err));
    return GLLM_OK;
}

gllm_status gllm_client_open(gllm_client **out, const gllm_options *opt, gllm_error *err) {
    gllm_options o;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_client_open: out is NULL");
    *out = NULL;
    TRY(take_options("gllm_client_open", opt, &o, err));
    gllm_client *c = client_new(&o);
    if (!c) return err_nomem(err, "client");
    gllm_status status = add(c, &o, err);
    if (status == GLLM_OK) *out = c;
    else gllm_client_close(c);
    return status;
}

gllm_status gllm_client_add_model(gllm_client *c, const gllm_options *opt, gllm_error *err) {
    gllm_options o;
    if (!c) return err_set(err, GLLM_INVALID, "gllm_client_add_model: client is NULL");
    TRY(take_options("gllm_client_add_model", opt, &o, err));
    TRY(client_enter(c, err));
    gllm_status status = add(c, &o, err);
    client_leave(c);
    return status;
}

gllm_status gllm_client_remove_model(gllm_client *c, const char *name, gllm_error *err) {
    struct slot *s;
    if (!c) return err_set(err, GLLM_INVALID, "gllm_client_remove_model: client is NULL");
    TRY(client_enter(c, err));
    gllm_status status = client_refuse_wait(c, err);
    if (status == GLLM_OK) {
        pthread_mutex_lock(&c->lock);
        status = client_find(c, name, &s, err);
        if (status == GLLM_OK) s->removed = true;
        pthread_cond_broadcast(&c->changed);
        pthread_cond_signal(&c->keep);
        pthread_mutex_unlock(&c->lock);
    }
    if (status == GLLM_OK) {
        slot_stop(s);
        take_out(s);
    }
    client_leave(c);
    return status;
}

/* ---- loading and unloading ---- */

gllm_status gllm_client_load(gllm_client *c, const char *name, gllm_error *err) {
    struct slot *s;
    if (!c) return err_set(err, GLLM_INVALID, "gllm_client_load: client is NULL");
    TRY(client_refuse_wait(c, err));
    pthread_mutex_lock(&c->lock);
    gllm_status status = client_find(c, name, &s, err);
    if (status == GLLM_OK) {
        client_hold(s);
        status = slot_await(s, true, err);
        client_let_go(s);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

static gllm_status unload(struct slot *s, gllm_error *err) {
    if (s->state == GLLM_MODEL_LOADING) return err_set(err, GLLM_BUSY, "model \"%.120s\" is being loaded", s->name);
    if (slot_requests(s)) return err_set(err, GLLM_BUSY, "model \"%.120s\" has %u requests", s->name, slot_requests(s));
    if (s->state == GLLM_MODEL_READY) slot_unload(s, &s->log, "as asked");
    else s->state = GLLM_MODEL_UNLOADED;
    return GLLM_OK;
}

gllm_status gllm_client_unload(gllm_client *c, const char *name, gllm_error *err) {
    struct slot *s;
    if (!c) return err_set(err, GLLM_INVALID, "gllm_client_unload: client is NULL");
    TRY(client_enter(c, err));
    pthread_mutex_lock(&c->lock);
    gllm_status status = client_find(c, name, &s, err);
    if (status == GLLM_OK) status = unload(s, err);
    pthread_mutex_unlock(&c->lock);
    client_leave(c);
    return status;
}

/* ---- what it has ---- */

struct status { /* the public struct first; in one arena */
    gllm_client_status base;
    struct arena arena;
};

void gllm_client_status_free(gllm_client_status *p) {
    struct status *s = (struct status *)p;
    if (s) arena_free(&s->arena);
    free(s);
}

static gllm_status fill_model(struct slot *s, struct arena *a, gllm_model_status *out, gllm_error *err) {
    struct engine_stats e;
    slot_stats(s, &e);
    *out = (gllm_model_status){.name = arena_strdup(a, s->name), .path = arena_strdup(a, s->path), .task = s->task, .state = s->state, .failure = arena_strdup(a, s->failure.message),
                               .pinned = s->opt.pinned, .memory_bytes = e.memory_bytes, .waiting = e.waiting, .running = e.running,
                               .idle_seconds = slot_requests(s) ? 0 : (clock_ms() - s->last_used) * 1e-3, .load_ms = s->load_ms, .batches = e.batches, .batch_tokens = e.batch_tokens,
                               .batch_sequences = e.batch_sequences, .cache_tokens = e.cache_tokens, .cache_used = e.cache_used};
    return out->name && out->path && out->failure ? GLLM_OK : err_nomem(err, "status");
}

static gllm_status fill_status(gllm_client *c, struct status *s, gllm_error *err) {
    size_t n = 0;
    for (const struct slot *k = c->slots; k; k = k->next) n += !k->removed;
    gllm_model_status *models = arena_array(&s->arena, n, sizeof *models);
    if (!models) return err_nomem(err, "status");
    s->base = (gllm_client_status){.models = models, .memory_budget = c->memory_budget};
    for (struct slot *k = c->slots; k; k = k->next) {
        if (k->removed) continue;
        gllm_model_status *m = &models[s->base.count++];
        TRY(fill_model(k, &s->arena, m, err));
        s->base.memory_bytes += m->memory_bytes;
    }
    return GLLM_OK;
}

gllm_status gllm_client_get_status(gllm_client *c, gllm_client_status **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_client_get_status: out is NULL");
    *out = NULL;
    if (!c) return err_set(err, GLLM_INVALID, "gllm_client_get_status: client is NULL");
    TRY(client_enter(c, err));
    struct status *s = calloc(1, sizeof *s);
    gllm_status status = s ? GLLM_OK : err_nomem(err, "status");
    if (s) {
        pthread_mutex_lock(&c->lock);
        status = fill_status(c, s, err);
        pthread_mutex_unlock(&c->lock);
    }
    client_leave(c);
    if (status != GLLM_OK) gllm_client_status_free(s ? &s->base : NULL);
    else *out = &s->base;
    return status;
}

gllm_status gllm_client_describe(gllm_client *c, const char *model, gllm_client_info *out, gllm_error *err) {
    struct use u;
    if (!c || !out || !out->struct_size) return err_set(err, GLLM_INVALID, "gllm_client_describe: a client and out with its struct_size set are required");
    TRY(client_use(c, model, &u, err));
    const struct model *m = u.model;
    const struct slot *s = u.slot;
    gllm_client_info info = {.struct_size = out->struct_size, .model = s->name, .path = s->path, .backend = s->backend, .device = s->caps.device, .isa = s->caps.detail,
                             .precision = s->caps.precision, .threads = s->caps.threads, .dim = m->head.dim, .max_tokens = m->files.max_tokens, .normalize = m->head.normalize, .load_ms = s->load_ms,
                             .n_ctx = model_files_cached(&m->files) ? engine_options_of(u.engine)->n_ctx : 0};
    memcpy(out, &info, out->struct_size < sizeof info ? out->struct_size : sizeof info);
    client_release(&u);
    return GLLM_OK;
}
