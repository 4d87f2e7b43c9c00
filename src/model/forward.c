#include "model/forward.h"

#include <math.h>

uint32_t forward_wide(const struct model_cfg *c) {
    uint32_t n = (c->n_head + 2 * c->n_kv) * c->d_head;
    n = c->d_ff > n ? c->d_ff : n;
    return c->d_embd > n ? c->d_embd : n;
}

/* norm(x) into `out`; a NULL weight skips the norm and gives x itself. */
static struct view norm(struct tape *t, const char *label, const struct model_cfg *c, const struct norm_weights *n, struct view x, struct view out) {
    if (!n->w) return x;
    op_norm(t, label, &(struct op_norm){.out = out, .x = x, .w = n->w, .b = n->b, .kind = c->norm, .eps = c->norm_eps});
    return out;
}

/*   h = norm(in, x);  x = norm(res, x + mixer(h));  h = norm(in, x);  x = norm(res, x + ffn(h))   */
static void block(struct tape *t, const struct model_cfg *c, const struct layer *l, const struct weight *rel, const struct forward_buffers *b) {
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    struct view h = norm(t, "attn.norm_in", c, &l->attn.norm_in, b->x, b->h);
    struct view qkv = view_cols(b->wide, 0, d_q + 2 * d_kv), heads = view_cols(b->h, 0, d_q);
    op_linear(t, "attn.qkv", &(struct op_linear){.out = qkv, .x = h, .w = l->attn.qkv, .bias = l->attn.qkv_bias});
    op_attention(t, "attn", &(struct op_attention){.out = heads, .q = view_cols(qkv, 0, d_q), .k = view_cols(qkv, d_q, d_kv), .v = view_cols(qkv, d_q + d_kv, d_kv),
                                                   .rel = rel, .n_head = c->n_head, .n_kv = c->n_kv, .d_head = c->d_head, .scale = 1.0f / sqrtf((float)c->d_head)});
    op_linear(t, "attn.o", &(struct op_linear){.out = b->x, .x = heads, .w = l->attn.o, .bias = l->attn.o_bias, .res = b->x});
    norm(t, "attn.norm_res", c, &l->attn.norm_res, b->x, b->x);

    h = norm(t, "ffn.norm_in", c, &l->ffn.norm_in, b->x, b->h);
    struct view inside = view_cols(b->wide, 0, c->d_ff);
    op_linear(t, "ffn.up", &(struct op_linear){.out = inside, .x = h, .w = l->ffn.up, .bias = l->ffn.up_bias, .act = c->act});
    op_linear(t, "ffn.down", &(struct op_linear){.out = b->x, .x = inside, .w = l->ffn.down, .bias = l->ffn.down_bias, .res = b->x});
    norm(t, "ffn.norm_res", c, &l->ffn.norm_res, b->x, b->x);
}

void forward_encode(struct tape *t, const struct model_cfg *c, const struct encoder_weights *w, const struct forward_buffers *b) {
    struct view first = w->embd_proj ? view_cols(b->wide, 0, c->d_embd) : b->x;
    op_embed(t, "embed", &(struct op_embed){.out = first, .word = w->word, .pos = w->pos, .type = w->type, .norm_w = w->embd_norm.w, .norm_b = w->embd_norm.b, .eps = c->norm_eps});
    if (w->embd_proj) op_linear(t, "embed.proj", &(struct op_linear){.out = b->x, .x = first, .w = w->embd_proj, .bias = w->embd_proj_bias});
    for (uint32_t i = 0; i < c->n_layer; i++) {
        t->layer = (int)i;
        block(t, c, &w->layers[i], w->rel, b);
    }
    t->layer = -1;
}
