/* rows.c - the operations that work a row at a time: embed, norm, pool. */
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
    (void)thread;
    const uint32_t *step = r->step, d = a->out.cols;
    for (uint32_t i, last; claim_rows(claims, step[STEP_N_TOK], &i, &last);)
        for (; i < last; i++) {
            float *out = cpu_row(&a->out, i);
            memcpy(out, cpu_data(a->word) + (size_t)step[r->layout->tokens + i] * d, d * sizeof *out);
            if (a->pos) r->kernels->add(out, cpu_data(a->pos) + (size_t)step[r->layout->pos + i] * d, d);
            if (a->type) r->kernels->add(out, cpu_data(a->type) + (size_t)step[r->layout->types + i] * d, d);
            if (a->norm_w) r->kernels->norm(NORM_LAYER, out, NULL, d, cpu_data(a->norm_w), cpu_data(a->norm_b), a->eps, out);
        }
}

void cpu_norm(const struct cpu_run *r, const struct op_norm *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const float *w = cpu_data(a->w), *b = cpu_data(a->b);
    for (uint32_t i, last; claim_rows(claims, view_rows(&a->out, r->step), &i, &last);)
        for (; i < last; i++)
            r->kernels->norm(a->kind, cpu_row(&a->x, i), a->res.buf ? cpu_row(&a->res, i) : NULL, a->out.cols, w, b, a->eps, cpu_row(&a->out, i));
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
