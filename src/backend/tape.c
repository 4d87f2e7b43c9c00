#include "backend/tape.h"

#include <stdio.h>
#include <stdlib.h>

struct step_layout step_layout_make(uint32_t cap_tok, uint32_t cap_seq) {
    struct step_layout l = {.cap_tok = cap_tok, .cap_seq = cap_seq};
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
    v.offset += (uint64_t)first * sizeof(float);
    v.cols = count;
    return v;
}

void tape_init(struct tape *t, struct buffer *step, struct step_layout layout) {
    *t = (struct tape){.step = step, .layout = layout, .layer = -1};
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
    case OP_##KIND: return #member;
#include "backend/ops.def"
#undef OP
    default: return "unknown";
    }
}

const struct view *op_out(const struct op *op) {
    switch (op->kind) {
#define OP(KIND, member) \
    case OP_##KIND: return &op->member.out;
#include "backend/ops.def"
#undef OP
    default: return NULL;
    }
}

/* ---- checks: each returns false after keeping the first mistake in the tape ---- */

static bool fail(struct tape *t, const char *label, const char *format, ...) GLLM_PRINTF(3, 4);
static bool fail(struct tape *t, const char *label, const char *format, ...) {
    if (t->status != GLLM_OK) return false;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (t->layer >= 0) t->status = err_set(&t->error, GLLM_INVALID, "layer %d %s: %s", t->layer, label, text);
    else t->status = err_set(&t->error, GLLM_INVALID, "%s: %s", label, text);
    return false;
}

static bool view_ok(struct tape *t, const char *label, const char *what, const struct view *v) {
    if (!v->buf) return fail(t, label, "%s has no buffer", what);
    if (!v->rows || !v->cols || v->stride < v->cols)
        return fail(t, label, "%s: [%u,%u] with stride %u is no view", what, v->rows, v->cols, v->stride);
    if (v->offset % sizeof(float)) return fail(t, label, "%s: offset %llu is no multiple of 4", what, (unsigned long long)v->offset);
    uint64_t span = ((uint64_t)(v->rows - 1) * v->stride + v->cols) * sizeof(float); /* < 2^66 / 4: 2^32 * 2^32 * 4 may wrap */
    if ((uint64_t)(v->rows - 1) * v->stride > UINT64_MAX / 8 || v->offset > v->buf->bytes || span > v->buf->bytes - v->offset)
        return fail(t, label, "%s: [%u,%u] at byte %llu leaves its buffer of %llu bytes", what, v->rows, v->cols, (unsigned long long)v->offset, (unsigned long long)v->buf->bytes);
    return true;
}

static bool same_rows(struct tape *t, const char *label, const char *what, const struct view *a, const struct view *out) {
    if (a->rows == out->rows && a->extent == out->extent) return true;
    return fail(t, label, "%s has %u rows of extent %d, out has %u of %d", what, a->rows, (int)a->extent, out->rows, (int)out->extent);
}

static bool cols_are(struct tape *t, const char *label, const char *what, uint32_t cols, uint32_t expected) {
    return cols == expected || fail(t, label, "%s has %u columns, expected %u", what, cols, expected);
}

static bool weight_is(struct tape *t, const char *label, const char *what, const struct weight *w, enum weight_role role, uint32_t cols) {
    if (!w) return fail(t, label, "%s is missing", what);
    if (w->role != role) return fail(t, label, "%s has role %d, expected %d", what, (int)w->role, (int)role);
    if (w->cols != cols) return fail(t, label, "%s: shape [%u,%u], expected %u columns", what, w->rows, w->cols, cols);
    return true;
}

static bool vector_or_null(struct tape *t, const char *label, const char *what, const struct weight *w, uint32_t cols) {
    return !w || weight_is(t, label, what, w, WEIGHT_VECTOR, cols);
}

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

/* ---- recorders ---- */

static bool embed_ok(struct tape *t, const char *label, const struct op_embed *a) {
    uint32_t d = a->out.cols;
    if (!view_ok(t, label, "out", &a->out) || !weight_is(t, label, "word table", a->word, WEIGHT_TABLE, d)) return false;
    if (a->out.extent != EXTENT_TOK) return fail(t, label, "out has extent %d, expected tokens", (int)a->out.extent);
    if (a->pos && !weight_is(t, label, "position table", a->pos, WEIGHT_TABLE, d)) return false;
    if (a->type && !weight_is(t, label, "type table", a->type, WEIGHT_TABLE, d)) return false;
    return vector_or_null(t, label, "norm weight", a->norm_w, d) && vector_or_null(t, label, "norm bias", a->norm_b, d);
}

