/* test_goldens.c - every operation against values that PyTorch and sentence-transformers computed in float64
 * (tests/golden/ops.json, made by tools/make_op_goldens.py): what makes the reference backend right. The other backends
 * run them too, within f32. */
#include "base/json.h"
#include "ops/op_harness.h"

static json_t *root;
static const char *const ACTS[ACT_COUNT] = {"none", "gelu", "gelu_tanh", "gelu_quick", "relu", "silu", "tanh"};
static const char *const NORMS[] = {"layer", "rms", "l2"};

static uint32_t u32_at(const json_t *c, const char *key) {
    uint32_t v = UINT32_MAX;
    OK(json_u32(c, "case", key, &v, err));
    assert_true(v != UINT32_MAX);
    return v;
}
static float f32_at(const json_t *c, const char *key) {
    const json_t *v = json_object_get(c, key);
    assert_true(json_is_number(v));
    return (float)json_number_value(v);
}
static unsigned name_at(const json_t *c, const char *key, const char *const *names, unsigned n) {
    const char *found = json_string_value(json_object_get(c, key));
    unsigned i = 0;
    assert_non_null(found);
    while (i < n && strcmp(names[i], found) != 0) i++;
    assert_true(i < n);
    return i;
}
static float value_at(const json_t *array, size_t i) { return (float)json_number_value(json_array_get(array, i)); }
static uint32_t ints_at(const json_t *c, const char *key, uint32_t *out, uint32_t room) {
    const json_t *a = json_object_get(c, key);
    assert_true(json_array_size(a) <= room);
    for (size_t i = 0; i < json_array_size(a); i++) out[i] = (uint32_t)json_number_value(json_array_get(a, i));
    return (uint32_t)json_array_size(a);
}

/* c[key], a token a row, in a view of its own. */
static struct view view_of(struct scene *s, const json_t *c, const char *key, uint32_t cols) {
    const json_t *a = json_object_get(c, key);
    assert_int_equal(json_array_size(a), (size_t)s->step->n_tok * cols);
    struct view v = scene_out(s, EXTENT_TOK, 0, cols);
    struct area *area = &s->areas[s->n_areas - 1];
    for (uint32_t r = 0; r < s->step->n_tok; r++)
        for (uint32_t i = 0; i < cols; i++)
            area->init[s->shift + (size_t)r * v.stride + i] = f32_bits(value_at(a, (size_t)r * cols + i));
    scene_reset(s);
    return v;
}
/* c[key] as a weight; NULL when the case has none. */
static struct weight *weight_of(struct scene *s, const json_t *c, const char *key, enum weight_role role,
                                uint32_t cols) {
    const json_t *a = json_object_get(c, key);
    if (!a) return NULL;
    size_t n = json_array_size(a);
    assert_true(n && n % cols == 0 && s->n_weights < MAX_WEIGHTS);
    float *data = malloc(n * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) data[i] = value_at(a, i);
    struct weight_desc d = {.name = key,
                            .role = role,
                            .cols = cols,
                            .n_parts = 1,
                            .parts = {{.data = data, .dtype = DTYPE_F32, .rows = (uint32_t)(role == WEIGHT_VECTOR ? n : n / cols)}}};
    struct weight **w = &s->weights[s->n_weights];
    s->weight_data[s->n_weights++] = data;
    OK(s->be->ops->weight_prepare(s->be, &d, w, err));
    return *w;
}

/* c[key] as the weight of a norm, as wide as it is. */
static struct weight *norm_of(struct scene *s, const json_t *c, const char *key) { return weight_of(s, c, key, WEIGHT_VECTOR, (uint32_t)json_array_size(json_object_get(c, key))); }

