#include "model/forward.h"

#include "model/rope.h"

#include <math.h>

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

uint32_t forward_wide(const struct model_cfg *c) {
    return larger(larger((c->n_head + 2 * c->n_kv) * c->d_head, c->glu ? 2 * c->d_ff : c->d_ff), larger(c->d_embd, c->d_model));
}

static uint32_t heads_wide(const struct model_cfg *c) { return larger(c->d_model, c->n_head * c->d_head); }

uint64_t forward_floats(const struct model_cfg *c) {
    uint64_t n = (uint64_t)c->d_model + heads_wide(c) + forward_wide(c);
    for (int k = 0; k < N_ROPES; k++) n += rope_used(c, k) ? c->n_rot : 0;
    return n;
}

gllm_status rows_alloc(struct view *v, struct backend *be, uint32_t rows, uint32_t cols, enum extent extent, enum buffer_kind kind, gllm_error *err) {
    struct buffer *b;
    TRY(be->ops->alloc(be, (uint64_t)rows * cols * sizeof(float), kind, &b, err));
    *v = (struct view){.buf = b, .rows = rows, .cols = cols, .stride = cols, .extent = extent};
    return GLLM_OK;
}

gllm_status rows_read(const struct view *v, struct backend *be, uint32_t rows, float *out, gllm_error *err) {
    for (uint32_t i = 0; i < rows; i++)
        TRY(be->ops->read(be, v->buf, v->offset + (uint64_t)i * v->stride * sizeof(float), out + (size_t)i * v->cols, v->cols * sizeof(float), err));
    return GLLM_OK;
}

gllm_status forward_alloc(struct forward_buffers *b, struct backend *be, const struct model_cfg *c, uint32_t n_tok, gllm_error *err) {
    TRY(rows_alloc(&b->x, be, n_tok, c->d_model, EXTENT_TOK, BUFFER_ACTIVATION, err));
    TRY(rows_alloc(&b->h, be, n_tok, heads_wide(c), EXTENT_TOK, BUFFER_ACTIVATION, err));
    TRY(rows_alloc(&b->wide, be, n_tok, forward_wide(c), EXTENT_TOK, BUFFER_ACTIVATION, err));
    for (int k = 0; k < N_ROPES; k++)
        if (rope_used(c, k)) TRY(rows_alloc(&b->rope[k], be, n_tok, c->n_rot, EXTENT_TOK, BUFFER_ACTIVATION, err));
    return GLLM_OK;
}

void forward_free(struct forward_buffers *b, struct backend *be) {
    struct buffer *all[] = {b->x.buf, b->h.buf, b->wide.buf, b->rope[0].buf, b->rope[1].buf};
    _Static_assert(N_ROPES == 2, "a buffer is not freed");
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) be->ops->buffer_free(be, all[i]);
}

/* norm(x) into `out`; a NULL weight skips the norm and gives x itself. */
static struct view norm(struct tape *t, const char *label, const struct model_cfg *c, const struct norm_weights *n, struct view x, struct view out) {
    if (!n->w) return x;
    op_norm(t, label, &(struct op_norm){.out = out, .x = x, .w = n->w, .b = n->b, .kind = c->norm, .eps = c->norm_eps});
    return out;
}

/* x = again(x + res(x + y w^T + bias)), by way of `branch`. */
static void join_again(struct tape *t, const struct model_cfg *c, const struct layer *l, struct view x, struct view y, struct view branch) {
    op_linear(t, "attn.o", &(struct op_linear){.out = branch, .x = y, .w = l->attn.o, .bias = l->attn.o_bias, .res = x});
    norm(t, "attn.norm_res", c, &l->attn.norm_res, branch, branch);
    op_norm(t, "attn.norm_again", &(struct op_norm){.out = x, .x = branch, .res = x, .w = l->attn.norm_again.w, .b = l->attn.norm_again.b, .kind = c->norm, .eps = c->norm_eps});
}

/* x = x + norm(y w^T + bias), by way of `branch` where there is a norm. */
static void join(struct tape *t, const char *label, const char *norm_label, const struct model_cfg *c, const struct norm_weights *n, struct view x, struct view y, struct view branch,
                 const struct weight *w, const struct weight *bias) {
    op_linear(t, label, &(struct op_linear){.out = n->w ? branch : x, .x = y, .w = w, .bias = bias, .res = n->w ? (struct view){0} : x});
    if (n->w) op_norm(t, norm_label, &(struct op_norm){.out = x, .x = branch, .sum = x, .w = n->w, .b = n->b, .kind = c->norm, .eps = c->norm_eps});
}

