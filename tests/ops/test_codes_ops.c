/* test_codes_ops.c - linear and embed with weights stored as codes (backend/codes.h), packed here bit by bit: every form that a file may have, on every
 * backend and level. Exact against sums over scale (code - zero) in double; by default, where the level has int8 kernels and the form fits, against the
 * same sums with rounded activations. A row gives the same bits alone, in any batch and on any number of threads. */
#include "ops/weight_ops.h"

#include "backend/cpu/kernels.h"

static struct target targets[MAX_TARGETS];
static size_t n_targets;
static const uint32_t SHAPES[][3] = {{1, 128, 16}, {3, 64, 40}, {13, 192, 64}, {40, 96, 24}}; /* rows, k, n */
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, ODD = 3 };

enum zeros { NO_ZEROS, ZEROS_DOWN, ZEROS_ALONG, ZEROS_CENTRED };
static const struct form {
    const char *name;
    struct code_grid grid; /* bits, unit, flip, down, order; step 1: words of a line are neighbours; 0: words of one place are */
    enum zeros zeros;
    enum dtype scales;
    uint32_t group; /* 0: all */
    int zero;
    bool shuffled, table, flat, tiles; /* groups in any order; values of a table; blocks run on; packed for int8 kernels */
} FORMS[] = {
    {"awq gemm", {.bits = 4, .unit = 4, .down = true, .order = CODES_AWQ, .step = 1}, ZEROS_DOWN, DTYPE_F16, 32, .tiles = true},
    {"awq gemm, 16", {.bits = 4, .unit = 4, .down = true, .order = CODES_AWQ, .step = 1}, ZEROS_DOWN, DTYPE_F16, 16, .tiles = false},
    {"awq gemv", {.bits = 4, .unit = 4, .step = 1}, ZEROS_ALONG, DTYPE_F16, 64, .tiles = true},
    {"gptq 4", {.bits = 4, .unit = 4}, ZEROS_DOWN, DTYPE_F16, 32, .zero = 1, .tiles = true},
    {"gptq 4, symmetric", {.bits = 4, .unit = 4}, ZEROS_CENTRED, DTYPE_F16, 0, .tiles = true},
    {"gptq 4, shuffled", {.bits = 4, .unit = 4}, ZEROS_DOWN, DTYPE_F16, 32, .zero = 1, .shuffled = true, .tiles = true},
    {"gptq 8, shuffled", {.bits = 8, .unit = 4}, ZEROS_DOWN, DTYPE_F16, 64, .shuffled = true, .tiles = true},
    {"gptq 8, shuffled by 24", {.bits = 8, .unit = 4}, ZEROS_DOWN, DTYPE_F16, 24, .shuffled = true},
    {"gptq 8, symmetric", {.bits = 8, .unit = 4}, ZEROS_CENTRED, DTYPE_F16, 32, .tiles = true},
    {"gptq 3", {.bits = 3, .unit = 4}, ZEROS_DOWN, DTYPE_F16, 32, .zero = 1, .tiles = true},
    {"gptq 2", {.bits = 2, .unit = 4}, ZEROS_DOWN, DTYPE_F32, 32, .tiles = true},
    {"packed 4", {.bits = 4, .unit = 4, .step = 1}, ZEROS_DOWN, DTYPE_BF16, 32, .tiles = true},
    {"packed 4, f32 scales", {.bits = 4, .unit = 4, .step = 1}, NO_ZEROS, DTYPE_F32, 0, .zero = 8, .tiles = true},
    {"packed 5", {.bits = 5, .unit = 4, .step = 1}, ZEROS_ALONG, DTYPE_BF16, 0, .tiles = true},
    {"packed 7", {.bits = 7, .unit = 4, .step = 1}, NO_ZEROS, DTYPE_F16, 32, .zero = 64, .tiles = true},
    {"int8", {.bits = 8, .unit = 1, .flip = 0x80, .step = 1}, NO_ZEROS, DTYPE_F32, 0, .zero = 128, .tiles = true},
    {"int8, zeros", {.bits = 8, .unit = 1, .flip = 0x80, .step = 1}, ZEROS_ALONG, DTYPE_BF16, 32, .tiles = true},
    {"nf4", {.bits = 4, .unit = 1, .order = CODES_PAIRS_SWAPPED, .step = 1}, NO_ZEROS, DTYPE_F32, 64, .table = true, .flat = true},
    {"fp4, blocks across rows", {.bits = 4, .unit = 1, .order = CODES_PAIRS_SWAPPED, .step = 1}, NO_ZEROS, DTYPE_F32, 80, .table = true, .flat = true},
};
enum { N_FORMS = sizeof FORMS / sizeof *FORMS };

