/* kernels.h - the kernels of one instruction level, behind one table.
 *
 * Each level compiles simd_body.h with its own vector width. The layouts of packed operands belong to the level: a weight packed by
 * one table is read by that table only.
 *
 * Invariant, the root of bit-identical results: an output element is one chain of fused multiply-adds over k = 0..K-1 into one
 * accumulator, whatever the tile around it. */
#ifndef GLLM_BACKEND_CPU_KERNELS_H
#define GLLM_BACKEND_CPU_KERNELS_H
#include "backend/cpu/qpack.h"
#include "backend/tape.h"

enum { CPU_MAX_MR = 12, CPU_MAX_NR = 32, CPU_MAX_PANELS = 4 };
#define NOTHING_SEEN (-1e30f) /* the largest score of a lane that has seen no key */

/* One tile: mr rows of packed A against n_panels panels of packed B.
 *   a [k][a_stride]: the first mr of each row are this tile's rows      b: panels of [k][nr], panel_stride floats apart
 *   y[m][n] = sum_k a[k][m] b[k][n];  y = act(y * row_scale[m] + bias[n]) + res[m][n];  soft_cap c > 0: c tanh(act / c)
 * Columns n >= n_cols are computed and dropped. bias is readable to n_panels * nr. */
struct cpu_tile {
    const float *a, *b, *bias, *res, *row_scale; /* the last three may be NULL */
    float *out;
    size_t a_stride, panel_stride, out_stride, res_stride;
    uint32_t k, mr, n_panels, n_cols;
    enum act_kind act;
    float soft_cap;
};
/* One block of 32 inputs of a tile of rows, rounded to 8 bits with a scale for each half: x = d q. Scales of 16 inputs halve the error of the
 * log-probabilities that scales of 32 leave, for a tenth to a quarter of a tile's speed. */
struct cpu_qact {
    int8_t q[CPU_MAX_MR][QBLOCK];
    float d[2][CPU_MAX_MR], d_sum[CPU_MAX_MR]; /* d_sum = d[0] sum(q[0..16)) + d[1] sum(q[16..32)) */
    int32_t minus_sum[2][CPU_MAX_MR];          /* -sum(q) of each half */
};
struct cpu_qtile {
    const struct cpu_qact *a;   /* [n_blocks] */
    const uint8_t *w;           /* a panel (qpack.h) */
    uint32_t n_blocks;
    struct cpu_tile epilogue;   /* mr, n_cols, bias, res, out, act, soft_cap */
};
struct cpu_kernels {
    const char *name;
    unsigned nr, mr, qmr; /* panel columns; rows of a tile at most, and of an int8 tile */
    void (*tile)(const struct cpu_tile *t);
    /* out[k][mr] = x[m][k], the rest of each row of out untouched; out rows are out_stride apart */
    void (*pack_rows)(const float *x, size_t stride, uint32_t rows, uint32_t k, float scale, float *out, size_t out_stride);
    /* s [len][nr] scores, a lane a query: s = exp(s - max over len), inv[nr] = 1 / sum over len */
    void (*softmax)(float *s, uint32_t len, float *inv);
    /* s[j][lane] += g[-j + lane]: relative bias, g points at the value of (j = 0, lane = 0) */
    void (*add_bias)(float *s, uint32_t len, const float *g);
    /* One block of keys of an online softmax, a lane a query; whole vectors of lanes, as many as hold `lanes`. s [n][nr] scores of keys key0, key0 + 1 …; cap > 0: s = cap tanh(s / cap).
     * A lane sees keys [first, last] only (first NULL: all of them): of the others s becomes 0, else s = e^(s - m') with m' = max(m, seen s).
     * l = l scale + sum s, m = m', scale = e^(m - m'), each [nr]. Returns whether any scale is not 1. */
    bool (*softmax_block)(float *s, uint32_t n, uint32_t lanes, float cap, const int32_t *first, const int32_t *last, int32_t key0, float *m, float *l, float *scale);
    void (*scale_rows)(float *x, uint32_t rows, uint32_t n, const float *scale); /* x[r] *= scale[r] */
    /* [nr] each: top = max(top, m), scale = e^(old top - top), weight = e^(m - top) */
    void (*merge_weights)(float *top, const float *m, float *scale, float *weight);
    void (*merge)(float *hi, float *lo, const float *x, float scale, float weight, uint32_t n); /* hi + lo = (hi + lo) scale + x weight, compensated */
    void (*to_f16)(const float *x, uint32_t n, uint16_t *out);   /* to nearest, ties to even */
    void (*from_f16)(const uint16_t *x, uint32_t n, float *out);
    void (*to_q8)(const float *x, uint32_t n, uint8_t *out);     /* blocks of Q8_0, as quant_to_q8_0 makes them; n % 32 == 0 */
    void (*from_q8)(const uint8_t *x, uint32_t n, float *out);
    void (*from_f8)(enum dtype t, const uint8_t *x, uint32_t n, float *out); /* F8_E4M3 or F8_E5M2 */
    void (*glu)(enum act_kind act, const float *gate, const float *up, uint32_t n, float *out); /* out = act(gate) up; out may be gate */
    void (*rotate)(float *x, uint32_t r, const float *cos_sin, bool interleaved); /* pairs of x[0..2r) by cos_sin[0..r), [r..2r) */
    void (*norm)(enum norm_kind kind, const float *x, const float *res, uint32_t n, const float *w, const float *b, const float *sum, float eps, float *out);
    void (*qtile)(enum qpack_kind kind, const struct cpu_qtile *t);                          /* NULL: the level has no int8 tile */
    void (*quantise)(const float *x, uint32_t k, unsigned row, struct cpu_qact *out);        /* [k / 32]; k % 32 == 0; NULL likewise */
    void (*add)(float *y, const float *x, uint32_t n); /* y += x */
    void (*pool)(enum pool_kind mode, const float *x, size_t stride, uint32_t first_weight, uint32_t rows, uint32_t n, float *out);
};
extern const struct cpu_kernels cpu_kernels_portable;
#if defined(__x86_64__)
extern const struct cpu_kernels cpu_kernels_avx2, cpu_kernels_avx512, cpu_kernels_avx512_vnni;
#endif
/* The level called `isa` (NULL: the best here). GLLM_UNSUPPORTED names the levels present. */
gllm_status cpu_kernels_choose(const char *isa, const struct cpu_kernels **out, gllm_error *err);
void cpu_brand(char *buf, size_t size); /* "AMD EPYC 9554"; "CPU" when the processor does not say */
bool cpu_has_vnni(void);
#endif
