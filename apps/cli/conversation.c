/* conversation.c - gllm run on a terminal: questions and answers until Ctrl-D.
 *
 * Ctrl-C stops an answer; what was written stays in the conversation. When the conversation no longer fits the context, its oldest turns are
 * left out, which is told; the system message stays. The model reads again only what changed: its cache holds the rest. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

/* ---- messages ---- */

static void message_free(struct talk_message *m) {
    free(m->role);
    free(m->content);
    free(m->extra);
}

size_t talk_start(const struct talk *t) { return t->count && !strcmp(t->list[0].role, "system"); }

int talk_add(struct talk *t, const char *role, const char *content, size_t len, const char *extra) {
    if (t->count == t->room) {
        struct talk_message *list = realloc(t->list, (t->room = 2 * t->room + 16) * sizeof *list);
        if (!list) return cli_no_memory();
        t->list = list;
    }
    struct talk_message m = {.role = strdup(role), .content = malloc(len + 1), .extra = extra ? strdup(extra) : NULL, .len = len};
    if (!m.role || !m.content || (extra && !m.extra)) {
        message_free(&m);
        return cli_no_memory();
    }
    memcpy(m.content, content, len);
    m.content[len] = '\0';
    t->list[t->count++] = m;
    return EXIT_OK;
}

void talk_cut(struct talk *t, size_t count) {
    while (t->count > count) message_free(&t->list[--t->count]);
    if (t->from > count) t->from = count;
    t->n_seen = 0;
}

int talk_system(struct talk *t, const char *text) {
    const size_t had = talk_start(t);
    int status = *text ? talk_add(t, "system", text, strlen(text), NULL) : EXIT_OK;
    if (status) return status;
    const struct talk_message added = t->list[t->count - 1];
    if (had) message_free(&t->list[0]);
    if (*text) {
        memmove(t->list + 1, t->list + had, (t->count - 1 - had) * sizeof *t->list);
        t->list[0] = added;
    } else if (had) memmove(t->list, t->list + 1, (t->count - 1) * sizeof *t->list);
    t->count -= had;
    t->from = (t->from > had ? t->from - had : 0) + (*text != '\0');
    return EXIT_OK;
}

int talk_keep(struct talk *t, const char *text, const char **out) {
    char **kept = realloc(t->kept, (t->n_kept + 1) * sizeof *kept);
    if (!kept) return cli_no_memory();
    t->kept = kept;
    if (!(*out = kept[t->n_kept] = strdup(text))) return cli_no_memory();
    t->n_kept++;
    return EXIT_OK;
}

/* ---- an answer ---- */

/* The system message and the messages from t->from on, as the request borrows them. */
static void fill_messages(const struct talk *t, gllm_message *out, gllm_generate_request *r) {
    r->messages = out, r->n_messages = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct talk_message *m = &t->list[i];
        if (i < t->from && i >= talk_start(t)) continue;
        out[r->n_messages++] = (gllm_message){m->role, {m->extra && !m->len ? NULL : m->content, m->len}, m->extra};
    }
}

/* Where the turn after the oldest one that is still sent begins; t->count: there is only the last one. */
static size_t next_turn(const struct talk *t) {
    size_t i = t->from + 1;
    while (i < t->count && strcmp(t->list[i].role, "user")) i++;
    return i;
}

/* The conversation as the model reads it, with its oldest turns left out until an answer has room as well. */
static int fit(struct talk *t, gllm_message *messages, gllm_generate_request *r, gllm_rendered **out) {
    const uint32_t share = t->n_ctx / 4, room = r->max_tokens && r->max_tokens < share ? r->max_tokens : share;
    gllm_error err = {0};
    size_t left_out = 0;
    if (t->from < talk_start(t)) t->from = talk_start(t);
    for (;;) {
        fill_messages(t, messages, r);
        if (gllm_render_chat(t->client, r, out, &err) != GLLM_OK) return cli_chat_fail(&err);
        const size_t next = next_turn(t);
        if ((*out)->n_tokens + room <= t->n_ctx || next >= t->count) break;
        t->from = next;
        left_out++;
        gllm_rendered_free(*out);
    }
    if (left_out)
        cli_note(&t->options, "the conversation no longer fits the context of %u tokens: its %zu oldest turn%s left out (--ctx N makes it longer, /clear starts anew)", t->n_ctx, left_out,
                 left_out == 1 ? " is" : "s are");
    if ((*out)->n_tokens < t->n_ctx) return EXIT_OK;
    int status = cli_error("the message makes %zu tokens, the context holds %u: --ctx N makes it longer", (*out)->n_tokens, t->n_ctx);
    gllm_rendered_free(*out);
    *out = NULL;
    return status;
}

