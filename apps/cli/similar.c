/* similar.c - gllm similar: the cosine of the first text with each other one, in the order given. */
#include <math.h>
#include <stdlib.h>

#include "cli.h"

static double cosine(const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void print(const struct cli_options *o, const gllm_embeddings *e, const gllm_str *texts) {
    for (size_t i = 1; i < e->count; i++) {
        double score = cosine(e->data, e->data + i * e->dim, e->dim);
        if (o->json) printf("%s%.7g", i == 1 ? "[" : ",", score);
        else printf("%.6f\t%.*s\n", score, (int)texts[i].len, texts[i].ptr);
    }
    if (o->json) puts("]");
}

int verb_similar(const struct cli_verb *v, struct cli_options *o) {
    (void)v;
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_error err = {0};
    gllm_embeddings *e = NULL;
    struct cli_input in;
    struct cli_texts texts = {0};
    int status = cli_model_options(o, &opt);
    if (status) return status;
    cli_input_open(&in, o, 1);
    status = cli_input_read(&in, 1 << 20, &texts);
    if (!status && texts.count < 2) status = cli_usage("similar: found %zu texts, expected at least 2", texts.count);
    if (!status && gllm_client_open(&c, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    r.inputs = texts.list, r.n_inputs = texts.count, r.prompt_name = o->prompt_name;
    if (o->prompt) r.prompt = (gllm_str){o->prompt, GLLM_NTS};
    if (!status && gllm_embed(c, &r, &e, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        if (e->n_truncated) cli_note(o, "%zu of %zu texts were cut to the model's limit", e->n_truncated, e->count);
        print(o, e, texts.list);
        status = cli_close_output(stdout, "standard output");
    }
    gllm_embeddings_free(e);
    gllm_client_close(c);
    cli_input_close(&in);
    cli_texts_free(&texts);
    return status;
}
