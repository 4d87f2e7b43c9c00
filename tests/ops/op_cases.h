/* op_cases.h - one case of an operation: its shapes, how its operands are stored, and how it is recorded in a scene. */
#ifndef GLLM_TESTS_OP_CASES_H
#define GLLM_TESTS_OP_CASES_H
#include "ops/op_harness.h"

/* The operations that need no cache; test_cache_ops.c has the others. */
#define HARNESS_OPS(X) X(EMBED, embed) X(NORM, norm) X(LINEAR, linear) X(ATTENTION, attention) X(POOL, pool) X(ROTATE, rotate)

/* Largest |got - want| allowed, in units of f32's epsilon (2^-23) times the case's `scale`, which is the size of its
 * numbers: 1 where outputs are about 1, sqrt(k) for a sum of k products of about 1. Wide enough for f32 sums in plain
 * order (a quarter to a half of it is used then), tens of times too narrow for inputs rounded to tf32 or bf16. */
static const double TOLERANCE[OP_COUNT] = {
    [OP_EMBED] = 32, [OP_NORM] = 16, [OP_LINEAR] = 24, [OP_ATTENTION] = 24, [OP_POOL] = 8, [OP_ROTATE] = 16,
};

enum alias { RES_NONE, RES_OTHER, RES_OUT, X_OUT }; /* the residual: none, a view of its own, out; norm: out is x */
static const char *const ALIAS_NAMES[] = {"", " res", " res=out", " x=out"};
static const char *const ACT_NAMES[ACT_COUNT] = {"", " gelu", " gelu_tanh", " gelu_quick", " relu", " silu", " tanh"};
static const char *const NORM_NAMES[] = {"layer", "rms", "l2"};
static const char *const DTYPE_NAMES[] = {"f32", "f16", "bf16"};
static const char *const EXTENT_NAMES[] = {"fixed", "tok", "seq", "out"};

struct embed_case {
    uint32_t d;
    bool pos, type, norm, norm_b;
};
struct norm_case {
    uint32_t rows, d;
    enum norm_kind kind;
    enum alias alias;
    enum extent extent;
    bool w, b, zero_rows;
    float spread, offset;
};
struct linear_case {
    uint32_t rows, k, n;
    enum act_kind act;
    enum alias alias;
    enum extent extent;
    bool bias;
    float spread; /* 0: 1 */
};
struct attention_case {
    uint32_t n_head, n_kv, d_head;
    int32_t radius; /* of the relative bias; -1: none */
    bool packed;    /* q, k and v are columns of one buffer */
    float logits;   /* > 0: integers whose logits reach about this */
    bool causal;
    uint32_t window;
    float soft_cap;
};
enum head_norm { HEAD_NORM_NONE, HEAD_NORM_EACH, HEAD_NORM_ALL };
struct rotate_case {
    uint32_t n_head, n_kv, d_head, rope; /* rope: columns; 0: no rotation */
    enum head_norm norm;
    bool interleaved;
};
struct pool_case {
    uint32_t d, modes;
};

struct op_case {
    enum op_kind kind;
    const uint32_t *len; /* the sequences: [n_seq] */
    uint32_t n_seq, skip;
    uint32_t spare, gap, shift, guard;
    struct storage storage;
    double scale;
    union {
        struct embed_case embed;
        struct norm_case norm;
        struct linear_case linear;
        struct attention_case attention;
        struct pool_case pool;
        struct rotate_case rotate;
    };
};

/* ---- how each is recorded ---- */

static inline void record_embed(struct scene *s, const struct op_case *c, const struct embed_case *e) {
    const struct draw unit = {.spread = 1}, near_one = {.spread = 0.5f, .offset = 1};
    const struct storage st = c->storage;
    uint32_t longest = s->step->words[STEP_MAX_LEN] + FIRST_POS + 1;
    struct op_embed a = {.eps = 1e-12f};
    a.out = scene_out(s, EXTENT_TOK, 0, e->d);
    a.word = scene_weight(s, WEIGHT_TABLE, N_VOCAB, e->d, st, unit);
    if (e->pos) a.pos = scene_weight(s, WEIGHT_TABLE, longest, e->d, st, unit);
    if (e->type) a.type = scene_weight(s, WEIGHT_TABLE, N_TYPES, e->d, st, unit);
    if (e->norm) a.norm_w = scene_weight(s, WEIGHT_VECTOR, 1, e->d, st, near_one);
    if (e->norm_b) a.norm_b = scene_weight(s, WEIGHT_VECTOR, 1, e->d, st, unit);
    op_embed(&s->tape, "case", &a);
}

