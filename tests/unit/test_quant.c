/* test_quant.c - every computed dtype as f32, bit for bit, from misaligned memory. Goldens: tools/make_quant_goldens.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/quant.h"

static bool same(float a, float b) { return isnan(a) ? isnan(b) : f32_bits(a) == f32_bits(b); } /* any NaN is the NaN */

static enum dtype by_name(const char *name) {
    for (unsigned t = 0; t < DTYPE_COUNT; t++)
        if (!strcmp(dtype_traits((enum dtype)t)->name, name)) return (enum dtype)t;
    fail_msg("golden of unknown dtype %s", name);
    return DTYPE_COUNT;
}

/* The exact value of sign, exponent and fraction fields, in double arithmetic. */
static float value_of(int sign, int exp, int frac, int frac_bits, int bias, int exp_max) {
    double v = exp == exp_max ? (frac ? NAN : INFINITY)
               : exp          ? ldexp((1 << frac_bits) + frac, exp - bias - frac_bits)
                              : ldexp(frac, 1 - bias - frac_bits);
    return (float)(sign ? -v : v);
}

static void test_halves(void **state) {
    (void)state;
    unsigned char buf[3] = {0};
    for (unsigned h = 0; h < 65536; h++) {
        buf[1] = (unsigned char)h, buf[2] = (unsigned char)(h >> 8);
        float f16, bf16;
        dtype_to_f32(DTYPE_F16, buf + 1, &f16, 1);
        dtype_to_f32(DTYPE_BF16, buf + 1, &bf16, 1);
        float f16_want = value_of(h >> 15, h >> 10 & 31, h & 1023, 10, 15, 31);
        float bf16_want = value_of(h >> 15, h >> 7 & 255, h & 127, 7, 127, 255);
        if (!same(f16, f16_want)) fail_msg("f16 %04x: found %a, expected %a", h, f16, f16_want);
        if (!same(bf16, bf16_want)) fail_msg("bf16 %04x: found %a, expected %a", h, bf16, bf16_want);
        if (!isnan(f16)) assert_int_equal(f16_from_f32(f16), h);
        if (!isnan(bf16)) assert_int_equal(bf16_from_f32(bf16), h);
    }
}

static void check_case(const json_t *c, const char *bin, size_t size, bool *seen) {
    const char *name = json_string_value(json_object_get(c, "dtype"));
    const size_t n = (size_t)json_number_value(json_object_get(c, "n")), at = (size_t)json_number_value(json_object_get(c, "at"));
    enum dtype t = by_name(name);
    uint64_t bytes;
    assert_true(dtype_bytes(t, n, &bytes));
    assert_true(at + bytes + 4 * n <= size);
    assert_int_equal(dtype_row_bytes(t, n), bytes);
    char *source = malloc(bytes + 1); /* exactly sized, so that a sanitizer sees a read past the end */
    float *found = malloc(n * sizeof *found), want;
    assert_true(source && found);
    memcpy(source + 1, bin + at, bytes);
    dtype_to_f32(t, source + 1, found, n);
    for (size_t i = 0; i < n; i++) {
        memcpy(&want, bin + at + bytes + 4 * i, sizeof want);
        if (!same(found[i], want)) fail_msg("%s: element %zu: found %a, expected %a", name, i, found[i], want);
    }
    free(source);
    free(found);
    seen[t] = true;
}

static void test_goldens(void **state) {
    (void)state;
    json_t *root;
    gllm_error err;
    char *bin;
    size_t size;
    assert_int_equal(json_read_file("tests/golden/quant.json", 1 << 20, &root, &err), GLLM_OK);
    assert_int_equal(file_read("tests/golden/quant.bin", 1 << 20, &bin, &size, &err), GLLM_OK);
    bool seen[DTYPE_COUNT] = {[DTYPE_F16] = true, [DTYPE_BF16] = true}; /* test_halves has them all */
    const json_t *cases = json_object_get(root, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) check_case(json_array_get(cases, i), bin, size, seen);
    for (unsigned t = 0; t < DTYPE_COUNT; t++)
        if (seen[t] != dtype_traits((enum dtype)t)->computed) fail_msg("%s: %s golden", dtype_traits((enum dtype)t)->name, seen[t] ? "unexpected" : "no");
    free(bin);
    json_decref(root);
}

static void test_table(void **state) {
    (void)state;
    enum dtype t;
    uint64_t bytes = 7;
    assert_int_equal(DTYPE_F32, 0), assert_int_equal(DTYPE_F16, 1), assert_int_equal(DTYPE_BF16, 2);
    for (unsigned i = 0; i < DTYPE_COUNT; i++) {
        const struct dtype_traits *d = dtype_traits((enum dtype)i);
        if (d->safetensors) assert_true(dtype_from_name(d->safetensors, strlen(d->safetensors), &t) && t == i);
        else assert_false(dtype_from_name(d->name, strlen(d->name), &t));
        if (d->ggml >= 0) assert_true(dtype_from_ggml((uint32_t)d->ggml, &t) && t == i);
        assert_int_equal(quant_decoder((enum dtype)i) != NULL, d->computed && dtype_is_quantised((enum dtype)i));
        assert_true(dtype_bytes((enum dtype)i, 3 * (uint64_t)d->block, &bytes) && bytes == 3 * (uint64_t)d->bytes);
        if (d->block > 1) assert_false(dtype_bytes((enum dtype)i, d->block + 1, &bytes));
        assert_true(dtype_bytes((enum dtype)i, 0, &bytes) && bytes == 0);
    }
    assert_false(dtype_from_ggml(4, &t)); /* Q4_2, gone */
    assert_false(dtype_from_ggml(UINT32_MAX, &t));
    assert_false(dtype_bytes(DTYPE_F64, UINT64_MAX / 8 + 1, &bytes));
    assert_true(dtype_bytes(DTYPE_F6_E2M3, 8, &bytes) && bytes == 6);
    assert_true(dtype_is_weight(DTYPE_F64) && dtype_is_weight(DTYPE_Q4_0) && !dtype_is_weight(DTYPE_I8) && !dtype_is_weight(DTYPE_BOOL) && !dtype_is_weight(DTYPE_Q8_1));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_halves), cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
