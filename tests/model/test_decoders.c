/* test_decoders.c - every family of causal models, from safetensors and from GGUF, against the library that defines it: logits, greedy text; and
 * the same bits from a sequence in one piece, in chunks, beside others, and after a prefix that another sequence left in the cache. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gllm.h"
#include "model/decoder.h"

#define OK(expr)                                                           \
    do {                                                                   \
        gllm_error ok_err_ = {0}, *err = &ok_err_;                         \
        if ((expr) != GLLM_OK) fail_msg("%s: %s", #expr, ok_err_.message); \
    } while (0)
enum { CAP = 128, MAX_PROMPT = 64, MAX_NEW = 32 };

struct golden {
    char dir[512];
    int32_t prompt[MAX_PROMPT], greedy[MAX_NEW];
    uint32_t n_prompt, n_greedy, n_ctx;
    struct weights *values;
    const float *logits; /* [n_prompt][n_vocab] */
};
static const struct {
    const struct backend_ops *ops;
    const char *isa;
} TARGETS[] = {{&backend_ref, NULL}, {&backend_cpu, "portable"}, {&backend_cpu, "avx2"}, {&backend_cpu, "avx512"}};

static uint32_t ints(const json_t *root, const char *key, int32_t *out, uint32_t most) {
    const json_t *list = json_object_get(root, key);
    const uint32_t n = (uint32_t)json_array_size(list);
    assert_true(n <= most);
    for (uint32_t i = 0; i < n; i++) out[i] = (int32_t)json_number_value(json_array_get(list, i));
    return n;
}

static void golden_open(struct golden *g, const char *name) {
    char path[1024];
    json_t *root;
    snprintf(g->dir, sizeof g->dir, "tests/golden/decoders/%s", name);
    snprintf(path, sizeof path, "%s/expected.json", g->dir);
    OK(json_read_file(path, 1 << 20, &root, err));
    g->n_prompt = ints(root, "prompt", g->prompt, MAX_PROMPT);
    g->n_greedy = ints(root, "greedy", g->greedy, MAX_NEW);
    g->n_ctx = (uint32_t)json_number_value(json_object_get(root, "n_ctx"));
    json_decref(root);
    snprintf(path, sizeof path, "%s/expected.safetensors", g->dir);
    OK(weights_open(&g->values, path, err));
    const struct tensor *t = weights_find(g->values, "logits");
    assert_true(t && t->rank == 2 && t->shape[0] == g->n_prompt && (uintptr_t)t->data % sizeof(float) == 0);
    g->logits = t->data;
}

static double far_from(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)a[i] - (double)b[i];
        e = e < 0 ? -e : e;
        if (!(e <= worst)) worst = e;
    }
    return worst;
}

static uint32_t best_of(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

struct run { /* one file on one target */
    const struct golden *g;
    const char *path;
    char on[600]; /* for messages */
    struct model *m;
    struct backend *be;
    bool exact, same_bits; /* f32 everywhere; a promise of the backend */
    uint32_t n_vocab;
    size_t n; /* logits of the whole prompt */
    float *whole, *parts;
};

/* The prompt in chunks of the lengths given (0-terminated); all its logits to out. */
static void prefill(struct decoder *d, struct kv_seq *s, const struct run *r, const uint32_t *chunks, float *out) {
    const struct golden *g = r->g;
    for (uint32_t at = s->n_tok; at < g->n_prompt;) {
        uint32_t n = *chunks ? *chunks++ : g->n_prompt - at;
        if (n > g->n_prompt - at) n = g->n_prompt - at;
        const float *logits;
        OK(decoder_step(d, &(struct decoder_item){s, g->prompt + at, n, n}, 1, &logits, err));
        memcpy(out + (size_t)at * r->n_vocab, logits, (size_t)n * r->n_vocab * sizeof *out);
        at += n;
    }
}

static void same(const struct run *r, const float *a, const float *b, size_t n, const char *what) {
    if (r->same_bits && memcmp(a, b, n * sizeof *a)) fail_msg("%s: %s gives other bits", r->on, what);
}

static struct decoder *open_decoder(const struct run *r, uint32_t n_ctx) {
    struct decoder *d;
    OK(decoder_open(&d, r->m, &(struct decoder_options){.n_ctx = n_ctx, .max_tok = CAP, .max_seq = 3, .max_out = CAP, .kv_dtype = DTYPE_F32}, err));
    return d;
}

/* Logits of the whole prompt, then the greedy continuation. With int8 activations: near, and no text to compare. */
static void check_values(struct run *r, struct decoder *d, double *worst) {
    const struct golden *g = r->g;
    struct kv_seq *s;
    const float *logits;
    OK(kv_begin(decoder_kv(d), g->prompt, g->n_prompt, &s, err));
    prefill(d, s, r, (const uint32_t[]){0}, r->whole);
    double far = far_from(r->whole, g->logits, r->n), bound = 1e-4;
    if (!r->exact) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < r->n; i++) sum += fabs((double)r->whole[i] - (double)g->logits[i]), squares += (double)g->logits[i] * (double)g->logits[i];
        far = sum / (double)r->n / sqrt(squares / (double)r->n), bound = 0.03;
    }
    if (!(far <= bound)) fail_msg("%s: logits off by %g", r->on, far);
    *worst = far > *worst ? far : *worst;
    int32_t next = (int32_t)best_of(r->whole + r->n - r->n_vocab, r->n_vocab);
    for (uint32_t i = 0; r->exact && i < g->n_greedy; i++) {
        if (next != g->greedy[i]) fail_msg("%s: greedy token %u is %d, expected %d", r->on, i, next, g->greedy[i]);
        OK(decoder_step(d, &(struct decoder_item){s, &next, 1, 1}, 1, &logits, err));
        next = (int32_t)best_of(logits, r->n_vocab);
    }
    kv_end(decoder_kv(d), s, false);
}

