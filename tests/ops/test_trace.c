/* trace_compare: a backend that is wrong in one operation is caught there, and only there. */
#include "backend/trace.h"

#include "ops/op_harness.h"

enum { ROWS = 5, SEQS = 2, D = 6, N_OPS = 5 };

/* Backend ref with one wrong value: exec adds `delta` to one element of what operation `op` writes. */
static struct wrong {
    size_t op;
    uint32_t row, col;
    float delta;
} wrong;

static gllm_status wrong_exec(struct backend *be, const struct tape *t, size_t first, size_t count, gllm_error *err) {
    gllm_status status = backend_ref.exec(be, t, first, count, err);
    if (status != GLLM_OK || wrong.op < first || wrong.op >= first + count) return status;
    const struct view *v = op_out(&t->ops[wrong.op]);
    uint64_t at = v->offset + ((uint64_t)wrong.row * v->stride + wrong.col) * sizeof(float);
    float x;
    TRY(backend_ref.read(be, v->buf, at, &x, sizeof x, err));
    x += wrong.delta;
    return backend_ref.write(be, v->buf, at, &x, sizeof x, err);
}

static struct pair {
    struct backend_ops wrong_ops;
    struct backend *a, *b;
    struct step step;
    struct scene sa, sb;
} p;

static void record(struct scene *s, uint32_t gap) {
    const struct draw unit = {.spread = 1};
    struct tape *t = &s->tape;
    struct view x = scene_out(s, EXTENT_TOK, 0, D), y, q = scene_out(s, EXTENT_TOK, 0, 3 * D),
                h = scene_out(s, EXTENT_TOK, 0, D), out = scene_out(s, EXTENT_SEQ, 0, D);
    s->gap = gap; /* y is strided, in scene b otherwise than in scene a */
    y = scene_out(s, EXTENT_TOK, 0, D);
    op_embed(
        t, "embed",
        &(struct op_embed){.out = x, .word = scene_weight(s, WEIGHT_TABLE, N_VOCAB, D, (struct storage){0}, unit)});
    t->layer = 4;
    op_linear(t, "qkv",
              &(struct op_linear){
                  .out = q, .x = x, .w = scene_weight(s, WEIGHT_MATRIX, 3 * D, D, (struct storage){0}, unit)});
    op_attention(t, "attn",
                 &(struct op_attention){.out = y,
                                        .q = view_cols(q, 0, D),
                                        .k = view_cols(q, D, D),
                                        .v = view_cols(q, 2 * D, D),
                                        .n_head = 2,
                                        .n_kv = 2,
                                        .d_head = D / 2,
                                        .scale = 1});
    op_norm(t, "norm", &(struct op_norm){.out = h, .x = y, .res = x, .eps = 1e-5f});
    t->layer = -1;
    op_pool(t, "pool", &(struct op_pool){.out = out, .x = h, .modes = POOL_MEAN});
    OK(tape_finish(t, err));
    assert_int_equal(t->n_ops, N_OPS);
}

static int set_up(void **state) {
    (void)state;
    static const uint32_t len[SEQS] = {3, 2};
    p = (struct pair){.wrong_ops = backend_ref};
    p.wrong_ops.name = "wrong";
    p.wrong_ops.exec = wrong_exec;
    OK(backend_ref.open(&p.a, &(struct backend_options){0}, err));
    OK(backend_ref.open(&p.b, &(struct backend_options){0}, err));
    p.b->ops = &p.wrong_ops;
    p.step = step_make(step_layout_make(ROWS + 3, SEQS + 1), len, NULL, SEQS, 0, 5);
    scene_open(&p.sa, p.a, &p.step, 11);
    scene_open(&p.sb, p.b, &p.step, 11);
    record(&p.sa, 1);
    record(&p.sb, 5);
    wrong = (struct wrong){.op = SIZE_MAX};
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    scene_close(&p.sa);
    scene_close(&p.sb);
    free(p.step.words);
    backend_ref.close(p.a);
    backend_ref.close(p.b);
    return 0;
}

static struct trace_drift trace(double tolerance, char *text, size_t size) {
    struct trace_drift d;
    OK(trace_compare(p.a, &p.sa.tape, p.b, &p.sb.tape, tolerance, &d, text, size, err));
    return d;
}
static double largest_of(size_t op) {
    const struct view *v = op_out(&p.sa.tape.ops[op]);
    uint32_t *now = scene_read(&p.sa, scene_area(&p.sa, v->buf));
    double top = 0;
    for (uint32_t r = 0; r < rows_in_step(v, &p.step); r++)
        for (uint32_t c = 0; c < v->cols; c++)
            top = fmax(top, fabs((double)f32_from_bits(now[(size_t)r * v->stride + c])));
    free(now);
    return top;
}

static void test_no_drift(void **state) {
    (void)state;
    char text[200];
    struct trace_drift d = trace(0, text, sizeof text);
    assert_true(d.op == SIZE_MAX && d.worst == 0);
    assert_string_equal(text, "no operation of 5 drifts beyond 0; worst 0");
    assert_true(scene_stray_writes(&p.sb, text, sizeof text) == 0); /* writing a's rows back spares the gaps */
}

