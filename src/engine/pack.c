#include "engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/tasks.h"

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

static gllm_status hand_over(struct model *m, const struct packed_run *r, const struct batch *b, const struct outputs *o, size_t first, gllm_error *err) {
    const size_t per_tok = m->files.outputs.token_dim, of_seq = outputs_sparse_floats(m, 0, 1), of_tok = outputs_sparse_floats(m, 1, 0); /* one of them 0 */
    for (uint32_t i = 0; i < b->n_seq; i++) {
        const uint32_t at = b->starts[i];
        if (o->wanted & OUTPUT_DENSE) r->each(r->user, first + i, o->dense + (size_t)i * r->dim);
        const struct text_outputs text = {.n_tok = b->starts[i + 1] - at, .ids = b->tokens + at, .sparse = o->sparse ? o->sparse + i * of_seq + at * of_tok : NULL,
                                          .tokens = o->tokens ? o->tokens + at * per_tok : NULL};
        if (o->wanted & ~OUTPUT_DENSE) TRY(r->more(r->user, first + i, &text, err));
    }
    return GLLM_OK;
}

static float *floats(bool wanted, size_t rows, size_t cols, bool *failed) {
    float *p = wanted ? malloc((rows * cols + 1) * sizeof *p) : NULL;
    *failed |= wanted && !p;
    return p;
}

/* Texts [first, last) as one packed forward. */
static gllm_status run_batch(struct model *m, const struct packed_run *r, size_t first, size_t last, gllm_error *err) {
    const struct packed *p = &r->packed;
    const size_t n = last - first, base = p->start[first], n_tok = p->start[last] - base;
    struct outputs o = {.wanted = r->outputs ? r->outputs : OUTPUT_DENSE};
    bool failed = false;
    uint32_t *starts = malloc((2 * n + 1) * sizeof *starts);
    o.dense = floats(o.wanted & OUTPUT_DENSE, n, r->dim, &failed);
    o.sparse = floats(o.wanted & OUTPUT_SPARSE, 1, outputs_sparse_floats(m, (uint32_t)n_tok, (uint32_t)n), &failed);
    o.tokens = floats(o.wanted & OUTPUT_TOKENS, n_tok, m->files.outputs.token_dim, &failed);
    gllm_status status = starts && !failed ? GLLM_OK : err_nomem(err, "batch");
    if (status == GLLM_OK) {
        for (size_t i = 0; i <= n; i++) starts[i] = (uint32_t)(p->start[first + i] - base);
        for (size_t i = 0; i < n; i++) starts[n + 1 + i] = p->pool_from;
        struct batch b = {.n_tok = starts[n], .n_seq = (uint32_t)n, .tokens = p->ids + base, .types = p->types + base, .starts = starts, .pool_from = starts + n + 1, .seen = p->seen + first};
        status = model_run_outputs(m, &b, r->pooling, &o, err);
        if (status == GLLM_OK) status = hand_over(m, r, &b, &o, first, err);
    }
    free(starts);
    free(o.dense);
    free(o.sparse);
    free(o.tokens);
    return status;
}

static gllm_status run_all(struct engine *e, struct model *m, struct task *t, gllm_error *err) {
    struct packed_run *r = t->work;
    const size_t *start = r->packed.start, n = r->packed.n, budget = engine_options_of(e)->max_batch_tokens;
    for (size_t first = 0, last; first < n; first = last) {
        for (last = first + 1; last < n && start[last + 1] - start[first] <= budget && last - first < budget; last++) {}
        double begin = clock_ms();
        TRY(run_batch(m, r, first, last, err));
        r->compute_ms += clock_ms() - begin;
        if (r->progress && !r->progress(r->progress_user, last, n) && last < n) return err_set(err, GLLM_CANCELED, "canceled after %zu of %zu texts", last, n);
    }
    return GLLM_OK;
}

static void end_run(struct task *t) {
    struct packed_run *r = t->work;
    packed_free(&r->packed);
    r->end(t);
}

gllm_status packed_submit(struct engine *e, struct task *t, struct packed_run *r, gllm_error *err) {
    static const struct task_kind KIND = {run_all, end_run};
    gllm_status status = engine_submit(e, t, &KIND, r, err);
    if (status != GLLM_OK) packed_free(&r->packed);
    return status;
}
