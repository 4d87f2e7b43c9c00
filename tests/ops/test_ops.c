/* test_ops.c - every operation x shapes x backends x instruction levels against the reference.
 *
 * test_ops [WORD] runs the cases whose backend or description contains WORD ("avx2", "linear [7,385]", "gelu"). */
#include "ops/op_cases.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
enum { SHOWN_FAILURES = 5, TEST_THREADS = 2 };

static struct target targets[MAX_TARGETS];
static struct backend *open_targets[MAX_TARGETS], *ref;
static size_t n_targets;
static const char *filter = "";
static unsigned n_checked;
static struct tally {
    unsigned cases, failures;
    double worst; /* error in parts of what is allowed */
    char worst_case[400];
} tally[MAX_TARGETS + 1]; /* the last is the reference's own: it may not write astray either */

static void failure(size_t t, const char *name, const char *format, ...) GLLM_PRINTF(3, 4);
static void failure(size_t t, const char *name, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (tally[t].failures++ < SHOWN_FAILURES)
        print_error("%s: %s: %s\n", t == n_targets ? "ref" : targets[t].name, name, text);
}

/* Counts of `n_rows` rows of the output that are not what the reference has. */
static void compare_out(size_t t, const char *name, const struct scene *want, const struct scene *got, double allowed) {
    const struct view *v = op_out(&want->tape.ops[0]), *v2 = op_out(&got->tape.ops[0]);
    uint32_t *a = scene_read(want, scene_area(want, v->buf)), *b = scene_read(got, scene_area(got, v2->buf));
    double worst = 0;
    uint32_t at_row = 0, at_col = 0;
    float x = 0, y = 0;
    for (uint32_t r = 0; r < rows_in_step(v, want->step); r++)
        for (uint32_t c = 0; c < v->cols; c++) {
            uint64_t i = v->offset / sizeof(float) + (uint64_t)r * v->stride + c;
            double e = fabs((double)f32_from_bits(a[i]) - (double)f32_from_bits(b[i]));
            if (!isfinite(f32_from_bits(a[i])))
                fail_msg("%s: the reference's row %u column %u is not finite", name, r, c);
            if (!(e <= worst) && isfinite(worst))
                worst = isfinite(e) ? e : INFINITY, at_row = r, at_col = c, x = f32_from_bits(a[i]),
                y = f32_from_bits(b[i]);
        }
    if (worst > allowed)
        failure(t, name, "row %u column %u is %.9g, expected %.9g: off by %.3g, allowed %.3g", at_row, at_col,
                (double)y, (double)x, worst, allowed);
    if (worst / allowed > tally[t].worst) {
        tally[t].worst = worst / allowed;
        snprintf(tally[t].worst_case, sizeof tally[t].worst_case, "%s", name);
    }
    free(a);
    free(b);
}

static void run_scene(struct scene *s, size_t t, const char *name) {
    char text[160];
    OK(s->be->ops->exec(s->be, &s->tape, 0, s->tape.n_ops, err));
    OK(s->be->ops->wait(s->be, err));
    size_t strays = scene_stray_writes(s, text, sizeof text);
    if (strays) failure(t, name, "wrote %zu words outside the output: %s", strays, text);
}

static void check(const struct op_case *c) {
    static uint64_t seed; /* each case has numbers of its own */
    char name[400];
    struct scene want, got;
    bool all, none = true;
    case_name(name, sizeof name, c);
    all = strstr(name, filter) != NULL;
    seed++;
    for (size_t t = 0; t < n_targets; t++) none &= !all && !strstr(targets[t].name, filter);
    if (none && n_targets) return;
    n_checked++;
    struct step_layout layout = step_layout_make(sum_of(c->len, c->n_seq) + c->spare, c->n_seq + c->spare);
    struct step step = step_make(layout, c->len, NULL, c->n_seq, c->skip, seed);
    scene_open(&want, ref, &step, seed);
    case_record(&want, c);
    run_scene(&want, n_targets, name);
    for (size_t t = 0; t < n_targets; t++) {
        if (!all && !strstr(targets[t].name, filter)) continue;
        scene_open(&got, open_targets[t], &step, seed);
        case_record(&got, c);
        run_scene(&got, t, name);
        compare_out(t, name, &want, &got, TOLERANCE[c->kind] * 0x1p-23 * (c->scale > 0 ? c->scale : 1));
        scene_close(&got);
        tally[t].cases++;
    }
    scene_close(&want);
    free(step.words);
}

