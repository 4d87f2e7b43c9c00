/* run.c - gllm run: one answer that is shown as it is made, or a conversation. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct listener {
    struct cli_printer *printer; /* NULL: nothing is shown */
};

static bool on_chunk(void *user, const gllm_chunk *chunk) {
    const struct listener *l = user;
    if (l->printer && !cli_printer_add(l->printer, chunk->text.ptr, chunk->text.len)) return false;
    return !cli_interrupted();
}

static bool from_stdin(const struct cli_options *o) { return o->n_operands < 2 || !strcmp(o->operands[1], "-"); }

/* The prompt: the operand, or all of standard input; owned. In a conversation the newline that ends a file or a line of the shell is no part of it. */
static int read_prompt(const struct cli_options *o, char **out, size_t *len) {
    if (!from_stdin(o)) {
        *len = strlen(o->operands[1]);
        return (*out = strdup(o->operands[1])) ? EXIT_OK : cli_no_memory();
    }
    if (isatty(STDIN_FILENO)) cli_note(o, "reading the prompt from the terminal; Ctrl-D ends it");
    int status = cli_read_all(NULL, out, len);
    if (!status && !o->raw && *len && (*out)[*len - 1] == '\n') --*len;
    if (!status && !o->raw && *len && (*out)[*len - 1] == '\r') --*len;
    if (!status && !*len) return cli_usage("run: the prompt is empty");
    return status;
}

void cli_tell_answer(const struct cli_options *o, const gllm_completion *c) {
    if (c->context_full) cli_note(o, "the context of %zu tokens is full; --ctx N makes it longer", c->prompt_tokens + c->n_tokens - 1); /* the last token was not read */
    if (o->verbose)
        fprintf(stderr, "gllm: %u tokens read in %.0f ms (%u of them from the cache), %zu written at %.1f a second\n", c->prompt_tokens, c->prefill_ms, c->cached_tokens, c->n_tokens,
                1e3 * (double)c->n_tokens / (c->decode_ms > 0 ? c->decode_ms : 1));
}

int cli_chat_fail(const gllm_error *err) {
    if (err->status != GLLM_UNSUPPORTED || !strstr(err->message, "no chat template")) return cli_fail(err);
    return cli_error("%s (--chat-template FILE gives one, --raw continues a text without one)", err->message);
}

/* The text that an answer goes on from, when it may have opened a block of reasoning. */
static gllm_rendered *rendered(gllm_client *client, const gllm_generate_request *r) {
    gllm_rendered *text = NULL;
    return isatty(STDOUT_FILENO) && r->n_messages && gllm_render_chat(client, r, &text, NULL) == GLLM_OK ? text : NULL;
}

static int answer(gllm_client *client, const struct cli_options *o, gllm_generate_request *r) {
    struct cli_printer printer;
    struct listener listener = {o->json ? NULL : &printer};
    gllm_completion *c = NULL;
    gllm_error err = {0};
    gllm_rendered *text = rendered(client, r);
    r->on_chunk = on_chunk, r->user = &listener;
    if (!o->json) cli_printer_begin(&printer, text ? text->text : (gllm_str){NULL, 0});
    gllm_rendered_free(text);
    int status = gllm_generate(client, r, &c, &err) == GLLM_OK ? EXIT_OK : cli_chat_fail(&err);
    if (!o->json) cli_printer_end(&printer);
    if (!status && c->finish == GLLM_FINISH_CANCELED) status = cli_interrupted();
    if (!status && o->json) status = cli_print_completion(client, c, r->n_messages > 0);
    if (!status) status = cli_flush(stdout, "standard output");
    if (!status) cli_tell_answer(o, c);
    gllm_completion_free(c);
    return status;
}

static int answer_prompt(gllm_client *client, const struct cli_options *o, gllm_generate_request *r, gllm_str prompt) {
    gllm_message messages[2];
    if (o->raw) r->prompt = prompt;
    else {
        if (o->system) messages[r->n_messages++] = (gllm_message){.role = "system", .content = {o->system, GLLM_NTS}};
        messages[r->n_messages++] = (gllm_message){.role = "user", .content = prompt};
        r->messages = messages;
    }
    return answer(client, o, r);
}

/* --chat-template NAME: a text that is neither a file nor a template is one of the model's names, or a mistake. */
static int check_template(const struct cli_options *o, const gllm_options *opt) {
    const char *name = o->chat_template;
    gllm_model_info *info;
    gllm_error err = {0};
    if (!name || strchr(name, '{') || access(name, R_OK) == 0) return EXIT_OK;
    gllm_options silent = *opt;
    silent.log = NULL;
    if (gllm_inspect(&info, &silent, 0, 0, &err) != GLLM_OK) return cli_fail(&err);
    bool found = false;
    char names[200] = "none";
    for (size_t i = 0, at = 0; i < info->n_chat_templates && at < sizeof names; i++) {
        found |= !strcmp(name, info->chat_templates[i]);
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", info->chat_templates[i]);
    }
    gllm_model_info_free(info);
    return found ? EXIT_OK : cli_usage("--chat-template: found \"%s\", expected a file or one of the model's templates: %s", name, names);
}

static int check(const struct cli_options *o) {
    if (o->logprobs && !o->json) return cli_usage("run: --logprobs goes with --json");
    return EXIT_OK;
}

int verb_run(const struct cli_options *o) {
    const bool talk = o->n_operands < 2 && !o->raw && !o->json && isatty(STDIN_FILENO);
    gllm_options opt;
    gllm_client *client = NULL;
    struct cli_request q = {0};
    gllm_error err = {0};
    char *prompt = NULL;
    size_t len = 0;
    cli_model_options(o, &opt);
    int status = check(o);
    if (!status) status = check_template(o, &opt);
    if (!status) status = cli_request_open(&q, o);
    if (!status && !talk) status = read_prompt(o, &prompt, &len);
    cli_catch_signals();
    if (!status && gllm_client_open(&client, &opt, &err) != GLLM_OK) status = cli_fail(&err);
    if (!status) status = cli_interrupted();
    if (!status) status = talk ? cli_conversation(client, o) : answer_prompt(client, o, &q.r, (gllm_str){prompt, len});
    cli_request_close(&q);
    gllm_client_close(client);
    free(prompt);
    return status;
}
