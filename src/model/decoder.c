#include "model/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "model/forward.h"

enum head_kind { HEAD_LOGITS, HEAD_RANK, HEAD_KINDS };
struct head_plan { /* the whole forward with one head, made at its first use */
    struct view inside, out; /* [max_out, *] of whole buffers, owned */
    struct tape tape;
    struct plan *plan;
    float *host; /* as out */
};
struct decoder {
    struct model *model;
    struct backend *be;
    struct decoder_options opt;
    struct kv *kv;
    struct arena arena;
    struct bindings ropes;
    struct model_weights net; /* the model's, with rotary frequencies for this context */
    struct kv_cache *caches;  /* [n_layer] */
    struct forward_buffers buffers;
    struct buffer *step;
    struct view rows; /* [max_out, d_model] of a whole buffer, owned */
    struct step_layout layout;
    struct head_plan heads[HEAD_KINDS];
    uint32_t *words;
};

static uint32_t cache_tokens(const struct decoder_options *o) { return o->cache_tokens ? o->cache_tokens : o->n_ctx; }
static uint32_t cache_pages(const struct decoder_options *o) { return cache_tokens(o) / KV_PAGE + (cache_tokens(o) % KV_PAGE != 0); }

uint64_t decoder_cache_bytes(const struct model_cfg *c, const struct decoder_options *opt) {
    return (uint64_t)c->n_layer * cache_pages(opt) * kv_page_bytes(opt->kv_dtype, c->n_kv, c->d_head);
}

static struct step_layout layout_of(const struct decoder_options *o) { return step_layout_cached(o->max_tok, o->max_seq, o->max_out, cache_pages(o) + o->max_seq); }

uint64_t decoder_activation_bytes(const struct model_files *f, const struct decoder_options *opt) {
    const struct model_cfg *c = &f->cfg;
    const uint64_t row = (uint64_t)c->d_model + (f->generates ? c->n_vocab : f->ranker.n_out + f->ranker.d_inside);
    return (opt->max_tok * forward_floats(c) + opt->max_out * row) * sizeof(float) + layout_of(opt).words * 4ull;
}

gllm_status decoder_check_cache(const struct model_cfg *c, enum dtype kv_dtype, gllm_error *err) {
    if (kv_dtype_ok(kv_dtype, c->d_head)) return GLLM_OK;
    return err_set(err, GLLM_UNSUPPORTED, "a cache of %s: found heads of %u values, expected a multiple of %u", dtype_traits(kv_dtype)->name, c->d_head, dtype_traits(kv_dtype)->block);
}

static void head_close(struct decoder *d, struct head_plan *p) {
    const struct backend_ops *ops = d->be->ops;
    ops->plan_free(d->be, p->plan);
    tape_free(&p->tape);
    ops->buffer_free(d->be, p->inside.buf);
    ops->buffer_free(d->be, p->out.buf);
    free(p->host);
    *p = (struct head_plan){0};
}

void decoder_close(struct decoder *d) {
    if (!d) return;
    const struct backend_ops *ops = d->be->ops;
    for (unsigned i = 0; i < HEAD_KINDS; i++) head_close(d, &d->heads[i]);
    forward_free(&d->buffers, d->be);
    struct buffer *all[] = {d->step, d->rows.buf};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) ops->buffer_free(d->be, all[i]);
    for (uint32_t i = 0; d->caches && i < d->model->files.cfg.n_layer; i++) ops->buffer_free(d->be, d->caches[i].buf);
    bind_release(&d->ropes, d->be);
    free(d->ropes.list);
    kv_close(d->kv);
    arena_free(&d->arena);
    free(d->words);
    free(d);
}