/* Says how the operation went and fails when a case did. */
static void verdict(const char *what) {
    unsigned failures = 0;
    for (size_t t = 0; t <= n_targets; t++) {
        if (t < n_targets && tally[t].cases)
            print_message("%-14s %-10s %5u cases, worst error %.2f of what is allowed (%s)\n", targets[t].name, what,
                          tally[t].cases, tally[t].worst, tally[t].worst_case);
        if (tally[t].failures)
            print_error("%s: %s: %u failures\n", t < n_targets ? targets[t].name : "ref", what, tally[t].failures);
        failures += tally[t].failures;
        tally[t] = (struct tally){0};
    }
    assert_int_equal(failures, 0);
}

/* ---- shapes ---- */

static const uint32_t WIDTHS[] = {1, 5, 17, 31, 33, 48, 64, 96, 100, 312, 384, 385, 768, 1536};
static const uint32_t ROWS[] = {1, 3, 7, 13, 31, 33, 63, 65, 100, 129};
static const uint32_t ONE[] = {1}, FEW[] = {2, 1, 3}, MIXED[] = {1, 7, 13, 31, 33}, BROAD[] = {63, 1, 65, 100},
                      LONG[] = {513}, LONGER[] = {129, 1, 600}, HOLLOW[] = {0, 5, 0, 1, 33, 0};
static uint32_t STAIRS[70]; /* 1..70 */
static const struct {
    const uint32_t *len;
    uint32_t n;
} BATCHES[] = {{ONE, 1}, {FEW, 3}, {MIXED, 5}, {BROAD, 4}, {HOLLOW, 6}, {LONG, 1}, {STAIRS, 70}, {LONGER, 3}};

/* Varies with `i` what no case should depend on: capacity, strides, offsets, guards and how weights are stored. */
static struct op_case varied(enum op_kind kind, unsigned i) {
    static const uint32_t gaps[] = {0, 1, 0, 7, 16, 0, 3}, shifts[] = {0, 1, 3, 0, 16}, guards[] = {19, 0, 1, 64};
    struct op_case c = {.kind = kind, .len = ONE, .n_seq = 1, .spare = i % 3 == 2 ? i % 11 : 0};
    c.gap = gaps[i % LENGTH(gaps)];
    c.shift = shifts[i % LENGTH(shifts)];
    c.guard = guards[i % LENGTH(guards)];
    c.storage =
        (struct storage){.dtype = (enum dtype)(i % 3), .n_parts = 1 + i / 2 % 4, .hole = i % 5 == 1, .odd = i % 7 == 3};
    return c;
}

static void linear_case(unsigned i, struct linear_case e) {
    struct op_case c = varied(OP_LINEAR, i);
    uint32_t len[1] = {e.extent == EXTENT_TOK ? e.rows : 2}, ones[160];
    c.len = len;
    if (e.extent == EXTENT_SEQ) {
        for (uint32_t r = 0; r < e.rows; r++) ones[r] = 1;
        c.len = ones;
        c.n_seq = e.rows;
    }
    e.spread = e.spread > 0 ? e.spread : 1;
    c.scale = (e.k == 1 ? 0.25 : 1 + sqrt(e.k)) *
              (double)e.spread; /* of one product, no more than the activation's own error */
    c.linear = e;
    check(&c);
}

static void test_linear(void **state) {
    (void)state;
    unsigned i = 0;
    for (unsigned k = 0; k < LENGTH(WIDTHS); k++)
        for (unsigned n = 0; n < LENGTH(WIDTHS); n++, i++) {
            uint32_t rows = ROWS[(3 * k + 7 * n) % LENGTH(ROWS)];
            while ((uint64_t)rows * WIDTHS[k] * WIDTHS[n] > 16u << 20) rows = rows / 2 + 1;
            linear_case(i, (struct linear_case){.rows = rows,
                                                .k = WIDTHS[k],
                                                .n = WIDTHS[n],
                                                .act = (enum act_kind)(i % ACT_COUNT),
                                                .alias = (enum alias)(i / 2 % 3),
                                                .extent = i % 6 == 5 ? EXTENT_FIXED : EXTENT_TOK,
                                                .bias = i % 3 != 0});
        }
    static const uint32_t pairs[][2] = {{17, 33}, {384, 96}, {96, 100}, {33, 5}};
    for (unsigned p = 0; p < LENGTH(pairs); p++)
        for (unsigned r = 0; r < LENGTH(ROWS); r++, i++)
            linear_case(
                i,
                (struct linear_case){
                    .rows = ROWS[r], .k = pairs[p][0], .n = pairs[p][1], .bias = true, .extent = (enum extent)(i % 3)});
    for (unsigned act = 0; act < ACT_COUNT; act++)
        for (unsigned form = 0; form < 6; form++, i++)
            linear_case(i, (struct linear_case){.rows = 9,
                                                .k = 20,
                                                .n = 37,
                                                .act = (enum act_kind)act,
                                                .bias = form % 2,
                                                .alias = (enum alias)(form / 2),
                                                .extent = EXTENT_TOK});
    verdict("linear");
}

