#include "backend/ref/ref_ops.h"

#include <math.h>
#include <stdlib.h>

static const float *values(const struct weight *w) { return w ? ((const struct ref_weight *)w)->data : NULL; }
static const float *table_row(const struct weight *w, uint32_t row) { return values(w) + (size_t)row * w->cols; }
static float *row_of(const struct view *v, uint32_t row) { return view_ptr(v) + (size_t)row * v->stride; }

static double act(enum act_kind kind, double y) {
    switch (kind) {
    case ACT_GELU: return 0.5 * y * (1 + erf(y * 0.70710678118654752440));
    case ACT_GELU_TANH: return 0.5 * y * (1 + tanh(0.79788456080286535588 * (y + 0.044715 * y * y * y)));
    case ACT_GELU_QUICK: return y / (1 + exp(-1.702 * y));
    case ACT_RELU: return y < 0 ? 0 : y;
    case ACT_SILU: return y / (1 + exp(-y));
    case ACT_TANH: return tanh(y);
    default: return y;
    }
}

/* out[0..n) = norm(y[0..n)); out may be y's source. */
static void norm_row(enum norm_kind kind, const double *y, uint32_t n, const float *w, const float *b, double eps, float *out) {
    double mean = 0, square = 0;
    for (uint32_t i = 0; i < n; i++) mean += y[i];
    mean = kind == NORM_LAYER ? mean / n : 0;
    for (uint32_t i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean);
    double scale = kind == NORM_L2 ? 1 / fmax(sqrt(square), eps) : 1 / sqrt(square / n + eps);
    for (uint32_t i = 0; i < n; i++) out[i] = (float)((y[i] - mean) * scale * (w ? w[i] : 1.0f) + (b ? b[i] : 0.0f));
}

static gllm_status run_embed(const struct op_embed *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    uint32_t d = a->out.cols;
    double *y = malloc(d * sizeof *y);
    if (!y) return err_nomem(err, "embed row");
    for (uint32_t i = 0; i < step[STEP_N_TOK]; i++) {
        const float *word = table_row(a->word, step[l->tokens + i]);
        const float *pos = a->pos ? table_row(a->pos, step[l->pos + i]) : NULL;
        const float *type = a->type ? table_row(a->type, step[l->types + i]) : NULL;
        float *out = row_of(&a->out, i);
        for (uint32_t c = 0; c < d; c++) y[c] = (double)word[c] + (pos ? pos[c] : 0.0f) + (type ? type[c] : 0.0f);
        if (a->norm_w) norm_row(NORM_LAYER, y, d, values(a->norm_w), values(a->norm_b), a->eps, out);
        else
            for (uint32_t c = 0; c < d; c++) out[c] = (float)y[c];
    }
    free(y);
    return GLLM_OK;
}

static gllm_status run_norm(const struct op_norm *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)l;
    uint32_t d = a->out.cols, rows = view_rows(&a->out, step);
    double *y = malloc(d * sizeof *y);
    if (!y) return err_nomem(err, "norm row");
    for (uint32_t i = 0; i < rows; i++) {
        const float *x = row_of(&a->x, i), *res = a->res.buf ? row_of(&a->res, i) : NULL;
        for (uint32_t c = 0; c < d; c++) y[c] = (double)x[c] + (res ? res[c] : 0.0f);
        norm_row(a->kind, y, d, values(a->w), values(a->b), a->eps, row_of(&a->out, i));
    }
    free(y);
    return GLLM_OK;
}

static gllm_status run_linear(const struct op_linear *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)l, (void)err;
    const float *bias = values(a->bias);
    uint32_t rows = view_rows(&a->out, step), k = a->x.cols;
    for (uint32_t i = 0; i < rows; i++) {
        const float *x = row_of(&a->x, i), *res = a->res.buf ? row_of(&a->res, i) : NULL;
        float *out = row_of(&a->out, i);
        for (uint32_t m = 0; m < a->out.cols; m++) {
            const float *w = table_row(a->w, m);
            double sum = bias ? bias[m] : 0;
            for (uint32_t c = 0; c < k; c++) sum += (double)x[c] * w[c];
            out[m] = (float)(act(a->act, sum) + (res ? res[m] : 0.0f));
        }
    }
    return GLLM_OK;
}