static void check_chunks(struct run *r, struct decoder *d) {
    struct kv_seq *s;
    OK(kv_begin(decoder_kv(d), r->g->prompt, r->g->n_prompt, &s, err));
    assert_int_equal(s->n_shared, 0);
    prefill(d, s, r, (const uint32_t[]){1, 7, 20, 0}, r->parts);
    same(r, r->whole, r->parts, r->n, "a prompt in chunks");
    kv_end(decoder_kv(d), s, true);
}

/* The prompt again: all but its last token comes from the cache, and the shared last page is copied before it is written. */
static void check_prefix(struct run *r, struct decoder *d) {
    struct kv_seq *s;
    OK(kv_begin(decoder_kv(d), r->g->prompt, r->g->n_prompt, &s, err));
    assert_int_equal(s->n_shared, r->g->n_prompt - 1);
    memcpy(r->parts, r->whole, (r->n - r->n_vocab) * sizeof *r->parts);
    prefill(d, s, r, (const uint32_t[]){0}, r->parts);
    same(r, r->whole, r->parts, r->n, "a cached prefix");
    kv_end(decoder_kv(d), s, false);
}

/* A mixed step: one sequence decodes its 21st token while two others prefill. */
static void check_mixed(struct run *r, struct decoder *d) {
    const struct golden *g = r->g;
    struct kv *kv = decoder_kv(d);
    struct kv_seq *all[3];
    const float *logits;
    OK(kv_begin(kv, g->prompt, g->n_prompt, &all[0], err));
    prefill(d, all[0], r, (const uint32_t[]){0}, r->parts); /* what each position gives alone, for a context of this length */
    kv_end(kv, all[0], false);
    for (unsigned i = 0; i < 3; i++) OK(kv_begin(kv, g->prompt + (i == 1), 1, &all[i], err));
    OK(decoder_step(d, &(struct decoder_item){all[0], g->prompt, 20, 0}, 1, &logits, err));
    const struct decoder_item mixed[] = {{all[1], g->prompt + 3, 17, 1}, {all[0], g->prompt + 20, 1, 1}, {all[2], g->prompt, 30, 1}};
    OK(decoder_step(d, mixed, 3, &logits, err));
    same(r, logits + r->n_vocab, r->parts + 20ull * r->n_vocab, r->n_vocab, "decoding in a mixed batch");
    same(r, logits + 2ull * r->n_vocab, r->parts + 29ull * r->n_vocab, r->n_vocab, "a prompt in a mixed batch");
    for (unsigned i = 0; i < 3; i++) kv_end(kv, all[i], false);
    assert_int_equal(kv_free_pages(kv), kv_pages(kv));
}

