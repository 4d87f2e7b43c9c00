/* embed.c - gllm embed: one vector a text, streamed in batches so that memory stays bounded. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { BATCH = 4096, TOLD = 3 };
enum format { TEXT, NPY, F32, JSONL, OPENAI };

struct writer {
    FILE *f;
    const char *name;
    char *temporary; /* renamed to `name` at the end; NULL for standard output */
    enum format format;
    size_t rows, dim;
    unsigned long long tokens;
};

/* NPY 1.0: 128 bytes of header, so that the row count can be put in at the end. */
static void npy_header(FILE *f, size_t rows, size_t dim) {
    char text[118];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, dim);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%.*s%*s\n", n, text, 117 - n, "");
}

static int writer_open(struct writer *w, const struct cli_options *o) {
    static const char *const FORMATS[] = {"text", "npy", "f32", "jsonl", NULL};
    int format = TEXT, status = cli_choice("format", o->format, FORMATS, &format);
    if (status) return status;
    if (o->json && o->format) return cli_usage("--json and --format exclude each other");
    *w = (struct writer){.f = stdout, .name = "standard output", .format = o->json ? OPENAI : (enum format)format};
    if (w->format == NPY && !o->out && lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0) return cli_usage("--format npy to a pipe: its header holds the number of rows; use --out FILE");
    if (!o->out) return EXIT_OK;
    size_t n = strlen(o->out) + 32;
    w->name = o->out;
    w->temporary = malloc(n);
    if (w->temporary) snprintf(w->temporary, n, "%s.part.%ld", o->out, (long)getpid());
    w->f = w->temporary ? fopen(w->temporary, "wb") : NULL;
    if (w->f) return EXIT_OK;
    perror(w->temporary ? w->temporary : "gllm");
    free(w->temporary);
    w->temporary = NULL;
    return EXIT_FAILED;
}

