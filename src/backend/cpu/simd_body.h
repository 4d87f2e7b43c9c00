/* simd_body.h - the kernels, written once; each simd_<isa>.c includes this with its KERNELS name, NAME text and MR. */
#include <math.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/vec.h"
#include "tensor/half.h"

enum { NV = 2, NR = NV * VL }; /* a panel is two vectors wide */
_Static_assert((int)NR <= (int)CPU_MAX_NR && MR <= (int)CPU_MAX_MR, "table limits");
#define INLINE static inline __attribute__((always_inline))

INLINE vf v_act(enum act_kind act, vf y) {
    switch (act) {
    case ACT_GELU: return v_gelu(y);
    case ACT_GELU_TANH: return y * v_sigmoid(y * v_fma(y * y, v_set(2 * 0.79788456080286536f * 0.044715f), v_set(2 * 0.79788456080286536f)));
    case ACT_GELU_QUICK: return y * v_sigmoid(y * 1.702f);
    case ACT_RELU: return v_max(y, v_set(0));
    case ACT_SILU: return y * v_sigmoid(y);
    case ACT_TANH: return v_tanh(y);
    default: return y;
    }
}

/* Finishes one vector of a tile and writes it: all of it, or its columns before n_cols. whole: all of it, and no soft cap. */
INLINE void emit(const struct cpu_tile *t, enum act_kind act, bool whole, uint32_t row, uint32_t col, vf y, vf bias) {
    if (t->row_scale) y = y * v_set(t->row_scale[row]);
    y = v_act(act, y + bias);
    if (!whole && t->soft_cap > 0) y = v_tanh(y / t->soft_cap) * t->soft_cap;
    float *out = t->out + row * t->out_stride + col;
    const float *res = t->res ? t->res + row * t->res_stride + col : NULL;
    if (whole || col + VL <= t->n_cols) {
        v_store(out, res ? y + v_load(res) : y);
        return;
    }
    float edge[VL];
    v_store(edge, y);
    for (uint32_t i = 0; col + i < t->n_cols; i++) out[i] = res ? edge[i] + res[i] : edge[i];
}

/* acc stays in registers on the common path, a whole tile without activation; the others go through memory, which costs them little. */
INLINE void tile_emit(const struct cpu_tile *t, uint32_t mr, uint32_t np, vf acc[MR][CPU_MAX_PANELS * NV]) {
    vf bias[CPU_MAX_PANELS * NV], spilled[MR][CPU_MAX_PANELS * NV];
    const bool whole = np * NR <= t->n_cols && !(t->soft_cap > 0);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < np * NV; v++) bias[v] = t->bias ? v_load(t->bias + v * VL) : v_set(0);
    if (whole && t->act == ACT_NONE) {
#pragma GCC unroll 12
        for (uint32_t m = 0; m < mr; m++)
#pragma GCC unroll 8
            for (uint32_t v = 0; v < np * NV; v++) emit(t, ACT_NONE, true, m, v * VL, acc[m][v], bias[v]);
        return;
    }
#pragma GCC unroll 12
    for (uint32_t m = 0; m < mr; m++)
#pragma GCC unroll 8
        for (uint32_t v = 0; v < np * NV; v++) spilled[m][v] = acc[m][v];
    if (whole && t->act == ACT_GELU) {
        for (uint32_t m = 0; m < mr; m++)
            for (uint32_t v = 0; v < np * NV; v++) emit(t, ACT_GELU, true, m, v * VL, spilled[m][v], bias[v]);
        return;
    }
    for (uint32_t m = 0; m < mr; m++)
        for (uint32_t v = 0; v < np * NV; v++) emit(t, t->act, false, m, v * VL, spilled[m][v], bias[v]);
}

