/* half.h - f16 and bf16, bit by bit.
 *
 *   f16   s eeeee ffffffffff          IEEE 754 binary16, bias 15
 *   bf16  s eeeeeeee fffffff          the upper half of a binary32
 *
 * Widening is exact. Narrowing rounds to nearest, ties to even; NaN stays a quiet NaN, overflow gives infinity. */
#ifndef GLLM_TENSOR_HALF_H
#define GLLM_TENSOR_HALF_H
#include <stdint.h>
#include <string.h>

static inline uint32_t f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float f32_from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 0x1F, frac = h & 0x3FF;
    if (exp == 0x1F) return f32_from_bits(sign | 0x7F800000u | frac << 13 | (frac ? 0x400000u : 0));
    if (exp) return f32_from_bits(sign | (exp + 112) << 23 | frac << 13);
    float v = (float)frac * 0x1p-24f; /* subnormal: frac * 2^-24, exact */
    return sign ? -v : v;
}
static inline uint16_t f16_from_f32(float f) {
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000, mag = u & 0x7FFFFFFF;
    if (mag > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (mag >> 13 & 0x3FF));
    if (mag >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and above round to infinity */
    if (mag < 0x38800000) {                                  /* below 2^-14: subnormal, let the adder round */
        float v = f32_from_bits(mag) + 0x1p-1f;              /* ulp of [0.5,1) is 2^-24 */
        return (uint16_t)(sign | (f32_bits(v) - f32_bits(0x1p-1f)));
    }
    uint32_t r = mag + 0xFFF + (mag >> 13 & 1);
    return (uint16_t)(sign | ((r - 0x38000000) >> 13));
}
static inline float bf16_to_f32(uint16_t h) { return f32_from_bits((uint32_t)h << 16); }
static inline uint16_t bf16_from_f32(float f) {
    uint32_t u = f32_bits(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
#endif
