/* simd_qtile.h - the int8 tile of the levels with VNNI: packed quantised weights (qpack.h) by activations rounded to 8 bits in blocks of 32.
 *
 *   y[m][n] = sum over blocks of  d_a[m] (scale[n] (q . a - zero sum a) + min[n] sum a)
 *
 * Integer sums are exact; the f32 sum over blocks is one chain in the order of k, whatever the tile around it. */
#include "backend/cpu/qpack.h"

/* Rows as tiles of CPU_MAX_MR: see struct cpu_qact. Values are rounded to nearest, ties to even, with the block's largest at 127. */
static void k_quantise(const float *x, uint32_t k, unsigned row, struct cpu_qact *out) {
    for (uint32_t b = 0; b < k / QBLOCK; b++, x += QBLOCK) {
        const __m512 u = _mm512_loadu_ps(x), v = _mm512_loadu_ps(x + 16);
        const float top = fmaxf(_mm512_reduce_max_ps(_mm512_abs_ps(u)), _mm512_reduce_max_ps(_mm512_abs_ps(v)));
        const float inverse = top > 0 ? 127.0f / top : 0, d = top / 127.0f;
        const __m512i qu = _mm512_cvtps_epi32(_mm512_mul_ps(u, _mm512_set1_ps(inverse))), qv = _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse)));
        _mm_storeu_si128((__m128i *)(void *)out[b].q[row], _mm512_cvtsepi32_epi8(qu));
        _mm_storeu_si128((__m128i *)(void *)(out[b].q[row] + 16), _mm512_cvtsepi32_epi8(qv));
        const int su = _mm512_reduce_add_epi32(qu), sv = _mm512_reduce_add_epi32(qv);
        out[b].minus_sum[0][row] = -su;
        out[b].minus_sum[1][row] = -sv;
        out[b].minus_sum[2][row] = -su - sv;
        out[b].d[row] = d;
        out[b].d_sum[row] = d * (float)(su + sv);
    }
}

INLINE __m512i group_of(const uint8_t *p, const unsigned bits, const unsigned g) {
    if (bits == 8) return _mm512_loadu_si512(p + 64 * g);
    __m512i w = _mm512_loadu_si512(p + 64 * (g % 4));
    w = _mm512_and_si512(g < 4 ? w : _mm512_srli_epi16(w, 4), _mm512_set1_epi8(15));
    if (bits == 5) {
        __m512i h = _mm512_loadu_si512(p + 256);
        h = g < 4 ? _mm512_slli_epi16(h, 4 - g % 4) : _mm512_srli_epi16(h, g % 4);
        w = _mm512_or_si512(w, _mm512_and_si512(h, _mm512_set1_epi8(16)));
    }
    if (bits == 6) {
        __m512i h = _mm512_loadu_si512(p + 256 + 64 * (g / 4));
        h = g % 4 == 0 ? _mm512_slli_epi16(h, 4) : g % 4 == 1 ? _mm512_slli_epi16(h, 2) : g % 4 == 2 ? h : _mm512_srli_epi16(h, 2);
        w = _mm512_or_si512(w, _mm512_and_si512(h, _mm512_set1_epi8(48)));
    }
    return w;
}