static void record_embed(struct scene *s, const json_t *c) {
    uint32_t d = u32_at(c, "d");
    op_embed(&s->tape, "embed",
             &(struct op_embed){.out = scene_out(s, EXTENT_TOK, 0, d),
                                .eps = f32_at(c, "eps"),
                                .word = weight_of(s, c, "word", WEIGHT_TABLE, d),
                                .pos = weight_of(s, c, "position", WEIGHT_TABLE, d),
                                .type = weight_of(s, c, "type", WEIGHT_TABLE, d),
                                .norm_w = weight_of(s, c, "norm_w", WEIGHT_VECTOR, d),
                                .norm_b = weight_of(s, c, "norm_b", WEIGHT_VECTOR, d)});
}
static void record_norm(struct scene *s, const json_t *c) {
    uint32_t d = u32_at(c, "d");
    op_norm(&s->tape, "norm",
            &(struct op_norm){.out = scene_out(s, EXTENT_TOK, 0, d),
                              .x = view_of(s, c, "x", d),
                              .res = view_of(s, c, "res", d),
                              .w = weight_of(s, c, "w", WEIGHT_VECTOR, d),
                              .b = weight_of(s, c, "b", WEIGHT_VECTOR, d),
                              .kind = (enum norm_kind)name_at(c, "kind", NORMS, 3),
                              .eps = f32_at(c, "eps")});
}
static void record_linear(struct scene *s, const json_t *c) {
    uint32_t k = u32_at(c, "k"), n = u32_at(c, "n");
    op_linear(&s->tape, "linear",
              &(struct op_linear){.out = scene_out(s, EXTENT_TOK, 0, n),
                                  .x = view_of(s, c, "x", k),
                                  .res = view_of(s, c, "res", n),
                                  .w = weight_of(s, c, "w", WEIGHT_MATRIX, k),
                                  .bias = weight_of(s, c, "bias", WEIGHT_VECTOR, n),
                                  .act = (enum act_kind)name_at(c, "act", ACTS, ACT_COUNT)});
}
static void record_attention(struct scene *s, const json_t *c) {
    uint32_t n_head = u32_at(c, "n_head"), n_kv = u32_at(c, "n_kv"), d = u32_at(c, "d_head");
    uint32_t rel_cols = json_object_get(c, "radius") ? 2 * u32_at(c, "radius") + 1 : 1;
    op_attention(&s->tape, "attention",
                 &(struct op_attention){.out = scene_out(s, EXTENT_TOK, 0, n_head * d),
                                        .q = view_of(s, c, "q", n_head * d),
                                        .k = view_of(s, c, "k", n_kv * d),
                                        .v = view_of(s, c, "v", n_kv * d),
                                        .rel = weight_of(s, c, "rel", WEIGHT_TABLE, rel_cols),
                                        .n_head = n_head,
                                        .n_kv = n_kv,
                                        .d_head = d,
                                        .window = json_object_get(c, "window") ? u32_at(c, "window") : 0,
                                        .causal = json_is_true(json_object_get(c, "causal")),
                                        .scale = f32_at(c, "scale"),
                                        .soft_cap = json_object_get(c, "soft_cap") ? f32_at(c, "soft_cap") : 0});
}
static void record_rotate(struct scene *s, const json_t *c) {
    const uint32_t n_head = u32_at(c, "n_head"), n_kv = u32_at(c, "n_kv"), d = u32_at(c, "d_head");
    op_rotate(&s->tape, "rotate",
              &(struct op_rotate){.out = view_of(s, c, "x", (n_head + n_kv) * d),
                                  .rope = view_of(s, c, "rope", u32_at(c, "n_rot")),
                                  .q_norm = norm_of(s, c, "q_norm"),
                                  .k_norm = norm_of(s, c, "k_norm"),
                                  .n_head = n_head,
                                  .n_kv = n_kv,
                                  .d_head = d,
                                  .interleaved = json_is_true(json_object_get(c, "interleaved")),
                                  .eps = f32_at(c, "eps")});
}
static void record_pool(struct scene *s, const json_t *c) {
    uint32_t d = u32_at(c, "d"), modes = u32_at(c, "modes"), n = 0;
    for (uint32_t m = modes; m; m &= m - 1) n++;
    op_pool(&s->tape, "pool",
            &(struct op_pool){.out = scene_out(s, EXTENT_SEQ, 0, d * n), .x = view_of(s, c, "x", d), .modes = modes});
}

