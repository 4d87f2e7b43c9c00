/* rerank.c - gllm rerank: documents by their relevance to a query. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { BATCH = 4096 };

struct documents { /* copies: the reader's own texts last until its next batch */
    gllm_str *list;
    size_t count, room;
};
static void documents_free(struct documents *d) {
    for (size_t i = 0; i < d->count; i++) free((void *)(uintptr_t)d->list[i].ptr);
    free(d->list);
}

static int read_documents(struct cli_input *in, struct documents *d) {
    struct cli_texts texts = {0};
    int status = EXIT_OK;
    for (;;) {
        status = cli_input_read(in, BATCH, &texts);
        if (status || !texts.count) break;
        if (d->count + texts.count > d->room) {
            const size_t room = 2 * (d->count + texts.count);
            gllm_str *list = realloc(d->list, room * sizeof *list);
            if (!list) break;
            d->list = list, d->room = room;
        }
        size_t i = 0;
        for (char *copy; i < texts.count && (copy = malloc(texts.list[i].len + 1)); i++) {
            memcpy(copy, texts.list[i].ptr, texts.list[i].len);
            d->list[d->count++] = (gllm_str){copy, texts.list[i].len};
        }
        if (i < texts.count) break;
    }
    if (!status && texts.count) status = cli_no_memory();
    cli_texts_free(&texts);
    if (!status && !d->count) status = cli_error("no document to rank: standard input is empty");
    return status;
}

static void print_text(const gllm_rankings *r, const struct documents *d) {
    for (size_t i = 0; i < r->count; i++) {
        const gllm_str *text = &d->list[r->items[i].index];
        printf("%.6f\t%zu\t", (double)r->items[i].score, r->items[i].index);
        fwrite(text->ptr, 1, text->len, stdout);
        putchar('\n');
    }
}

/* The body that /v1/rerank answers with. */
static void print_json(const gllm_rankings *r, const struct documents *d) {
    printf("{\"model\":");
    cli_json_text(stdout, r->model);
    printf(",\"object\":\"list\",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu},\"results\":[", (unsigned long long)r->usage.prompt_tokens, (unsigned long long)r->usage.prompt_tokens);
    for (size_t i = 0; i < r->count; i++) {
        char score[32];
        cli_float(score, r->items[i].score);
        printf("%s{\"index\":%zu,\"relevance_score\":%s,\"document\":{\"text\":", i ? "," : "", r->items[i].index, score);
        cli_json_bytes(stdout, d->list[r->items[i].index].ptr, d->list[r->items[i].index].len);
        printf("}}");
    }
    printf("]%s}\n", r->untrained ? ",\"untrained\":true" : "");
}

static void tell_limits(const struct cli_options *o, const gllm_rankings *r) {
    bool query = false;
    for (size_t i = 0; i < r->count; i++) query |= r->items[i].query_truncated;
    if (r->n_truncated) cli_note(o, "%zu documents were cut: with the query they are above the model's limit", r->n_truncated);
    if (query) cli_note(o, "the query alone is above the model's limit and was cut too");
    if (r->untrained) cli_note(o, "%s judges: its files do not say that it was trained to rerank", r->model);
}

static int rank(const struct cli_options *o, struct documents *d) {
    gllm_options opt;
    gllm_client *c;
    gllm_error err = {0};
    gllm_rerank_request r;
    gllm_rankings *a = NULL;
    struct cli_bar bar = {.options = o, .what = "ranked", .to = 1, .start_ms = cli_now_ms()};
    cli_model_options(o, &opt);
    if (gllm_client_open(&c, &opt, &err) != GLLM_OK) return cli_fail(&err);
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){o->operands[1], GLLM_NTS};
    r.documents = d->list, r.n_documents = d->count;
    r.top_n = o->top_n;
    r.scores = o->raw_scores ? GLLM_SCORES_RAW : GLLM_SCORES_PROBABILITY;
    r.truncate = (gllm_truncate)o->truncate;
    if (o->instruction) r.instruction = (gllm_str){o->instruction, GLLM_NTS};
    r.as_judge = o->as_judge;
    r.progress = cli_progress, r.progress_user = &bar;
    int status = gllm_rerank(c, &r, &a, &err) == GLLM_OK ? EXIT_OK : -1;
    cli_bar_clear(&bar);
    if (status) status = cli_fail(&err);
    else {
        if (o->json) print_json(a, d);
        else print_text(a, d);
        tell_limits(o, a);
        if (o->verbose) cli_note(o, "%zu documents, %llu tokens in %.1f ms", d->count, (unsigned long long)a->usage.prompt_tokens, a->compute_ms);
        status = cli_flush(stdout, "standard output");
    }
    gllm_rankings_free(a);
    gllm_client_close(c);
    return status;
}

int verb_rerank(const struct cli_options *o) {
    struct cli_input in;
    struct documents d = {0};
    cli_catch_signals();
    int status = cli_input_open(&in, o, 2);
    if (!status) status = read_documents(&in, &d);
    cli_input_close(&in);
    if (!status) status = rank(o, &d);
    documents_free(&d);
    return status;
}
