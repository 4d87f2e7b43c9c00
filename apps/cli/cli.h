/* cli.h - what the verbs share: options from one table, texts from arguments or standard input, and how things are told.
 *
 * The program uses gllm.h alone. Results go to standard output, everything else to standard error. */
#ifndef GLLM_CLI_CLI_H
#define GLLM_CLI_CLI_H
#include <stdio.h>

#include "gllm.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- options.c ---- */
struct cli_options {
    const char *backend, *format, *out, *prompt, *prompt_name, *normalize, *pooling, *truncate, *precision, *jsonl, *pair;
    const char *threads, *dimensions, *ctx, *batch, *length, *seconds;
    bool json, exact, quiet, verbose, nul, pieces, no_special, parse_special, decode, tensors, help;
    const char **operands; /* what is no option: MODEL, then texts; owned, freed by cli_options_free */
    size_t n_operands;
};
struct cli_verb {
    const char *name, *usage, *summary, *options; /* options: the letters of the table's groups that the verb takes */
    const char *examples;
    int (*run)(const struct cli_verb *v, struct cli_options *o);
    size_t min_operands;
};
/* EXIT_OK, or EXIT_USAGE after telling what is wrong. */
int cli_options_parse(const struct cli_verb *v, int argc, char **argv, struct cli_options *o);
void cli_options_free(struct cli_options *o);
void cli_help(const struct cli_verb *v);
/* A whole number from low to high; NULL text leaves *out alone. EXIT_OK or EXIT_USAGE. */
int cli_number(const char *option, const char *text, uint32_t low, uint32_t high, uint32_t *out);
/* The index of `text` in a NULL-terminated list; NULL text leaves *out alone. EXIT_OK or EXIT_USAGE. */
int cli_choice(const char *option, const char *text, const char *const *names, int *out);
/* Fills gllm_options from what every verb takes. EXIT_OK or EXIT_USAGE. */
int cli_model_options(const struct cli_options *o, gllm_options *out);

/* ---- tell.c ---- */
int cli_fail(const gllm_error *err);                       /* "gllm: message"; EXIT_FAILED, or EXIT_INTERRUPTED when canceled */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same with EXIT_USAGE */
void cli_note(const struct cli_options *o, const char *format, ...) __attribute__((format(printf, 2, 3))); /* unless --quiet */
void cli_catch_interrupt(void);
bool cli_interrupted(void);
bool cli_progress(void *bar, size_t done, size_t total); /* a gllm_progress_fn */
struct cli_bar {
    const struct cli_options *options;
    const char *what;
    size_t base;     /* done in earlier batches */
    double start_ms; /* 0: not shown yet */
    bool shown;
};
void cli_bar_clear(struct cli_bar *bar);
double cli_now_ms(void);
void cli_json_text(FILE *f, const char *s, size_t len); /* a JSON string with its quotes */
void cli_float(char buf[32], float v);                 /* the shortest text that reads back as v; never a comma */
int cli_close_output(FILE *f, const char *name);       /* flushes and checks: EXIT_OK or EXIT_FAILED after telling */

/* ---- input.c ---- */
struct cli_input { /* texts, in order; stdin is read in batches */
    const struct cli_options *options;
    size_t next_operand, line; /* of the operands; lines read */
    char *buffer;
    size_t capacity;
    bool from_stdin, ended;
};
struct cli_texts {
    gllm_str *list; /* pointers into `bytes` or the operands */
    size_t count, capacity;
    char *bytes;
    size_t used, room;
};
void cli_input_open(struct cli_input *in, const struct cli_options *o, size_t first_operand);
/* The next at most `limit` texts; count 0 at the end. EXIT_OK or EXIT_FAILED after telling. */
int cli_input_read(struct cli_input *in, size_t limit, struct cli_texts *out);
void cli_input_close(struct cli_input *in);
void cli_texts_free(struct cli_texts *t);

int verb_embed(const struct cli_verb *v, struct cli_options *o);
int verb_similar(const struct cli_verb *v, struct cli_options *o);
int verb_tokenize(const struct cli_verb *v, struct cli_options *o);
int verb_info(const struct cli_verb *v, struct cli_options *o);
int verb_bench(const struct cli_verb *v, struct cli_options *o);
int verb_doctor(const struct cli_verb *v, struct cli_options *o);
#endif
