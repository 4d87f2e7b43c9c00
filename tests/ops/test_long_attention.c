/* test_long_attention.c - attention to 1 k to 1 M keys of one head against long double: the error does not grow with their number, whatever
 * order the scores come in, and no thread count shows in the bits.
 *
 * The cache holds POOL different pages; a sequence of any length names them in the order that a case asks for, so that a million keys
 * fit in 16 MiB. Queries and keys are small multiples of 1/8 and the scale is a power of two: every score is exact in f32, and what is left
 * is the error of exponentials and sums. It is measured in parts of sum p |v|, so that values which cancel hide nothing.
 *
 * Bound, at any length: 2e-6, some sixteen roundings of f32. Plain f32 sums over equal scores are computed beside it, and must miss it. */
#include "ops/op_harness.h"

enum { D = 64, STEPS = 64, A_STEP = 8, SIGNED = STEPS * A_STEP, POOL = 2 * SIGNED, PAGE_FLOATS = 2 * KV_PAGE * D, MAX_HEADS = 12 };
static const double BOUND = 2e-6;
static const float SCALE = 0.5f;

static struct target targets[MAX_TARGETS];
static size_t n_targets;
static float *pool;        /* [POOL][keys, values][KV_PAGE][D]; pages from SIGNED on have values of alternating sign */
static float queries[MAX_HEADS][D];

static float eighth(uint64_t *rng) { return (float)((int)(rng_next(rng) % 17) - 8) / 8; } /* -1 to 1 */

/* Keys of page p have level p / A_STEP % STEPS in their first value, which every query reads: their scores rise with it from 0 to 31.5. */
static int pool_make(void **state) {
    (void)state;
    uint64_t rng = 12;
    pool = malloc((size_t)POOL * PAGE_FLOATS * sizeof *pool);
    assert_non_null(pool);
    for (uint32_t p = 0; p < POOL; p++)
        for (uint32_t j = 0; j < KV_PAGE; j++) {
            float *k = pool + (size_t)p * PAGE_FLOATS + j * D, *v = k + KV_PAGE * D;
            for (uint32_t i = 0; i < D; i++) k[i] = eighth(&rng), v[i] = 1 + 0.5f * rng_unit(&rng);
            k[0] = (float)(p / A_STEP % STEPS);
            for (uint32_t i = 0; p >= SIGNED && j % 2 && i < D; i++) v[i] = -v[i];
        }
    for (uint32_t h = 0; h < MAX_HEADS; h++)
        for (uint32_t i = 0; i < D; i++) queries[h][i] = i ? eighth(&rng) / 4 : 1;
    return 0;
}
static int pool_free(void **state) {
    (void)state;
    free(pool);
    return 0;
}

/* ---- the orders in which scores may come; page i of n ---- */

static uint32_t page_of_level(uint32_t level, uint32_t i) { return level * A_STEP + i % A_STEP; }
static uint32_t mixed(uint32_t i, uint32_t n) { (void)n; return (uint32_t)(i * 2654435761u >> 8) % SIGNED; }
static uint32_t equal(uint32_t i, uint32_t n) { (void)i, (void)n; return 3; }
static uint32_t rising(uint32_t i, uint32_t n) { return page_of_level((uint32_t)((uint64_t)i * STEPS / n), i); }
static uint32_t falling(uint32_t i, uint32_t n) { return rising(n - 1 - i, n); }
static uint32_t large_at_end(uint32_t i, uint32_t n) { return page_of_level(i + 1 == n ? 28 : 0, i); } /* e^14 is about a million: the last keys weigh as all others */
static uint32_t one_dominates(uint32_t i, uint32_t n) { return page_of_level(i == n / 3 ? 63 : i % 4, i); }
static uint32_t signs(uint32_t i, uint32_t n) { return SIGNED + mixed(i, n); }
static uint32_t signs_equal(uint32_t i, uint32_t n) { return SIGNED + equal(i, n); }
static const struct {
    const char *name;
    uint32_t (*page)(uint32_t i, uint32_t n);
} ORDERS[] = {{"mixed", mixed}, {"equal", equal}, {"rising", rising}, {"falling", falling}, {"large at the end", large_at_end}, {"one dominates", one_dominates},
              {"alternating signs", signs}, {"equal, alternating signs", signs_equal}};
enum { N_ORDERS = sizeof ORDERS / sizeof *ORDERS };