/* More than the cache holds: refused, and the sequence is as it was. */
static void check_full(struct run *r, struct decoder *d) {
    struct kv_seq *s;
    const float *logits;
    gllm_error e;
    OK(kv_begin(decoder_kv(d), r->g->prompt, 1, &s, err));
    gllm_status status = GLLM_OK;
    while (status == GLLM_OK) status = decoder_step(d, &(struct decoder_item){s, r->g->prompt, 30, 0}, 1, &logits, &e);
    assert_int_equal(status, GLLM_TOO_LONG);
    assert_non_null(strstr(e.message, "the cache is full"));
    assert_int_equal(s->n_tok % 30, 0);
    kv_end(decoder_kv(d), s, false);
}

/* Blocks of GGUF or codes: what a backend may multiply with rounded activations. */
static bool has_blocks(const struct model_files *f) {
    const struct weights *w = f->weights;
    for (size_t i = 0; i < weights_count(w); i++)
        if (dtype_traits(weights_at(w, i)->dtype)->block > 1) return true;
    return f->cfg.quant.form != QUANT_FLOAT8;
}

/* True: the file is quantised, so that the default precision computes something else than the exact one. */
static bool check_file(const struct golden *g, const char *path, unsigned target, bool exact, double *worst) {
    struct run r = {.g = g, .path = path, .exact = exact, .same_bits = TARGETS[target].ops == &backend_cpu};
    struct model_files files;
    const struct log quiet = {0};
    gllm_error e;
    snprintf(r.on, sizeof r.on, "%.400s on %s%s%s", path, TARGETS[target].ops->name, TARGETS[target].isa ? " " : "", TARGETS[target].isa ? TARGETS[target].isa : "");
    const struct backend_options opt = {.threads = 2, .isa = TARGETS[target].isa, .precision = exact ? GLLM_PRECISION_F32 : GLLM_PRECISION_AUTO};
    if (TARGETS[target].ops->open(&r.be, &opt, &e) != GLLM_OK) {
        print_message("skipped %s: %s\n", r.on, e.message);
        return false;
    }
    OK(model_files_open(&files, path, &quiet, err));
    OK(model_open(&r.m, &files, r.be, &quiet, err));
    r.n_vocab = r.m->files.cfg.n_vocab;
    r.n = (size_t)g->n_prompt * r.n_vocab;
    r.whole = malloc(r.n * sizeof *r.whole), r.parts = malloc(r.n * sizeof *r.parts);
    assert_true(r.whole && r.parts);
    struct decoder *d = open_decoder(&r, g->n_ctx < 3 * KV_PAGE ? g->n_ctx : 3 * KV_PAGE);
    check_values(&r, d, worst);
    check_chunks(&r, d);
    check_prefix(&r, d);
    decoder_close(d);
    d = open_decoder(&r, 4 * KV_PAGE > g->n_ctx && g->n_greedy ? 4 * KV_PAGE : g->n_ctx + 4 * KV_PAGE);
    check_mixed(&r, d);
    check_full(&r, d);
    decoder_close(d);
    const bool blocks = has_blocks(&r.m->files);
    free(r.whole), free(r.parts);
    model_close(r.m);
    r.be->ops->close(r.be);
    return blocks;
}

static void check_everywhere(const struct golden *g, const char *path) {
    double worst = 0, rounded = 0;
    for (unsigned t = 0; t < sizeof TARGETS / sizeof *TARGETS; t++)
        if (check_file(g, path, t, true, &worst) && TARGETS[t].ops == &backend_cpu) check_file(g, path, t, false, &rounded);
    print_message("%-50s logits within %.1e\n", path, worst);
    if (rounded > 0) print_message("%-50s with int8 activations within %.1e of their deviation, in the mean\n", "", rounded);
}

/* The directory where it holds safetensors, and each GGUF file beside them. */
static unsigned check_directory(const char *name) {
    struct golden g;
    struct dirent **names;
    char path[1024];
    unsigned seen = 0;
    golden_open(&g, name);
    int n = scandir(g.dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        const bool gguf = dot && !strcmp(dot, ".gguf"), config = !strcmp(names[i]->d_name, "config.json");
        snprintf(path, sizeof path, "%s%s%s", g.dir, gguf ? "/" : "", gguf ? names[i]->d_name : "");
        if (gguf || config) check_everywhere(&g, path), seen++;
        free(names[i]);
    }
    free(names);
    weights_close(g.values);
    return seen;
}