/* With --verbose: a template, or a text that is cut into other tokens than the model wrote, makes the model read again what it knew. */
static void tell_reuse(const struct talk *t, const gllm_rendered *now) {
    size_t same = 0;
    while (same < t->n_seen && same < now->n_tokens && t->seen[same] == now->tokens[same]) same++;
    if (t->n_seen && same < t->n_seen && t->options.verbose)
        fprintf(stderr, "gllm: of the %zu tokens before, the template keeps the first %zu as they were: the rest is read again\n", t->n_seen, same);
}

static void note_seen(struct talk *t, const gllm_rendered *prompt, const gllm_completion *c) {
    int32_t *seen = realloc(t->seen, (prompt->n_tokens + c->n_tokens + 1) * sizeof *seen);
    t->used = (uint32_t)(c->prompt_tokens + c->n_tokens);
    if (!seen) return;
    memcpy(seen, prompt->tokens, prompt->n_tokens * sizeof *seen);
    if (c->n_tokens) memcpy(seen + prompt->n_tokens, c->tokens, c->n_tokens * sizeof *seen);
    t->seen = seen;
    t->n_seen = prompt->n_tokens + c->n_tokens;
}

static bool on_chunk(void *printer, const gllm_chunk *chunk) { return cli_printer_add(printer, chunk->text.ptr, chunk->text.len) && !cli_interrupted(); }

static int keep_answer(struct talk *t, const gllm_completion *c) {
    const bool stopped = c->finish == GLLM_FINISH_CANCELED;
    if (stopped && cli_interrupted() != EXIT_SIGNAL + SIGINT) return cli_interrupted() ? cli_interrupted() : cli_flush(stdout, "standard output");
    if (stopped) cli_note(&t->options, c->text.len ? "stopped; the conversation keeps what was written" : "stopped before the answer began");
    if (stopped && !c->text.len) return EXIT_FAILED;
    int status = talk_add(t, "assistant", c->text.ptr, c->text.len, NULL);
    if (!status) t->list[t->count - 1].partial = stopped;
    return status;
}

/* What is typed while an answer comes is kept for the next line and does not show within the answer. */
static void echo(bool on) {
    struct termios io;
    if (tcgetattr(STDIN_FILENO, &io) != 0) return;
    if (on) io.c_lflag |= ECHO;
    else io.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &io);
}

static int answer(struct talk *t, gllm_generate_request *r, const gllm_rendered *prompt) {
    struct cli_printer printer;
    gllm_completion *c = NULL;
    gllm_error err = {0};
    tell_reuse(t, prompt);
    cli_printer_begin(&printer, prompt->text);
    r->on_chunk = on_chunk, r->user = &printer;
    r->seed += t->tries;
    echo(false);
    int status = gllm_generate(t->client, r, &c, &err) == GLLM_OK ? EXIT_OK : cli_chat_fail(&err);
    echo(true);
    cli_printer_end(&printer);
    if (status) return status;
    note_seen(t, prompt, c);
    status = keep_answer(t, c);
    if (!status) cli_tell_answer(&t->options, c);
    gllm_completion_free(c);
    return status;
}

int talk_answer(struct talk *t) {
    struct cli_request q;
    gllm_rendered *prompt = NULL;
    gllm_message *messages = calloc(t->count + 1, sizeof *messages);
    int status = cli_request_open(&q, &t->options);
    if (!status && !messages) status = cli_no_memory();
    if (!status) status = fit(t, messages, &q.r, &prompt);
    if (!status) status = answer(t, &q.r, prompt);
    gllm_rendered_free(prompt);
    cli_request_close(&q);
    free(messages);
    return status;
}

/* A question that got no answer is taken back. */
static void ask(struct talk *t, const char *text, size_t len) {
    const size_t before = t->count;
    t->tries = 0;
    if (talk_add(t, "user", text, len, NULL) || talk_answer(t)) talk_cut(t, before);
}

/* ---- reading ---- */

struct text {
    char *data;
    size_t len;
};

static int append(struct text *to, const char *s, size_t n) {
    char *data = realloc(to->data, to->len + n + 2);
    if (!data) return cli_no_memory();
    to->data = data;
    memcpy(data + to->len, s, n);
    to->len += n;
    data[to->len] = '\0';
    return EXIT_OK;
}

static bool ends_with(const char *s, size_t n, const char *end) {
    const size_t m = strlen(end);
    return n >= m && !memcmp(s + n - m, end, m);
}

/* Takes one line into the message: `"""` opens and closes several lines, a \ at the end goes on with the next. *more: it is not complete. */
static int take_line(struct text *to, const char *line, bool *block, bool *more) {
    size_t n = strlen(line);
    const bool opens = !to->data && !strncmp(line, "\"\"\"", 3);
    if (opens) *block = true, line += 3, n -= 3;
    if (*block) {
        const bool closes = ends_with(line, n, "\"\"\"");
        *more = !closes;
        int status = append(to, line, closes ? n - 3 : n);
        return status || closes || (opens && !n) ? status : append(to, "\n", 1);
    }
    *more = ends_with(line, n, "\\");
    int status = append(to, line, *more ? n - 1 : n);
    return status || !*more ? status : append(to, "\n", 1);
}

