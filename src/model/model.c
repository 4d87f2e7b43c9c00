#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "model/adapter.h"
#include "model/decoder.h"
#include "model/forward.h"
#include "model/head.h"
#include "model/static.h"

/* Buffers, tape and plan for batches of up to layout.cap_tok tokens in cap_seq sequences, with one choice of pooling and of outputs. */
struct session {
    struct forward_buffers buffers;
    struct buffer *step, *pooled[2];
    struct step_layout layout;
    struct head head;
    struct output_session *outputs;
    uint32_t wanted; /* OUTPUT_* */
    struct tape tape;
    struct plan *plan;
    struct view out;
    uint32_t *words; /* the host's copy of the step */
};

static void session_close(struct model *m) {
    struct session *s = m->session;
    const struct backend_ops *ops = m->backend ? m->backend->ops : NULL;
    if (!s) return;
    ops->plan_free(m->backend, s->plan);
    forward_free(&s->buffers, m->backend);
    output_session_close(s->outputs, m->backend);
    struct buffer *all[] = {s->step, s->pooled[0], s->pooled[1]};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) ops->buffer_free(m->backend, all[i]);
    tape_free(&s->tape);
    free(s->words);
    free(s);
    m->session = NULL;
}

/* The widest vector between pooling and the end. */
static uint32_t head_widest(const struct head *h, uint32_t d_model) {
    uint32_t widest = d_model * h->n_modes;
    if (h->n_labels > widest) widest = h->n_labels;
    for (uint32_t i = 0; i < h->n_steps; i++)
        if (h->steps[i]->kind == HF_DENSE && h->steps[i]->dense.out_dim > widest) widest = h->steps[i]->dense.out_dim;
    return widest;
}

static void record_head(struct model *m, struct session *s, struct view x) {
    const struct head *h = &s->head;
    struct tape *t = &s->tape;
    uint32_t room = head_widest(h, x.cols), now = 0;
    struct view v = {.buf = s->pooled[0], .rows = s->layout.cap_seq, .cols = x.cols * h->n_modes, .stride = room, .extent = EXTENT_SEQ};
    for (uint32_t i = 0; i < h->n_modes; i++) op_pool(t, "pool", &(struct op_pool){.out = view_cols(v, i * x.cols, x.cols), .x = x, .modes = h->modes[i]});
    if (h->n_labels) {
        struct view logits = v;
        if (m->net.score_dense) {
            struct view dense = v;
            dense.buf = s->pooled[1];
            op_linear(t, "score.dense", &(struct op_linear){.out = dense, .x = v, .w = m->net.score_dense, .bias = m->net.score_dense_bias, .act = m->files.classifier.dense_act});
            v = dense;
        } else logits.buf = s->pooled[1];
        if (m->net.score_norm.w)
            op_norm(t, "score.norm", &(struct op_norm){.out = v, .x = v, .w = m->net.score_norm.w, .b = m->net.score_norm.b, .kind = m->files.cfg.norm, .eps = m->files.cfg.norm_eps});
        logits.cols = h->n_labels;
        op_linear(t, "score.out", &(struct op_linear){.out = logits, .x = v, .w = m->net.score_out, .bias = m->net.score_out_bias});
        v = logits;
    }
    for (uint32_t i = 0; i < h->n_steps; i++) {
        const struct hf_module *mod = h->steps[i];
        if (mod->kind == HF_NORMALIZE) {
            op_norm(t, "normalize", &(struct op_norm){.out = v, .x = v, .kind = NORM_L2, .eps = 1e-12f});
            continue;
        }
        const struct dense_weights *d = &m->dense[mod - m->files.dir.modules];
        struct view next = v;
        next.buf = s->pooled[now = !now];
        next.cols = mod->dense.out_dim;
        op_linear(t, "dense", &(struct op_linear){.out = next, .x = v, .w = d->w, .bias = d->bias, .act = mod->dense.act == HF_ACT_TANH ? ACT_TANH : ACT_NONE});
        v = next;
    }
    s->out = v;
}