static struct step step_of(const json_t *c) {
    uint32_t len[8], n = ints_at(c, "lens", len, 8), skip = json_object_get(c, "skip") ? u32_at(c, "skip") : 0;
    if (!n) n = ints_at(root, "lens", len, 8);
    struct step st = step_make(step_layout_make(sum_of(len, n) + 2, n + 1), len, NULL, n, skip, 1);
    ints_at(c, "tokens", st.words + st.layout.tokens, st.n_tok);
    ints_at(c, "pos", st.words + st.layout.pos, st.n_tok);
    ints_at(c, "types", st.words + st.layout.types, st.n_tok);
    return st;
}

/* `ulps`: of f32, at the size of the case's largest value; the reference is within one rounding. */
static void check_case(struct backend *be, const char *who, size_t index, const json_t *c, double ulps) {
    static const struct {
        const char *name;
        void (*record)(struct scene *, const json_t *);
    } OPS[] = {{"embed", record_embed}, {"norm", record_norm}, {"linear", record_linear}, {"attention", record_attention}, {"pool", record_pool}, {"rotate", record_rotate}};
    const char *op = json_string_value(json_object_get(c, "op"));
    size_t known = 0;
    while (known < sizeof OPS / sizeof *OPS && strcmp(OPS[known].name, op) != 0) known++;
    assert_true(known < sizeof OPS / sizeof *OPS);
    struct step step = step_of(c);
    struct scene s;
    scene_open(&s, be, &step, 1);
    s.gap = index % 3, s.shift = index % 2;
    OPS[known].record(&s, c);
    OK(tape_finish(&s.tape, err));
    OK(be->ops->exec(be, &s.tape, 0, 1, err));
    OK(be->ops->wait(be, err));
    const json_t *want = json_object_get(c, "out");
    const struct view *v = op_out(&s.tape.ops[0]);
    uint32_t *now = scene_read(&s, scene_area(&s, v->buf)), rows = rows_in_step(v, &step);
    assert_int_equal(json_array_size(want), (size_t)rows * v->cols);
    double top = 0;
    for (size_t i = 0; i < json_array_size(want); i++)
        top = fmax(top, fabs(json_number_value(json_array_get(want, i))));
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < v->cols; i++) {
            double w = json_number_value(json_array_get(want, (size_t)r * v->cols + i));
            double g = (double)f32_from_bits(now[v->offset / sizeof(float) + (size_t)r * v->stride + i]);
            double allowed = be->ops == &backend_ref ? 0x1p-24 * fabs(w) + 1e-15 : ulps * 0x1p-23 * top;
            if (!(fabs(g - w) <= allowed))
                fail_msg("%s, case %zu (%s): row %u column %u is %.9g, expected %.17g", who, index,
                         json_string_value(json_object_get(c, "op")), r, i, g, w);
        }
    free(now);
    scene_close(&s);
    free(step.words);
}

static void test_goldens(void **state) {
    (void)state;
    struct target targets[MAX_TARGETS];
    size_t n_targets = targets_find(targets, true), seen[OP_COUNT] = {0};
    const json_t *cases = json_object_get(root, "cases"), *c;
    for (size_t t = 0; t < n_targets; t++) {
        struct backend *be;
        size_t i;
        OK(target_open(&targets[t], 2, &be, err));
        json_array_foreach(cases, i, c) check_case(be, targets[t].name, i, c, 8);
        be->ops->close(be);
    }
    size_t i;
    json_array_foreach(cases, i, c) for (int k = 0; k < OP_COUNT; k++) seen[k] +=
        !strcmp(op_name((enum op_kind)k), json_string_value(json_object_get(c, "op")));
    for (int k = 0; k <= OP_POOL; k++) assert_true(seen[k] > 0);
    assert_true(seen[OP_ROTATE] > 0);
}

int main(void) {
    gllm_error err = {0};
    if (json_read_file("tests/golden/ops.json", 1 << 20, &root, &err) != GLLM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(root);
    return failed;
}
