/* parity.c - gllm doctor --parity: the vectors of a backend beside those of ref, the slow definition of what is correct. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* What differs between kinds of text is the path through the tokenizer and the length; each kind has its line in the report. */
static const struct {
    const char *name, *text;
    unsigned times; /* the text is written so often */
} TEXTS[] = {
    {"empty", "", 1},
    {"word", "whale", 1},
    {"english", "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.", 1},
    {"accents", "Où est l'élève? Žluťoučký kůň; Ærøskøbing, garçon, naïveté, Straße.", 1},
    {"greek", "Η θάλασσα ήταν ήρεμη εκείνο το πρωί.", 1},
    {"cyrillic", "Все счастливые семьи похожи друг на друга.", 1},
    {"arabic", "السلام عليكم، كيف حالك اليوم؟", 1},
    {"hebrew", "בראשית ברא אלהים את השמים ואת הארץ", 1},
    {"hindi", "नमस्ते दुनिया, आज मौसम अच्छा है।", 1},
    {"thai", "สวัสดีชาวโลก", 1},
    {"chinese", "学而时习之，不亦说乎？", 1},
    {"japanese", "吾輩は猫である。名前はまだ無い。", 1},
    {"korean", "나랏말싸미 듕귁에 달아", 1},
    {"emoji", "👩‍👩‍👧 🏳️‍🌈 ✅ 3 × 4 ≠ ½", 1},
    {"code", "for (size_t i = 0; i < n; i++) sum += a[i] * b[i]; /* O(n) */", 1},
    {"paragraph", "It was the best of times, it was the worst of times. ", 6},
    {"long", "A long text goes on and on until it meets the limit of the model, where it is cut. ", 40},
};
enum { N_TEXTS = sizeof TEXTS / sizeof *TEXTS };

struct parity {
    const struct cli_options *options;
    gllm_str texts[N_TEXTS]; /* owned */
    char backend[32], detail[224], precision[16];
    double bound, difference[N_TEXTS], cosine[N_TEXTS];
    unsigned worst; /* the text with the largest difference */
};

static int make_texts(struct parity *p) {
    for (unsigned i = 0; i < N_TEXTS; i++) {
        size_t n = strlen(TEXTS[i].text);
        char *s = malloc(n * TEXTS[i].times + 1);
        if (!s) return cli_no_memory();
        for (unsigned k = 0; k < TEXTS[i].times; k++) memcpy(s + k * n, TEXTS[i].text, n + 1);
        p->texts[i] = (gllm_str){s, n * TEXTS[i].times};
    }
    return EXIT_OK;
}

/* All texts on `backend`, scaled to length 1. */
static int embed_on(struct parity *p, const char *backend, gllm_embeddings **out) {
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_error err = {0};
    gllm_embed_request r;
    gllm_client_info ci = {.struct_size = sizeof ci};
    const bool reference = backend && !strcmp(backend, "ref");
    struct cli_bar bar = {.options = p->options, .what = reference ? "ref" : "backend", .to = 1, .start_ms = cli_now_ms()};
    cli_model_options(p->options, &opt);
    opt.model = p->options->parity;
    opt.backend = backend;
    if (reference) opt.log = NULL, opt.precision = GLLM_PRECISION_F32; /* warnings once */
    gllm_embed_request_init(&r);
    r.inputs = p->texts, r.n_inputs = N_TEXTS, r.normalize = GLLM_NORMALIZE_ON;
    r.progress = cli_progress, r.progress_user = &bar;
    gllm_status s = gllm_client_open(&c, &opt, &err);
    if (s == GLLM_OK) s = gllm_client_describe(c, NULL, &ci, &err);
    if (s == GLLM_OK && !*p->backend) {
        snprintf(p->backend, sizeof p->backend, "%s", ci.backend);
        snprintf(p->detail, sizeof p->detail, "%s, %u threads, %s", ci.isa, ci.threads, ci.precision);
        snprintf(p->precision, sizeof p->precision, "%s", ci.precision);
    }
    if (ci.n_ctx) r.pooling = GLLM_POOLING_LAST; /* a generator names none: the row that its head reads */
    if (s == GLLM_OK) s = gllm_embed(c, &r, out, &err);
    cli_bar_clear(&bar);
    gllm_client_close(c);
    return s == GLLM_OK ? EXIT_OK : cli_fail(&err);
}

