#include <string.h>

#include "cli.h"

enum { LEFT = 22, NARROWEST = 30 }; /* columns of "  --prompt-name NAME  " */

static unsigned columns_of(FILE *f) {
    unsigned n = cli_columns(f);
    return !n ? 80 : n < NARROWEST ? NARROWEST : n;
}
static size_t characters(const char *s, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

void cli_wrap(FILE *f, const char *text, unsigned indent) {
    const unsigned columns = cli_columns(f);
    size_t at = indent;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " "), width = characters(p, len);
        if (columns && p > text && at + 1 + width > columns) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
        } else if (p > text) {
            fputc(' ', f);
            at++;
        }
        fwrite(p, 1, len, f);
        at += width;
        p += len + (p[len] == ' ');
    }
    fputc('\n', f);
}

void cli_option_text(const struct cli_option *o, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "%s%s", o->help, o->choices && *o->help ? ": " : "");
    for (const char *c = o->choices; c && *c && at + 3 < size; c++) {
        if (*c == '|') out[at++] = ',', out[at++] = ' ';
        else out[at++] = *c;
    }
    out[at] = '\0';
}

static void help_option(const struct cli_option *o) {
    char left[64], text[256];
    const char *gap = o->value && *o->value != '[' ? " " : "";
    int n = snprintf(left, sizeof left, "  --%s%s%s", o->name, gap, o->value ? o->value : "");
    if (o->letter) snprintf(left + n, sizeof left - (size_t)n, ", -%c", o->letter);
    cli_option_text(o, text, sizeof text);
    if (columns_of(stdout) < 60) { /* the text has its own line */
        printf("%s\n      ", left);
        cli_wrap(stdout, text, 6);
        return;
    }
    printf("%-*s  ", LEFT - 2, left);
    cli_wrap(stdout, text, LEFT);
}

/* The options of sampling and of how a model is run, by name; the manual page says more. */
static void help_names(const struct cli_verb *v) {
    char text[1024];
    size_t at = 0;
    for (const struct cli_option *o = cli_table; o->name; o++)
        if (cli_takes(v, o) && (o->group == 's' || o->group == 'd') && at < sizeof text)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s--%s%s%s", at ? ", " : "", o->name, o->value ? " " : "", o->value ? o->value : "");
    fputs("  ", stdout);
    cli_wrap(stdout, text, 2);
}

void cli_help(const struct cli_verb *v) {
    printf("usage: gllm %s\n", v->usage);
    cli_wrap(stdout, v->summary, 0);
    const bool many = strchr(v->groups, 's') != NULL; /* then what every model takes is only named, too */
    for (const struct cli_option *o = cli_table; o->name; o++)
        if (cli_takes(v, o) && o->group != 'a' && o->group != 's' && !(many && o->group == 'd')) help_option(o);
    if (many) help_names(v);
    puts("  --quiet, -q; --verbose, -v; --help, -h");
    for (const char *e = v->examples; *e; e += strcspn(e, "\n") + 1) printf("%s  %.*s\n", e == v->examples ? "examples:\n" : "", (int)strcspn(e, "\n"), e);
}

void cli_overview(FILE *f) {
    fprintf(f, "gllm %s - local embeddings and text generation\nusage: gllm VERB MODEL [INPUT…] [options]\n\n", gllm_version_string());
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        fprintf(f, "  %-10s  ", v->name);
        cli_wrap(f, v->summary, 14);
    }
    fputs("  completion  ", f);
    cli_wrap(f, "Shell completions: bash, zsh or fish.", 14);
    fputs("  man         ", f);
    cli_wrap(f, "The manual page, for man -l -.", 14);
    fputc('\n', f);
    cli_wrap(f, "MODEL is a directory, a .gguf file, an alias of 'gllm models', or ORG/NAME or NAME under $GLLM_HOME/models (default ~/.gllm/models); "
                "an alias or ORG/NAME that is not there is fetched. "
                "'gllm VERB --help' tells a verb's options.", 0);
}
