#include "backend/ref/ref_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/half.h"
#include "tensor/quant.h"

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
static void norm_row(enum norm_kind kind, const double *y, uint32_t n, const float *w, const float *b, const float *sum, double eps, float *out) {
    double mean = 0, square = 0;
    for (uint32_t i = 0; i < n; i++) mean += y[i];
    mean = kind == NORM_LAYER ? mean / n : 0;
    for (uint32_t i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean);
    double scale = kind == NORM_L2 ? 1 / fmax(sqrt(square), eps) : 1 / sqrt(square / n + eps);
    for (uint32_t i = 0; i < n; i++) out[i] = (float)((y[i] - mean) * scale * (w ? w[i] : 1.0f) + (b ? b[i] : 0.0f) + (sum ? sum[i] : 0.0f));
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
        for (uint32_t c = 0; c < d; c++) y[c] = (a->scale != 0 ? a->scale : 1.0f) * (double)word[c] + (pos ? pos[c] : 0.0f) + (type ? type[c] : 0.0f);
        if (a->norm_w) norm_row(NORM_LAYER, y, d, values(a->norm_w), values(a->norm_b), NULL, a->eps, out);
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
        norm_row(a->kind, y, d, values(a->w), values(a->b), a->sum.buf ? row_of(&a->sum, i) : NULL, a->eps, row_of(&a->out, i));
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
            double y = a->soft_cap > 0 ? a->soft_cap * tanh(sum / a->soft_cap) : act(a->act, sum);
            out[m] = (float)(y + (res ? res[m] : 0.0f));
        }
    }
    return GLLM_OK;
}

static double soft_cap(double s, float cap) { return cap > 0 ? cap * tanh(s / cap) : s; }

/* One query row of one head against rows [from, to), the keys that it sees. p has room for to - from values. */
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
        p[j] = soft_cap(s, a->soft_cap);
        top = fmax(top, p[j]);
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
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) {
        const uint32_t start = step[l->starts + s], len = step[l->starts + s + 1] - start;
        for (uint32_t i = 0; i < len; i++) {
            const struct key_range keys = attention_keys(a, i, len, step_seen(step, l, s, len));
            for (uint32_t h = 0; h < a->n_head; h++) attend(a, h, start + i, start + keys.first, start + keys.end, p);
        }
    }
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

static gllm_status run_gather(const struct op_gather *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)err;
    for (uint32_t i = 0; i < step[STEP_N_OUT]; i++)
        memcpy(row_of(&a->out, i), row_of(&a->x, step[l->out_rows + i]), a->out.cols * sizeof(float));
    return GLLM_OK;
}

static gllm_status run_glu(const struct op_glu *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)l, (void)err;
    for (uint32_t i = 0; i < view_rows(&a->out, step); i++) {
        const float *x = row_of(&a->x, i);
        for (uint32_t c = 0; c < a->out.cols; c++) row_of(&a->out, i)[c] = (float)(act(a->act, x[c]) * x[a->out.cols + c]);
    }
    return GLLM_OK;
}

static gllm_status run_rope(const struct op_rope *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)err;
    const uint32_t r = a->out.cols / 2;
    for (uint32_t i = 0; i < step[STEP_N_TOK]; i++)
        for (uint32_t c = 0; c < r; c++) {
            float angle = (float)step[l->pos + i] * values(a->freq)[c];
            row_of(&a->out, i)[c] = (float)(a->scale * cos((double)angle));
            row_of(&a->out, i)[r + c] = (float)(a->scale * sin((double)angle));
        }
    return GLLM_OK;
}

/* y[0..n_head * d) = the heads of x, normalised and rotated. */
static void prepare_heads(const struct op_rotate *a, const float *x, uint32_t n_head, const struct weight *norm, const float *rope, double *y) {
    const uint32_t d = a->d_head, r = rope ? a->rope.cols / 2 : 0, group = norm && norm->cols != d ? n_head * d : d;
    for (uint32_t i = 0; i < n_head * d; i++) y[i] = x[i];
    for (uint32_t at = 0; norm && at < n_head * d; at += group) {
        double square = 0;
        for (uint32_t i = 0; i < group; i++) square += y[at + i] * y[at + i];
        double scale = 1 / sqrt(square / group + a->eps);
        for (uint32_t i = 0; i < group; i++) y[at + i] *= scale * values(norm)[i];
    }
    for (uint32_t h = 0; h < n_head; h++)
        for (uint32_t i = 0; i < r; i++) {
            double *p = y + h * d + (a->interleaved ? 2 * i : i), *q = y + h * d + (a->interleaved ? 2 * i + 1 : i + r);
            double u = *p * rope[i] - *q * rope[r + i], v = *q * rope[i] + *p * rope[r + i];
            *p = u;
            *q = v;
        }
}

static gllm_status run_rotate(const struct op_rotate *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    (void)l;
    const uint32_t d_q = a->n_head * a->d_head, d_kv = a->n_kv * a->d_head;
    double *y = malloc(((size_t)d_q + d_kv) * sizeof *y);
    if (!y) return err_nomem(err, "heads");
    for (uint32_t i = 0; i < step[STEP_N_TOK]; i++) {
        const float *rope = a->rope.buf ? row_of(&a->rope, i) : NULL;
        float *x = row_of(&a->out, i);
        prepare_heads(a, x, a->n_head, a->q_norm, rope, y);
        prepare_heads(a, x + d_q, a->n_kv, a->k_norm, rope, y + d_q);
        for (uint32_t k = 0; k < d_q + d_kv; k++) x[k] = (float)y[k];
    }
    free(y);
    return GLLM_OK;
}

