/* test_half.c - f16 and bf16: every value widened as the definition says; narrowing against rounding done in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "tensor/half.h"

/* sign, exponent and fraction bits as IEEE 754 defines their value; n_exp exponent bits above n_frac fraction bits. */
static double value_of(uint32_t bits, int n_exp, int n_frac) {
    const int bias = (1 << (n_exp - 1)) - 1, exp = (int)(bits >> n_frac) & ((1 << n_exp) - 1), frac = (int)(bits & ((1u << n_frac) - 1));
    const double sign = bits >> (n_exp + n_frac) & 1 ? -1 : 1;
    if (exp == (1 << n_exp) - 1) return frac ? NAN : sign * INFINITY;
    return sign * (exp ? ldexp(1 + ldexp(frac, -n_frac), exp - bias) : ldexp(frac, 1 - bias - n_frac));
}

/* The bits of the nearest value, ties to the even fraction, by rounding a whole number of units in the last place in double. */
static uint32_t nearest(float f, int n_exp, int n_frac) {
    const int bias = (1 << (n_exp - 1)) - 1, least = 1 - bias;
    const uint32_t sign = signbit(f) ? 1u << (n_exp + n_frac) : 0, infinite = (uint32_t)((1 << n_exp) - 1) << n_frac;
    const double a = fabs((double)f);
    if (isinf(f)) return sign | infinite;
    int exp = a > 0 ? ilogb(a) : least;
    if (exp < least) exp = least;
    double units = nearbyint(ldexp(a, n_frac - exp)); /* the default mode: ties to even */
    if (units == ldexp(2, n_frac)) units /= 2, exp++;
    if (exp > bias) return sign | infinite;
    if (units < ldexp(1, n_frac)) return sign | (uint32_t)units; /* subnormal */
    return sign | (uint32_t)(exp + bias) << n_frac | ((uint32_t)units & ((1u << n_frac) - 1));
}

static void test_widen(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const double f16 = value_of(h, 5, 10), bf16 = value_of(h, 8, 7);
        const float a = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        if (isnan(f16) ? !isnan(a) || !(f32_bits(a) & 0x400000) : (double)a != f16 || !!signbit(a) != (int)(h >> 15)) fail_msg("f16 %04x: found %g, expected %g", h, (double)a, f16);
        if (isnan(bf16) ? !isnan(b) : (double)b != bf16 || !!signbit(b) != (int)(h >> 15)) fail_msg("bf16 %04x: found %g, expected %g", h, (double)b, bf16);
    }
}

static void check_narrow(uint32_t bits) {
    const float f = f32_from_bits(bits);
    const uint16_t a = f16_from_f32(f), b = bf16_from_f32(f);
    if (isnan(f)) { /* a quiet NaN of the same sign */
        if ((a & 0x7E00) != 0x7E00 || (b & 0x7FC0) != 0x7FC0 || (a ^ b) & 0x8000 || (b >> 15) != (bits >> 31)) fail_msg("NaN %08x became %04x and %04x", bits, a, b);
        return;
    }
    if (a != nearest(f, 5, 10)) fail_msg("%08x (%g) to f16: found %04x, expected %04x", bits, (double)f, a, nearest(f, 5, 10));
    if (b != nearest(f, 8, 7)) fail_msg("%08x (%g) to bf16: found %04x, expected %04x", bits, (double)f, b, nearest(f, 8, 7));
}

static void test_narrow(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++)
        for (int step = -1; step <= 1; step++) { /* each value, the middle to its neighbour, and what lies beside both */
            if (!isnan(f16_to_f32((uint16_t)h))) {
                check_narrow(f32_bits(f16_to_f32((uint16_t)h)) + (uint32_t)step);
                check_narrow(f32_bits(f16_to_f32((uint16_t)h)) + 0x1000 + (uint32_t)step);
            }
            check_narrow((h << 16) + (uint32_t)step);
            check_narrow((h << 16) + 0x8000 + (uint32_t)step);
        }
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4093) check_narrow((uint32_t)bits); /* and a million everywhere */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_widen), cmocka_unit_test(test_narrow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