/* Where code i of a line stands among its neighbours. */
static uint32_t place(enum code_order order, uint32_t i) {
    static const unsigned AWQ[] = {0, 2, 4, 6, 1, 3, 5, 7};
    unsigned p = 0;
    if (order == CODES_PAIRS_SWAPPED) return i % 2 ? i - 1 : i + 1;
    while (order == CODES_AWQ && AWQ[p] != i % 8) p++;
    return order == CODES_AWQ ? i / 8 * 8 + p : i;
}

/* Packs codes [rows, cols] to fresh memory, a bit at a time; fills in data, line and step. Freed through data - ODD. */
static void encode(struct code_grid *g, const uint8_t *codes, uint32_t rows, uint32_t cols) {
    const uint32_t lines = g->down ? cols : rows, n = g->down ? rows : cols, width = 8u * g->unit, words = (n * g->bits + width - 1) / width;
    const bool neighbours = g->step;
    uint8_t *data = calloc(1, ODD + (size_t)lines * words * g->unit);
    assert_non_null(data);
    g->line = neighbours ? words : 1, g->step = neighbours ? 1 : lines;
    for (uint32_t line = 0; line < lines; line++)
        for (uint32_t i = 0; i < n; i++) {
            const unsigned code = (g->down ? codes[(size_t)i * cols + line] : codes[(size_t)line * cols + i]) ^ g->flip;
            for (unsigned b = 0; b < g->bits; b++) {
                const uint32_t bit = place(g->order, i) * g->bits + b, word = line * g->line + bit / width * g->step;
                data[ODD + word * g->unit + bit % width / 8] |= (uint8_t)((code >> b & 1) << bit % 8);
            }
        }
    g->data = data + ODD;
}
static void encode_free(struct code_grid *g) {
    if (g->data) free((uint8_t *)(uintptr_t)g->data - ODD);
}

struct coded { /* a matrix [n, k] as a file has it, and what it stands for */
    struct weight_codes codes;
    struct weight_part part;
    float *wide;
    uint8_t *scales;
    int32_t *groups;
    uint32_t k;
};

static int32_t *shuffled_groups(uint32_t k, uint32_t group, uint64_t *rng) {
    int32_t *out = malloc(k * sizeof *out);
    assert_non_null(out);
    for (uint32_t c = 0; c < k; c++) out[c] = (int32_t)(c / group);
    for (uint32_t c = k; c-- > 1;) {
        const uint32_t i = (uint32_t)(rng_next(rng) % (c + 1));
        const int32_t t = out[c];
        out[c] = out[i], out[i] = t;
    }
    return out;
}

static struct coded coded_make(const struct form *f, uint32_t n, uint32_t k, uint64_t seed) {
    static float table[16];
    struct coded m = {.k = k, .codes = {.codes = f->grid, .zero = f->zero, .scale_dtype = f->scales, .group = f->group ? f->group : k, .flat = f->flat}};
    const uint32_t group = m.codes.group, n_groups = (k - 1) / group + 1, n_scales = f->flat ? (n * k - 1) / group + 1 : n * n_groups, size = dtype_traits(f->scales)->bytes;
    uint8_t *q = malloc((size_t)n * k), *z = malloc((size_t)n * n_groups);
    m.wide = malloc((size_t)n * k * sizeof *m.wide), m.scales = malloc(ODD + (size_t)n_scales * size);
    assert_true(q && z && m.wide && m.scales);
    for (unsigned i = 0; i < 16; i++) table[i] = cosf((float)i) * 0.9f;
    for (size_t i = 0; i < (size_t)n * k; i++) q[i] = (uint8_t)(rng_next(&seed) & ((1u << f->grid.bits) - 1));
    for (size_t i = 0; i < (size_t)n * n_groups; i++) z[i] = f->zeros == ZEROS_CENTRED ? (uint8_t)(1u << (f->grid.bits - 1)) : (uint8_t)(rng_next(&seed) & ((1u << f->grid.bits) - 1));
    for (uint32_t i = 0; i < n_scales; i++) {
        const float v = 0.01f + 0.005f * rng_unit(&seed);
        const uint32_t bits = f->scales == DTYPE_F32 ? f32_bits(v) : f->scales == DTYPE_F16 ? f16_from_f32(v) : bf16_from_f32(v);
        memcpy(m.scales + ODD + i * size, &bits, size);
    }
    encode(&m.codes.codes, q, n, k);
    if (f->zeros != NO_ZEROS) {
        m.codes.zeros = (struct code_grid){.bits = f->grid.bits, .unit = f->grid.unit, .flip = f->grid.flip, .order = f->zeros == ZEROS_DOWN ? f->grid.order : CODES_IN_ORDER, .down = f->zeros == ZEROS_DOWN, .step = f->zeros != ZEROS_CENTRED};
        encode(&m.codes.zeros, z, n, n_groups);
    }
    m.codes.scales = m.scales + ODD;
    m.codes.scale_row = f->flat ? 0 : f->grid.down ? 1 : n_groups, m.codes.scale_group = f->flat ? 1 : f->grid.down ? n : 1;
    if (f->table) m.codes.table = table;
    if (f->shuffled) m.codes.groups = m.groups = shuffled_groups(k, group, &seed);
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t c = 0; c < k; c++) {
            const uint32_t g = f->flat ? (r * k + c) / group : m.groups ? (uint32_t)m.groups[c] : c / group;
            const int zero = f->zero + (f->zeros != NO_ZEROS ? z[(size_t)r * n_groups + g] : 0);
            float scale;
            dtype_to_f32(f->scales, m.scales + ODD + (f->flat ? g : f->grid.down ? g * n + r : r * n_groups + g) * size, &scale, 1);
            m.wide[(size_t)r * k + c] = (f->table ? table[q[(size_t)r * k + c]] : (float)(q[(size_t)r * k + c] - zero)) * scale;
        }
    m.part = (struct weight_part){.data = m.codes.codes.data, .dtype = DTYPE_I32, .rows = n};
    free(q), free(z);
    return m;
}
static void coded_free(struct coded *m) {
    encode_free(&m->codes.codes), encode_free(&m->codes.zeros);
    free(m->wide), free(m->scales), free(m->groups);
}

