#include "model/forward.h"

#include <math.h>

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

uint32_t forward_wide(const struct model_cfg *c) {
    return larger(larger((c->n_head + 2 * c->n_kv) * c->d_head, c->glu ? 2 * c->d_ff : c->d_ff), larger(c->d_embd, c->d_model));
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

static void attention(struct tape *t, const struct model_cfg *c, const struct layer *l, const struct weight *rel, const struct forward_buffers *b, const struct forward_cache *cache, struct view qkv) {
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    struct view q = view_cols(qkv, 0, d_q), k = view_cols(qkv, d_q, d_kv), v = view_cols(qkv, d_q + d_kv, d_kv), heads = view_cols(b->h, 0, d_q);
    if (!cache) {
        norm(t, "attn.q_norm", c, &(struct norm_weights){l->attn.q_norm, l->attn.q_norm_bias}, q, q);
        norm(t, "attn.k_norm", c, &(struct norm_weights){l->attn.k_norm, l->attn.k_norm_bias}, k, k);
        op_attention(t, "attn", &(struct op_attention){.out = heads, .q = q, .k = k, .v = v, .rel = rel, .n_head = c->n_head, .n_kv = c->n_kv, .d_head = c->d_head, .scale = c->attn_scale});
        return;
    }
    const struct layer_cfg *own = &c->layers[t->layer];
    const struct kv_cache kv = cache->layers[t->layer];
    op_store_kv(t, "attn.store", &(struct op_store_kv){.out = q, .k = k, .v = v, .rope = own->rope < 0 ? (struct view){0} : b->rope[own->rope], .q_norm = l->attn.q_norm,
                                                       .k_norm = l->attn.k_norm, .cache = kv, .n_head = c->n_head, .interleaved = c->rope_interleaved, .eps = c->norm_eps});
    op_attend(t, "attn", &(struct op_attend){.out = heads, .q = q, .cache = kv, .n_head = c->n_head, .window = own->window, .scale = c->attn_scale, .soft_cap = c->attn_cap});
}

static struct view feed_forward(struct tape *t, const struct model_cfg *c, const struct layer *l, struct view h, struct view wide) {
    struct view inside = view_cols(wide, 0, c->glu ? 2 * c->d_ff : c->d_ff), out = view_cols(wide, 0, c->d_ff);
    op_linear(t, "ffn.up", &(struct op_linear){.out = inside, .x = h, .w = l->ffn.up, .bias = l->ffn.up_bias, .act = c->glu ? ACT_NONE : c->act});
    if (c->glu) op_glu(t, "ffn.glu", &(struct op_glu){.out = out, .x = inside, .act = c->act});
    return out;
}

/*   h = norm(in, x);  x = norm(res, x + norm(out, mixer(h)));  h = norm(in, x);  x = norm(res, x + norm(out, ffn(h)))   */
static void block(struct tape *t, const struct model_cfg *c, const struct layer *l, const struct weight *rel, const struct forward_buffers *b, const struct forward_cache *cache) {
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    struct view h = view_cols(b->h, 0, c->d_model), qkv = view_cols(b->wide, 0, d_q + 2 * d_kv);
    struct view in = norm(t, "attn.norm_in", c, &l->attn.norm_in, b->x, h);
    op_linear(t, "attn.qkv", &(struct op_linear){.out = qkv, .x = in, .w = l->attn.qkv, .bias = l->attn.qkv_bias});
    attention(t, c, l, rel, b, cache, qkv);
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

void forward_body(struct tape *t, const struct model_cfg *c, const struct model_weights *w, const struct forward_buffers *b, const struct forward_cache *cache) {
    struct view first = w->embd_proj ? view_cols(b->wide, 0, c->d_embd) : b->x;
    op_embed(t, "embed", &(struct op_embed){.out = first, .word = w->word, .pos = w->pos, .type = w->type, .norm_w = w->embd_norm.w, .norm_b = w->embd_norm.b, .eps = c->norm_eps,
                                            .scale = c->scale_embd ? sqrtf((float)c->d_model) : 0});
    if (w->embd_proj) op_linear(t, "embed.proj", &(struct op_linear){.out = b->x, .x = first, .w = w->embd_proj, .bias = w->embd_proj_bias});
    for (int k = 0; k < N_ROPES; k++)
        if (w->freq[k]) op_rope(t, "rope", &(struct op_rope){.out = b->rope[k], .freq = w->freq[k], .scale = cache->rope_scale[k]});
    for (uint32_t i = 0; i < c->n_layer; i++) {
        t->layer = (int)i;
        block(t, c, &w->layers[i], w->rel, b, cache);
    }
    t->layer = -1;
}
