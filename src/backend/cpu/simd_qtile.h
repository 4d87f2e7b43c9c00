/* simd_qtile.h - the int8 tile: packed quantised weights (qpack.h) by activations rounded to 8 bits in blocks of 16.
 *
 *   y[m][n] = sum over blocks of  d_a[m] (scale[n] (q . a - zero sum a) + min[n] sum a)
 *
 * with min (of a zero point: -scale zero) and its sum taken once for the 32 inputs of a packed block. Integer sums are exact; the f32 sum over blocks is one chain in the order of k,
 * whatever the tile around it. */
#include <float.h>

#include "backend/cpu/qpack.h"

/* The loops of a tile are unrolled, but for sanitizers: their checks on each step of some hundred bodies take minutes to compile. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL(n)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL(n)
#endif
#endif
#ifndef UNROLL
#define PRAGMA(text) _Pragma(#text)
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

/* Row m of a panel's sums, finished and written. */
INLINE void emit_panel(const struct cpu_tile *t, uint32_t m, const float y[QPANEL]) {
    const bool plain = t->act == ACT_NONE && t->n_cols >= QPANEL && !(t->soft_cap > 0);
    for (uint32_t v = 0; v < QPANEL && v < t->n_cols; v += VL) {
        const vf bias = t->bias ? v_load(t->bias + v) : v_set(0);
        if (plain) emit(t, ACT_NONE, true, m, v, v_load(y + v), bias);
        else emit(t, t->act, false, m, v, v_load(y + v), bias);
    }
}

/* What scales a half with the largest value `top` to 127. Below LEAST, where 127 / top is no number any more, all is 0. */
#define LEAST 1e-36f
INLINE float inverse_of(float top) { return top > LEAST ? 127.0f / top : 0; }

/* A half with a NaN or an infinity in it makes all outputs of its row NaN: no small number may stand for it. */
INLINE void spoil_half(struct cpu_qact *out, unsigned half, unsigned row) {
    memset(out->q[row] + QBLOCK / 2 * half, 0, QBLOCK / 2);
    out->minus_sum[half][row] = 0;
    out->d[half][row] = NAN;
}

#if defined(__AVX512VNNI__)
#define QMR MR
#include "backend/cpu/simd_qdot_vnni.h"
#else
#define QMR 6 /* what sixteen registers hold */
#include "backend/cpu/simd_qdot_avx2.h"
#endif

#define QTILE(kind, mr, ...) \
    static __attribute__((noinline)) void q_##kind##_##mr(const struct cpu_qtile *t) { qtile_body(t, mr, __VA_ARGS__); }
#define FIRST_SIX(M, kind, ...) \
    M(kind, 1, __VA_ARGS__) M(kind, 2, __VA_ARGS__) M(kind, 3, __VA_ARGS__) M(kind, 4, __VA_ARGS__) M(kind, 5, __VA_ARGS__) M(kind, 6, __VA_ARGS__)
#if QMR > 6
#define QTILES(kind, ...)                                                                                              \
    FIRST_SIX(QTILE, kind, __VA_ARGS__) QTILE(kind, 7, __VA_ARGS__) QTILE(kind, 8, __VA_ARGS__) QTILE(kind, 9, __VA_ARGS__) \
    QTILE(kind, 10, __VA_ARGS__) QTILE(kind, 11, __VA_ARGS__) QTILE(kind, 12, __VA_ARGS__)
#define ROW(kind) {q_##kind##_1, q_##kind##_2, q_##kind##_3, q_##kind##_4, q_##kind##_5, q_##kind##_6, q_##kind##_7, q_##kind##_8, q_##kind##_9, q_##kind##_10, q_##kind##_11, q_##kind##_12}
#else
#define QTILES(kind, ...) FIRST_SIX(QTILE, kind, __VA_ARGS__)
#define ROW(kind) {q_##kind##_1, q_##kind##_2, q_##kind##_3, q_##kind##_4, q_##kind##_5, q_##kind##_6}
#endif
/*            bits zero_log2 f16 halves low: as QPACK_LAYOUTS */
QTILES(Q4_0, 4, 3, true, false, QPACK_NO_LOW)
QTILES(Q4_1, 4, 0, true, false, QPACK_MIN)
QTILES(Q5_0, 5, 4, true, false, QPACK_NO_LOW)
QTILES(Q5_1, 5, 0, true, false, QPACK_MIN)
QTILES(Q8_0, 8, 7, true, false, QPACK_NO_LOW)
QTILES(Q4_K, 4, 0, false, false, QPACK_MIN)
QTILES(Q5_K, 5, 0, false, false, QPACK_MIN)
QTILES(Q6_K, 6, 5, false, true, QPACK_NO_LOW)
QTILES(Z4, 4, 0, true, false, QPACK_ZERO)
QTILES(U8, 8, 0, false, false, QPACK_MIN)

static void k_qtile(enum qpack_kind kind, const struct cpu_qtile *t) {
    static void (*const ALL[QPACK_COUNT][QMR])(const struct cpu_qtile *) = {[QPACK_Q4_0] = ROW(Q4_0), [QPACK_Q4_1] = ROW(Q4_1), [QPACK_Q5_0] = ROW(Q5_0), [QPACK_Q5_1] = ROW(Q5_1),
                                                                                  [QPACK_Q8_0] = ROW(Q8_0), [QPACK_Q4_K] = ROW(Q4_K), [QPACK_Q5_K] = ROW(Q5_K), [QPACK_Q6_K] = ROW(Q6_K),
                                                                                  [QPACK_Z4] = ROW(Z4), [QPACK_U8] = ROW(U8)};
    ALL[kind][t->epilogue.mr - 1](t);
}
