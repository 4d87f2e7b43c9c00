/* test_cache_ops.c - the operations of a decoder: rows, rotary positions, the paged cache and attention to it.
 *
 * Values: every backend and level against the reference. Bits: a sequence gives the same bits in one piece, in chunks, alone, in a batch
 * and on any number of threads. */
#include "ops/op_harness.h"

static struct target targets[MAX_TARGETS];
static size_t n_targets;

struct seq {
    uint32_t past, len;
};
struct form { /* a cache and the heads on it */
    uint32_t n_head, n_kv, d_head, rope, window;
    enum dtype dtype;
    bool interleaved, norm_whole, norm_head;
    float soft_cap;
};
enum { CAP_PAGES = 80, STREAM = 3000 };

/* A step of sequences that each continue: pages are dealt backwards and interleaved, as a busy cache would. */
static struct step cached_step(const struct seq *seq, uint32_t n_seq, uint32_t n_out) {
    uint32_t n_tok = 0, n_pages = 0;
    for (uint32_t s = 0; s < n_seq; s++) n_tok += seq[s].len;
    struct step st = {.layout = step_layout_cached(n_tok + 2, n_seq + 1, n_out + 1, CAP_PAGES), .n_tok = n_tok, .n_seq = n_seq};
    const struct step_layout *l = &st.layout;
    uint32_t *w = st.words = calloc(l->words, sizeof *w), at = 0;
    assert_non_null(w);
    for (uint32_t s = 0; s < n_seq; s++) {
        w[l->past + s] = seq[s].past;
        w[l->page_first + s] = n_pages;
        for (uint32_t k = 0; k * KV_PAGE < seq[s].past + seq[s].len; k++) {
            w[l->pages + n_pages++] = CAP_PAGES - 1 - (k * 3 + s); /* three sequences at most, interleaved */
            assert_true(k * 3 + s < CAP_PAGES && n_seq <= 3);
        }
        for (uint32_t i = 0; i < seq[s].len; i++, at++) {
            w[l->seq + at] = s;
            w[l->pos + at] = seq[s].past + i;
        }
        w[l->starts + s + 1] = at;
        if (seq[s].len > w[STEP_MAX_LEN]) w[STEP_MAX_LEN] = seq[s].len;
    }
    w[l->page_first + n_seq] = n_pages;
    for (uint32_t i = 0; i < n_out; i++) w[l->out_rows + i] = (i * 7 + 3) % n_tok;
    w[STEP_N_TOK] = n_tok, w[STEP_N_SEQ] = n_seq, w[STEP_N_OUT] = n_out;
    return st;
}

/* ---- a device with a cache, on which sequences are continued step by step ---- */
struct side {
    struct backend *be;
    const struct form *form;
    struct buffer *cache;
    struct weight *freq, *q_norm, *k_norm;
};

static struct weight *vector(struct backend *be, uint32_t n, float base, float spread) {
    float *v = malloc(n * sizeof *v);
    uint64_t rng = 77;
    assert_non_null(v);
    for (uint32_t i = 0; i < n; i++) v[i] = base + spread * rng_unit(&rng);
    struct weight *w;
    OK(be->ops->weight_prepare(be, &(struct weight_desc){.name = "v", .role = WEIGHT_VECTOR, .cols = n, .n_parts = 1, .parts = {{.data = v, .dtype = DTYPE_F32, .rows = n}}}, &w, err));
    if (!be->ops->weight_borrows(w)) free(v);
    return w;
}

static void side_open(struct side *s, const struct target *t, unsigned threads, const struct form *f) {
    *s = (struct side){.form = f};
    if (t) OK(target_open(t, threads, &s->be, err));
    else OK(backend_ref.open(&s->be, &(struct backend_options){0}, err));
    const uint64_t bytes = CAP_PAGES * kv_page_bytes(f->dtype, f->n_kv, f->d_head);
    OK(s->be->ops->alloc(s->be, bytes, BUFFER_ACTIVATION, &s->cache, err));
    OK(s->be->ops->fill(s->be, s->cache, 0, POISON, bytes, err)); /* NaN in f32 and, as 0xBEEF, a value in f16 */
    if (f->rope) s->freq = vector(s->be, f->rope / 2, 0.5f, 0.4f);
    if (f->norm_whole || f->norm_head) {
        s->q_norm = vector(s->be, f->norm_whole ? f->n_head * f->d_head : f->d_head, 1, 0.5f);
        s->k_norm = vector(s->be, f->norm_whole ? f->n_kv * f->d_head : f->d_head, 1, 0.5f);
    }
}
static void side_close(struct side *s) {
    struct weight *all[] = {s->freq, s->q_norm, s->k_norm};
    for (unsigned i = 0; i < 3; i++) s->be->ops->weight_free(s->be, all[i]);
    s->be->ops->buffer_free(s->be, s->cache);
    s->be->ops->close(s->be);
}

