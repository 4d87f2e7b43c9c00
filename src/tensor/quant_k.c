#include "tensor/quant.h"

/* K-quants: super-blocks of 256 whose groups of 16 or 32 have scales, themselves quantised by d (and dmin), both f16. */

/* Q2_K    scales 16 bytes (mmmm ssss for each group of 16) | q 64 bytes | d | dmin
 *
 * Byte k of each 32 of q holds elements k, 32 + k, 64 + k, 96 + k of 128, two bits each from the low end. x = (d s) q - (dmin m) */
void quant_q2_k(const uint8_t *b, float *out) {
    const uint8_t *scales = b, *q = b + 16;
    const float d = quant_f16(b + 80), dmin = quant_f16(b + 82);
    for (int i = 0; i < QUANT_SUPER; i++) {
        const float scale = d * (float)(scales[i / 16] & 15), min = dmin * (float)(scales[i / 16] >> 4);
        const float x = scale * (float)(q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3);
        out[i] = x - min;
    }
}

/* Q3_K    hmask 32 bytes | q 64 bytes | scales 12 bytes | d
 *
 * q as in Q2_K. Bit g of hmask[k] belongs to element 32 g + k: 4 is taken off where it is 0. x = d (s - 32) q
 * The 6-bit scale of group j: low four bits in scales[j % 8], the low half for j < 8; high two in scales[8 + j % 4] >> 2 (j / 4). */
void quant_q3_k(const uint8_t *b, float *out) {
    const uint8_t *hmask = b, *q = b + 32, *scales = b + 96;
    const float d = quant_f16(b + 108);
    for (int i = 0; i < QUANT_SUPER; i++) {
        const int j = i / 16, low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4, high = scales[8 + j % 4] >> j / 4 * 2 & 3;
        const float scale = d * (float)((low | high << 4) - 32);
        const int two = q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        out[i] = scale * (float)(two - (hmask[i % 32] >> i / 32 & 1 ? 0 : 4));
    }
}

/* Q4_K and Q5_K share 12 bytes with a 6-bit scale s and minimum m for each of 8 groups of 32; of groups 4 to 7 (s', m')
 * the low four bits stand in the last bytes, the high two above s and m of group j - 4:
 *
 *   byte j      ss' ssssss        j = 0..3; ss' are bits 5..4 of s' of group 4 + j
 *   byte 4 + j  mm' mmmmmm
 *   byte 8 + j  m'm'm'm' s's's's' */
static void scale_min(const uint8_t *p, int j, int *s, int *m) {
    if (j < 4) {
        *s = p[j] & 63, *m = p[j + 4] & 63;
        return;
    }
    *s = (p[j + 4] & 15) | (p[j - 4] >> 6) << 4;
    *m = p[j + 4] >> 4 | (p[j] >> 6) << 4;
}

/* Groups 2 g and 2 g + 1 share 32 bytes of q: the even one has the low nibbles. qh, if any: bit j of qh[k] is bit 4 of
 * element k of group j. x = (d s) q - (dmin m) */
static void k_groups(const uint8_t *b, const uint8_t *qh, const uint8_t *q, float *out) {
    const float d = quant_f16(b), dmin = quant_f16(b + 2);
    for (int j = 0; j < 8; j++) {
        int s, m;
        scale_min(b + 4, j, &s, &m);
        const float scale = d * (float)s, min = dmin * (float)m;
        for (int k = 0; k < 32; k++) {
            const int low = q[j / 2 * 32 + k] >> j % 2 * 4 & 15, high = qh ? qh[k] >> j & 1 : 0;
            const float x = scale * (float)(low | high << 4);
            out[32 * j + k] = x - min;
        }
    }
}
/* Q4_K    d | dmin | scales 12 bytes | q 128 bytes */
void quant_q4_k(const uint8_t *b, float *out) { k_groups(b, NULL, b + 16, out); }
/* Q5_K    d | dmin | scales 12 bytes | qh 32 bytes | q 128 bytes */
void quant_q5_k(const uint8_t *b, float *out) { k_groups(b, b + 16, b + 48, out); }

/* Q6_K    ql 128 bytes | qh 64 bytes | scales 16 signed bytes, for groups of 16 | d
 *
 * Of each 128 elements, in four rows of 32: ql[k] holds the low nibbles of rows 0 and 2, ql[32 + k] of rows 1 and 3,
 * and qh[k] the upper two bits of row r at bit 2 r. x = (d s) (q - 32) */
void quant_q6_k(const uint8_t *b, float *out) {
    const uint8_t *scales = b + 192;
    const float d = quant_f16(b + 208);
    for (int i = 0; i < QUANT_SUPER; i++) {
        const int half = i / 128, row = i % 128 / 32, k = i % 32;
        const int low = b[half * 64 + row % 2 * 32 + k] >> row / 2 * 4 & 15;
        const int high = b[128 + half * 32 + k] >> row * 2 & 3;
        const float scale = d * (float)(int8_t)scales[i / 16];
        out[i] = scale * (float)((low | high << 4) - 32);
    }
}
