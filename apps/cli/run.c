/* run.c - gllm run: continues a text, and shows the answer as it is made. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct answer {
    bool show;
    size_t shown;
};

static bool on_chunk(void *user, const gllm_chunk *chunk) {
    struct answer *a = user;
    if (a->show && chunk->text.len) {
        fwrite(chunk->text.ptr, 1, chunk->text.len, stdout);
        fflush(stdout);
    }
    a->shown += chunk->text.len;
    return !cli_interrupted();
}

/* The prompt: the operand, or all of standard input. */
static int read_prompt(const struct cli_options *o, char **out, size_t *len) {
    size_t room = 0, n = 0;
    char *text = NULL;
    if (o->n_operands > 1) {
        *out = NULL;
        *len = strlen(o->operands[1]);
        return EXIT_OK;
    }
    for (;;) {
        if (n + 4096 > room) {
            char *more = realloc(text, room = 2 * room + 8192);
            if (!more) {
                free(text);
                return cli_no_memory();
            }
            text = more;
        }
        size_t got = fread(text + n, 1, room - n, stdin);
        n += got;
        if (!got) break;
    }
    if (ferror(stdin)) {
        free(text);
        return cli_error("cannot read standard input");
    }
    *out = text;
    *len = n;
    return EXIT_OK;
}

/* --grammar and --json-schema: the text of the file, or of the option itself where it is the schema. */
static int read_form(const struct cli_options *o, gllm_generate_request *r, char **text) {
    const char *path = o->grammar ? o->grammar : o->json_schema;
    size_t len = 0;
    if (!path) return EXIT_OK;
    if (o->json_schema && *path == '{') {
        r->json_schema = path;
        return EXIT_OK;
    }
    int status = cli_read_all(path, text, &len);
    if (status) return status;
    if (strlen(*text) != len) return cli_error("%s: holds a NUL byte", path);
    *(o->grammar ? &r->grammar : &r->json_schema) = *text;
    return EXIT_OK;
}

static void print_logprobs(gllm_client *client, const gllm_completion *c) {
    (void)client;
    printf(",\"logprobs\":[");
    for (size_t i = 0; i < c->n_tokens; i++) {
        printf("%s{\"id\":%d,\"logprob\":%.6g,\"top\":[", i ? "," : "", c->tokens[i], (double)c->logprobs[i]);
        for (size_t k = 0; k < c->n_top; k++) printf("%s[%d,%.6g]", k ? "," : "", c->top[i * c->n_top + k].id, (double)c->top[i * c->n_top + k].logprob);
        printf("]}");
    }
    printf("]");
}

static const char *finish_name(gllm_finish f) { return f == GLLM_FINISH_STOP ? "stop" : f == GLLM_FINISH_LENGTH ? "length" : "canceled"; }

static void print_json(gllm_client *client, const gllm_completion *c) {
    printf("{\"object\":\"text_completion\",\"model\":");
    cli_json_text(stdout, c->model);
    printf(",\"choices\":[{\"index\":0,\"text\":");
    cli_json_bytes(stdout, c->text.ptr, c->text.len);
    if (c->logprobs) print_logprobs(client, c);
    printf(",\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%zu,\"total_tokens\":%zu,\"prompt_tokens_details\":{\"cached_tokens\":%u}}}\n", finish_name(c->finish),
           c->prompt_tokens, c->n_tokens, c->prompt_tokens + c->n_tokens, c->cached_tokens);
}

static void fill(const struct cli_options *o, gllm_generate_request *r, gllm_str *stop) {
    r->max_tokens = o->max_tokens;
    r->temperature = (float)o->temperature.value;
    if (o->top_p.given) r->top_p = (float)o->top_p.value;
    r->min_p = (float)o->min_p.value;
    r->top_k = o->top_k;
    r->seed = o->seed;
    r->logprobs = o->logprobs > 0;
    r->n_top = o->logprobs;
    if (o->stop) *stop = (gllm_str){o->stop, GLLM_NTS}, r->stop = stop, r->n_stop = 1;
}

int verb_run(const struct cli_options *o) {
    gllm_options opt;
    gllm_client *client = NULL;
    gllm_generate_request r;
    gllm_completion *c = NULL;
    gllm_error err = {0};
    gllm_str stop;
    char *text = NULL, *form = NULL;
    size_t len = 0;
    struct answer answer = {.show = !o->json};
    if (!o->raw) return cli_usage("run: chat templates are not in this version; --raw continues the text as it stands");
    if (o->logprobs && !o->json) return cli_usage("run: --logprobs goes with --json");
    cli_model_options(o, &opt);
    gllm_generate_request_init(&r);
    fill(o, &r, &stop);
    int status = read_form(o, &r, &form);
    if (!status) status = read_prompt(o, &text, &len);
    cli_catch_signals();
    if (!status && gllm_client_open(&client, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    r.prompt = (gllm_str){text ? text : o->operands[1], len};
    r.on_chunk = on_chunk, r.user = &answer;
    if (!status && gllm_generate(client, &r, &c, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status && o->json) print_json(client, c);
    if (!status && !o->json) putchar('\n');
    if (!status) status = cli_flush(stdout, "standard output");
    if (!status && c->context_full) cli_note(o, "the context of %zu tokens is full; --ctx N makes it longer", c->prompt_tokens + c->n_tokens);
    if (!status && c->finish == GLLM_FINISH_CANCELED) status = cli_interrupted();
    if (!status && o->verbose)
        fprintf(stderr, "gllm: %u tokens read in %.0f ms (%u of them from the cache), %zu written at %.1f a second\n", c->prompt_tokens, c->prefill_ms, c->cached_tokens, c->n_tokens,
                1e3 * (double)c->n_tokens / (c->decode_ms > 0 ? c->decode_ms : 1));
    gllm_completion_free(c);
    gllm_client_close(client);
    free(text);
    free(form);
    return status;
}
