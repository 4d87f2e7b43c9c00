/* similar.c - gllm similar: the cosine of the first text with each other one, in the order given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct comparison {
    const struct cli_options *options;
    float *first; /* [dim] the first text's vector; NULL before it is known */
    size_t texts, truncated;
};

static double cosine(const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static int print(struct comparison *s, const gllm_embeddings *e, const struct cli_texts *texts) {
    size_t i = 0;
    if (!s->first) {
        s->first = malloc(e->dim * sizeof *s->first);
        if (!s->first) return cli_no_memory();
        memcpy(s->first, e->data, e->dim * sizeof *s->first);
        s->texts = i = 1;
    }
    for (; i < e->count; i++, s->texts++) {
        double score = cosine(s->first, e->data + i * e->dim, e->dim);
        if (s->options->json) printf("%s%.7g", s->texts == 1 ? "[" : ",", score);
        else {
            printf("%.6f\t", score);
            fwrite(texts->list[i].ptr, 1, texts->list[i].len, stdout);
            putchar('\n');
        }
    }
    s->truncated += e->n_truncated;
    return cli_flush(stdout, "standard output");
}

static int compare_all(gllm_client *c, struct cli_input *in, struct comparison *s) {
    struct cli_texts texts = {0};
    struct cli_bar bar = {.options = s->options, .what = "compared", .start_ms = cli_now_ms()};
    gllm_embed_request r;
    int status = EXIT_OK;
    gllm_embed_request_init(&r);
    r.prompt_name = s->options->prompt_name, r.progress = cli_progress, r.progress_user = &bar;
    if (s->options->prompt) r.prompt = (gllm_str){s->options->prompt, GLLM_NTS};
    while (!status && !(status = cli_input_batch(in, &bar, &texts)) && texts.count) {
        gllm_error err = {0};
        gllm_embeddings *e;
        bar.base = s->texts;
        r.inputs = texts.list, r.n_inputs = texts.count;
        gllm_status done = gllm_embed(c, &r, &e, &err);
        cli_bar_clear(&bar);
        status = done == GLLM_OK ? print(s, e, &texts) : cli_fail(&err);
        if (done == GLLM_OK) gllm_embeddings_free(e);
        if (cli_interrupted()) status = cli_interrupted();
    }
    cli_texts_free(&texts);
    return status;
}

int verb_similar(const struct cli_options *o) {
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_error err = {0};
    struct cli_input in;
    struct comparison s = {.options = o};
    cli_model_options(o, &opt);
    if (o->n_operands == 2 && strcmp(o->operands[1], "-")) return cli_usage("similar: found 1 text, expected at least 2");
    int status = cli_input_open(&in, o, 1);
    cli_catch_signals();
    if (!status && gllm_client_open(&c, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = compare_all(c, &in, &s);
    if (!status && s.texts < 2) status = cli_error("similar: found %zu texts, expected at least 2", s.texts);
    if (!status && o->json) puts("]");
    if (s.truncated) cli_note(o, "%zu of %zu texts were cut to the model's limit", s.truncated, s.texts);
    if (!status) status = cli_flush(stdout, "standard output");
    free(s.first);
    gllm_client_close(c);
    cli_input_close(&in);
    return status;
}
