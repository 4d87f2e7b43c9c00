#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define AT(field) offsetof(struct cli_options, field)
#define FLAG(group, letter, name, field, help) {group, letter, name, CLI_FLAG, NULL, NULL, 0, 0, AT(field), help}
#define TEXT(group, name, kind, value, field, help) {group, 0, name, kind, value, NULL, 0, 0, AT(field), help}
#define PICK(group, name, kind, value, choices, field, help) {group, 0, name, kind, value, choices, 0, 0, AT(field), help}
#define COUNT(group, name, value, low, high, field, help) {group, 0, name, CLI_NUMBER, value, NULL, low, high, AT(field), help}
#define SHARE(group, name, value, high, field, help) {group, 0, name, CLI_SHARE, value, NULL, 0, high, AT(field), help}
const struct cli_option cli_table[] = {
    FLAG('j', 0, "json", json, "JSON on standard output"),
    PICK('e', "format", CLI_CHOICE, "FORM", "text|npy|f32|jsonl", format, "how vectors are written"),
    {'e', 'o', "out", CLI_FILE, "FILE", NULL, 0, 0, AT(out), "write there, whole or not at all"},
    TEXT('p', "prompt-name", CLI_TEXT, "NAME", prompt_name, "one of the model's prompts before each text"),
    TEXT('p', "prompt", CLI_TEXT, "TEXT", prompt, "TEXT before each text"),
    COUNT('e', "dimensions", "N", 1, UINT32_MAX, dimensions, "cut each vector to its first N values"),
    PICK('e', "normalize", CLI_CHOICE, "HOW", "model|on|off", normalize, "scale to length 1"),
    PICK('e', "pooling", CLI_CHOICE, "HOW", "model|cls|mean|max|last|mean-sqrt-len|weighted-mean", pooling, ""),
    PICK('e', "output", CLI_CHOICE, "WHAT", "model|dense|sparse|tokens", output, "a vector, weights of tokens, a vector a token"),
    PICK('u', "truncate", CLI_CHOICE, "SIDE", "end|start|none", truncate, "where a long text is cut"),
    COUNT('k', "top-n", "N", 1, UINT32_MAX, top_n, "show the best N"),
    FLAG('k', 0, "raw-scores", raw_scores, "the model's logits, not probabilities"),
    TEXT('k', "instruction", CLI_TEXT, "TEXT", instruction, "what the documents are wanted for, to a causal reranker"),
    FLAG('k', 0, "as-judge", as_judge, "ask a chat model that is no reranker: does it fit, yes or no"),
    TEXT('i', "jsonl", CLI_FIELD, "[=FIELD]", jsonl, "input is JSON lines with the text in FIELD (text)"),
    FLAG('i', '0', "null", null, "input texts are separated by NUL"),
    FLAG('t', 0, "pieces", pieces, "pieces in place of ids"),
    FLAG('t', 0, "no-special", no_special, "add no special tokens"),
    FLAG('t', 0, "parse-special", parse_special, "read special tokens written in the text"),
    TEXT('y', "pair", CLI_TEXT, "TEXT", pair, "a second text, joined to each"),
    FLAG('t', 0, "decode", decode, "the texts are ids: print what they say"),
    FLAG('m', 0, "tensors", tensors, "list every tensor"),
    COUNT('m', "ctx", "N", 1, 1 << 24, ctx, "plan memory for texts of N tokens"),
    COUNT('c', "batch", "N", 1, 1 << 16, batch, "texts in one batch"),
    COUNT('b', "length", "L", 1, 1 << 20, length, "tokens in a text (128)"),
    COUNT('b', "seconds", "S", 1, 3600, seconds, "measure for S seconds (3)"),
    FLAG('r', 0, "raw", raw, "continue the text as it stands, no chat template"),
    TEXT('r', "system", CLI_TEXT, "TEXT", system, "what the model is told before the conversation"),
    COUNT('r', "max-tokens", "N", 1, UINT32_MAX, max_tokens, "end an answer after N tokens"),
    SHARE('r', "temperature", "T", 100, temperature, "0: always the likeliest token (0)"),
    TEXT('r', "stop", CLI_LIST, "TEXT", stop, "end before TEXT; may be given again"),
    TEXT('r', "chat-template", CLI_TEXT, "FILE|NAME", chat_template, "in place of the model's own"),
    TEXT('r', "template-arg", CLI_LIST, "KEY=JSON", template_args, "a variable of the template: enable_thinking=false"),
    TEXT('r', "tools", CLI_FILE, "FILE", tools, "JSON array of tools that the model may call"),
    TEXT('r', "grammar", CLI_FILE, "FILE", grammar, "the answer keeps to this GBNF grammar"),
    TEXT('r', "json-schema", CLI_FILE, "FILE", json_schema, "the answer is JSON by this schema; FILE or {…}"),
    COUNT('r', "logprobs", "N", 1, 1000, logprobs, "with --json: N likeliest tokens at each place"),
    COUNT('s', "top-k", "K", 1, 1 << 24, top_k, "draw from the K likeliest tokens"),
    SHARE('s', "top-p", "P", 1, top_p, "draw from the fewest tokens that reach P together"),
    SHARE('s', "min-p", "P", 1, min_p, "leave out tokens below P of the likeliest"),
    SHARE('s', "typical-p", "P", 1, typical_p, "draw from the tokens of most typical surprise that reach P"),
    SHARE('s', "repetition-penalty", "X", 1000, repetition_penalty, "divide the score of every token that was there (1)"),
    {'s', 0, "presence-penalty", CLI_SIGNED, "X", NULL, 0, 100, AT(presence_penalty), "subtract X once a token was written (0)"},
    {'s', 0, "frequency-penalty", CLI_SIGNED, "X", NULL, 0, 100, AT(frequency_penalty), "subtract X each time a token was written (0)"},
    TEXT('s', "logit-bias", CLI_LIST, "ID=B", logit_bias, "add B to a token's score; may be given again"),
    COUNT('s', "seed", "N", 0, UINT32_MAX, seed, "the same seed gives the same text (0)"),
    COUNT('x', "ctx", "N", 1, 1 << 24, ctx, "tokens that the context holds"),
    PICK('v', "kv-cache", CLI_CHOICE, "TYPE", "auto|f16|f32|q8_0", kv_cache, "generators: what keys and values are kept in"),
    FLAG('l', 0, "each", each, "with the value of each token"),
    COUNT('b', "prompt", "N", 1, 1 << 20, prompt_tokens, "generators: tokens of the prompt (512)"),
    COUNT('b', "gen", "M", 1, 1 << 20, gen, "generators: tokens of the answer (64)"),
    COUNT('b', "depth", "D", 1, 1 << 20, depth, "generators: tokens before both (0)"),
    TEXT('q', "parity", CLI_MODEL, "[MODEL]", parity, "compare the backend with ref on MODEL, exit 1 beyond the bound; alone: the values that each family is held to"),
    TEXT('q', "bound", CLI_REAL, "X", bound, "largest difference allowed (1e-5 in f32)"),
    TEXT('h', "host", CLI_FILE, "HOST", host, "listen on this address or name, or on unix:PATH (127.0.0.1)"),
    SHARE('h', "port", "N", 65535, port, "0: any that is free, told (8080)"),
    TEXT('h', "api-key-file", CLI_FILE, "FILE", key_file, "callers need one of its keys; read again on SIGHUP"),
    FLAG('h', 0, "public", public_bind, "listen beyond this machine without keys"),
    TEXT('h', "cors-origin", CLI_FILE, "ORIGIN", cors_origin, "pages from there may call, *: all"),
    TEXT('h', "prompt-name", CLI_TEXT, "NAME", prompt_name, "the model's prompt of embeddings that name none"),
    FLAG('h', 0, "auto-truncate", auto_truncate, "cut long texts, and tell it, where a request does not say"),
    COUNT('h', "max-queue", "N", 1, 1 << 20, max_queue, "jobs waiting for a model before 429 (1024)"),
    COUNT('h', "max-body", "MB", 1, 4096, max_body, "largest request (32)"),
    COUNT('h', "max-items", "N", 1, 1 << 20, max_items, "most texts in a request (2048)"),
    COUNT('h', "max-connections", "N", 1, 1 << 20, max_connections, "(10000)"),
    COUNT('h', "request-timeout", "S", 1, 1 << 20, request_timeout, "longest time with the models (600)"),
    COUNT('h', "idle-timeout", "S", 1, 1 << 20, idle_timeout, "a silent connection, or a request that does not come (60)"),
    COUNT('h', "drain-timeout", "S", 1, 1 << 20, drain_timeout, "at the end, for requests in flight (30)"),
    COUNT('h', "memory-budget", "MB", 1, UINT32_MAX, memory_budget, "for all models; the longest unused goes first"),
    COUNT('h', "unload-after", "S", 1, UINT32_MAX, unload_after, "give a model's memory back when nobody asks"),
    FLAG('h', 0, "pin", pin, "never unload"),
    FLAG('h', 0, "lazy", lazy, "load a model at its first request"),
    PICK('h', "log", CLI_CHOICE, "FORM", "text|json|none", log, "a line for each request on standard error"),
    FLAG('o', 0, "local", local, "only what is on this machine"),
    TEXT('f', "revision", CLI_TEXT, "REV", revision, "a branch, tag or commit in place of main"),
    TEXT('f', "quant", CLI_TEXT, "FORM", quant, "a quantised form: awq, gguf, Q4_K_M; as MODEL:FORM"),
    PICK('d', "backend", CLI_NAME, "NAME", "auto|cpu|ref|cuda|rocm|metal|wgpu", backend, ""),
    TEXT('d', "adapter", CLI_TEXT, "TASK", adapter, "of a model that holds one for each of several tasks; else its first"),
    COUNT('d', "threads", "N", 1, 4096, threads, "compute threads"),
    PICK('d', "precision", CLI_CHOICE, "P", "auto|f32|bf16|int8", precision, "of activations in products"),
    FLAG('d', 0, "exact", exact, "what the reference library computes: f32 everywhere"),
    FLAG('a', 'q', "quiet", quiet, "results and errors only"),
    FLAG('a', 'v', "verbose", verbose, "tell more"),
    FLAG('a', 'h', "help", help, "this page"),
    {0},
};
static const char *const EXCLUSIVE[][2] = {
    {"json", "format"}, {"prompt", "prompt-name"}, {"exact", "precision"},     {"jsonl", "null"},
    {"raw", "system"},  {"raw", "chat-template"},  {"raw", "template-arg"},   {"raw", "tools"},
    {"quiet", "verbose"}, {"decode", "pieces"},    {"decode", "no-special"}, {"decode", "pair"},
    {"grammar", "json-schema"}, {"public", "api-key-file"}, {"pin", "unload-after"},
};

