/* op_harness.h - one operation on two backends: the reference and one under test, from the same numbers.
 *
 * A scene is one side: an open backend, a tape, and the buffers and weights that the tape names, filled from a seed, so
 * that two scenes built alike hold the same bits. Whatever a case does not give a value is poison: output views, rows
 * beyond the step's counts, the gaps of strided views, the guards around a view, and (in the step buffer) ids beyond
 * the last token. After a run every word outside the output view must still hold what was written there, and the output
 * itself must agree with the reference within TOLERANCE. A weight's host data is destroyed as soon as the backend says
 * that it does not borrow it. */
#ifndef GLLM_TESTS_OP_HARNESS_H
#define GLLM_TESTS_OP_HARNESS_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/tape.h"
#include "tensor/half.h"

/* ---- numbers ---- */

static inline uint64_t rng_next(uint64_t *state) { /* SplitMix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline float rng_unit(uint64_t *state) { /* [-1, 1) */
    return (float)((int64_t)(rng_next(state) >> 40) - (1 << 23)) * 0x1p-23f;
}
/* How the values of a view or weight are drawn: offset + spread * [-1, 1), rounded to integers when asked. */
struct draw {
    float spread, offset;
    bool integers, nothing; /* nothing: stays poison */
    bool last_nan;          /* of a weight: its last row is NaN */
};
static inline float draw_value(struct draw d, uint64_t *rng) {
    float v = d.offset + d.spread * rng_unit(rng);
    return d.integers ? rintf(v) : v;
}
#define POISON 0x7FC0BEEFu /* a quiet NaN; as a token id, far outside any table */

/* ---- backends under test ---- */

enum { MAX_TARGETS = 8 };
struct target {
    char name[40]; /* "cpu/avx2" */
    const struct backend_ops *ops;
    const char *isa;
};
/* Instruction levels that a backend is asked for, each of which it may lack. A backend without a row is tested as it
 * opens by itself. */
static const struct { const char *backend, *isa[5]; } LEVELS[] = {{"cpu", {"portable", "avx2", "avx512", "avx512_vnni"}}};

static inline gllm_status target_open(const struct target *t, unsigned threads, struct backend **out, gllm_error *err) {
    return t->ops->open(out, &(struct backend_options){.threads = threads, .isa = t->isa}, err);
}

static inline size_t target_add(struct target *out, size_t n, const struct backend_entry *e, const char *isa) {
    struct target t = {.ops = e->ops, .isa = isa};
    snprintf(t.name, sizeof t.name, "%s%s%s", e->name, isa ? "/" : "", isa ? isa : "");
    struct backend *be;
    gllm_error err;
    gllm_status status = target_open(&t, 1, &be, &err);
    if (status != GLLM_OK) {
        if (status != GLLM_UNSUPPORTED) fail_msg("%s: %s", t.name, err.message);
        print_message("skipped %s: %s\n", t.name, err.message);
        return n;
    }
    t.ops->close(be);
    assert_true(n < MAX_TARGETS);
    out[n] = t;
    return n + 1;
}

/* The backends of this build and machine, each at each of its levels; says which it leaves out and why. */
static inline size_t targets_find(struct target out[MAX_TARGETS], bool with_ref) {
    size_t n = 0, n_entries;
    const struct backend_entry *entries = backend_entries(&n_entries);
    for (size_t i = 0; i < n_entries; i++) {
        const struct backend_entry *e = &entries[i];
        struct backend_caps caps = {0};
        if (e->ops == &backend_ref && !with_ref) continue;
        if (!e->ops || e->ops->probe(0, &caps) != GLLM_OK) {
            print_message("skipped %s: %s\n", e->name, e->ops ? caps.detail : e->absent);
            continue;
        }
        size_t level = 0, before = n;
        while (level < sizeof LEVELS / sizeof *LEVELS && strcmp(LEVELS[level].backend, e->name) != 0) level++;
        if (level == sizeof LEVELS / sizeof *LEVELS) n = target_add(out, n, e, NULL);
        else
            for (const char *const *isa = LEVELS[level].isa; *isa; isa++) n = target_add(out, n, e, *isa);
        if (n == before) fail_msg("backend %s answers, and opens at none of its levels", e->name);
    }
    return n;
}

