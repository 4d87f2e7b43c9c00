#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void cli_input_open(struct cli_input *in, const struct cli_options *o, size_t first_operand) {
    *in = (struct cli_input){.options = o, .next_operand = first_operand, .from_stdin = o->n_operands <= first_operand};
    if (in->from_stdin && isatty(STDIN_FILENO)) cli_note(o, "reading texts from the terminal, one a line; end with Ctrl-D");
}
void cli_input_close(struct cli_input *in) { free(in->buffer); }
void cli_texts_free(struct cli_texts *t) {
    free(t->list);
    free(t->bytes);
    *t = (struct cli_texts){0};
}

static int no_memory(void) { return cli_fail(&(gllm_error){GLLM_NOMEM, "out of memory: input texts"}); }

/* Texts in `bytes` are kept as offsets until the batch is whole, since `bytes` moves when it grows. */
static int add(struct cli_texts *t, const char *s, size_t len) {
    if (t->count == t->capacity) {
        size_t n = t->capacity ? 2 * t->capacity : 64;
        gllm_str *list = realloc(t->list, n * sizeof *list);
        if (!list) return no_memory();
        t->list = list;
        t->capacity = n;
    }
    if (t->used + len > t->room || !t->bytes) {
        size_t n = 2 * (t->used + len) + 4096;
        char *bytes = realloc(t->bytes, n);
        if (!bytes) return no_memory();
        t->bytes = bytes;
        t->room = n;
    }
    if (len) memcpy(t->bytes + t->used, s, len);
    t->list[t->count++] = (gllm_str){(const char *)(uintptr_t)t->used, len};
    t->used += len;
    return EXIT_OK;
}

static int add_json(struct cli_input *in, const char *s, size_t len, struct cli_texts *out) {
    json_error_t e;
    json_t *v = json_loadb(s, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    const json_t *text = json_is_object(v) ? json_object_get(v, in->options->jsonl) : v;
    int status;
    if (!v) status = (fprintf(stderr, "gllm: input line %zu: not JSON: %s\n", in->line, e.text), EXIT_FAILED);
    else if (!json_is_string(text)) status = (fprintf(stderr, "gllm: input line %zu: expected a string in \"%s\"\n", in->line, in->options->jsonl), EXIT_FAILED);
    else status = add(out, json_string_value(text), json_string_length(text));
    json_decref(v);
    return status;
}

/* One text from standard input; *got false at the end. */
static int read_one(struct cli_input *in, struct cli_texts *out, bool *got) {
    const bool nul = in->options->nul;
    ssize_t n = getdelim(&in->buffer, &in->capacity, nul ? '\0' : '\n', stdin);
    *got = n >= 0;
    if (n < 0) {
        if (!ferror(stdin)) return EXIT_OK;
        fprintf(stderr, "gllm: cannot read standard input\n");
        return EXIT_FAILED;
    }
    in->line++;
    size_t len = (size_t)n;
    if (len && in->buffer[len - 1] == (nul ? '\0' : '\n')) len--;
    if (!nul && len && in->buffer[len - 1] == '\r') len--;
    return in->options->jsonl ? add_json(in, in->buffer, len, out) : add(out, in->buffer, len);
}

int cli_input_read(struct cli_input *in, size_t limit, struct cli_texts *out) {
    out->count = out->used = 0;
    for (bool got = true; out->count < limit && got;) {
        int status = EXIT_OK;
        if (in->from_stdin) status = read_one(in, out, &got);
        else if ((got = in->next_operand < in->options->n_operands)) {
            const char *s = in->options->operands[in->next_operand++];
            status = add(out, s, strlen(s));
        }
        if (status) return status;
    }
    for (size_t i = 0; i < out->count; i++) out->list[i].ptr = out->bytes + (uintptr_t)out->list[i].ptr;
    return EXIT_OK;
}