bool cli_takes(const struct cli_verb *v, const struct cli_option *o) { return o->group == 'a' || strchr(v->groups, o->group); }

/* Edits between two words: letters changed, added, left out, or two neighbours exchanged. Words of 31 letters at most. */
static unsigned distance(const char *a, const char *b) {
    unsigned d[32][32];
    size_t n = strlen(a), m = strlen(b);
    if (n > 31 || m > 31) return 32;
    for (unsigned i = 0; i <= n; i++)
        for (unsigned j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *const *names) {
    const char *best = NULL;
    size_t len = strlen(word);
    unsigned least = len < 4 ? 1 : 2; /* no further than this */
    for (; *names; names++) {
        bool begins = len > 1 && !strncmp(word, *names, len);
        unsigned d = begins ? 0 : distance(word, *names);
        if (d > least || (best && d == least)) continue;
        best = *names;
        least = d;
    }
    return best;
}

static int unknown_option(const struct cli_verb *v, const char *text, size_t len) {
    const char *names[64];
    size_t n = 0;
    char word[32];
    for (const struct cli_option *o = cli_table; o->name; o++)
        if (cli_takes(v, o)) names[n++] = o->name;
    names[n] = NULL;
    const char *name = text + strspn(text, "-");
    snprintf(word, sizeof word, "%.*s", (int)(len - (size_t)(name - text)), name);
    const char *hint = cli_nearest(word, names);
    if (hint) return cli_usage("%s: unknown option %.*s; did you mean --%s?", v->name, (int)len, text, hint);
    return cli_usage("%s: unknown option %.*s (see gllm %s --help; a text that begins with a dash comes after --)", v->name,
                     (int)len, text, v->name);
}

static const struct cli_option *find(const struct cli_verb *v, const char *text, size_t len) {
    for (const struct cli_option *o = cli_table; o->name; o++) {
        if (!cli_takes(v, o)) continue;
        if (len == 2 && o->letter && text[1] == o->letter) return o;
        if (len > 2 && text[1] == '-' && strlen(o->name) == len - 2 && !strncmp(o->name, text + 2, len - 2)) return o;
    }
    return NULL;
}

static int choice(const struct cli_option *o, const char *value, int *place) {
    *place = 0;
    for (const char *c = o->choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL, ++*place)
        if (strcspn(c, "|") == strlen(value) && !strncmp(c, value, strlen(value))) return EXIT_OK;
    return cli_usage("--%s: found \"%s\", expected one of %s", o->name, value, o->choices);
}

static int number(const struct cli_option *o, const char *value, uint32_t *out) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || n < o->low || n > o->high)
        return cli_usage("--%s: found \"%s\", expected a whole number from %u to %u", o->name, value, o->low, o->high);
    *out = (uint32_t)n;
    return EXIT_OK;
}