/* Row r of sequence `id` at place p holds the same numbers whoever asks. */
static void fill_rows(struct side *s, struct buffer *buf, const struct step *st, const uint32_t *id, uint32_t cols, uint64_t salt) {
    float *x = malloc((size_t)st->layout.cap_tok * cols * sizeof *x);
    assert_non_null(x);
    for (uint32_t i = 0; i < st->n_tok; i++) {
        const uint32_t q = st->words[st->layout.seq + i], place = st->words[st->layout.pos + i];
        uint64_t rng = salt + 1000003ull * id[q] + place;
        for (uint32_t c = 0; c < cols; c++) x[(size_t)i * cols + c] = rng_unit(&rng);
    }
    OK(s->be->ops->write(s->be, buf, 0, x, (uint64_t)st->n_tok * cols * sizeof *x, err));
    free(x);
}

static struct view rows_view(struct buffer *b, const struct step *st, uint32_t cols) {
    return (struct view){.buf = b, .rows = st->layout.cap_tok, .cols = cols, .stride = cols, .extent = EXTENT_TOK};
}

/* Stores and attends; out [n_tok, n_head d_head], q_out likewise (the rotated queries) unless NULL. */
static void side_step(struct side *s, const struct step *st, const uint32_t *id, float *out, float *q_out) {
    const struct form *f = s->form;
    const struct backend_ops *ops = s->be->ops;
    const uint32_t wide = f->n_head * f->d_head, narrow = f->n_kv * f->d_head, widths[] = {wide, narrow, narrow, wide, f->rope ? f->rope : 2};
    struct buffer *b[5], *step;
    OK(ops->alloc(s->be, st->layout.words * 4ull, BUFFER_STEP, &step, err));
    OK(ops->write(s->be, step, 0, st->words, st->layout.words * 4ull, err));
    for (unsigned i = 0; i < 5; i++) OK(ops->alloc(s->be, (uint64_t)st->layout.cap_tok * widths[i] * 4, BUFFER_ACTIVATION, &b[i], err));
    for (unsigned i = 0; i < 3; i++) fill_rows(s, b[i], st, id, widths[i], 31 * i);
    struct kv_cache cache = {.buf = s->cache, .dtype = f->dtype, .n_kv = f->n_kv, .d_head = f->d_head, .n_pages = CAP_PAGES};
    struct tape t;
    tape_init(&t, step, st->layout);
    struct view rope = {0}, q = rows_view(b[0], st, wide);
    if (f->rope) {
        rope = rows_view(b[4], st, f->rope);
        op_rope(&t, "rope", &(struct op_rope){.out = rope, .freq = s->freq, .scale = 1.25f});
    }
    op_store_kv(&t, "store", &(struct op_store_kv){.out = q, .k = rows_view(b[1], st, narrow), .v = rows_view(b[2], st, narrow), .rope = rope, .q_norm = s->q_norm,
                                                   .k_norm = s->k_norm, .cache = cache, .n_head = f->n_head, .interleaved = f->interleaved, .eps = 1e-6f});
    op_attend(&t, "attend", &(struct op_attend){.out = rows_view(b[3], st, wide), .q = q, .cache = cache, .n_head = f->n_head, .window = f->window,
                                                .scale = 3.0f / sqrtf((float)f->d_head), .soft_cap = f->soft_cap});
    OK(tape_finish(&t, err));
    OK(ops->exec(s->be, &t, 0, t.n_ops, err));
    OK(ops->read(s->be, b[3], 0, out, (uint64_t)st->n_tok * wide * 4, err));
    if (q_out) OK(ops->read(s->be, b[0], 0, q_out, (uint64_t)st->n_tok * wide * 4, err));
    tape_free(&t);
    for (unsigned i = 0; i < 5; i++) ops->buffer_free(s->be, b[i]);
    ops->buffer_free(s->be, step);
}

