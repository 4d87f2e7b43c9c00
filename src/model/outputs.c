#include "model/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/weights.h"
#include "model/adapter.h"
#include "model/forward.h"
#include "model/late.h"
#include "model/model.h"
#include "model/side_files.h"

enum { VOCABULARY_CHUNK = 4096 }; /* columns of logits that are there at once */

struct output_heads {
    struct weights *token_file, *sparse_file; /* BGE-M3's */
    struct dense_weights token, sparse;       /* BGE-M3's */
    struct dense_weights mlm, *mlm_chunks;    /* [n_chunks] rows of the vocabulary */
    struct norm_weights mlm_norm;
    uint32_t n_chunks;
};
struct output_session {
    struct view rows[2], hidden, logits, weights; /* of whole buffers, owned; weights [n_tok, 1] or [n_seq, n_vocab] */
    struct view tokens; /* [n_tok, token_dim] in one of rows */
};

/* ---- what the files say ---- */

static bool beside(const struct model_files *f, const char *name) {
    char *path = path_join(f->dir.weights_dir, name);
    const bool there = path && file_exists(path);
    free(path);
    return there;
}

/* Tokens that FlagEmbedding gives no weight: those by which a text begins and ends, padding and the unknown one. */
static gllm_status read_unweighed(struct model_files *f, gllm_error *err) {
    static const char *const ROLES[] = {"cls_token", "eos_token", "pad_token", "unk_token"};
    enum { N_ROLES = sizeof ROLES / sizeof *ROLES };
    int32_t found[N_ROLES], *ids = arena_array(&f->arena, N_ROLES, sizeof *ids);
    if (!ids) return err_nomem(err, "tokens");
    TRY(side_tokens(f, ROLES, N_ROLES, found, err));
    for (unsigned i = 0; i < N_ROLES; i++)
        if (found[i] >= 0) ids[f->outputs.n_unweighed++] = found[i];
    f->outputs.unweighed = ids;
    return GLLM_OK;
}

/* BGE-M3: two linear layers in files of their own. */
static gllm_status read_beside(struct model_files *f, gllm_error *err) {
    struct outputs_cfg *o = &f->outputs;
    if (beside(f, "sparse_linear.pt")) {
        o->available |= OUTPUT_SPARSE;
        o->sparse = SPARSE_BY_TOKEN;
        TRY(read_unweighed(f, err));
    }
    if (!beside(f, "colbert_linear.pt")) return GLLM_OK;
    o->available |= OUTPUT_TOKENS;
    o->token_dim = f->cfg.d_model; /* until its file is bound */
    o->first_token = 1;
    o->mean_of_best = true;
    return GLLM_OK;
}

/* jina-embeddings-v4: a linear layer for each token beside the pooled vector. */
static gllm_status read_projector(struct model_files *f, gllm_error *err) {
    struct outputs_cfg *o = &f->outputs;
    uint32_t dim = 0;
    TRY(json_u32(f->dir.config, f->dir.name, "multi_vector_projector_dim", &dim, err));
    if (!dim || !weights_find(f->weights, "multi_vector_projector.weight")) return GLLM_OK;
    o->available |= OUTPUT_TOKENS;
    o->token_dim = dim;
    o->projector = "multi_vector_projector", o->projector_bias = true;
    return GLLM_OK;
}

static gllm_status read_splade(struct model_files *f, const struct hf_module *m, gllm_error *err) {
    if (!f->arch.names->mlm_out) return err_set(err, GLLM_UNSUPPORTED, "%s: the masked language model's head of a %s model is not in this version", f->dir.dir, f->arch.name);
    if (!f->dir.fill_mask) return err_set(err, GLLM_UNSUPPORTED, "%s: SpladePooling after hidden states, expected transformer_task \"fill-mask\"", f->dir.dir);
    f->outputs.available |= OUTPUT_SPARSE;
    f->outputs.sparse = m->splade.sum ? SPARSE_BY_VOCABULARY_SUM : SPARSE_BY_VOCABULARY;
    f->outputs.log_twice = m->splade.twice;
    return GLLM_OK;
}

gllm_status outputs_read(struct model_files *f, gllm_error *err) {
    struct outputs_cfg *o = &f->outputs;
    bool pools = !f->dir.n_modules;
    *o = (struct outputs_cfg){.query = {.marker = -1}, .document = {.marker = -1}};
    if (f->generates || f->classifier.n_labels || weights_gguf(f->weights)) {
        o->available = OUTPUT_DENSE;
        return GLLM_OK;
    }
    TRY(read_beside(f, err));
    TRY(read_projector(f, err));
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *m = &f->dir.modules[i];
        pools |= m->kind == HF_POOLING || m->kind == HF_STATIC;
        if (m->kind == HF_SPLADE) TRY(read_splade(f, m, err));
    }
    TRY(late_read(f, &pools, err));
    if (pools || !o->available) o->available |= OUTPUT_DENSE; /* mean pooling where the files name nothing */
    return GLLM_OK;
}