static void attention(struct tape *t, const struct model_cfg *c, const struct layer *l, const struct weight *rel, const struct forward_buffers *b, const struct kv_cache *caches, struct view qkv) {
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    const struct layer_cfg *own = &c->layers[t->layer];
    struct view q = view_cols(qkv, 0, d_q), k = view_cols(qkv, d_q, d_kv), v = view_cols(qkv, d_q + d_kv, d_kv), heads = view_cols(b->h, 0, d_q);
    struct view rope = own->rope < 0 ? (struct view){0} : b->rope[own->rope];
    if (caches) {
        const struct kv_cache kv = caches[t->layer];
        op_store_kv(t, "attn.store", &(struct op_store_kv){.out = q, .k = k, .v = v, .rope = rope, .q_norm = l->attn.q_norm.w, .k_norm = l->attn.k_norm.w, .cache = kv, .n_head = c->n_head,
                                                           .interleaved = c->rope_interleaved, .eps = c->norm_eps});
        op_attend(t, "attn", &(struct op_attend){.out = heads, .q = q, .cache = kv, .n_head = c->n_head, .window = own->window, .scale = c->attn_scale, .soft_cap = c->attn_cap});
        return;
    }
    const bool rms = c->norm == NORM_RMS; /* of each head, or of all: op_rotate's business */
    if (!rms) norm(t, "attn.q_norm", c, &l->attn.q_norm, q, q);
    if (!rms) norm(t, "attn.k_norm", c, &l->attn.k_norm, k, k);
    if (rope.buf || (rms && l->attn.q_norm.w))
        op_rotate(t, "attn.rotate", &(struct op_rotate){.out = view_cols(qkv, 0, d_q + d_kv), .rope = rope, .q_norm = rms ? l->attn.q_norm.w : NULL, .k_norm = rms ? l->attn.k_norm.w : NULL,
                                                        .n_head = c->n_head, .n_kv = c->n_kv, .d_head = c->d_head, .interleaved = c->rope_interleaved, .eps = c->norm_eps});
    op_attention(t, "attn", &(struct op_attention){.out = heads, .q = q, .k = k, .v = v, .rel = rel, .n_head = c->n_head, .n_kv = c->n_kv, .d_head = c->d_head, .window = own->window,
                                                   .causal = c->causal, .scale = c->attn_scale, .soft_cap = c->attn_cap});
}

static struct view feed_forward(struct tape *t, const struct model_cfg *c, const struct layer *l, struct view h, struct view wide) {
    struct view inside = view_cols(wide, 0, c->glu ? 2 * c->d_ff : c->d_ff), out = view_cols(wide, 0, c->d_ff);
    op_linear(t, "ffn.up", &(struct op_linear){.out = inside, .x = h, .w = l->ffn.up, .bias = l->ffn.up_bias, .act = c->glu ? ACT_NONE : c->act});
    if (c->glu) op_glu(t, "ffn.glu", &(struct op_glu){.out = out, .x = inside, .act = c->act});
    return out;
}

/*   h = norm(in, x);  x = norm(res, x + norm(out, mixer(h)));  h = norm(in, x);  x = norm(res, x + norm(out, ffn(h)))   */
static void block(struct tape *t, const struct model_cfg *c, const struct layer *l, const struct weight *rel, const struct forward_buffers *b, const struct kv_cache *caches) {
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    struct view h = view_cols(b->h, 0, c->d_model), qkv = view_cols(b->wide, 0, d_q + 2 * d_kv);
    struct view in = norm(t, "attn.norm_in", c, &l->attn.norm_in, b->x, h);
    op_linear(t, "attn.qkv", &(struct op_linear){.out = qkv, .x = in, .w = l->attn.qkv, .bias = l->attn.qkv_bias});
    attention(t, c, l, rel, b, caches, qkv);
    struct view heads = view_cols(b->h, 0, d_q), branch = view_cols(b->wide, 0, c->d_model);
    if (l->attn.norm_again.w) join_again(t, c, l, b->x, heads, branch);
    else {
        join(t, "attn.o", "attn.norm_out", c, &l->attn.norm_out, b->x, heads, branch, l->attn.o, l->attn.o_bias);
        norm(t, "attn.norm_res", c, &l->attn.norm_res, b->x, b->x);
    }

    in = norm(t, "ffn.norm_in", c, &l->ffn.norm_in, b->x, h);
    struct view inside = feed_forward(t, c, l, in, b->wide);
    join(t, "ffn.down", "ffn.norm_out", c, &l->ffn.norm_out, b->x, inside, h, l->ffn.down, l->ffn.down_bias);
    norm(t, "ffn.norm_res", c, &l->ffn.norm_res, b->x, b->x);
}

void forward_body(struct tape *t, const struct model_cfg *c, const struct model_weights *w, const struct forward_buffers *b, const struct kv_cache *caches) {
    struct view first = w->embd_proj ? view_cols(b->wide, 0, c->d_embd) : b->x;
    op_embed(t, "embed", &(struct op_embed){.out = first, .word = w->word, .pos = w->pos, .type = w->type, .norm_w = w->embd_norm.w, .norm_b = w->embd_norm.b, .eps = c->norm_eps,
                                            .scale = c->scale_embd ? sqrtf((float)c->d_model) : 0});
    if (w->embd_proj) op_linear(t, "embed.proj", &(struct op_linear){.out = b->x, .x = first, .w = w->embd_proj, .bias = w->embd_proj_bias});
    for (int k = 0; k < N_ROPES; k++)
        if (w->freq[k]) op_rope(t, "rope", &(struct op_rope){.out = b->rope[k], .freq = w->freq[k], .scale = w->rope_scale[k]});
    for (uint32_t i = 0; i < c->n_layer; i++) {
        t->layer = (int)i;
        block(t, c, &w->layers[i], w->rel, b, caches);
    }
    t->layer = -1;
}

void forward_final_norm(struct tape *t, const struct model_cfg *c, const struct model_weights *w, struct view x) {
    norm(t, "final_norm", c, &w->final_norm, x, x);
}