static const struct form FORMS[] = {
    {.n_head = 4, .n_kv = 2, .d_head = 16, .rope = 16, .dtype = DTYPE_F32},
    {.n_head = 9, .n_kv = 3, .d_head = 64, .rope = 64, .dtype = DTYPE_F16},
    {.n_head = 14, .n_kv = 2, .d_head = 64, .rope = 64, .dtype = DTYPE_F16, .norm_head = true},
    {.n_head = 4, .n_kv = 4, .d_head = 24, .rope = 12, .interleaved = true, .dtype = DTYPE_F32, .window = 40},
    {.n_head = 6, .n_kv = 1, .d_head = 40, .dtype = DTYPE_F16, .soft_cap = 2, .norm_whole = true},
    {.n_head = 2, .n_kv = 1, .d_head = 256, .rope = 256, .dtype = DTYPE_F16, .window = 5, .soft_cap = 50},
    {.n_head = 9, .n_kv = 3, .d_head = 64, .rope = 64, .dtype = DTYPE_Q8_0},
    {.n_head = 4, .n_kv = 2, .d_head = 32, .dtype = DTYPE_Q8_0},
    {.n_head = 10, .n_kv = 1, .d_head = 96, .rope = 40, .dtype = DTYPE_Q8_0, .window = 70, .norm_head = true},
};
enum { N_FORMS = sizeof FORMS / sizeof *FORMS };

/* A key or value that was computed may round to the next one that the cache can hold. */
static double tolerance(const struct form *f) {
    const bool computed = f->rope || f->norm_head || f->norm_whole;
    return f->dtype == DTYPE_F16 ? 2e-3 : f->dtype == DTYPE_Q8_0 && computed ? 1e-2 : 4e-6;
}

static double worst_of(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);
        worst = e <= worst ? worst : e;
        if (!isfinite(a[i]) || !isfinite(b[i])) return INFINITY;
    }
    return worst;
}

static void test_values(void **state) {
    (void)state;
    static const struct seq PLAN[][3] = {{{0, 1}}, {{0, 150}, {0, 33}, {0, 1}}, {{150, 1}, {33, 70}, {1, 1}}, {{151, 200}, {103, 1}, {2, 31}}, {{351, 129}}};
    static const uint32_t COUNT[] = {1, 3, 3, 3, 1}, ID[] = {5, 6, 7};
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned f = 0; f < N_FORMS; f++) {
            struct side ref, dut;
            double worst = 0;
            side_open(&ref, NULL, 1, &FORMS[f]);
            side_open(&dut, &targets[t], 2, &FORMS[f]);
            for (unsigned p = 0; p < 5; p++) {
                struct step st = cached_step(PLAN[p], COUNT[p], 2);
                const size_t n = (size_t)st.n_tok * FORMS[f].n_head * FORMS[f].d_head;
                float *a = malloc(4 * n * sizeof *a);
                assert_non_null(a);
                side_step(&ref, &st, ID, a, a + n);
                side_step(&dut, &st, ID, a + 2 * n, a + 3 * n);
                const double e = worst_of(a, a + 2 * n, n), eq = worst_of(a + n, a + 3 * n, n);
                worst = e > worst ? e : worst;
                if (!(e <= tolerance(&FORMS[f])) || !(eq <= 4e-6))
                    fail_msg("%s form %u step %u: attention off by %g, queries by %g", targets[t].name, f, p, e, eq);
                free(a);
                free(st.words);
            }
            print_message("%s form %u: worst %.2g\n", targets[t].name, f, worst);
            side_close(&ref);
            side_close(&dut);
        }
}

