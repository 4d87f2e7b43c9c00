#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/utf8_length.h"
#include "cli.h"

enum { BATCH_BYTES = 4 << 20 }; /* a batch of long texts ends here, so that memory stays flat */

int cli_input_open(struct cli_input *in, const struct cli_options *o, size_t first_operand) {
    bool dash = o->n_operands == first_operand + 1 && !strcmp(o->operands[first_operand], "-");
    *in = (struct cli_input){.options = o, .next_operand = first_operand, .from_stdin = dash || o->n_operands <= first_operand};
    const char *form = o->jsonl ? "--jsonl" : "-0";
    if (!in->from_stdin && (o->jsonl || o->null))
        return cli_usage("%s reads standard input, but \"%.40s\" is a text among the arguments%s", form,
                         o->operands[first_operand], o->jsonl ? " (a field is given as --jsonl=FIELD)" : "");
    if (!in->from_stdin) return EXIT_OK;
    struct stat st;
    off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) && at >= 0 && st.st_size > at)
        in->total_bytes = (uint64_t)(st.st_size - at);
    in->by_line = isatty(STDIN_FILENO);
    if (in->by_line) cli_note(o, "reading texts from the terminal, one a line; Ctrl-D ends");
    return EXIT_OK;
}
void cli_input_close(struct cli_input *in) { free(in->buffer); }
void cli_texts_free(struct cli_texts *t) {
    free(t->list);
    free(t->bytes);
    *t = (struct cli_texts){0};
}

double cli_input_share(const struct cli_input *in) {
    if (!in->from_stdin) return (double)in->next_operand / (double)in->options->n_operands;
    return in->total_bytes ? (double)in->bytes / (double)in->total_bytes : -1;
}

/* Texts are kept as offsets until the batch is whole, since `bytes` moves when it grows. */
static int add(struct cli_texts *t, const char *s, size_t len) {
    if (t->count == t->capacity) {
        size_t n = t->capacity ? 2 * t->capacity : 64;
        gllm_str *list = realloc(t->list, n * sizeof *list);
        if (!list) return cli_no_memory();
        t->list = list;
        t->capacity = n;
    }
    if (t->used + len > t->room || !t->bytes) {
        size_t n = 2 * (t->used + len) + 4096;
        char *bytes = realloc(t->bytes, n);
        if (!bytes) return cli_no_memory();
        t->bytes = bytes;
        t->room = n;
    }
    if (len) memcpy(t->bytes + t->used, s, len);
    t->list[t->count++] = (gllm_str){(const char *)(uintptr_t)t->used, len};
    t->used += len;
    return EXIT_OK;
}

/* `what` and `number` say where the text stands: "line" 3, "text" 2. */
static int check_utf8(const char *what, size_t number, const char *s, size_t len) {
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_length((const unsigned char *)s + i, len - i);
        if (!n) return cli_error("input %s %zu, byte %zu: not UTF-8 (found 0x%02x)", what, number, i + 1, (unsigned char)s[i]);
    }
    return EXIT_OK;
}

static int add_json(struct cli_input *in, const char *s, size_t len, struct cli_texts *out) {
    json_error_t e;
    const char *field = in->options->jsonl;
    json_t *v = json_loadb(s, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    const json_t *text = json_is_object(v) ? json_object_get(v, field) : v;
    int status;
    if (!v) status = cli_error("input line %zu, column %d: not JSON: %s", in->line, e.column, e.text);
    else if (!text) status = cli_error("input line %zu: no field \"%s\" (--jsonl=FIELD chooses another)", in->line, field);
    else if (!json_is_string(text)) status = cli_error("input line %zu: \"%s\" is no string", in->line, field);
    else status = add(out, json_string_value(text), json_string_length(text));
    json_decref(v);
    return status;
}

/* One text from standard input; *got false at the end. */
static int read_one(struct cli_input *in, struct cli_texts *out, bool *got) {
    const char end = in->options->null ? '\0' : '\n', *what = in->options->null ? "text" : "line";
    ssize_t n = getdelim(&in->buffer, &in->capacity, end, stdin);
    *got = n >= 0;
    if (n < 0) {
        if (cli_interrupted()) return cli_interrupted();
        if (!ferror(stdin)) return EXIT_OK;
        return cli_error("cannot read standard input: %s", strerror(errno));
    }
    in->line++;
    in->bytes += (uint64_t)n;
    size_t len = (size_t)n;
    if (len && in->buffer[len - 1] == end) len--;
    if (!in->options->null && len && in->buffer[len - 1] == '\r') len--;
    int status = check_utf8(what, in->line, in->buffer, len);
    if (status) return status;
    return in->options->jsonl ? add_json(in, in->buffer, len, out) : add(out, in->buffer, len);
}

static int next_operand(struct cli_input *in, struct cli_texts *out, bool *got) {
    *got = in->next_operand < in->options->n_operands;
    if (!*got) return EXIT_OK;
    const char *s = in->options->operands[in->next_operand++];
    int status = check_utf8("text", ++in->line, s, strlen(s));
    return status ? status : add(out, s, strlen(s));
}

int cli_input_read(struct cli_input *in, size_t limit, struct cli_texts *out) {
    out->count = out->used = 0;
    if (in->by_line) limit = 1;
    for (bool got = true; got && out->count < limit && out->used < BATCH_BYTES;) {
        int status = in->from_stdin ? read_one(in, out, &got) : next_operand(in, out, &got);
        if (status) return status;
    }
    for (size_t i = 0; i < out->count; i++) out->list[i].ptr = out->bytes + (uintptr_t)out->list[i].ptr;
    return EXIT_OK;
}

int cli_input_batch(struct cli_input *in, struct cli_bar *bar, struct cli_texts *out) {
    const size_t limit = in->batch ? in->batch : CLI_FIRST_BATCH;
    bar->from = cli_input_share(in);
    const int status = cli_input_read(in, limit, out);
    bar->to = cli_input_share(in);
    in->batch = limit < CLI_LAST_BATCH ? 2 * limit : CLI_LAST_BATCH;
    return status;
}

int cli_read_all(const char *path, char **out, size_t *len) {
    FILE *f = path ? fopen(path, "rb") : stdin;
    size_t room = 0, n = 0, got = 1;
    char *text = NULL;
    if (!f) return cli_error("cannot read %s", path);
    while (got) {
        if (n + 4096 > room) { /* room for a NUL, too */
            char *more = realloc(text, room = 2 * room + 65536);
            if (!more) break;
            text = more;
        }
        n += got = fread(text + n, 1, room - n - 1, f);
    }
    const bool failed = got || ferror(f);
    if (path) fclose(f);
    if (!failed) text[n] = '\0';
    *out = text;
    *len = n;
    return failed ? cli_error("cannot read %s", path ? path : "standard input") : EXIT_OK;
}