/* mr and np are constants where this is inlined, so acc lives in registers. */
INLINE void tile_body(const struct cpu_tile *t, const uint32_t mr, const uint32_t np) {
    vf acc[MR][CPU_MAX_PANELS * NV];
#pragma GCC unroll 12
    for (uint32_t m = 0; m < mr; m++)
#pragma GCC unroll 8
        for (uint32_t v = 0; v < np * NV; v++) acc[m][v] = v_set(0);
    const float *a = t->a, *b = t->b;
    const size_t a_stride = t->a_stride, panel_stride = t->panel_stride;
    for (uint32_t k = t->k; k; k--, a += a_stride, b += NR) {
        vf w[CPU_MAX_PANELS * NV];
#pragma GCC unroll 8
        for (uint32_t v = 0; v < np * NV; v++) w[v] = v_load(b + (v / NV) * panel_stride + (v % NV) * VL);
#pragma GCC unroll 12
        for (uint32_t m = 0; m < mr; m++) {
            vf x = v_set(a[m]);
#pragma GCC unroll 8
            for (uint32_t v = 0; v < np * NV; v++) acc[m][v] = v_fma(x, w[v], acc[m][v]);
        }
    }
    tile_emit(t, mr, np, acc);
}

static __attribute__((noinline)) void tile_1x1(const struct cpu_tile *t) { tile_body(t, 1, 1); }
static __attribute__((noinline)) void tile_1x4(const struct cpu_tile *t) { tile_body(t, 1, 4); }
static __attribute__((noinline)) void tile_2x1(const struct cpu_tile *t) { tile_body(t, 2, 1); }
#if MR >= 12
static __attribute__((noinline)) void tile_2x4(const struct cpu_tile *t) { tile_body(t, 2, 4); }
static __attribute__((noinline)) void tile_7x1(const struct cpu_tile *t) { tile_body(t, 7, 1); }
static __attribute__((noinline)) void tile_8x1(const struct cpu_tile *t) { tile_body(t, 8, 1); }
static __attribute__((noinline)) void tile_9x1(const struct cpu_tile *t) { tile_body(t, 9, 1); }
static __attribute__((noinline)) void tile_10x1(const struct cpu_tile *t) { tile_body(t, 10, 1); }
static __attribute__((noinline)) void tile_11x1(const struct cpu_tile *t) { tile_body(t, 11, 1); }
static __attribute__((noinline)) void tile_12x1(const struct cpu_tile *t) { tile_body(t, 12, 1); }
#endif
static __attribute__((noinline)) void tile_3x1(const struct cpu_tile *t) { tile_body(t, 3, 1); }
static __attribute__((noinline)) void tile_4x1(const struct cpu_tile *t) { tile_body(t, 4, 1); }
static __attribute__((noinline)) void tile_5x1(const struct cpu_tile *t) { tile_body(t, 5, 1); }
static __attribute__((noinline)) void tile_6x1(const struct cpu_tile *t) { tile_body(t, 6, 1); }

static void k_tile(const struct cpu_tile *t) {
    static void (*const one[])(const struct cpu_tile *) = {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1,
#if MR >= 12
                                                          tile_7x1, tile_8x1, tile_9x1, tile_10x1, tile_11x1, tile_12x1
#endif
    };
    struct cpu_tile s = *t;
    while (s.n_panels) {
        uint32_t np = 1;
        if (s.mr == 1 && s.n_panels >= 4) np = 4;
#if MR >= 12
        if (s.mr == 2 && s.n_panels >= 4) np = 4;
        if (np == 4 && s.mr == 2) tile_2x4(&s);
        else
#endif
            if (np == 4) tile_1x4(&s);
            else one[s.mr - 1](&s);
        uint32_t cols = np * NR;
        s.b += np * s.panel_stride;
        s.out += cols;
        s.bias = s.bias ? s.bias + cols : NULL;
        s.res = s.res ? s.res + cols : NULL;
        s.n_cols = s.n_cols > cols ? s.n_cols - cols : 0;
        s.n_panels -= np;
    }
}

