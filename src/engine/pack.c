#include "engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/worker.h"

void packed_free(struct packed *p) {
    free(p->ids);
    free(p->types);
    free(p->start);
    free(p->seen);
    *p = (struct packed){0};
}

static bool reserve(struct packed *p, size_t tokens) {
    if (p->n + 2 > p->room) {
        const size_t room = 2 * p->room + 64;
        size_t *start = realloc(p->start, room * sizeof *start);
        if (!start) return false;
        if (!p->start) start[0] = 0;
        p->start = start;
        uint32_t *seen = realloc(p->seen, room * sizeof *seen);
        if (!seen) return false;
        p->seen = seen;
        p->room = room;
    }
    const size_t need = p->start[p->n] + tokens;
    if (need <= p->capacity) return true;
    int32_t *ids = realloc(p->ids, 2 * need * sizeof *ids);
    if (ids) p->ids = ids;
    uint8_t *types = realloc(p->types, 2 * need);
    if (types) p->types = types;
    if (!ids || !types) return false;
    p->capacity = 2 * need;
    return true;
}

gllm_status packed_add(struct packed *p, const struct encoding *e, gllm_error *err) {
    if (!reserve(p, e->count)) return err_nomem(err, "tokens");
    const size_t at = p->start[p->n];
    if (e->count) {
        memcpy(p->ids + at, e->ids, e->count * sizeof *e->ids);
        memcpy(p->types + at, e->types, e->count);
    }
    p->seen[p->n] = 0;
    p->start[++p->n] = at + e->count;
    return GLLM_OK;
}

gllm_status packed_append(struct packed *p, const int32_t *ids, uint32_t n, gllm_error *err) {
    if (!reserve(p, n)) return err_nomem(err, "tokens");
    const size_t at = p->start[p->n];
    if (n) {
        memcpy(p->ids + at, ids, n * sizeof *ids);
        memset(p->types + at, 0, n);
    }
    p->start[p->n] = at + n;
    return GLLM_OK;
}

/* ---- which texts: locked ---- */

static struct packed_run *run_of(const struct task *t) { return t->work; }
static uint32_t outputs_of(const struct packed_run *r) { return r->outputs ? r->outputs : OUTPUT_DENSE; }
static size_t text_tokens(const struct packed_run *r, size_t text) { return r->packed.start[text + 1] - r->packed.start[text]; }

struct choice { /* what goes together in one forward */
    const struct text_batch *batch;
    const struct packed_run *like; /* NULL: any */
};
static bool can_join(const void *arg, const struct task *t) {
    const struct choice *c = arg;
    const struct packed_run *r = run_of(t);
    const bool ordered = r->more || r->progress;
    return (!c->like || (r->pooling == c->like->pooling && outputs_of(r) == outputs_of(c->like))) && (!ordered || !r->in_flight || r->holder == c->batch);
}

static struct text_share *share_of(struct text_batch *b, struct task *t) {
    for (size_t i = b->n_shares; i > 0; i--)
        if (b->shares[i - 1].task == t) return &b->shares[i - 1];
    b->shares[b->n_shares] = (struct text_share){.task = t};
    return &b->shares[b->n_shares++];
}

/* The task's next text into the batch; its caller had its turn. */
static void take_text(struct engine *e, struct text_batch *b, struct task *t) {
    struct packed_run *r = run_of(t);
    struct turns *q = &e->turns[TASK_TEXTS];
    task_begin(e, t);
    b->n_tok += text_tokens(r, r->taken);
    b->pieces[b->n++] = (struct text_piece){t, r->taken++};
    share_of(b, t)->n++;
    r->in_flight++;
    r->holder = b;
    turns_pass(q, t);
    if (r->taken == r->packed.n) turns_remove(q, t);
}

static void fill_batch(struct engine *e, struct text_batch *b) {
    const uint32_t budget = b->budget ? b->budget : e->opt.max_batch_tokens;
    struct choice c = {.batch = b};
    b->n = b->n_shares = b->n_tok = 0;
    for (struct task *t; (t = turns_find(&e->turns[TASK_TEXTS], can_join, &c)); c.like = run_of(t)) {
        const struct packed_run *r = run_of(t);
        if (b->n && (b->n_tok + text_tokens(r, r->taken) > budget || b->n == b->room)) return;
        take_text(e, b, t);
    }
}

bool texts_drop(struct engine *e, struct task *t) {
    struct packed_run *r = run_of(t);
    if (r->taken < r->packed.n) turns_remove(&e->turns[TASK_TEXTS], t);
    r->taken = r->packed.n;
    return r->in_flight;
}

/* Its first error counts. Unlocked. */
static void fail(struct engine *e, struct task *t, const gllm_error *error) {
    pthread_mutex_lock(&e->lock);
    if (t->status == GLLM_OK) t->status = error->status, t->error = *error;
    texts_drop(e, t);
    pthread_mutex_unlock(&e->lock);
}

