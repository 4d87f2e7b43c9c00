#include "tensor/dtype.h"

#include <string.h>

#include "tensor/half.h"

static const struct dtype_traits TRAITS[] = {
#define X(name, st, bits, computed) [DTYPE_##name] = {st, bits, computed},
    DTYPE_MAP(X)
#undef X
};
_Static_assert(sizeof TRAITS / sizeof *TRAITS == DTYPE_COUNT, "one row for each dtype");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE sizes");

const struct dtype_traits *dtype_traits(enum dtype t) { return &TRAITS[t]; }

bool dtype_from_name(const char *name, size_t len, enum dtype *out) {
    for (unsigned i = 0; i < DTYPE_COUNT; i++)
        if (strlen(TRAITS[i].name) == len && !memcmp(TRAITS[i].name, name, len)) {
            *out = (enum dtype)i;
            return true;
        }
    return false;
}

bool dtype_bytes(enum dtype t, uint64_t count, uint64_t *out) {
    unsigned bits = TRAITS[t].bits;
    if (count > UINT64_MAX / bits || count * bits % 8) return false;
    *out = count * bits / 8;
    return true;
}

void dtype_to_f32(enum dtype t, const void *src, float *out, size_t n) {
    const unsigned char *s = src;
    if (t == DTYPE_F32) {
        if (n) memcpy(out, src, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = (uint16_t)(s[2 * i] | s[2 * i + 1] << 8);
        out[i] = t == DTYPE_F16 ? f16_to_f32(h) : bf16_to_f32(h);
    }
}
