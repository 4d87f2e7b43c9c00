/* test_quant_ops.c - linear and embed with weights of every block format: exact against the reference; by default, where the level has int8
 * kernels, against the same sums with activations rounded to 8 bits in blocks of 16. A row gives the same bits alone and in any batch. */
#include "ops/weight_ops.h"

#include "backend/cpu/kernels.h"
#include "tensor/quant.h"

static struct target targets[MAX_TARGETS];
static size_t n_targets;
static const uint32_t SHAPES[][3] = {{1, 256, 16}, {3, 512, 33}, {13, 256, 64}, {40, 768, 50}, {129, 256, 17}}; /* rows, k, n */
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, ODD = 3, MAX_BLOCK = 256 };

/* Random blocks whose values are finite and not huge; any bits are a block, most exponents of a scale are far off. */
static uint8_t *random_rows(enum dtype t, uint32_t rows, uint32_t cols, uint64_t seed) {
    const struct dtype_traits *d = dtype_traits(t);
    uint8_t *data = malloc(ODD + rows * dtype_row_bytes(t, cols)), *at = data + ODD;
    float values[MAX_BLOCK];
    assert_true(data && d->block <= MAX_BLOCK);
    for (uint64_t b = 0; b < (uint64_t)rows * cols / d->block; b++, at += d->bytes)
        for (bool fine = false; !fine;) {
            for (unsigned i = 0; i < d->bytes; i++) at[i] = (uint8_t)rng_next(&seed);
            dtype_to_f32(t, at, values, d->block);
            double top = 0;
            for (unsigned i = 0; i < d->block; i++) top = fmax(top, isfinite(values[i]) ? fabs((double)values[i]) : INFINITY);
            fine = top < 64 && top > 1e-3;
        }
    return data;
}

static void check_type(enum dtype type, bool exact, size_t t, double *worst_int8) {
    for (unsigned s = 0; s < N_SHAPES; s++) {
        const uint32_t rows = SHAPES[s][0], k = SHAPES[s][1], n = SHAPES[s][2];
        uint8_t *data = random_rows(type, n, k, 77 + s);
        float *wide = malloc((size_t)n * k * sizeof *wide), *x = malloc(2 * (size_t)rows * k * sizeof *x), *y = malloc(2 * (size_t)rows * n * sizeof *y), *xr = x + (size_t)rows * k;
        uint64_t rng = 5 + s;
        struct backend *be;
        assert_true(wide && x && y);
        dtype_to_f32(type, data + ODD, wide, (size_t)n * k);
        for (size_t i = 0; i < (size_t)rows * k; i++) x[i] = rng_unit(&rng);
        rounded(x, (size_t)rows * k, xr);
        OK(targets[t].ops->open(&be, &(struct backend_options){.threads = 2, .isa = targets[t].isa, .precision = exact ? GLLM_PRECISION_F32 : GLLM_PRECISION_AUTO}, err));
        struct weight *w = prepare(be, WEIGHT_MATRIX, &(struct weight_part){.data = data + ODD, .dtype = type, .rows = n}, 1, k);
        run_op(be, w, x, rows, y);
        const double plain = off_by(y, wide, x, rows, k, n), int8 = exact ? 1 : off_by(y, wide, xr, rows, k, n);
        if (!(plain <= 1e-6 || int8 <= 1e-6)) fail_msg("%s%s: %s [%u,%u] x [%u,%u]: off by %g, by %g with rounded activations", targets[t].name, exact ? " exact" : "", dtype_traits(type)->name, rows, k, n, k, plain, int8);
        if (plain > 1e-6) *worst_int8 = fmax(*worst_int8, int8);
        run_op(be, w, x + (size_t)(rows - 1) * k, 1, y + (size_t)rows * n);
        if (memcmp(y + (size_t)(rows - 1) * n, y + (size_t)rows * n, n * sizeof *y)) fail_msg("%s: %s: a row has other bits alone", targets[t].name, dtype_traits(type)->name);
        be->ops->weight_free(be, w);
        be->ops->close(be);
        free(data), free(wide), free(x), free(y);
    }
}