static inline void record_norm(struct scene *s, const struct op_case *c, const struct norm_case *e) {
    const struct draw values = {.spread = e->zero_rows ? 0 : e->spread, .offset = e->offset},
                      near_one = {.spread = 0.5f, .offset = 1};
    struct op_norm a = {.kind = e->kind, .eps = 1e-12f};
    a.x = scene_view(s, e->extent, e->rows, e->d, values);
    if (e->alias == RES_OTHER || e->alias == RES_OUT) a.res = scene_view(s, e->extent, e->rows, e->d, values);
    a.out = e->alias == X_OUT ? a.x : e->alias == RES_OUT ? a.res : scene_out(s, e->extent, e->rows, e->d);
    if (e->w) a.w = scene_weight(s, WEIGHT_VECTOR, 1, e->d, c->storage, near_one);
    if (e->b) a.b = scene_weight(s, WEIGHT_VECTOR, 1, e->d, c->storage, (struct draw){.spread = 1});
    op_norm(&s->tape, "case", &a);
}

static inline void record_linear(struct scene *s, const struct op_case *c, const struct linear_case *e) {
    const struct draw unit = {.spread = 1}, values = {.spread = e->spread > 0 ? e->spread : 1};
    struct op_linear a = {.act = e->act};
    a.x = scene_view(s, e->extent, e->rows, e->k, values);
    if (e->alias != RES_NONE) a.res = scene_view(s, e->extent, e->rows, e->n, unit);
    a.out = e->alias == RES_OUT ? a.res : scene_out(s, e->extent, e->rows, e->n);
    a.w = scene_weight(s, WEIGHT_MATRIX, e->n, e->k, c->storage, unit);
    if (e->bias) a.bias = scene_weight(s, WEIGHT_VECTOR, 1, e->n, c->storage, unit);
    op_linear(&s->tape, "case", &a);
}

static inline void record_attention(struct scene *s, const struct op_case *c, const struct attention_case *e) {
    uint32_t wide = e->n_head * e->d_head, narrow = e->n_kv * e->d_head;
    const struct draw unit = {.spread = 1};
    struct draw values = unit;
    struct op_attention a = {
        .n_head = e->n_head, .n_kv = e->n_kv, .d_head = e->d_head, .scale = 1 / sqrtf((float)e->d_head),
        .causal = e->causal, .window = e->window, .soft_cap = e->soft_cap};
    if (e->logits > 0) { /* |q k| <= spread^2 d, and a scale of 1 keeps every logit an exact integer */
        values = (struct draw){.spread = sqrtf(e->logits / (float)e->d_head), .integers = true};
        a.scale = 1;
    }
    if (e->packed) {
        struct view qkv = scene_view(s, EXTENT_TOK, 0, wide + 2 * narrow, values);
        a.q = view_cols(qkv, 0, wide);
        a.k = view_cols(qkv, wide, narrow);
        a.v = view_cols(qkv, wide + narrow, narrow);
    } else {
        a.q = scene_view(s, EXTENT_TOK, 0, wide, values);
        a.k = scene_view(s, EXTENT_TOK, 0, narrow, values);
        a.v = scene_view(s, EXTENT_TOK, 0, narrow, unit);
    }
    a.out = scene_out(s, EXTENT_TOK, 0, wide);
    if (e->radius >= 0)
        a.rel = scene_weight(s, WEIGHT_TABLE, e->n_head, 2 * (uint32_t)e->radius + 1, c->storage,
                             (struct draw){.spread = 3});
    op_attention(&s->tape, "case", &a);
}

static inline void record_pool(struct scene *s, const struct op_case *c, const struct pool_case *e) {
    (void)c;
    uint32_t n = 0;
    for (uint32_t m = e->modes; m; m &= m - 1) n++;
    struct op_pool a = {.modes = e->modes};
    a.x = scene_view(s, EXTENT_TOK, 0, e->d, (struct draw){.spread = 1});
    a.out = scene_out(s, EXTENT_SEQ, 0, e->d * n);
    op_pool(&s->tape, "case", &a);
}

static inline void record_rotate(struct scene *s, const struct op_case *c, const struct rotate_case *e) {
    const struct draw unit = {.spread = 1}, near_one = {.spread = 0.5f, .offset = 1};
    const uint32_t wide = e->n_head * e->d_head, narrow = e->n_kv * e->d_head;
    struct op_rotate a = {.n_head = e->n_head, .n_kv = e->n_kv, .d_head = e->d_head, .interleaved = e->interleaved, .eps = 1e-6f};
    struct view qkv = scene_view(s, EXTENT_TOK, 0, wide + 2 * narrow, unit);
    a.out = view_cols(qkv, 0, wide + narrow);
    if (e->rope) a.rope = scene_view(s, EXTENT_TOK, 0, e->rope, unit);
    if (e->norm) a.q_norm = scene_weight(s, WEIGHT_VECTOR, 1, e->norm == HEAD_NORM_ALL ? wide : e->d_head, c->storage, near_one);
    if (e->norm) a.k_norm = scene_weight(s, WEIGHT_VECTOR, 1, e->norm == HEAD_NORM_ALL ? narrow : e->d_head, c->storage, near_one);
    op_rotate(&s->tape, "case", &a);
}