INLINE __m512 scale_of(const uint8_t *p, const bool f16) { return f16 ? _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)) : _mm512_loadu_ps(p); }
INLINE __m512i four_of(const int8_t *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

/* Everything but t is a constant where this is inlined. */
INLINE void qtile_body(const struct cpu_qtile *t, const unsigned mr, const unsigned bits, const unsigned zero_log2, const bool f16, const bool halves, const bool min) {
    const size_t plane = 64 * bits, scale_bytes = QPANEL * (f16 ? 2 : 4), block = plane + scale_bytes * (1 + halves + min);
    const unsigned n_halves = halves ? 2 : 1, groups = 8 / n_halves, chains = mr <= 4 ? 2 : 1; /* few rows: two chains hide the latency */
    const struct cpu_qact *a = t->a;
    const uint8_t *w = t->w;
    __m512 y[CPU_MAX_MR];
#pragma GCC unroll 12
    for (unsigned m = 0; m < mr; m++) y[m] = _mm512_setzero_ps();
    for (uint32_t b = 0; b < t->n_blocks; b++, a++, w += block) {
        for (unsigned h = 0; h < n_halves; h++) {
            __m512i acc[CPU_MAX_MR][2];
#pragma GCC unroll 12
            for (unsigned m = 0; m < mr; m++) {
                acc[m][0] = zero_log2 ? _mm512_slli_epi32(_mm512_set1_epi32(a->minus_sum[halves ? h : 2][m]), zero_log2) : _mm512_setzero_si512();
                acc[m][1] = _mm512_setzero_si512();
            }
#pragma GCC unroll 8
            for (unsigned i = 0; i < groups; i++) {
                const unsigned g = h * groups + i;
                const __m512i q = group_of(w, bits, g);
#pragma GCC unroll 12
                for (unsigned m = 0; m < mr; m++) acc[m][i % chains] = _mm512_dpbusd_epi32(acc[m][i % chains], q, four_of(a->q[m] + 4 * g));
            }
            const __m512 scale = scale_of(w + plane + h * scale_bytes, f16);
#pragma GCC unroll 12
            for (unsigned m = 0; m < mr; m++) {
                const __m512i sum = chains == 2 ? _mm512_add_epi32(acc[m][0], acc[m][1]) : acc[m][0];
                y[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(a->d[m])), y[m]);
            }
        }
        if (!min) continue;
        const __m512 low = scale_of(w + plane + scale_bytes, f16);
#pragma GCC unroll 12
        for (unsigned m = 0; m < mr; m++) y[m] = _mm512_fmadd_ps(low, _mm512_set1_ps(a->d_sum[m]), y[m]);
    }
    const vf bias = t->epilogue.bias ? v_load(t->epilogue.bias) : v_set(0);
    const bool whole = t->epilogue.n_cols >= VL && !(t->epilogue.soft_cap > 0);
    for (unsigned m = 0; m < mr; m++) {
        if (whole && t->epilogue.act == ACT_NONE) emit(&t->epilogue, ACT_NONE, true, m, 0, (vf)y[m], bias);
        else emit(&t->epilogue, t->epilogue.act, false, m, 0, (vf)y[m], bias);
    }
}

#define QTILE(kind, mr, ...) \
    static __attribute__((noinline)) void q_##kind##_##mr(const struct cpu_qtile *t) { qtile_body(t, mr, __VA_ARGS__); }
#define QTILES(kind, ...)                                                                                                                  \
    QTILE(kind, 1, __VA_ARGS__) QTILE(kind, 2, __VA_ARGS__) QTILE(kind, 3, __VA_ARGS__) QTILE(kind, 4, __VA_ARGS__) QTILE(kind, 5, __VA_ARGS__) \
    QTILE(kind, 6, __VA_ARGS__) QTILE(kind, 7, __VA_ARGS__) QTILE(kind, 8, __VA_ARGS__) QTILE(kind, 9, __VA_ARGS__) QTILE(kind, 10, __VA_ARGS__) \
    QTILE(kind, 11, __VA_ARGS__) QTILE(kind, 12, __VA_ARGS__)
/*            bits zero_log2 f16 halves min: as QPACK_LAYOUTS */
QTILES(Q4_0, 4, 3, true, false, false)
QTILES(Q4_1, 4, 0, true, false, true)
QTILES(Q5_0, 5, 4, true, false, false)
QTILES(Q5_1, 5, 0, true, false, true)
QTILES(Q8_0, 8, 7, true, false, false)
QTILES(Q4_K, 4, 0, false, false, true)
QTILES(Q5_K, 5, 0, false, false, true)
QTILES(Q6_K, 6, 5, false, true, false)

static void k_qtile(enum qpack_kind kind, const struct cpu_qtile *t) {
#define ROW(kind) {q_##kind##_1, q_##kind##_2, q_##kind##_3, q_##kind##_4, q_##kind##_5, q_##kind##_6, q_##kind##_7, q_##kind##_8, q_##kind##_9, q_##kind##_10, q_##kind##_11, q_##kind##_12}
    static void (*const ALL[QPACK_COUNT][CPU_MAX_MR])(const struct cpu_qtile *) = {[QPACK_Q4_0] = ROW(Q4_0), [QPACK_Q4_1] = ROW(Q4_1), [QPACK_Q5_0] = ROW(Q5_0), [QPACK_Q5_1] = ROW(Q5_1),
                                                                                  [QPACK_Q8_0] = ROW(Q8_0), [QPACK_Q4_K] = ROW(Q4_K), [QPACK_Q5_K] = ROW(Q5_K), [QPACK_Q6_K] = ROW(Q6_K)};
    ALL[kind][t->epilogue.mr - 1](t);
}