static int real(const struct cli_option *o, const char *value, double *out) {
    char *end;
    *out = strtod(value, &end);
    if (end == value || *end || !(*out > 0) || *out > 1e30) return cli_usage("--%s: found \"%s\", expected a number above 0", o->name, value);
    return EXIT_OK;
}

static int share(const struct cli_option *o, const char *value, struct cli_share *out) {
    char *end;
    const double high = o->high, low = o->kind == CLI_SIGNED ? -high : 0, x = strtod(value, &end);
    if (end == value || *end || !(x >= low && x <= high)) return cli_usage("--%s: found \"%s\", expected a number from %g to %g", o->name, value, low, high);
    *out = (struct cli_share){x, true};
    return EXIT_OK;
}

static int append(const char *value, struct cli_list *out) {
    const char **items = realloc(out->items, (out->count + 1) * sizeof *items);
    if (!items) return cli_no_memory();
    out->items = items;
    items[out->count++] = value;
    return EXIT_OK;
}

static int store(const struct cli_option *o, const char *value, struct cli_options *out) {
    void *field = (char *)out + o->offset;
    int place;
    switch (o->kind) {
    case CLI_FLAG: *(bool *)field = true; return EXIT_OK;
    case CLI_CHOICE: return choice(o, value, field);
    case CLI_NUMBER: return number(o, value, field);
    case CLI_REAL: return real(o, value, field);
    case CLI_SHARE:
    case CLI_SIGNED: return share(o, value, field);
    case CLI_LIST: return append(value, field);
    case CLI_NAME:
        if (choice(o, value, &place)) return EXIT_USAGE;
        break;
    case CLI_TEXT:
    case CLI_FIELD:
    case CLI_FILE:
    case CLI_MODEL: break;
    }
    *(const char **)field = value;
    return EXIT_OK;
}

