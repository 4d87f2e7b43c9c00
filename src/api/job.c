#include "api/job.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"

void gllm_submit_init_sized(gllm_submit *s, size_t size) {
    const gllm_submit full = {.struct_size = size};
    api_init_sized(s, size, &full, sizeof full);
}

/* ---- its life ---- */

void *job_new(const struct job_kind *kind, gllm_client *c, const char *model) {
    gllm_job *j = calloc(1, kind->size);
    pthread_condattr_t steady;
    if (!j) return NULL;
    *j = (gllm_job){.kind = kind, .client = c, .model = model, .called = clock_ms()};
    atomic_init(&j->refs, 1);
    client_ref(c);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&j->tell, &steady);
    pthread_condattr_destroy(&steady);
    return j;
}

static void ref(gllm_job *j) { atomic_fetch_add(&j->refs, 1); }
static void unref(gllm_job *j) {
    if (atomic_fetch_sub(&j->refs, 1) != 1) return;
    j->kind->drop(j);
    if (j->result) j->kind->free_result(j->result);
    arena_free(&j->arena);
    pthread_cond_destroy(&j->tell);
    client_unref(j->client);
    free(j);
}

/* ---- the client's list of ended jobs; locked ---- */

static void signal_fd(gllm_client *c) {
    const ssize_t n = c->fd[1] >= 0 ? write(c->fd[1], "", 1) : 0;
    (void)n; /* an empty pipe takes a byte */
}
static void quiet_fd(gllm_client *c) {
    char byte;
    const ssize_t n = c->fd[0] >= 0 ? read(c->fd[0], &byte, 1) : 0;
    (void)n;
}

static void list(gllm_job *j) {
    gllm_client *c = j->client;
    if (!c->done) signal_fd(c);
    j->listed = true;
    j->next = NULL;
    *c->done_last = j;
    c->done_last = &j->next;
}

static void unlist(gllm_job *j) {
    gllm_client *c = j->client;
    gllm_job **at = &c->done;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    if (!*at) c->done_last = at;
    j->listed = false;
    if (!c->done) quiet_fd(c);
}

void jobs_forget(gllm_client *c) {
    while (c->done) unlist(c->done);
}

gllm_job *gllm_client_next_done(gllm_client *c) {
    if (!c) return NULL;
    pthread_mutex_lock(&c->lock);
    gllm_job *j = c->done;
    if (j) unlist(j);
    pthread_mutex_unlock(&c->lock);
    return j;
}

