/* rows.c - the operations that work a row at a time. */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"

enum { ROWS_A_CLAIM = 8 };

/* Claims the next rows: false when all are taken. */
static bool claim_rows(_Atomic uint32_t *claim, uint32_t rows, uint32_t *first, uint32_t *last) {
    uint64_t at = (uint64_t)atomic_fetch_add_explicit(claim, 1, memory_order_relaxed) * ROWS_A_CLAIM;
    if (at >= rows) return false;
    *first = (uint32_t)at;
    *last = rows - *first < ROWS_A_CLAIM ? rows : *first + ROWS_A_CLAIM;
    return true;
}

void cpu_embed(const struct cpu_run *r, const struct op_embed *a, unsigned thread, _Atomic uint32_t *claims) {
    const uint32_t *step = r->step, d = a->out.cols;
    float *wide = r->scratch[thread];
    for (uint32_t i, last; claim_rows(claims, step[STEP_N_TOK], &i, &last);)
        for (; i < last; i++) {
            float *out = cpu_row(&a->out, i);
            memcpy(out, cpu_table_row(r->kernels, a->word, step[r->layout->tokens + i], wide), d * sizeof *out);
            if (a->scale != 0)
                for (uint32_t c = 0; c < d; c++) out[c] *= a->scale;
            if (a->pos) r->kernels->add(out, cpu_table_row(r->kernels, a->pos, step[r->layout->pos + i], wide), d);
            if (a->type) r->kernels->add(out, cpu_table_row(r->kernels, a->type, step[r->layout->types + i], wide), d);
            if (a->norm_w) r->kernels->norm(NORM_LAYER, out, NULL, d, cpu_data(a->norm_w), cpu_data(a->norm_b), NULL, a->eps, out);
        }
}

void cpu_norm(const struct cpu_run *r, const struct op_norm *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const float *w = cpu_data(a->w), *b = cpu_data(a->b);
    for (uint32_t i, last; claim_rows(claims, view_rows(&a->out, r->step), &i, &last);)
        for (; i < last; i++)
            r->kernels->norm(a->kind, cpu_row(&a->x, i), a->res.buf ? cpu_row(&a->res, i) : NULL, a->out.cols, w, b,
                             a->sum.buf ? cpu_row(&a->sum, i) : NULL, a->eps, cpu_row(&a->out, i));
}

void cpu_gather(const struct cpu_run *r, const struct op_gather *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    for (uint32_t i, last; claim_rows(claims, r->step[STEP_N_OUT], &i, &last);)
        for (; i < last; i++) memcpy(cpu_row(&a->out, i), cpu_row(&a->x, r->step[r->layout->out_rows + i]), a->out.cols * sizeof(float));
}

void cpu_glu(const struct cpu_run *r, const struct op_glu *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const uint32_t d = a->out.cols;
    for (uint32_t i, last; claim_rows(claims, view_rows(&a->out, r->step), &i, &last);)
        for (; i < last; i++) r->kernels->glu(a->act, cpu_row(&a->x, i), cpu_row(&a->x, i) + d, d, cpu_row(&a->out, i));
}

void cpu_rope(const struct cpu_run *r, const struct op_rope *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const uint32_t n = a->out.cols / 2;
    const float *freq = cpu_data(a->freq);
    for (uint32_t i, last; claim_rows(claims, r->step[STEP_N_TOK], &i, &last);)
        for (; i < last; i++) {
            float *out = cpu_row(&a->out, i), pos = (float)r->step[r->layout->pos + i];
            for (uint32_t c = 0; c < n; c++) {
                out[c] = a->scale * cosf(pos * freq[c]);
                out[n + c] = a->scale * sinf(pos * freq[c]);
            }
        }
}

/* n_head heads at x, normalised and rotated in place. */
static void prepare_heads(const struct cpu_run *r, const struct op_rotate *a, float *x, uint32_t n_head, const struct weight *norm, const float *rope) {
    const uint32_t d = a->d_head, group = norm && norm->cols != d ? n_head * d : d;
    for (uint32_t at = 0; norm && at < n_head * d; at += group) r->kernels->norm(NORM_RMS, x + at, NULL, group, cpu_data(norm), NULL, NULL, a->eps, x + at);
    for (uint32_t h = 0; rope && h < n_head; h++) r->kernels->rotate(x + (size_t)h * d, a->rope.cols / 2, rope, a->interleaved);
}

