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

static size_t count_tokens(gllm_client *c, const char *text) { /* 0: it failed */
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_tokenize_request_init(&r);
    r.text = (gllm_str){text, GLLM_NTS};
    if (gllm_tokenize(c, &r, &t, NULL) != GLLM_OK) return 0;
    const size_t n = t->count;
    gllm_tokens_free(t);
    return n;
}

/* Words that are one token each in this model's vocabulary; where it has none, letters. */
struct words {
    const char *list[10];
    size_t count, special; /* special tokens around every text */
};
static void find_words(gllm_client *c, struct words *w) {
    static const char *const WORDS[] = {"time", "water", "house", "music", "river", "light", "story", "world", "paper", "stone"}, *const LETTERS[] = {"a", "e", "i", "o", "s", "t", "1", "2", ".", "-"};
    w->special = count_tokens(c, "");
    for (int letters = 0; letters < 2 && !w->count; letters++)
        for (int i = 0; i < 10; i++) {
            char twice[32];
            const char *word = (letters ? LETTERS : WORDS)[i];
            snprintf(twice, sizeof twice, "%s %s", word, word);
            if (count_tokens(c, word) == w->special + 1 && count_tokens(c, twice) == w->special + 2) w->list[w->count++] = word;
        }
}

/* A text of exactly `length` tokens, the special ones included. */
static char *make_text(const struct words *w, uint32_t length, uint32_t seed) {
    size_t room = (size_t)length * 8 + 16, at = 0;
    char *text = calloc(1, room);
    for (size_t i = w->special; text && i < length; i++) at += (size_t)snprintf(text + at, room - at, "%s%s", at ? " " : "", w->list[(i + seed) % w->count]);
    return text;
}

struct result {
    double seconds; /* median of a batch */
    unsigned runs;
};

static bool go_on(void *user, size_t done, size_t total) { /* Ctrl-C ends a batch, too */
    (void)user, (void)done, (void)total;
    return !cli_interrupted();
}

static int measure(gllm_client *c, const gllm_str *texts, uint32_t batch, uint32_t length, double seconds, struct result *out) {
    static const unsigned WARM_UP = 2;
    double *times = malloc(MAX_RUNS * sizeof *times), end = 0;
    gllm_embed_request r;
    gllm_error err = {0};
    int status = EXIT_OK;
    if (!times) return cli_no_memory();
    gllm_embed_request_init(&r);
    r.inputs = texts, r.n_inputs = batch, r.progress = go_on;
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
        if (cli_interrupted()) status = cli_interrupted();
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
        cli_json_text(stdout, ci->model);
        puts("}");
        return;
    }
    const double rate = of_peak * peak->gflops_f32;
    printf("%s%s%s\n", cli_style(stdout, STYLE_BOLD), ci->model, cli_style(stdout, STYLE_PLAIN));
    printf("  on       %s (%s), %u threads\n           %s\n", ci->backend, ci->isa, ci->threads, ci->device);
    printf("  batch    %u text%s of %u tokens, %u runs\n", batch, batch == 1 ? "" : "s", length, r->runs);
    printf("  speed    %.1f texts/s\n           %.0f tokens/s\n           %.3f ms a text (median)\n", texts, texts * length,
           1e3 / texts);
    printf("  compute  %.1f GFLOP/s\n           %.0f %% of peak\n", rate, 100 * of_peak);
    printf("  peak     %.0f GFLOP/s f32\n", peak->gflops_f32);
    if (peak->gops_int8 > 0) printf("           %.0f Gop/s int8\n", peak->gops_int8); /* 0: the processor has no such dot products */
    printf("           %.1f GB/s read\n", peak->read_gb_per_s);
    printf("  load     %.1f ms\n  memory   %.1f MiB at most (with the peaks)\n", ci->load_ms, rss);
}

static gllm_peaks mean(const gllm_peaks *a, const gllm_peaks *b) {
    return (gllm_peaks){.gflops_f32 = (a->gflops_f32 + b->gflops_f32) / 2, .gops_int8 = (a->gops_int8 + b->gops_int8) / 2,
                        .read_gb_per_s = (a->read_gb_per_s + b->read_gb_per_s) / 2, .threads = a->threads};
}

static int make_texts(gllm_client *c, gllm_str *texts, uint32_t batch, uint32_t length) {
    struct words words = {0};
    find_words(c, &words);
    if (!words.count) return cli_error("bench: the model's vocabulary has no word or letter that is one token");
    for (uint32_t i = 0; i < batch; i++) {
        texts[i] = (gllm_str){make_text(&words, length, i), GLLM_NTS};
        if (!texts[i].ptr) return cli_no_memory();
    }
    return EXIT_OK;
}

static int bench(gllm_client *c, const gllm_model_info *info, const struct cli_options *o, uint32_t length, uint32_t batch) {
    gllm_client_info ci = {.struct_size = sizeof ci};
    gllm_peaks before, after;
    gllm_error err = {0};
    struct result r = {0};
    gllm_str *texts = calloc(batch, sizeof *texts);
    int status = texts ? make_texts(c, texts, batch, length) : cli_no_memory();
    if (!status && gllm_client_describe(c, NULL, &ci, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status && gllm_measure_peaks(ci.threads, &before, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = measure(c, texts, batch, length, o->seconds ? o->seconds : 3, &r);
    if (!status && gllm_measure_peaks(ci.threads, &after, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        const double n = length, d = info->d_model;
        const gllm_peaks peak = mean(&before, &after);
        print(o, &ci, &peak, &r, batch, length, info->n_layer * (n * 2 * (4 * d * d + 2 * d * info->d_ff) + 4 * n * n * d));
        status = cli_flush(stdout, "standard output");
    }
    for (uint32_t i = 0; texts && i < batch; i++) free((void *)(uintptr_t)texts[i].ptr);
    free(texts);
    return status;
}

int verb_bench(const struct cli_options *o) {
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_model_info *info = NULL;
    gllm_error err = {0};
    const uint32_t length = o->length ? o->length : 128, batch = o->batch ? o->batch : 1;
    int status = EXIT_OK;
    cli_model_options(o, &opt);
    cli_catch_signals();
    if (gllm_inspect(&info, &opt, 0, 0, &err) != GLLM_OK) return cli_fail(&err);
    if (!strcmp(info->task, "generate")) {
        status = cli_bench_generate(o, info);
        gllm_model_info_free(info);
        return status;
    }
    if (length > info->max_tokens)
        status = cli_usage("bench: --length %u is above the model's %u tokens", length, info->max_tokens);
    opt.log = NULL; /* gllm_inspect has told it */
    if (!status && gllm_client_open(&c, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = bench(c, info, o, length, batch);
    gllm_model_info_free(info);
    gllm_client_close(c);
    return status;
}
