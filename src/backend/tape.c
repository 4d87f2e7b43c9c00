#include "backend/tape.h"

#include <stdio.h>
#include <stdlib.h>

struct step_layout step_layout_cached(uint32_t cap_tok, uint32_t cap_seq, uint32_t cap_out, uint32_t cap_pages) {
    struct step_layout l = {.cap_tok = cap_tok, .cap_seq = cap_seq, .cap_out = cap_out, .cap_pages = cap_pages};
    const uint64_t paged = cap_pages ? 2 * (uint64_t)cap_seq + 1 + cap_pages : 0;
    if (STEP_HEADER_WORDS + 4 * (uint64_t)cap_tok + 3 * (uint64_t)cap_seq + 1 + cap_out + paged > UINT32_MAX) return l;
    l.tokens = STEP_HEADER_WORDS;
    l.pos = l.tokens + cap_tok;
    l.types = l.pos + cap_tok;
    l.seq = l.types + cap_tok;
    l.starts = l.seq + cap_tok;
    l.pool_from = l.starts + cap_seq + 1;
    l.seen = l.pool_from + cap_seq;
    l.out_rows = l.seen + cap_seq;
    l.words = l.past = l.out_rows + cap_out;
    if (!cap_pages) return l;
    l.page_first = l.past + cap_seq;
    l.pages = l.page_first + cap_seq + 1;
    l.words = l.pages + cap_pages;
    return l;
}
struct step_layout step_layout_make(uint32_t cap_tok, uint32_t cap_seq) {
    return step_layout_cached(cap_tok, cap_seq, 0, 0);
}

uint64_t kv_page_bytes(enum dtype dtype, uint32_t n_kv, uint32_t d_head) {
    return (uint64_t)KV_PAGE * 2 * n_kv * dtype_row_bytes(dtype, d_head);
}
bool kv_dtype_ok(enum dtype dtype, uint32_t d_head) {
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || (dtype == DTYPE_Q8_0 && d_head % dtype_traits(dtype)->block == 0);
}

struct view view_cols(struct view v, uint32_t first, uint32_t count) {
    bool inside = (uint64_t)first + count <= v.cols;
    v.offset += inside ? (uint64_t)first * sizeof(float) : 0;
    v.cols = inside ? count : 0;
    return v;
}

void tape_init(struct tape *t, struct buffer *step, struct step_layout layout) {
    *t = (struct tape){.step = step, .layout = layout, .layer = -1};
    uint64_t bytes = layout.words * (uint64_t)sizeof(uint32_t), found = step ? step->bytes : 0;
    if (!bytes)
        t->status =
            err_set(&t->error, GLLM_INVALID, "step of %u tokens in %u sequences has no layout: above 2^32 words",
                    layout.cap_tok, layout.cap_seq);
    else if (found < bytes)
        t->status = err_set(&t->error, GLLM_INVALID, "step buffer of %llu bytes, expected %llu",
                            (unsigned long long)found, (unsigned long long)bytes);
}

void tape_free(struct tape *t) {
    free(t->ops);
    *t = (struct tape){0};
}

gllm_status tape_finish(const struct tape *t, gllm_error *err) {
    if (t->status != GLLM_OK && err) *err = t->error;
    return t->status;
}

const char *op_name(enum op_kind k) {
    switch (k) {
#define OP(KIND, member) \
    case OP_##KIND:      \
        return #member;
#include "backend/ops.def"
#undef OP
    default: return "unknown";
    }
}

const struct view *op_out(const struct op *op) {
    switch (op->kind) {
#define OP(KIND, member) \
    case OP_##KIND:      \
        return &op->member.out;
#include "backend/ops.def"
#undef OP
    default: return NULL;
    }
}

/* ---- checks: each returns false after keeping the first mistake in the tape ---- */

struct check { /* the operation being recorded */
    struct tape *tape;
    enum op_kind kind;
    const char *label;
};

static bool fail(const struct check *k, const char *format, ...) GLLM_PRINTF(2, 3);
static bool fail(const struct check *k, const char *format, ...) {
    struct tape *t = k->tape;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->status = err_set(&t->error, GLLM_INVALID, "%s (%s): %s", k->label, op_name(k->kind), text);
    if (t->layer >= 0) t->status = err_wrap(&t->error, GLLM_INVALID, "layer %d", t->layer);
    return false;
}

