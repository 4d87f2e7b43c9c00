#include "engine/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tasks.h"
#include "model/head.h"

gllm_status embed_dim(const struct model *m, enum pool_kind pooling, uint32_t *dim, gllm_error *err) {
    struct head h = m->head;
    if (pooling) h.n_modes = 1, h.modes[0] = pooling;
    if (m->files.ranker.kind != RANKER_NONE) return err_set(err, GLLM_UNSUPPORTED, "%s is a reranker: it gives scores, not vectors", m->files.dir.name);
    if (!h.n_modes) return err_set(err, GLLM_UNSUPPORTED, "%s is a generator (%s) whose files name no pooling: name one (last, mean …)", m->files.dir.name, m->files.arch.name);
    return head_dim(&h, m->files.cfg.d_model, dim, err);
}

/* Tokens of the prompt alone, without the special token that ends it: what pooling leaves out when the files say include_prompt: false. */
static gllm_status prompt_tokens(const struct model *m, const gllm_str *prompt, const struct encode_options *opt, uint32_t *out, gllm_error *err) {
    struct encoding e = {0};
    *out = 0;
    if (!prompt->len || m->head.include_prompt) return GLLM_OK;
    gllm_status status = tokenizer_encode(m->files.tokenizer, prompt->ptr, prompt->len, NULL, 0, opt, &e, err);
    if (status == GLLM_OK) *out = e.count && tokenizer_is_special(m->files.tokenizer, e.ids[e.count - 1]) ? e.count - 1 : e.count;
    encoding_free(&e);
    return status;
}

static gllm_status encode_one(const struct model *m, struct embed_call *c, size_t i, const struct encode_options *opt, char **glued, struct encoding *e, gllm_error *err) {
    const char *text = c->inputs[i].ptr ? c->inputs[i].ptr : "";
    size_t len = c->inputs[i].len;
    if (c->prompt.len) {
        if (len > SIZE_MAX - c->prompt.len - 1) return err_nomem(err, "prompt");
        char *joined = realloc(*glued, c->prompt.len + len + 1);
        if (!joined) return err_nomem(err, "prompt");
        *glued = joined;
        memcpy(joined, c->prompt.ptr, c->prompt.len);
        if (len) memcpy(joined + c->prompt.len, text, len);
        text = joined, len += c->prompt.len;
    }
    gllm_status status = tokenizer_encode(m->files.tokenizer, text, len, NULL, 0, opt, e, err);
    return status == GLLM_OK ? GLLM_OK : err_wrap(err, status, "input %zu", i);
}

/* How the texts of a call become tokens beyond what the tokenizer does. */
struct writing {
    const struct input_frame *frame;
    uint32_t limit;               /* tokens of a text, with all that is added */
    uint32_t fill;                /* queries are filled up to so many tokens */
    int32_t filler;
    bool unseen;                  /* the others do not attend to what fills them up */
    int32_t marker;               /* a token after the first marker_at of the text, which says that it is a query or a document; -1: none */
    uint32_t marker_at;
};

static struct writing writing_of(const struct model_files *f, const struct embed_call *c) {
    const struct outputs_cfg *o = &f->outputs;
    struct writing w = {.frame = &f->frame, .limit = f->max_tokens, .marker = -1};
    if (!(c->outputs & OUTPUT_TOKENS)) return w;
    const struct late_side *side = c->queries ? &o->query : &o->document;
    if (side->max_tokens && side->max_tokens < w.limit) w.limit = side->max_tokens;
    w.marker = side->marker, w.marker_at = o->marker_at;
    if (c->queries && o->expand.length) w.fill = o->expand.length, w.filler = o->expand.token, w.unseen = o->expand.unseen;
    return w;
}

static uint32_t added(const struct writing *w) { return w->frame->n_before + w->frame->n_after + (w->marker >= 0); }

