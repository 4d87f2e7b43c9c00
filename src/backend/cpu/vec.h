/* vec.h - a vector of floats of the level being compiled: GCC/clang vector extensions for + - * / and what they lack. */
#ifndef GLLM_BACKEND_CPU_VEC_H
#define GLLM_BACKEND_CPU_VEC_H
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VL = 16 };
#elif defined(__AVX2__)
enum { VL = 8 };
#else
enum { VL = 4 };
#endif
typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));

static inline vf v_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void v_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf v_set(float x) { return x - (vf){0}; }
static inline vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
#if defined(__AVX512F__)
static inline vf v_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vf v_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vf v_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)
static inline vf v_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf v_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf v_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline vf v_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf v_max(vf a, vf b) { return v_select(a > b, a, b); }
static inline vf v_min(vf a, vf b) { return v_select(a < b, a, b); }
#endif
static inline float v_sum(vf v) { /* lanes added in halves: a fixed order */
    float x[VL];
    v_store(x, v);
    for (unsigned n = VL / 2; n; n /= 2)
        for (unsigned i = 0; i < n; i++) x[i] += x[i + n];
    return x[0];
}

/* e^x: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7 (relative error 2e-8 before rounding), 2^n put into
 * the exponent. Below -87.3 the result is the smallest normal number, above 88.3 it stays there: never 0, infinity or NaN for finite x. */
static inline vf v_exp(vf x) {
    x = v_min(v_max(x, v_set(-87.3f)), v_set(88.3f));
    const vf magic = v_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number in the low bits */
    vf biased = v_fma(x, v_set(1.44269504088896341f), magic), n = biased - magic;
    vf r = v_fma(n, v_set(-0.693145751953125f), x); /* ln 2 in two parts; the first has 9 trailing zero bits */
    r = v_fma(n, v_set(-1.42860682030941723e-6f), r);
    vf p = v_set(1.0f / 5040);
    p = v_fma(p, r, v_set(1.0f / 720));
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    vi scale = ((vi)biased - (vi)magic + 127) << 23;
    return p * (vf)scale;
}
static inline vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
/* erf by formula 7.1.26 of Abramowitz and Stegun: absolute error 1.5e-7. */
static inline vf v_erf(vf x) {
    vf a = v_abs(x), t = 1.0f / v_fma(a, v_set(0.3275911f), v_set(1.0f));
    vf p = v_set(1.061405429f);
    p = v_fma(p, t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    vf y = 1.0f - p * t * v_exp(-a * a);
    return (vf)((vi)y | ((vi)x & (int32_t)0x80000000));
}
static inline vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }
/* tanh: near zero, where 1 - 2 / (e^2x + 1) would cancel, its Taylor series to x^13 (next term 2e-10 at 0.35). */
static inline vf v_tanh(vf x) {
    vf z = x * x, p = v_set(21844.0f / 6081075.0f);
    p = v_fma(p, z, v_set(-1382.0f / 155925.0f));
    p = v_fma(p, z, v_set(62.0f / 2835.0f));
    p = v_fma(p, z, v_set(-17.0f / 315.0f));
    p = v_fma(p, z, v_set(2.0f / 15.0f));
    p = v_fma(p, z, v_set(-1.0f / 3.0f));
    return v_select(v_abs(x) < v_set(0.35f), v_fma(p * z, x, x), 1.0f - 2.0f / (v_exp(x + x) + 1.0f));
}
#endif
