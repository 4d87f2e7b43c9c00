#include "tensor/quant.h"

/* IQ quants: super-blocks of 256 whose values come from a codebook (grid) of rows of 8 or 4, with signs beside them. d is f16. */

static void signed_row(const uint8_t *grid, int n, unsigned signs, float scale, float *out) {
    for (int i = 0; i < n; i++) {
        const float x = scale * (float)grid[i];
        out[i] = signs >> i & 1 ? -x : x;
    }
}
/* The signs of 8 elements in 7 bits: bit 7 makes the number of minus signs even. */
static unsigned even_signs(unsigned seven) {
    unsigned parity = seven ^ seven >> 4;
    parity ^= parity >> 2, parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}
static float half_step(float d, unsigned s, float unit) { /* d (0.5 + s) unit, in this order */
    const float x = d * (0.5f + (float)s);
    return x * unit;
}

/* IQ2_XXS   d | 8 x (4 grid indices, u32 ssss ggggggg fffffff eeeeeee ddddddd)       for 32 elements each
 * x = d (0.5 + s) / 4 * grid, four rows of 8 with seven bits of signs each */
void quant_iq2_xxs(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    const uint8_t *q = b + 2;
    for (int g = 0; g < 8; g++, q += 8) {
        const uint32_t word = quant_u32(q + 4);
        const float scale = half_step(d, word >> 28, 0.25f);
        for (int r = 0; r < 4; r++, out += 8) signed_row(IQ2_XXS_GRID[q[r]], 8, even_signs(word >> 7 * r & 127), scale, out);
    }
}

/* IQ2_XS    d | 32 x u16 (sssssss iiiiiiiii: signs, 9-bit grid index) | scales 8 bytes: a nibble for 16 elements, low first */
void quant_iq2_xs(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int r = 0; r < 32; r++, out += 8) {
        const unsigned word = quant_u16(b + 2 + 2 * r), s = b[66 + r / 4] >> r / 2 % 2 * 4 & 15;
        signed_row(IQ2_XS_GRID[word & 511], 8, even_signs(word >> 9), half_step(d, s, 0.25f), out);
    }
}

/* IQ2_S     d | 32 low bytes of grid indices | 32 bytes of signs | 8 bytes: two high index bits for each of 4 rows | scales as IQ2_XS */
void quant_iq2_s(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int r = 0; r < 32; r++, out += 8) {
        const unsigned index = b[2 + r] | (b[66 + r / 4] >> r % 4 * 2 & 3u) << 8, s = b[74 + r / 4] >> r / 2 % 2 * 4 & 15;
        signed_row(IQ2_S_GRID[index], 8, b[34 + r], half_step(d, s, 0.25f), out);
    }
}

/* IQ3_XXS   d | 64 grid indices, for 4 elements each | 8 x u32 as in IQ2_XXS, x = d (0.5 + s) / 2 * grid */
void quant_iq3_xxs(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int r = 0; r < 64; r++, out += 4) {
        const uint32_t word = quant_u32(b + 66 + r / 8 * 4);
        const unsigned signs = even_signs(word >> 7 * (r / 2 % 4) & 127);
        signed_row(IQ3_XXS_GRID[b[2 + r]], 4, signs >> r % 2 * 4, half_step(d, word >> 28, 0.5f), out);
    }
}

/* IQ3_S     d | 64 low bytes of grid indices | 8 bytes: bit 8 of each | 32 bytes of signs | scales 4 bytes: a nibble for 32 elements
 * x = d (1 + 2 s) grid */
void quant_iq3_s(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int r = 0; r < 64; r++, out += 4) {
        const unsigned index = b[2 + r] | (b[66 + r / 8] >> r % 8 & 1u) << 8, s = b[106 + r / 16] >> r / 8 % 2 * 4 & 15;
        signed_row(IQ3_S_GRID[index], 4, (unsigned)b[74 + r / 2] >> r % 2 * 4, d * (float)(1 + 2 * s), out);
    }
}

static void delta_row(unsigned index, bool minus, float scale, float *out) {
    for (int i = 0; i < 8; i++) out[i] = scale * ((float)IQ1_GRID[index][i] + (minus ? -0.125f : 0.125f));
}

/* IQ1_S     d | 32 low bytes of grid indices | 8 x u16 (- sss iii iii iii iii) for 32 elements
 * x = d (2 s + 1) (grid + delta), delta = 1/8, negative where bit 15 is set; iii: bits 10..8 of each row's index, the first lowest */
void quant_iq1_s(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    for (int r = 0; r < 32; r++, out += 8) {
        const unsigned word = quant_u16(b + 34 + r / 4 * 2);
        const unsigned index = b[2 + r] | (word >> r % 4 * 3 & 7) << 8;
        delta_row(index, word >> 15, d * (float)(2 * (word >> 12 & 7) + 1), out);
    }
}

/* IQ1_M     32 low bytes of grid indices | 16 bytes: a nibble - iii for each row | 4 x u16 (dddd sss sss sss sss)
 * d is spread over the four top nibbles, the first lowest; a 3-bit scale serves 16 elements. x as in IQ1_S, a sign of delta for each row */
void quant_iq1_m(const uint8_t *b, float *out) {
    const uint8_t *scales = b + 48;
    unsigned bits = 0;
    for (int i = 0; i < 4; i++) bits |= (unsigned)(quant_u16(scales + 2 * i) >> 12) << 4 * i;
    const float d = f16_to_f32((uint16_t)bits);
    for (int r = 0; r < 32; r++, out += 8) {
        const unsigned high = b[32 + r / 2] >> r % 2 * 4 & 15, s = quant_u16(scales + r / 8 * 2) >> r / 2 % 4 * 3 & 7;
        delta_row(b[r] | (high & 7) << 8, high >> 3, d * (float)(2 * s + 1), out);
    }
}

/* IQ4: 4-bit indices into sixteen levels that lie closer together near zero. */
static const int8_t LEVELS[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void level_row(const uint8_t *q, float scale, float *out) { /* 32 elements; the low halves of 16 bytes come first */
    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)LEVELS[q[i] & 15];
        out[16 + i] = scale * (float)LEVELS[q[i] >> 4];
    }
}
/* IQ4_NL    d | 16 bytes of nibbles, a block of 32 */
void quant_iq4_nl(const uint8_t *b, float *out) { level_row(b + 2, quant_f16(b), out); }

/* IQ4_XS    d | u16: high two bits of 8 scales | 4 bytes: their low nibbles | 128 bytes of nibbles.   x = d (s - 32) level */
void quant_iq4_xs(const uint8_t *b, float *out) {
    const float d = quant_f16(b);
    const unsigned high = quant_u16(b + 2);
    for (int g = 0; g < 8; g++) {
        const int s = (b[4 + g / 2] >> g % 2 * 4 & 15) | (int)(high >> 2 * g & 3) << 4;
        level_row(b + 8 + 16 * g, d * (float)(s - 32), out + 32 * g);
    }
}