/* ---- one forward: unlocked ---- */

static float *floats(bool wanted, size_t rows, size_t cols, bool *failed) {
    float *p = wanted ? malloc((rows * cols + 1) * sizeof *p) : NULL;
    *failed |= wanted && !p;
    return p;
}

struct pass { /* pieces [0, n) as one packed forward */
    int32_t *ids;
    uint8_t *types;
    uint32_t *starts, *pool_from, *seen;
    struct outputs out;
};
static void pass_free(struct pass *p) {
    void *all[] = {p->ids, p->types, p->starts, p->pool_from, p->seen, p->out.dense, p->out.sparse, p->out.tokens};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static gllm_status pass_new(struct pass *p, const struct model *m, const struct text_piece *pieces, size_t n, gllm_error *err) {
    const struct packed_run *like = run_of(pieces->task);
    size_t n_tok = 0;
    bool failed = false;
    for (size_t i = 0; i < n; i++) n_tok += text_tokens(run_of(pieces[i].task), pieces[i].text);
    *p = (struct pass){.ids = malloc((n_tok + 1) * sizeof *p->ids), .types = malloc(n_tok + 1), .starts = malloc((n + 1) * sizeof *p->starts), .pool_from = malloc((n + 1) * sizeof *p->pool_from),
                       .seen = malloc((n + 1) * sizeof *p->seen), .out.wanted = outputs_of(like)};
    p->out.dense = floats(p->out.wanted & OUTPUT_DENSE, n, like->dim, &failed);
    p->out.sparse = floats(p->out.wanted & OUTPUT_SPARSE, 1, outputs_sparse_floats(m, (uint32_t)n_tok, (uint32_t)n), &failed);
    p->out.tokens = floats(p->out.wanted & OUTPUT_TOKENS, n_tok, m->files.outputs.token_dim, &failed);
    if (failed || !p->ids || !p->types || !p->starts || !p->pool_from || !p->seen) return err_nomem(err, "batch");
    p->starts[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const struct packed *from = &run_of(pieces[i].task)->packed;
        const size_t first = from->start[pieces[i].text], count = from->start[pieces[i].text + 1] - first;
        if (count) memcpy(p->ids + p->starts[i], from->ids + first, count * sizeof *p->ids);
        if (count) memcpy(p->types + p->starts[i], from->types + first, count);
        p->starts[i + 1] = p->starts[i] + (uint32_t)count;
        p->pool_from[i] = from->pool_from;
        p->seen[i] = from->seen[pieces[i].text];
    }
    return GLLM_OK;
}

static void hand_over(struct engine *e, const struct model *m, const struct text_piece *pieces, size_t n, const struct pass *p) {
    const size_t per_tok = m->files.outputs.token_dim, of_seq = outputs_sparse_floats(m, 0, 1), of_tok = outputs_sparse_floats(m, 1, 0); /* one of them 0 */
    const struct outputs *o = &p->out;
    for (size_t i = 0; i < n; i++) {
        const struct packed_run *r = run_of(pieces[i].task);
        const uint32_t at = p->starts[i];
        gllm_error error;
        if (o->wanted & OUTPUT_DENSE) r->each(r->user, pieces[i].text, o->dense + i * r->dim);
        const struct text_outputs text = {.n_tok = p->starts[i + 1] - at, .ids = p->ids + at, .sparse = o->sparse ? o->sparse + i * of_seq + at * of_tok : NULL,
                                          .tokens = o->tokens ? o->tokens + at * per_tok : NULL};
        if (o->wanted & ~OUTPUT_DENSE && r->more(r->user, pieces[i].text, &text, &error) != GLLM_OK) fail(e, pieces[i].task, &error);
    }
}

static gllm_status forward(struct worker *w, const struct text_piece *pieces, size_t n, gllm_error *err) {
    struct pass p;
    gllm_status status = pass_new(&p, w->model, pieces, n, err);
    if (status == GLLM_OK) {
        const struct batch b = {.n_tok = p.starts[n], .n_seq = (uint32_t)n, .tokens = p.ids, .types = p.types, .starts = p.starts, .pool_from = p.pool_from, .seen = p.seen};
        status = model_run_outputs(w->model, &b, run_of(pieces->task)->pooling, &p.out, err);
        if (status == GLLM_OK) engine_count(w->engine, b.n_tok, b.n_seq);
    }
    if (status == GLLM_OK) hand_over(w->engine, w->model, pieces, n, &p);
    pass_free(&p);
    return status;
}

/* Memory ran out: forwards become smaller, and grow again while all goes well. */
static void lower_budget(struct worker *w, size_t n_tok) {
    struct text_batch *b = &w->batch;
    b->budget = n_tok > 2 ? (uint32_t)n_tok / 2 : 1;
    b->good = 0;
    w->model->backend->ops->trim(w->model->backend);
    log_line(&w->model->log, GLLM_LOG_WARN, "out of memory in a forward of %zu tokens: at most %u from now on", n_tok, b->budget);
}
static void raise_budget(struct worker *w) {
    enum { GOOD_FORWARDS = 32 };
    struct text_batch *b = &w->batch;
    if (!b->budget || ++b->good < GOOD_FORWARDS) return;
    b->good = 0;
    b->budget = b->budget < w->engine->opt.max_batch_tokens / 2 ? 2 * b->budget : 0;
}

static bool all_failed(struct engine *e, const struct text_piece *pieces, size_t n) {
    bool failed = true;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; failed && i < n; i++) failed = pieces[i].task->status != GLLM_OK;
    pthread_mutex_unlock(&e->lock);
    return failed;
}

