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

int verb_perplexity(const struct cli_options *o) {
    gllm_options opt;
    gllm_client *client = NULL;
    gllm_score *s = NULL;
    gllm_error err = {0};
    char *text = NULL;
    size_t len = 0;
    cli_model_options(o, &opt);
    int status = cli_read_all(o->n_operands > 1 ? o->operands[1] : NULL, &text, &len);
    if (!status && gllm_client_open(&client, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status && gllm_score_text(client, (gllm_str){text, len}, &s, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) {
        print(s, o->each);
        status = cli_flush(stdout, "standard output");
    }
    gllm_score_free(s);
    gllm_client_close(client);
    free(text);
    return status;
}
