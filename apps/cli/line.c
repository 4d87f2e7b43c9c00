/* line.c - a line from a person. With libedit: editing and history (up, down, Ctrl-R); without it: what the terminal itself can do.
 *
 * Ctrl-C is a key here, not a signal: it gives the line up. SIGTERM and SIGHUP end the reading; main's caller sees cli_interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "cli.h"

enum { KEPT_LINES = 1000, WAKE_MS = 500 };

struct cli_line {
    struct editor *editor; /* NULL: none */
    FILE *prompt_to;
    const char *prompt;
    char *path; /* of the history; NULL: none */
    char *buffer;
    size_t capacity;
    bool interrupted, was_empty;
};

static void remember(struct cli_line *l, const char *text);

/* Ctrl-C as a signal, before the terminal was ours or where it never is: this line's, and used up with it. */
static void take_interrupt(struct cli_line *l) {
    l->interrupted = l->was_empty = true;
    cli_forget_interrupt();
}

#ifdef GLLM_LIBEDIT
#include <histedit.h>

struct editor {
    EditLine *el;
    History *history;
};

static struct cli_line *line_of(EditLine *el) {
    void *l = NULL;
    el_get(el, EL_CLIENTDATA, &l);
    return l;
}
static char *prompt_of(EditLine *el) { return (char *)(uintptr_t)line_of(el)->prompt; }

/* A character of the terminal, which a signal that ends the program may break off. */
static int read_character(EditLine *el, wchar_t *out) {
    mbstate_t state = {0};
    (void)el;
    for (;;) {
        char c;
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        while (poll(&input, 1, WAKE_MS) <= 0) /* a signal may come just before the wait */
            if (cli_interrupted()) return -1;
        const ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR && !cli_interrupted()) continue;
        if (n <= 0) return (int)n;
        const size_t got = mbrtowc(out, &c, 1, &state);
        if (got == (size_t)-2) continue;
        if (got == (size_t)-1) *out = L'\ufffd';
        return 1;
    }
}

static unsigned char on_interrupt(EditLine *el, wint_t key) {
    struct cli_line *l = line_of(el);
    const LineInfo *info = el_line(el);
    (void)key;
    l->interrupted = true;
    l->was_empty = info->lastchar == info->buffer;
    return CC_EOF;
}

