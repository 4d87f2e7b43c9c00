/* tape.h - what a model says to a device: a list of coarse operations, recorded once, run often.
 *
 * Model code calls op_linear(t, &(struct op_linear){ .out = h, .x = x, .w = w }) and so on; each call checks shapes once and appends
 * a tagged struct. A mistake is kept in the tape (the first one) and returned by tape_finish, so the recording code
 * reads like the paper.
 *
 * Rows of a view are packed tokens (EXTENT_TOK), sequences (EXTENT_SEQ), or fixed. The tape is recorded for capacities; how many rows
 * there are in a call is read from the step buffer when it runs. */
#ifndef GLLM_BACKEND_TAPE_H
#define GLLM_BACKEND_TAPE_H
#include "backend/backend.h"

/* ---- step buffer: u32 words, written by the host before each run ----
 *   words[0] n_tok   words[1] n_seq   words[2] longest sequence   words[3] n_out   words[4..16) zero
 *   tokens[cap_tok]  pos[cap_tok]  types[cap_tok]  seq[cap_tok]     by token, sequences one after the other
 *   starts[cap_seq + 1]   first token of each sequence, starts[n_seq] = n_tok
 *   pool_from[cap_seq]    tokens of the sequence that pooling leaves out at its start
 *   seen[cap_seq]         op_attention: only so many first tokens of the sequence are keys, the others see without being seen; 0: all
 *   out_rows[cap_out]     tokens whose rows op_gather takes: rows by EXTENT_OUT
 * and where there is a cache (cap_pages > 0)
 *   past[cap_seq]             tokens of the sequence that the cache holds already; its new ones follow them
 *   page_first[cap_seq + 1]   where its pages begin in pages[]
 *   pages[cap_pages]          the cache page of each KV_PAGE tokens of the sequence, in order
 * Offsets are in words. The host has checked ids, positions and types against their tables. */
enum { STEP_N_TOK, STEP_N_SEQ, STEP_MAX_LEN, STEP_N_OUT, STEP_HEADER_WORDS = 16 };
struct step_layout {
    uint32_t cap_tok, cap_seq, cap_out, cap_pages;
    uint32_t tokens, pos, types, seq, starts, pool_from, seen, out_rows, past, page_first, pages, words;
};
struct step_layout step_layout_make(uint32_t cap_tok, uint32_t cap_seq); /* words 0: above 2^32 words, no layout */
struct step_layout step_layout_cached(uint32_t cap_tok, uint32_t cap_seq, uint32_t cap_out, uint32_t cap_pages); /* likewise */

enum extent { EXTENT_FIXED, EXTENT_TOK, EXTENT_SEQ, EXTENT_OUT };
struct view { /* f32 [rows, cols], rows `stride` elements apart */
    struct buffer *buf;
    uint64_t offset; /* bytes, a multiple of 4 */
    uint32_t rows, cols, stride;
    enum extent extent; /* rows is then the capacity */
};
/* Rows that a view has in the call whose step begins with `header`. */
static inline uint32_t view_rows(const struct view *v, const uint32_t *header) {
    return (const uint32_t[]){v->rows, header[STEP_N_TOK], header[STEP_N_SEQ], header[STEP_N_OUT]}[v->extent];
}
struct view view_cols(struct view v, uint32_t first, uint32_t count); /* columns [first, first + count) of v; none, which every operation refuses, when v has fewer */

enum norm_kind { NORM_LAYER, NORM_RMS, NORM_L2 };
enum act_kind { ACT_NONE, ACT_GELU, ACT_GELU_TANH, ACT_GELU_QUICK, ACT_RELU, ACT_SILU, ACT_TANH, ACT_COUNT };
enum pool_kind { /* bits; outputs stand side by side in this order */
    POOL_CLS = 1, POOL_MAX = 2, POOL_MEAN = 4, POOL_MEAN_SQRT_LEN = 8, POOL_WEIGHTED_MEAN = 16, POOL_LAST = 32, POOL_ALL = 63
};

/* out[i] = norm(word[tokens[i]] + pos[pos[i]] + type[types[i]])   out [n_tok, d]; tables [*, d]; pos, type may be NULL.
 * norm_w NULL: no LayerNorm. scale (0: 1) multiplies the word's row. */
