/* test_dtype.c - the dtype table against the sizes that the safetensors and GGUF specifications give, and the plain conversions: the 8-bit
 * ones whole, the others at their edges. The quantised ones are in test_quant.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

/* Bits of an element, from the safetensors crate's Dtype::bitsize. */
static const struct {
    const char *name;
    unsigned bits;
} SAFETENSORS[] = {{"BOOL", 8}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8}, {"I8", 8}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
                   {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32}, {"U32", 32}, {"F32", 32}, {"C64", 64}, {"F64", 64}, {"I64", 64}, {"U64", 64}};
/* Type number, elements and bytes of a block, from gguf-py's GGML_QUANT_SIZES; Q8_1 from ggml's block_q8_1. */
static const struct {
    const char *name;
    unsigned type, block, bytes;
} GGML[] = {{"F32", 0, 1, 4}, {"F16", 1, 1, 2}, {"Q4_0", 2, 32, 18}, {"Q4_1", 3, 32, 20}, {"Q5_0", 6, 32, 22}, {"Q5_1", 7, 32, 24}, {"Q8_0", 8, 32, 34}, {"Q8_1", 9, 32, 36},
            {"Q2_K", 10, 256, 84}, {"Q3_K", 11, 256, 110}, {"Q4_K", 12, 256, 144}, {"Q5_K", 13, 256, 176}, {"Q6_K", 14, 256, 210}, {"Q8_K", 15, 256, 292}, {"IQ2_XXS", 16, 256, 66},
            {"IQ2_XS", 17, 256, 74}, {"IQ3_XXS", 18, 256, 98}, {"IQ1_S", 19, 256, 50}, {"IQ4_NL", 20, 32, 18}, {"IQ3_S", 21, 256, 110}, {"IQ2_S", 22, 256, 82}, {"IQ4_XS", 23, 256, 136},
            {"I8", 24, 1, 1}, {"I16", 25, 1, 2}, {"I32", 26, 1, 4}, {"I64", 27, 1, 8}, {"F64", 28, 1, 8}, {"IQ1_M", 29, 256, 56}, {"BF16", 30, 1, 2}, {"TQ1_0", 34, 256, 54},
            {"TQ2_0", 35, 256, 66}, {"MXFP4", 39, 32, 17}};
enum { N_SAFETENSORS = sizeof SAFETENSORS / sizeof *SAFETENSORS, N_GGML = sizeof GGML / sizeof *GGML };

static void test_table(void **state) {
    (void)state;
    enum dtype t;
    unsigned named = 0, typed = 0;
    for (unsigned i = 0; i < N_SAFETENSORS; i++) {
        assert_true(dtype_from_name(SAFETENSORS[i].name, strlen(SAFETENSORS[i].name), &t));
        assert_string_equal(dtype_traits(t)->name, SAFETENSORS[i].name);
        assert_int_equal(dtype_traits(t)->bits, SAFETENSORS[i].bits);
        assert_int_equal(dtype_traits(t)->bytes * 8, SAFETENSORS[i].bits * dtype_traits(t)->block);
        assert_false(dtype_is_quantised(t));
    }
    for (unsigned i = 0; i < N_GGML; i++) {
        assert_true(dtype_from_ggml(GGML[i].type, &t));
        assert_string_equal(dtype_traits(t)->name, GGML[i].name);
        assert_int_equal(dtype_traits(t)->block, GGML[i].block);
        assert_int_equal(dtype_traits(t)->bytes, GGML[i].bytes);
        assert_int_equal(dtype_is_quantised(t), GGML[i].block > 1);
    }
    for (unsigned i = 0; i < DTYPE_COUNT; i++) named += dtype_traits((enum dtype)i)->safetensors != NULL, typed += dtype_traits((enum dtype)i)->ggml >= 0;
    assert_int_equal(named, N_SAFETENSORS);
    assert_int_equal(typed, N_GGML);
    t = DTYPE_F32;
    assert_false(dtype_from_name("F3", 2, &t) || dtype_from_name("F322", 4, &t) || dtype_from_name("Q4_0", 4, &t) || dtype_from_name("", 0, &t));
    assert_false(dtype_from_ggml(4, &t) || dtype_from_ggml(36, &t) || dtype_from_ggml(UINT32_MAX, &t)); /* 4, 5, 36 … were taken back */
    assert_int_equal(t, DTYPE_F32);
}

static void test_kinds(void **state) {
    (void)state;
    static const enum dtype WEIGHTS[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_F8_E4M3, DTYPE_F8_E5M2, DTYPE_Q4_0, DTYPE_Q6_K, DTYPE_MXFP4};
    static const enum dtype OTHERS[] = {DTYPE_I8, DTYPE_I64, DTYPE_U8, DTYPE_BOOL, DTYPE_C64, DTYPE_F4, DTYPE_F8_E8M0, DTYPE_Q8_1, DTYPE_Q8_K};
    for (unsigned i = 0; i < sizeof WEIGHTS / sizeof *WEIGHTS; i++) assert_true(dtype_is_weight(WEIGHTS[i]));
    for (unsigned i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) assert_false(dtype_is_weight(OTHERS[i]));
    assert_false(dtype_is_weight(DTYPE_COUNT));
}