static gllm_status open_caches(struct decoder *d, gllm_error *err) {
    const struct model_cfg *c = &d->model->files.cfg;
    const uint32_t n_pages = cache_pages(&d->opt);
    TRY(kv_open(&d->kv, n_pages, err));
    d->caches = arena_array(&d->arena, c->n_layer, sizeof *d->caches);
    if (!d->caches) return err_nomem(err, "caches");
    for (uint32_t i = 0; i < c->n_layer; i++) {
        struct kv_cache *k = &d->caches[i];
        *k = (struct kv_cache){.dtype = d->opt.kv_dtype, .n_kv = c->n_kv, .d_head = c->d_head, .n_pages = n_pages};
        TRY(d->be->ops->alloc(d->be, n_pages * kv_page_bytes(k->dtype, k->n_kv, k->d_head), BUFFER_ACTIVATION, &k->buf, err));
    }
    return GLLM_OK;
}

static gllm_status open_buffers(struct decoder *d, gllm_error *err) {
    const struct backend_ops *ops = d->be->ops;
    const struct model_cfg *c = &d->model->files.cfg;
    TRY(bind_ropes(&d->ropes, c, d->opt.n_ctx, &d->net, err));
    TRY(bind_prepare(&d->ropes, d->model->files.weights, d->be, err));
    TRY(ops->alloc(d->be, d->layout.words * 4ull, BUFFER_STEP, &d->step, err));
    TRY(forward_alloc(&d->buffers, d->be, c, d->opt.max_tok, err));
    return rows_alloc(&d->rows, d->be, d->opt.max_out, c->d_model, EXTENT_OUT, BUFFER_ACTIVATION, err);
}

/* rows [n_out, d_model] to logits. */
static gllm_status record_logits(struct decoder *d, struct head_plan *p, gllm_error *err) {
    const struct model_cfg *c = &d->model->files.cfg;
    if (!d->net.head) return err_set(err, GLLM_UNSUPPORTED, "%s: a reranker does not generate", d->model->files.dir.name);
    TRY(rows_alloc(&p->out, d->be, d->rows.rows, c->n_vocab, EXTENT_OUT, BUFFER_READBACK, err));
    op_linear(&p->tape, "head", &(struct op_linear){.out = p->out, .x = d->rows, .w = d->net.head, .soft_cap = c->logit_cap});
    return GLLM_OK;
}

/* rows [n_out, d_model] to the values of the rank head, by way of its inner layer where it has one. */
static gllm_status record_rank(struct decoder *d, struct head_plan *p, gllm_error *err) {
    const struct ranker *r = &d->model->files.ranker;
    const struct model_weights *net = &d->net;
    if (!net->score_out) return err_set(err, GLLM_UNSUPPORTED, "%s: the model has no rank head", d->model->files.dir.name);
    TRY(rows_alloc(&p->out, d->be, d->rows.rows, r->n_out, EXTENT_OUT, BUFFER_READBACK, err));
    struct view x = d->rows;
    if (net->score_dense) {
        TRY(rows_alloc(&p->inside, d->be, d->rows.rows, r->d_inside, EXTENT_OUT, BUFFER_ACTIVATION, err));
        x = p->inside;
        op_linear(&p->tape, "rank.dense", &(struct op_linear){.out = x, .x = d->rows, .w = net->score_dense, .bias = net->score_dense_bias, .act = ACT_RELU});
    }
    op_linear(&p->tape, "rank.out", &(struct op_linear){.out = p->out, .x = x, .w = net->score_out, .bias = net->score_out_bias,
                                                        .soft_cap = r->head == RANKER_TOKENS ? d->model->files.cfg.logit_cap : 0});
    return GLLM_OK;
}

static gllm_status record(struct decoder *d, enum head_kind kind, gllm_error *err) {
    const struct model_cfg *c = &d->model->files.cfg;
    struct head_plan *p = &d->heads[kind];
    tape_init(&p->tape, d->step, d->layout);
    forward_body(&p->tape, c, &d->net, &d->buffers, d->caches);
    op_gather(&p->tape, "gather", &(struct op_gather){.out = d->rows, .x = d->buffers.x});
    forward_final_norm(&p->tape, c, &d->net, d->rows);
    TRY(kind == HEAD_RANK ? record_rank(d, p, err) : record_logits(d, p, err));
    if (!(p->host = malloc((size_t)p->out.rows * p->out.cols * sizeof *p->host))) return err_nomem(err, "decoder");
    TRY(tape_finish(&p->tape, err));
    return d->be->ops->plan(d->be, &p->tape, &p->plan, err);
}