static void test_linear(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (int type = 0; type < DTYPE_COUNT; type++) {
            double worst = 0;
            if (!dtype_is_weight((enum dtype)type) || !dtype_is_quantised((enum dtype)type)) continue;
            check_type((enum dtype)type, false, t, &worst);
            check_type((enum dtype)type, true, t, &worst);
            if (worst > 0) print_message("%s %s: int8 sums within %.1e\n", targets[t].name, dtype_traits((enum dtype)type)->name, worst);
        }
}

/* q, k and v of three formats in one matrix, one of them plain: whatever form the backend takes. */
static void test_stacked(void **state) {
    (void)state;
    static const enum dtype MIXES[][3] = {{DTYPE_Q4_K, DTYPE_Q6_K, DTYPE_Q8_0}, {DTYPE_Q5_0, DTYPE_F16, DTYPE_Q4_1}, {DTYPE_IQ4_XS, DTYPE_Q4_0, DTYPE_F32}};
    static const uint32_t ROWS[][3] = {{32, 16, 16}, {17, 3, 28}};
    const uint32_t k = 256;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned m = 0; m < 6; m++) {
            struct weight_part parts[3];
            uint8_t *data[3];
            float *wide = malloc(64 * k * sizeof *wide), x[4 * 256], xr[4 * 256], y[4 * 64];
            uint32_t n = 0;
            uint64_t rng = m;
            struct backend *be;
            assert_non_null(wide);
            for (unsigned i = 0; i < 3; i++) {
                const enum dtype type = MIXES[m % 3][i];
                const uint32_t rows = ROWS[m / 3][i];
                data[i] = random_rows(type, rows, k, 3 + i);
                parts[i] = (struct weight_part){.data = data[i] + ODD, .dtype = type, .rows = rows};
                dtype_to_f32(type, data[i] + ODD, wide + (size_t)n * k, (size_t)rows * k);
                n += rows;
            }
            for (unsigned i = 0; i < 4 * k; i++) x[i] = rng_unit(&rng);
            rounded(x, 4 * k, xr);
            OK(target_open(&targets[t], 2, &be, err));
            struct weight *w = prepare(be, WEIGHT_MATRIX, parts, 3, k);
            run_op(be, w, x, 4, y);
            assert_true(off_by(y, wide, x, 4, k, n) <= 1e-6 || off_by(y, wide, xr, 4, k, n) <= 1e-6);
            be->ops->weight_free(be, w);
            be->ops->close(be);
            for (unsigned i = 0; i < 3; i++) free(data[i]);
            free(wide);
        }
}

static void test_refusals(void **state) {
    (void)state;
    uint8_t data[64] = {0};
    struct backend *be;
    struct weight *w;
    gllm_error e;
    OK(target_open(&targets[0], 1, &be, err));
    struct weight_desc d = {.name = "blk.0.w", .role = WEIGHT_MATRIX, .cols = 48, .n_parts = 1, .parts = {{.data = data, .dtype = DTYPE_Q4_0, .rows = 1}}};
    assert_int_equal(be->ops->weight_prepare(be, &d, &w, &e), GLLM_INVALID);
    assert_string_equal(e.message, "blk.0.w: part 0 has rows of 48 values, Q4_0 needs a multiple of 32");
    be->ops->close(be);
}

