/* dtype.h - THE dtype table: every element type a weight file can name, once.
 *
 * A block is the smallest addressable unit: one element for plain types, 32 or 256 for quantised ones (they come with GGUF).
 * `computed` marks the types that a weight may have; the others are listed, shown and refused by name. */
#ifndef GLLM_TENSOR_DTYPE_H
#define GLLM_TENSOR_DTYPE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*    name      safetensors  bits  computed */
#define DTYPE_MAP(X)              \
    X(F32, "F32", 32, true)       \
    X(F16, "F16", 16, true)       \
    X(BF16, "BF16", 16, true)     \
    X(F64, "F64", 64, false)      \
    X(F8_E4M3, "F8_E4M3", 8, false) \
    X(F8_E5M2, "F8_E5M2", 8, false) \
    X(F8_E8M0, "F8_E8M0", 8, false) \
    X(F8_E4M3FNUZ, "F8_E4M3FNUZ", 8, false) \
    X(F8_E5M2FNUZ, "F8_E5M2FNUZ", 8, false) \
    X(F6_E2M3, "F6_E2M3", 6, false) \
    X(F6_E3M2, "F6_E3M2", 6, false) \
    X(F4, "F4", 4, false)         \
    X(C64, "C64", 64, false)      \
    X(I8, "I8", 8, false)         \
    X(I16, "I16", 16, false)      \
    X(I32, "I32", 32, false)      \
    X(I64, "I64", 64, false)      \
    X(U8, "U8", 8, false)         \
    X(U16, "U16", 16, false)      \
    X(U32, "U32", 32, false)      \
    X(U64, "U64", 64, false)      \
    X(BOOL, "BOOL", 8, false)

enum dtype {
#define X(name, st, bits, computed) DTYPE_##name,
    DTYPE_MAP(X)
#undef X
        DTYPE_COUNT
};
struct dtype_traits {
    const char *name;
    unsigned bits; /* per element */
    bool computed;
};
const struct dtype_traits *dtype_traits(enum dtype t); /* static; t < DTYPE_COUNT */
bool dtype_from_name(const char *name, size_t len, enum dtype *out); /* the safetensors spelling */
/* Bytes of `count` elements; false when the total is no whole number of bytes or overflows. */
bool dtype_bytes(enum dtype t, uint64_t count, uint64_t *out);
/* out[0..n) = src[0..n) as f32, for the computed types. src needs no alignment. */
void dtype_to_f32(enum dtype t, const void *src, float *out, size_t n);
#endif
