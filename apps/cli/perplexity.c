/* perplexity.c - gllm perplexity: how likely a model finds a text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void print(const gllm_score *s, bool each) {
    const size_t n = s->n_tokens - 1;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum -= (double)s->logprobs[i];
    printf("{\"tokens\":%zu,\"nll\":%.9g,\"perplexity\":%.9g", s->n_tokens, n ? sum / (double)n : 0, n ? exp(sum / (double)n) : 1);
    if (each) {
        printf(",\"nll_each\":[");
        for (size_t i = 0; i < n; i++) printf("%s%.9g", i ? "," : "", -(double)s->logprobs[i]);
        printf("],\"top1\":[");
        for (size_t i = 0; i < n; i++) printf("%s%d", i ? "," : "", s->top1[i]);
        printf("]");
    }
    puts("}");
}

/* A text above the default context makes the context as long as the text, unless --ctx says how long it is. The model is opened anew for it. */
static int open_for(const struct cli_options *o, gllm_str text, gllm_client **client) {
    gllm_options opt;
    gllm_error err = {0};
    gllm_client_info info = {.struct_size = sizeof info};
    gllm_tokenize_request r;
    gllm_tokens *t = NULL;
    cli_model_options(o, &opt);
    if (gllm_client_open(client, &opt, &err) != GLLM_OK) return cli_fail(&err);
    gllm_tokenize_request_init(&r);
    r.text = text;
    if (gllm_client_describe(*client, NULL, &info, &err) != GLLM_OK || gllm_tokenize(*client, &r, &t, &err) != GLLM_OK) return cli_fail(&err);
    const size_t n = t->count;
    gllm_tokens_free(t);
    if (o->ctx || !info.n_ctx || n <= info.n_ctx || info.n_ctx >= info.max_tokens) return EXIT_OK;
    if (n > info.max_tokens) return cli_error("the text has %zu tokens, the model's limit is %u", n, info.max_tokens);
    gllm_client_close(*client);
    opt.n_ctx = (uint32_t)n;
    opt.log = NULL; /* the first opening told all */
    return gllm_client_open(client, &opt, &err) == GLLM_OK ? EXIT_OK : cli_fail(&err);
}

int verb_perplexity(const struct cli_options *o) {
    gllm_client *client = NULL;
    gllm_score *s = NULL;
    gllm_error err = {0};
    char *text = NULL;
    size_t len = 0;
    int status = cli_read_all(o->n_operands > 1 ? o->operands[1] : NULL, &text, &len);
    if (!status) status = open_for(o, (gllm_str){text, len}, &client);
    if (!status && gllm_score_text(client, NULL, (gllm_str){text, len}, &s, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        print(s, o->each);
        status = cli_flush(stdout, "standard output");
    }
    gllm_score_free(s);
    gllm_client_close(client);
    free(text);
    return status;
}