/* Takes out the token that has no vector, then cuts: what is left counts for the limit. */
static void drop(struct encoding *e, int32_t dropped, const struct encode_options *opt) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        if (e->ids[i] != dropped) e->ids[n++] = e->ids[i];
    e->full_count = e->count = n;
    if (n <= opt->max_tokens) return;
    if (opt->side == TOKENIZER_CUT_START) memmove(e->ids, e->ids + n - opt->max_tokens, opt->max_tokens * sizeof *e->ids);
    e->count = opt->max_tokens;
}

/* The encoding as the next text: [before] ids [after], a marker among them, then fillers. */
static gllm_status add_text(struct packed *p, const struct writing *w, const struct encoding *e, gllm_error *err) {
    const struct encoding none = {0};
    const bool rewritten = added(w) || w->frame->dropped >= 0;
    TRY(packed_add(p, rewritten ? &none : e, err));
    if (rewritten) {
        TRY(packed_append(p, w->frame->before, w->frame->n_before, err));
        const uint32_t first = w->marker < 0 ? 0 : w->marker_at < e->count ? w->marker_at : e->count;
        TRY(packed_append(p, e->ids, first, err));
        if (w->marker >= 0) TRY(packed_append(p, &w->marker, 1, err));
        TRY(packed_append(p, e->ids + first, e->count - first, err));
        TRY(packed_append(p, w->frame->after, w->frame->n_after, err));
    }
    const uint32_t own = (uint32_t)(p->start[p->n] - p->start[p->n - 1]);
    if (w->unseen && own < w->fill) p->seen[p->n - 1] = own;
    while (p->start[p->n] - p->start[p->n - 1] < w->fill) TRY(packed_append(p, &w->filler, 1, err));
    return GLLM_OK;
}

/* Ids that came in place of texts: nothing is added, and they are cut like texts. */
static gllm_status add_ids(const struct model *m, struct embed_call *c, struct packed *p, gllm_error *err) {
    const struct encoding none = {0};
    const uint32_t limit = m->files.max_tokens;
    for (size_t i = 0; i < c->n_inputs; i++) {
        const gllm_ids *in = &c->ids[i];
        const uint32_t n = in->count < limit ? (uint32_t)in->count : limit;
        if (!in->count || in->count > UINT32_MAX) return err_set(err, GLLM_INVALID, "input %zu has %zu token ids, expected at least 1", i, in->count);
        for (size_t k = 0; k < in->count; k++)
            if (in->ptr[k] < 0 || (uint32_t)in->ptr[k] >= m->files.cfg.n_vocab)
                return err_set(err, GLLM_INVALID, "input %zu: token id %d is outside the vocabulary of %u", i, in->ptr[k], m->files.cfg.n_vocab);
        if (c->truncate == GLLM_TRUNCATE_NONE && in->count > limit) return err_set(err, GLLM_TOO_LONG, "input %zu has %zu tokens, expected at most %u", i, in->count, limit);
        TRY(packed_add(p, &none, err));
        TRY(packed_append(p, in->ptr + (c->truncate == GLLM_TRUNCATE_START ? in->count - n : 0), n, err));
        c->tokens[i] = n, c->full_tokens[i] = (uint32_t)in->count;
    }
    return GLLM_OK;
}