/* ---- what is exact, and what plain sums give ---- */

static float score(const float *q, const float *k) { /* exact */
    float s = 0;
    for (uint32_t i = 0; i < D; i++) s += q[i] * k[i];
    return s * SCALE;
}

/* Query 0 over n_pages pages: out [D], and size [D] = sum p |v|. Equal pages are counted, not added again and again. */
static void exact(const uint32_t *pages, uint32_t n_pages, long double *out, long double *size) {
    static uint32_t count[POOL];
    long double sum = 0;
    memset(count, 0, sizeof count);
    for (uint32_t i = 0; i < n_pages; i++) count[pages[i]]++;
    for (uint32_t i = 0; i < D; i++) out[i] = size[i] = 0;
    for (uint32_t p = 0; p < POOL; p++)
        for (uint32_t j = 0; count[p] && j < KV_PAGE; j++) {
            const float *k = pool + (size_t)p * PAGE_FLOATS + j * D, *v = k + KV_PAGE * D;
            const long double e = count[p] * expl(score(queries[0], k));
            sum += e;
            for (uint32_t i = 0; i < D; i++) out[i] += e * v[i], size[i] += e * fabsf(v[i]);
        }
    for (uint32_t i = 0; i < D; i++) out[i] /= sum, size[i] /= sum;
}

/* The same with every sum in f32, one key after the other. */
static void plain(const uint32_t *pages, uint32_t n_pages, float *out) {
    float top = -INFINITY, sum = 0;
    memset(out, 0, D * sizeof *out);
    for (uint32_t i = 0; i < n_pages; i++)
        for (uint32_t j = 0; j < KV_PAGE; j++) top = fmaxf(top, score(queries[0], pool + (size_t)pages[i] * PAGE_FLOATS + j * D));
    for (uint32_t i = 0; i < n_pages; i++)
        for (uint32_t j = 0; j < KV_PAGE; j++) {
            const float *k = pool + (size_t)pages[i] * PAGE_FLOATS + j * D, *v = k + KV_PAGE * D, e = expf(score(queries[0], k) - top);
            sum += e;
            for (uint32_t c = 0; c < D; c++) out[c] += e * v[c];
        }
    for (uint32_t c = 0; c < D; c++) out[c] /= sum;
}

static double error_of(const float *out, const long double *want, const long double *size) {
    long double worst = 0;
    for (uint32_t i = 0; i < D; i++) {
        const long double e = fabsl(out[i] - want[i]) / size[i];
        worst = e <= worst ? worst : e; /* a NaN stays */
    }
    return (double)worst;
}

/* ---- one step of one token on a backend that has the pool as its cache ---- */

static void attend(struct backend *be, struct buffer *cache, const uint32_t *pages, uint32_t n_pages, uint32_t n_head, float *out) {
    const struct step_layout l = step_layout_cached(1, 1, 0, n_pages);
    uint32_t *w = calloc(l.words, sizeof *w);
    struct buffer *step, *x;
    struct tape t;
    const uint64_t bytes = (uint64_t)n_head * D * sizeof(float);
    assert_non_null(w);
    w[STEP_N_TOK] = w[STEP_N_SEQ] = w[STEP_MAX_LEN] = w[l.starts + 1] = 1;
    w[l.past] = n_pages * KV_PAGE - 1;
    w[l.page_first + 1] = n_pages;
    memcpy(w + l.pages, pages, n_pages * sizeof *w);
    OK(be->ops->alloc(be, l.words * 4ull, BUFFER_STEP, &step, err));
    OK(be->ops->write(be, step, 0, w, l.words * 4ull, err));
    OK(be->ops->alloc(be, 2 * bytes, BUFFER_ACTIVATION, &x, err));
    OK(be->ops->write(be, x, 0, queries, bytes, err));
    struct view q = {.buf = x, .rows = 1, .cols = n_head * D, .stride = n_head * D, .extent = EXTENT_TOK}, o = q;
    o.offset = bytes;
    tape_init(&t, step, l);
    op_attend(&t, "attend", &(struct op_attend){.out = o, .q = q, .n_head = n_head, .scale = SCALE, .cache = {.buf = cache, .dtype = DTYPE_F32, .n_kv = 1, .d_head = D, .n_pages = POOL}});
    OK(tape_finish(&t, err));
    OK(be->ops->exec(be, &t, 0, 1, err));
    OK(be->ops->read(be, x, bytes, out, bytes, err));
    tape_free(&t);
    be->ops->buffer_free(be, step), be->ops->buffer_free(be, x);
    free(w);
}

