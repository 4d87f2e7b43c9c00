/* embed.c - gllm embed: one vector a text, streamed in batches so that memory stays bounded. */
#include "cli.h"

enum { TOLD = 3 };

static void tell_truncated(const struct cli_options *o, const gllm_embeddings *e, size_t base, uint32_t limit) {
    if (!e->n_truncated) return;
    cli_note(o, "%zu of %zu texts cut to the model's %u tokens", e->n_truncated, e->count, limit);
    for (size_t i = 0, told = 0; i < e->count && told < TOLD; i++)
        if (e->truncated[i]) {
            cli_note(o, "  text %zu: %u tokens, %u left", base + i + 1, e->full_tokens[i], e->tokens[i]);
            told++;
        }
}

static void fill_request(const struct cli_options *o, gllm_embed_request *r) {
    gllm_embed_request_init(r);
    r->normalize = (gllm_normalize)o->normalize;
    r->truncate = (gllm_truncate)o->truncate;
    r->pooling = (gllm_pooling)o->pooling;
    r->outputs = o->output ? 1u << (o->output - 1) : 0; /* the choices stand in the order of gllm_output */
    r->dimensions = o->dimensions;
    r->prompt_name = o->prompt_name;
    if (o->prompt) r->prompt = (gllm_str){o->prompt, GLLM_NTS};
    r->progress = cli_progress;
}

/* The batch in r, to the writer. */
static int embed_batch(gllm_client *c, gllm_embed_request *r, struct cli_writer *w, struct cli_bar *bar, uint32_t limit) {
    gllm_error err = {0};
    gllm_embeddings *e;
    gllm_status s = gllm_embed(c, r, &e, &err);
    cli_bar_clear(bar);
    if (s != GLLM_OK) {
        int status = cli_fail(&err);
        if (bar->base && status == EXIT_FAILED) cli_note(bar->options, "that counts inputs from text %zu on", bar->base + 1);
        return status;
    }
    int status = cli_writer_add(w, e);
    tell_truncated(bar->options, e, bar->base, limit);
    bar->base += e->count;
    gllm_embeddings_free(e);
    return cli_interrupted() ? cli_interrupted() : status;
}

static int embed_all(gllm_client *c, const struct cli_options *o, struct cli_input *in, struct cli_writer *w, uint32_t limit) {
    struct cli_texts texts = {0};
    struct cli_bar bar = {.options = o, .what = "embedded", .start_ms = cli_now_ms()};
    gllm_embed_request r;
    int status = EXIT_OK;
    fill_request(o, &r);
    r.progress_user = &bar;
    while (!status && !(status = cli_input_batch(in, &bar, &texts)) && texts.count) {
        r.inputs = texts.list;
        r.n_inputs = texts.count;
        status = embed_batch(c, &r, w, &bar, limit);
    }
    if (!status && !w->rows) status = cli_error("no text to embed: standard input is empty");
    if (!status && o->verbose)
        cli_note(o, "%zu text%s, %llu tokens in %.1f ms", w->rows, w->rows == 1 ? "" : "s", w->tokens, cli_now_ms() - bar.start_ms);
    cli_texts_free(&texts);
    return status;
}

static int embed_open(const struct cli_options *o, struct cli_input *in, struct cli_writer *w) {
    gllm_options opt;
    gllm_client *c;
    gllm_error err = {0};
    cli_model_options(o, &opt);
    if (gllm_client_open(&c, &opt, &err) != GLLM_OK) return cli_fail(&err);
    gllm_client_info info = {.struct_size = sizeof info};
    int status = gllm_client_describe(c, NULL, &info, &err) == GLLM_OK ? EXIT_OK : cli_fail(&err);
    if (!status && o->verbose)
        cli_note(o, "%s on %s (%s, %u threads), loaded in %.1f ms", info.model, info.backend, info.isa, info.threads, info.load_ms);
    if (!status) status = embed_all(c, o, in, w, info.max_tokens);
    gllm_client_close(c);
    return status;
}

int verb_embed(const struct cli_options *o) {
    struct cli_writer w;
    struct cli_input in;
    int status = cli_writer_open(&w, o);
    if (status) return status;
    cli_catch_signals();
    status = cli_input_open(&in, o, 1);
    if (!status) status = embed_open(o, &in, &w);
    cli_input_close(&in);
    return cli_writer_close(&w, o->operands[0], status);
}
