/* test_decoders.c - every family of causal models against the library that defines it: logits, greedy text; and the same bits from a
 * sequence in one piece, in chunks, beside others, and after a prefix that another sequence left in the cache. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* The prompt in chunks of the lengths given (0-terminated); all its logits to out. */
static void prefill(struct decoder *d, struct kv_seq *s, const struct golden *g, const uint32_t *chunks, uint32_t n_vocab, float *out) {
    for (uint32_t at = s->n_tok; at < g->n_prompt;) {
        uint32_t n = *chunks ? *chunks++ : g->n_prompt - at;
        if (n > g->n_prompt - at) n = g->n_prompt - at;
        const float *logits;
        OK(decoder_step(d, &(struct decoder_item){s, g->prompt + at, n, n}, 1, &logits, err));
        memcpy(out + (size_t)at * n_vocab, logits, (size_t)n * n_vocab * sizeof *out);
        at += n;
    }
}

static void check_model(const struct golden *g, unsigned target, double *worst) {
    struct backend *be;
    gllm_error e;
    if (TARGETS[target].ops->open(&be, &(struct backend_options){.threads = 2, .isa = TARGETS[target].isa}, &e) != GLLM_OK) {
        print_message("skipped %s: %s\n", TARGETS[target].isa, e.message);
        return;
    }
    struct model_files files;
    struct model *m;
    struct decoder *d;
    const struct log quiet = {0};
    OK(model_files_open(&files, g->dir, &quiet, err));
    OK(model_open(&m, &files, be, &quiet, err));
    const uint32_t n_vocab = m->files.cfg.n_vocab;
    const size_t n = (size_t)g->n_prompt * n_vocab;
    float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts);
    assert_true(whole && parts);
    OK(decoder_open(&d, m, &(struct decoder_options){.n_ctx = g->n_ctx < 3 * KV_PAGE ? g->n_ctx : 3 * KV_PAGE, .max_tok = CAP, .max_seq = 3, .max_out = CAP, .kv_dtype = DTYPE_F32}, err));
    struct kv *kv = decoder_kv(d);
    struct kv_seq *s;
    const float *logits;
    OK(kv_begin(kv, g->prompt, g->n_prompt, &s, err));
    prefill(d, s, g, (const uint32_t[]){0}, n_vocab, whole);
    double far = far_from(whole, g->logits, n);
    if (!(far <= 1e-4)) fail_msg("%s on %s %s: logits off by %g", g->dir, TARGETS[target].ops->name, TARGETS[target].isa ? TARGETS[target].isa : "", far);
    *worst = far > *worst ? far : *worst;
    int32_t next = (int32_t)best_of(whole + n - n_vocab, n_vocab);
    for (uint32_t i = 0; i < g->n_greedy; i++) {
        if (next != g->greedy[i]) fail_msg("%s: greedy token %u is %d, expected %d", g->dir, i, next, g->greedy[i]);
        OK(decoder_step(d, &(struct decoder_item){s, &next, 1, 1}, 1, &logits, err));
        next = (int32_t)best_of(logits, n_vocab);
    }
    kv_end(kv, s, false);

    OK(kv_begin(kv, g->prompt, g->n_prompt, &s, err));
    assert_int_equal(s->n_shared, 0);
    prefill(d, s, g, (const uint32_t[]){1, 7, 20, 0}, n_vocab, parts);
    if (TARGETS[target].ops == &backend_cpu && memcmp(whole, parts, n * sizeof *whole)) fail_msg("%s: chunks give other bits", g->dir);
    kv_end(kv, s, true);

    /* The prompt again: all but its last token comes from the cache, and the shared last page is copied before it is written. */
    OK(kv_begin(kv, g->prompt, g->n_prompt, &s, err));
    assert_int_equal(s->n_shared, g->n_prompt - 1);
    memcpy(parts, whole, (n - n_vocab) * sizeof *parts);
    prefill(d, s, g, (const uint32_t[]){0}, n_vocab, parts);
    if (TARGETS[target].ops == &backend_cpu && memcmp(whole, parts, n * sizeof *whole)) fail_msg("%s: a cached prefix gives other bits", g->dir);
    kv_end(kv, s, false);
    decoder_close(d);

    /* A mixed step: one sequence decodes its 21st token while two others prefill. */
    OK(decoder_open(&d, m, &(struct decoder_options){.n_ctx = 4 * KV_PAGE > g->n_ctx && g->n_greedy ? 4 * KV_PAGE : g->n_ctx + 4 * KV_PAGE, .max_tok = CAP, .max_seq = 3, .max_out = CAP, .kv_dtype = DTYPE_F32}, err));
    struct kv_seq *all[3];
    float *alone = malloc(n * sizeof *alone);
    assert_non_null(alone);
    kv = decoder_kv(d);
    OK(kv_begin(kv, g->prompt, g->n_prompt, &all[0], err));
    prefill(d, all[0], g, (const uint32_t[]){0}, n_vocab, alone);
    kv_end(kv, all[0], false);
    for (unsigned i = 0; i < 3; i++) OK(kv_begin(kv, g->prompt + (i == 1), 1, &all[i], err));
    OK(decoder_step(d, &(struct decoder_item){all[0], g->prompt, 20, 0}, 1, &logits, err));
    const struct decoder_item mixed[] = {{all[1], g->prompt + 3, 17, 1}, {all[0], g->prompt + 20, 1, 1}, {all[2], g->prompt, 30, 1}};
    OK(decoder_step(d, mixed, 3, &logits, err));
    if (TARGETS[target].ops == &backend_cpu && (memcmp(logits + n_vocab, alone + 20ull * n_vocab, n_vocab * sizeof *alone) || memcmp(logits + 2ull * n_vocab, alone + 29ull * n_vocab, n_vocab * sizeof *alone)))
        fail_msg("%s: a mixed batch gives other bits", g->dir);
    for (unsigned i = 0; i < 3; i++) kv_end(kv, all[i], false);
    assert_int_equal(kv_free_pages(kv), kv_pages(kv));
    /* More than the cache holds: refused, and the sequence is as it was. */
    OK(kv_begin(kv, g->prompt, 1, &s, err));
    gllm_status status = GLLM_OK;
    while (status == GLLM_OK) status = decoder_step(d, &(struct decoder_item){s, g->prompt, 30, 0}, 1, &logits, &e);
    assert_int_equal(status, GLLM_TOO_LONG);
    assert_non_null(strstr(e.message, "the cache is full"));
    assert_int_equal(s->n_tok % 30, 0);
    kv_end(kv, s, false);
    decoder_close(d);
    free(whole), free(parts), free(alone);
    model_close(m);
    be->ops->close(be);
}

static void test_families(void **state) {
    (void)state;
    struct dirent **names;
    int n = scandir("tests/golden/decoders", &names, NULL, alphasort), seen = 0;
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            struct golden g;
            double worst = 0;
            golden_open(&g, names[i]->d_name);
            for (unsigned t = 0; t < sizeof TARGETS / sizeof *TARGETS; t++) check_model(&g, t, &worst);
            print_message("%-20s logits within %.1e\n", names[i]->d_name, worst);
            weights_close(g.values);
            seen++;
        }
        free(names[i]);
    }
    free(names);
    assert_true(seen >= 20);
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
                prefill(d, s, &g, pass == 1 ? (const uint32_t[]){1, 7, 20, 0} : (const uint32_t[]){0}, n_vocab, pass ? parts : whole);
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families), cmocka_unit_test(test_q8_cache)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