static gllm_status head_ready(struct decoder *d, enum head_kind kind, gllm_error *err) {
    if (d->heads[kind].plan) return GLLM_OK;
    gllm_status status = record(d, kind, err);
    if (status != GLLM_OK) head_close(d, &d->heads[kind]);
    return status;
}

gllm_status decoder_open(struct decoder **out, struct model *m, const struct decoder_options *opt, gllm_error *err) {
    *out = NULL;
    const struct model_cfg *c = &m->files.cfg;
    if (!c->causal) return err_set(err, GLLM_UNSUPPORTED, "%s: a %s model does not generate", m->files.dir.name, m->files.arch.name);
    if (!opt->n_ctx || !opt->max_tok || !opt->max_seq || !opt->max_out || cache_tokens(opt) > UINT32_MAX - KV_PAGE) return err_set(err, GLLM_INVALID, "decoder: n_ctx %u, max_tok %u, max_seq %u, max_out %u: expected 1 or more of each", opt->n_ctx, opt->max_tok, opt->max_seq, opt->max_out);
    TRY(decoder_check_cache(c, opt->kv_dtype, err));
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) return err_nomem(err, "decoder");
    d->model = m;
    d->be = m->backend;
    d->opt = *opt;
    d->net = m->net;
    d->ropes.arena = &d->arena;
    d->layout = layout_of(opt);
    d->words = calloc(d->layout.words ? d->layout.words : 1, sizeof *d->words);
    gllm_status status = d->words ? GLLM_OK : err_nomem(err, "decoder");
    if (status == GLLM_OK) status = open_caches(d, err);
    if (status == GLLM_OK) status = open_buffers(d, err);
    if (status != GLLM_OK) decoder_close(d);
    else *out = d;
    return status;
}

struct kv *decoder_kv(struct decoder *d) { return d->kv; }
uint32_t decoder_context(const struct decoder *d) { return d->opt.n_ctx < cache_tokens(&d->opt) ? d->opt.n_ctx : cache_tokens(&d->opt); }
const struct decoder_options *decoder_options_of(const struct decoder *d) { return &d->opt; }
uint32_t decoder_page_room(const struct decoder *d) { return d->layout.cap_pages; }

static gllm_status check_items(const struct decoder *d, const struct decoder_item *items, uint32_t n_items, gllm_error *err) {
    const uint32_t n_vocab = d->model->files.cfg.n_vocab;
    uint64_t n_tok = 0, n_out = 0;
    for (uint32_t i = 0; i < n_items; i++) {
        n_tok += items[i].n, n_out += items[i].n_out;
        if (!items[i].n || items[i].n_out > items[i].n) return err_set(err, GLLM_INVALID, "step: sequence %u has %u tokens and wants %u rows", i, items[i].n, items[i].n_out);
        for (uint32_t k = 0; k < items[i].n; k++)
            if (items[i].tokens[k] < 0 || (uint32_t)items[i].tokens[k] >= n_vocab) return err_set(err, GLLM_INVALID, "token id %d: expected 0 to %u", items[i].tokens[k], n_vocab - 1);
    }
    if (n_items > d->opt.max_seq || n_tok > d->opt.max_tok || n_out > d->opt.max_out)
        return err_set(err, GLLM_INVALID, "step of %llu tokens, %u sequences and %llu rows, expected at most %u, %u and %u", (unsigned long long)n_tok, n_items, (unsigned long long)n_out,
                       d->opt.max_tok, d->opt.max_seq, d->opt.max_out);
    return GLLM_OK;
}

static gllm_status copy_page(struct decoder *d, const struct kv_copy *k, gllm_error *err) {
    for (uint32_t i = 0; k->needed && i < d->model->files.cfg.n_layer; i++) {
        const struct kv_cache *c = &d->caches[i];
        const uint64_t bytes = kv_page_bytes(c->dtype, c->n_kv, c->d_head);
        TRY(d->be->ops->copy(d->be, c->buf, k->to * bytes, c->buf, k->from * bytes, bytes, err));
    }
    return GLLM_OK;
}