static void kv_write(const struct kv_cache *c, unsigned char *at, uint32_t slot, const double *y) {
    float x[32]; /* a block of Q8_0 */
    at += slot * dtype_row_bytes(c->dtype, c->d_head);
    for (uint32_t i = 0; i < c->d_head; i++) {
        x[i % 32] = (float)y[i];
        if (c->dtype == DTYPE_F16) ((uint16_t *)(void *)at)[i] = f16_from_f32(x[i % 32]);
        else if (c->dtype == DTYPE_F32) ((float *)(void *)at)[i] = x[i % 32];
        else if (i % 32 == 31) quant_to_q8_0(x, at + dtype_row_bytes(DTYPE_Q8_0, i / 32 * 32));
    }
}
static void kv_read(const struct kv_cache *c, const unsigned char *at, uint32_t slot, float *out) {
    const size_t row = dtype_row_bytes(c->dtype, c->d_head);
    dtype_to_f32(c->dtype, at + slot * row, out, c->d_head);
}

static gllm_status run_store_kv(const struct op_store_kv *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    const struct kv_cache *c = &a->cache;
    const struct op_rotate heads = store_kv_heads(a);
    const uint32_t d = c->d_head;
    double *y = malloc((size_t)(a->n_head > c->n_kv ? a->n_head : c->n_kv) * d * sizeof *y);
    if (!y) return err_nomem(err, "heads");
    for (uint32_t i = 0; i < step[STEP_N_TOK]; i++) {
        const uint32_t s = step[l->seq + i], place = step[l->past + s] + i - step[l->starts + s];
        const uint32_t page = step[l->pages + step[l->page_first + s] + place / KV_PAGE], slot = place % KV_PAGE;
        const float *rope = a->rope.buf ? row_of(&a->rope, i) : NULL;
        float *q = row_of(&a->out, i);
        prepare_heads(&heads, q, a->n_head, a->q_norm, rope, y);
        for (uint32_t k = 0; k < a->n_head * d; k++) q[k] = (float)y[k];
        prepare_heads(&heads, row_of(&a->k, i), c->n_kv, a->k_norm, rope, y);
        for (uint32_t h = 0; h < c->n_kv; h++) kv_write(c, kv_head(c, page, h), slot, y + h * d);
        for (uint32_t k = 0; k < c->n_kv * d; k++) y[k] = row_of(&a->v, i)[k];
        for (uint32_t h = 0; h < c->n_kv; h++) kv_write(c, kv_head(c, page, h), KV_PAGE + slot, y + h * d);
    }
    free(y);
    return GLLM_OK;
}

/* Query row `row` at place `at` of sequence s, one head. p has room for at + 1 values, o for d_head and as many f32 values behind them. */
static void attend_cached(const struct op_attend *a, const uint32_t *step, const struct step_layout *l, uint32_t s, uint32_t row, uint32_t at, uint32_t head, double *p, double *o) {
    const struct kv_cache *c = &a->cache;
    const uint32_t d = c->d_head, kv = head / (a->n_head / c->n_kv), first = a->window && at + 1 > a->window ? at + 1 - a->window : 0;
    const uint32_t *pages = step + l->pages + step[l->page_first + s];
    const float *q = row_of(&a->q, row) + (size_t)head * d;
    float *wide = (float *)(void *)(o + d);
    double top = -INFINITY, sum = 0;
    for (uint32_t j = first; j <= at; j++) {
        double dot = 0;
        kv_read(c, kv_head(c, pages[j / KV_PAGE], kv), j % KV_PAGE, wide);
        for (uint32_t i = 0; i < d; i++) dot += (double)q[i] * wide[i];
        dot *= a->scale;
        p[j] = soft_cap(dot, a->soft_cap);
        top = fmax(top, p[j]);
    }
    for (uint32_t j = first; j <= at; j++) sum += p[j] = exp(p[j] - top);
    for (uint32_t i = 0; i < d; i++) o[i] = 0;
    for (uint32_t j = first; j <= at; j++) {
        kv_read(c, kv_head(c, pages[j / KV_PAGE], kv), KV_PAGE + j % KV_PAGE, wide);
        for (uint32_t i = 0; i < d; i++) o[i] += p[j] * wide[i];
    }
    for (uint32_t i = 0; i < d; i++) row_of(&a->out, row)[(size_t)head * d + i] = (float)(o[i] / sum);
}

static gllm_status run_attend(const struct op_attend *a, const uint32_t *step, const struct step_layout *l, gllm_error *err) {
    uint32_t longest = 1;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) {
        uint32_t n = step[l->past + s] + step[l->starts + s + 1] - step[l->starts + s];
        longest = n > longest ? n : longest;
    }
    double *p = malloc(((size_t)longest + 2 * a->cache.d_head) * sizeof *p);
    if (!p) return err_nomem(err, "attention row");
    for (uint32_t i = 0; i < step[STEP_N_TOK]; i++) {
        const uint32_t s = step[l->seq + i], at = step[l->past + s] + i - step[l->starts + s];
        for (uint32_t h = 0; h < a->n_head; h++) attend_cached(a, step, l, s, i, at, h, p, p + longest);
    }
    free(p);
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