/* ---- weights ---- */

static gllm_status open_beside(struct model *m, const char *name, struct weights **out, gllm_error *err) {
    char *path = path_join(m->files.dir.weights_dir, name);
    gllm_status status = path ? weights_open(out, path, err) : err_nomem(err, name);
    free(path);
    return status;
}

static gllm_status take_beside(struct model *m, const char *name, struct weights **file, uint32_t rows, struct dense_weights *out, gllm_error *err) {
    TRY(open_beside(m, name, file, err));
    const struct tensor *t = weights_find(*file, "weight");
    if (!rows && t && t->rank == 2 && t->shape[0] && t->shape[0] <= 1 << 16) m->files.outputs.token_dim = rows = (uint32_t)t->shape[0];
    gllm_status status = bind_tensor(&m->bindings, *file, "weight", rows, m->files.cfg.d_model, &out->w, err);
    if (status == GLLM_OK) status = bind_tensor(&m->bindings, *file, "bias", rows, 0, &out->bias, err);
    return status == GLLM_OK ? GLLM_OK : err_wrap(err, status, "%s", name);
}

static const struct binding *bound_to(const struct bindings *b, struct weight *const *slot) {
    for (size_t i = 0; i < b->count; i++)
        if (b->list[i].slot == slot) return &b->list[i];
    return NULL;
}

/* Rows [first, first + n) of the output matrix, or of its bias. */
static gllm_status take_rows(struct model *m, const struct tensor *t, uint32_t first, uint32_t n, uint32_t cols, struct weight **slot, gllm_error *err) {
    const size_t row = dtype_row_bytes(t->dtype, cols ? cols : 1);
    const struct weight_desc desc = {.name = t->name, .role = cols ? WEIGHT_MATRIX : WEIGHT_VECTOR, .cols = cols ? cols : n, .n_parts = 1,
                                     .parts = {{.data = (const uint8_t *)t->data + first * row, .dtype = t->dtype, .rows = n}}};
    return bind_add(&m->bindings, slot, &desc, NULL, err); /* its pages are not dropped: the rows beside these may be read still */
}

static gllm_status take_vocabulary(struct model *m, struct output_heads *h, gllm_error *err) {
    const struct name_table *n = m->files.arch.names;
    const struct weights *w = m->files.weights;
    const struct tensor *out = weights_find(w, n->mlm_out), *bias = weights_find(w, n->mlm_bias);
    const uint32_t rows = m->files.cfg.n_vocab, d = m->files.cfg.d_model;
    if (!out) out = bound_to(&m->bindings, &m->net.word)->tensors[0]; /* tied */
    if (!bias) return err_set(err, GLLM_FORMAT, "%s: no such tensor", n->mlm_bias);
    if (out->rank != 2 || out->shape[0] != rows || out->shape[1] != d || bias->rank != 1 || bias->shape[0] != rows || !dtype_is_weight(out->dtype) || !dtype_is_weight(bias->dtype))
        return err_set(err, GLLM_FORMAT, "%s and %s: expected [%u,%u] and [%u] of a floating-point type", out->name, bias->name, rows, d, rows);
    h->n_chunks = (rows - 1) / VOCABULARY_CHUNK + 1;
    h->mlm_chunks = arena_array(&m->arena, h->n_chunks, sizeof *h->mlm_chunks);
    if (!h->mlm_chunks) return err_nomem(err, n->mlm_out);
    for (uint32_t i = 0, first = 0; i < h->n_chunks; i++, first += VOCABULARY_CHUNK) {
        const uint32_t left = rows - first, count = left < VOCABULARY_CHUNK ? left : VOCABULARY_CHUNK;
        TRY(take_rows(m, out, first, count, d, &h->mlm_chunks[i].w, err));
        TRY(take_rows(m, bias, first, count, 0, &h->mlm_chunks[i].bias, err));
    }
    return GLLM_OK;
}

static gllm_status take_named(struct model *m, const char *stem, const char *suffix, uint32_t rows, uint32_t cols, struct weight **slot, gllm_error *err) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", stem, suffix);
    return bind_tensor(&m->bindings, m->files.weights, name, rows, cols, slot, err);
}