static const char *extent_name(enum extent e) {
    static const char *const NAMES[] = {"fixed", "tokens", "sequences", "gathered rows"};
    return NAMES[e];
}
static const char *role_name(enum weight_role r) {
    return r == WEIGHT_MATRIX ? "matrix" : r == WEIGHT_TABLE ? "table" : "vector";
}

static bool view_ok(const struct check *k, const char *what, const struct view *v) {
    const struct step_layout *l = &k->tape->layout;
    if (!v->buf) return fail(k, "%s has no buffer", what);
    if ((unsigned)v->extent > EXTENT_OUT) return fail(k, "%s: extent %d is unknown", what, (int)v->extent);
    if (!v->rows || !v->cols || v->stride < v->cols)
        return fail(k, "%s: [%u,%u] with stride %u is no view", what, v->rows, v->cols, v->stride);
    if (v->offset % sizeof(float))
        return fail(k, "%s: offset %llu is no multiple of 4", what, (unsigned long long)v->offset);
    uint64_t last = (uint64_t)(v->rows - 1) * v->stride,
             room = v->buf->bytes / sizeof(float); /* in floats: nothing here can wrap */
    if (last > room || v->cols > room - last || v->offset / sizeof(float) > room - last - v->cols)
        return fail(k, "%s: [%u,%u] with stride %u at byte %llu leaves its buffer of %llu bytes", what, v->rows,
                    v->cols, v->stride, (unsigned long long)v->offset, (unsigned long long)v->buf->bytes);
    if (v->buf == k->tape->step) return fail(k, "%s lies in the step buffer", what);
    const uint32_t capacity = (const uint32_t[]){0, l->cap_tok, l->cap_seq, l->cap_out}[v->extent];
    return v->rows >= capacity ||
           fail(k, "%s is [%u,%u], expected room for %u %s", what, v->rows, v->cols, capacity, extent_name(v->extent));
}

/* v is a view of `cols` columns and the rows of `out`. */
static bool operand_ok(const struct check *k, const char *what, const struct view *v, const struct view *out,
                       uint64_t cols) {
    if (!view_ok(k, what, v)) return false;
    if (v->extent != out->extent)
        return fail(k, "%s has rows by %s, out by %s", what, extent_name(v->extent), extent_name(out->extent));
    if (v->rows == out->rows && v->cols == cols) return true;
    return fail(k, "%s is [%u,%u], expected [%u,%llu]", what, v->rows, v->cols, out->rows, (unsigned long long)cols);
}

static bool extent_is(const struct check *k, const char *what, const struct view *v, enum extent e) {
    return v->extent == e || fail(k, "%s has rows by %s, expected %s", what, extent_name(v->extent), extent_name(e));
}

/* Whether a and b share an element. Views of one stride are told apart by their columns (q, k and v of one packed
 * buffer); others by the bytes between their ends. */
static bool overlap(const struct view *a, const struct view *b) {
    if (a->buf != b->buf) return false;
    if (a->offset > b->offset) return overlap(b, a);
    uint64_t between = (b->offset - a->offset) / sizeof(float);
    if (between >= (uint64_t)(a->rows - 1) * a->stride + a->cols) return false;
    uint64_t column = between % a->stride;
    return a->stride != b->stride || column < a->cols || column + b->cols > a->stride;
}
static bool apart(const struct check *k, const char *what, const struct view *v, const struct view *out) {
    return !overlap(v, out) || fail(k, "%s shares memory with out", what);
}
static bool same_or_apart(const struct check *k, const char *what, const struct view *v, const struct view *out) {
    bool same = v->buf == out->buf && v->offset == out->offset && v->stride == out->stride;
    return same || !overlap(v, out) || fail(k, "%s shares memory with out and is not out", what);
}

/* rows 0: any */
static bool weight_is(const struct check *k, const char *what, const struct weight *w, enum weight_role role,
                      uint32_t rows, uint32_t cols) {
    if (!w) return fail(k, "%s is missing", what);
    if (w->role != role) return fail(k, "%s is a %s, expected a %s", what, role_name(w->role), role_name(role));
    if (w->cols == cols && (!rows || w->rows == rows)) return true;
    return rows ? fail(k, "%s is [%u,%u], expected [%u,%u]", what, w->rows, w->cols, rows, cols)
                : fail(k, "%s is [%u,%u], expected [*,%u]", what, w->rows, w->cols, cols);
}
static bool vector_or_null(const struct check *k, const char *what, const struct weight *w, uint32_t cols) {
    return !w || weight_is(k, what, w, WEIGHT_VECTOR, 1, cols);
}