/* The page table may be longer than one context where sequences share pages. rows NULL: the last n_out tokens of each item. */
static gllm_status write_step(struct decoder *d, const struct decoder_item *items, uint32_t n_items, const uint32_t *rows, gllm_error *err) {
    const struct step_layout *l = &d->layout;
    uint32_t *w = d->words, at = 0, out = 0, page = 0;
    memset(w, 0, STEP_HEADER_WORDS * sizeof *w);
    for (uint32_t s = 0; s < n_items; s++) {
        const struct decoder_item *it = &items[s];
        const uint32_t past = it->seq->n_tok - it->n;
        if (it->seq->n_pages > l->cap_pages - page) return err_set(err, GLLM_TOO_LONG, "step: the page table holds %u pages", l->cap_pages);
        w[l->starts + s] = at;
        w[l->past + s] = past;
        w[l->page_first + s] = page;
        memcpy(w + l->pages + page, it->seq->pages, it->seq->n_pages * sizeof *w);
        page += it->seq->n_pages;
        for (uint32_t i = 0; i < it->n; i++, at++) {
            w[l->tokens + at] = (uint32_t)it->tokens[i];
            w[l->pos + at] = past + i;
            w[l->types + at] = 0;
            w[l->seq + at] = s;
            if (i < it->n - it->n_out) continue;
            w[l->out_rows + out] = rows ? rows[out] : at;
            out++;
        }
        w[l->pool_from + s] = w[l->seen + s] = 0;
        if (it->n > w[STEP_MAX_LEN]) w[STEP_MAX_LEN] = it->n;
    }
    w[l->starts + n_items] = at;
    w[l->page_first + n_items] = page;
    w[STEP_N_TOK] = at, w[STEP_N_SEQ] = n_items, w[STEP_N_OUT] = out;
    return d->be->ops->write(d->be, d->step, 0, w, l->words * sizeof *w, err);
}

static gllm_status run(struct decoder *d, struct head_plan *p, const struct decoder_item *items, uint32_t n_items, const uint32_t *rows, gllm_error *err) {
    const struct backend_ops *ops = d->be->ops;
    TRY(write_step(d, items, n_items, rows, err));
    TRY(ops->run(d->be, p->plan, err));
    TRY(ops->wait(d->be, err));
    return ops->read(d->be, p->out.buf, 0, p->host, (uint64_t)d->words[STEP_N_OUT] * p->out.cols * sizeof(float), err);
}

static gllm_status step(struct decoder *d, enum head_kind kind, const struct decoder_item *items, uint32_t n_items, const uint32_t *rows, const float **out, gllm_error *err) {
    *out = NULL;
    TRY(check_items(d, items, n_items, err));
    TRY(head_ready(d, kind, err));
    gllm_status status = GLLM_OK;
    uint32_t done = 0;
    for (; status == GLLM_OK && done < n_items; done++) {
        struct kv_copy copy;
        status = kv_append(d->kv, items[done].seq, items[done].tokens, items[done].n, &copy, err);
        if (status != GLLM_OK) break;
        status = copy_page(d, &copy, err);
    }
    if (status == GLLM_OK) status = run(d, &d->heads[kind], items, n_items, rows, err);
    for (uint32_t i = 0; status != GLLM_OK && i < done; i++) kv_truncate(d->kv, items[i].seq, items[i].seq->n_tok - items[i].n);
    if (status == GLLM_OK) *out = d->heads[kind].host;
    return status;
}

gllm_status decoder_step(struct decoder *d, const struct decoder_item *items, uint32_t n_items, const float **logits, gllm_error *err) { return step(d, HEAD_LOGITS, items, n_items, NULL, logits, err); }

gllm_status decoder_rank(struct decoder *d, const struct decoder_item *items, uint32_t n_items, const uint32_t *rows, const float **values, gllm_error *err) {
    return step(d, HEAD_RANK, items, n_items, rows, values, err);
}
