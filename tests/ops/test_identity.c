/* test_identity.c - what a backend promises bit for bit: a sequence has the same result alone, in any batch, at any
 * place in it, next to a sequence of NaNs, on any number of threads, by exec or by plan and run. An encoder layer with
 * a pooled head is the specimen, since it has every operation, and what every one of them wrote is compared. */
#include "ops/op_harness.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

struct shape {
    uint32_t d, n_head, n_kv, d_head, d_ff;
    int32_t radius;
    enum act_kind act;
    bool small; /* cheap enough for the reference */
    uint32_t rope, window; /* rope: columns; 0: none, and then no norm of heads */
    bool causal;
    float soft_cap;
};
static const struct shape SHAPES[] = {
    {33, 3, 3, 11, 65, -1, ACT_GELU, .small = true},
    {100, 4, 2, 26, 31, 5, ACT_SILU, .small = true},
    {1, 1, 1, 1, 1, 0, ACT_TANH, .small = true},
    {384, 12, 12, 32, 768, -1, ACT_GELU, .small = false},
    {312, 12, 4, 26, 1200, 32, ACT_GELU_TANH, .small = false},
    {64, 4, 2, 16, 96, -1, ACT_SILU, .small = true, .rope = 16, .causal = true},
    {96, 6, 2, 24, 100, -1, ACT_GELU, .small = true, .rope = 8, .window = 9, .soft_cap = 5},
    {384, 6, 3, 128, 768, 3, ACT_SILU, .small = false, .rope = 128, .causal = true, .window = 20},
};
static const uint32_t LEN[] = {1, 7, 13, 64, 2, 31, 33, 5, 65, 100, 1, 12, 24};
enum { N = LENGTH(LEN), NAN_SEQ = 4 };
static const uint32_t CAP_TOK = 1 + 7 + 13 + 64 + 2 + 31 + 33 + 5 + 65 + 100 + 1 + 12 + 24, MAX_LEN = 100;

static struct target targets[MAX_TARGETS];
static size_t n_targets;