static struct backend *open_with_pool(const struct target *t, unsigned threads, struct buffer **cache) {
    struct backend *be;
    OK(target_open(t, threads, &be, err));
    OK(be->ops->alloc(be, (uint64_t)POOL * PAGE_FLOATS * sizeof *pool, BUFFER_ACTIVATION, cache, err));
    OK(be->ops->write(be, *cache, 0, pool, (uint64_t)POOL * PAGE_FLOATS * sizeof *pool, err));
    return be;
}

static const uint32_t LENGTHS[] = {1u << 10, 10016, 100000, 1u << 20}; /* keys, whole pages */
enum { N_LENGTHS = sizeof LENGTHS / sizeof *LENGTHS, MOST_PAGES = (1 << 20) / KV_PAGE };

/* One head: few lanes, keys in the vectors, splits shared out; twelve heads on it: lanes in the vectors. */
static void test_error(void **state) {
    (void)state;
    static uint32_t pages[MOST_PAGES];
    double plain_error[N_LENGTHS] = {0};
    long double want[D], size[D];
    float out[MAX_HEADS * D], other[MAX_HEADS * D];
    struct backend *be[MAX_TARGETS], *more[MAX_TARGETS];
    struct buffer *cache[MAX_TARGETS], *more_cache[MAX_TARGETS];
    for (size_t t = 0; t < n_targets; t++) be[t] = open_with_pool(&targets[t], 1, &cache[t]), more[t] = open_with_pool(&targets[t], 3, &more_cache[t]);
    for (unsigned o = 0; o < N_ORDERS; o++) {
        double worst[MAX_TARGETS][N_LENGTHS] = {{0}};
        for (unsigned n = 0; n < N_LENGTHS; n++) {
            const uint32_t n_pages = LENGTHS[n] / KV_PAGE;
            for (uint32_t i = 0; i < n_pages; i++) pages[i] = ORDERS[o].page(i, n_pages);
            exact(pages, n_pages, want, size);
            if (ORDERS[o].page == equal) {
                plain(pages, n_pages, other);
                plain_error[n] = error_of(other, want, size);
            }
            for (size_t t = 0; t < n_targets; t++) {
                const bool ref = targets[t].ops == &backend_ref;
                for (uint32_t heads = 1; heads <= (ref ? 1 : MAX_HEADS); heads += MAX_HEADS - 1) {
                    if (ref && n + 1 == N_LENGTHS) continue; /* double sums need no such length */
                    attend(be[t], cache[t], pages, n_pages, heads, out);
                    const double e = error_of(out, want, size);
                    worst[t][n] = e <= worst[t][n] ? worst[t][n] : e;
                    if (ref) continue;
                    attend(more[t], more_cache[t], pages, n_pages, heads, other);
                    if (memcmp(out, other, heads * D * sizeof *out)) fail_msg("%s: %s over %u keys, %u heads: other bits on 3 threads", targets[t].name, ORDERS[o].name, LENGTHS[n], heads);
                }
            }
        }
        for (size_t t = 0; t < n_targets; t++) {
            print_message("%-12s %-24s 1k %.1e  10k %.1e  100k %.1e  1M %.1e\n", targets[t].name, ORDERS[o].name, worst[t][0], worst[t][1], worst[t][2], worst[t][3]);
            for (unsigned n = 0; n < N_LENGTHS; n++)
                if (!(worst[t][n] <= BOUND)) fail_msg("%s: %s over %u keys: error %g above %g", targets[t].name, ORDERS[o].name, LENGTHS[n], worst[t][n], BOUND);
        }
    }
    print_message("%-37s 1k %.1e  10k %.1e  100k %.1e  1M %.1e\n", "plain f32 sums, equal", plain_error[0], plain_error[1], plain_error[2], plain_error[3]);
    assert_true(plain_error[N_LENGTHS - 1] > 10 * BOUND); /* or the bound would show nothing */
    for (size_t t = 0; t < n_targets; t++) {
        be[t]->ops->buffer_free(be[t], cache[t]), more[t]->ops->buffer_free(more[t], more_cache[t]);
        be[t]->ops->close(be[t]), more[t]->ops->close(more[t]);
    }
}

int main(void) {
    n_targets = targets_find(targets, true);
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_error, pool_make, pool_free)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