static gllm_status session_build(struct model *m, struct session *s, gllm_error *err) {
    const struct backend_ops *ops = m->backend->ops;
    const struct model_cfg *c = &m->files.cfg;
    const uint64_t pooled = (uint64_t)s->layout.cap_seq * head_widest(&s->head, c->d_model) * sizeof(float);
    s->words = calloc(s->layout.words, sizeof *s->words);
    if (!s->words) return err_nomem(err, "step");
    TRY(ops->alloc(m->backend, s->layout.words * sizeof(uint32_t), BUFFER_STEP, &s->step, err));
    TRY(forward_alloc(&s->buffers, m->backend, c, s->layout.cap_tok, err));
    for (int i = 0; i < 2; i++) TRY(ops->alloc(m->backend, pooled, BUFFER_READBACK, &s->pooled[i], err));
    tape_init(&s->tape, s->step, s->layout);
    forward_body(&s->tape, c, &m->net, &s->buffers, NULL);
    forward_final_norm(&s->tape, c, &m->net, s->buffers.x);
    if (s->wanted & OUTPUT_DENSE) record_head(m, s, s->buffers.x);
    TRY(outputs_record(&s->outputs, m, &s->tape, s->buffers.x, s->wanted, err));
    TRY(tape_finish(&s->tape, err));
    return ops->plan(m->backend, &s->tape, &s->plan, err);
}

static uint32_t grown(uint32_t need, uint32_t have, uint32_t least) {
    uint32_t n = have > least ? have : least;
    while (n < need) n = n > UINT32_MAX / 2 ? need : 2 * n;
    return n;
}

/* The session that fits a batch: the one there is, or a new and larger one in its place. */
static gllm_status session_for(struct model *m, const struct batch *b, enum pool_kind pooling, uint32_t wanted, gllm_error *err) {
    struct head head = m->head;
    if (pooling) head.n_modes = 1, head.modes[0] = pooling;
    struct session *old = m->session;
    bool same = old && old->wanted == wanted && old->head.n_modes == head.n_modes && !memcmp(old->head.modes, head.modes, head.n_modes * sizeof *head.modes);
    if (same && b->n_tok <= old->layout.cap_tok && b->n_seq <= old->layout.cap_seq) return GLLM_OK;
    TRY(head_dim(&head, m->files.cfg.d_model, &head.dim, err));
    uint32_t n_tok = grown(b->n_tok, old ? old->layout.cap_tok : 0, 16), n_seq = grown(b->n_seq, old ? old->layout.cap_seq : 0, 1);
    session_close(m);
    m->session = calloc(1, sizeof *m->session);
    if (!m->session) return err_nomem(err, "session");
    m->session->layout = step_layout_make(n_tok, n_seq);
    m->session->head = head;
    m->session->wanted = wanted;
    gllm_status status = session_build(m, m->session, err);
    if (status != GLLM_OK) session_close(m);
    return status;
}