static gllm_status open_fd(gllm_client *c, gllm_error *err) {
    if (c->fd[0] >= 0) return GLLM_OK;
    if (pipe(c->fd)) {
        c->fd[0] = c->fd[1] = -1;
        return err_set(err, GLLM_IO, "the client's pipe: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        fcntl(c->fd[i], F_SETFD, FD_CLOEXEC);
        fcntl(c->fd[i], F_SETFL, O_NONBLOCK);
    }
    if (c->done) signal_fd(c);
    return GLLM_OK;
}

gllm_status gllm_client_fd(gllm_client *c, int *fd, gllm_error *err) {
    if (!c || !fd) return err_set(err, GLLM_INVALID, "gllm_client_fd: a client and fd are required");
    *fd = -1;
    TRY(client_enter(c, err));
    pthread_mutex_lock(&c->lock);
    gllm_status status = open_fd(c, err);
    *fd = c->fd[0];
    pthread_mutex_unlock(&c->lock);
    client_leave(c);
    return status;
}

/* ---- from start to end ---- */

/* The run is over: with a result, or with an error. */
static void end(gllm_job *j, gllm_status status, const gllm_error *err) {
    gllm_client *c = j->client;
    struct use use = j->use;
    pthread_mutex_lock(&c->lock);
    j->ended = true;
    if (status != GLLM_OK) j->error = *err, j->error.status = status;
    gllm_job *handle = j->freed ? NULL : j;
    pthread_mutex_unlock(&c->lock);
    if (j->how.on_done) j->how.on_done(j->how.user, handle);
    if (use.engine) engine_leave(use.engine);
    pthread_mutex_lock(&c->lock);
    use.slot->last_used = clock_ms();
    client_let_go(use.slot);
    j->told = true;
    if (j->how.notify && !j->freed) list(j);
    pthread_cond_broadcast(&j->tell);
    pthread_mutex_unlock(&c->lock);
    unref(j);
}

/* The error of a model that goes: an engine does not know why it closes. */
static gllm_status why_closed(const gllm_job *j, gllm_error *err) {
    pthread_mutex_lock(&j->client->lock);
    const gllm_status status = slot_closed(j->use.slot, err);
    pthread_mutex_unlock(&j->client->lock);
    return status;
}

static void task_done(struct task *t) {
    gllm_job *j = t->user;
    gllm_error err = t->error;
    gllm_status status = t->status;
    if (status == GLLM_OK) status = j->kind->finish(j, &err);
    if (status == GLLM_CLOSED) status = why_closed(j, &err);
    end(j, status, &err);
}

void job_bind(gllm_job *j, struct task *t) {
    t->done = task_done, t->user = j, t->caller = j->how.caller, t->deadline = j->deadline;
    j->task = t;
}

double job_queue_ms(const gllm_job *j) { return j->before_ms + j->task->queue_ms; }

static bool is_canceled(gllm_job *j) {
    pthread_mutex_lock(&j->client->lock);
    const bool canceled = j->canceled;
    pthread_mutex_unlock(&j->client->lock);
    return canceled;
}

static gllm_status canceled(gllm_error *err) { return err_set(err, GLLM_CANCELED, "canceled before it began"); }
static gllm_status timed_out(const gllm_job *j, gllm_error *err) {
    return err_set(err, GLLM_TIMEOUT, "timed out after %lld ms, while the model was loaded", (long long)j->how.timeout_ms);
}

/* Hands it to the engine, which it has entered. On success its end comes, or came already. */
static gllm_status start(gllm_job *j, gllm_error *err) {
    if (is_canceled(j)) return canceled(err);
    if (j->deadline > 0 && clock_ms() >= j->deadline) return timed_out(j, err);
    j->before_ms = clock_ms() - j->called;
    ref(j); /* the end may drop the others */
    gllm_status status = j->kind->submit(j, err);
    pthread_mutex_lock(&j->client->lock);
    j->submitted = status == GLLM_OK;
    if (j->submitted && j->canceled && !j->ended) engine_cancel(j->use.engine, j->task);
    pthread_mutex_unlock(&j->client->lock);
    unref(j);
    return status;
}

/* ---- behind a load ---- */

static gllm_status wait_for_load(gllm_job *j, gllm_error *err) {
    struct slot *s = j->use.slot;
    const uint32_t most = api_max_queue(&s->opt);
    if (slot_failure_is_fresh(s)) return client_take_engine(&j->use, err);
    if (s->n_waiting >= most) return err_set(err, GLLM_BUSY, "the queue is full: %u jobs wait", most);
    TRY(keeper_start(j->client, err));
    if (s->state != GLLM_MODEL_LOADING) TRY(slot_start_load(s, err));
    *s->waiting_last = j;
    s->waiting_last = &j->next;
    s->n_waiting++;
    pthread_cond_signal(&j->client->keep); /* it has a deadline, perhaps */
    return GLLM_OK;
}

static gllm_job *take_waiting(struct slot *s, gllm_job **at) {
    gllm_job *j = *at;
    *at = j->next;
    if (!*at) s->waiting_last = at;
    s->n_waiting--;
    return j;
}

static void go_on(gllm_job *j) {
    gllm_client *c = j->client;
    gllm_error err = {0};
    pthread_mutex_lock(&c->lock);
    gllm_status status = client_take_engine(&j->use, &err);
    pthread_mutex_unlock(&c->lock);
    if (status == GLLM_OK) status = start(j, &err);
    if (status != GLLM_OK) end(j, status, &err);
}

void jobs_loaded(struct slot *s) {
    pthread_mutex_lock(&s->client->lock);
    while (s->waiting && s->state != GLLM_MODEL_LOADING) { /* those who ask for the next load wait for that */
        gllm_job *j = take_waiting(s, &s->waiting);
        pthread_mutex_unlock(&s->client->lock);
        go_on(j);
        pthread_mutex_lock(&s->client->lock);
    }
    pthread_mutex_unlock(&s->client->lock);
}

/* Why a job that waits ends now; GLLM_OK: it goes on waiting. */
static gllm_status must_end(const gllm_job *j, double now, gllm_error *err) {
    if (slot_gone(j->use.slot)) return slot_closed(j->use.slot, err);
    if (j->canceled) return canceled(err);
    return j->deadline > 0 && now >= j->deadline ? timed_out(j, err) : GLLM_OK;
}

bool jobs_end_waiting(struct slot *s, double *next) {
    gllm_error err = {0};
    for (gllm_job **at = &s->waiting; *at; at = &(*at)->next) {
        const gllm_status status = must_end(*at, clock_ms(), &err);
        if (status != GLLM_OK) {
            gllm_job *j = take_waiting(s, at);
            pthread_mutex_unlock(&s->client->lock);
            end(j, status, &err);
            pthread_mutex_lock(&s->client->lock);
            return true;
        }
        if ((*at)->deadline > 0) *next = fmin(*next, (*at)->deadline);
    }
    return false;
}

/* ---- calls that wait, and calls that do not ---- */

static void await(gllm_job *j) {
    pthread_mutex_lock(&j->client->lock);
    while (!j->told) pthread_cond_wait(&j->tell, &j->client->lock);
    pthread_mutex_unlock(&j->client->lock);
}

/* Starts a run, with its reference. On failure there was none. */
static gllm_status start_run(gllm_job *j, gllm_error *err) {
    ref(j);
    gllm_status status = start(j, err);
    if (status == GLLM_OK) return GLLM_OK;
    client_release(&j->use);
    unref(j);
    return status;
}

gllm_status job_call(gllm_job *j, void **result, gllm_error *err) {
    *result = NULL;
    gllm_status status = client_refuse_wait(j->client, err);
    if (status == GLLM_OK) status = client_use(j->client, j->model, &j->use, err);
    if (status == GLLM_OK) status = start_run(j, err);
    if (status == GLLM_OK) {
        await(j);
        status = job_take(j, j->kind, result, err);
    }
    unref(j);
    return status;
}

static gllm_status take_how(gllm_job *j, const gllm_submit *how, gllm_error *err) {
    gllm_submit_init(&j->how);
    if (!how) return GLLM_OK;
    if (!how->struct_size) return err_set(err, GLLM_INVALID, "gllm_submit was not set by gllm_submit_init");
    TRY(api_copy_sized("gllm_submit", &j->how, sizeof j->how, how, how->struct_size, err));
    if (j->how.timeout_ms < 0) return err_set(err, GLLM_INVALID, "timeout_ms: found %lld, expected 0 or more", (long long)j->how.timeout_ms);
    if (j->how.timeout_ms) j->deadline = j->called + (double)j->how.timeout_ms;
    return GLLM_OK;
}

/* The model, or a place behind its load, which is then the run's reference; *ready false. */
static gllm_status find_model(gllm_job *j, bool *ready, gllm_error *err) {
    gllm_client *c = j->client;
    struct use *u = &j->use;
    pthread_mutex_lock(&c->lock);
    gllm_status status = client_find(c, j->model, &u->slot, err);
    if (status == GLLM_OK) {
        client_hold(u->slot);
        *ready = u->slot->state == GLLM_MODEL_READY;
        if (!*ready) ref(j);
        status = *ready ? client_take_engine(u, err) : wait_for_load(j, err);
        if (status != GLLM_OK) client_let_go(u->slot);
        if (status != GLLM_OK && !*ready) atomic_fetch_sub(&j->refs, 1); /* the handle is left */
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

gllm_status job_post(gllm_job *j, const gllm_submit *how, gllm_job **out, gllm_error *err) {
    bool ready = false;
    gllm_status status = take_how(j, how, err);
    if (status == GLLM_OK) status = j->kind->copy(j, err);
    *out = j; /* it may have ended before this returns */
    if (status == GLLM_OK) status = find_model(j, &ready, err);
    if (status == GLLM_OK && ready) status = start_run(j, err);
    if (status == GLLM_OK) return GLLM_OK;
    *out = NULL;
    unref(j);
    return status;
}

/* ---- handles ---- */

static void cancel(gllm_job *j) {
    if (j->canceled || j->ended) return;
    j->canceled = true;
    if (j->submitted) engine_cancel(j->use.engine, j->task);
    else pthread_cond_signal(&j->client->keep); /* it may wait for a load */
}

void gllm_job_cancel(gllm_job *j) {
    if (!j) return;
    pthread_mutex_lock(&j->client->lock);
    cancel(j);
    pthread_mutex_unlock(&j->client->lock);
}

void *gllm_job_user(const gllm_job *j) { return j ? j->how.user : NULL; }

void gllm_job_free(gllm_job *j) {
    if (!j) return;
    pthread_mutex_lock(&j->client->lock);
    const bool again = j->freed; /* in on_done, when its owner was faster; the run's reference still holds it */
    j->freed = true;
    if (j->listed) unlist(j);
    cancel(j);
    pthread_mutex_unlock(&j->client->lock);
    if (!again) unref(j);
}

/* Until it has ended and its on_done has returned; false: `until` came first. */
static bool wait_until(gllm_job *j, double until) {
    const struct timespec t = clock_time(until == INFINITY ? 0 : until);
    int failed = 0;
    while (!j->told && !failed) failed = until == INFINITY ? pthread_cond_wait(&j->tell, &j->client->lock) : pthread_cond_timedwait(&j->tell, &j->client->lock, &t);
    return j->told;
}

gllm_status gllm_job_wait(gllm_job *j, int64_t timeout_ms) {
    if (!j) return GLLM_INVALID;
    const bool look = timeout_ms == 0, own = client_is_own_thread(j->client);
    const double until = timeout_ms < 0 ? INFINITY : clock_ms() + (double)timeout_ms;
    pthread_mutex_lock(&j->client->lock);
    const bool ended = own ? j->ended : look ? j->told : wait_until(j, until);
    pthread_mutex_unlock(&j->client->lock);
    return ended ? GLLM_OK : own && !look ? GLLM_INVALID : GLLM_TIMEOUT;
}

static gllm_status take(gllm_job *j, const struct job_kind *kind, void **result, gllm_error *err) {
    if (j->kind != kind) return err_set(err, GLLM_INVALID, "the job is of another kind than what is taken from it");
    if (!j->ended) return err_set(err, GLLM_TIMEOUT, "the job has not ended");
    if (j->error.status != GLLM_OK) {
        if (err) *err = j->error;
        return j->error.status;
    }
    if (j->taken) return err_set(err, GLLM_INVALID, "the job's result was taken before");
    *result = j->result;
    j->result = NULL;
    j->taken = true;
    return GLLM_OK;
}

gllm_status job_take(gllm_job *j, const struct job_kind *kind, void **result, gllm_error *err) {
    *result = NULL;
    if (!j) return err_set(err, GLLM_INVALID, "the job is NULL");
    pthread_mutex_lock(&j->client->lock);
    gllm_status status = take(j, kind, result, err);
    pthread_mutex_unlock(&j->client->lock);
    return status;
}

/* ---- copies of requests ---- */

gllm_status job_copy_str(gllm_job *j, gllm_str *s, gllm_error *err) {
    if (!s->ptr) return GLLM_OK;
    s->len = api_str_len(*s);
    s->ptr = arena_strndup(&j->arena, s->ptr, s->len);
    return s->ptr ? GLLM_OK : err_nomem(err, "request");
}

gllm_status job_copy_strs(gllm_job *j, const gllm_str **texts, size_t n, gllm_error *err) {
    gllm_str *copy = arena_array(&j->arena, n, sizeof *copy);
    if (!*texts) return GLLM_OK;
    if (!copy) return err_nomem(err, "request");
    for (size_t i = 0; i < n; i++) {
        copy[i] = (*texts)[i];
        TRY(job_copy_str(j, &copy[i], err));
    }
    *texts = copy;
    return GLLM_OK;
}

gllm_status job_copy_text(gllm_job *j, const char **text, gllm_error *err) {
    if (!*text || (*text = arena_strdup(&j->arena, *text))) return GLLM_OK;
    return err_nomem(err, "request");
}
