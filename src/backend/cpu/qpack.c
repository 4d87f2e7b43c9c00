#include "backend/cpu/qpack.h"

#include <string.h>

#include "tensor/half.h"

const struct qpack_layout QPACK_LAYOUTS[QPACK_COUNT] = {
    [QPACK_Q4_0] = {DTYPE_Q4_0, 4, 3, .f16 = true},
    [QPACK_Q4_1] = {DTYPE_Q4_1, 4, 0, .f16 = true, .low = QPACK_MIN},
    [QPACK_Q5_0] = {DTYPE_Q5_0, 5, 4, .f16 = true},
    [QPACK_Q5_1] = {DTYPE_Q5_1, 5, 0, .f16 = true, .low = QPACK_MIN},
    [QPACK_Q8_0] = {DTYPE_Q8_0, 8, 7, .f16 = true},
    [QPACK_Q4_K] = {DTYPE_Q4_K, 4, 0, .low = QPACK_MIN},
    [QPACK_Q5_K] = {DTYPE_Q5_K, 5, 0, .low = QPACK_MIN},
    [QPACK_Q6_K] = {DTYPE_Q6_K, 6, 5, .halves = true},
    [QPACK_Z4] = {DTYPE_COUNT, 4, 0, .f16 = true, .low = QPACK_ZERO},
    [QPACK_U8] = {DTYPE_COUNT, 8, 0, .low = QPACK_MIN},
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
    return plane_bytes(l) + QPANEL * scale * ((l->halves ? 2 : 1) + (l->low ? 1 : 0));
}

enum { GROUPS = QBLOCK / 4, AHEAD = 320 };

struct unpacked { /* 32 inputs of one output: four a word, the first in its lowest byte */
    uint32_t q[GROUPS];
    float scale[2], min;
};

static uint32_t u32_at(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }
static float f16_at(const uint8_t *p) { return f16_to_f32((uint16_t)(p[0] | p[1] << 8)); }
static void put_u32(uint8_t *p, uint32_t x) { p[0] = (uint8_t)x, p[1] = (uint8_t)(x >> 8), p[2] = (uint8_t)(x >> 16), p[3] = (uint8_t)(x >> 24); }

/* Q4_K, Q5_K: d, dmin, 8 six-bit scales and mins in 12 bytes, [32 bytes of high bits], 128 bytes of nibbles: 32-blocks 2i and 2i + 1 share 32. */
static void unpack_k(enum qpack_kind k, const uint8_t *row, uint32_t block, struct unpacked *u) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    const uint8_t *p = row + (size_t)(block / 8) * dtype_traits(l->dtype)->bytes, *s = p + 4;
    const unsigned b = block % 8, five = l->bits == 5;
    const uint8_t *high = p + 16, *low = p + 16 + (five ? 32 : 0) + 32 * (b / 2);
    const unsigned scale = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | s[b - 4] >> 6 << 4, min = b < 4 ? s[b + 4] & 63 : s[b + 4] >> 4 | s[b] >> 6 << 4;
    u->scale[0] = f16_at(p) * (float)scale;
    u->min = -(f16_at(p + 2) * (float)min);
    for (unsigned g = 0; g < GROUPS; g++) u->q[g] = (u32_at(low + 4 * g) >> 4 * (b & 1) & 0x0F0F0F0Fu) | (five ? (u32_at(high + 4 * g) >> b & 0x01010101u) << 4 : 0);
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
    for (unsigned g = 0; g < GROUPS; g++) u->q[g] = (u32_at(low + 4 * g) >> (j < 2 ? 0 : 4) & 0x0F0F0F0Fu) | (u32_at(high + 4 * g) >> 2 * j & 0x03030303u) << 4;
}

static void store_q(const struct qpack_layout *l, const uint32_t q[GROUPS], unsigned col, uint8_t *out) {
    uint32_t high[2] = {0, 0};
    for (unsigned g = 0; g < GROUPS; g++) {
        if (l->bits == 8) put_u32(out + 64 * g + 4 * col, q[g]);
        else if (g < 4) put_u32(out + 64 * g + 4 * col, (q[g] & 0x0F0F0F0Fu) | (q[g + 4] & 0x0F0F0F0Fu) << 4);
        if (l->bits == 5) high[0] |= (q[g] >> 4 & 0x01010101u) << g;
        if (l->bits == 6) high[g / 4] |= (q[g] >> 4 & 0x03030303u) << 2 * (g % 4);
    }
    for (unsigned i = 0; l->bits < 8 && i + 4 < l->bits; i++) put_u32(out + 256 + 64 * i + 4 * col, high[i]);
}

/* Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 need no unpacking: a file's byte j holds inputs j and j + 16, which is the packed byte of group j / 4; so four bytes
 * move at a time. Only the high bits of five change places. */
static void pack_plain(enum qpack_kind k, const uint8_t *p, unsigned col, uint8_t *out, uint8_t *scales) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    memcpy(scales + 2 * col, p, 2);
    p += 2;
    if (l->low) memcpy(scales + 2 * (QPANEL + col), p, 2), p += 2;
    if (l->bits == 5) {
        const uint32_t high = u32_at(p);
        uint32_t bytes = 0;
        for (unsigned j = 0; j < 4; j++) {
            uint32_t bits = high >> j & 0x11111111u; /* one in four, gathered to the low byte */
            bits = (bits | bits >> 3) & 0x03030303u;
            bits = (bits | bits >> 6) & 0x000F000Fu;
            bytes |= ((bits | bits >> 12) & 0xFFu) << 8 * j;
        }
        put_u32(out + 256 + 4 * col, bytes);
        p += 4;
    }
    const uint32_t flip = l->bits == 8 ? 0x80808080u : 0;
    for (unsigned g = 0; g < l->bits / 4 * 4u; g++) {
        uint32_t four;
        memcpy(&four, p + 4 * g, 4);
        four ^= flip;
        memcpy(out + 64 * g + 4 * col, &four, 4);
    }
}

static void pack_k(enum qpack_kind k, const uint8_t *row, uint32_t block, unsigned col, uint8_t *out, uint8_t *scales) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    struct unpacked u;
    if (k == QPACK_Q6_K) unpack_6k(row, block, &u);
    else unpack_k(k, row, block, &u);
    store_q(l, u.q, col, out);
    memcpy(scales + 4 * col, &u.scale[0], 4);
    if (l->halves) memcpy(scales + 4 * (QPANEL + col), &u.scale[1], 4);
    if (l->low) memcpy(scales + 4 * (QPANEL + col), &u.min, 4);
}

void qpack_column(enum qpack_kind k, const uint8_t q[QBLOCK], float scale, float low, unsigned col, uint8_t *block) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    uint8_t *scales = block + plane_bytes(l);
    uint32_t words[GROUPS];
    for (unsigned g = 0; g < GROUPS; g++) words[g] = u32_at(q + 4 * g);
    store_q(l, words, col, block);
    const uint16_t halves[] = {f16_from_f32(scale), f16_from_f32(low)};
    const float wholes[] = {scale, low};
    for (unsigned i = 0; i < (l->low ? 2 : 1); i++)
        if (l->f16) memcpy(scales + 2 * (i * QPANEL + col), &halves[i], 2);
        else memcpy(scales + 4 * (i * QPANEL + col), &wholes[i], 4);
}

/* A block is put together in L1 and written once: `out` is memory that nobody has touched. */
void qpack_panel(enum qpack_kind k, const uint8_t *const rows[QPANEL], uint32_t cols, uint8_t *out) {
    const struct qpack_layout *l = &QPACK_LAYOUTS[k];
    const size_t bytes = qpack_block_bytes(k), file_bytes = dtype_traits(l->dtype)->bytes;
    uint8_t block[QPACK_MOST_BYTES] = {0}; /* columns without a row stay zero */
    for (uint32_t b = 0; b < cols / QBLOCK; b++, out += bytes) {
        for (unsigned col = 0; col < QPANEL; col++) {
            if (!rows[col]) continue;
            __builtin_prefetch(rows[col] + b * file_bytes / (l->f16 ? 1 : 8) + AHEAD); /* sixteen streams are more than the processor follows by itself */
            if (l->f16) pack_plain(k, rows[col] + b * file_bytes, col, block, block + plane_bytes(l));
            else pack_k(k, rows[col], b, col, block, block + plane_bytes(l));
        }
        memcpy(out, block, bytes);
    }
}