static gllm_status write_step(struct model *m, const struct batch *b, gllm_error *err) {
    struct session *s = m->session;
    const struct step_layout *l = &s->layout;
    const struct model_cfg *c = &m->files.cfg;
    uint32_t *w = s->words, longest = 0;
    for (uint32_t q = 0; q < b->n_seq; q++) {
        uint32_t len = b->starts[q + 1] - b->starts[q], pos = c->pos == POS_AFTER_PAD ? c->pad_id + 1 : 0;
        longest = len > longest ? len : longest;
        for (uint32_t i = b->starts[q]; i < b->starts[q + 1]; i++) {
            int32_t id = b->tokens[i];
            if (id < 0 || (uint32_t)id >= c->n_vocab) return err_set(err, GLLM_INVALID, "token id %d: expected 0 to %u", id, c->n_vocab - 1);
            bool pad = c->pos == POS_AFTER_PAD && (uint32_t)id == c->pad_id;
            w[l->tokens + i] = (uint32_t)id;
            w[l->pos + i] = pad ? c->pad_id : pos++;
            w[l->types + i] = b->types[i] < c->n_type ? b->types[i] : 0;
            w[l->seq + i] = q;
        }
        if (pos > c->n_pos) return err_set(err, GLLM_TOO_LONG, "a sequence of %u tokens, expected at most %u positions", len, c->n_pos);
        w[l->starts + q] = b->starts[q];
        w[l->pool_from + q] = b->pool_from[q];
        w[l->seen + q] = b->seen ? b->seen[q] : 0;
    }
    w[l->starts + b->n_seq] = b->n_tok;
    w[STEP_N_TOK] = b->n_tok;
    w[STEP_N_SEQ] = b->n_seq;
    w[STEP_MAX_LEN] = longest;
    return m->backend->ops->write(m->backend, s->step, 0, w, l->words * sizeof *w, err);
}

gllm_status model_run_outputs(struct model *m, const struct batch *b, enum pool_kind pooling, const struct outputs *out, gllm_error *err) {
    const struct backend_ops *ops = m->backend->ops;
    TRY(session_for(m, b, pooling, out->wanted, err));
    TRY(write_step(m, b, err));
    struct session *s = m->session;
    TRY(ops->run(m->backend, s->plan, err));
    TRY(ops->wait(m->backend, err));
    if (out->wanted & OUTPUT_DENSE) TRY(rows_read(&s->out, m->backend, b->n_seq, out->dense, err));
    return outputs_fetch(s->outputs, m, b->n_tok, b->n_seq, out, err);
}

gllm_status model_run(struct model *m, const struct batch *b, enum pool_kind pooling, float *out, gllm_error *err) {
    return model_run_outputs(m, b, pooling, &(struct outputs){.wanted = OUTPUT_DENSE, .dense = out}, err);
}

const struct tape *model_tape(const struct model *m) { return m->session ? &m->session->tape : NULL; }

/* The head, and the weights of the body. */
static gllm_status collect_body(struct model *m, gllm_error *err) {
    struct model_files *f = &m->files;
    if (static_is(&f->dir)) return static_collect(m, err);
    if (f->classifier.n_labels) m->head = (struct head){.modes = {f->classifier.pool}, .n_modes = 1, .include_prompt = true, .n_labels = f->classifier.n_labels, .dim = f->classifier.n_labels};
    else if (model_files_cached(f) || !(f->outputs.available & OUTPUT_DENSE)) m->head.include_prompt = true; /* all tokens, for a caller who names a pooling; or nothing is pooled */
    else TRY(head_read(&m->head, &m->arena, &f->dir, f->cfg.d_model, &m->log, err));
    TRY(bind_collect(&m->bindings, f->weights, &f->arch, &f->cfg, f->classifier.n_labels, f->generates, &m->net, err));
    if (model_files_cached(f)) TRY(bind_ranker(&m->bindings, f->weights, &f->arch, &f->cfg, &f->ranker, &m->net, err));
    TRY(bind_ropes(&m->bindings, &f->cfg, f->max_tokens, &m->net, err));
    if (f->classifier.n_labels && !m->net.score_dense)
        log_line(&m->log, GLLM_LOG_WARN, "%s: the classifier has one layer: converters to GGUF leave a BERT's pooler out, and then scores are not those of the original", f->dir.name);
    return GLLM_OK;
}

