#include "tensor/dtype.h"

#include <string.h>

#include "tensor/half.h"
#include "tensor/quant.h"

enum { PLAIN_BLOCK_MAX = 4 };
static const struct dtype_traits TRAITS[] = {
#define X(name, st, block, bytes, ggml, computed) \
    [DTYPE_##name] = {#name, st, block, bytes, (block) <= PLAIN_BLOCK_MAX ? 8 * (bytes) / (block) : 0, ggml, computed},
    DTYPE_MAP(X)
#undef X
};
_Static_assert(sizeof TRAITS / sizeof *TRAITS == DTYPE_COUNT, "one row for each dtype");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE sizes");

const struct dtype_traits *dtype_traits(enum dtype t) { return &TRAITS[t]; }

bool dtype_from_name(const char *name, size_t len, enum dtype *out) {
    for (unsigned i = 0; i < DTYPE_COUNT; i++) {
        const char *known = TRAITS[i].safetensors;
        if (!known || strlen(known) != len || memcmp(known, name, len)) continue;
        *out = (enum dtype)i;
        return true;
    }
    return false;
}

bool dtype_from_ggml(uint32_t type, enum dtype *out) {
    for (unsigned i = 0; i < DTYPE_COUNT; i++) {
        if (TRAITS[i].ggml < 0 || (uint32_t)TRAITS[i].ggml != type) continue;
        *out = (enum dtype)i;
        return true;
    }
    return false;
}

bool dtype_is_weight(enum dtype t) { return (unsigned)t < DTYPE_COUNT && TRAITS[t].computed && !(t >= DTYPE_I8 && t <= DTYPE_BOOL); }
bool dtype_is_quantised(enum dtype t) { return TRAITS[t].bits == 0; }

bool dtype_bytes(enum dtype t, uint64_t count, uint64_t *out) {
    const struct dtype_traits *d = &TRAITS[t];
    if (count % d->block || count / d->block > UINT64_MAX / d->bytes) return false;
    *out = count / d->block * d->bytes;
    return true;
}

size_t dtype_row_bytes(enum dtype t, size_t cols) { return cols / TRAITS[t].block * TRAITS[t].bytes; }

static uint64_t load(const unsigned char *p, unsigned n) { /* n bytes, little-endian */
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}
static int64_t load_signed(const unsigned char *p, unsigned n) { /* two's complement, widened */
    const uint64_t sign = (uint64_t)1 << (8 * n - 1);
    return (int64_t)((load(p, n) ^ sign) - sign);
}

/*  F8_E4M3   s eeee mmm   bias 7; no infinity, and s 1111 111 is the only NaN
 *  F8_E5M2   s eeeee mm   the upper half of an f16 */
static inline float f8_e4m3_to_f32(uint8_t b) { /* without branches, so that a row of them is done in vectors */
    const int32_t mag = b & 0x7F;
    const uint32_t sign = (uint32_t)(b & 0x80) << 24, normal = (uint32_t)(mag + (120 << 3)) << 20;
    uint32_t bits = mag < 8 ? f32_bits((float)mag * 0x1p-9f) : normal; /* subnormal: frac * 2^-9, exact */
    bits = mag == 0x7F ? 0x7FC00000u : bits;
    return f32_from_bits(sign | bits);
}
static inline float f8_e5m2_to_f32(uint8_t b) { /* likewise; infinities and NaN as in f16 */
    const int32_t mag = b & 0x7F;
    const uint32_t sign = (uint32_t)(b & 0x80) << 24, normal = (uint32_t)(mag + (112 << 2)) << 21, special = 0x7F800000u | (uint32_t)(mag & 3) << 21 | (mag & 3 ? 0x400000u : 0);
    uint32_t bits = mag < 4 ? f32_bits((float)mag * 0x1p-16f) : normal;
    bits = mag >= 0x7C ? special : bits;
    return f32_from_bits(sign | bits);
}
static float f64_to_f32(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return (float)d;
}

static void plain_to_f32(enum dtype t, const unsigned char *s, float *out, size_t n) {
#define EACH(value)                        \
    for (size_t i = 0; i < n; i++) out[i] = (value); \
    break
    switch (t) {
    case DTYPE_F16: EACH(f16_to_f32((uint16_t)load(s + 2 * i, 2)));
    case DTYPE_BF16: EACH(bf16_to_f32((uint16_t)load(s + 2 * i, 2)));
    case DTYPE_F64: EACH(f64_to_f32(load(s + 8 * i, 8)));
    case DTYPE_F8_E4M3: EACH(f8_e4m3_to_f32(s[i]));
    case DTYPE_F8_E5M2: EACH(f8_e5m2_to_f32(s[i]));
    case DTYPE_I8: EACH((float)load_signed(s + i, 1));
    case DTYPE_I16: EACH((float)load_signed(s + 2 * i, 2));
    case DTYPE_I32: EACH((float)load_signed(s + 4 * i, 4));
    case DTYPE_I64: EACH((float)load_signed(s + 8 * i, 8));
    default: break; /* not computed */
    }
#undef EACH
}

void dtype_to_f32(enum dtype t, const void *src, float *out, size_t n) {
    const unsigned char *s = src;
    quant_block *decode = quant_decoder(t);
    if (t == DTYPE_F32) {
        if (n) memcpy(out, src, n * sizeof *out);
    } else if (decode) {
        const size_t block = TRAITS[t].block, bytes = TRAITS[t].bytes;
        for (size_t i = 0; i < n / block; i++) decode(s + i * bytes, out + i * block);
    } else plain_to_f32(t, s, out, n);
}