static inline void case_record(struct scene *s, const struct op_case *c) {
    s->gap = c->gap, s->shift = c->shift, s->guard = c->guard;
    switch (c->kind) {
#define OP(KIND, member)                   \
    case OP_##KIND:                        \
        record_##member(s, c, &c->member); \
        break;
HARNESS_OPS(OP)
#undef OP
    default: fail_msg("no such operation");
    }
    OK(tape_finish(&s->tape, err));
    assert_int_equal(s->tape.n_ops, 1);
}

/* ---- names, for messages ---- */

static inline void name_embed(char *t, size_t n, const struct op_case *c, const struct embed_case *e) {
    snprintf(t, n, "embed d %u%s%s%s%s, tables %s", e->d, e->pos ? " pos" : "", e->type ? " type" : "",
             e->norm ? " norm" : "", e->norm_b ? "+b" : "", DTYPE_NAMES[c->storage.dtype]);
}
static inline void name_norm(char *t, size_t n, const struct op_case *c, const struct norm_case *e) {
    (void)c;
    snprintf(t, n, "norm %s [%u,%u] by %s%s%s%s, values %g +- %g%s", NORM_NAMES[e->kind], e->rows, e->d,
             EXTENT_NAMES[e->extent], ALIAS_NAMES[e->alias], e->w ? " w" : "", e->b ? " b" : "", (double)e->offset,
             (double)e->spread, e->zero_rows ? ", all equal" : "");
}
static inline void name_linear(char *t, size_t n, const struct op_case *c, const struct linear_case *e) {
    snprintf(t, n, "linear [%u,%u] x [%u,%u] by %s%s%s%s, values to %g, weight %s in %u parts%s%s", e->rows, e->k, e->n,
             e->k, EXTENT_NAMES[e->extent], ACT_NAMES[e->act], e->bias ? " bias" : "", ALIAS_NAMES[e->alias],
             (double)e->spread, DTYPE_NAMES[c->storage.dtype], c->storage.n_parts,
             c->storage.hole ? " with a hole" : "", c->storage.odd ? " at an odd address" : "");
}
static inline void name_attention(char *t, size_t n, const struct op_case *c, const struct attention_case *e) {
    (void)c;
    snprintf(t, n, "attention %u/%u heads of %u, bias radius %d, %s, logits %g%s, window %u, cap %g", e->n_head, e->n_kv, e->d_head,
             (int)e->radius, e->packed ? "packed qkv" : "q k v apart", (double)e->logits, e->causal ? ", causal" : "", e->window,
             (double)e->soft_cap);
}
static inline void name_rotate(char *t, size_t n, const struct op_case *c, const struct rotate_case *e) {
    (void)c;
    snprintf(t, n, "rotate %u/%u heads of %u by %u%s%s", e->n_head, e->n_kv, e->d_head, e->rope, e->interleaved ? " interleaved" : "",
             (const char *const[]){"", ", each normalised", ", all normalised"}[e->norm]);
}
static inline void name_pool(char *t, size_t n, const struct op_case *c, const struct pool_case *e) {
    snprintf(t, n, "pool d %u, modes 0x%02x, from %u", e->d, e->modes, c->skip);
}

static inline void case_name(char *text, size_t size, const struct op_case *c) {
    char head[200] = "";
    switch (c->kind) {
#define OP(KIND, member)                                 \
    case OP_##KIND:                                      \
        name_##member(head, sizeof head, c, &c->member); \
        break;
HARNESS_OPS(OP)
#undef OP
    default: break;
    }
    int at = snprintf(text, size, "%s; gap %u, shift %u, guard %u, spare %u; %u sequences of", head, c->gap, c->shift,
                      c->guard, c->spare, c->n_seq);
    for (uint32_t i = 0; i < c->n_seq && i < 12 && (size_t)at < size; i++)
        at += snprintf(text + at, size - (size_t)at, " %u", c->len[i]);
    if (c->n_seq > 12 && (size_t)at < size) snprintf(text + at, size - (size_t)at, " ...");
}
#endif