/* Columns of a [rows, k] in the order of their groups. */
static float *regrouped(const struct coded *m, const float *a, uint32_t rows) {
    float *out = malloc((size_t)rows * m->k * sizeof *out);
    uint32_t at = 0;
    assert_non_null(out);
    for (int32_t g = 0; at < m->k; g++)
        for (uint32_t c = 0; c < m->k; c++)
            if ((m->groups ? m->groups[c] : g) == g) {
                for (uint32_t r = 0; r < rows; r++) out[(size_t)r * m->k + at] = a[(size_t)r * m->k + c];
                at++;
            }
    return out;
}

static void check_linear(const struct target *t, const struct form *f, unsigned s, bool exact) {
    const uint32_t rows = SHAPES[s][0], k = SHAPES[s][1], n = SHAPES[s][2];
    struct coded m = coded_make(f, n, k, 300 + s);
    float *x = malloc((size_t)rows * k * sizeof *x), *y = malloc(2 * (size_t)rows * n * sizeof *y), *z = y + (size_t)rows * n;
    const struct cpu_kernels *kernels;
    uint64_t rng = 5 + s;
    struct backend *be;
    assert_true(x && y);
    m.part.codes = &m.codes;
    for (size_t i = 0; i < (size_t)rows * k; i++) x[i] = rng_unit(&rng);
    const bool rounds = t->ops == &backend_cpu && !exact && f->tiles && (!t->isa || (cpu_kernels_choose(t->isa, &kernels, NULL) == GLLM_OK && kernels->qtile));
    float *wide = regrouped(&m, m.wide, n), *seen = regrouped(&m, x, rows);
    if (rounds) rounded(seen, (size_t)rows * k, seen);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        OK(t->ops->open(&be, &(struct backend_options){.threads = threads, .isa = t->isa, .precision = exact ? GLLM_PRECISION_F32 : GLLM_PRECISION_AUTO}, err));
        struct weight *w = prepare(be, WEIGHT_MATRIX, &m.part, 1, k);
        assert_int_equal(be->ops->weight_borrows(w), t->ops == &backend_cpu && !rounds);
        run_op(be, w, x, rows, threads == 1 ? y : z);
        const double off = off_by(threads == 1 ? y : z, wide, seen, rows, k, n);
        if (!(off <= 1e-6)) fail_msg("%s%s: %s [%u,%u] x [%u,%u]: off by %g%s", t->name, exact ? " exact" : "", f->name, rows, k, n, k, off, rounds ? ", activations rounded" : "");
        if (threads == 3 && memcmp(y, z, (size_t)rows * n * sizeof *y)) fail_msg("%s: %s: other bits on 3 threads", t->name, f->name);
        run_op(be, w, x + (size_t)(rows - 1) * k, 1, z);
        if (memcmp(y + (size_t)(rows - 1) * n, z, n * sizeof *y)) fail_msg("%s: %s: a row has other bits alone", t->name, f->name);
        be->ops->weight_free(be, w);
        be->ops->close(be);
    }
    coded_free(&m);
    free(x), free(y), free(wide), free(seen);
}

static void test_linear(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < N_FORMS * N_SHAPES * 2; i++) check_linear(&targets[t], &FORMS[i / 2 / N_SHAPES], i / 2 % N_SHAPES, i % 2);
}