static void test_bytes(void **state) {
    (void)state;
    uint64_t n = 5;
    assert_true(dtype_bytes(DTYPE_F16, 3, &n) && n == 6);
    assert_true(dtype_bytes(DTYPE_F4, 6, &n) && n == 3);
    assert_true(dtype_bytes(DTYPE_F6_E2M3, 8, &n) && n == 6);
    assert_true(dtype_bytes(DTYPE_Q4_K, 512, &n) && n == 288);
    assert_true(dtype_bytes(DTYPE_F64, 0, &n) && n == 0);
    assert_true(dtype_bytes(DTYPE_F32, UINT64_MAX / 4, &n) && n == UINT64_MAX - 3);
    n = 5;
    assert_false(dtype_bytes(DTYPE_F32, UINT64_MAX / 4 + 1, &n) || dtype_bytes(DTYPE_F4, 3, &n) || dtype_bytes(DTYPE_Q4_0, 33, &n) || dtype_bytes(DTYPE_F6_E3M2, 6, &n));
    assert_true(n == 5);
    assert_int_equal(dtype_row_bytes(DTYPE_Q8_0, 96), 102);
    assert_int_equal(dtype_row_bytes(DTYPE_BF16, 7), 14);
}

/* sign, exponent and fraction as the formats define them; an exponent of all ones is special in E5M2 alone. */
static double f8_value(unsigned b, int n_exp, int n_frac, bool ieee) {
    const int bias = (1 << (n_exp - 1)) - 1, exp = (int)(b >> n_frac) & ((1 << n_exp) - 1), frac = (int)b & ((1 << n_frac) - 1), last = (1 << n_exp) - 1;
    const double sign = b & 0x80 ? -1 : 1;
    if (ieee && exp == last) return frac ? NAN : sign * INFINITY;
    if (!ieee && exp == last && frac == (1 << n_frac) - 1) return NAN;
    return sign * (exp ? ldexp(1 + ldexp(frac, -n_frac), exp - bias) : ldexp(frac, 1 - bias - n_frac));
}

static void test_f8(void **state) {
    (void)state;
    uint8_t all[256];
    float e4m3[256], e5m2[256], i8[256];
    for (unsigned b = 0; b < 256; b++) all[b] = (uint8_t)b;
    dtype_to_f32(DTYPE_F8_E4M3, all, e4m3, 256);
    dtype_to_f32(DTYPE_F8_E5M2, all, e5m2, 256);
    dtype_to_f32(DTYPE_I8, all, i8, 256);
    for (unsigned b = 0; b < 256; b++) {
        const double a = f8_value(b, 4, 3, false), c = f8_value(b, 5, 2, true);
        if (isnan(a) ? !isnan(e4m3[b]) : (double)e4m3[b] != a || !!signbit(e4m3[b]) != (int)(b >> 7)) fail_msg("F8_E4M3 %02x: found %g, expected %g", b, (double)e4m3[b], a);
        if (isnan(c) ? !isnan(e5m2[b]) : (double)e5m2[b] != c || !!signbit(e5m2[b]) != (int)(b >> 7)) fail_msg("F8_E5M2 %02x: found %g, expected %g", b, (double)e5m2[b], c);
        assert_true(i8[b] == (float)(b < 128 ? (int)b : (int)b - 256));
    }
    assert_true(e4m3[0x7E] == 448 && e5m2[0x7B] == 57344); /* their largest */
}

static void test_wide(void **state) {
    (void)state;
    static const int16_t I16[] = {0, 1, -1, 32767, -32768, 258};
    static const int32_t I32[] = {0, -1, 2147483647, (-2147483647 - 1), 16777217, 16777219}; /* the last two round to even */
    static const float I32_F[] = {0, -1, 2147483648.f, -2147483648.f, 16777216.f, 16777220.f};
    static const int64_t I64[] = {0, -1, INT64_MAX, INT64_MIN, (1ll << 40) + 1};
    static const float I64_F[] = {0, -1, 9223372036854775808.f, -9223372036854775808.f, 1099511627776.f};
    static const double F64[] = {0.1, -0.0, 1e300, -1e300, 1e-60, 3.4028234663852886e38, DBL_TRUE_MIN};
    static const float F64_F[] = {0.1f, -0.f, INFINITY, -INFINITY, 0, FLT_MAX, 0};
    static const float F32[] = {1.5f, -0.f, FLT_MAX, FLT_TRUE_MIN};
    unsigned char odd[128] = {0}; /* one byte beside any alignment */
    float out[8];
#define CHECK(type, in, expected)                                                  \
    memcpy(odd + 1, in, sizeof in);                                                \
    dtype_to_f32(type, odd + 1, out, sizeof in / sizeof *in);                      \
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) assert_true(out[i] == (float)(expected) && signbit(out[i]) == signbit((float)(expected)))
    CHECK(DTYPE_I16, I16, I16[i]);
    CHECK(DTYPE_I32, I32, I32_F[i]);
    CHECK(DTYPE_I64, I64, I64_F[i]);
    CHECK(DTYPE_F64, F64, F64_F[i]);
    CHECK(DTYPE_F32, F32, F32[i]);
#undef CHECK
    dtype_to_f32(DTYPE_F32, NULL, NULL, 0);
}

static void test_tensor(void **state) {
    (void)state;
    struct tensor t = {.shape = {384, 1536, 2}, .rank = 3};
    char buf[32];
    assert_int_equal(tensor_count(&t), 384 * 1536 * 2);
    assert_string_equal(tensor_shape_text(t.shape, 3, buf, sizeof buf), "[384,1536,2]");
    assert_string_equal(tensor_shape_text(t.shape, 1, buf, sizeof buf), "[384]");
    assert_string_equal(tensor_shape_text(t.shape, 0, buf, sizeof buf), "[]");
    assert_string_equal(tensor_shape_text(t.shape, 3, buf, 7), "[384,1"); /* cut, not overrun */
    t.rank = 0;
    assert_int_equal(tensor_count(&t), 1); /* a scalar */
    t.rank = 2, t.shape[1] = 0;
    assert_int_equal(tensor_count(&t), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_kinds), cmocka_unit_test(test_bytes), cmocka_unit_test(test_f8), cmocka_unit_test(test_wide), cmocka_unit_test(test_tensor)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