static void record(struct scene *s, const struct shape *h) {
    const struct draw unit = {.spread = 1}, small = {.spread = 1 / sqrtf((float)h->d)},
                      near_one = {.spread = 0.5f, .offset = 1};
    const struct storage f32 = {0}, f16 = {.dtype = DTYPE_F16}, fused = {.n_parts = 3};
    struct tape *t = &s->tape;
    uint32_t wide = h->n_head * h->d_head, narrow = h->n_kv * h->d_head;
    struct view x0 = scene_out(s, EXTENT_TOK, 0, h->d), qkv = scene_out(s, EXTENT_TOK, 0, wide + 2 * narrow),
                att = scene_out(s, EXTENT_TOK, 0, wide);
    struct view x1 = scene_out(s, EXTENT_TOK, 0, h->d), x2 = scene_out(s, EXTENT_TOK, 0, h->d),
                up = scene_out(s, EXTENT_TOK, 0, h->d_ff);
    struct view x3 = scene_out(s, EXTENT_TOK, 0, h->d), x4 = scene_out(s, EXTENT_TOK, 0, h->d),
                pooled = scene_out(s, EXTENT_SEQ, 0, 6 * h->d);
    struct view head = scene_out(s, EXTENT_SEQ, 0, h->d), unit_head = scene_out(s, EXTENT_SEQ, 0, h->d);
    const struct weight *rel =
        h->radius < 0 ? NULL : scene_weight(s, WEIGHT_TABLE, h->n_head, 2 * (uint32_t)h->radius + 1, f32, unit);

    op_embed(t, "embed",
             &(struct op_embed){.out = x0,
                                .eps = 1e-12f,
                                .word = scene_weight(s, WEIGHT_TABLE, N_VOCAB, h->d, f32,
                                                     (struct draw){.spread = 1, .last_nan = true}),
                                .pos = scene_weight(s, WEIGHT_TABLE, MAX_LEN + FIRST_POS, h->d, f16, unit),
                                .type = scene_weight(s, WEIGHT_TABLE, N_TYPES, h->d, f32, unit),
                                .norm_w = scene_weight(s, WEIGHT_VECTOR, 1, h->d, f32, near_one)});
    op_linear(t, "attn.qkv",
              &(struct op_linear){
                  .out = qkv, .x = x0, .w = scene_weight(s, WEIGHT_MATRIX, wide + 2 * narrow, h->d, fused, small)});
    if (h->rope) {
        struct view rope = scene_out(s, EXTENT_TOK, 0, h->rope);
        op_rope(t, "rope", &(struct op_rope){.out = rope, .scale = 1, .freq = scene_weight(s, WEIGHT_VECTOR, 1, h->rope / 2, f32, near_one)});
        op_rotate(t, "rotate",
                  &(struct op_rotate){.out = view_cols(qkv, 0, wide + narrow),
                                      .rope = rope,
                                      .q_norm = scene_weight(s, WEIGHT_VECTOR, 1, h->d_head, f32, near_one),
                                      .k_norm = scene_weight(s, WEIGHT_VECTOR, 1, narrow, f32, near_one),
                                      .n_head = h->n_head,
                                      .n_kv = h->n_kv,
                                      .d_head = h->d_head,
                                      .eps = 1e-6f});
    }
    op_attention(t, "attn",
                 &(struct op_attention){.out = att,
                                        .q = view_cols(qkv, 0, wide),
                                        .k = view_cols(qkv, wide, narrow),
                                        .v = view_cols(qkv, wide + narrow, narrow),
                                        .rel = rel,
                                        .n_head = h->n_head,
                                        .n_kv = h->n_kv,
                                        .d_head = h->d_head,
                                        .window = h->window,
                                        .causal = h->causal,
                                        .scale = 1 / sqrtf((float)h->d_head),
                                        .soft_cap = h->soft_cap});
    op_linear(t, "attn.out",
              &(struct op_linear){
                  .out = x1, .x = att, .res = x0, .w = scene_weight(s, WEIGHT_MATRIX, h->d, wide, f16, small)});
    op_norm(t, "norm.rms",
            &(struct op_norm){.out = x2,
                              .x = x1,
                              .kind = NORM_RMS,
                              .eps = 1e-6f,
                              .w = scene_weight(s, WEIGHT_VECTOR, 1, h->d, f32, near_one)});
    op_linear(t, "ffn.up",
              &(struct op_linear){.out = up,
                                  .x = x2,
                                  .act = h->act,
                                  .w = scene_weight(s, WEIGHT_MATRIX, h->d_ff, h->d, f32, small),
                                  .bias = scene_weight(s, WEIGHT_VECTOR, 1, h->d_ff, f32, unit)});
    op_linear(t, "ffn.down",
              &(struct op_linear){.out = x3, .x = up, .w = scene_weight(s, WEIGHT_MATRIX, h->d, h->d_ff, f32, small)});
    op_norm(t, "norm.layer", &(struct op_norm){.out = x4, .x = x3, .res = x2, .kind = NORM_LAYER, .eps = 1e-12f});
    op_pool(t, "pool", &(struct op_pool){.out = pooled, .x = x4, .modes = POOL_ALL});
    op_linear(
        t, "head",
        &(struct op_linear){.out = head, .x = pooled, .w = scene_weight(s, WEIGHT_MATRIX, h->d, 6 * h->d, f32, small)});
    op_norm(t, "norm.l2", &(struct op_norm){.out = unit_head, .x = head, .kind = NORM_L2, .eps = 1e-12f});
    OK(tape_finish(t, err));
}

/* What every operation wrote: one area for each. */
struct result {
    uint32_t *op[16];
    size_t n_ops;
};
static struct result result_read(const struct scene *s) {
    struct result r = {.n_ops = s->tape.n_ops};
    assert_true(r.n_ops <= LENGTH(r.op));
    for (size_t i = 0; i < r.n_ops; i++) r.op[i] = scene_read(s, scene_area(s, op_out(&s->tape.ops[i])->buf));
    return r;
}
static void result_free(struct result *r) {
    for (size_t i = 0; i < r->n_ops; i++) free(r->op[i]);
}