static gllm_status take_mlm(struct model *m, struct output_heads *h, gllm_error *err) {
    const struct name_table *n = m->files.arch.names;
    const uint32_t d = m->files.cfg.d_model;
    if (m->files.cfg.d_embd != d) return err_set(err, GLLM_UNSUPPORTED, "%s: embeddings of %u below hidden states of %u: such a language model's head is not in this version", m->files.dir.name, m->files.cfg.d_embd, d);
    TRY(take_named(m, n->mlm_dense, ".weight", d, d, &h->mlm.w, err));
    TRY(take_named(m, n->mlm_dense, ".bias", d, 0, &h->mlm.bias, err));
    TRY(take_named(m, n->mlm_norm, ".weight", d, 0, &h->mlm_norm.w, err));
    TRY(take_named(m, n->mlm_norm, ".bias", d, 0, &h->mlm_norm.b, err));
    return take_vocabulary(m, h, err);
}

/* The tokens' own linear layer: among the body's weights, or BGE-M3's file beside them. */
static gllm_status take_tokens(struct model *m, struct output_heads *h, gllm_error *err) {
    const struct outputs_cfg *o = &m->files.outputs;
    if (!o->projector) return take_beside(m, "colbert_linear.pt", &h->token_file, 0, &h->token, err);
    TRY(take_named(m, o->projector, ".weight", o->token_dim, m->files.cfg.d_model, &h->token.w, err));
    if (o->projector_bias) TRY(take_named(m, o->projector, ".bias", o->token_dim, 0, &h->token.bias, err));
    return GLLM_OK;
}

gllm_status outputs_collect(struct model *m, gllm_error *err) {
    struct outputs_cfg *o = &m->files.outputs;
    if (!(o->available & ~OUTPUT_DENSE)) return GLLM_OK;
    struct output_heads *h = m->outputs = arena_alloc(&m->arena, sizeof *h);
    if (!h) return err_nomem(err, "outputs");
    if (o->sparse == SPARSE_BY_TOKEN) TRY(take_beside(m, "sparse_linear.pt", &h->sparse_file, 1, &h->sparse, err));
    if (outputs_by_vocabulary(o)) TRY(take_mlm(m, h, err));
    if (o->available & OUTPUT_TOKENS && (o->first_token || o->projector)) TRY(take_tokens(m, h, err));
    return GLLM_OK;
}

void outputs_close(struct output_heads *h) {
    if (!h) return;
    weights_close(h->token_file);
    weights_close(h->sparse_file);
}

/* ---- the tape ---- */

/* The widest vector of a token on its way to the end. */
static uint32_t widest_token(const struct model *m) {
    const struct hfdir *d = &m->files.dir;
    uint32_t widest = m->files.outputs.token_dim;
    for (size_t i = 0; i < d->n_modules; i++)
        if (d->modules[i].kind == HF_DENSE && d->modules[i].per_token && d->modules[i].dense.out_dim > widest) widest = d->modules[i].dense.out_dim;
    return widest;
}

/* The token vectors' own dense layers, from modules.json or as one linear layer beside the body; then length 1. */
static gllm_status record_tokens(struct output_session *s, const struct model *m, struct tape *t, struct view x, gllm_error *err) {
    const struct hfdir *d = &m->files.dir;
    const uint32_t widest = widest_token(m);
    uint32_t now = 0;
    struct view v = x;
    for (int i = 0; i < 2; i++) TRY(rows_alloc(&s->rows[i], m->backend, x.rows, widest, EXTENT_TOK, BUFFER_READBACK, err));
    if (m->outputs->token.w) {
        v = view_cols(s->rows[now], 0, m->files.outputs.token_dim);
        op_linear(t, "tokens.linear", &(struct op_linear){.out = v, .x = x, .w = m->outputs->token.w, .bias = m->outputs->token.bias});
        now = !now;
    }
    for (size_t i = 0; i < d->n_modules; i++) {
        const struct hf_module *mod = &d->modules[i];
        if (mod->kind != HF_DENSE || !mod->per_token) continue;
        struct view next = view_cols(s->rows[now], 0, mod->dense.out_dim);
        op_linear(t, "tokens.dense", &(struct op_linear){.out = next, .x = v, .w = m->dense[i].w, .bias = m->dense[i].bias, .act = mod->dense.act == HF_ACT_TANH ? ACT_TANH : ACT_NONE});
        v = next, now = !now;
    }
    s->tokens = view_cols(s->rows[now], 0, v.cols);
    op_norm(t, "tokens.normalize", &(struct op_norm){.out = s->tokens, .x = v, .kind = NORM_L2, .eps = 1e-12f});
    return GLLM_OK;
}

