#include "backend/tape.h"

#include <stdio.h>
#include <stdlib.h>

struct step_layout step_layout_make(uint32_t cap_tok, uint32_t cap_seq) {
    struct step_layout l = {.cap_tok = cap_tok, .cap_seq = cap_seq};
    if (STEP_HEADER_WORDS + 4 * (uint64_t)cap_tok + 2 * (uint64_t)cap_seq + 1 > UINT32_MAX) return l;
    l.tokens = STEP_HEADER_WORDS;
    l.pos = l.tokens + cap_tok;
    l.types = l.pos + cap_tok;
    l.seq = l.types + cap_tok;
    l.starts = l.seq + cap_tok;
    l.pool_from = l.starts + cap_seq + 1;
    l.words = l.pool_from + cap_seq;
    return l;
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
    return e == EXTENT_TOK ? "tokens" : e == EXTENT_SEQ ? "sequences" : "fixed";
}
static const char *role_name(enum weight_role r) {
    return r == WEIGHT_MATRIX ? "matrix" : r == WEIGHT_TABLE ? "table" : "vector";
}

static bool view_ok(const struct check *k, const char *what, const struct view *v) {
    const struct step_layout *l = &k->tape->layout;
    if (!v->buf) return fail(k, "%s has no buffer", what);
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
    uint32_t capacity = v->extent == EXTENT_TOK ? l->cap_tok : v->extent == EXTENT_SEQ ? l->cap_seq : 0;
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
    return vector_or_null(k, "bias", a->bias, out->cols);
}

static bool attention_ok(const struct check *k, const struct op_attention *a) {
    if (!a->n_head || !a->n_kv || !a->d_head || a->n_head % a->n_kv)
        return fail(k, "%u heads over %u key/value heads of width %u", a->n_head, a->n_kv, a->d_head);
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

double op_flops(const struct op *op, const uint32_t *step, const struct step_layout *l) {
    double n_tok = step[STEP_N_TOK], n_seq = step[STEP_N_SEQ];
    const struct view *out = op_out(op);
    double rows = out->extent == EXTENT_TOK ? n_tok : out->extent == EXTENT_SEQ ? n_seq : out->rows;
    if (op->kind == OP_LINEAR) return 2.0 * rows * op->linear.w->rows * op->linear.w->cols;
    if (op->kind != OP_ATTENTION) return rows * out->cols;
    double squares = 0;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) {
        double len = step[l->starts + s + 1] - step[l->starts + s];
        squares += len * len;
    }
    return 4.0 * squares * op->attention.n_head * op->attention.d_head;
}