typedef float v4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
INLINE v4 v4_load(const float *p) {
    v4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Four rows by four columns at a time: loads along rows, stores along columns. */
static void k_pack_rows(const float *x, size_t stride, uint32_t rows, uint32_t k, float scale, float *out, size_t out_stride) {
    uint32_t m = 0;
    for (; m + 4 <= rows; m += 4) {
        const float *r = x + m * stride;
        uint32_t c = 0;
        for (; c + 4 <= k; c += 4) {
            v4 a = v4_load(r + c), b = v4_load(r + stride + c), d = v4_load(r + 2 * stride + c), e = v4_load(r + 3 * stride + c);
            v4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            v4 de0 = __builtin_shufflevector(d, e, 0, 4, 1, 5), de1 = __builtin_shufflevector(d, e, 2, 6, 3, 7);
            v4 t[4] = {__builtin_shufflevector(ab0, de0, 0, 1, 4, 5), __builtin_shufflevector(ab0, de0, 2, 3, 6, 7),
                       __builtin_shufflevector(ab1, de1, 0, 1, 4, 5), __builtin_shufflevector(ab1, de1, 2, 3, 6, 7)};
            for (unsigned i = 0; i < 4; i++) {
                v4 s = t[i] * scale;
                memcpy(out + (c + i) * out_stride + m, &s, sizeof s);
            }
        }
        for (; c < k; c++)
            for (unsigned i = 0; i < 4; i++) out[c * out_stride + m + i] = r[i * stride + c] * scale;
    }
    for (; m + 2 <= rows; m += 2) { /* what tiles of six leave */
        const float *r = x + m * stride;
        uint32_t c = 0;
        for (; c + 4 <= k; c += 4) {
            const v4 a = v4_load(r + c) * scale, b = v4_load(r + stride + c) * scale;
            const v4 pairs[2] = {__builtin_shufflevector(a, b, 0, 4, 1, 5), __builtin_shufflevector(a, b, 2, 6, 3, 7)};
            for (unsigned i = 0; i < 4; i++) memcpy(out + (c + i) * out_stride + m, (const float *)&pairs[i / 2] + 2 * (i % 2), 2 * sizeof *out);
        }
        for (; c < k; c++)
            for (unsigned i = 0; i < 2; i++) out[c * out_stride + m + i] = r[i * stride + c] * scale;
    }
    for (; m < rows; m++)
        for (uint32_t c = 0; c < k; c++) out[c * out_stride + m] = x[m * stride + c] * scale;
}

static void k_softmax(float *s, uint32_t len, float *inv) {
    for (unsigned v = 0; v < NV; v++) {
        float *p = s + v * VL;
        vf top = v_load(p), sum = v_set(0);
        for (uint32_t j = 1; j < len; j++) top = v_max(top, v_load(p + (size_t)j * NR));
        for (uint32_t j = 0; j < len; j++) {
            vf e = v_exp(v_load(p + (size_t)j * NR) - top);
            sum = sum + e;
            v_store(p + (size_t)j * NR, e);
        }
        v_store(inv + v * VL, 1.0f / sum);
    }
}

static void k_add_bias(float *s, uint32_t len, const float *g) {
    for (uint32_t j = 0; j < len; j++, g--)
        for (unsigned v = 0; v < NV; v++) {
            float *p = s + (size_t)j * NR + v * VL;
            v_store(p, v_load(p) + v_load(g + v * VL));
        }
}

/* Loads x[i..i+VL) (+ res), zero beyond n. */
INLINE vf load_sum(const float *x, const float *res, uint32_t i, uint32_t n) {
    if (i + VL <= n) return res ? v_load(x + i) + v_load(res + i) : v_load(x + i);
    float edge[VL] = {0};
    for (uint32_t k = 0; i + k < n; k++) edge[k] = res ? x[i + k] + res[i + k] : x[i + k];
    return v_load(edge);
}

INLINE void store_part(float *out, uint32_t i, uint32_t n, vf y) {
    if (i + VL <= n) {
        v_store(out + i, y);
        return;
    }
    float edge[VL];
    v_store(edge, y);
    for (uint32_t k = 0; i + k < n; k++) out[i + k] = edge[k];
}

/* w and b are readable to the next multiple of VL. Three passes over a row that lies in L1. */
static void k_norm(enum norm_kind kind, const float *x, const float *res, uint32_t n, const float *w, const float *b, const float *add, float eps, float *out) {
    vf sum = v_set(0), square = v_set(0);
    float mean = 0;
    if (kind == NORM_LAYER) {
        for (uint32_t i = 0; i < n; i += VL) sum = sum + load_sum(x, res, i, n);
        mean = v_sum(sum) / (float)n;
    }
    uint32_t whole = n / VL * VL;
    for (uint32_t i = 0; i < whole; i += VL) {
        vf y = load_sum(x, res, i, n) - mean;
        square = v_fma(y, y, square);
    }
    float tail = 0;
    for (uint32_t i = whole; i < n; i++) {
        float y = (res ? x[i] + res[i] : x[i]) - mean;
        tail += y * y;
    }
    float total = v_sum(square) + tail;
    float scale = kind == NORM_L2 ? 1.0f / fmaxf(sqrtf(total), eps) : 1.0f / sqrtf(total / (float)n + eps);
    for (uint32_t i = 0; i < n; i += VL) {
        vf y = (load_sum(x, res, i, n) - mean) * scale;
        if (w) y = y * v_load(w + i);
        if (b) y = y + v_load(b + i);
        if (add) y = y + load_sum(add, NULL, i, n);
        store_part(out, i, n, y);
    }
}

INLINE vi i_load(const int32_t *p) {
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool k_softmax_block(float *s, uint32_t n, uint32_t lanes, float cap, const int32_t *first, const int32_t *last, int32_t key0, float *m, float *l, float *scale) {
    const vf hidden = v_set(NOTHING_SEEN);
    bool changed = false;
    for (unsigned v = 0; v * VL < lanes; v++) {
        float *p = s + v * VL;
        const vf old = v_load(m + v * VL);
        const vi lo = first ? i_load(first + v * VL) - key0 : (vi){0}, hi = first ? i_load(last + v * VL) - key0 : (vi){0};
        vf top = old, sum = v_set(0);
        if (first || cap > 0)
            for (uint32_t j = 0; j < n; j++) {
                vf x = v_load(p + (size_t)j * NR);
                if (cap > 0) x = v_tanh(x / cap) * cap;
                const vi at = (vi){0} + (int32_t)j;
                if (first) x = v_select((at >= lo) & (at <= hi), x, hidden);
                v_store(p + (size_t)j * NR, x);
            }
        for (uint32_t j = 0; j < n; j++) top = v_max(top, v_load(p + (size_t)j * NR));
        for (uint32_t j = 0; j < n; j++) {
            vf x = v_load(p + (size_t)j * NR), e = v_exp(x - top);
            if (first) e = (vf)((vi)e & (x > hidden));
            sum = sum + e;
            v_store(p + (size_t)j * NR, e);
        }
        const vf a = v_select(old == top, v_set(1), v_exp(old - top));
        v_store(m + v * VL, top);
        v_store(scale + v * VL, a);
        v_store(l + v * VL, v_fma(v_load(l + v * VL), a, sum));
        for (unsigned i = 0; i < VL; i++) changed |= v * VL + i < lanes && scale[v * VL + i] != 1.0f;
    }
    return changed;
}

static void k_scale_rows(float *x, uint32_t rows, uint32_t n, const float *scale) {
    for (uint32_t r = 0; r < rows; r++, x += n)
        if (scale[r] != 1.0f)
            for (uint32_t i = 0; i < n; i += VL) store_part(x, i, n, load_sum(x, NULL, i, n) * scale[r]);
}

static void k_merge_weights(float *top, const float *m, float *scale, float *weight) {
    for (unsigned i = 0; i < NR; i += VL) {
        vf a = v_load(top + i), b = v_load(m + i), t = v_max(a, b);
        v_store(scale + i, v_select(a == t, v_set(1), v_exp(a - t)));
        v_store(weight + i, v_select(b == t, v_set(1), v_exp(b - t)));
        v_store(top + i, t);
    }
}

/* The sum of hi and x in two floats, exactly (Knuth's two-sum); its error goes to lo. */
static void k_merge(float *hi, float *lo, const float *x, float scale, float weight, uint32_t n) {
    for (uint32_t i = 0; i < n; i += VL) {
        vf a = load_sum(hi, NULL, i, n) * scale, b = load_sum(x, NULL, i, n) * weight, s = a + b, c = s - a;
        vf error = (a - (s - c)) + (b - c);
        store_part(lo, i, n, v_fma(load_sum(lo, NULL, i, n), v_set(scale), error));
        store_part(hi, i, n, s);
    }
}

static void k_glu(enum act_kind act, const float *gate, const float *up, uint32_t n, float *out) {
    for (uint32_t i = 0; i < n; i += VL) {
        vf g = load_sum(gate, NULL, i, n);
        g = act == ACT_SILU ? v_act(ACT_SILU, g) : v_act(act, g);
        store_part(out, i, n, g * load_sum(up, NULL, i, n));
    }
}

static void k_rotate(float *x, uint32_t r, const float *cos_sin, bool interleaved) {
    const float *c = cos_sin, *s = cos_sin + r;
    uint32_t i = 0;
    if (!interleaved)
        for (; i + VL <= r; i += VL) {
            vf a = v_load(x + i), b = v_load(x + r + i), vc = v_load(c + i), vs = v_load(s + i);
            v_store(x + i, v_fma(a, vc, -(b * vs)));
            v_store(x + r + i, v_fma(b, vc, a * vs));
        }
    for (; i < r; i++) {
        float *p = x + (interleaved ? 2 * i : i), *q = x + (interleaved ? 2 * i + 1 : i + r), a = *p, b = *q;
        *p = fmaf(a, c[i], -(b * s[i]));
        *q = fmaf(b, c[i], a * s[i]);
    }
}

static void k_to_f16(const float *x, uint32_t n, uint16_t *out) {
    uint32_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) out[i] = f16_from_f32(x[i]);
}
static void k_from_f16(const uint16_t *x, uint32_t n, float *out) {
    uint32_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
#endif
    for (; i < n; i++) out[i] = f16_to_f32(x[i]);
}

enum { Q8_VALUES = 32, Q8_BYTES = 34 };
typedef int8_t vb __attribute__((vector_size(VL)));
static void k_to_q8(const float *x, uint32_t n, uint8_t *out) {
    const vf magic = v_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number in the low bits */
    for (uint32_t b = 0; b < n; b += Q8_VALUES, out += Q8_BYTES) {
        vf top = v_set(0);
        vi lost = {0}; /* a NaN */
        for (unsigned i = 0; i < Q8_VALUES; i += VL) {
            const vf v = v_load(x + b + i);
            top = v_max(top, v_abs(v)), lost |= v != v;
        }
        float most = 0;
        for (unsigned i = 0; i < VL; i++) most = lost[i] || isnan(most) ? NAN : fmaxf(most, top[i]);
        const uint16_t d = f16_from_f32(most / 127.0f);
        const float inverse = f16_to_f32(d) > 0 ? 1.0f / f16_to_f32(d) : 0;
        memcpy(out, &d, sizeof d);
        for (unsigned i = 0; i < Q8_VALUES; i += VL) {
            const vf y = v_max(v_min(v_load(x + b + i) * inverse, v_set(127)), v_set(-127));
            const vb q = __builtin_convertvector((vi)(y + magic) - (vi)magic, vb);
            memcpy(out + 2 + i, &q, sizeof q);
        }
    }
}
static void k_from_q8(const uint8_t *x, uint32_t n, float *out) {
    for (uint32_t b = 0; b < n; b += Q8_VALUES, x += Q8_BYTES) {
        uint16_t half;
        memcpy(&half, x, sizeof half);
        const float d = f16_to_f32(half);
        for (unsigned i = 0; i < Q8_VALUES; i += VL) {
            vb q;
            memcpy(&q, x + 2 + i, sizeof q);
            v_store(out + b + i, __builtin_convertvector(q, vf) * d);
        }
    }
}

/* Both are f16 with fewer bits: E5M2 its upper byte; E4M3, a bit lower, 2^8 times too small, but for its NaN, which is a number there. */
static void k_from_f8(enum dtype t, const uint8_t *x, uint32_t n, float *out) {
    uint32_t i = 0;
#if defined(__F16C__)
    const bool e4m3 = t == DTYPE_F8_E4M3;
    for (; i + 8 <= n; i += 8) {
        const __m128i b = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(x + i))), mag = _mm_and_si128(b, _mm_set1_epi16(0x7F));
        const __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(mag, _mm_set1_epi16(0x7F)), _mm_set1_epi16(0x7E00));
        const __m128i half = _mm_or_si128(_mm_or_si128(_mm_slli_epi16(mag, 7), nan), _mm_slli_epi16(_mm_sub_epi16(b, mag), 8));
        _mm256_storeu_ps(out + i, e4m3 ? _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256)) : _mm256_cvtph_ps(_mm_slli_epi16(b, 8)));
    }