/* Sequence `sa` of scene a and `sb` of scene b hold the same bits after every operation. */
static void assert_same(const char *what, const struct scene *a, const struct result *ra, uint32_t sa,
                        const struct scene *b, const struct result *rb, uint32_t sb) {
    const uint32_t *wa = a->step->words + a->step->layout.starts, *wb = b->step->words + b->step->layout.starts;
    for (size_t i = 0; i < a->tape.n_ops; i++) {
        const struct view *va = op_out(&a->tape.ops[i]), *vb = op_out(&b->tape.ops[i]);
        bool by_token = va->extent == EXTENT_TOK;
        uint32_t first_a = by_token ? wa[sa] : sa, first_b = by_token ? wb[sb] : sb,
                 rows = by_token ? wa[sa + 1] - wa[sa] : 1;
        for (uint32_t r = 0; r < rows; r++) {
            const uint32_t *pa = ra->op[i] + va->offset / 4 + (size_t)(first_a + r) * va->stride,
                           *pb = rb->op[i] + vb->offset / 4 + (size_t)(first_b + r) * vb->stride;
            for (uint32_t c = 0; c < va->cols; c++)
                if (pa[c] != pb[c])
                    fail_msg("%s: sequence of %u tokens, %s: row %u column %u is %.9g and %.9g", what,
                             wa[sa + 1] - wa[sa], a->tape.ops[i].label, r, c, (double)f32_from_bits(pa[c]),
                             (double)f32_from_bits(pb[c]));
        }
    }
}

static struct step whole_step(struct step_layout layout, const uint32_t *order) {
    uint32_t len[N];
    for (uint32_t i = 0; i < N; i++) len[i] = LEN[order[i]];
    return step_make(layout, len, order, N, 0, 7);
}
static void exec_all(struct scene *s) {
    OK(s->be->ops->exec(s->be, &s->tape, 0, s->tape.n_ops, err));
    OK(s->be->ops->wait(s->be, err));
}

typedef void (*specimen_fn)(const char *what, struct backend *be, const struct shape *h, const struct target *t);
static void each(specimen_fn fn) {
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned i = 0; i < LENGTH(SHAPES); i++) {
            char what[64];
            struct backend *be;
            if (targets[t].ops == &backend_ref && !SHAPES[i].small) continue;
            snprintf(what, sizeof what, "%.40s, d %u", targets[t].name, SHAPES[i].d);
            OK(target_open(&targets[t], 2, &be, err));
            fn(what, be, &SHAPES[i], &targets[t]);
            be->ops->close(be);
        }
}

/* In order, in reverse, and alone in buffers that fit exactly. */
static void batch_specimen(const char *what, struct backend *be, const struct shape *h, const struct target *t) {
    (void)t;
    uint32_t forward[N], reverse[N];
    for (uint32_t i = 0; i < N; i++) forward[i] = i, reverse[i] = N - 1 - i;
    struct step_layout layout = step_layout_make(CAP_TOK + 9, N + 3);
    struct step step = whole_step(layout, forward), back = whole_step(layout, reverse);
    struct scene s, r;
    scene_open(&s, be, &step, 99);
    record(&s, h);
    exec_all(&s);
    struct result base = result_read(&s);
    scene_open(&r, be, &back, 99);
    record(&r, h);
    exec_all(&r);
    struct result other = result_read(&r);
    for (uint32_t i = 0; i < N; i++) assert_same(what, &s, &base, i, &r, &other, N - 1 - i);
    result_free(&other);
    scene_close(&r);
    for (uint32_t i = 0; i < N; i++) {
        struct step single = step_make(step_layout_make(LEN[i], 1), &LEN[i], &i, 1, 0, 7);
        scene_open(&r, be, &single, 99);
        record(&r, h);
        exec_all(&r);
        other = result_read(&r);
        assert_same(what, &s, &base, i, &r, &other, 0);
        result_free(&other);
        scene_close(&r);
        free(single.words);
    }
    result_free(&base);
    scene_close(&s);
    free(step.words);
    free(back.words);
}
static void test_batch(void **state) {
    (void)state;
    each(batch_specimen);
}

