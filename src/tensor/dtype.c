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
static float f8_e4m3_to_f32(uint8_t b) {
    const uint32_t sign = (uint32_t)(b & 0x80) << 24, exp = b >> 3 & 0xF, frac = b & 7;
    if ((b & 0x7F) == 0x7F) return f32_from_bits(sign | 0x7FC00000u);
    if (exp) return f32_from_bits(sign | (exp + 120) << 23 | frac << 20);
    const float v = (float)frac * 0x1p-9f; /* subnormal: frac * 2^-9, exact */
    return sign ? -v : v;
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
    case DTYPE_F8_E5M2: EACH(f16_to_f32((uint16_t)(s[i] << 8)));
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
