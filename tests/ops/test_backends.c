/* test_backends.c - the rest of the vtable, for every backend: devices, buffers, weights, plans, and their errors. */
#include "ops/op_harness.h"

static struct target targets[MAX_TARGETS];
static struct backend *open_targets[MAX_TARGETS];
static size_t n_targets;

#define EACH(be)                              \
    for (size_t i_ = 0; i_ < n_targets; i_++) \
        for (struct backend *be = open_targets[i_]; be; be = NULL)

/* `expr` fails with `status` and a sentence. */
#define FAILS(status_expected, expr)                                                                             \
    do {                                                                                                         \
        gllm_error fails_err_ = {0};                                                                             \
        gllm_error *err = &fails_err_;                                                                           \
        gllm_status found_ = (expr);                                                                             \
        if (found_ != (status_expected))                                                                         \
            fail_msg("%s: %s, expected %s", #expr, gllm_status_name(found_), gllm_status_name(status_expected)); \
        assert_int_equal(fails_err_.status, (status_expected));                                                  \
        assert_true(strlen(fails_err_.message) > 10);                                                            \
    } while (0)

static void test_open(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++) {
        const struct backend_ops *ops = targets[t].ops;
        struct backend *be = (struct backend *)&be;
        struct backend_caps caps;
        FAILS(GLLM_UNSUPPORTED, ops->open(&be, &(struct backend_options){.threads = 1, .isa = "abacus"}, err));
        assert_null(be);
        FAILS(GLLM_DEVICE, ops->open(&be, &(struct backend_options){.threads = 1, .device = 4096}, err));
        assert_null(be);
        assert_int_equal(ops->probe(4096, &caps), GLLM_DEVICE);
        assert_true(strlen(caps.detail) > 0);
        for (int p = GLLM_PRECISION_BF16; p <= GLLM_PRECISION_INT8;
             p++) { /* computed, or refused: never something else in silence */
            gllm_status status =
                ops->open(&be, &(struct backend_options){.threads = 1, .precision = (gllm_precision)p}, NULL);
            assert_true(status == GLLM_OK || status == GLLM_UNSUPPORTED);
            assert_true((status == GLLM_OK) == (be != NULL));
            if (ops == &backend_ref) assert_int_equal(status, GLLM_UNSUPPORTED);
            ops->close(be);
        }
        ops->close(NULL);
    }
}

static void test_describe(void **state) {
    (void)state;
    EACH(be) {
        struct backend_caps probed, caps;
        uint64_t free_bytes = 1, total = 0;
        assert_int_equal(be->ops->probe(0, &probed), GLLM_OK);
        be->ops->describe(be, &caps);
        assert_string_equal(caps.device, probed.device);
        assert_true(strlen(caps.device) > 0 && strlen(caps.detail) > 0);
        if (be->ops == &backend_cpu) assert_int_equal(caps.threads, 2);
        assert_int_equal(be->ops->mem_info(be, &free_bytes, &total), GLLM_OK);
        assert_true(total > 0 && free_bytes <= total);
        be->ops->trim(be);
    }
}

static void test_buffers(void **state) {
    (void)state;
    EACH(be) {
        const struct backend_ops *ops = be->ops;
        struct buffer *a, *b, *none = (struct buffer *)&none;
        uint32_t in[25], out[25];
        for (uint32_t i = 0; i < 25; i++) in[i] = 0x01010101u * i + 7;
        OK(ops->alloc(be, sizeof in, BUFFER_ACTIVATION, &a, err));
        OK(ops->alloc(be, sizeof in, BUFFER_READBACK, &b, err));
        assert_int_equal(a->bytes, sizeof in);
        OK(ops->write(be, a, 0, in, sizeof in, err));
        OK(ops->fill(be, b, 0, 0xABCD0123u, sizeof in, err));
        OK(ops->copy(be, b, 8, a, 20, 40, err));
        OK(ops->read(be, b, 0, out, sizeof out, err));
        for (uint32_t i = 0; i < 25; i++) assert_int_equal(out[i], i >= 2 && i < 12 ? in[i + 3] : 0xABCD0123u);
        OK(ops->write(be, b, 92, in, 8, err));
        OK(ops->fill(be, b, 4, 5, 4, err));
        OK(ops->read(be, b, 0, out, sizeof out, err));
        for (uint32_t i = 0; i < 25; i++)
            assert_int_equal(out[i], i == 1 ? 5 : i >= 23 ? in[i - 23] : i >= 2 && i < 12 ? in[i + 3] : 0xABCD0123u);
        OK(ops->write(be, a, sizeof in, NULL, 0, err)); /* nothing, at the very end */
        OK(ops->read(be, a, sizeof in, NULL, 0, err));
        OK(ops->copy(be, a, sizeof in, b, sizeof in, 0, err));
        OK(ops->fill(be, a, sizeof in, 0, 0, err));
        static const uint64_t outside[][2] = {{0, 104},           {100, 4}, {104, 0}, {4, 100}, {UINT64_MAX - 3, 4},
                                              {8, UINT64_MAX - 7}};
        for (unsigned i = 0; i < sizeof outside / sizeof *outside; i++) {
            uint64_t at = outside[i][0], n = outside[i][1];
            FAILS(GLLM_INVALID, ops->write(be, a, at, in, n, err));
            FAILS(GLLM_INVALID, ops->read(be, a, at, out, n, err));
            FAILS(GLLM_INVALID, ops->fill(be, a, at, 0, n, err));
            FAILS(GLLM_INVALID, ops->copy(be, a, at, b, 0, n, err));
            FAILS(GLLM_INVALID, ops->copy(be, b, 0, a, at, n, err));
        }
        FAILS(GLLM_INVALID, ops->fill(be, a, 0, 0, 6, err));
        OK(ops->read(be, a, 0, out, sizeof out, err));
        assert_memory_equal(in, out, sizeof in);
        FAILS(GLLM_NOMEM, ops->alloc(be, UINT64_MAX, BUFFER_ACTIVATION, &none, err));
        assert_null(none);
        ops->buffer_free(be, a);
        ops->buffer_free(be, b);
        ops->buffer_free(be, NULL);
        ops->plan_free(be, NULL);
        ops->weight_free(be, NULL);
    }
}