#define OK(expr)                                                           \
    do {                                                                   \
        gllm_error ok_err_ = {0};                                          \
        gllm_error *err = &ok_err_;                                        \
        if ((expr) != GLLM_OK) fail_msg("%s: %s", #expr, ok_err_.message); \
    } while (0)

/* ---- a step ---- */

struct step {
    struct step_layout layout;
    uint32_t *words; /* owned */
    uint32_t n_tok, n_seq;
};
enum { N_VOCAB = 37, N_TYPES = 2, FIRST_POS = 2 }; /* the table's last row is for ids that a test puts there itself */

/* Sequences of the lengths given, laid out as `layout` says. What sequence s holds follows from id[s] (NULL: s) and the
 * seed alone. Pooling leaves out `skip` tokens of each (all of them where a sequence has fewer). */
static inline struct step step_make(struct step_layout layout, const uint32_t *len, const uint32_t *id, uint32_t n_seq,
                                    uint32_t skip, uint64_t seed) {
    struct step st = {.layout = layout, .n_seq = n_seq};
    const struct step_layout *l = &st.layout;
    uint32_t *w = st.words = malloc(l->words * sizeof *w);
    assert_non_null(w);
    for (uint32_t i = 0; i < l->words; i++) w[i] = i < STEP_HEADER_WORDS ? 0 : POISON;
    w[l->starts] = 0;
    for (uint32_t s = 0; s < n_seq; s++) {
        uint64_t rng = seed + 0x10001u * (id ? id[s] : s);
        assert_true(s < l->cap_seq && len[s] <= l->cap_tok - st.n_tok);
        if (len[s] > w[STEP_MAX_LEN]) w[STEP_MAX_LEN] = len[s];
        for (uint32_t p = 0; p < len[s]; p++, st.n_tok++) {
            w[l->tokens + st.n_tok] = (uint32_t)(rng_next(&rng) % (N_VOCAB - 1));
            w[l->pos + st.n_tok] = p + FIRST_POS;
            w[l->types + st.n_tok] = (uint32_t)(rng_next(&rng) % N_TYPES);
            w[l->seq + st.n_tok] = s;
        }
        w[l->starts + s + 1] = st.n_tok;
        w[l->pool_from + s] = skip < len[s] ? skip : len[s];
        w[l->seen + s] = 0;
    }
    w[STEP_N_TOK] = st.n_tok;
    w[STEP_N_SEQ] = n_seq;
    return st;
}
static inline uint32_t sum_of(const uint32_t *len, uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += len[i];
    return sum;
}

/* ---- a scene ---- */

enum { MAX_AREAS = 16, MAX_WEIGHTS = 16 };
struct area {
    struct buffer *buf;
    uint32_t *init; /* what was written: [n] */
    uint64_t n;
};
struct scene {
    struct backend *be;
    const struct step *step;
    struct buffer *step_buf;
    struct tape tape;
    struct area areas[MAX_AREAS];
    struct weight *weights[MAX_WEIGHTS];
    void *weight_data[MAX_WEIGHTS];
    unsigned n_areas, n_weights;
    uint64_t rng;
    uint32_t gap, shift, guard; /* of the views made next: columns between rows, words before and after */
};

static inline void scene_write_step(struct scene *s, const struct step *step) {
    s->step = step;
    OK(s->be->ops->write(s->be, s->step_buf, 0, step->words, step->layout.words * sizeof(uint32_t), err));
}

static inline void scene_open(struct scene *s, struct backend *be, const struct step *step, uint64_t seed) {
    *s = (struct scene){.be = be, .rng = seed};
    OK(be->ops->alloc(be, step->layout.words * sizeof(uint32_t), BUFFER_STEP, &s->step_buf, err));
    scene_write_step(s, step);
    tape_init(&s->tape, s->step_buf, step->layout);
}

static inline void scene_close(struct scene *s) {
    const struct backend_ops *ops = s->be->ops;
    tape_free(&s->tape);
    for (unsigned i = 0; i < s->n_areas; i++) {
        ops->buffer_free(s->be, s->areas[i].buf);
        free(s->areas[i].init);
    }
    for (unsigned i = 0; i < s->n_weights; i++) {
        ops->weight_free(s->be, s->weights[i]);
        free(s->weight_data[i]);
    }
    ops->buffer_free(s->be, s->step_buf);
}

static inline uint32_t rows_in_step(const struct view *v, const struct step *st) {
    return view_rows(v, st->words);
}

/* A view in a buffer of its own. `rows` counts for EXTENT_FIXED only. */
static inline struct view scene_view(struct scene *s, enum extent extent, uint32_t rows, uint32_t cols, struct draw d) {
    const struct step_layout *l = &s->step->layout;
    struct view v = {.offset = s->shift * sizeof(float), .cols = cols, .stride = cols + s->gap, .extent = extent};
    v.rows = extent == EXTENT_TOK ? l->cap_tok : extent == EXTENT_SEQ ? l->cap_seq : rows;
    assert_true(s->n_areas < MAX_AREAS);
    struct area *a = &s->areas[s->n_areas++];
    a->n = s->shift + (uint64_t)(v.rows - 1) * v.stride + cols + s->guard;
    a->init = malloc(a->n * sizeof *a->init);
    assert_non_null(a->init);
    for (uint64_t i = 0; i < a->n; i++) a->init[i] = POISON;
    for (uint32_t r = 0; !d.nothing && r < rows_in_step(&v, s->step); r++)
        for (uint32_t c = 0; c < cols; c++)
            a->init[s->shift + (uint64_t)r * v.stride + c] = f32_bits(draw_value(d, &s->rng));
    OK(s->be->ops->alloc(s->be, a->n * sizeof(uint32_t), BUFFER_ACTIVATION, &a->buf, err));
    OK(s->be->ops->write(s->be, a->buf, 0, a->init, a->n * sizeof(uint32_t), err));
    v.buf = a->buf;
    return v;
}
static inline struct view scene_out(struct scene *s, enum extent extent, uint32_t rows, uint32_t cols) {
    return scene_view(s, extent, rows, cols, (struct draw){.nothing = true});
}

/* Every view as it was made: outputs are poison again. */
static inline void scene_reset(struct scene *s) {
    for (unsigned i = 0; i < s->n_areas; i++)
        OK(s->be->ops->write(s->be, s->areas[i].buf, 0, s->areas[i].init, s->areas[i].n * sizeof(uint32_t), err));
}

/* How the host data of a weight is stored: parts of about equal size, one of them zeros when `hole`, the first of dtype
 * `dtype` and the next of the dtypes that follow it, at an odd address. */
struct storage {
    enum dtype dtype;
    unsigned n_parts;
    bool hole, odd;
};

static inline void store_value(unsigned char *at, enum dtype t, float v) {
    uint32_t f = f32_bits(v);
    uint16_t h = t == DTYPE_F16 ? f16_from_f32(v) : bf16_from_f32(v);
    if (t == DTYPE_F32) memcpy(at, &f, sizeof f);
    else memcpy(at, &h, sizeof h);
}

static inline struct weight *scene_weight(struct scene *s, enum weight_role role, uint32_t rows, uint32_t cols,
                                          struct storage st, struct draw d) {
    uint32_t units = role == WEIGHT_VECTOR ? cols : rows, width = role == WEIGHT_VECTOR ? 1 : cols;
    uint32_t n_parts = st.n_parts ? st.n_parts < units ? st.n_parts : units : 1;
    struct weight_desc desc = {.name = "weight", .role = role, .cols = cols, .n_parts = n_parts};
    size_t bytes = (size_t)units * width * sizeof(float) + 1;
    unsigned char *data = malloc(bytes), *at = data + st.odd;
    assert_non_null(data);
    for (uint32_t i = 0, first = 0; i < n_parts; i++) {
        uint32_t end = i + 1 == n_parts ? units : (uint32_t)((uint64_t)units * (i + 1) / n_parts);
        struct weight_part *p = &desc.parts[i];
        *p = (struct weight_part){.dtype = (enum dtype)((st.dtype + i) % 3), .rows = end - first};
        first = end;
        if (st.hole && n_parts > 1 && i == n_parts / 2) continue;
        p->data = at;
        size_t size = dtype_row_bytes(p->dtype, 1);
        for (size_t j = 0; j < (size_t)p->rows * width; j++, at += size) {
            float v = draw_value(d, &s->rng);
            bool last = i + 1 == n_parts && j >= (size_t)(p->rows - 1) * width;
            store_value(at, p->dtype, d.last_nan && last ? NAN : v);
        }
    }
    assert_true(s->n_weights < MAX_WEIGHTS);
    struct weight **w = &s->weights[s->n_weights];
    s->weight_data[s->n_weights++] = data;
    OK(s->be->ops->weight_prepare(s->be, &desc, w, err));
    assert_int_equal((*w)->role, role);
    assert_int_equal((*w)->rows, role == WEIGHT_VECTOR ? 1 : rows);
    assert_int_equal((*w)->cols, cols);
    if (!s->be->ops->weight_borrows(*w)) memset(data, 0xFF, bytes);
    return *w;
}
_Static_assert(DTYPE_F32 == 0 && DTYPE_F16 == 1 && DTYPE_BF16 == 2, "scene_weight steps through the computed dtypes");

/* The words of an area now; freed by the caller. */
static inline uint32_t *scene_read(const struct scene *s, unsigned area) {
    const struct area *a = &s->areas[area];
    uint32_t *now = malloc(a->n * sizeof *now);
    assert_non_null(now);
    OK(s->be->ops->read(s->be, a->buf, 0, now, a->n * sizeof *now, err));
    return now;
}
static inline unsigned scene_area(const struct scene *s, const struct buffer *buf) {
    unsigned i = 0;
    while (i < s->n_areas && s->areas[i].buf != buf) i++;
    assert_true(i < s->n_areas);
    return i;
}

/* Whether word `i` of the area that holds `v` belongs to a row of `v` that this step has. */
static inline bool view_has(const struct view *v, const struct step *st, uint64_t i) {
    uint64_t first = v->offset / sizeof(float);
    if (i < first) return false;
    return (i - first) / v->stride < rows_in_step(v, st) && (i - first) % v->stride < v->cols;
}

/* Words of the scene's areas outside the views that its tape writes which changed: 0, or a sentence in `text`. */
static inline size_t scene_stray_writes(const struct scene *s, char *text, size_t size) {
    size_t strays = 0;
    for (unsigned i = 0; i < s->n_areas; i++) {
        uint32_t *now = scene_read(s, i);
        for (uint64_t j = 0; j < s->areas[i].n; j++) {
            bool fine = now[j] == s->areas[i].init[j];
            for (size_t o = 0; !fine && o < s->tape.n_ops; o++) {
                const struct view *out = op_out(&s->tape.ops[o]);
                fine = out->buf == s->areas[i].buf && view_has(out, s->step, j);
            }
            if (fine) continue;
            if (!strays++)
                snprintf(text, size, "word %llu of buffer %u was 0x%08x, is 0x%08x", (unsigned long long)j, i,
                         s->areas[i].init[j], now[j]);
        }
        free(now);
    }
    return strays;
}
#endif