struct op_embed {
    struct view out;
    const struct weight *word, *pos, *type, *norm_w, *norm_b;
    float eps, scale;
};
/* y = x + res (res.buf NULL: y = x);  LAYER: (y - mean) / sqrt(var + eps) * w + b   RMS: y / sqrt(mean(y^2) + eps) * w
 * L2: y / max(|y|, eps).  w, b [cols] may be NULL. out may be x or res. sum (sum.buf NULL: none) is added to the result; out may be sum. */
struct op_norm {
    struct view out, x, res, sum;
    const struct weight *w, *b;
    enum norm_kind kind;
    float eps;
};
/* out = act(x w^T + bias) + res      x [n, k], w [m, k], bias [m] or NULL, res [n, m] or none; out [n, m] may be res, not x.
 * soft_cap c > 0: c tanh(y / c) in place of act(y), for logits.
 * ACT_GELU 0.5 y (1 + erf(y / sqrt 2))   GELU_TANH 0.5 y (1 + tanh(sqrt(2/pi) (y + 0.044715 y^3)))   GELU_QUICK y sigmoid(1.702 y) */
struct op_linear {
    struct view out, x, res;
    const struct weight *w, *bias;
    enum act_kind act;
    float soft_cap;
};
/* Attention inside each sequence, without a cache; heads side by side in the columns.
 *   q, out [n_tok, n_head * d_head]   k, v [n_tok, n_kv * d_head]; head h reads kv head h / (n_head / n_kv)
 *   s_ij = scale q_i k_j + rel[h, clamp(j - i, -R, R) + R]  (c tanh(s / c) with soft_cap c > 0),  p = softmax_j,  out_i = sum_j p_ij v_j
 * over the keys j that query i sees: all; causal: j <= i; with a window w > 0 |i - j| <= w, causal i - j < w.
 * rel [n_head, 2R + 1] table or NULL. out may not alias q, k or v. */
struct op_attention {
    struct view out, q, k, v;
    const struct weight *rel;
    uint32_t n_head, n_kv, d_head, window;
    bool causal;
    float scale, soft_cap;
};
struct key_range {
    uint32_t first, end;
};
/* What query i of a sequence of `len` tokens sees, of which the first `seen` are keys. The host has seen to it that there is one. */
static inline struct key_range attention_keys(const struct op_attention *a, uint32_t i, uint32_t len, uint32_t seen) {
    const uint32_t back = !a->window ? len : a->causal ? a->window - 1 : a->window;
    const uint32_t end = a->causal ? i + 1 : a->window && a->window < len - i ? i + a->window + 1 : len;
    return (struct key_range){i > back ? i - back : 0, end < seen ? end : seen};
}
/* How many tokens of sequence s, which has `len`, are keys. */
static inline uint32_t step_seen(const uint32_t *step, const struct step_layout *l, uint32_t s, uint32_t len) { return step[l->seen + s] ? step[l->seen + s] : len; }
/* Over the tokens of sequence s from pool_from[s] on (when none is left, zero):
 * MAX, MEAN, sum / sqrt(n), sum(k x_k) / sum(k) with k = 1.. counted from the sequence's first token, LAST.
 * CLS is the first token at or after pool_from, the sequence's first when none is left (sentence-transformers 6).
 * x [n_tok, d], out [n_seq, d * number of modes]. */
struct op_pool {
    struct view out, x;
    uint32_t modes;
};
/* out[i] = x[out_rows[i]]      x [n_tok, d], out [n_out, d] */
struct op_gather {
    struct view out, x;
};
/* out = act(x[:, 0..d)) x[:, d..2d)      x [n, 2d], out [n, d] may be the first d columns of x */
struct op_glu {
    struct view out, x;
    enum act_kind act;
};
/* out [n_tok, 2r] = scale cos(pos f_i) for i < r, then scale sin(pos f_i)      freq [r]; the product is rounded to f32 first, as the
 * reference library does */
struct op_rope {
    struct view out;
    const struct weight *freq;
    float scale;
};

