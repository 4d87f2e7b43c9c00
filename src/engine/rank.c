#include "engine/rank.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/generate.h"
#include "engine/pack.h"
#include "engine/rank_list.h"
#include "engine/worker.h"
#include "model/decoder.h"

enum { ADVISED_TOKENS = 8192 };

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t rank_limit(const struct engine *e) { return smaller(smaller(ADVISED_TOKENS, engine_model(e)->files.max_tokens), engine_context(e)); }

/* ---- on the worker ---- */

struct step { /* documents [first, first + n) are in it; only the last may go on in the next step */
    struct decoder_item items[ENGINE_SEQUENCES];
    struct kv_seq *carried; /* of document `first`, begun in an earlier step; NULL: none */
    size_t first;
    uint32_t n;
};
struct pairs { /* one call */
    struct rank_call *c;
    struct packed packed;
    uint32_t n_shared; /* tokens with which all prompts begin */
    struct kv_seq *shared; /* that computes them; NULL: not yet, or they are in the cache */
    bool begun;
    struct step step;
};

static const int32_t *tokens_of(const struct pairs *p, size_t i, uint32_t *n) {
    *n = (uint32_t)(p->packed.start[i + 1] - p->packed.start[i]);
    return p->packed.ids + p->packed.start[i];
}

/* What all prompts begin with goes into the cache, where kv_begin finds it: a step of that. */
static gllm_status compute_shared(struct engine *e, struct decoder *d, struct pairs *p, gllm_error *err) {
    uint32_t n;
    const int32_t *ids = tokens_of(p, 0, &n);
    const float *none;
    if (!p->begun) TRY(kv_begin(decoder_kv(d), ids, p->n_shared + 1, &p->shared, err));
    p->begun = true;
    if (p->shared->n_tok < p->n_shared) {
        const struct decoder_item item = {p->shared, ids + p->shared->n_tok, smaller(p->n_shared - p->shared->n_tok, decoder_options_of(d)->max_tok), 0};
        TRY(decoder_rank(d, &item, 1, NULL, &none, err));
        engine_count(e, item.n, 1);
    }
    if (p->shared->n_tok < p->n_shared) return GLLM_OK;
    kv_end(decoder_kv(d), p->shared, true);
    p->shared = NULL;
    return GLLM_OK;
}

/* Adds the next document, as much of it as fits; false when the step is full. The first one always fits: a prompt is no longer than the cache. */
static gllm_status add_document(struct decoder *d, const struct pairs *p, struct step *s, uint32_t *room, uint32_t *pages, bool *added, gllm_error *err) {
    uint32_t n;
    const int32_t *ids = tokens_of(p, s->first + s->n, &n);
    struct kv_seq *seq = s->n ? NULL : s->carried;
    *added = false;
    if (!seq && p->c->unshared) TRY(kv_begin(decoder_kv(d), NULL, 0, &seq, err));
    else if (!seq) TRY(kv_begin(decoder_kv(d), ids, n, &seq, err));
    const uint32_t take = smaller(n - seq->n_tok, *room), need = (seq->n_tok + take - 1) / KV_PAGE + 1;
    if (s->n && need > *pages) {
        kv_end(decoder_kv(d), seq, false);
        return GLLM_OK;
    }
    s->items[s->n++] = (struct decoder_item){seq, ids + seq->n_tok, take, seq->n_tok + take == n};
    *room -= take;
    *pages -= smaller(need, *pages);
    *added = true;
    return GLLM_OK;
}

static gllm_status fill_step(struct decoder *d, const struct pairs *p, struct step *s, gllm_error *err) {
    const uint32_t free_pages = kv_free_pages(decoder_kv(d));
    uint32_t room = decoder_options_of(d)->max_tok, pages = smaller(decoder_page_room(d), free_pages);
    bool added = true;
    for (s->n = 0; added && room && s->n < ENGINE_SEQUENCES && s->first + s->n < p->c->n;) TRY(add_document(d, p, s, &room, &pages, &added, err));
    return GLLM_OK;
}

/* One forward over the documents of a step; those that are complete have their scores and give back their pages. */
static gllm_status run_step(struct engine *e, struct decoder *d, const struct pairs *p, struct step *s, gllm_error *err) {
    const struct ranker *r = &engine_model(e)->files.ranker;
    const float *values = NULL;
    uint32_t n_tok = 0;
    gllm_status status = fill_step(d, p, s, err);
    if (status == GLLM_OK) status = decoder_rank(d, s->items, s->n, NULL, &values, err);
    const bool whole = status == GLLM_OK && s->items[s->n - 1].n_out;
    for (uint32_t i = 0; i < s->n; i++) {
        const bool done = i + 1 < s->n || whole;
        n_tok += s->items[i].n;
        if (status == GLLM_OK && done) p->c->scores[s->first + i] = values[r->yes] - (r->no < 0 ? 0 : values[r->no]), values += r->n_out;
        if (status != GLLM_OK || done) kv_end(decoder_kv(d), s->items[i].seq, false);
    }
    if (status == GLLM_OK) engine_count(e, n_tok, s->n);
    if (s->n) s->carried = status == GLLM_OK && !whole ? s->items[s->n - 1].seq : NULL;
    s->first += status == GLLM_OK ? s->n - !whole : 0;
    return status;
}