void cpu_rotate(const struct cpu_run *r, const struct op_rotate *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    for (uint32_t i, last; claim_rows(claims, r->step[STEP_N_TOK], &i, &last);)
        for (; i < last; i++) {
            const float *rope = a->rope.buf ? cpu_row(&a->rope, i) : NULL;
            float *x = cpu_row(&a->out, i);
            prepare_heads(r, a, x, a->n_head, a->q_norm, rope);
            prepare_heads(r, a, x + (size_t)a->n_head * a->d_head, a->n_kv, a->k_norm, rope);
        }
}

static void kv_write(const struct cpu_run *r, const struct kv_cache *c, unsigned char *at, uint32_t slot, const float *x) {
    at += slot * dtype_row_bytes(c->dtype, c->d_head);
    if (c->dtype == DTYPE_F16) r->kernels->to_f16(x, c->d_head, (uint16_t *)(void *)at);
    else if (c->dtype == DTYPE_Q8_0) r->kernels->to_q8(x, c->d_head, at);
    else memcpy(at, x, c->d_head * sizeof *x);
}

void cpu_store_kv(const struct cpu_run *r, const struct op_store_kv *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const struct kv_cache *c = &a->cache;
    const struct op_rotate heads = store_kv_heads(a);
    const uint32_t *step = r->step, d = c->d_head;
    const struct step_layout *l = r->layout;
    for (uint32_t i, last; claim_rows(claims, step[STEP_N_TOK], &i, &last);)
        for (; i < last; i++) {
            const uint32_t s = step[l->seq + i], place = step[l->past + s] + i - step[l->starts + s];
            const uint32_t page = step[l->pages + step[l->page_first + s] + place / KV_PAGE], slot = place % KV_PAGE;
            const float *rope = a->rope.buf ? cpu_row(&a->rope, i) : NULL;
            float *k = cpu_row(&a->k, i);
            prepare_heads(r, &heads, cpu_row(&a->out, i), a->n_head, a->q_norm, rope);
            prepare_heads(r, &heads, k, c->n_kv, a->k_norm, rope);
            for (uint32_t h = 0; h < c->n_kv; h++) {
                kv_write(r, c, kv_head(c, page, h), slot, k + (size_t)h * d);
                kv_write(r, c, kv_head(c, page, h), KV_PAGE + slot, cpu_row(&a->v, i) + (size_t)h * d);
            }
        }
}

/* One mode of one sequence: tokens [from, end) of those from `start`. */
static void pool_one(const struct cpu_run *r, const struct op_pool *a, enum pool_kind mode, uint32_t start, uint32_t from, uint32_t end, float *out) {
    const uint32_t d = a->x.cols;
    uint32_t row = mode == POOL_CLS ? (from < end ? from : start) : end - 1;
    if (start == end || (from >= end && mode != POOL_CLS)) memset(out, 0, d * sizeof *out);
    else if (mode == POOL_CLS || mode == POOL_LAST) memcpy(out, cpu_row(&a->x, row), d * sizeof *out);
    else r->kernels->pool(mode, cpu_row(&a->x, from), a->x.stride, from - start + 1, end - from, d, out);
}

void cpu_pool(const struct cpu_run *r, const struct op_pool *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const uint32_t *starts = r->step + r->layout->starts, *skips = r->step + r->layout->pool_from;
    for (uint32_t s; (s = atomic_fetch_add_explicit(claims, 1, memory_order_relaxed)) < r->step[STEP_N_SEQ];) {
        uint32_t start = starts[s], end = starts[s + 1], from = skips[s] < end - start ? start + skips[s] : end;
        float *out = cpu_row(&a->out, s);
        for (uint32_t bit = 1; bit <= POOL_LAST; bit <<= 1) {
            if (!(a->modes & bit)) continue;
            pool_one(r, a, (enum pool_kind)bit, start, from, end, out);
            out += a->x.cols;
        }
    }
}
