#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* THE option table. group: which verbs take it ('a' is everywhere); value: how help calls its value, NULL for a flag. */
struct option {
    char group;
    const char *name, *value;
    size_t offset;
    const char *help;
};
#define AT(field) offsetof(struct cli_options, field)
static const struct option OPTIONS[] = {
    {'j', "json", NULL, AT(json), "JSON on standard output"},
    {'e', "format", "text|npy|f32|jsonl", AT(format), "how vectors are written (text)"},
    {'e', "out", "FILE", AT(out), "write there, whole or not at all"},
    {'p', "prompt-name", "NAME", AT(prompt_name), "a prompt of the model before each text"},
    {'p', "prompt", "TEXT", AT(prompt), "this before each text"},
    {'e', "dimensions", "N", AT(dimensions), "cut each vector to N values"},
    {'e', "normalize", "on|off|model", AT(normalize), "scale to length 1 (model)"},
    {'e', "pooling", "cls|mean|max|last|…", AT(pooling), "instead of the model's own"},
    {'e', "truncate", "end|start|none", AT(truncate), "where a text that is too long is cut (end)"},
    {'i', "jsonl", "FIELD", AT(jsonl), "input is JSON lines; the text is in FIELD (text)"},
    {'i', "0", NULL, AT(nul), "-0: input texts are separated by NUL"},
    {'t', "pieces", NULL, AT(pieces), "pieces in place of ids"},
    {'t', "no-special", NULL, AT(no_special), "add no special tokens"},
    {'t', "parse-special", NULL, AT(parse_special), "read special tokens in the text"},
    {'t', "pair", "TEXT", AT(pair), "a second text"},
    {'t', "decode", NULL, AT(decode), "the operands are ids: print their text"},
    {'m', "tensors", NULL, AT(tensors), "list every tensor"},
    {'m', "ctx", "N", AT(ctx), "plan memory for texts of N tokens"},
    {'c', "batch", "N", AT(batch), "texts in one batch"},
    {'b', "length", "L", AT(length), "tokens in a text (128)"},
    {'b', "seconds", "S", AT(seconds), "measure for S seconds (3)"},
    {'d', "backend", "NAME", AT(backend), "auto, cpu, ref, cuda, rocm, metal, wgpu"},
    {'d', "threads", "N", AT(threads), "compute threads"},
    {'d', "precision", "P", AT(precision), "auto, f32, bf16, int8"},
    {'d', "exact", NULL, AT(exact), "what the reference library computes"},
    {'a', "quiet", NULL, AT(quiet), "results and errors only"},
    {'a', "verbose", NULL, AT(verbose), "tell more"},
    {'a', "help", NULL, AT(help), "this page"},
};
enum { N_OPTIONS = sizeof OPTIONS / sizeof *OPTIONS };

static bool takes(const struct cli_verb *v, const struct option *o) { return o->group == 'a' || strchr(v->options, o->group); }

void cli_help(const struct cli_verb *v) {
    printf("usage: gllm %s\n%s\n\noptions:\n", v->usage, v->summary);
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &OPTIONS[i];
        if (!takes(v, o) || o->group == 'a') continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", strcmp(o->name, "0") ? "--" : "-", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("  --quiet, --verbose, --help\n\nexamples:\n%s", v->examples);
}

static const struct option *find(const struct cli_verb *v, const char *name, size_t len) {
    for (unsigned i = 0; i < N_OPTIONS; i++)
        if (takes(v, &OPTIONS[i]) && strlen(OPTIONS[i].name) == len && !strncmp(OPTIONS[i].name, name, len)) return &OPTIONS[i];
    return NULL;
}

/* The option that begins as the unknown one does, for a hint. */
static const char *near_miss(const struct cli_verb *v, const char *name) {
    for (size_t n = strlen(name); n >= 2; n--)
        for (unsigned i = 0; i < N_OPTIONS; i++)
            if (takes(v, &OPTIONS[i]) && !strncmp(OPTIONS[i].name, name, n)) return OPTIONS[i].name;
    return NULL;
}