static gllm_status step_pairs(struct engine *e, struct model *m, struct task *t, bool *more, gllm_error *err) {
    struct pairs *p = t->work;
    struct rank_call *c = p->c;
    const double start = clock_ms();
    TRY(engine_open_decoder(m, e, err));
    if (!c->unshared && (!p->begun || p->shared)) TRY(compute_shared(e, m->decoder, p, err));
    else {
        const size_t before = p->step.first;
        TRY(run_step(e, m->decoder, p, &p->step, err));
        const size_t done = p->step.first;
        *more = done < c->n;
        if (done > before && c->progress && !c->progress(c->progress_user, done, c->n) && *more) return err_set(err, GLLM_CANCELED, "canceled after %zu of %zu documents", done, c->n);
    }
    c->compute_ms += clock_ms() - start;
    return GLLM_OK;
}

static void leave_pairs(struct model *m, struct task *t) {
    struct pairs *p = t->work;
    if (!m->decoder) return;
    kv_end(decoder_kv(m->decoder), p->shared, false);
    kv_end(decoder_kv(m->decoder), p->step.carried, false);
}

/* ---- on the caller's thread ---- */

static gllm_status encode_pairs(const struct model_files *f, struct pairs *p, struct rank_prompt *prompt, uint32_t limit, gllm_error *err) {
    struct rank_call *c = p->c;
    struct encoding e = {0};
    gllm_status status = rank_prompt_open(prompt, f, &c->question, err);
    for (size_t i = 0; status == GLLM_OK && i < c->n; i++) {
        status = rank_prompt_encode(prompt, f, c->documents[i], limit, c->truncate == GLLM_TRUNCATE_START, &e, &c->query_cut[i], err);
        if (status == GLLM_OK) status = packed_add(&p->packed, &e, err);
        if (status == GLLM_OK) status = packed_append(&p->packed, prompt->tail, prompt->n_tail, err);
        if (status != GLLM_OK) status = err_wrap(err, status, "document %zu", i);
        c->tokens[i] = e.count + prompt->n_tail;
        c->full_tokens[i] = e.full_count + prompt->n_tail;
        if (status == GLLM_OK && !c->tokens[i]) status = err_set(err, GLLM_INVALID, "document %zu: found no token in it or its prompt, expected 1 or more", i);
        if (status == GLLM_OK && c->truncate == GLLM_TRUNCATE_NONE && c->full_tokens[i] > limit)
            status = err_set(err, GLLM_TOO_LONG, "document %zu has %u tokens with its prompt, expected at most %u", i, c->full_tokens[i], limit);
    }
    encoding_free(&e);
    return status;
}

/* At least one token of every prompt is left to compute. */
static uint32_t common_beginning(const struct pairs *p) {
    uint32_t n, shared;
    const int32_t *first = tokens_of(p, 0, &shared);
    shared--;
    for (size_t i = 1; i < p->c->n; i++) {
        const int32_t *ids = tokens_of(p, i, &n);
        uint32_t k = 0;
        while (k < shared && k + 1 < n && ids[k] == first[k]) k++;
        shared = k;
    }
    return shared;
}

static void pairs_free(struct pairs *p) {
    packed_free(&p->packed);
    free(p);
}
static void end_pairs(struct task *t) { pairs_free(t->work); }

static gllm_status rank_pairs(struct engine *e, struct rank_call *c, gllm_error *err) {
    static const struct task_kind KIND = {TASK_STEPS, step_pairs, leave_pairs, end_pairs};
    struct pairs *p = calloc(1, sizeof *p);
    struct rank_prompt prompt = {0};
    if (!p) return err_nomem(err, "documents");
    p->c = c, c->compute_ms = 0;
    gllm_status status = encode_pairs(&engine_model(e)->files, p, &prompt, rank_limit(e), err);
    if (status == GLLM_OK) p->n_shared = smaller(common_beginning(p), prompt.n_before);
    for (size_t i = 0; status == GLLM_OK && i < c->n; i++) c->task.cached = c->tokens[i] > c->task.cached ? c->tokens[i] : c->task.cached;
    rank_prompt_free(&prompt);
    if (status == GLLM_OK) status = engine_submit(e, &c->task, &KIND, p, err);
    if (status != GLLM_OK) pairs_free(p);
    return status;
}

static gllm_status check_model(const struct model_files *f, bool judge, gllm_error *err) {
    const struct ranker *r = &f->ranker;
    if (r->kind != RANKER_NONE) return GLLM_OK;
    if (!judge) return err_set(err, GLLM_UNSUPPORTED, "%s is a generator (%s): its files do not say that it was trained to rerank; it can be asked to judge (as_judge)", f->dir.name, f->arch.name);
    if (!r->n_out) return err_set(err, GLLM_UNSUPPORTED, "%s cannot judge: \"yes\" and \"no\" are not one token each", f->dir.name);
    return GLLM_OK;
}

gllm_status engine_rank_submit(struct engine *e, struct rank_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    TRY(check_model(f, c->question.judge, err));
    c->question.judge &= f->ranker.kind == RANKER_NONE;
    return f->ranker.kind == RANKER_LIST ? rank_list_submit(e, c, err) : rank_pairs(e, c, err);
}
