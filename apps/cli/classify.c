/* classify.c - gllm classify: the labels of texts, the likeliest first, streamed in batches. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct classify {
    const struct cli_options *options;
    gllm_client *client;
    struct cli_bar bar;
    gllm_str *pairs; /* [CLI_LAST_BATCH] the same text each time; NULL: none */
    size_t *order;   /* [n_labels] scratch */
    size_t done;     /* texts answered */
    bool list;       /* --json: a list of answers, not one */
};

/* order[0..n): the labels of a row by descending score, equal ones as the model counts them. Labels are few. */
static void sort_labels(const float *scores, size_t n, size_t *order) {
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at && scores[order[at - 1]] < scores[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

static void print_text(const struct classify *k, const gllm_classes *r, const float *scores, size_t shown) {
    for (size_t i = 0; i < shown; i++) printf("%zu\t%.6f\t%s\n", k->done, (double)scores[k->order[i]], r->labels[k->order[i]]);
}

/* One answer of TEI's /predict. */
static void print_json(const struct classify *k, const gllm_classes *r, const float *scores, size_t shown) {
    fputs(k->done ? ",[" : "[", stdout);
    for (size_t i = 0; i < shown; i++) {
        char score[32];
        cli_float(score, scores[k->order[i]]);
        printf("%s{\"score\":%s,\"label\":", i ? "," : "", score);
        cli_json_text(stdout, r->labels[k->order[i]]);
        putchar('}');
    }
    putchar(']');
}

static int print_classes(struct classify *k, const gllm_classes *r) {
    const uint32_t top_n = k->options->top_n;
    const size_t shown = top_n && top_n < r->n_labels ? top_n : r->n_labels;
    if (!k->order && !(k->order = malloc(r->n_labels * sizeof *k->order))) return cli_no_memory();
    for (size_t i = 0; i < r->count; i++, k->done++) {
        const float *scores = r->scores + i * r->n_labels;
        sort_labels(scores, r->n_labels, k->order);
        if (k->options->json) print_json(k, r, scores, shown);
        else print_text(k, r, scores, shown);
    }
    if (r->n_truncated) cli_note(k->options, "%zu of %zu texts cut to the model's limit", r->n_truncated, r->count);
    return EXIT_OK;
}

static int classify_batch(struct classify *k, const struct cli_texts *texts) {
    gllm_classify_request r;
    gllm_classes *classes = NULL;
    gllm_error err = {0};
    gllm_classify_request_init(&r);
    r.inputs = texts->list, r.n_inputs = texts->count, r.pairs = k->pairs;
    r.scores = k->options->raw_scores ? GLLM_SCORES_RAW : GLLM_SCORES_PROBABILITY;
    r.truncate = (gllm_truncate)k->options->truncate;
    r.progress = cli_progress, r.progress_user = &k->bar;
    const gllm_status answer = gllm_classify(k->client, &r, &classes, &err);
    cli_bar_clear(&k->bar);
    int status = answer == GLLM_OK ? print_classes(k, classes) : cli_fail(&err);
    gllm_classes_free(classes);
    k->bar.base = k->done;
    return status ? status : cli_interrupted();
}

static int classify_all(struct classify *k, struct cli_input *in) {
    struct cli_texts texts = {0};
    int status = EXIT_OK;
    while (!status && !(status = cli_input_batch(in, &k->bar, &texts)) && texts.count) {
        if (k->options->json && !k->done && k->list) putchar('[');
        status = classify_batch(k, &texts);
    }
    if (!status && !k->done) status = cli_error("no text to classify: standard input is empty");
    if (!status && k->options->json) puts(k->list ? "]" : "");
    cli_texts_free(&texts);
    return status ? status : cli_flush(stdout, "standard output");
}

static int fill_pairs(struct classify *k) {
    if (!k->options->pair) return EXIT_OK;
    k->pairs = malloc(CLI_LAST_BATCH * sizeof *k->pairs);
    for (size_t i = 0; k->pairs && i < CLI_LAST_BATCH; i++) k->pairs[i] = (gllm_str){k->options->pair, GLLM_NTS};
    return k->pairs ? EXIT_OK : cli_no_memory();
}

int verb_classify(const struct cli_options *o) {
    struct cli_input in;
    struct classify k = {.options = o, .bar = {.options = o, .what = "classified", .start_ms = cli_now_ms()}, .list = o->n_operands != 2 || !strcmp(o->operands[1], "-")};
    gllm_options opt;
    gllm_error err = {0};
    cli_catch_signals();
    int status = cli_input_open(&in, o, 1);
    if (!status) status = fill_pairs(&k);
    cli_model_options(o, &opt);
    if (!status && gllm_client_open(&k.client, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = classify_all(&k, &in);
    cli_input_close(&in);
    gllm_client_close(k.client);
    free(k.pairs);
    free(k.order);
    return status;
}