/* Three forms in one matrix, the second shuffled in an order of its own: no one order of inputs serves, and the values are right all the same. */
static void test_stacked(void **state) {
    (void)state;
    static const unsigned MIXES[][3] = {{0, 3, 11}, {5, 5, 5}, {3, 6, 15}, {5, 17, 8}};
    static const uint32_t ROWS[] = {32, 16, 24};
    const uint32_t k = 128, n = 72;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned mix = 0; mix < sizeof MIXES / sizeof *MIXES; mix++) {
            struct coded m[3];
            struct weight_part parts[3];
            float *wide = malloc(n * k * sizeof *wide), *x = malloc(4 * k * sizeof *x), y[4 * 72];
            uint64_t rng = mix;
            struct backend *be;
            assert_true(wide && x);
            for (unsigned i = 0, at = 0; i < 3; at += ROWS[i++]) {
                m[i] = coded_make(&FORMS[MIXES[mix][i]], ROWS[i], k, 3 + i);
                parts[i] = m[i].part;
                parts[i].codes = &m[i].codes;
                memcpy(wide + (size_t)at * k, m[i].wide, (size_t)ROWS[i] * k * sizeof *wide);
            }
            for (unsigned i = 0; i < 4 * k; i++) x[i] = rng_unit(&rng);
            OK(target_open(&targets[t], 2, &be, err));
            struct weight *w = prepare(be, WEIGHT_MATRIX, parts, 3, k);
            run_op(be, w, x, 4, y);
            const bool rounds = targets[t].ops == &backend_cpu && !be->ops->weight_borrows(w);
            assert_false(rounds && mix);
            if (rounds) rounded(x, 4 * k, x);
            assert_true(off_by(y, wide, x, 4, k, n) <= 1e-6);
            be->ops->weight_free(be, w);
            be->ops->close(be);
            for (unsigned i = 0; i < 3; i++) coded_free(&m[i]);
            free(wide), free(x);
        }
}

static void test_table(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < N_FORMS; i++) {
            const uint32_t n = 40, k = 96;
            struct coded m = coded_make(&FORMS[i], n, k, i);
            float y[40 * 96];
            struct backend *be;
            m.part.codes = &m.codes;
            OK(target_open(&targets[t], 2, &be, err));
            struct weight *w = prepare(be, WEIGHT_TABLE, &m.part, 1, k);
            run_op(be, w, NULL, n, y);
            for (uint32_t c = 0; c < n * k; c++) /* the same value; ref may turn -0 to 0 */
                if (y[c] != m.wide[c]) fail_msg("%s: %s: value %u is %.9g, expected %.9g", targets[t].name, FORMS[i].name, c, (double)y[c], (double)m.wide[c]);
            be->ops->weight_free(be, w);
            be->ops->close(be);
            coded_free(&m);
        }
}

/* Codes keep about their size: what the device takes, in bits a weight. */
static void test_bytes(void **state) {
    (void)state;
    static const struct {
        unsigned form;
        double bits;
    } SIZES[] = {{0, 5}, {1, 5}, {2, 5}, {8, 10}, {15, 10}, {12, 6}, {17, 4.5}};
    for (unsigned i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        struct coded m = coded_make(&FORMS[SIZES[i].form], 64, 128, 1);
        m.part.codes = &m.codes;
        struct weight_desc d = {.name = "w", .role = WEIGHT_MATRIX, .cols = 128, .n_parts = 1, .parts = {m.part}};
        assert_int_equal(backend_cpu.weight_bytes(&d), (uint64_t)(64 * 128 * SIZES[i].bits / 8));
        coded_free(&m);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const struct form odd = {"odd", {.bits = 4, .unit = 4, .step = 1}, NO_ZEROS, DTYPE_F16, 32, .tiles = true};
    struct backend *be;
    struct weight *w;
    gllm_error e;
    OK(target_open(&targets[0], 1, &be, err));
    for (unsigned i = 0; i < 4; i++) {
        static const char *const SAYS[] = {"w: part 0 has codes of 1 bits in words of 4 bytes", "w: part 0 has codes of 5 bits in words of 1 bytes", "w: part 0 has codes without groups or scales", "w: part 0 is a vector of codes"};
        struct coded m = coded_make(&odd, 8, 32, 1);
        m.part.codes = &m.codes;
        if (i == 0) m.codes.codes.bits = 1;
        if (i == 1) m.codes.codes.bits = 5, m.codes.codes.unit = 1;
        if (i == 2) m.codes.group = 0;
        struct weight_desc d = {.name = "w", .role = i == 3 ? WEIGHT_VECTOR : WEIGHT_MATRIX, .cols = 32, .n_parts = 1, .parts = {m.part}};
        assert_int_equal(be->ops->weight_prepare(be, &d, &w, &e), GLLM_INVALID);
        assert_string_equal(e.message, SAYS[i]);
        coded_free(&m);
    }
    be->ops->close(be);
}

int main(void) {
    n_targets = targets_find(targets, true);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_stacked), cmocka_unit_test(test_table), cmocka_unit_test(test_bytes), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