static void compare(struct parity *p, const gllm_embeddings *a, const gllm_embeddings *b) {
    for (unsigned i = 0; i < N_TEXTS; i++) {
        const float *x = a->data + i * a->dim, *y = b->data + i * b->dim;
        double worst = 0, xy = 0, xx = 0, yy = 0;
        for (size_t k = 0; k < a->dim; k++) {
            const double d = fabs((double)x[k] - y[k]);
            if (!(d <= worst)) worst = d; /* so that NaN shows */
            xy += (double)x[k] * y[k], xx += (double)x[k] * x[k], yy += (double)y[k] * y[k];
        }
        p->difference[i] = isnan(worst) ? INFINITY : worst;
        p->cosine[i] = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : xx == yy ? 1 : 0;
        if (p->difference[i] > p->difference[p->worst]) p->worst = i;
    }
}

static void print_json(const struct parity *p, const gllm_parity *drift) {
    fputs("{\"model\":", stdout);
    cli_json_text(stdout, p->options->parity);
    printf(",\"backend\":\"%s\",\"reference\":\"ref\",\"precision\":\"%s\",\"bound\":%g,\"within\":%s,\"texts\":[", p->backend,
           p->precision, p->bound, drift ? "false" : "true");
    for (unsigned i = 0; i < N_TEXTS; i++) {
        printf("%s{\"class\":\"%s\",\"difference\":", i ? "," : "", TEXTS[i].name);
        if (isfinite(p->difference[i])) printf("%.3g", p->difference[i]);
        else fputs("null", stdout);
        printf(",\"cosine\":%.12g}", isfinite(p->cosine[i]) ? p->cosine[i] : 0);
    }
    fputs("],\"drift\":", stdout);
    if (drift) cli_json_text(stdout, drift->message);
    else fputs("null", stdout);
    puts("}");
}

static void print_text(const struct parity *p, const gllm_parity *drift) {
    const char *plain = cli_style(stdout, STYLE_PLAIN), *good = cli_style(stdout, STYLE_GOOD), *bad = cli_style(stdout, STYLE_BAD);
    printf("%s%s%s\n  %s (%s) against ref\n", cli_style(stdout, STYLE_BOLD), p->options->parity, plain, p->backend, p->detail);
    printf("  vectors of length 1, bound %g\n\n  text       difference       cosine\n", p->bound);
    for (unsigned i = 0; i < N_TEXTS; i++) {
        bool ok = p->difference[i] <= p->bound;
        printf("  %-9s  %10.1e  %.9f  %s%s%s\n", TEXTS[i].name, p->difference[i], p->cosine[i], ok ? good : bad, ok ? "ok" : "BEYOND",
               plain);
    }
    if (!drift) {
        printf("\n%swithin the bound%s: at most %.1e (%s)\n", good, plain, p->difference[p->worst], TEXTS[p->worst].name);
        return;
    }
    printf("\n%sbeyond the bound%s; op by op, on \"%s\":\n  ", bad, plain, TEXTS[p->worst].name);
    cli_wrap(stdout, drift->message, 2);
}

static int report(const struct parity *p) {
    gllm_parity drift = {.struct_size = sizeof drift};
    const bool within = p->difference[p->worst] <= p->bound;
    if (!within) {
        gllm_options opt;
        gllm_error err = {0};
        cli_model_options(p->options, &opt);
        opt.model = p->options->parity;
        opt.log = NULL;
        if (gllm_check_parity(&opt, p->texts[p->worst], p->bound, &drift, &err) != GLLM_OK) return cli_fail(&err);
    }
    if (p->options->json) print_json(p, within ? NULL : &drift);
    else print_text(p, within ? NULL : &drift);
    int status = cli_flush(stdout, "standard output");
    return status ? status : within ? EXIT_OK : EXIT_FAILED;
}

int cli_parity(const struct cli_options *o) {
    struct parity p = {.options = o};
    gllm_embeddings *chosen = NULL, *reference = NULL;
    int status = make_texts(&p);
    if (!status) status = embed_on(&p, o->backend, &chosen);
    if (!status) status = embed_on(&p, "ref", &reference);
    if (!status) {
        /* f32 against double sums stays below 1e-6 on the models tested; 8 and 16 bits round each product's inputs */
        p.bound = o->bound > 0 ? o->bound : !strcmp(p.precision, "f32") ? 1e-5 : 2e-2;
        compare(&p, chosen, reference);
        status = report(&p);
    }
    gllm_embeddings_free(chosen);
    gllm_embeddings_free(reference);
    for (unsigned i = 0; i < N_TEXTS; i++) free((void *)(uintptr_t)p.texts[i].ptr);
    return status;
}
