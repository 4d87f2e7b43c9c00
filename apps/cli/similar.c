/* similar.c - gllm similar: the first text with each other one, in the order given: the cosine of pooled vectors; of a model without them the products of
 * the entries that two sparse vectors share, or what `gllm rerank --scores raw` gives of token vectors, the first text being the query. */
#include <math.h>
#include <string.h>

#include "cli.h"

struct comparison {
    const struct cli_options *options;
    gllm_client *client;
    gllm_embed_request request;
    gllm_embeddings *first; /* of the first text alone; NULL before it is known */
    size_t texts, truncated;
};

static double product(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static double cosine(const float *a, const float *b, size_t n) {
    const double aa = product(a, a, n), bb = product(b, b, n);
    return aa > 0 && bb > 0 ? product(a, b, n) / sqrt(aa * bb) : 0;
}

static double shared_entries(const gllm_sparse *a, const gllm_sparse *b) {
    double sum = 0;
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
        if (a->ids[i] == b->ids[k]) sum += (double)a->weights[i] * b->weights[k];
        if (a->ids[i] < b->ids[k]) i++;
        else k++;
    }
    return sum;
}

/* MaxSim: of each of the query's vectors the best match. */
static double best_matches(const gllm_token_vectors *q, const gllm_token_vectors *d, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < q->count; i++) {
        double best = d->count ? -INFINITY : 0;
        for (size_t k = 0; k < d->count; k++) best = fmax(best, product(q->data + i * dim, d->data + k * dim, dim));
        sum += best;
    }
    return sum;
}

static double score(const gllm_embeddings *first, const gllm_embeddings *e, size_t i) {
    if (e->dim) return cosine(first->data, e->data + i * e->dim, e->dim);
    return e->sparse ? shared_entries(first->sparse, &e->sparse[i]) : best_matches(first->token_vectors, &e->token_vectors[i], e->token_dim);
}

static int print(struct comparison *s, const gllm_embeddings *e, const gllm_str *texts) {
    for (size_t i = 0; i < e->count; i++, s->texts++) {
        const double found = score(s->first, e, i);
        if (s->options->json) printf("%s%.7g", s->texts == 1 ? "[" : ",", found);
        else {
            printf("%.6f\t", found);
            fwrite(texts[i].ptr, 1, texts[i].len, stdout);
            putchar('\n');
        }
    }
    return cli_flush(stdout, "standard output");
}

static int embed(struct comparison *s, const gllm_str *texts, size_t n, gllm_embeddings **out) {
    gllm_error err = {0};
    s->request.inputs = texts, s->request.n_inputs = n;
    const gllm_status done = gllm_embed(s->client, &s->request, out, &err);
    if (done != GLLM_OK) {
        cli_bar_clear(s->request.progress_user);
        return cli_fail(&err);
    }
    s->truncated += (*out)->n_truncated;
    return EXIT_OK;
}

/* Late interaction writes a query in another way than a document. */
static int keep_first(struct comparison *s, const gllm_str *text) {
    int status = embed(s, text, 1, &s->first);
    s->texts = 1;
    if (status || !s->first->token_vectors) return status;
    s->truncated = 0;
    gllm_embeddings_free(s->first);
    s->first = NULL;
    s->request.input_type = GLLM_INPUT_QUERY;
    status = embed(s, text, 1, &s->first);
    s->request.input_type = GLLM_INPUT_DOCUMENT;
    return status;
}

static int compare(struct comparison *s, const gllm_str *texts, size_t n) {
    gllm_embeddings *e = NULL;
    int status = n ? embed(s, texts, n, &e) : EXIT_OK;
    cli_bar_clear(s->request.progress_user);
    if (e) status = print(s, e, texts);
    gllm_embeddings_free(e);
    return status;
}

static int compare_all(struct comparison *s, struct cli_input *in) {
    struct cli_texts texts = {0};
    struct cli_bar bar = {.options = s->options, .what = "compared", .start_ms = cli_now_ms()};
    gllm_embed_request *r = &s->request;
    int status = EXIT_OK;
    gllm_embed_request_init(r);
    r->prompt_name = s->options->prompt_name, r->progress = cli_progress, r->progress_user = &bar;
    if (s->options->prompt) r->prompt = (gllm_str){s->options->prompt, GLLM_NTS};
    while (!status && !(status = cli_input_batch(in, &bar, &texts)) && texts.count) {
        const size_t begun = s->first != NULL;
        bar.base = s->texts;
        if (!begun) status = keep_first(s, texts.list);
        if (!status) status = compare(s, texts.list + !begun, texts.count - !begun);
        if (cli_interrupted()) status = cli_interrupted();
    }
    cli_texts_free(&texts);
    return status;
}

int verb_similar(const struct cli_options *o) {
    gllm_options opt;
    gllm_error err = {0};
    struct cli_input in;
    struct comparison s = {.options = o};
    cli_model_options(o, &opt);
    if (o->n_operands == 2 && strcmp(o->operands[1], "-")) return cli_usage("similar: found 1 text, expected at least 2");
    int status = cli_input_open(&in, o, 1);
    cli_catch_signals();
    if (!status && gllm_client_open(&s.client, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = compare_all(&s, &in);
    if (!status && s.texts < 2) status = cli_error("similar: found %zu texts, expected at least 2", s.texts);
    if (!status && o->json) puts("]");
    if (s.truncated) cli_note(o, "%zu of %zu texts were cut to the model's limit", s.truncated, s.texts);
    if (!status) status = cli_flush(stdout, "standard output");
    gllm_embeddings_free(s.first);
    gllm_client_close(s.client);
    cli_input_close(&in);
    return status;
}