static bool norm_ok(struct tape *t, const char *label, const struct op_norm *a) {
    uint32_t d = a->out.cols;
    if (!view_ok(t, label, "out", &a->out) || !view_ok(t, label, "x", &a->x)) return false;
    if (!same_rows(t, label, "x", &a->x, &a->out) || !cols_are(t, label, "x", a->x.cols, d)) return false;
    if (a->res.buf && !(view_ok(t, label, "res", &a->res) && same_rows(t, label, "res", &a->res, &a->out) && cols_are(t, label, "res", a->res.cols, d))) return false;
    return vector_or_null(t, label, "weight", a->w, d) && vector_or_null(t, label, "bias", a->b, d);
}

static bool linear_ok(struct tape *t, const char *label, const struct op_linear *a) {
    if (!view_ok(t, label, "out", &a->out) || !view_ok(t, label, "x", &a->x) || !same_rows(t, label, "x", &a->x, &a->out)) return false;
    if (!weight_is(t, label, "weight", a->w, WEIGHT_MATRIX, a->x.cols)) return false;
    if (!cols_are(t, label, "out", a->out.cols, a->w->rows)) return false;
    if (a->res.buf && !(view_ok(t, label, "res", &a->res) && same_rows(t, label, "res", &a->res, &a->out) && cols_are(t, label, "res", a->res.cols, a->out.cols))) return false;
    if ((unsigned)a->act >= ACT_COUNT) return fail(t, label, "activation %d is unknown", (int)a->act);
    return vector_or_null(t, label, "bias", a->bias, a->out.cols);
}

static bool attention_ok(struct tape *t, const char *label, const struct op_attention *a) {
    if (!a->n_head || !a->n_kv || !a->d_head || a->n_head % a->n_kv)
        return fail(t, label, "%u heads over %u key/value heads of width %u", a->n_head, a->n_kv, a->d_head);
    const struct view *views[] = {&a->out, &a->q, &a->k, &a->v};
    const char *names[] = {"out", "q", "k", "v"};
    for (unsigned i = 0; i < 4; i++) {
        uint64_t cols = (uint64_t)(i < 2 ? a->n_head : a->n_kv) * a->d_head;
        if (!view_ok(t, label, names[i], views[i]) || !same_rows(t, label, names[i], views[i], &a->out)) return false;
        if (views[i]->cols != cols) return fail(t, label, "%s has %u columns, expected %llu", names[i], views[i]->cols, (unsigned long long)cols);
    }
    if (a->out.extent != EXTENT_TOK) return fail(t, label, "out has extent %d, expected tokens", (int)a->out.extent);
    if (a->rel && (a->rel->role != WEIGHT_TABLE || a->rel->rows != a->n_head || a->rel->cols % 2 == 0))
        return fail(t, label, "relative bias: shape [%u,%u], expected a table of [%u, odd]", a->rel->rows, a->rel->cols, a->n_head);
    return true;
}

static bool pool_ok(struct tape *t, const char *label, const struct op_pool *a) {
    unsigned n = 0;
    for (uint32_t m = a->modes; m; m &= m - 1) n++;
    if (!n || a->modes & ~(uint32_t)POOL_ALL) return fail(t, label, "modes 0x%x are none or unknown", a->modes);
    if (!view_ok(t, label, "out", &a->out) || !view_ok(t, label, "x", &a->x)) return false;
    if (a->x.extent != EXTENT_TOK || a->out.extent != EXTENT_SEQ) return fail(t, label, "expected x by tokens and out by sequences");
    return cols_are(t, label, "out", a->out.cols, a->x.cols * n);
}

#define OP(KIND, member)                                                              \
    void op_##member(struct tape *t, const char *label, const struct op_##member *args) { \
        if (t->status != GLLM_OK || !member##_ok(t, label, args)) return;             \
        struct op *op = append(t, OP_##KIND, label);                                  \
        if (op) op->member = *args;                                                   \
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