/* A message of one or more lines. LINE_TEXT without data: there is no memory. */
static enum cli_line_end read_message(struct cli_line *l, struct text *out, bool *single, bool *empty) {
    bool block = false, more = true;
    *single = true;
    for (const char *line; more; *single = *single && !more) {
        const enum cli_line_end end = cli_line_read(l, out->data ? "... " : ">>> ", &line, empty);
        if (end != LINE_TEXT) {
            if (out->data) *empty = false;
            return end;
        }
        cli_line_remember(l, line);
        if (take_line(out, line, &block, &more)) break;
    }
    if (block) *single = false;
    return LINE_TEXT;
}

static bool blank(const char *s) { return !s[strspn(s, " \t\r\n")]; }

/* Lines until the end. Ctrl-C twice on an empty line leaves. */
static int talk_lines(struct talk *t, struct cli_line *l) {
    bool leave = false, warned = false;
    while (!leave) {
        struct text text = {0};
        bool single, empty;
        const enum cli_line_end end = read_message(l, &text, &single, &empty);
        if (cli_interrupted() && cli_interrupted() != EXIT_SIGNAL + SIGINT) leave = true;
        else if (end == LINE_END) leave = true;
        else if (end == LINE_INTERRUPTED) {
            leave = empty && warned;
            if (empty && !warned) fputs("(Ctrl-C again or Ctrl-D leaves, /help lists the commands)\n", t->out);
        } else if (text.data && !blank(text.data)) {
            if (single && text.data[0] == '/') talk_command(t, text.data, &leave);
            else ask(t, text.data, text.len);
            if (cli_interrupted() == EXIT_SIGNAL + SIGINT) cli_forget_interrupt(); /* one that ended the answer; after a line, it is the next line's */
        }
        warned = end == LINE_INTERRUPTED && empty;
        free(text.data);
        if (cli_interrupted() && cli_interrupted() != EXIT_SIGNAL + SIGINT) leave = true;
        if (ferror(stdout)) return cli_flush(stdout, "standard output");
    }
    if (cli_interrupted() == EXIT_SIGNAL + SIGINT) cli_forget_interrupt(); /* one more than was needed to leave */
    return cli_interrupted();
}

/* $GLLM_HOME/history; owned. The folder is made where it lacks. NULL: there is none. */
static char *history_path(void) {
    gllm_machine *m;
    char *path = NULL;
    if (gllm_machine_describe(&m, NULL) != GLLM_OK) return NULL;
    mkdir(m->home, 0777);
    if (asprintf(&path, "%s/history", m->home) < 0) path = NULL;
    gllm_machine_free(m);
    return path;
}

/* A model that cannot converse says so before the first question. */
static int check_template(struct talk *t) {
    const gllm_message hello = {.role = "user", .content = {"hello", 5}};
    struct cli_request q;
    gllm_rendered *text = NULL;
    gllm_error err = {0};
    int status = cli_request_open(&q, &t->options);
    q.r.messages = &hello, q.r.n_messages = 1;
    if (!status && gllm_render_chat(t->client, &q.r, &text, &err) != GLLM_OK) status = cli_chat_fail(&err);
    gllm_rendered_free(text);
    cli_request_close(&q);
    return status;
}

int cli_conversation(gllm_client *client, const struct cli_options *o) {
    struct talk t = {.client = client, .out = isatty(STDOUT_FILENO) ? stdout : stderr};
    struct cli_line *line = NULL;
    gllm_client_info info = {.struct_size = sizeof info};
    int status = cli_options_copy(o, &t.options);
    if (!status && gllm_client_describe(client, NULL, &info, NULL) != GLLM_OK) status = EXIT_FAILED;
    t.n_ctx = info.n_ctx, t.model = info.model;
    if (!status) status = check_template(&t);
    if (!status && o->system) status = talk_system(&t, o->system);
    char *history = history_path();
    if (!status) status = cli_line_open(&line, history);
    free(history);
    if (!status) {
        cli_forget_interrupt();
        cli_note(o, "%s, a context of %u tokens; /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves", info.model, t.n_ctx);
        status = talk_lines(&t, line);
    }
    cli_line_close(line);
    talk_cut(&t, 0);
    cli_options_free(&t.options);
    for (size_t i = 0; i < t.n_kept; i++) free(t.kept[i]);
    free(t.kept);
    free(t.list);
    free(t.seen);
    return status;
}