static bool embed_ok(const struct check *k, const struct op_embed *a) {
    uint32_t d = a->out.cols;
    if (!view_ok(k, "out", &a->out) || !extent_is(k, "out", &a->out, EXTENT_TOK)) return false;
    if (!weight_is(k, "word table", a->word, WEIGHT_TABLE, 0, d)) return false;
    if (a->pos && !weight_is(k, "position table", a->pos, WEIGHT_TABLE, 0, d)) return false;
    if (a->type && !weight_is(k, "type table", a->type, WEIGHT_TABLE, 0, d)) return false;
    if (a->norm_b && !a->norm_w) return fail(k, "norm bias without a norm weight");
    return vector_or_null(k, "norm weight", a->norm_w, d) && vector_or_null(k, "norm bias", a->norm_b, d);
}

static bool norm_ok(const struct check *k, const struct op_norm *a) {
    const struct view *out = &a->out;
    if ((unsigned)a->kind > NORM_L2) return fail(k, "norm kind %d is unknown", (int)a->kind);
    if (!view_ok(k, "out", out) || !operand_ok(k, "x", &a->x, out, out->cols) || !same_or_apart(k, "x", &a->x, out))
        return false;
    if (a->res.buf && !(operand_ok(k, "res", &a->res, out, out->cols) && same_or_apart(k, "res", &a->res, out)))
        return false;
    if (a->sum.buf && !(operand_ok(k, "sum", &a->sum, out, out->cols) && same_or_apart(k, "sum", &a->sum, out)))
        return false;
    return vector_or_null(k, "weight", a->w, out->cols) && vector_or_null(k, "bias", a->b, out->cols);
}

static bool linear_ok(const struct check *k, const struct op_linear *a) {
    const struct view *out = &a->out;
    if ((unsigned)a->act >= ACT_COUNT) return fail(k, "activation %d is unknown", (int)a->act);
    if (!view_ok(k, "out", out) || !operand_ok(k, "x", &a->x, out, a->x.cols) || !apart(k, "x", &a->x, out))
        return false;
    if (!weight_is(k, "weight", a->w, WEIGHT_MATRIX, out->cols, a->x.cols)) return false;
    if (a->res.buf && !(operand_ok(k, "res", &a->res, out, out->cols) && same_or_apart(k, "res", &a->res, out)))
        return false;
    if (a->soft_cap < 0 || (a->soft_cap > 0 && a->act != ACT_NONE))
        return fail(k, "soft cap %g with activation %d", (double)a->soft_cap, (int)a->act);
    return vector_or_null(k, "bias", a->bias, out->cols);
}

static bool heads_ok(const struct check *k, uint32_t n_head, uint32_t n_kv, uint32_t d_head) {
    return (n_head && n_kv && d_head && n_head % n_kv == 0) || fail(k, "%u heads over %u key/value heads of width %u", n_head, n_kv, d_head);
}

static bool attention_ok(const struct check *k, const struct op_attention *a) {
    if (!heads_ok(k, a->n_head, a->n_kv, a->d_head)) return false;
    if (!(a->soft_cap >= 0)) return fail(k, "soft cap %g", (double)a->soft_cap);
    const uint64_t wide = (uint64_t)a->n_head * a->d_head, narrow = (uint64_t)a->n_kv * a->d_head;
    const struct view *out = &a->out, *views[] = {&a->q, &a->k, &a->v};
    const char *const names[] = {"q", "k", "v"};
    if (!operand_ok(k, "out", out, out, wide) || !extent_is(k, "out", out, EXTENT_TOK)) return false;
    for (unsigned i = 0; i < 3; i++)
        if (!operand_ok(k, names[i], views[i], out, i ? narrow : wide) || !apart(k, names[i], views[i], out))
            return false;
    if (!a->rel) return true;
    if (a->rel->cols % 2 == 0)
        return fail(k, "relative bias is [%u,%u], expected [%u,2R+1]", a->rel->rows, a->rel->cols, a->n_head);
    return weight_is(k, "relative bias", a->rel, WEIGHT_TABLE, a->n_head, a->rel->cols);
}

