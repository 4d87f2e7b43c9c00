/* weight_ops.h - one operation with a weight in any stored form, run by itself: for tests of how weights are read. */
#ifndef GLLM_TESTS_WEIGHT_OPS_H
#define GLLM_TESTS_WEIGHT_OPS_H
#include "ops/op_harness.h"

static inline struct weight *prepare(struct backend *be, enum weight_role role, const struct weight_part *parts, unsigned n_parts, uint32_t cols) {
    struct weight_desc d = {.name = "w", .role = role, .cols = cols, .n_parts = n_parts};
    struct weight *w;
    memcpy(d.parts, parts, n_parts * sizeof *parts);
    OK(be->ops->weight_prepare(be, &d, &w, err));
    return w;
}

/* One operation over `rows` tokens: linear of x, or (x NULL) embed of tokens 0, 1, 2 … modulo the table. */
static inline void run_op(struct backend *be, const struct weight *w, const float *x, uint32_t rows, float *y) {
    const uint32_t n = x ? w->rows : w->cols, k = w->cols;
    struct step_layout l = step_layout_make(rows, 1);
    uint32_t *words = calloc(l.words, sizeof *words);
    struct buffer *step, *bx, *by;
    assert_non_null(words);
    words[STEP_N_TOK] = words[STEP_MAX_LEN] = words[l.starts + 1] = rows;
    words[STEP_N_SEQ] = 1;
    for (uint32_t i = 0; i < rows; i++) words[l.tokens + i] = i % w->rows;
    OK(be->ops->alloc(be, l.words * 4ull, BUFFER_STEP, &step, err));
    OK(be->ops->write(be, step, 0, words, l.words * 4ull, err));
    OK(be->ops->alloc(be, (uint64_t)rows * k * 4, BUFFER_ACTIVATION, &bx, err));
    OK(be->ops->alloc(be, (uint64_t)rows * n * 4, BUFFER_ACTIVATION, &by, err));
    struct tape t;
    struct view out = {.buf = by, .rows = rows, .cols = n, .stride = n, .extent = EXTENT_TOK};
    tape_init(&t, step, l);
    if (x) {
        OK(be->ops->write(be, bx, 0, x, (uint64_t)rows * k * 4, err));
        op_linear(&t, "l", &(struct op_linear){.out = out, .x = {.buf = bx, .rows = rows, .cols = k, .stride = k, .extent = EXTENT_TOK}, .w = w});
    } else op_embed(&t, "e", &(struct op_embed){.out = out, .word = w});
    OK(tape_finish(&t, err));
    OK(be->ops->exec(be, &t, 0, 1, err));
    OK(be->ops->read(be, by, 0, y, (uint64_t)rows * n * 4, err));
    tape_free(&t);
    be->ops->buffer_free(be, step), be->ops->buffer_free(be, bx), be->ops->buffer_free(be, by);
    free(words);
}

/* The largest error of y = x w^T in parts of the sum of magnitudes. */
static inline double off_by(const float *y, const float *w, const float *x, uint32_t rows, uint32_t k, uint32_t n) {
    double worst = 0;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < n; c++) {
            double sum = 0, size = 1e-30;
            for (uint32_t i = 0; i < k; i++) {
                const double p = (double)x[(size_t)r * k + i] * w[(size_t)c * k + i];
                sum += p, size += fabs(p);
            }
            const double e = fabs(y[(size_t)r * n + c] - sum) / size;
            worst = e <= worst ? worst : e; /* a NaN stays */
        }
    return worst;
}
/* x rounded as the int8 kernels round it: blocks of 16, the largest at 127. */
static inline void rounded(const float *x, size_t n, float *out) {
    for (size_t b = 0; b < n; b += 16) {
        float top = 0;
        for (unsigned i = 0; i < 16; i++) top = fmaxf(top, fabsf(x[b + i]));
        const float inverse = top > 0 ? 127.0f / top : 0, d = top / 127.0f;
        for (unsigned i = 0; i < 16; i++) out[b + i] = d * rintf(x[b + i] * inverse);
    }
}
#endif
