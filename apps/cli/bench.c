/* bench.c - gllm bench: how fast a model embeds here, beside what the machine could do.
 *
 * Floating-point operations of a text of n tokens: n * n_layer * 2 (4 d^2 + 2 d d_ff) for the linear layers and n_layer * 4 n^2 d for attention;
 * of_peak is that rate over the multiply-add peak measured just before and just after. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"

enum { MAX_RUNS = 4096 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A text of exactly `length` tokens: single-token words, as many as the special tokens leave room for. */
static char *make_text(gllm_client *c, uint32_t length, uint32_t seed, gllm_error *err) {
    static const char *const WORDS[] = {"time", "water", "house", "music", "river", "light", "story", "world", "paper", "stone"};
    size_t room = (size_t)length * 8 + 16, at = 0;
    char *text = malloc(room);
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_tokenize_request_init(&r);
    r.text = (gllm_str){"", 0};
    if (!text || gllm_tokenize(c, &r, &t, err) != GLLM_OK) return text;
    size_t special = t->count;
    gllm_tokens_free(t);
    text[0] = '\0';
    for (size_t i = special; i < length; i++) at += (size_t)snprintf(text + at, room - at, "%s%s", at ? " " : "", WORDS[(i + seed) % 10]);
    return text;
}

struct result {
    double seconds; /* median of a batch */
    unsigned runs;
};

static int measure(gllm_client *c, const gllm_str *texts, uint32_t batch, uint32_t length, double seconds, struct result *out) {
    static const unsigned WARM_UP = 2;
    double *times = malloc(MAX_RUNS * sizeof *times), end = 0;
    gllm_embed_request r;
    gllm_error err = {0};
    int status = EXIT_OK;
    if (!times) return cli_fail(&(gllm_error){GLLM_NOMEM, "out of memory"});
    gllm_embed_request_init(&r);
    r.inputs = texts, r.n_inputs = batch;
    for (unsigned i = 0; !status && out->runs < MAX_RUNS; i++) {
        gllm_embeddings *e;
        double start = cli_now_ms();
        if (gllm_embed(c, &r, &e, &err) != GLLM_OK) {
            status = cli_fail(&err);
            break;
        }
        double took = cli_now_ms() - start;
        if (e->tokens[0] != length) status = cli_usage("bench: the texts have %u tokens, expected --length %u", e->tokens[0], length);
        gllm_embeddings_free(e);
        if (i >= WARM_UP) times[out->runs++] = took / 1e3;
        else end = cli_now_ms() + seconds * 1e3;
        if (cli_interrupted()) status = EXIT_INTERRUPTED;
        if (i > WARM_UP + 1 && cli_now_ms() > end) break;
    }
    qsort(times, out->runs, sizeof *times, by_value);
    out->seconds = out->runs ? times[out->runs / 2] : NAN;
    free(times);
    return status;
}

static void print(const struct cli_options *o, const gllm_client_info *ci, const gllm_peaks *peak, const struct result *r, uint32_t batch, uint32_t length, double flops) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double texts = batch / r->seconds, of_peak = flops * batch / r->seconds * 1e-9 / peak->gflops_f32, rss = (double)u.ru_maxrss / 1024;
    if (o->json) {
        printf("{\"texts_per_s\":%.6g,\"tokens_per_s\":%.6g,\"ms_per_text\":%.6g,\"peak_gflops\":%.5g,\"peak_int8_gops\":%.5g,\"read_gb_per_s\":%.4g,\"of_peak\":%.4g,\"load_ms\":%.4g,\"rss_mib\":%.5g,\"threads\":%u,\"backend\":\"%s\",\"length\":%u,\"batch\":%u,\"runs\":%u,\"model\":",
               texts, texts * length, 1e3 / texts, peak->gflops_f32, peak->gops_int8, peak->read_gb_per_s, of_peak, ci->load_ms, rss, ci->threads, ci->backend, length, batch, r->runs);
        cli_json_text(stdout, ci->model, strlen(ci->model));
        puts("}");
        return;
    }
    printf("%s on %s (%s, %s, %u threads)\n", ci->model, ci->backend, ci->device, ci->isa, ci->threads);
    printf("  %u texts of %u tokens   %.1f texts/s   %.0f tokens/s   %.3f ms a text   (median of %u batches)\n", batch, length, texts, texts * length, 1e3 / texts, r->runs);
    printf("  %.1f GFLOP/s, %.0f %% of the %.0f GFLOP/s that this machine multiplies and adds at (f32; int8 %.0f Gop/s; reads %.1f GB/s)\n", of_peak * peak->gflops_f32, 100 * of_peak,
           peak->gflops_f32, peak->gops_int8, peak->read_gb_per_s);
    printf("  loaded in %.1f ms, at most %.1f MiB resident (peak measurement included)\n", ci->load_ms, rss);
}

int verb_bench(const struct cli_verb *v, struct cli_options *o) {
    (void)v;
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_model_info *info = NULL;
    gllm_error err = {0};
    gllm_peaks before, after;
    uint32_t length = 128, batch = 1, seconds = 3;
    int status = cli_model_options(o, &opt);
    if (!status) status = cli_number("length", o->length, 1, 1 << 20, &length);
    if (!status) status = cli_number("batch", o->batch, 1, 1 << 16, &batch);
    if (!status) status = cli_number("seconds", o->seconds, 1, 3600, &seconds);
    if (status) return status;
    cli_catch_interrupt();
    if (gllm_inspect(&info, &opt, 0, 0, &err) != GLLM_OK || gllm_client_open(&c, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    gllm_client_info ci = {.struct_size = sizeof ci};
    gllm_str *texts = calloc(batch, sizeof *texts);
    if (!status && length > info->max_tokens) status = cli_usage("bench: --length %u is above the model's %u tokens", length, info->max_tokens);
    if (!status && gllm_client_describe(c, &ci, &err) != GLLM_OK) status = cli_fail(&err);
    for (uint32_t i = 0; !status && texts && i < batch; i++) {
        texts[i] = (gllm_str){make_text(c, length, i, &err), GLLM_NTS};
        if (!texts[i].ptr) status = cli_fail(&(gllm_error){GLLM_NOMEM, "out of memory"});
    }
    struct result r = {0};
    if (!status && gllm_measure_peaks(ci.threads, &before, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = measure(c, texts, batch, length, seconds, &r);
    if (!status && gllm_measure_peaks(ci.threads, &after, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        double n = length, d = info->d_model;
        after.gflops_f32 = (before.gflops_f32 + after.gflops_f32) / 2;
        after.gops_int8 = (before.gops_int8 + after.gops_int8) / 2;
        after.read_gb_per_s = (before.read_gb_per_s + after.read_gb_per_s) / 2;
        print(o, &ci, &after, &r, batch, length, info->n_layer * (n * 2 * (4 * d * d + 2 * d * info->d_ff) + 4 * n * n * d));
        status = cli_close_output(stdout, "standard output");
    }
    for (uint32_t i = 0; texts && i < batch; i++) free((void *)(uintptr_t)texts[i].ptr);
    free(texts);
    gllm_model_info_free(info);
    gllm_client_close(c);
    return status;
}