static bool pool_ok(const struct check *k, const struct op_pool *a) {
    uint64_t n = 0;
    for (uint32_t m = a->modes; m; m &= m - 1) n++;
    if (!n || a->modes & ~(uint32_t)POOL_ALL) return fail(k, "modes 0x%x are none or unknown", a->modes);
    if (!view_ok(k, "out", &a->out) || !view_ok(k, "x", &a->x) || !apart(k, "x", &a->x, &a->out)) return false;
    if (!extent_is(k, "x", &a->x, EXTENT_TOK) || !extent_is(k, "out", &a->out, EXTENT_SEQ)) return false;
    if (a->out.cols == n * a->x.cols) return true;
    return fail(k, "out is [%u,%u], expected %llu columns: %llu modes of x [%u,%u]", a->out.rows, a->out.cols,
                (unsigned long long)(n * a->x.cols), (unsigned long long)n, a->x.rows, a->x.cols);
}

static bool gather_ok(const struct check *k, const struct op_gather *a) {
    if (!view_ok(k, "out", &a->out) || !view_ok(k, "x", &a->x) || !apart(k, "x", &a->x, &a->out)) return false;
    if (!extent_is(k, "x", &a->x, EXTENT_TOK) || !extent_is(k, "out", &a->out, EXTENT_OUT)) return false;
    return a->out.cols == a->x.cols || fail(k, "x has %u columns, out %u", a->x.cols, a->out.cols);
}

static bool glu_ok(const struct check *k, const struct op_glu *a) {
    if ((unsigned)a->act >= ACT_COUNT) return fail(k, "activation %d is unknown", (int)a->act);
    return view_ok(k, "out", &a->out) && operand_ok(k, "x", &a->x, &a->out, 2ull * a->out.cols) &&
           same_or_apart(k, "x", &a->x, &a->out);
}

static bool rope_ok(const struct check *k, const struct op_rope *a) {
    if (!view_ok(k, "out", &a->out) || !extent_is(k, "out", &a->out, EXTENT_TOK)) return false;
    if (a->out.cols % 2) return fail(k, "out has %u columns, expected an even number", a->out.cols);
    return weight_is(k, "frequencies", a->freq, WEIGHT_VECTOR, 1, a->out.cols / 2);
}

static bool head_norm_ok(const struct check *k, const char *what, const struct weight *w, uint32_t heads, uint32_t d) {
    return !w || weight_is(k, what, w, WEIGHT_VECTOR, 1, w->cols == d ? d : heads * d);
}

/* What op_rotate and op_store_kv do to the heads. */
static bool prepare_ok(const struct check *k, const struct op_rotate *a) {
    if (a->rope.buf && !operand_ok(k, "rope", &a->rope, &a->out, a->rope.cols)) return false;
    if (a->rope.buf && (a->rope.cols % 2 || a->rope.cols > a->d_head))
        return fail(k, "rope of %u columns in heads of width %u", a->rope.cols, a->d_head);
    return head_norm_ok(k, "q norm", a->q_norm, a->n_head, a->d_head) &&
           head_norm_ok(k, "k norm", a->k_norm, a->n_kv, a->d_head);
}

static bool rotate_ok(const struct check *k, const struct op_rotate *a) {
    const uint64_t wide = ((uint64_t)a->n_head + a->n_kv) * a->d_head;
    return heads_ok(k, a->n_head, a->n_kv, a->d_head) && operand_ok(k, "out", &a->out, &a->out, wide) &&
           extent_is(k, "out", &a->out, EXTENT_TOK) && prepare_ok(k, a) &&
           (!a->rope.buf || apart(k, "rope", &a->rope, &a->out));
}