/* "--x", "-x"; but "-" is standard input and "-3" is a text. */
static bool looks_like_option(const char *s) { return s[0] == '-' && s[1] && (!strcmp(s, "-0") || s[1] < '0' || s[1] > '9'); }

/* Reads one option at argv[*i]; moves *i past a value in the next argument. */
static int parse_one(const struct cli_verb *v, int argc, char **argv, int *i, struct cli_options *out, bool *given) {
    const char *text = argv[*i], *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct cli_option *o = find(v, text, len);
    if (!o) return unknown_option(v, text, len);
    if (o->kind == CLI_FLAG && value) return cli_usage("%s: --%s takes no value, found \"%s\"", v->name, o->name, value);
    if (o->kind == CLI_FIELD && !value) value = "text";
    if (o->kind == CLI_MODEL && !value && (*i + 1 == argc || looks_like_option(argv[*i + 1]))) return store(o, "", out);
    if (o->kind != CLI_FLAG && !value && *i + 1 < argc) value = argv[++*i];
    if (o->kind != CLI_FLAG && !value) return cli_usage("%s: --%s needs a value: %s", v->name, o->name, o->choices ? o->choices : o->value);
    if ((o->kind == CLI_FILE || o->kind == CLI_MODEL || o->kind == CLI_FIELD || o->kind == CLI_LIST) && !*value) return cli_usage("%s: --%s: the value is empty", v->name, o->name);
    given[o - cli_table] = true;
    return store(o, value, out);
}

