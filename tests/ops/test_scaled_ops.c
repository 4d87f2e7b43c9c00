/* test_scaled_ops.c - linear and embed with weights that have scales beside them (FP8 and wider types; one scale, one a row, tiles): every
 * backend and level against sums over value x scale in double. A row gives the same bits alone, in any batch and on any number of threads. */
#include "ops/weight_ops.h"

static struct target targets[MAX_TARGETS];
static size_t n_targets;
static const uint32_t SHAPES[][3] = {{1, 256, 16}, {3, 129, 33}, {13, 130, 200}, {40, 513, 50}, {2, 1, 1}}; /* rows, k, n */
static const uint32_t BLOCKS[][2] = {{0, 0}, {1, 0}, {128, 128}, {1, 64}, {3, 50}, {1, 1}}; /* 0: as large as the matrix */
static const enum dtype TYPES[] = {DTYPE_F8_E4M3, DTYPE_F8_E5M2, DTYPE_BF16, DTYPE_F32}, SCALES[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, N_BLOCKS = sizeof BLOCKS / sizeof *BLOCKS, N_STORED = sizeof TYPES / sizeof *TYPES, ODD = 3 };

static uint32_t blocks_of(uint32_t n, uint32_t block) { return n / block + (n % block != 0); }

struct scaled { /* a matrix [n, k] as a file has it, and what it stands for */
    uint8_t *data, *scales;
    float *wide;
    struct weight_part part;
};

/* Any finite values of the type; scales between 1/4 and 2. Nothing is aligned. */
static struct scaled scaled_make(enum dtype type, enum dtype scale_type, uint32_t n, uint32_t k, const uint32_t block[2], uint64_t seed) {
    struct scaled s;
    const uint32_t rb = block[0] ? block[0] : n, cb = block[1] ? block[1] : k, across = blocks_of(k, cb), size = dtype_traits(type)->bytes;
    const size_t n_scales = (size_t)blocks_of(n, rb) * across, step = dtype_traits(scale_type)->bytes;
    s.data = malloc(ODD + (size_t)n * k * size), s.scales = malloc(ODD + n_scales * step), s.wide = malloc((size_t)n * k * sizeof *s.wide);
    assert_true(s.data && s.scales && s.wide);
    for (size_t i = 0; i < (size_t)n * k; i++)
        do {
            const float v = rng_unit(&seed);
            const uint32_t bits = size == 1 ? (uint32_t)rng_next(&seed) : type == DTYPE_BF16 ? bf16_from_f32(v) : f32_bits(v);
            memcpy(s.data + ODD + i * size, &bits, size);
            dtype_to_f32(type, s.data + ODD + i * size, &s.wide[i], 1);
        } while (!isfinite(s.wide[i]));
    for (size_t i = 0; i < n_scales; i++) {
        const float v = 1.125f + 0.875f * rng_unit(&seed);
        const uint32_t bits = scale_type == DTYPE_F32 ? f32_bits(v) : scale_type == DTYPE_F16 ? f16_from_f32(v) : bf16_from_f32(v);
        memcpy(s.scales + ODD + i * step, &bits, step);
    }
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t c = 0; c < k; c++) {
            float scale;
            dtype_to_f32(scale_type, s.scales + ODD + ((size_t)(r / rb) * across + c / cb) * step, &scale, 1);
            s.wide[(size_t)r * k + c] *= scale;
        }
    s.part = (struct weight_part){.data = s.data + ODD, .dtype = type, .rows = n, .scale = {s.scales + ODD, scale_type, rb, cb}};
    return s;
}
static void scaled_free(struct scaled *s) { free(s->data), free(s->scales), free(s->wide); }

static void check_linear(const struct target *t, enum dtype type, unsigned s, unsigned b, bool exact) {
    const uint32_t rows = SHAPES[s][0], k = SHAPES[s][1], n = SHAPES[s][2];
    struct scaled m = scaled_make(type, SCALES[(s + b) % 3], n, k, BLOCKS[b], 77 + s + 100 * b);
    float *x = malloc((size_t)rows * k * sizeof *x), *y = malloc(2 * (size_t)rows * n * sizeof *y), *z = y + (size_t)rows * n;
    uint64_t rng = 5 + s;
    struct backend *be;
    assert_true(x && y);
    for (size_t i = 0; i < (size_t)rows * k; i++) x[i] = rng_unit(&rng);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        OK(t->ops->open(&be, &(struct backend_options){.threads = threads, .isa = t->isa, .precision = exact ? GLLM_PRECISION_F32 : GLLM_PRECISION_AUTO}, err));
        struct weight *w = prepare(be, WEIGHT_MATRIX, &m.part, 1, k);
        run_op(be, w, x, rows, threads == 1 ? y : z);
        const double off = off_by(threads == 1 ? y : z, m.wide, x, rows, k, n);
        if (!(off <= 1e-6)) fail_msg("%s: %s [%u,%u] x [%u,%u], blocks %u x %u: off by %g", t->name, dtype_traits(type)->name, rows, k, n, k, BLOCKS[b][0], BLOCKS[b][1], off);
        if (threads == 3 && memcmp(y, z, (size_t)rows * n * sizeof *y)) fail_msg("%s: %s: other bits on 3 threads", t->name, dtype_traits(type)->name);
        run_op(be, w, x + (size_t)(rows - 1) * k, 1, z);
        if (memcmp(y + (size_t)(rows - 1) * n, z, n * sizeof *y)) fail_msg("%s: %s: a row has other bits alone", t->name, dtype_traits(type)->name);
        be->ops->weight_free(be, w);
        be->ops->close(be);
    }
    scaled_free(&m);
    free(x), free(y);
}