/* Reads one option at argv[*i]; moves *i past a value in the next argument. */
static int parse_one(const struct cli_verb *v, int argc, char **argv, int *i, struct cli_options *o) {
    const char *text = argv[*i], *name = text[1] == '-' ? text + 2 : text + 1, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *opt = find(v, name, len);
    if (!opt) {
        const char *hint = near_miss(v, name);
        return cli_usage("%s: unknown option %s%s%s (see gllm %s --help)", v->name, text, hint ? "; did you mean --" : "", hint ? hint : "", v->name);
    }
    void *field = (char *)o + opt->offset;
    if (!opt->value) {
        if (equals) return cli_usage("%s: --%s takes no value", v->name, opt->name);
        *(bool *)field = true;
        return EXIT_OK;
    }
    const char *value = equals ? equals + 1 : NULL;
    bool optional = opt->offset == AT(jsonl); /* --jsonl alone means the field "text" */
    if (!value && !optional && *i + 1 < argc) value = argv[++*i];
    if (!value && optional) value = "text";
    if (!value) return cli_usage("%s: --%s needs %s", v->name, opt->name, opt->value);
    *(const char **)field = value;
    return EXIT_OK;
}

int cli_options_parse(const struct cli_verb *v, int argc, char **argv, struct cli_options *o) {
    *o = (struct cli_options){.operands = calloc((size_t)argc + 1, sizeof *o->operands)};
    if (!o->operands) return cli_fail(&(gllm_error){GLLM_NOMEM, "out of memory"});
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && !strcmp(argv[i], "--")) only_operands = true;
        else if (only_operands || argv[i][0] != '-' || !argv[i][1]) o->operands[o->n_operands++] = argv[i];
        else if (argv[i][1] != '-' && strcmp(argv[i], "-0")) o->operands[o->n_operands++] = argv[i]; /* "-3" is a text */
        else {
            int status = parse_one(v, argc, argv, &i, o);
            if (status) return status;
        }
    }
    if (!o->help && o->n_operands < v->min_operands) return cli_usage("%s: expected gllm %s", v->name, v->usage);
    return EXIT_OK;
}

void cli_options_free(struct cli_options *o) { free(o->operands); }

int cli_number(const char *option, const char *text, uint32_t low, uint32_t high, uint32_t *out) {
    if (!text) return EXIT_OK;
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n < low || n > high) return cli_usage("--%s: found \"%s\", expected %u to %u", option, text, low, high);
    *out = (uint32_t)n;
    return EXIT_OK;
}

int cli_choice(const char *option, const char *text, const char *const *names, int *out) {
    if (!text) return EXIT_OK;
    char all[128] = "";
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], text)) {
            *out = i;
            return EXIT_OK;
        }
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", names[i]);
    }
    return cli_usage("--%s: found \"%s\", expected one of: %s", option, text, all);
}

static void log_to_stderr(void *user, gllm_log_level level, const char *line) {
    const struct cli_options *o = user;
    if (level <= GLLM_LOG_WARN ? !o->quiet : o->verbose) fprintf(stderr, "gllm: %s\n", line);
}

int cli_model_options(const struct cli_options *o, gllm_options *out) {
    static const char *const PRECISIONS[] = {"auto", "f32", "bf16", "int8", NULL};
    int precision = GLLM_PRECISION_AUTO, status;
    gllm_options_init(out);
    out->model = o->operands[0];
    out->backend = o->backend;
    out->exact = o->exact;
    out->log = log_to_stderr;
    out->log_user = (void *)(uintptr_t)o;
    if ((status = cli_number("threads", o->threads, 1, 4096, &out->threads))) return status;
    status = cli_choice("precision", o->precision, PRECISIONS, &precision);
    out->precision = (gllm_precision)precision;
    return status;
}