/* One sequence of 300 tokens: in one piece; in pieces of 1, 7, 100, 32, 160; and beside two others; on 1 and 3 threads. */
static void test_bits(void **state) {
    (void)state;
    static const uint32_t CUTS[] = {0, 1, 8, 108, 140, 300}, ID[] = {5, 6, 7}, MIDDLE[] = {6, 5, 7};
    for (size_t t = 0; t < n_targets; t++)
        for (unsigned f = 0; f < N_FORMS; f++) {
            const size_t wide = FORMS[f].n_head * FORMS[f].d_head, n = 300 * wide;
            float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts), *batch = malloc(800 * wide * sizeof *batch);
            assert_true(whole && parts && batch);
            struct side a, b, c;
            side_open(&a, &targets[t], 1, &FORMS[f]);
            side_open(&b, &targets[t], 3, &FORMS[f]);
            side_open(&c, &targets[t], 2, &FORMS[f]);
            struct step st = cached_step(&(struct seq){0, 300}, 1, 1);
            side_step(&a, &st, ID, whole, NULL);
            free(st.words);
            for (unsigned p = 0; p + 1 < sizeof CUTS / sizeof *CUTS; p++) {
                st = cached_step(&(struct seq){CUTS[p], CUTS[p + 1] - CUTS[p]}, 1, 1);
                side_step(&b, &st, ID, parts + CUTS[p] * wide, NULL);
                free(st.words);
            }
            st = cached_step((const struct seq[]){{0, 77}, {0, 300}, {0, 200}}, 3, 1);
            side_step(&c, &st, MIDDLE, batch, NULL);
            free(st.words);
            if (memcmp(whole, parts, n * sizeof *whole)) fail_msg("%s form %u: chunks give other bits", targets[t].name, f);
            if (memcmp(whole, batch + 77 * wide, n * sizeof *whole)) fail_msg("%s form %u: a batch gives other bits", targets[t].name, f);
            side_close(&a), side_close(&b), side_close(&c);
            free(whole), free(parts), free(batch);
        }
}

/* gather, glu, norm with a sum, linear with a soft cap: against the reference. */
static void record_rows(struct scene *s, unsigned which) {
    const struct draw unit = {.spread = 2};
    const uint32_t d = 70;
    struct view x = scene_view(s, EXTENT_TOK, 0, which == 1 ? 2 * d : d, unit), sum = scene_view(s, EXTENT_TOK, 0, d, unit);
    struct weight *w = scene_weight(s, WEIGHT_VECTOR, 1, d, (struct storage){0}, unit), *m = scene_weight(s, WEIGHT_MATRIX, 45, d, (struct storage){0}, unit);
    if (which == 0) op_gather(&s->tape, "g", &(struct op_gather){.out = scene_out(s, EXTENT_OUT, s->step->layout.cap_out, d), .x = x});
    if (which == 1) op_glu(&s->tape, "g", &(struct op_glu){.out = scene_out(s, EXTENT_TOK, 0, d), .x = x, .act = ACT_SILU});
    if (which == 2) op_norm(&s->tape, "n", &(struct op_norm){.out = sum, .x = x, .sum = sum, .w = w, .kind = NORM_RMS, .eps = 1e-6f});
    if (which == 3) op_linear(&s->tape, "l", &(struct op_linear){.out = scene_out(s, EXTENT_TOK, 0, 45), .x = x, .w = m, .soft_cap = 3});
    OK(tape_finish(&s->tape, err));
}
static void test_rows(void **state) {
    (void)state;
    struct backend *ref, *be;
    OK(backend_ref.open(&ref, &(struct backend_options){0}, err));
    for (size_t t = 0; t < n_targets; t++) {
        OK(target_open(&targets[t], 2, &be, err));
        for (unsigned which = 0; which < 4; which++) {
            struct step st = cached_step((const struct seq[]){{3, 40}, {0, 9}}, 2, 11);
            struct scene want, got;
            char text[160];
            scene_open(&want, ref, &st, which), scene_open(&got, be, &st, which);
            record_rows(&want, which), record_rows(&got, which);
            OK(ref->ops->exec(ref, &want.tape, 0, 1, err));
            OK(be->ops->exec(be, &got.tape, 0, 1, err));
            const struct view *v = op_out(&want.tape.ops[0]), *v2 = op_out(&got.tape.ops[0]);
            uint32_t *a = scene_read(&want, scene_area(&want, v->buf)), *b = scene_read(&got, scene_area(&got, v2->buf));
            for (uint32_t r = 0; r < view_rows(v, st.words); r++)
                assert_true(worst_of((const float *)(const void *)(a + (size_t)r * v->stride), (const float *)(const void *)(b + (size_t)r * v->stride), v->cols) <= 1e-5);
            if (scene_stray_writes(&got, text, sizeof text)) fail_msg("%s rows %u: %s", targets[t].name, which, text);
            free(a), free(b), free(st.words);
            scene_close(&want), scene_close(&got);
        }
        be->ops->close(be);
    }
    ref->ops->close(ref);
}