static void test_linear(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < N_STORED * N_SHAPES * N_BLOCKS; i++)
            check_linear(&targets[t], TYPES[i % N_STORED], i / N_STORED % N_SHAPES, i / N_STORED / N_SHAPES, i % 2);
}

/* Each part of a stack has scales of its own form, counted from its own first row; one part has none. */
static void test_stacked(void **state) {
    (void)state;
    static const uint32_t ROWS[] = {17, 30, 16};
    const uint32_t k = 140, n = 17 + 30 + 16;
    for (size_t t = 0; t < n_targets; t++) {
        struct scaled m[3];
        struct weight_part parts[3];
        float *wide = malloc(n * k * sizeof *wide), x[4 * 140], y[4 * 63];
        uint64_t rng = 4;
        struct backend *be;
        assert_non_null(wide);
        for (unsigned i = 0, at = 0; i < 3; at += ROWS[i++]) {
            m[i] = scaled_make(TYPES[i], SCALES[i], ROWS[i], k, BLOCKS[i], 3 + i);
            parts[i] = m[i].part;
            if (i == 1) { /* stored as FP8 without a scale */
                parts[i].scale = (struct weight_scale){0};
                dtype_to_f32(TYPES[i], parts[i].data, m[i].wide, (size_t)ROWS[i] * k);
            }
            memcpy(wide + (size_t)at * k, m[i].wide, (size_t)ROWS[i] * k * sizeof *wide);
        }
        for (unsigned i = 0; i < 4 * k; i++) x[i] = rng_unit(&rng);
        OK(target_open(&targets[t], 2, &be, err));
        struct weight *w = prepare(be, WEIGHT_MATRIX, parts, 3, k);
        run_op(be, w, x, 4, y);
        assert_true(off_by(y, wide, x, 4, k, n) <= 1e-6);
        be->ops->weight_free(be, w);
        be->ops->close(be);
        for (unsigned i = 0; i < 3; i++) scaled_free(&m[i]);
        free(wide);
    }
}

static void test_table(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < N_STORED * N_BLOCKS; i++) {
            const uint32_t n = 37, k = 70;
            struct scaled m = scaled_make(TYPES[i % N_STORED], SCALES[i % 3], n, k, BLOCKS[i / N_STORED], i);
            float y[37 * 70];
            struct backend *be;
            OK(target_open(&targets[t], 2, &be, err));
            struct weight *w = prepare(be, WEIGHT_TABLE, &m.part, 1, k);
            run_op(be, w, NULL, n, y);
            for (uint32_t c = 0; c < n * k; c++) /* the same value; ref may turn -0 to 0 */
                if (y[c] != m.wide[c]) fail_msg("%s: value %u of a %s table is %.9g, expected %.9g", targets[t].name, c, dtype_traits(TYPES[i % N_STORED])->name, (double)y[c], (double)m.wide[c]);
            be->ops->weight_free(be, w);
            be->ops->close(be);
            scaled_free(&m);
        }
}

/* Every bit pattern of both FP8 types, at every place of a vector: what is not a number stays what it is. */
static void test_all_values(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < 2; i++) {
            uint8_t data[3 * 259];
            float y[3 * 259];
            struct backend *be;
            for (unsigned k = 0; k < sizeof data; k++) data[k] = (uint8_t)k;
            OK(target_open(&targets[t], 1, &be, err));
            struct weight *w = prepare(be, WEIGHT_TABLE, &(struct weight_part){.data = data, .dtype = TYPES[i], .rows = 3}, 1, 259);
            run_op(be, w, NULL, 3, y);
            for (unsigned k = 0; k < sizeof data; k++) {
                const unsigned b = data[k] & 0x7F, e = i ? b >> 2 : b >> 3, f = i ? b & 3 : b & 7, bias = i ? 15 : 7, digits = i ? 2 : 3; /* by the definition */
                double want = ldexp((e ? 1 << digits : 0) + (int)f, (int)(e ? e : 1) - (int)bias - (int)digits);
                if (i ? e == 31 && f : b == 0x7F) want = NAN;
                else if (i && e == 31) want = INFINITY;
                if (data[k] & 0x80) want = -want;
                if (isnan(want) ? !isnan(y[k]) : (double)y[k] != want) fail_msg("%s: %s 0x%02x is %g, expected %g", targets[t].name, dtype_traits(TYPES[i])->name, data[k], (double)y[k], want);
            }
            be->ops->weight_free(be, w);
            be->ops->close(be);
        }
}

/* FP8 weights keep their size: the device takes a byte a value, not four. */
static void test_bytes(void **state) {
    (void)state;
    struct scaled m = scaled_make(DTYPE_F8_E4M3, DTYPE_F32, 64, 96, BLOCKS[2], 1);
    struct weight_desc d = {.name = "w", .role = WEIGHT_MATRIX, .cols = 96, .n_parts = 1, .parts = {m.part}};
    assert_int_equal(backend_cpu.weight_bytes(&d), 64 * 96);
    scaled_free(&m);
}

int main(void) {
    n_targets = targets_find(targets, true);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_stacked), cmocka_unit_test(test_table), cmocka_unit_test(test_all_values), cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