/* Activations alone, near zero and far: where 1 - 2 / (e^2y + 1) cancels, exp overflows, a cube does, and a result is
 * all but zero. */
static void test_linear_magnitudes(void **state) {
    (void)state;
    static const float spreads[] = {1e-30f, 1e-4f, 0.25f, 1.5f, 6, 12, 40, 100, 1e4f, 1e15f};
    unsigned i = 0;
    for (unsigned act = 0; act < ACT_COUNT; act++)
        for (unsigned m = 0; m < LENGTH(spreads); m++, i++)
            linear_case(i, (struct linear_case){.rows = 33,
                                                .k = 1,
                                                .n = 65,
                                                .act = (enum act_kind)act,
                                                .extent = EXTENT_TOK,
                                                .spread = spreads[m]});
    verdict("linear");
}

static void norm_case(unsigned i, struct norm_case e) {
    struct op_case c = varied(OP_NORM, i);
    uint32_t len[160] = {e.rows};
    c.len = len;
    if (e.extent == EXTENT_SEQ) {
        for (uint32_t r = 0; r < e.rows; r++) len[r] = 1;
        c.n_seq = e.rows;
    }
    c.scale = 3; /* weights to 1.5, and values to about 2 standard deviations */
    if (e.kind == NORM_LAYER)
        c.scale *= 1 + fabs((double)e.offset / (double)e.spread); /* x + res is rounded before the mean leaves */
    c.norm = e;
    check(&c);
}

static void test_norm(void **state) {
    (void)state;
    unsigned i = 0;
    for (unsigned kind = NORM_LAYER; kind <= NORM_L2; kind++)
        for (unsigned d = 0; d < LENGTH(WIDTHS); d++)
            for (unsigned alias = RES_NONE; alias <= X_OUT; alias++, i++)
                norm_case(i, (struct norm_case){.rows = ROWS[i * 7 % LENGTH(ROWS)],
                                                .d = WIDTHS[d],
                                                .kind = (enum norm_kind)kind,
                                                .alias = (enum alias)alias,
                                                .extent = (enum extent)(i % 3),
                                                .w = i % 4 != 3,
                                                .b = i / 3 % 3 != 1,
                                                .spread = 1});
    static const float offsets[] = {0, 3, 100};
    for (unsigned kind = NORM_LAYER; kind <= NORM_L2; kind++)
        for (unsigned o = 0; o < LENGTH(offsets); o++, i++)
            norm_case(i, (struct norm_case){.rows = 13,
                                            .d = 384,
                                            .kind = (enum norm_kind)kind,
                                            .alias = RES_OTHER,
                                            .extent = EXTENT_TOK,
                                            .w = true,
                                            .b = true,
                                            .spread = 1,
                                            .offset = offsets[o]});
    for (unsigned kind = NORM_LAYER; kind <= NORM_L2; kind++, i++) /* |x| below eps: 1e-20 * sqrt(100) */
        norm_case(
            i,
            (struct norm_case){
                .rows = 7, .d = 100, .kind = (enum norm_kind)kind, .extent = EXTENT_SEQ, .w = true, .spread = 1e-20f});
    verdict("norm");
}

static void test_norm_zero_rows(void **state) {
    (void)state;
    for (unsigned kind = NORM_LAYER; kind <= NORM_L2; kind++)
        for (unsigned d = 0; d < LENGTH(WIDTHS); d++)
            norm_case(d, (struct norm_case){.rows = 3,
                                            .d = WIDTHS[d],
                                            .kind = (enum norm_kind)kind,
                                            .extent = EXTENT_TOK,
                                            .w = d % 2,
                                            .spread = 1,
                                            .zero_rows = true});
    verdict("norm");
}