static unsigned char on_suspend(EditLine *el, wint_t key) {
    (void)key;
    el_set(el, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(el, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

/* libedit reads characters by the locale's rules; a machine without one still types UTF-8. */
static void choose_locale(void) {
    const char *now = setlocale(LC_CTYPE, "");
    if (!now || !strcmp(now, "C") || !strcmp(now, "POSIX")) setlocale(LC_CTYPE, "C.UTF-8");
}

static void editor_close(struct editor *e) {
    if (!e) return;
    if (e->el) el_end(e->el);
    if (e->history) history_end(e->history);
    free(e);
}

static struct editor *editor_open(struct cli_line *l) {
    HistEvent ev;
    struct editor *e = calloc(1, sizeof *e);
    choose_locale();
    if (!e || !(e->history = history_init()) || !(e->el = el_init("gllm", stdin, l->prompt_to, stderr))) {
        editor_close(e);
        return NULL;
    }
    history(e->history, &ev, H_SETSIZE, KEPT_LINES);
    history(e->history, &ev, H_SETUNIQUE, 1);
    el_set(e->el, EL_CLIENTDATA, l);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->history);
    el_set(e->el, EL_GETCFN, read_character);
    el_set(e->el, EL_SETTY, "-d", "-isig", NULL);
    el_wset(e->el, EL_ADDFN, L"gllm-interrupt", L"Give the line up.", on_interrupt); /* el_set would leak copies of the names */
    el_wset(e->el, EL_ADDFN, L"gllm-suspend", L"Back to the shell.", on_suspend);
    el_set(e->el, EL_BIND, "^C", "gllm-interrupt", NULL);
    el_set(e->el, EL_BIND, "^Z", "gllm-suspend", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    return e;
}

static void editor_add(struct editor *e, const char *text) {
    HistEvent ev;
    history(e->history, &ev, H_ENTER, text);
}

static enum cli_line_end editor_read(struct cli_line *l, const char **text) {
    int n = 0;
    el_resize(l->editor->el);
    el_set(l->editor->el, EL_PREP_TERM, 1); /* el_gets itself does it after it has shown the prompt: what is typed between would still mean a signal or an end */
    const bool early = cli_interrupted() == EXIT_SIGNAL + SIGINT; /* typed before the terminal was ours: since then it is a key */
    const char *got = early ? NULL : el_gets(l->editor->el, &n);
    if (early) el_set(l->editor->el, EL_PREP_TERM, 0);
    if (early || (!got && cli_interrupted() == EXIT_SIGNAL + SIGINT)) take_interrupt(l);
    else if (l->interrupted) fputs("^C", l->prompt_to);
    if (l->interrupted || !got || n <= 0) {
        fputc('\n', l->prompt_to);
        return l->interrupted ? LINE_INTERRUPTED : LINE_END;
    }
    if ((size_t)n + 1 > l->capacity) {
        char *more = realloc(l->buffer, l->capacity = (size_t)n + 1);
        if (!more) return LINE_END;
        l->buffer = more;
    }
    memcpy(l->buffer, got, (size_t)n);
    l->buffer[n] = '\0';
    *text = l->buffer;
    return LINE_TEXT;
}
#else
struct editor {
    char unused;
};
static struct editor *editor_open(struct cli_line *l) { return (void)l, NULL; }
static void editor_close(struct editor *e) { (void)e; }
static void editor_add(struct editor *e, const char *text) { (void)e, (void)text; }
static enum cli_line_end editor_read(struct cli_line *l, const char **text) { return (void)l, (void)text, LINE_END; }
#endif

/* ---- the history's file ---- */

/* The lines of the file into the editor. One that has grown to twice what is kept is written anew. */
static void load(struct cli_line *l) {
    char **lines = NULL, *line = NULL;
    size_t n = 0, room = 0, capacity = 0;
    FILE *f = fopen(l->path, "r");
    if (!f) return;
    for (ssize_t len; (len = getline(&line, &capacity, f)) > 0; n++) {
        if (n == room) {
            char **more = realloc(lines, (room = 2 * room + 64) * sizeof *lines);
            if (!more) break;
            lines = more;
        }
        if (line[len - 1] == '\n') line[len - 1] = '\0';
        if (!(lines[n] = strdup(line))) break;
    }
    fclose(f);
    const size_t first = n > KEPT_LINES ? n - KEPT_LINES : 0;
    if (n > 2 * KEPT_LINES && truncate(l->path, 0) == 0)
        for (size_t i = first; i < n; i++) remember(l, lines[i]);
    for (size_t i = first; i < n; i++) editor_add(l->editor, lines[i]);
    for (size_t i = 0; i < n; i++) free(lines[i]);
    free(lines);
    free(line);
}

static void remember(struct cli_line *l, const char *text) {
    const int fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return; /* a history that cannot be kept is no reason to stop */
    char *line = NULL;
    const int n = asprintf(&line, "%s\n", text);
    if (n > 0 && write(fd, line, (size_t)n) != n) cli_error("cannot write %s: %s", l->path, strerror(errno));
    if (n >= 0) free(line);
    close(fd);
}

/* ---- lines ---- */

int cli_line_open(struct cli_line **out, const char *path) {
    struct cli_line *l = *out = calloc(1, sizeof *l);
    if (!l) return cli_no_memory();
    l->prompt_to = isatty(STDOUT_FILENO) ? stdout : stderr;
    l->editor = editor_open(l);
    if (l->editor && path && (l->path = strdup(path))) load(l);
    return EXIT_OK;
}

static enum cli_line_end plain_read(struct cli_line *l, const char **text) {
    fputs(l->prompt, l->prompt_to);
    fflush(l->prompt_to);
    if (getline(&l->buffer, &l->capacity, stdin) >= 0) {
        *text = l->buffer;
        return LINE_TEXT;
    }
    if (errno == EINTR && cli_interrupted() == EXIT_SIGNAL + SIGINT) take_interrupt(l);
    clearerr(stdin);
    fputc('\n', l->prompt_to);
    return l->interrupted ? LINE_INTERRUPTED : LINE_END;
}

enum cli_line_end cli_line_read(struct cli_line *l, const char *prompt, const char **text, bool *empty) {
    *text = NULL;
    l->prompt = prompt;
    l->interrupted = l->was_empty = false;
    const enum cli_line_end end = l->editor ? editor_read(l, text) : plain_read(l, text);
    *empty = l->was_empty;
    if (end == LINE_TEXT) l->buffer[strcspn(l->buffer, "\n")] = '\0';
    return end;
}

void cli_line_remember(struct cli_line *l, const char *text) {
    if (!l->editor || !*text) return;
    editor_add(l->editor, text);
    if (l->path) remember(l, text);
}

void cli_line_close(struct cli_line *l) {
    if (!l) return;
    editor_close(l->editor);
    free(l->path);
    free(l->buffer);
    free(l);
}