/* One query row of one head against rows [from, to) of its sequence. p has room for to - from values. */
static void attend(const struct op_attention *a, uint32_t head, uint32_t row, uint32_t from, uint32_t to, double *p) {
    uint32_t d = a->d_head, kv = head / (a->n_head / a->n_kv), len = to - from;
    const float *q = row_of(&a->q, row) + (size_t)head * d;
    int64_t radius = a->rel ? (int64_t)(a->rel->cols / 2) : 0;
    double top = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < len; j++) {
        const float *k = row_of(&a->k, from + j) + (size_t)kv * d;
        double s = 0;
        for (uint32_t c = 0; c < d; c++) s += (double)q[c] * k[c];
        s *= a->scale;
        if (a->rel) {
            int64_t delta = (int64_t)from + j - row;
            delta = delta < -radius ? -radius : delta > radius ? radius : delta;
            s += table_row(a->rel, head)[delta + radius];
        }
        p[j] = s;
        top = fmax(top, s);
    }
    for (uint32_t j = 0; j < len; j++) sum += p[j] = exp(p[j] - top);
    float *out = row_of(&a->out, row) + (size_t)head * d;
    for (uint32_t c = 0; c < d; c++) {
        double o = 0;
        for (uint32_t j = 0; j < len; j++) o += p[j] * row_of(&a->v, from + j)[(size_t)kv * d + c];
        out[c] = (float)(o / sum);
    }
}

static gllm_status run_attention(const struct op_attention *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    double *p = malloc(((size_t)step[STEP_N_TOK] + 1) * sizeof *p);
    if (!p) return err_nomem(err, "attention row");
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++)
        for (uint32_t row = step[l->starts + s]; row < step[l->starts + s + 1]; row++)
            for (uint32_t h = 0; h < a->n_head; h++) attend(a, h, row, step[l->starts + s], step[l->starts + s + 1], p);
    free(p);
    return GLLM_OK;
}

/* One mode over tokens [from, end) of a sequence that begins at `start`. */
static float pool_value(enum pool_kind mode, const struct view *x, uint32_t c, uint32_t start, uint32_t from, uint32_t end) {
    double sum = 0, weight = 0, top = -INFINITY;
    if (mode == POOL_CLS) return start == end ? 0 : row_of(x, from < end ? from : start)[c];
    if (from >= end) return 0;
    if (mode == POOL_LAST) return row_of(x, end - 1)[c];
    for (uint32_t i = from; i < end; i++) {
        double v = row_of(x, i)[c], k = mode == POOL_WEIGHTED_MEAN ? (double)(i - start + 1) : 1;
        sum += k * v;
        weight += k;
        top = fmax(top, v);
    }
    if (mode == POOL_MAX) return (float)top;
    return (float)(sum / (mode == POOL_MEAN_SQRT_LEN ? sqrt(weight) : weight));
}

static gllm_status run_pool(const struct op_pool *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)err;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) {
        uint32_t start = step[l->starts + s], end = step[l->starts + s + 1];
        uint32_t skip = step[l->pool_from + s], from = skip < end - start ? start + skip : end;
        float *out = row_of(&a->out, s);
        for (uint32_t bit = 1; bit <= POOL_LAST; bit <<= 1) {
            if (!(a->modes & bit)) continue;
            for (uint32_t c = 0; c < a->x.cols; c++) *out++ = pool_value((enum pool_kind)bit, &a->x, c, start, from, end);
        }
    }
    return GLLM_OK;
}

gllm_status ref_op(const struct op *op, const uint32_t *step, const struct step_layout *layout, gllm_error *err) {
    switch (op->kind) {
#define OP(KIND, member) \
    case OP_##KIND: return run_##member(&op->member, step, layout, err);
#include "backend/ops.def"
#undef OP
    default: return err_set(err, GLLM_INVALID, "operation %d is unknown", (int)op->kind);
    }
}