static bool cache_ok(const struct check *k, const struct kv_cache *c, uint32_t n_head) {
    const struct step_layout *l = &k->tape->layout;
    if (!c->buf) return fail(k, "cache has no buffer");
    if (!kv_dtype_ok(c->dtype, c->d_head))
        return fail(k, "cache of %s with heads of width %u", dtype_traits(c->dtype)->name, c->d_head);
    if (!heads_ok(k, n_head, c->n_kv, c->d_head)) return false;
    if (!l->cap_pages) return fail(k, "the step has no room for pages");
    const uint64_t bytes = kv_page_bytes(c->dtype, c->n_kv, c->d_head);
    return (c->n_pages && c->buf->bytes / bytes >= c->n_pages) ||
           fail(k, "cache of %u pages of %llu bytes in a buffer of %llu", c->n_pages, (unsigned long long)bytes,
                (unsigned long long)c->buf->bytes);
}

static bool store_kv_ok(const struct check *k, const struct op_store_kv *a) {
    const struct kv_cache *c = &a->cache;
    const struct view *out = &a->out;
    if (!cache_ok(k, c, a->n_head)) return false;
    if (!operand_ok(k, "q", out, out, (uint64_t)a->n_head * c->d_head) || !extent_is(k, "q", out, EXTENT_TOK)) return false;
    if (!operand_ok(k, "k", &a->k, out, (uint64_t)c->n_kv * c->d_head) || !apart(k, "k", &a->k, out)) return false;
    if (!operand_ok(k, "v", &a->v, out, (uint64_t)c->n_kv * c->d_head) || !apart(k, "v", &a->v, out)) return false;
    const struct op_rotate heads = store_kv_heads(a);
    return prepare_ok(k, &heads);
}

static bool attend_ok(const struct check *k, const struct op_attend *a) {
    const uint64_t wide = (uint64_t)a->n_head * a->cache.d_head;
    if (!cache_ok(k, &a->cache, a->n_head)) return false;
    if (a->soft_cap < 0) return fail(k, "soft cap %g", (double)a->soft_cap);
    return operand_ok(k, "out", &a->out, &a->out, wide) && extent_is(k, "out", &a->out, EXTENT_TOK) &&
           operand_ok(k, "q", &a->q, &a->out, wide) && apart(k, "q", &a->q, &a->out);
}

/* ---- recorders ---- */

static struct op *append(struct tape *t, enum op_kind kind, const char *label) {
    if (t->n_ops == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        struct op *ops = realloc(t->ops, capacity * sizeof *ops);
        if (!ops) {
            t->status = err_nomem(&t->error, "tape");
            return NULL;
        }
        t->ops = ops;
        t->capacity = capacity;
    }
    struct op *op = &t->ops[t->n_ops++];
    *op = (struct op){.kind = kind, .layer = t->layer, .label = label};
    return op;
}

#define OP(KIND, member)                                                                              \
    void op_##member(struct tape *t, const char *label, const struct op_##member *args) {             \
        if (t->status != GLLM_OK || !member##_ok(&(struct check){t, OP_##KIND, label}, args)) return; \
        struct op *op = append(t, OP_##KIND, label);                                                  \
        if (op) op->member = *args;                                                                   \
    }
#include "backend/ops.def"
#undef OP

/* Keys that the queries of sequence s see, summed over its queries. */
static double pairs(const struct op *op, const uint32_t *step, const struct step_layout *l, uint32_t s) {
    const double len = step[l->starts + s + 1] - step[l->starts + s];
    const bool cached = op->kind == OP_ATTEND;
    const double past = cached ? step[l->past + s] : 0, window = cached ? op->attend.window : op->attention.window;
    if (!cached && !op->attention.causal) { /* a distance k to either side is between len - k pairs */
        const double far = window > 0 && window < len ? window : len;
        return len ? len + far * (2 * len - far - 1) : 0;
    }
    const double seen = len * past + len * (len + 1) / 2, beyond = past + len - window; /* queries past the window's width */
    if (window <= 0 || beyond <= 0) return seen;
    const double cut = beyond < len ? beyond : len; /* each of the last `cut` sees only `window` */
    return seen - cut * beyond + cut * (cut - 1) / 2;
}

double op_flops(const struct op *op, const uint32_t *step, const struct step_layout *l) {
    const struct view *out = op_out(op);
    const double rows = view_rows(out, step);
    if (op->kind == OP_LINEAR) return 2.0 * rows * op->linear.w->rows * op->linear.w->cols;
    if (op->kind != OP_ATTENTION && op->kind != OP_ATTEND) return rows * out->cols;
    double sum = 0;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) sum += pairs(op, step, l, s);
    return 4.0 * sum * out->cols;
}
