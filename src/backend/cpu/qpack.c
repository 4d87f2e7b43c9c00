#include "backend/cpu/qpack.h"

#include <string.h>

#include "tensor/half.h"

const struct qpack_layout QPACK_LAYOUTS[QPACK_COUNT] = {
    [QPACK_Q4_0] = {DTYPE_Q4_0, 4, 3, .f16 = true},
    [QPACK_Q4_1] = {DTYPE_Q4_1, 4, 0, .f16 = true, .min = true},
    [QPACK_Q5_0] = {DTYPE_Q5_0, 5, 4, .f16 = true},
    [QPACK_Q5_1] = {DTYPE_Q5_1, 5, 0, .f16 = true, .min = true},
    [QPACK_Q8_0] = {DTYPE_Q8_0, 8, 7, .f16 = true},
    [QPACK_Q4_K] = {DTYPE_Q4_K, 4, 0, .min = true},
    [QPACK_Q5_K] = {DTYPE_Q5_K, 5, 0, .min = true},
    [QPACK_Q6_K] = {DTYPE_Q6_K, 6, 5, .halves = true},
};

bool qpack_find(enum dtype t, enum qpack_kind *out) {
    for (int i = 0; i < QPACK_COUNT; i++)
        if (QPACK_LAYOUTS[i].dtype == t) {
            *out = (enum qpack_kind)i;
            return true;
        }
    return false;
}

static size_t plane_bytes(const struct qpack_layout *l) { return 64u * l->bits; }

size_t qpack_block_bytes(enum qpack_kind k) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    const size_t scale = l->f16 ? 2 : 4;
    return plane_bytes(l) + QPANEL * scale * ((l->halves ? 2 : 1) + (l->min ? 1 : 0));
}

struct unpacked { /* 32 inputs of one output */
    uint8_t q[QBLOCK];
    float scale[2], min;
};

static float f16_at(const uint8_t *p) { return f16_to_f32((uint16_t)(p[0] | p[1] << 8)); }
static uint32_t u32_at(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

/* Q4_K, Q5_K: d, dmin, 8 six-bit scales and mins in 12 bytes, [32 bytes of high bits], 128 bytes of nibbles: 32-blocks 2i and 2i + 1 share 32. */
static void unpack_k(enum qpack_kind k, const uint8_t *row, uint32_t block, struct unpacked *u) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    const uint8_t *p = row + (size_t)(block / 8) * dtype_traits(l->dtype)->bytes, *s = p + 4;
    const unsigned b = block % 8, five = l->bits == 5;
    const uint8_t *high = p + 16, *low = p + 16 + (five ? 32 : 0) + 32 * (b / 2);
    const unsigned scale = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | s[b - 4] >> 6 << 4, min = b < 4 ? s[b + 4] & 63 : s[b + 4] >> 4 | s[b] >> 6 << 4;
    u->scale[0] = f16_at(p) * (float)scale;
    u->min = -(f16_at(p + 2) * (float)min);
    for (unsigned i = 0; i < QBLOCK; i++) u->q[i] = (uint8_t)((low[i] >> 4 * (b & 1) & 15) | (five ? (high[i] >> b & 1) << 4 : 0));
}

/* Q6_K: 128 bytes of low nibbles, 64 of high pairs, 16 signed scales (of 16 inputs each), d. Halves of 128 inputs; in each, 32-block j takes nibbles
 * of bytes 32 (j % 2).. (low for j < 2) and bits 2j.. of the 32 high bytes. */
static void unpack_6k(const uint8_t *row, uint32_t block, struct unpacked *u) {
    const uint8_t *p = row + (size_t)(block / 8) * dtype_traits(DTYPE_Q6_K)->bytes;
    const unsigned half = block % 8 / 4, j = block % 4;
    const uint8_t *low = p + 64 * half + 32 * (j % 2), *high = p + 128 + 32 * half;
    const int8_t *scales = (const int8_t *)(p + 192) + 8 * half + 2 * j;
    const float d = f16_at(p + 208);
    for (unsigned i = 0; i < 2; i++) u->scale[i] = d * (float)scales[i];
    for (unsigned i = 0; i < QBLOCK; i++) u->q[i] = (uint8_t)((low[i] >> (j < 2 ? 0 : 4) & 15) | (high[i] >> 2 * j & 3) << 4);
}

static void store_q(const struct qpack_layout *l, const uint8_t q[QBLOCK], unsigned col, uint8_t *out) {
    for (unsigned i = 0; i < QBLOCK; i++) {
        const unsigned g = i / 4, at = 4 * col + i % 4;
        out[64 * (g % 4) + at] |= (uint8_t)((q[i] & 15) << (g < 4 ? 0 : 4));
        if (l->bits == 5) out[256 + at] |= (uint8_t)(q[i] >> 4 << g);
        if (l->bits == 6) out[256 + 64 * (g / 4) + at] |= (uint8_t)(q[i] >> 4 << 2 * (g % 4));
    }
}

/* Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 need no unpacking: a file's byte j holds inputs j and j + 16, which is the packed byte of group j / 4; so four bytes
 * move at a time. Only the high bits of five change places. */
static void pack_plain(enum qpack_kind k, const uint8_t *p, unsigned col, uint8_t *out, uint8_t *scales, size_t scale_bytes) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    memcpy(scales + 2 * col, p, 2);
    p += 2;
    if (l->min) memcpy(scales + scale_bytes + 2 * col, p, 2), p += 2;
    if (l->bits == 5) {
        const uint32_t high = u32_at(p);
        for (unsigned j = 0; j < 4; j++) {
            uint32_t bits = high >> j & 0x11111111u; /* one in four, gathered to the low byte */
            bits = (bits | bits >> 3) & 0x03030303u;
            bits = (bits | bits >> 6) & 0x000F000Fu;
            out[256 + 4 * col + j] = (uint8_t)(bits | bits >> 12);
        }
        p += 4;
    }
    for (unsigned g = 0; g < l->bits / 4 * 4u; g++) {
        uint32_t four;
        memcpy(&four, p + 4 * g, 4);
        if (l->bits == 8) four ^= 0x80808080u;
        memcpy(out + 64 * g + 4 * col, &four, 4);
    }
}

void qpack_panel(enum qpack_kind k, const uint8_t *const rows[QPANEL], uint32_t cols, uint8_t *out) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    const size_t bytes = qpack_block_bytes(k), scale_bytes = QPANEL * (l->f16 ? 2 : 4);
    memset(out, 0, bytes * (cols / QBLOCK));
    for (uint32_t b = 0; b < cols / QBLOCK; b++, out += bytes)
        for (unsigned col = 0; col < QPANEL; col++) {
            struct unpacked u = {.min = 0};
            if (!rows[col]) continue;
            uint8_t *scales = out + plane_bytes(l), *min = scales + scale_bytes * (l->halves ? 2 : 1);
            if (l->f16) {
                pack_plain(k, rows[col] + (size_t)b * dtype_traits(l->dtype)->bytes, col, out, scales, scale_bytes);
                continue;
            }
            if (k == QPACK_Q6_K) unpack_6k(rows[col], b, &u);
            else unpack_k(k, rows[col], b, &u);
            store_q(l, u.q, col, out);
            memcpy(scales + 4 * col, &u.scale[0], 4);
            if (l->halves) memcpy(scales + scale_bytes + 4 * col, &u.scale[1], 4);
            if (l->min) memcpy(min + 4 * col, &u.min, 4);
        }
}