static void test_refusals(void **state) {
    (void)state;
    struct form f = FORMS[0];
    struct side s;
    side_open(&s, NULL, 1, &f);
    struct step st = cached_step(&(struct seq){0, 40}, 1, 1);
    struct buffer *step;
    struct tape t;
    gllm_error e = {0};
    OK(s.be->ops->alloc(s.be, st.layout.words * 4ull, BUFFER_STEP, &step, err));
    struct kv_cache cache = {.buf = s.cache, .dtype = DTYPE_F32, .n_kv = 2, .d_head = 16, .n_pages = CAP_PAGES};
    struct view v = {.buf = s.cache, .rows = st.layout.cap_tok, .cols = 64, .stride = 64, .extent = EXTENT_TOK}, q = v;
    q.offset = 64 * 4 * 64;
    static const struct {
        struct kv_cache cache;
        uint32_t n_head;
        float cap;
        const char *says;
    } BAD[] = {{{.dtype = DTYPE_F32, .n_kv = 2, .d_head = 16, .n_pages = 1}, 4, 0, "cache has no buffer"}, {{.dtype = DTYPE_BF16, .n_kv = 2, .d_head = 16, .n_pages = 1}, 4, 0, "cache of BF16"},
               {{.dtype = DTYPE_Q8_0, .n_kv = 2, .d_head = 16, .n_pages = 1}, 4, 0, "cache of Q8_0 with heads of width 16"},
               {{.dtype = DTYPE_F32, .n_kv = 3, .d_head = 16, .n_pages = 1}, 4, 0, "4 heads over 3"}, {{.dtype = DTYPE_F32, .n_kv = 2, .d_head = 16, .n_pages = 100000}, 4, 0, "pages of"},
               {{.dtype = DTYPE_F32, .n_kv = 2, .d_head = 16, .n_pages = 1}, 4, -1, "soft cap"}};
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct kv_cache c = BAD[i].cache;
        c.buf = i ? s.cache : NULL;
        tape_init(&t, step, st.layout);
        op_attend(&t, "attend", &(struct op_attend){.out = v, .q = q, .cache = c, .n_head = BAD[i].n_head, .scale = 1, .soft_cap = BAD[i].cap});
        assert_int_equal(tape_finish(&t, &e), GLLM_INVALID);
        assert_non_null(strstr(e.message, BAD[i].says));
        tape_free(&t);
    }
    /* a step that names a page that the cache lacks, or too few pages */
    for (unsigned i = 0; i < 2; i++) {
        tape_init(&t, step, st.layout);
        op_store_kv(&t, "store", &(struct op_store_kv){.out = q, .k = view_cols(v, 0, 32), .v = view_cols(v, 32, 32), .cache = cache, .n_head = 4});
        OK(tape_finish(&t, err));
        if (i) st.words[st.layout.page_first + 1] = 1;
        else st.words[st.layout.pages] = CAP_PAGES;
        OK(s.be->ops->write(s.be, step, 0, st.words, st.layout.words * 4ull, err));
        assert_int_equal(s.be->ops->exec(s.be, &t, 0, 1, &e), GLLM_INVALID);
        assert_non_null(strstr(e.message, i ? "has pages 0 to 1 for 40 tokens" : "page 80 of 80"));
        st.words[st.layout.pages] = 0;
        tape_free(&t);
    }
    s.be->ops->buffer_free(s.be, step);
    free(st.words);
    side_close(&s);
}

int main(void) {
    n_targets = targets_find(targets, false);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_bits), cmocka_unit_test(test_rows), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
