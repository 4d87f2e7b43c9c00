/* dtype.h - THE dtype table: every element type that a weight file can name, once.
 *
 * A block is the smallest addressable unit: one element for most plain types (2 or 4 for those below a byte), 32 or more
 * for the quantised ones of GGUF, whose layouts stand in quant.c, quant_k.c and quant_iq.c.
 * `computed` marks the types that dtype_to_f32 reads; the others are listed, shown and refused by name. */
#ifndef GLLM_TENSOR_DTYPE_H
#define GLLM_TENSOR_DTYPE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: also what is shown; safetensors: its spelling there, or NULL; block: elements; bytes: of a block; ggml: the type
 * number in GGUF, or -1. Q8_1 and Q8_K are GGML's formats for activations; no file holds weights in them. */
/*    name         safetensors   block bytes ggml computed */
#define DTYPE_MAP(X)                                          \
    X(F32,         "F32",           1,   4,   0,  true)       \
    X(F16,         "F16",           1,   2,   1,  true)       \
    X(BF16,        "BF16",          1,   2,  30,  true)       \
    X(F64,         "F64",           1,   8,  28,  true)       \
    X(F8_E4M3,     "F8_E4M3",       1,   1,  -1,  true)       \
    X(F8_E5M2,     "F8_E5M2",       1,   1,  -1,  true)       \
    X(F8_E8M0,     "F8_E8M0",       1,   1,  -1,  false)      \
    X(F8_E4M3FNUZ, "F8_E4M3FNUZ",   1,   1,  -1,  false)      \
    X(F8_E5M2FNUZ, "F8_E5M2FNUZ",   1,   1,  -1,  false)      \
    X(F6_E2M3,     "F6_E2M3",       4,   3,  -1,  false)      \
    X(F6_E3M2,     "F6_E3M2",       4,   3,  -1,  false)      \
    X(F4,          "F4",            2,   1,  -1,  false)      \
    X(C64,         "C64",           1,   8,  -1,  false)      \
    X(I8,          "I8",            1,   1,  24,  true)       \
    X(I16,         "I16",           1,   2,  25,  true)       \
    X(I32,         "I32",           1,   4,  26,  true)       \
    X(I64,         "I64",           1,   8,  27,  true)       \
    X(U8,          "U8",            1,   1,  -1,  false)      \
    X(U16,         "U16",           1,   2,  -1,  false)      \
    X(U32,         "U32",           1,   4,  -1,  false)      \
    X(U64,         "U64",           1,   8,  -1,  false)      \
    X(BOOL,        "BOOL",          1,   1,  -1,  false)      \
    X(Q4_0,        NULL,           32,  18,   2,  true)       \
    X(Q4_1,        NULL,           32,  20,   3,  true)       \
    X(Q5_0,        NULL,           32,  22,   6,  true)       \
    X(Q5_1,        NULL,           32,  24,   7,  true)       \
    X(Q8_0,        NULL,           32,  34,   8,  true)       \
    X(Q8_1,        NULL,           32,  36,   9,  false)      \
    X(Q2_K,        NULL,          256,  84,  10,  true)       \
    X(Q3_K,        NULL,          256, 110,  11,  true)       \
    X(Q4_K,        NULL,          256, 144,  12,  true)       \
    X(Q5_K,        NULL,          256, 176,  13,  true)       \
    X(Q6_K,        NULL,          256, 210,  14,  true)       \
    X(Q8_K,        NULL,          256, 292,  15,  false)      \
    X(IQ1_S,       NULL,          256,  50,  19,  true)       \
    X(IQ1_M,       NULL,          256,  56,  29,  true)       \
    X(IQ2_XXS,     NULL,          256,  66,  16,  true)       \
    X(IQ2_XS,      NULL,          256,  74,  17,  true)       \
    X(IQ2_S,       NULL,          256,  82,  22,  true)       \
    X(IQ3_XXS,     NULL,          256,  98,  18,  true)       \
    X(IQ3_S,       NULL,          256, 110,  21,  true)       \
    X(IQ4_NL,      NULL,           32,  18,  20,  true)       \
    X(IQ4_XS,      NULL,          256, 136,  23,  true)       \
    X(TQ1_0,       NULL,          256,  54,  34,  true)       \
    X(TQ2_0,       NULL,          256,  66,  35,  true)       \
    X(MXFP4,       NULL,           32,  17,  39,  true)

enum dtype {
#define X(name, st, block, bytes, ggml, computed) DTYPE_##name,
    DTYPE_MAP(X)
#undef X
        DTYPE_COUNT
};
struct dtype_traits {
    const char *name, *safetensors; /* safetensors NULL: no such type there */
    unsigned block, bytes;          /* elements in a block, its bytes */
    unsigned bits;                  /* of an element of a plain type; 0 for quantised ones */
    int ggml;                       /* -1: no such type in GGUF */
    bool computed;
};
const struct dtype_traits *dtype_traits(enum dtype t); /* static; t < DTYPE_COUNT */
bool dtype_from_name(const char *name, size_t len, enum dtype *out); /* the safetensors spelling */
bool dtype_from_ggml(uint32_t type, enum dtype *out);                /* the GGUF type number */
bool dtype_is_quantised(enum dtype t);                               /* Q4_0 and after */
bool dtype_is_weight(enum dtype t);                                  /* computed, and no integer type: what parameters may have */
/* Bytes of `count` elements; false when they are no whole number of blocks or the total overflows. */
bool dtype_bytes(enum dtype t, uint64_t count, uint64_t *out);
/* Bytes of a row of `cols` elements, which are whole blocks (the caller has checked them with dtype_bytes). */
size_t dtype_row_bytes(enum dtype t, size_t cols);
/* out[0..n) = src[0..n) as f32, for the computed types; n is a multiple of the block. src needs no alignment.
 * Exact but for F64, I32 and I64, which round to nearest; quantised types round as gguf-py does, bit for bit. */
void dtype_to_f32(enum dtype t, const void *src, float *out, size_t n);
#endif
