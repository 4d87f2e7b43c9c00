#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char OPEN[] = "<think>", CLOSE[] = "</think>";

static bool ends_with_open(gllm_str s) {
    const size_t n = strlen(OPEN);
    while (s.len && strchr(" \t\r\n", s.ptr[s.len - 1])) s.len--;
    return s.len >= n && !memcmp(s.ptr + s.len - n, OPEN, n);
}

static void style(struct cli_printer *p, bool dim) {
    if (p->dim == dim) return;
    p->dim = dim;
    fputs(cli_style(stdout, dim ? STYLE_DIM : STYLE_PLAIN), stdout);
}

void cli_printer_begin(struct cli_printer *p, gllm_str prompt) {
    *p = (struct cli_printer){.terminal = isatty(STDOUT_FILENO)};
    if (p->terminal && prompt.ptr && ends_with_open(prompt)) style(p, true);
}

void cli_put_safe(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)s[i], next = i + 1 < len ? (unsigned char)s[i + 1] : 0;
        if (c == 0x7f) fputs("\u2421", stdout);
        else if (c < 0x20 && c != '\n' && c != '\t') printf("\xe2\x90%c", 0x80 + c);
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            fputs("\ufffd", stdout);
            i++;
        } else putchar(c);
    }
}

static void put_safe(struct cli_printer *p, const char *s, size_t len) {
    if (!len) return;
    cli_put_safe(s, len);
    p->last = s[len - 1];
}

static void put_held(struct cli_printer *p) {
    put_safe(p, p->held, p->n_held);
    p->n_held = 0;
}

/* The mark that was held is whole: it is dim itself. */
static void end_mark(struct cli_printer *p) {
    const bool opens = !p->dim;
    if (opens) style(p, true);
    put_held(p);
    if (!opens) style(p, false);
}

static void put_terminal(struct cli_printer *p, const char *s, size_t len) {
    for (size_t at = 0; at < len;) {
        const char *mark = p->dim ? CLOSE : OPEN, *next;
        if (!p->n_held) {
            next = memchr(s + at, mark[0], len - at);
            const size_t plain = next ? (size_t)(next - (s + at)) : len - at;
            put_safe(p, s + at, plain);
            at += plain;
            if (next) p->held[p->n_held++] = s[at++];
        } else if (s[at] == mark[p->n_held]) {
            p->held[p->n_held++] = s[at++];
            if (!mark[p->n_held]) end_mark(p);
        } else put_held(p);
    }
}

bool cli_printer_add(struct cli_printer *p, const char *text, size_t len) {
    if (!len) return true;
    p->shown += len;
    if (p->terminal) put_terminal(p, text, len);
    else {
        fwrite(text, 1, len, stdout);
        p->last = text[len - 1];
    }
    return fflush(stdout) == 0 && !ferror(stdout);
}

void cli_printer_end(struct cli_printer *p) {
    put_held(p);
    style(p, false);
    if (p->shown && p->last != '\n') putchar('\n');
    fflush(stdout);
}