static void test_embed(void **state) {
    (void)state;
    static const uint32_t widths[] = {1, 5, 17, 32, 33, 100, 312, 384, 768};
    unsigned i = 0;
    for (unsigned d = 0; d < LENGTH(widths); d++)
        for (unsigned form = 0; form < 12; form++, i++) {
            struct op_case c = varied(OP_EMBED, i);
            unsigned batch = i % 6;
            c.len = BATCHES[batch].len;
            c.n_seq = BATCHES[batch].n;
            c.embed = (struct embed_case){
                .d = widths[d], .pos = form & 1, .type = form & 2, .norm = form >= 4, .norm_b = form >= 8};
            c.scale = 2;
            check(&c);
        }
    verdict("embed");
}

static const struct {
    uint32_t n_head, n_kv, d_head;
} HEADS[] = {{1, 1, 1},  {5, 5, 1},  {3, 3, 8},  {2, 1, 20}, {12, 12, 26}, {12, 4, 32}, {12, 12, 32},
             {3, 1, 33}, {4, 2, 64}, {2, 2, 80}, {3, 1, 96}, {2, 1, 128},  {7, 7, 5}};

static void test_attention(void **state) {
    (void)state;
    static const int32_t radii[] = {-1, 0, 1, -1, 5, 32, -1, 127, 700};
    unsigned i = 0;
    for (unsigned b = 0; b < LENGTH(BATCHES); b++)
        for (unsigned h = 0; h < LENGTH(HEADS); h++, i++) {
            if (b >= 5 && HEADS[h].n_head * HEADS[h].d_head > 128 && (b + h) % 4)
                continue; /* the reference takes its time */
            struct op_case c = varied(OP_ATTENTION, i);
            c.len = BATCHES[b].len;
            c.n_seq = BATCHES[b].n;
            c.attention = (struct attention_case){.n_head = HEADS[h].n_head,
                                                  .n_kv = HEADS[h].n_kv,
                                                  .d_head = HEADS[h].d_head,
                                                  .radius = radii[(i + b) % LENGTH(radii)],
                                                  .packed = i % 2};
            check(&c);
        }
    verdict("attention");
}

/* Every mask, with and without a relative bias and a cap, on windows below, at and above what a tile and a panel hold. */
static void test_attention_masks(void **state) {
    (void)state;
    static const uint32_t windows[] = {0, 1, 2, 5, 12, 31, 64, 65, 200, 512, UINT32_MAX};
    static const float caps[] = {0, 2, 0, 50};
    unsigned i = 0;
    for (unsigned b = 0; b < LENGTH(BATCHES); b++)
        for (unsigned w = 0; w < LENGTH(windows); w++)
            for (unsigned causal = 0; causal < 2; causal++, i++) {
                const unsigned h = i % LENGTH(HEADS);
                if (b >= 5 && HEADS[h].n_head * HEADS[h].d_head > 128 && i % 3) continue; /* the reference takes its time */
                struct op_case c = varied(OP_ATTENTION, i);
                c.len = BATCHES[b].len;
                c.n_seq = BATCHES[b].n;
                c.attention = (struct attention_case){.n_head = HEADS[h].n_head,
                                                      .n_kv = HEADS[h].n_kv,
                                                      .d_head = HEADS[h].d_head,
                                                      .radius = i % 5 == 2 ? (int32_t)(i % 40) : -1,
                                                      .packed = i % 2,
                                                      .causal = causal,
                                                      .window = windows[w],
                                                      .soft_cap = caps[i / 2 % LENGTH(caps)]};
                check(&c);
            }
    verdict("masks");
}

/* Logits that are exact in f32 and reach +-1e4: a softmax that does not take the largest away overflows, one that does
 * is exact. */
static void test_attention_magnitudes(void **state) {
    (void)state;
    static const float logits[] = {30, 100, 1e3f, 1e4f};
    unsigned i = 0;
    for (unsigned m = 0; m < LENGTH(logits); m++)
        for (unsigned h = 0; h < LENGTH(HEADS); h++, i++) {
            struct op_case c = varied(OP_ATTENTION, i);
            unsigned batch = 1 + i % 3;
            c.len = BATCHES[batch].len;
            c.n_seq = BATCHES[batch].n;
            c.attention = (struct attention_case){.n_head = HEADS[h].n_head,
                                                  .n_kv = HEADS[h].n_kv,
                                                  .d_head = HEADS[h].d_head,
                                                  .radius = -1,
                                                  .logits = logits[m],
                                                  .causal = i % 2,
                                                  .window = i / 2 % 4 == 3 ? 6 : 0};
            check(&c);
        }
    verdict("attention");
}