static void test_each_operation(void **state) {
    (void)state;
    for (size_t op = 0; op < N_OPS; op++) {
        const struct op *o = &p.sa.tape.ops[op];
        char text[400], start[80];
        wrong = (struct wrong){.op = op, .row = 1, .col = 2, .delta = 0.5f};
        struct trace_drift d = trace(1e-3, text, sizeof text);
        assert_int_equal(d.op, op);
        assert_int_equal(d.row, 1);
        assert_int_equal(d.col, 2);
        assert_true(fabs((double)d.b - (double)d.a - 0.5) < 1e-6);
        assert_true(fabs(d.error - 0.5 / largest_of(op)) < 1e-6);
        assert_true(d.worst == 0);
        snprintf(start, sizeof start, "operation %zu (%s, layer %d, %s) drifts: row 1 column 2 is ", op, o->label,
                 o->layer, op_name(o->kind));
        assert_true(strncmp(text, start, strlen(start)) == 0);
        assert_non_null(strstr(text, " on ref and "));
        assert_non_null(strstr(text, " on wrong, "));
    }
}

/* An error below the tolerance is reported as the worst, and the operations after it do not inherit it. */
static void test_operation_answers_for_itself(void **state) {
    (void)state;
    wrong = (struct wrong){.op = 1, .row = 4, .col = 17, .delta = 0.25f};
    struct trace_drift d = trace(0.9, NULL, 0);
    assert_true(d.op == SIZE_MAX);
    assert_true(fabs(d.worst - 0.25 / largest_of(1)) < 1e-6);
    scene_reset(&p.sb);
    for (size_t i = 0; i < N_OPS; i++) OK(p.b->ops->exec(p.b, &p.sb.tape, i, 1, err)); /* left alone, it spreads */
    uint32_t *a = scene_read(&p.sa, scene_area(&p.sa, op_out(&p.sa.tape.ops[4])->buf)),
             *b = scene_read(&p.sb, scene_area(&p.sb, op_out(&p.sb.tape.ops[4])->buf));
    assert_true(memcmp(a, b, SEQS * D * sizeof *a) != 0);
    free(a);
    free(b);
}

static void test_not_finite(void **state) {
    (void)state;
    static const float deltas[] = {NAN, INFINITY, -INFINITY};
    for (unsigned i = 0; i < 3; i++) {
        wrong = (struct wrong){.op = 2, .row = 0, .col = 5, .delta = deltas[i]};
        struct trace_drift d = trace(1e30, NULL, 0);
        assert_int_equal(d.op, 2);
        assert_int_equal(d.col, 5);
        assert_true(isinf(d.error) && d.error > 0);
    }
}

static void test_beyond_the_step(void **state) {
    (void)state;
    wrong = (struct wrong){.op = 2, .row = ROWS, .delta = 1}; /* a row that this step does not have */
    assert_true(trace(0, NULL, 0).op == SIZE_MAX);
    struct step empty = step_make(p.step.layout, NULL, NULL, 0, 0, 5);
    wrong = (struct wrong){.op = SIZE_MAX};
    scene_write_step(&p.sa, &empty);
    scene_write_step(&p.sb, &empty);
    assert_true(trace(0, NULL, 0).op == SIZE_MAX);
    free(empty.words);
}

static void expect_invalid(const struct tape *tb, const char *message) {
    struct trace_drift d;
    gllm_error err = {0};
    assert_int_equal(trace_compare(p.a, &p.sa.tape, p.b, tb, 0, &d, NULL, 0, &err), GLLM_INVALID);
    assert_string_equal(err.message, message);
    assert_true(d.op == SIZE_MAX);
}

static void test_other_tapes(void **state) {
    (void)state;
    struct tape t = p.sb.tape;
    t.n_ops = 3;
    expect_invalid(&t, "tapes of 5 and 3 operations");
    struct op ops[N_OPS];
    memcpy(ops, p.sb.tape.ops, sizeof ops);
    t = p.sb.tape;
    t.ops = ops;
    ops[1].linear.out.cols = 12;
    expect_invalid(&t, "operation 1 is linear to [8,18] (qkv) on one tape and linear to [8,12] (qkv) on the other");
    ops[1] = ops[3];
    expect_invalid(&t, "operation 1 is linear to [8,18] (qkv) on one tape and norm to [8,6] (norm) on the other");
    t = p.sb.tape;
    t.layout.cap_tok = 9;
    expect_invalid(&t, "tapes for 8 and 9 tokens, 3 and 3 sequences");
    struct step other = step_make(p.step.layout, (const uint32_t[]){4}, NULL, 1, 0, 5);
    scene_write_step(&p.sb, &other);
    expect_invalid(&p.sb.tape, "steps of 5 tokens in 2 sequences and of 4 in 1");
    free(other.words);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_no_drift),   T(test_each_operation),  T(test_operation_answers_for_itself),
        T(test_not_finite), T(test_beyond_the_step), T(test_other_tapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