gllm_status embed_encode(const struct model *m, struct embed_call *c, struct packed *p, gllm_error *err) {
    if (c->ids) return add_ids(m, c, p, err);
    const struct writing w = writing_of(&m->files, c);
    const bool drops = w.frame->dropped >= 0;
    struct encode_options opt = {.add_special = !w.frame->bare, .parse_special = true, .lowercase = m->files.dir.do_lower_case, .max_tokens = w.limit - added(&w), /* at least 1 */
                                 .side = c->truncate == GLLM_TRUNCATE_START ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
    struct encode_options whole = opt;
    struct encoding e = {0};
    char *glued = NULL;
    if (drops) whole.max_tokens = 0;
    gllm_status status = prompt_tokens(m, &c->prompt, &opt, &p->pool_from, err);
    for (size_t i = 0; status == GLLM_OK && i < c->n_inputs; i++) {
        status = encode_one(m, c, i, &whole, &glued, &e, err);
        if (status != GLLM_OK) break;
        if (drops) drop(&e, w.frame->dropped, &opt);
        status = add_text(p, &w, &e, err);
        c->tokens[i] = status == GLLM_OK ? (uint32_t)(p->start[p->n] - p->start[p->n - 1]) : 0;
        c->full_tokens[i] = c->tokens[i] + e.full_count - e.count;
        if (status == GLLM_OK && c->truncate == GLLM_TRUNCATE_NONE && e.full_count > e.count)
            status = err_set(err, GLLM_TOO_LONG, "input %zu has %u tokens, expected at most %u", i, e.full_count + added(&w), w.limit);
    }
    encoding_free(&e);
    free(glued);
    return status;
}

/* Cuts to `keep` values and scales to length 1, in double so that the order of the sum does not show. A zero vector stays zero. */
static void finish(const float *in, uint32_t keep, bool normalize, float *out) {
    double square = 0, scale = 1;
    for (uint32_t i = 0; i < keep; i++) square += (double)in[i] * in[i];
    if (normalize) scale = 1 / fmax(sqrt(square), 1e-12);
    for (uint32_t i = 0; i < keep; i++) out[i] = (float)(in[i] * scale);
}

static void keep_vector(void *user, size_t text, const float *row) {
    struct embed_call *c = user;
    const size_t keep = c->dimensions ? c->dimensions : c->dim;
    finish(row, (uint32_t)keep, c->normalize, c->data + text * keep);
}

static gllm_status keep_more(void *user, size_t text, const struct text_outputs *o, gllm_error *err) {
    return gathered_add(&((struct embed_call *)user)->more, text, o, err);
}

gllm_status embed_outputs(const struct model *m, uint32_t asked, uint32_t *out, gllm_error *err) {
    static const char *const NAMES[] = {"pooled vectors", "sparse vectors", "token vectors"};
    const uint32_t has = m->files.outputs.available;
    if (!asked) asked = has & (~has + 1); /* the lowest bit */
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (asked & ~has & 1u << i) return err_set(err, GLLM_UNSUPPORTED, "%s gives no %s: its files have no layers for them", m->files.dir.name, NAMES[i]);
    if (asked & ~has) return err_set(err, GLLM_INVALID, "outputs: found 0x%x, expected bits of 0x%x", asked, has);
    *out = asked;
    return GLLM_OK;
}

static void end_embed(struct task *t) {
    struct embed_call *c = (struct embed_call *)t;
    c->compute_ms = c->run.compute_ms;
}

gllm_status engine_embed_submit(struct engine *e, struct embed_call *c, gllm_error *err) {
    const struct model *m = engine_model(e);
    const struct model_files *f = &m->files;
    if (f->classifier.n_labels) return err_set(err, GLLM_UNSUPPORTED, "%s is a %s: it gives scores, not vectors", f->dir.name, f->classifier.n_labels == 1 ? "reranker" : "classifier");
    if (f->generates) log_line(&m->log, GLLM_LOG_INFO, "%s is a generator (%s): it was not trained for vectors; %s pooling, as asked", f->dir.name, f->arch.name, pool_name(c->pooling));
    c->run = (struct packed_run){.pooling = c->pooling, .dim = c->dim, .each = keep_vector, .user = c, .outputs = c->outputs, .more = keep_more, .progress = c->progress,
                                 .progress_user = c->progress_user, .end = end_embed};
    gllm_status status = c->outputs & ~OUTPUT_DENSE ? gathered_begin(&c->more, f, c->n_inputs, c->queries, err) : GLLM_OK;
    if (status == GLLM_OK) status = embed_encode(m, c, &c->run.packed, err);
    if (status == GLLM_OK) return packed_submit(e, &c->task, &c->run, err);
    packed_free(&c->run.packed);
    return status;
}
