#include "tensor/quant.h"

#include <math.h>

/* Blocks of 32: d (and m) are f16; element i stands in the low half of byte i, element 16 + i in its high half.
 *
 *   Q4_0   d | 16 bytes of nibbles                 x = d (q - 8)
 *   Q4_1   d | m | 16 bytes of nibbles             x = d q + m
 *   Q5_0   d | u32 | 16 bytes of nibbles           x = d (q - 16), bit i of the u32 is bit 4 of q_i
 *   Q5_1   d | m | u32 | 16 bytes of nibbles       x = d q + m
 *   Q8_0   d | 32 signed bytes                     x = d q
 *   MXFP4  e | 16 bytes of nibbles                 x = 2^(e-127) v, v the FP4 number s ee m */
enum { BLOCK = 32 };

static int nibble(const uint8_t *q, int i) { return i < BLOCK / 2 ? q[i] & 15 : q[i - BLOCK / 2] >> 4; }
static int five_bits(const uint8_t *q, uint32_t high, int i) { return nibble(q, i) | (int)(high >> i & 1) << 4; }

static void q4_0(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int i = 0; i < BLOCK; i++) out[i] = d * (float)(nibble(b + 2, i) - 8);
}
static void q4_1(const uint8_t *b, float *out) {
    const float d = quant_f16(b), m = quant_f16(b + 2);
    for (int i = 0; i < BLOCK; i++) {
        const float x = d * (float)nibble(b + 4, i);
        out[i] = x + m;
    }
}
static void q5_0(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    const uint32_t high = quant_u32(b + 2);
    for (int i = 0; i < BLOCK; i++) out[i] = d * (float)(five_bits(b + 6, high, i) - 16);
}
static void q5_1(const uint8_t *b, float *out) {
    const float d = quant_f16(b), m = quant_f16(b + 2);
    const uint32_t high = quant_u32(b + 4);
    for (int i = 0; i < BLOCK; i++) {
        const float x = d * (float)five_bits(b + 8, high, i);
        out[i] = x + m;
    }
}
static void q8_0(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int i = 0; i < BLOCK; i++) out[i] = d * (float)(int8_t)b[2 + i];
}

void quant_to_q8_0(const float *x, uint8_t *block) {
    float top = 0;
    for (int i = 0; i < BLOCK; i++) top = fabsf(x[i]) <= top || isnan(top) ? top : fabsf(x[i]); /* a NaN stays */
    const uint16_t d = f16_from_f32(top / 127.0f);
    const float inverse = f16_to_f32(d) > 0 ? 1.0f / f16_to_f32(d) : 0;
    block[0] = (uint8_t)d, block[1] = (uint8_t)(d >> 8);
    for (int i = 0; i < BLOCK; i++) block[2 + i] = (uint8_t)(int8_t)rintf(fmaxf(-127, fminf(127, x[i] * inverse)));
}

/* v doubled, to be whole; so the scale is halved: 2^(e-128), subnormal for e < 2. e = 255, NaN in the OCP paper, is 2^127 to gguf. */
static void mxfp4(const uint8_t *b, float *out) {
    static const int8_t TWICE[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const float half = f32_from_bits(b[0] < 2 ? (uint32_t)0x00200000 << b[0] : (uint32_t)(b[0] - 1) << 23);
    for (int i = 0; i < BLOCK; i++) out[i] = half * (float)TWICE[nibble(b + 1, i)];
}

/* TQ2_0   64 bytes | d       byte k of each group of 32 holds elements k, 32 + k, 64 + k, 96 + k, from the low bits up; x = d (q - 1) */
static void tq2_0(const uint8_t *b, float *out) {
    const float d = quant_f16(b + 64);
    for (int i = 0; i < QUANT_SUPER; i++) out[i] = d * (float)((b[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1);
}

/* TQ1_0   32 bytes | 16 bytes | 4 bytes | d     a byte holds five (in the last four bytes: four) ternary digits
 *
 * The byte is ceil(256 n / 243) for the number n of five digits, so digit k is the whole part of 3 (3^k byte mod 256) / 256.
 * Digit k of byte j of a run of r bytes is element k r + j of that run. x = d (digit - 1). */
static float *ternary(const uint8_t *b, int r, int digits, float d, float *out) {
    for (unsigned k = 0, power = 1; k < (unsigned)digits; k++, power *= 3)
        for (int j = 0; j < r; j++) *out++ = d * (float)((int)((b[j] * power & 255) * 3 >> 8) - 1);
    return out;
}
static void tq1_0(const uint8_t *b, float *out) {
    const float d = quant_f16(b + 52);
    out = ternary(b, 32, 5, d, out);
    out = ternary(b + 32, 16, 5, d, out);
    ternary(b + 48, 4, 4, d, out);
}

quant_block *quant_decoder(enum dtype t) {
    static quant_block *const DECODERS[DTYPE_COUNT] = {
        [DTYPE_Q4_0] = q4_0,
        [DTYPE_Q4_1] = q4_1,
        [DTYPE_Q5_0] = q5_0,
        [DTYPE_Q5_1] = q5_1,
        [DTYPE_Q8_0] = q8_0,
        [DTYPE_Q2_K] = quant_q2_k,
        [DTYPE_Q3_K] = quant_q3_k,
        [DTYPE_Q4_K] = quant_q4_k,
        [DTYPE_Q5_K] = quant_q5_k,
        [DTYPE_Q6_K] = quant_q6_k,
        [DTYPE_IQ1_S] = quant_iq1_s,
        [DTYPE_IQ1_M] = quant_iq1_m,
        [DTYPE_IQ2_XXS] = quant_iq2_xxs,
        [DTYPE_IQ2_XS] = quant_iq2_xs,
        [DTYPE_IQ2_S] = quant_iq2_s,
        [DTYPE_IQ3_XXS] = quant_iq3_xxs,
        [DTYPE_IQ3_S] = quant_iq3_s,
        [DTYPE_IQ4_NL] = quant_iq4_nl,
        [DTYPE_IQ4_XS] = quant_iq4_xs,
        [DTYPE_TQ1_0] = tq1_0,
        [DTYPE_TQ2_0] = tq2_0,
        [DTYPE_MXFP4] = mxfp4,
    };
    return DECODERS[t];
}