/* A token whose vector is NaN, and what it does to its own sequence, stays there. */
static void nan_specimen(const char *what, struct backend *be, const struct shape *h, const struct target *t) {
    (void)t;
    uint32_t forward[N];
    for (uint32_t i = 0; i < N; i++) forward[i] = i;
    struct step_layout layout = step_layout_make(CAP_TOK, N);
    struct step clean = whole_step(layout, forward), bad = whole_step(layout, forward);
    bad.words[layout.tokens + bad.words[layout.starts + NAN_SEQ]] = N_VOCAB - 1;
    struct scene s;
    scene_open(&s, be, &clean, 99);
    record(&s, h);
    exec_all(&s);
    struct result base = result_read(&s);
    scene_write_step(&s, &bad);
    scene_reset(&s);
    exec_all(&s);
    struct result other = result_read(&s);
    assert_true(isnan(f32_from_bits(other.op[0][(size_t)bad.words[layout.starts + NAN_SEQ] * h->d])));
    for (uint32_t i = 0; i < N; i++)
        if (i != NAN_SEQ) assert_same(what, &s, &base, i, &s, &other, i);
    result_free(&base);
    result_free(&other);
    scene_close(&s);
    free(clean.words);
    free(bad.words);
}
static void test_nan_stays_in_its_sequence(void **state) {
    (void)state;
    each(nan_specimen);
}

static void threads_specimen(const char *what, struct backend *be, const struct shape *h, const struct target *t) {
    uint32_t forward[N];
    for (uint32_t i = 0; i < N; i++) forward[i] = i;
    struct step step = whole_step(step_layout_make(CAP_TOK, N), forward);
    struct scene s, r;
    scene_open(&s, be, &step, 99);
    record(&s, h);
    exec_all(&s);
    struct result base = result_read(&s);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        struct backend *other_be;
        OK(target_open(t, threads, &other_be, err));
        scene_open(&r, other_be, &step, 99);
        record(&r, h);
        exec_all(&r);
        struct result other = result_read(&r);
        for (uint32_t i = 0; i < N; i++) assert_same(what, &s, &base, i, &r, &other, i);
        result_free(&other);
        scene_close(&r);
        other_be->ops->close(other_be);
    }
    result_free(&base);
    scene_close(&s);
    free(step.words);
}
static void test_threads(void **state) {
    (void)state;
    each(threads_specimen);
}

/* One plan for steps that grow, shrink and are empty; against exec, whole and op by op. */
static void plan_specimen(const char *what, struct backend *be, const struct shape *h, const struct target *t) {
    (void)t;
    static const uint32_t starts[] = {0, 5, 0, 12, 3}, counts[] = {1, 4, N, 0, 10};
    struct step_layout layout = step_layout_make(CAP_TOK, N);
    struct step empty = step_make(layout, NULL, NULL, 0, 0, 7);
    struct scene s;
    struct plan *plan;
    scene_open(&s, be, &empty, 99);
    record(&s, h);
    OK(be->ops->plan(be, &s.tape, &plan, err));
    for (unsigned i = 0; i < LENGTH(starts); i++) {
        uint32_t ids[N];
        for (uint32_t k = 0; k < counts[i]; k++) ids[k] = starts[i] + k;
        struct step step = step_make(layout, LEN + starts[i], ids, counts[i], 0, 7);
        scene_write_step(&s, &step);
        scene_reset(&s);
        OK(be->ops->run(be, plan, err));
        OK(be->ops->wait(be, err));
        struct result ran = result_read(&s);
        scene_reset(&s);
        exec_all(&s);
        struct result whole = result_read(&s);
        scene_reset(&s);
        for (size_t o = 0; o < s.tape.n_ops; o++) OK(be->ops->exec(be, &s.tape, o, 1, err));
        struct result single = result_read(&s);
        for (uint32_t k = 0; k < counts[i]; k++) {
            assert_same(what, &s, &ran, k, &s, &whole, k);
            assert_same(what, &s, &ran, k, &s, &single, k);
        }
        result_free(&ran);
        result_free(&whole);
        result_free(&single);
        scene_write_step(&s, &empty);
        free(step.words);
    }
    be->ops->plan_free(be, plan);
    scene_close(&s);
    free(empty.words);
}
static void test_plan(void **state) {
    (void)state;
    each(plan_specimen);
}

static int set_up(void **state) {
    (void)state;
    n_targets = targets_find(targets, true);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_nan_stays_in_its_sequence),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