static void write_row(struct writer *w, const float *v, size_t dim) {
    char text[32];
    if (w->format == NPY || w->format == F32) {
        fwrite(v, sizeof *v, dim, w->f);
        return;
    }
    const bool array = w->format != TEXT;
    if (w->format == OPENAI) fprintf(w->f, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", w->rows ? "," : "", w->rows);
    if (array) fputc('[', w->f);
    for (size_t i = 0; i < dim; i++) {
        cli_float(text, v[i]);
        if (i) fputc(array ? ',' : ' ', w->f);
        fputs(text, w->f);
    }
    if (array) fputc(']', w->f);
    fputs(w->format == OPENAI ? "}" : "\n", w->f);
}

static void write_batch(struct writer *w, const gllm_embeddings *e) {
    if (!w->rows && w->format == NPY) npy_header(w->f, 0, e->dim);
    if (!w->rows && w->format == OPENAI) fputs("{\"object\":\"list\",\"data\":[", w->f);
    w->dim = e->dim;
    w->tokens += e->usage.prompt_tokens;
    for (size_t i = 0; i < e->count; i++, w->rows++) write_row(w, e->data + i * e->dim, e->dim);
}

static int writer_close(struct writer *w, const char *model, int status) {
    if (!w->f) return status;
    if (!status && w->format == OPENAI) {
        fputs("],\"model\":", w->f);
        cli_json_text(w->f, model, strlen(model));
        fprintf(w->f, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}\n", w->tokens, w->tokens);
    }
    if (!status && w->format == NPY && fseek(w->f, 0, SEEK_SET) == 0) npy_header(w->f, w->rows, w->dim);
    int closed = cli_close_output(w->f, w->name);
    if (!status) status = closed;
    if (w->temporary) {
        if (!status && rename(w->temporary, w->name) != 0) {
            perror(w->name);
            status = EXIT_FAILED;
        }
        if (status) unlink(w->temporary);
    }
    free(w->temporary);
    return status;
}

static void tell_truncated(const struct cli_options *o, const gllm_embeddings *e, size_t base, uint32_t limit) {
    if (!e->n_truncated) return;
    cli_note(o, "%zu of %zu texts cut to the model's %u tokens", e->n_truncated, e->count, limit);
    for (size_t i = 0, told = 0; i < e->count && told < TOLD; i++)
        if (e->truncated[i]) {
            cli_note(o, "  text %zu: %u tokens, %u left", base + i, e->full_tokens[i], e->tokens[i]);
            told++;
        }
}

static int read_request(const struct cli_options *o, gllm_embed_request *r) {
    static const char *const NORMALIZE[] = {"model", "on", "off", NULL}, *const TRUNCATE[] = {"end", "start", "none", NULL};
    static const char *const POOLING[] = {"model", "cls", "mean", "max", "last", "mean-sqrt-len", "weighted-mean", NULL};
    int normalize = 0, truncate = 0, pooling = 0, status;
    gllm_embed_request_init(r);
    if ((status = cli_choice("normalize", o->normalize, NORMALIZE, &normalize)) || (status = cli_choice("truncate", o->truncate, TRUNCATE, &truncate)) ||
        (status = cli_choice("pooling", o->pooling, POOLING, &pooling)) || (status = cli_number("dimensions", o->dimensions, 1, UINT32_MAX, &r->dimensions)))
        return status;
    if (o->prompt && o->prompt_name) return cli_usage("--prompt and --prompt-name exclude each other");
    r->normalize = (gllm_normalize)normalize;
    r->truncate = (gllm_truncate)truncate;
    r->pooling = (gllm_pooling)pooling;
    r->prompt_name = o->prompt_name;
    if (o->prompt) r->prompt = (gllm_str){o->prompt, GLLM_NTS};
    return EXIT_OK;
}

static int embed_all(gllm_client *c, const struct cli_options *o, gllm_embed_request *r, struct writer *w, uint32_t limit) {
    struct cli_input in;
    struct cli_texts texts = {0};
    struct cli_bar bar = {.options = o, .what = "embedded", .start_ms = cli_now_ms()};
    int status;
    cli_input_open(&in, o, 1);
    while (!(status = cli_input_read(&in, BATCH, &texts)) && texts.count) {
        gllm_error err = {0};
        gllm_embeddings *e;
        r->inputs = texts.list;
        r->n_inputs = texts.count;
        r->progress = cli_progress;
        r->progress_user = &bar;
        gllm_status s = gllm_embed(c, r, &e, &err);
        cli_bar_clear(&bar);
        if (s != GLLM_OK) {
            if (bar.base) cli_note(o, "inputs are counted from text %zu on", bar.base);
            status = cli_fail(&err);
            break;
        }
        write_batch(w, e);
        tell_truncated(o, e, bar.base, limit);
        bar.base += e->count;
        gllm_embeddings_free(e);
        if (cli_interrupted()) status = EXIT_INTERRUPTED;
        if (status || ferror(w->f)) break;
    }
    if (!status && !w->rows) status = (fprintf(stderr, "gllm: found no text to embed\n"), EXIT_FAILED);
    if (!status && o->verbose) cli_note(o, "%zu texts, %llu tokens in %.1f ms", w->rows, w->tokens, cli_now_ms() - bar.start_ms);
    cli_input_close(&in);
    cli_texts_free(&texts);
    return status;
}

int verb_embed(const struct cli_verb *v, struct cli_options *o) {
    (void)v;
    gllm_options opt;
    gllm_embed_request r;
    gllm_client *c;
    gllm_error err = {0};
    struct writer w;
    int status = cli_model_options(o, &opt);
    if (!status) status = read_request(o, &r);
    if (status || (status = writer_open(&w, o))) return status;
    cli_catch_interrupt();
    if (gllm_client_open(&c, &opt, &err) != GLLM_OK) return writer_close(&w, opt.model, cli_fail(&err));
    gllm_client_info info = {.struct_size = sizeof info};
    gllm_client_describe(c, &info, &err);
    if (o->verbose) cli_note(o, "%s on %s (%s, %u threads), loaded in %.1f ms", info.model, info.backend, info.isa, info.threads, info.load_ms);
    status = embed_all(c, o, &r, &w, info.max_tokens);
    gllm_client_close(c);
    return writer_close(&w, opt.model, status);
}
