#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted; /* set once by the handler; a program has one terminal */

static void on_interrupt(int signal_number) {
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* the second one kills */
}
void cli_catch_interrupt(void) {
    signal(SIGINT, on_interrupt);
}
bool cli_interrupted(void) { return interrupted; }

int cli_fail(const gllm_error *err) {
    if (err->status == GLLM_CANCELED && interrupted) return EXIT_INTERRUPTED;
    fprintf(stderr, "gllm: %s\n", err->message);
    return EXIT_FAILED;
}

static void line(const char *format, va_list args) {
    fputs("gllm: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}
int cli_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    line(format, args);
    va_end(args);
    return EXIT_USAGE;
}
void cli_note(const struct cli_options *o, const char *format, ...) {
    if (o->quiet) return;
    va_list args;
    va_start(args, format);
    line(format, args);
    va_end(args);
}

double cli_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* A bar appears when the work has taken half a second and standard error is a terminal. */
bool cli_progress(void *user, size_t done, size_t total) {
    struct cli_bar *bar = user;
    double now = cli_now_ms(), seconds = (now - bar->start_ms) / 1e3;
    if (!bar->options->quiet && seconds > 0.5 && isatty(STDERR_FILENO)) {
        size_t all = bar->base + done;
        double rate = (double)all / seconds;
        fprintf(stderr, "\r\033[K%s %zu", bar->what, all);
        if (bar->base == 0 && total > done) fprintf(stderr, "/%zu  [%-20.*s]  %.0f s left", total, (int)(20 * done / total), "====================", (double)(total - done) / rate);
        fprintf(stderr, "  %.0f/s", rate);
        bar->shown = true;
    }
    return !interrupted;
}
void cli_bar_clear(struct cli_bar *bar) {
    if (bar->shown) fputs("\r\033[K", stderr);
    bar->shown = false;
}

void cli_json_text(FILE *f, const char *s, size_t len) {
    fputc('"', f);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f) fprintf(f, "\\u%04x", c);
        else fputc(c, f);
    }
    fputc('"', f);
}

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

int cli_close_output(FILE *f, const char *name) {
    bool bad = ferror(f);
    errno = 0;
    if (f == stdout ? fflush(f) : fclose(f)) bad = true;
    if (!bad) return EXIT_OK;
    fprintf(stderr, "gllm: cannot write %s: %s\n", name, errno ? strerror(errno) : "the output failed");
    return EXIT_FAILED;
}