/* Prepares heads for attention, in place: q and k are normalised (RMS over each head, or over all heads of its kind when the weight is as wide;
 * NULL: not), then their first 2r values of each head rotated by the row of `rope` (rope.buf NULL: not).
 *   halves: (x_i, x_{i+r});  interleaved: (x_2i, x_2i+1)      out [n_tok, (n_head + n_kv) d_head], the heads of q, then those of k */
struct op_rotate {
    struct view out, rope;
    const struct weight *q_norm, *k_norm;
    uint32_t n_head, n_kv, d_head;
    bool interleaved;
    float eps;
};

/* The keys and values of one layer for all sequences, in pages of KV_PAGE tokens. A row is the d_head values of one head of one token in the
 * cache's dtype. Of page p, key head h:
 *   keys   [KV_PAGE] rows from row ((p n_kv + h) 2)     KV_PAGE on
 *   values [KV_PAGE] rows from row ((p n_kv + h) 2 + 1) KV_PAGE on
 * Q8_0 is GGUF's block: an f16 d and 32 signed bytes q for values d q, here d = max |x| / 127 and q = x / d to nearest, ties to even. */
enum { KV_PAGE = 32 };
struct kv_cache {
    struct buffer *buf;
    enum dtype dtype; /* F32, F16, or Q8_0 with d_head a multiple of its 32 */
    uint32_t n_kv, d_head, n_pages;
};
bool kv_dtype_ok(enum dtype dtype, uint32_t d_head);
uint64_t kv_page_bytes(enum dtype dtype, uint32_t n_kv, uint32_t d_head);
/* Prepares a token's heads as op_rotate does: q in place in `out`; k (undefined afterwards) and v rounded to the cache's dtype at the token's
 * place, past + its index in the sequence.      out, that is q [n_tok, n_head d_head]   k, v [n_tok, n_kv d_head] */
struct op_store_kv {
    struct view out, k, v, rope;
    const struct weight *q_norm, *k_norm;
    struct kv_cache cache;
    uint32_t n_head;
    bool interleaved;
    float eps;
};
static inline struct op_rotate store_kv_heads(const struct op_store_kv *a) { /* its out is q alone */
    return (struct op_rotate){.out = a->out, .rope = a->rope, .q_norm = a->q_norm, .k_norm = a->k_norm, .n_head = a->n_head, .n_kv = a->cache.n_kv, .d_head = a->cache.d_head,
                              .interleaved = a->interleaved, .eps = a->eps};
}
/* Attention of each new token to the cached ones of its sequence, itself included, and to no later one (causal); with a window w > 0 to the
 * last w only:  s_ij = scale q_i k_j  (c tanh(s / c) with soft_cap c > 0),  p = softmax_j,  out_i = sum_j p_ij v_j.
 * The keys are summed in an order that depends on their place alone, so that chunks, batch and thread count do not show. */
struct op_attend {
    struct view out, q; /* [n_tok, n_head d_head] */
    struct kv_cache cache;
    uint32_t n_head, window;
    float scale, soft_cap;
};

enum op_kind {
#define OP(KIND, member) OP_##KIND,
#include "backend/ops.def"
#undef OP
    OP_COUNT
};
struct op {
    enum op_kind kind;
    int layer;         /* -1: before or after the layers */
    const char *label; /* "ffn.up"; static or outliving the tape */
    union {
#define OP(KIND, member) struct op_##member member;
#include "backend/ops.def"
#undef OP
    };
};
struct tape {
    struct op *ops;
    size_t n_ops, capacity;
    struct buffer *step;
    struct step_layout layout;
    int layer; /* copied into each op recorded */
    gllm_status status;
    gllm_error error;
};
void tape_init(struct tape *t, struct buffer *step, struct step_layout layout); /* a step too small for the layout is its first mistake */
void tape_free(struct tape *t); /* frees the list, not the buffers it names */
gllm_status tape_finish(const struct tape *t, gllm_error *err);
#define OP(KIND, member) void op_##member(struct tape *t, const char *label, const struct op_##member *args);
#include "backend/ops.def"
#undef OP
const char *op_name(enum op_kind k);          /* "linear"; static */
const struct view *op_out(const struct op *op); /* the view an op writes */
double op_flops(const struct op *op, const uint32_t *step, const struct step_layout *l); /* 1 MAC = 2; attention by its true lengths; embed, norm, pool: 1 a value written */
#endif