/* Activations so small that 127 / their largest is infinite become zeros, not numbers of either sign. */
static void test_tiny_activations(void **state) {
    (void)state;
    static const char *const ISAS[] = {"avx2", "avx512", "avx512_vnni"};
    static const float TINY[] = {1e-38f, -3e-37f, 1e-45f, 9e-37f};
    for (unsigned i = 0; i < sizeof ISAS / sizeof *ISAS; i++) {
        const struct cpu_kernels *k;
        struct cpu_qact a;
        float x[QBLOCK];
        if (cpu_kernels_choose(ISAS[i], &k, NULL) != GLLM_OK || !k->quantise) continue;
        for (unsigned t = 0; t < sizeof TINY / sizeof *TINY; t++) {
            for (unsigned j = 0; j < QBLOCK; j++) x[j] = j % 3 ? TINY[t] : 0;
            for (unsigned j = QBLOCK / 2; j < QBLOCK; j++) x[j] = (float)(int)j;
            k->quantise(x, QBLOCK, 0, &a);
            for (unsigned j = 0; j < QBLOCK / 2; j++) assert_int_equal(a.q[0][j], 0);
            assert_int_equal(a.minus_sum[0][0], 0);
            assert_int_equal(a.q[0][QBLOCK - 1], 127);
            assert_true(a.d[1][0] == 31.0f / 127.0f);
        }
    }
}

/* A NaN or an infinity among a row's inputs shows in all of its outputs, wherever it stands, and in no other row. */
static void test_lost_activations(void **state) {
    (void)state;
    enum { ROWS = 3, COLS = 64, N = 17 };
    static const float BAD[] = {NAN, -NAN, INFINITY, -INFINITY};
    uint8_t *data = random_rows(DTYPE_Q4_0, N, COLS, 3);
    float x[ROWS * COLS], fine[ROWS * N], y[ROWS * N];
    uint64_t rng = 9;
    for (unsigned i = 0; i < ROWS * COLS; i++) x[i] = rng_unit(&rng);
    for (size_t t = 0; t < n_targets; t++) {
        struct backend *be;
        OK(target_open(&targets[t], 2, &be, err));
        struct weight *w = prepare(be, WEIGHT_MATRIX, &(struct weight_part){.data = data + ODD, .dtype = DTYPE_Q4_0, .rows = N}, 1, COLS);
        run_op(be, w, x, ROWS, fine);
        for (unsigned at = 0; at < COLS; at++)
            for (unsigned b = 0; b < 4; b++) {
                const float was = x[COLS + at];
                x[COLS + at] = BAD[b];
                run_op(be, w, x, ROWS, y);
                x[COLS + at] = was;
                for (unsigned i = 0; i < N; i++)
                    if (isfinite(y[N + i])) fail_msg("%s: %g at input %u: output %u is %g", targets[t].name, (double)BAD[b], at, i, (double)y[N + i]);
                assert_memory_equal(y, fine, N * sizeof *y);
                assert_memory_equal(y + 2 * N, fine + 2 * N, N * sizeof *y);
            }
        be->ops->weight_free(be, w);
        be->ops->close(be);
    }
    free(data);
}

/* Nor does one vanish in a block of a q8_0 cache. */
static void test_lost_in_q8(void **state) {
    (void)state;
    static const char *const ISAS[] = {"portable", "avx2", "avx512", "avx512_vnni"};
    float x[QBLOCK], back[QBLOCK];
    uint8_t block[34];
    for (unsigned i = 0; i <= sizeof ISAS / sizeof *ISAS; i++) {
        const struct cpu_kernels *k = NULL;
        if (i < sizeof ISAS / sizeof *ISAS && cpu_kernels_choose(ISAS[i], &k, NULL) != GLLM_OK) continue;
        for (unsigned at = 0; at < QBLOCK; at++) {
            for (unsigned j = 0; j < QBLOCK; j++) x[j] = (float)(int)j - 7;
            x[at] = NAN;
            if (k) k->to_q8(x, QBLOCK, block);
            else quant_to_q8_0(x, block);
            dtype_to_f32(DTYPE_Q8_0, block, back, QBLOCK);
            assert_true(isnan(back[at]));
        }
    }
}

int main(void) {
    n_targets = targets_find(targets, true);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_stacked), cmocka_unit_test(test_refusals), cmocka_unit_test(test_tiny_activations), cmocka_unit_test(test_lost_activations), cmocka_unit_test(test_lost_in_q8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
