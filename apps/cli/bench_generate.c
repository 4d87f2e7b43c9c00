/* bench_generate.c - gllm bench of a generator: tokens a second read (prefill) and written (decode), at a depth.
 *
 * The depth is a prompt that an earlier call left in the cache; each run continues it with words of its own, so that nothing else is cached. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"

enum { MAX_RUNS = 64 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, unsigned n) {
    qsort(v, n, sizeof *v, by_value);
    return n ? v[n / 2] : NAN;
}

/* `base` words, then `more` others that depend on the run. A word is a token in nearly every vocabulary; what counts is told by the model. */
static char *make_prompt(uint32_t base, uint32_t more, unsigned run) {
    static const char *const WORDS[] = {"time", "water", "house", "music", "river", "light", "story", "world", "paper", "stone", "field", "night", "table"};
    const uint32_t n = base + more;
    char *text = malloc((size_t)n * 8 + 1), *at = text;
    if (!text) return NULL;
    *at = '\0';
    for (uint32_t i = 0; i < n; i++) at += sprintf(at, " %s", WORDS[(i < base ? i * 7 : i * (2 + run % 11) + run) % 13]);
    return text;
}

struct runs {
    double prefill[MAX_RUNS], decode[MAX_RUNS]; /* tokens a second */
    unsigned n;
    uint32_t prompt_tokens, cached;
};

static int one(gllm_client *c, uint32_t base, uint32_t more, uint32_t gen, unsigned run, gllm_completion **out) {
    gllm_generate_request r;
    gllm_error err = {0};
    char *text = make_prompt(base, more, run);
    if (!text) return cli_no_memory();
    gllm_generate_request_init(&r);
    r.prompt = (gllm_str){text, GLLM_NTS};
    r.max_tokens = gen;
    r.ignore_eos = true;
    int status = gllm_generate(c, &r, out, &err) == GLLM_OK ? EXIT_OK : cli_fail(&err);
    free(text);
    return status;
}

static int measure(gllm_client *c, uint32_t depth, uint32_t prompt, uint32_t gen, double seconds, struct runs *out) {
    gllm_completion *a;
    double end = 0;
    int status = EXIT_OK;
    if (depth) {
        status = one(c, depth, 0, 1, 0, &a);
        if (!status) gllm_completion_free(a);
    }
    for (unsigned run = 0; !status && out->n < MAX_RUNS; run++) {
        status = one(c, depth, prompt, gen + 1, run + 1, &a);
        if (status) break;
        if (run) { /* the first one warms up */
            out->prompt_tokens = a->prompt_tokens, out->cached = a->cached_tokens;
            out->prefill[out->n] = 1e3 * (a->prompt_tokens - a->cached_tokens) / a->prefill_ms;
            out->decode[out->n++] = 1e3 * (double)(a->n_tokens - 1) / a->decode_ms;
        } else end = cli_now_ms() + seconds * 1e3;
        gllm_completion_free(a);
        if (cli_interrupted()) status = cli_interrupted();
        if (run > 3 && cli_now_ms() > end) break;
    }
    return status;
}

static void print(const struct cli_options *o, const gllm_client_info *ci, const gllm_model_info *info, const gllm_peaks *peak, struct runs *r, uint32_t depth, uint32_t gen) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    const double prefill = median(r->prefill, r->n), decode = median(r->decode, r->n), rss = (double)u.ru_maxrss / 1024, of_read = decode * (double)info->file_bytes * 1e-9 / peak->read_gb_per_s;
    if (o->json) {
        printf("{\"prefill_tokens_per_s\":%.6g,\"decode_tokens_per_s\":%.6g,\"prompt_tokens\":%u,\"gen\":%u,\"depth\":%u,\"peak_gflops\":%.5g,\"peak_int8_gops\":%.5g,\"read_gb_per_s\":%.4g,\"of_peak\":%.4g,\"load_ms\":%.4g,"
               "\"rss_mib\":%.5g,\"threads\":%u,\"backend\":\"%s\",\"runs\":%u,\"model\":",
               prefill, decode, r->prompt_tokens - r->cached, gen, depth, peak->gflops_f32, peak->gops_int8, peak->read_gb_per_s, of_read, ci->load_ms, rss, ci->threads, ci->backend, r->n);
        cli_json_text(stdout, ci->model);
        puts("}");
        return;
    }
    printf("%s%s%s\n", cli_style(stdout, STYLE_BOLD), ci->model, cli_style(stdout, STYLE_PLAIN));
    printf("  on       %s (%s), %u threads\n           %s\n", ci->backend, ci->isa, ci->threads, ci->device);
    printf("  prefill  %.1f tokens/s (%u tokens at depth %u)\n", prefill, r->prompt_tokens - r->cached, r->cached);
    printf("  decode   %.1f tokens/s (%u tokens)\n           %.0f %% of the memory's speed, were the whole file read for each\n", decode, gen, 100 * of_read);
    printf("  peak     %.0f GFLOP/s f32\n           %.0f Gop/s int8\n           %.1f GB/s read\n", peak->gflops_f32, peak->gops_int8, peak->read_gb_per_s);
    printf("  load     %.1f ms\n  memory   %.1f MiB at most (with the peaks)\n", ci->load_ms, rss);
}

int cli_bench_generate(const struct cli_options *o, const gllm_model_info *info) {
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_error err = {0};
    gllm_client_info ci = {.struct_size = sizeof ci};
    gllm_peaks before, after;
    struct runs r = {0};
    const uint32_t prompt = o->prompt_tokens ? o->prompt_tokens : 512, gen = o->gen ? o->gen : 64;
    const uint64_t need = (uint64_t)o->depth + prompt + gen + 64;
    if (need > info->max_tokens) return cli_usage("bench: depth %u + prompt %u + gen %u are above the model's %u tokens", o->depth, prompt, gen, info->max_tokens);
    cli_model_options(o, &opt);
    opt.log = NULL;
    opt.n_ctx = (uint32_t)need;
    if (gllm_client_open(&c, &opt, &err) != GLLM_OK) return cli_fail(&err);
    int status = gllm_client_describe(c, NULL, &ci, &err) == GLLM_OK && gllm_measure_peaks(ci.threads, &before, &err) == GLLM_OK ? EXIT_OK : cli_fail(&err);
    if (!status) status = measure(c, o->depth, prompt, gen, o->seconds ? o->seconds : 3, &r);
    if (!status && gllm_measure_peaks(ci.threads, &after, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        const gllm_peaks peak = {.gflops_f32 = (before.gflops_f32 + after.gflops_f32) / 2, .gops_int8 = (before.gops_int8 + after.gops_int8) / 2, .read_gb_per_s = (before.read_gb_per_s + after.read_gb_per_s) / 2};
        print(o, &ci, info, &peak, &r, o->depth, gen);
        status = cli_flush(stdout, "standard output");
    }
    gllm_client_close(c);
    return status;
}
