#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../common/utf8_length.h"
#include "cli.h"

static volatile sig_atomic_t caught; /* set by the handler; a program has one set of signals */

static void on_signal(int number) { caught = number; }
void cli_catch_signals(void) {
    /* No SA_RESTART: a read of standard input that waits must end. SA_RESETHAND: the second signal kills. */
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGHUP, &a, NULL); /* nohup stays so */
}
int cli_interrupted(void) { return caught ? EXIT_SIGNAL + caught : 0; }

void cli_forget_interrupt(void) {
    struct sigaction a = {.sa_handler = on_signal};
    if (caught == SIGINT) caught = 0;
    sigaction(SIGINT, &a, NULL);
}

unsigned cli_columns(FILE *f) {
    struct winsize ws = {0};
    if (!isatty(fileno(f))) return 0;
    return ioctl(fileno(f), TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : 80;
}

const char *cli_style(FILE *f, enum cli_style style) {
    static const char *const START[] = {"\033[0m", "\033[1m", "\033[32m", "\033[1;31m", "\033[2m"};
    const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
    bool plain = (off && *off) || !term || !strcmp(term, "dumb") || !isatty(fileno(f));
    return plain ? "" : START[style];
}

/* What a user typed may hold control characters or be no UTF-8: a message shows them as \xNN, as the library's do. */
static void put_printable(const char *s) {
    for (size_t left = strlen(s), n; left; s += n, left -= n) {
        n = utf8_length((const unsigned char *)s, left);
        if (n && (unsigned char)*s >= 0x20 && *s != 0x7f) fwrite(s, 1, n, stderr);
        else fprintf(stderr, "\\x%02x", (unsigned char)*s), n = 1;
    }
}

static void line(enum cli_style style, const char *format, va_list args) {
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    fprintf(stderr, "%sgllm:%s ", cli_style(stderr, style), cli_style(stderr, STYLE_PLAIN));
    put_printable(text);
    fputc('\n', stderr);
}
int cli_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    line(STYLE_BAD, format, args);
    va_end(args);
    return EXIT_FAILED;
}
int cli_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    line(STYLE_BAD, format, args);
    va_end(args);
    return EXIT_USAGE;
}
void cli_note(const struct cli_options *o, const char *format, ...) {
    if (o->quiet) return;
    va_list args;
    va_start(args, format);
    line(STYLE_BOLD, format, args);
    va_end(args);
}
int cli_fail(const gllm_error *err) {
    if (err->status == GLLM_CANCELED && caught) return cli_interrupted();
    return cli_error("%s", err->message);
}
int cli_no_memory(void) { return cli_error("out of memory"); }

double cli_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void cli_json_bytes(FILE *f, const char *s, size_t len) {
    fputc('"', f);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f) fprintf(f, "\\u%04x", c);
        else fputc(c, f);
    }
    fputc('"', f);
}
void cli_json_text(FILE *f, const char *s) { cli_json_bytes(f, s, strlen(s)); }

void cli_float(char buf[32], float v) {
    if (!isfinite(v)) {
        snprintf(buf, 32, "null");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(buf, 32, "%.*g", digits, (double)v);
        if (strtof(buf, NULL) == v) return;
    }
}

int cli_flush(FILE *f, const char *name) {
    bool bad = ferror(f);
    errno = 0;
    if (fflush(f) != 0) bad = true;
    if (!bad) return EXIT_OK;
    if (cli_interrupted()) return cli_interrupted();
    return cli_error("cannot write %s: %s", name, errno ? strerror(errno) : "writing failed");
}