/* A forward that fails is done again in halves, until the text stands alone whose task it is to fail. */
static void run_pieces(struct worker *w, const struct text_piece *pieces, size_t n) {
    gllm_error error = {0};
    if (all_failed(w->engine, pieces, n)) return;
    const gllm_status status = forward(w, pieces, n, &error);
    if (status == GLLM_OK) return;
    if (n == 1) {
        fail(w->engine, pieces->task, &error);
        return;
    }
    size_t n_tok = 0;
    for (size_t i = 0; i < n; i++) n_tok += text_tokens(run_of(pieces[i].task), pieces[i].text);
    if (status == GLLM_NOMEM) lower_budget(w, n_tok);
    run_pieces(w, pieces, n / 2);
    run_pieces(w, pieces + n / 2, n - n / 2);
}

/* ---- after a forward ---- */

static void tell(struct engine *e, const struct text_share *s) {
    const struct packed_run *r = run_of(s->task);
    const size_t done = r->done + s->n, n = r->packed.n;
    gllm_error error;
    if (!r->progress || all_failed(e, &(struct text_piece){.task = s->task}, 1) || r->progress(r->progress_user, done, n) || done == n) return;
    err_set(&error, GLLM_CANCELED, "canceled after %zu of %zu texts", done, n);
    fail(e, s->task, &error);
}

/* Gives the texts back; those tasks that are whole or failed end. */
static void settle(struct engine *e, struct text_batch *b, double ms) {
    size_t n_ended = 0;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < b->n_shares; i++) {
        struct packed_run *r = run_of(b->shares[i].task);
        r->compute_ms += ms;
        r->done += b->shares[i].n;
        r->in_flight -= b->shares[i].n;
        if (!r->in_flight && r->taken == r->packed.n) b->shares[n_ended++] = b->shares[i];
    }
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < n_ended; i++) task_end(e, b->shares[i].task);
}

bool texts_round(struct worker *w) {
    struct engine *e = w->engine;
    struct text_batch *b = &w->batch;
    fill_batch(e, b);
    if (!b->n) return false;
    if (e->turns[TASK_TEXTS].first) pthread_cond_signal(&e->arrived); /* for another worker */
    pthread_mutex_unlock(&e->lock);
    const double begin = clock_ms();
    run_pieces(w, b->pieces, b->n);
    raise_budget(w);
    const double ms = clock_ms() - begin;
    for (size_t i = 0; i < b->n_shares; i++) tell(e, &b->shares[i]);
    settle(e, b, ms);
    pthread_mutex_lock(&e->lock);
    return true;
}

gllm_status text_batch_init(struct text_batch *b, uint32_t max_batch_tokens, gllm_error *err) {
    enum { MAX_TEXTS = 65536 };
    b->room = max_batch_tokens < MAX_TEXTS ? max_batch_tokens : MAX_TEXTS;
    b->pieces = calloc(b->room + 1, sizeof *b->pieces);
    b->shares = calloc(b->room + 1, sizeof *b->shares);
    return b->pieces && b->shares ? GLLM_OK : err_nomem(err, "engine");
}

void text_batch_free(struct text_batch *b) {
    free(b->pieces);
    free(b->shares);
}

static void end_run(struct task *t) {
    struct packed_run *r = run_of(t);
    packed_free(&r->packed);
    r->end(t);
}

gllm_status packed_submit(struct engine *e, struct task *t, struct packed_run *r, gllm_error *err) {
    static const struct task_kind KIND = {.class = TASK_TEXTS, .end = end_run};
    gllm_status status = r->packed.n ? engine_submit(e, t, &KIND, r, err) : err_set(err, GLLM_INVALID, "found no texts, expected at least one");
    if (status != GLLM_OK) packed_free(&r->packed);
    return status;
}