/* A chunk of the vocabulary after the other: its logits of all tokens, and the largest of each text; for a sum they all stay, since log(1 + x) of each is what is added. */
static gllm_status record_vocabulary(struct output_session *s, const struct model *m, struct tape *t, struct view x, gllm_error *err) {
    const struct output_heads *h = m->outputs;
    const struct model_cfg *c = &m->files.cfg;
    const enum act_kind act = m->files.arch.names->mlm_act != ACT_NONE ? m->files.arch.names->mlm_act : c->act;
    TRY(rows_alloc(&s->hidden, m->backend, x.rows, c->d_model, EXTENT_TOK, BUFFER_ACTIVATION, err));
    const bool sum = m->files.outputs.sparse == SPARSE_BY_VOCABULARY_SUM;
    if (!sum) TRY(rows_alloc(&s->logits, m->backend, x.rows, VOCABULARY_CHUNK, EXTENT_TOK, BUFFER_ACTIVATION, err));
    TRY(rows_alloc(&s->weights, m->backend, sum ? x.rows : t->layout.cap_seq, c->n_vocab, sum ? EXTENT_TOK : EXTENT_SEQ, BUFFER_READBACK, err));
    op_linear(t, "mlm.dense", &(struct op_linear){.out = s->hidden, .x = x, .w = h->mlm.w, .bias = h->mlm.bias, .act = act});
    op_norm(t, "mlm.norm", &(struct op_norm){.out = s->hidden, .x = s->hidden, .w = h->mlm_norm.w, .b = h->mlm_norm.b, .kind = NORM_LAYER, .eps = c->norm_eps});
    for (uint32_t i = 0; i < h->n_chunks; i++) {
        const uint32_t first = i * VOCABULARY_CHUNK, n = h->mlm_chunks[i].w->rows;
        struct view out = sum ? view_cols(s->weights, first, n) : view_cols(s->logits, 0, n);
        op_linear(t, "mlm.out", &(struct op_linear){.out = out, .x = s->hidden, .w = h->mlm_chunks[i].w, .bias = h->mlm_chunks[i].bias});
        if (!sum) op_pool(t, "mlm.max", &(struct op_pool){.out = view_cols(s->weights, first, n), .x = out, .modes = POOL_MAX});
    }
    return GLLM_OK;
}

gllm_status outputs_record(struct output_session **out, const struct model *m, struct tape *t, struct view x, uint32_t wanted, gllm_error *err) {
    *out = NULL;
    if (!(wanted & ~OUTPUT_DENSE)) return GLLM_OK;
    struct output_session *s = *out = calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "outputs");
    if (wanted & OUTPUT_TOKENS) TRY(record_tokens(s, m, t, x, err));
    if (!(wanted & OUTPUT_SPARSE)) return GLLM_OK;
    if (outputs_by_vocabulary(&m->files.outputs)) return record_vocabulary(s, m, t, x, err);
    TRY(rows_alloc(&s->weights, m->backend, x.rows, 1, EXTENT_TOK, BUFFER_READBACK, err));
    op_linear(t, "sparse.linear", &(struct op_linear){.out = s->weights, .x = x, .w = m->outputs->sparse.w, .bias = m->outputs->sparse.bias, .act = ACT_RELU});
    return GLLM_OK;
}

gllm_status outputs_fetch(const struct output_session *s, const struct model *m, uint32_t n_tok, uint32_t n_seq, const struct outputs *out, gllm_error *err) {
    if (out->wanted & OUTPUT_TOKENS) TRY(rows_read(&s->tokens, m->backend, n_tok, out->tokens, err));
    if (out->wanted & OUTPUT_SPARSE) TRY(rows_read(&s->weights, m->backend, s->weights.extent == EXTENT_TOK ? n_tok : n_seq, out->sparse, err));
    return GLLM_OK;
}

void output_session_close(struct output_session *s, struct backend *be) {
    if (!s) return;
    struct buffer *all[] = {s->rows[0].buf, s->rows[1].buf, s->hidden.buf, s->logits.buf, s->weights.buf};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) be->ops->buffer_free(be, all[i]);
    free(s);
}

size_t outputs_sparse_floats(const struct model *m, uint32_t n_tok, uint32_t n_seq) {
    switch (m->files.outputs.sparse) {
    case SPARSE_BY_VOCABULARY: return (size_t)n_seq * m->files.cfg.n_vocab;
    case SPARSE_BY_VOCABULARY_SUM: return (size_t)n_tok * m->files.cfg.n_vocab;
    default: return n_tok;
    }
}

uint64_t outputs_activation_bytes(const struct model *m, uint32_t n_tok, uint32_t n_seq) {
    const struct outputs_cfg *o = &m->files.outputs;
    uint64_t floats = 0;
    if (o->available & OUTPUT_TOKENS) floats += 2ull * n_tok * widest_token(m);
    if (o->available & OUTPUT_SPARSE) floats += outputs_sparse_floats(m, n_tok, n_seq);
    if (outputs_by_vocabulary(o)) floats += (uint64_t)n_tok * (m->files.cfg.d_model + (o->sparse == SPARSE_BY_VOCABULARY ? VOCABULARY_CHUNK : 0));
    return floats * sizeof(float);
}
