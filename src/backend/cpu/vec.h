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

/* e^r for |r| <= ln 2 / 2: the polynomial of degree 6 with the least relative error (2e-9; 7e-8 as rounded), fitted by iterated least squares. */
static inline vf v_exp_near(vf r) {
    vf p = v_set(0.00138368248f);
    p = v_fma(p, r, v_set(0.00837483257f));
    p = v_fma(p, r, v_set(0.0416682251f));
    p = v_fma(p, r, v_set(0.166664198f));
    p = v_fma(p, r, v_set(0.499999911f));
    p = v_fma(p, r, v_set(1.0f));
    return v_fma(p, r, v_set(1.0f));
}
/* e^x = 2^n e^r with x = n ln 2 + r; ln 2 stands in two parts, the first with 9 trailing zero bits. */
#if defined(__AVX512F__)
static inline vf v_exp(vf x) { /* 0 below -103.97, infinity above 88.72 */
    x = v_min(v_max(x, v_set(-104.0f)), v_set(89.0f)); /* beyond, r would not be small */
    vf n = (vf)_mm512_roundscale_ps((__m512)(x * 1.44269504088896341f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf r = v_fma(n, v_set(-0.693145751953125f), x);
    r = v_fma(n, v_set(-1.42860682030941723e-6f), r);
    return (vf)_mm512_scalef_ps((__m512)v_exp_near(r), (__m512)n);
}
#else
/* 2^n is put into the exponent: below -87.3 the result is the smallest normal number, above 88.3 it stays there. */
static inline vf v_exp(vf x) {
    x = v_min(v_max(x, v_set(-87.3f)), v_set(88.3f));
    const vf magic = v_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number in the low bits */
    vf biased = v_fma(x, v_set(1.44269504088896341f), magic), n = biased - magic;
    vf r = v_fma(n, v_set(-0.693145751953125f), x);
    r = v_fma(n, v_set(-1.42860682030941723e-6f), r);
    vi scale = ((vi)biased - (vi)magic + 127) << 23;
    return v_exp_near(r) * (vf)scale;
}
#endif
/* 1 / x for normal x: an estimate of 14 or 12 bits and one Newton step (relative error 2e-7). */
#if defined(__AVX512F__)
static inline vf v_recip_near(vf x) { return (vf)_mm512_rcp14_ps((__m512)x); }
#elif defined(__AVX2__)
static inline vf v_recip_near(vf x) { return (vf)_mm256_rcp_ps((__m256)x); }
#else
static inline vf v_recip_near(vf x) { return 1.0f / x; }
#endif
static inline vf v_recip(vf x) {
    vf y = v_recip_near(x);
    return v_fma(v_fma(-x, y, v_set(1.0f)), y, y);
}
static inline vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
/* x Phi(x) = max(x, 0) - |x| (1 - Phi(|x|)); the tail 1 - Phi(u) = erfc(u / sqrt 2) / 2 by formula 7.1.26 of Abramowitz and Stegun (absolute
 * error 0.8e-7), whose coefficients stand here halved. */
static inline vf v_gelu(vf x) {
    vf u = v_abs(x), t = v_recip(v_fma(u, v_set(0.3275911f * 0.70710678118654752f), v_set(1.0f)));
    vf p = v_set(0.5f * 1.061405429f);
    p = v_fma(p, t, v_set(0.5f * -1.453152027f));
    p = v_fma(p, t, v_set(0.5f * 1.421413741f));
    p = v_fma(p, t, v_set(0.5f * -0.284496736f));
    p = v_fma(p, t, v_set(0.5f * 0.254829592f));
    return v_fma(-(p * t) * v_exp(u * u * -0.5f), u, v_max(x, v_set(0)));
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