static int check_exclusive(const struct cli_verb *v, const bool *given) {
    for (size_t i = 0; i < sizeof EXCLUSIVE / sizeof *EXCLUSIVE; i++) {
        int both = 0;
        for (const struct cli_option *o = cli_table; o->name; o++)
            both += given[o - cli_table] && (!strcmp(o->name, EXCLUSIVE[i][0]) || !strcmp(o->name, EXCLUSIVE[i][1]));
        if (both == 2) return cli_usage("%s: --%s and --%s exclude each other", v->name, EXCLUSIVE[i][0], EXCLUSIVE[i][1]);
    }
    return EXIT_OK;
}

int cli_options_parse(const struct cli_verb *v, int argc, char **argv, struct cli_options *o) {
    bool given[sizeof cli_table / sizeof *cli_table] = {false}, only_operands = false;
    *o = (struct cli_options){.operands = calloc((size_t)argc + 1, sizeof *o->operands)};
    if (!o->operands) return cli_no_memory();
    for (int i = 0; i < argc; i++) {
        if (!only_operands && !strcmp(argv[i], "--")) only_operands = true;
        else if (only_operands || !looks_like_option(argv[i])) o->operands[o->n_operands++] = argv[i];
        else {
            int status = parse_one(v, argc, argv, &i, o, given);
            if (status) return status;
        }
    }
    if (o->help) return EXIT_OK;
    if (o->n_operands < v->min_operands) return cli_usage("%s: expected gllm %s", v->name, v->usage);
    if (o->n_operands > v->max_operands)
        return cli_usage("%s: unexpected \"%s\"; expected gllm %s", v->name, o->operands[v->max_operands], v->usage);
    return check_exclusive(v, given);
}

static size_t field_size(const struct cli_option *o) {
    switch (o->kind) {
    case CLI_FLAG: return sizeof(bool);
    case CLI_CHOICE: return sizeof(int);
    case CLI_NUMBER: return sizeof(uint32_t);
    case CLI_REAL: return sizeof(double);
    case CLI_SHARE:
    case CLI_SIGNED: return sizeof(struct cli_share);
    case CLI_LIST: return sizeof(struct cli_list);
    default: return sizeof(const char *);
    }
}

int cli_option_set(const struct cli_option *o, const char *value, struct cli_options *out) {
    void *field = (char *)out + o->offset;
    if (value) return store(o, value, out);
    if (o->kind == CLI_LIST) free(((struct cli_list *)field)->items);
    memset(field, 0, field_size(o));
    return EXIT_OK;
}

int cli_options_copy(const struct cli_options *o, struct cli_options *out) {
    *out = *o;
    out->operands = NULL, out->n_operands = 0;
    for (const struct cli_option *t = cli_table; t->name; t++) {
        if (t->kind != CLI_LIST) continue;
        const struct cli_list *from = (const void *)((const char *)o + t->offset);
        struct cli_list *to = (void *)((char *)out + t->offset);
        *to = (struct cli_list){0};
        for (size_t i = 0; i < from->count; i++)
            if (append(from->items[i], to)) return EXIT_FAILED;
    }
    return EXIT_OK;
}

void cli_options_free(struct cli_options *o) {
    for (const struct cli_option *t = cli_table; t->name; t++)
        if (t->kind == CLI_LIST) cli_option_set(t, NULL, o);
    free(o->operands);
}

void cli_model_options(const struct cli_options *o, gllm_options *out) {
    gllm_options_init(out);
    out->model = o->operands[0];
    out->backend = o->backend;
    out->threads = o->threads;
    out->exact = o->exact;
    out->precision = (gllm_precision)o->precision;
    out->n_ctx = o->ctx;
    out->kv_cache = (gllm_kv_cache)o->kv_cache;
    out->adapter = o->adapter;
    cli_fetch_options(o, out);
}
