/* tokenize.c - gllm tokenize: one JSON array of ids a text, and --decode as the way back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static int print_tokens(gllm_client *c, const struct cli_options *o, gllm_str text) {
    gllm_tokenize_request r;
    gllm_tokens *t;
    gllm_error err = {0};
    gllm_tokenize_request_init(&r);
    r.text = text;
    r.no_special = o->no_special;
    r.parse_special = o->parse_special;
    if (o->pair) r.pair = (gllm_str){o->pair, GLLM_NTS};
    if (gllm_tokenize(c, &r, &t, &err) != GLLM_OK) return cli_fail(&err);
    putchar('[');
    for (size_t i = 0; i < t->count; i++) {
        if (i) putchar(',');
        if (o->pieces) cli_json_bytes(stdout, t->pieces[i].ptr, t->pieces[i].len);
        else printf("%d", t->ids[i]);
    }
    puts("]");
    gllm_tokens_free(t);
    return EXIT_OK;
}

/* Ids separated by spaces, commas or brackets. */
static int decode(gllm_client *c, gllm_str text) {
    int32_t *ids = malloc((text.len / 2 + 1) * sizeof *ids);
    size_t n = 0;
    int status = EXIT_OK;
    char *copy = malloc(text.len + 1), *at = copy, *out;
    gllm_error err = {0};
    if (!ids || !copy) {
        free(ids);
        free(copy);
        return cli_no_memory();
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    while (*(at += strspn(at, " ,[]\t"))) {
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || id < 0 || id > INT32_MAX) {
            status = cli_usage("--decode: found \"%.20s\", expected token ids", at);
            break;
        }
        ids[n++] = (int32_t)id;
        at = end;
    }
    if (!status && gllm_detokenize(c, NULL, ids, n, true, &out, &err) != GLLM_OK) status = cli_fail(&err);
    else if (!status) {
        if (isatty(STDOUT_FILENO)) cli_put_safe(out, strlen(out));
        else fputs(out, stdout);
        putchar('\n');
        gllm_text_free(out);
    }
    free(ids);
    free(copy);
    return status;
}

/* Joins the operands after MODEL, since ids may be given one by one. */
static int decode_operands(gllm_client *c, const struct cli_options *o) {
    size_t n = 1, at = 0;
    for (size_t i = 1; i < o->n_operands; i++) n += strlen(o->operands[i]) + 1;
    char *all = malloc(n);
    if (!all) return cli_no_memory();
    all[0] = '\0';
    for (size_t i = 1; i < o->n_operands; i++) at += (size_t)snprintf(all + at, n - at, "%s ", o->operands[i]);
    int status = decode(c, (gllm_str){all, at});
    free(all);
    return status;
}

static int tokenize_all(gllm_client *c, const struct cli_options *o, struct cli_input *in) {
    struct cli_texts texts = {0};
    int status = EXIT_OK;
    while (!status && !(status = cli_input_read(in, 1024, &texts)) && texts.count) {
        for (size_t i = 0; !status && i < texts.count; i++)
            status = o->decode ? decode(c, texts.list[i]) : print_tokens(c, o, texts.list[i]);
        int flushed = cli_flush(stdout, "standard output");
        if (!status) status = flushed;
        if (cli_interrupted()) status = cli_interrupted();
    }
    cli_texts_free(&texts);
    return status;
}

int verb_tokenize(const struct cli_options *o) {
    gllm_options opt;
    gllm_client *c = NULL;
    gllm_error err = {0};
    struct cli_input in;
    bool ids_given = o->decode && o->n_operands > 1 && strcmp(o->operands[1], "-");
    cli_model_options(o, &opt);
    opt.log = o->verbose ? opt.log : NULL; /* how vectors are pooled is no matter here */
    int status = ids_given ? EXIT_OK : cli_input_open(&in, o, 1);
    cli_catch_signals();
    if (!status && gllm_client_open(&c, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = ids_given ? decode_operands(c, o) : tokenize_all(c, o, &in);
    if (!status) status = cli_flush(stdout, "standard output");
    if (!ids_given) cli_input_close(&in);
    gllm_client_close(c);
    return status;
}