gllm_status model_collect(struct model *m, gllm_error *err) {
    struct model_files *f = &m->files;
    m->bindings.arena = &m->arena;
    TRY(adapter_open(m, err));
    m->bindings.adapter = m->adapter;
    m->dense = arena_array(&m->arena, f->dir.n_modules, sizeof *m->dense);
    m->dense_weights = arena_array(&m->arena, f->dir.n_modules, sizeof *m->dense_weights);
    if (!m->dense || !m->dense_weights) return err_nomem(err, "modules");
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *mod = &f->dir.modules[i];
        if (mod->kind != HF_DENSE) continue;
        if (!mod->dense.tensor) TRY(weights_open(&m->dense_weights[i], mod->path, err));
        TRY(bind_dense(&m->bindings, mod->dense.tensor ? f->weights : m->dense_weights[i], mod, &m->dense[i], err));
    }
    TRY(collect_body(m, err));
    const size_t unused = f->cfg.quant.method ? bind_activation_scales(f->weights) : 0;
    if (unused) log_line(&m->log, GLLM_LOG_INFO, "%s: %zu scales of activations are not needed: activations stay in f32", f->dir.name, unused);
    TRY(outputs_collect(m, err));
    return adapter_check(m->adapter, err);
}

gllm_status model_open(struct model **out, struct model_files *files, struct backend *be, const struct log *log, gllm_error *err) {
    *out = NULL;
    struct model *m = calloc(1, sizeof *m);
    if (!m) {
        model_files_close(files);
        return err_nomem(err, "model");
    }
    m->files = *files;
    *files = (struct model_files){0};
    m->log = *log;
    gllm_status status = model_collect(m, err);
    m->backend = be;
    if (status == GLLM_OK && be) status = bind_prepare(&m->bindings, m->files.weights, be, err);
    if (status != GLLM_OK) model_close(m);
    else *out = m;
    return status;
}

void model_close(struct model *m) {
    if (!m) return;
    decoder_close(m->decoder);
    session_close(m);
    if (m->backend) bind_release(&m->bindings, m->backend);
    free(m->bindings.list);
    for (size_t i = 0; m->dense_weights && i < m->files.dir.n_modules; i++) weights_close(m->dense_weights[i]);
    outputs_close(m->outputs);
    adapter_close(m->adapter);
    model_files_close(&m->files);
    arena_free(&m->arena);
    free(m);
}

gllm_status model_share(struct model **out, const struct model *m, struct backend *be, gllm_error *err) {
    struct model *one = *out = malloc(sizeof *one);
    if (!one) return err_nomem(err, "model");
    *one = *m;
    one->backend = be;
    one->session = NULL;
    one->decoder = NULL;
    return GLLM_OK;
}

void model_unshare(struct model *m) {
    if (!m) return;
    decoder_close(m->decoder);
    session_close(m);
    free(m);
}

uint64_t model_weight_bytes(const struct bindings *b, const struct backend_ops *ops) {
    uint64_t n = 0;
    for (size_t i = 0; i < b->count; i++) n += ops->weight_bytes(&b->list[i].desc);
    return n;
}

uint64_t model_activation_bytes(const struct model_cfg *c, uint32_t n_tok, uint32_t n_seq) {
    uint64_t deepest = c->n_head * c->d_head; /* inputs of a linear operation, which a device may hold once more in its own layout */
    if (deepest < c->d_ff) deepest = c->d_ff;
    if (deepest < c->d_model) deepest = c->d_model;
    return (n_tok * (forward_floats(c) + deepest) + (uint64_t)n_seq * 2 * c->d_model) * sizeof(float) + step_layout_make(n_tok, n_seq).words * 4ull;
}

uint64_t model_working_bytes(const struct model *m) {
    const struct model_cfg *c = &m->files.cfg;
    uint64_t n = m->session ? model_activation_bytes(c, m->session->layout.cap_tok, m->session->layout.cap_seq) : 0;
    if (m->session && m->session->outputs) n += outputs_activation_bytes(m, m->session->layout.cap_tok, m->session->layout.cap_seq);
    if (m->decoder) n += decoder_cache_bytes(c, decoder_options_of(m->decoder)) + decoder_activation_bytes(&m->files, decoder_options_of(m->decoder));
    return n;
}