static void test_weights(void **state) {
    (void)state;
    static const float data[64];
    EACH(be) {
        const struct backend_ops *ops = be->ops;
        struct weight_desc good = {.name = "w",
                                   .role = WEIGHT_MATRIX,
                                   .cols = 7,
                                   .n_parts = 2,
                                   .parts = {{.data = data, .dtype = DTYPE_F32, .rows = 2}, {.dtype = DTYPE_F32, .rows = 3}}},
                           d;
        struct weight *w = (struct weight *)&w;
        OK(ops->weight_prepare(be, &good, &w, err));
        assert_true(w->role == WEIGHT_MATRIX && w->rows == 5 && w->cols == 7);
        assert_true(ops->weight_bytes(&good) >= 5 * 7);
        ops->weight_free(be, w);
#define REFUSED(status, change)                          \
    d = good, change;                                    \
    FAILS(status, ops->weight_prepare(be, &d, &w, err)); \
    assert_null(w)
        REFUSED(GLLM_INVALID, d.n_parts = 0);
        REFUSED(GLLM_INVALID, d.n_parts = 5);
        REFUSED(GLLM_INVALID, d.cols = 0);
        REFUSED(GLLM_INVALID, d.role = (enum weight_role)9);
        REFUSED(GLLM_INVALID, d.role = WEIGHT_VECTOR);
        REFUSED(GLLM_INVALID, (d.parts[0].rows = 0, d.parts[1].rows = 0));
        REFUSED(GLLM_INVALID, d.parts[1].rows = UINT32_MAX);
        REFUSED(GLLM_UNSUPPORTED, d.parts[0].dtype = DTYPE_I32);
        REFUSED(GLLM_UNSUPPORTED, d.parts[0].dtype = (enum dtype)1000);
#undef REFUSED
    }
}

static void test_plans(void **state) {
    (void)state;
    static const uint32_t len[] = {40, 24};
    struct step step = step_make(step_layout_make(64, 2), len, NULL, 2, 0, 3);
    EACH(be) {
        const struct backend_ops *ops = be->ops;
        struct scene s;
        struct plan *plan;
        double us[3] = {-1, -1, -1}, more[3];
        scene_open(&s, be, &step, 4);
        struct view x = scene_view(&s, EXTENT_TOK, 0, 100, (struct draw){.spread = 1}),
                    y = scene_out(&s, EXTENT_TOK, 0, 120), p = scene_out(&s, EXTENT_SEQ, 0, 120);
        op_linear(&s.tape, "up",
                  &(struct op_linear){
                      .out = y,
                      .x = x,
                      .w = scene_weight(&s, WEIGHT_MATRIX, 120, 100, (struct storage){0}, (struct draw){.spread = 1})});
        op_norm(&s.tape, "norm", &(struct op_norm){.out = y, .x = y, .eps = 1e-5f});
        op_pool(&s.tape, "pool", &(struct op_pool){.out = p, .x = y, .modes = POOL_MEAN});
        FAILS(GLLM_INVALID, ops->exec(be, &s.tape, 4, 0, err));
        FAILS(GLLM_INVALID, ops->exec(be, &s.tape, 1, 3, err));
        FAILS(GLLM_INVALID, ops->exec(be, &s.tape, 2, SIZE_MAX, err));
        OK(ops->exec(be, &s.tape, 3, 0, err));
        OK(ops->plan(be, &s.tape, &plan, err));
        OK(ops->run(be, plan, err)); /* not measured */
        OK(ops->prof(be, plan, true, NULL, 0, err));
        for (int i = 0; i < 3; i++) OK(ops->run(be, plan, err));
        OK(ops->wait(be, err));
        OK(ops->prof(be, plan, false, us, 3, err));
        for (int i = 0; i < 3; i++) assert_true(us[i] >= 0 && us[i] < 60e6);
        assert_true(us[0] > 0);      /* 64 x 100 x 120 takes longer than a clock's tick */
        OK(ops->run(be, plan, err)); /* not measured either */
        OK(ops->wait(be, err));
        OK(ops->prof(be, plan, false, more, 3, err));
        assert_memory_equal(us, more, sizeof us);
        OK(ops->prof(be, plan, true, NULL, 0, err)); /* starts again from nothing */
        OK(ops->prof(be, plan, false, more, 3, err));
        for (int i = 0; i < 3; i++) assert_true(more[i] == 0);
        FAILS(GLLM_INVALID, ops->prof(be, plan, false, us, 4, err));
        ops->plan_free(be, plan);
        scene_close(&s);
    }
    free(step.words);
}

static int set_up(void **state) {
    (void)state;
    n_targets = targets_find(targets, true);
    for (size_t t = 0; t < n_targets; t++) OK(target_open(&targets[t], 2, &open_targets[t], err));
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++) targets[t].ops->close(open_targets[t]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),    cmocka_unit_test(test_describe), cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_weights), cmocka_unit_test(test_plans),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