static void test_families(void **state) {
    (void)state;
    struct dirent **names;
    int n = scandir("tests/golden/decoders", &names, NULL, alphasort);
    unsigned seen = 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') seen += check_directory(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    assert_true(seen >= 40);
}

/* A cache of q8_0: near the f32 one, the same bits in one piece, in chunks and after a kept prefix; refused where heads are no whole blocks. */
static void test_q8_cache(void **state) {
    (void)state;
    const struct log quiet = {0};
    const struct decoder_options opt = {.n_ctx = 3 * KV_PAGE, .max_tok = CAP, .max_seq = 1, .max_out = CAP, .kv_dtype = DTYPE_Q8_0};
    static const char *const NAMES[] = {"fp8-groups-llama", "llama"};
    for (unsigned target = 0; target < 2 * sizeof TARGETS / sizeof *TARGETS; target++) {
        struct backend *be;
        struct golden g;
        struct model_files files;
        struct model *m;
        struct decoder *d;
        struct kv_seq *s;
        gllm_error e;
        const struct backend_ops *ops = TARGETS[target / 2].ops;
        if (ops->open(&be, &(struct backend_options){.threads = 2, .isa = TARGETS[target / 2].isa}, &e) != GLLM_OK) continue; /* test_families says so */
        golden_open(&g, NAMES[target % 2]);
        OK(model_files_open(&files, g.dir, &quiet, err));
        OK(model_open(&m, &files, be, &quiet, err));
        if (target % 2) {
            assert_int_equal(decoder_open(&d, m, &opt, &e), GLLM_UNSUPPORTED);
            assert_string_equal(e.message, "a cache of Q8_0: found heads of 8 values, expected a multiple of 32");
        } else {
            const uint32_t n_vocab = m->files.cfg.n_vocab;
            const size_t n = (size_t)g.n_prompt * n_vocab;
            float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts);
            assert_true(whole && parts);
            OK(decoder_open(&d, m, &opt, err));
            for (unsigned pass = 0; pass < 3; pass++) {
                OK(kv_begin(decoder_kv(d), g.prompt, g.n_prompt, &s, err));
                assert_int_equal(s->n_shared, pass == 2 ? g.n_prompt - 1 : 0);
                if (pass == 2) memcpy(parts, whole, n * sizeof *parts);
                prefill(d, s, &(struct run){.g = &g, .n_vocab = n_vocab}, pass == 1 ? (const uint32_t[]){1, 7, 20, 0} : (const uint32_t[]){0}, pass ? parts : whole);
                if (pass && ops == &backend_cpu && memcmp(whole, parts, n * sizeof *whole)) fail_msg("%s: pass %u gives other bits", TARGETS[target / 2].isa, pass);
                kv_end(decoder_kv(d), s, pass == 1);
            }
            const double far = far_from(whole, g.logits, n);
            print_message("%s %s: q8_0 moves logits by %.2g\n", ops->name, TARGETS[target / 2].isa ? TARGETS[target / 2].isa : "", far);
            assert_true(far > 1e-4 && far < 0.2);
            free(whole), free(parts);
            decoder_close(d);
        }
        weights_close(g.values);
        model_close(m);
        be->ops->close(be);
    }
}

/* The client says how this model's activations are multiplied, not what is common. */
static void test_precision(void **state) {
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        gllm_options o;
        gllm_client *c;
        gllm_client_info info = {.struct_size = sizeof info};
        gllm_error e = {0};
        gllm_options_init(&o);
        o.model = "tests/golden/decoders/gguf-small-blocks/model.gguf", o.backend = "cpu", o.threads = 1, o.exact = i == 1;
        setenv("GLLM_CPU_ISA", i == 2 ? "portable" : "avx2", 1);
        const gllm_status status = gllm_client_open(&c, &o, &e);
        unsetenv("GLLM_CPU_ISA");
        if (status == GLLM_UNSUPPORTED && strstr(e.message, "instruction level")) continue;
        if (status != GLLM_OK) fail_msg("%s", e.message);
        assert_int_equal(gllm_client_describe(c, NULL, &info, &e), GLLM_OK);
        assert_string_equal(info.precision, i == 0 ? "int8" : "f32");
        gllm_client_close(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families), cmocka_unit_test(test_q8_cache), cmocka_unit_test(test_precision)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