#endif
    dtype_to_f32(t, x + i, out + i, n - i);
}

static void k_add(float *y, const float *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i += VL) store_part(y, i, n, load_sum(y, x, i, n));
}

/* MAX, MEAN, MEAN_SQRT_LEN or WEIGHTED_MEAN of rows >= 1 rows; the first has weight first_weight. */
static void k_pool(enum pool_kind mode, const float *x, size_t stride, uint32_t first_weight, uint32_t rows, uint32_t n, float *out) {
    float total = 0;
    for (uint32_t r = 0; r < rows; r++) total += mode == POOL_WEIGHTED_MEAN ? (float)(first_weight + r) : 1.0f;
    if (mode == POOL_MEAN_SQRT_LEN) total = sqrtf(total);
    for (uint32_t i = 0; i < n; i += VL) {
        vf acc = mode == POOL_MAX ? load_sum(x, NULL, i, n) : v_set(0);
        for (uint32_t r = 0; r < rows; r++) {
            vf y = load_sum(x + r * stride, NULL, i, n);
            if (mode == POOL_MAX) acc = v_max(acc, y);
            else acc = v_fma(y, v_set(mode == POOL_WEIGHTED_MEAN ? (float)(first_weight + r) : 1.0f), acc);
        }
        store_part(out, i, n, mode == POOL_MAX ? acc : acc / total);
    }
}

#ifdef HAS_QTILE
#include "backend/cpu/simd_qtile.h"
#endif

const struct cpu_kernels KERNELS = {
    .name = NAME, .nr = NR, .mr = MR, .tile = k_tile, .pack_rows = k_pack_rows, .softmax = k_softmax,
    .add_bias = k_add_bias, .norm = k_norm, .add = k_add, .pool = k_pool, .softmax_block = k_softmax_block, .scale_rows = k_scale_rows,
    .merge_weights = k_merge_weights, .merge = k_merge, .to_f16 = k_to_f16, .from_f16 = k_from_f16, .to_q8 = k_to_q8, .from_q8 = k_from_q8, .from_f8 = k_from_f8, .glu = k_glu, .rotate = k_rotate,
#ifdef HAS_QTILE
    .qmr = QMR, .qtile = k_qtile, .quantise = k_quantise,
#endif
};