static void test_rotate(void **state) {
    (void)state;
    unsigned i = 0;
    for (unsigned h = 0; h < LENGTH(HEADS); h++)
        for (unsigned form = 0; form < 12; form++, i++) {
            const uint32_t d = HEADS[h].d_head, even = d / 2 * 2, part = d / 4 * 2;
            struct op_case c = varied(OP_ROTATE, i);
            c.len = BATCHES[i % 5].len;
            c.n_seq = BATCHES[i % 5].n;
            c.scale = 2;
            c.rotate = (struct rotate_case){.n_head = HEADS[h].n_head,
                                            .n_kv = HEADS[h].n_kv,
                                            .d_head = d,
                                            .rope = form % 4 == 3 ? 0 : form % 4 == 2 ? part : even,
                                            .norm = (enum head_norm)(form / 4),
                                            .interleaved = form % 2};
            check(&c);
        }
    verdict("rotate");
}

static void pool_case(unsigned i, unsigned batch, uint32_t skip, uint32_t d, uint32_t modes) {
    struct op_case c = varied(OP_POOL, i);
    c.len = BATCHES[batch].len;
    c.n_seq = BATCHES[batch].n;
    c.skip = skip;
    c.scale = modes & POOL_MEAN_SQRT_LEN ? 8 : 1;
    c.pool = (struct pool_case){.d = d, .modes = modes};
    check(&c);
}

static void test_pool(void **state) {
    (void)state;
    static const uint32_t skips[] = {0, 3, UINT32_MAX};
    unsigned i = 0;
    for (uint32_t modes = 1; modes <= POOL_ALL; modes++)
        for (unsigned s = 0; s < LENGTH(skips); s++, i++) pool_case(i, i % 5, skips[s], 33, modes);
    for (unsigned d = 0; d < LENGTH(WIDTHS); d++)
        for (unsigned s = 0; s < LENGTH(skips); s++, i++) pool_case(i, i % 7, skips[s], WIDTHS[d], POOL_ALL);
    verdict("pool");
}

/* A step of no sequences and no tokens: nothing is written, on no matter what shapes. */
static void test_empty_step(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct op_case cases[] = {varied(OP_EMBED, i), varied(OP_NORM, i), varied(OP_LINEAR, i),
                                  varied(OP_ATTENTION, i), varied(OP_POOL, i), varied(OP_ROTATE, i)};
        cases[0].embed = (struct embed_case){.d = 33, .pos = true, .norm = true};
        cases[1].norm = (struct norm_case){.d = 33, .extent = i % 2 ? EXTENT_SEQ : EXTENT_TOK, .spread = 1};
        cases[2].linear = (struct linear_case){.k = 33, .n = 65, .extent = i % 2 ? EXTENT_SEQ : EXTENT_TOK};
        cases[3].attention = (struct attention_case){.n_head = 4, .n_kv = 2, .d_head = 20, .radius = 3, .packed = true};
        cases[4].pool = (struct pool_case){.d = 33, .modes = POOL_ALL};
        cases[5].rotate = (struct rotate_case){.n_head = 4, .n_kv = 2, .d_head = 20, .rope = 10, .norm = HEAD_NORM_EACH};
        for (unsigned k = 0; k < LENGTH(cases); k++) {
            cases[k].n_seq = 0;
            cases[k].spare = 1 + 40 * (i / 2);
            check(&cases[k]);
        }
    }
    verdict("empty step");
}

static int set_up(void **state) {
    (void)state;
    for (uint32_t i = 0; i < LENGTH(STAIRS); i++) STAIRS[i] = i + 1;
    OK(backend_ref.open(&ref, &(struct backend_options){0}, err));
    n_targets = targets_find(targets, false);
    for (size_t t = 0; t < n_targets; t++) OK(target_open(&targets[t], TEST_THREADS, &open_targets[t], err));
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    for (size_t t = 0; t < n_targets; t++) targets[t].ops->close(open_targets[t]);
    backend_ref.close(ref);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) filter = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_norm_zero_rows),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_magnitudes),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_masks),
        cmocka_unit_test(test_attention_magnitudes),
        cmocka_unit_test(test_rotate),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_empty_step),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    if (!n_checked) print_error("no case or backend is named \"%s\"\n", filter);
    return failed || !n_checked;
}
