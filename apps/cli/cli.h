/* cli.h - what the verbs share: options from one table, texts from arguments or standard input, and how things are told.
 *
 * The program uses gllm.h alone. Results go to standard output, everything else to standard error.
 * Functions that return int give an exit status: EXIT_OK, or another one after telling what is wrong. */
#ifndef GLLM_CLI_CLI_H
#define GLLM_CLI_CLI_H
#include <stdio.h>

#include "gllm.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SIGNAL = 128 }; /* 128 + signal: interrupted, 130 for Ctrl-C */

/* ---- options.c: THE option table, and its reading ---- */
enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char * */
    CLI_FIELD,  /* const char *; --name alone means "text", a value is given as --name=VALUE */
    CLI_FILE,   /* const char *, a path */
    CLI_MODEL,  /* const char *, a model; "" when the option stands alone */
    CLI_CHOICE, /* int, the place in `choices` */
    CLI_NAME,   /* const char *, one of `choices` */
    CLI_NUMBER, /* uint32_t from low to high; 0 when not given */
    CLI_REAL,   /* double above 0; 0 when not given */
    CLI_SHARE,  /* struct cli_share: a number from 0 to high */
    CLI_SIGNED, /* struct cli_share: a number from -high to high */
    CLI_LIST    /* struct cli_list: texts; the option may be given again */
};
struct cli_share {
    double value;
    bool given;
};
struct cli_list {
    const char **items; /* owned; the texts are borrowed */
    size_t count;
};
struct cli_option {
    char group;  /* the verbs that take it (cli_verb.groups); 'a': every verb; 's': sampling, which help only names */
    char letter; /* -l for --name; 0: none */
    const char *name;
    enum cli_kind kind;
    const char *value;   /* how help calls the value; NULL for a flag */
    const char *choices; /* separated by |, the default first; NULL: none */
    uint32_t low, high;
    size_t offset; /* in struct cli_options */
    const char *help;
};
extern const struct cli_option cli_table[]; /* ends with a NULL name */

struct cli_options {
    const char *backend, *out, *prompt, *prompt_name, *jsonl, *pair, *parity;
    const char *adapter;
    int format, normalize, pooling, output, truncate, precision, kv_cache;
    const char *system, *chat_template, *tools, *grammar, *json_schema;
    struct cli_list stop, template_args, logit_bias;
    uint32_t threads, dimensions, ctx, batch, length, seconds, max_tokens, top_k, seed, logprobs, prompt_tokens, gen, depth;
    double bound;
    struct cli_share temperature, top_p, min_p, typical_p, repetition_penalty, presence_penalty, frequency_penalty;
    uint32_t top_n;
    const char *instruction;
    bool raw, each, raw_scores, as_judge, local;
    const char *host, *key_file, *cors_origin; /* serve */
    uint32_t max_queue, max_body, max_items, max_connections, request_timeout, idle_timeout, drain_timeout, memory_budget, unload_after;
    struct cli_share port;
    bool public_bind, auto_truncate, pin, lazy;
    int log;
    const char *revision, *quant;
    bool json, exact, quiet, verbose, null, pieces, no_special, parse_special, decode, tensors, help;
    const char **operands; /* what is no option: MODEL, then texts; owned, freed by cli_options_free */
    size_t n_operands;
};
struct cli_verb {
    const char *name, *usage, *summary;
    const char *groups; /* of the option table */
    const char *examples;
    int (*run)(const struct cli_options *o);
    size_t min_operands, max_operands;
};
extern const struct cli_verb cli_verbs[]; /* main.c; ends with a NULL name */

bool cli_takes(const struct cli_verb *v, const struct cli_option *o);
int cli_options_parse(const struct cli_verb *v, int argc, char **argv, struct cli_options *o);
void cli_options_free(struct cli_options *o);
/* One option as if it were given with `value`, which is borrowed; NULL: as if it never were. */
int cli_option_set(const struct cli_option *o, const char *value, struct cli_options *out);
int cli_options_copy(const struct cli_options *o, struct cli_options *out); /* without operands; cli_options_free in any case */
/* Fills gllm_options from what every verb takes; the model is the first operand. */
void cli_model_options(const struct cli_options *o, gllm_options *out);
/* Which of `names` (NULL-terminated) a mistyped word was meant to be; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *names);

/* ---- help.c, man.c, complete.c: the same table told in other forms, on standard output ---- */
void cli_overview(FILE *f);
void cli_help(const struct cli_verb *v);
/* `text` folded at its spaces to the terminal's width (not at all when f is none) after `indent` columns that are written. */
void cli_wrap(FILE *f, const char *text, unsigned indent);
void cli_option_text(const struct cli_option *o, char *out, size_t size); /* what it does, and its choices */
void cli_man(void);
int cli_completion(const char *shell);

/* ---- tell.c ---- */
int cli_fail(const gllm_error *err); /* "gllm: message"; EXIT_FAILED, or 128 + signal when that canceled it */
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "gllm: …"; EXIT_FAILED */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same with EXIT_USAGE */
int cli_no_memory(void);
void cli_note(const struct cli_options *o, const char *format, ...) __attribute__((format(printf, 2, 3))); /* unless --quiet */
void cli_catch_signals(void); /* SIGINT, SIGTERM and SIGHUP are noted, the second one kills */
int cli_interrupted(void);    /* 128 + signal, or 0 */
/* A conversation lives on after Ctrl-C: from the first call on SIGINT never kills, and one that came is forgotten. Others stay. */
void cli_forget_interrupt(void);
unsigned cli_columns(FILE *f); /* of the terminal; 0 when it is none */
enum cli_style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_BAD, STYLE_DIM };
/* The escape sequence that starts a style, "" when f is no terminal, TERM is dumb or NO_COLOR is set. Static. */
const char *cli_style(FILE *f, enum cli_style style);
double cli_now_ms(void);
void cli_json_text(FILE *f, const char *s); /* a JSON string with its quotes */
void cli_json_bytes(FILE *f, const char *s, size_t len);
void cli_float(char buf[32], float v); /* the shortest text that reads back as v; never a comma */
int cli_flush(FILE *f, const char *name);

/* ---- bar.c: progress on a terminal, once the work has taken half a second ---- */
struct cli_bar {
    const struct cli_options *options;
    const char *what;
    size_t base;     /* done in earlier batches */
    double from, to; /* share of the input before and after this batch; to < 0: not known */
    double start_ms, shown_ms;
    bool shown;
};
bool cli_progress(void *bar, size_t done, size_t total); /* a gllm_progress_fn */
void cli_bar_clear(struct cli_bar *bar);
/* The line itself: what was done, how fast, and after `share` of it (0: not known) in so many seconds how long it will take. */
void cli_bar_show(const char *done, const char *rate, double share, double seconds, unsigned columns);

/* ---- pull.c: models that are fetched, by name or when they are opened ---- */
struct cli_fetch {
    const struct cli_options *options;
    double start_ms, shown_ms;
    uint64_t first_bytes, told; /* what was there at first; tenths that a file or pipe was told of */
    bool begun, shown;
    char repo[128];
};
bool cli_fetch_progress(void *fetch, const gllm_pull_state *s); /* a gllm_pull_fn */
void cli_fetch_clear(struct cli_fetch *f);
/* For gllm_options, in every verb that opens a model: the bar, and what to say when it is stopped. One at a time. */
void cli_fetch_options(const struct cli_options *o, gllm_options *out);

/* ---- input.c ---- */
struct cli_input { /* texts, in order; standard input is read in batches */
    const struct cli_options *options;
    size_t next_operand, line; /* of the operands; lines (or texts, with -0) read */
    char *buffer;
    size_t capacity;
    uint64_t bytes, total_bytes; /* of a file on standard input; total 0: not known */
    bool from_stdin, by_line;    /* by_line: a person types, so each line is answered */
    size_t batch;                /* texts of the next cli_input_batch */
};
struct cli_texts {
    gllm_str *list; /* pointers into `bytes` */
    size_t count, capacity;
    char *bytes;
    size_t used, room;
};
int cli_input_open(struct cli_input *in, const struct cli_options *o, size_t first_operand);
/* The next at most `limit` texts, less when they are long; count 0 at the end. */
int cli_input_read(struct cli_input *in, size_t limit, struct cli_texts *out);
/* The next batch, and its share of the input to the bar. Batches double: an early first answer, then large ones. */
enum { CLI_FIRST_BATCH = 64, CLI_LAST_BATCH = 4096 };
int cli_input_batch(struct cli_input *in, struct cli_bar *bar, struct cli_texts *out);
double cli_input_share(const struct cli_input *in); /* read so far, 0 to 1; negative: not known */
void cli_input_close(struct cli_input *in);
void cli_texts_free(struct cli_texts *t);
/* All of a file (NULL: standard input), NUL-terminated; owned (free), also after an error. */
int cli_read_all(const char *path, char **out, size_t *len);

/* ---- writer.c: vectors in the forms of --format ---- */
enum cli_format { FORMAT_TEXT, FORMAT_NPY, FORMAT_F32, FORMAT_JSONL, FORMAT_OPENAI };
struct cli_writer {
    FILE *f;
    const char *name;
    char *target, *temporary; /* the file, and what is renamed to it at the end; NULL: written directly */
    bool to_file;             /* --out, not standard output */
    bool copied;              /* f is a scratch file that is copied to its place at the end */
    enum cli_format format;
    size_t rows, dim;
    unsigned long long tokens;
};
int cli_writer_open(struct cli_writer *w, const struct cli_options *o);
int cli_writer_add(struct cli_writer *w, const gllm_embeddings *e);
/* Ends the output: whole when `status` is EXIT_OK, else a file of --out is not made. Gives `status`, or what went wrong here. */
int cli_writer_close(struct cli_writer *w, const char *model, int status);

/* ---- request.c: a generation from the options ---- */
struct cli_request {
    gllm_generate_request r; /* its prompt or messages and its callback are the caller's to fill */
    gllm_str *stop;
    gllm_logit_bias *bias;
    char *args, *template, *tools, *form;
};
int cli_request_open(struct cli_request *q, const struct cli_options *o); /* cli_request_close in any case */
void cli_request_close(struct cli_request *q);

/* ---- printer.c: an answer as it comes, on standard output ----
 * To a file or pipe: its bytes. On a terminal control characters show as pictures, since nobody vouches for what a model writes, and
 * what stands between <think> and </think> is dim. */
struct cli_printer {
    bool terminal, dim;
    char held[8]; /* the beginning of a mark */
    size_t n_held, shown; /* shown: bytes of the answer */
    char last; /* byte written; 0: none */
};
/* `prompt`: the text that the answer goes on from, which may have opened <think>; ptr NULL: none. */
void cli_printer_begin(struct cli_printer *p, gllm_str prompt);
bool cli_printer_add(struct cli_printer *p, const char *text, size_t len); /* false: the output is broken */
void cli_printer_end(struct cli_printer *p);
void cli_put_safe(const char *s, size_t len); /* to standard output, control characters as pictures: U+2400 + c for C0, U+FFFD for U+0080 to U+009F */

/* ---- completion_json.c: the bodies that OpenAI's routes answer with ---- */
int cli_print_completion(gllm_client *client, const gllm_completion *c, bool chat);

/* ---- line.c: lines from a person, with editing and history where libedit is ---- */
struct cli_line;
enum cli_line_end { LINE_TEXT, LINE_INTERRUPTED, LINE_END }; /* a line; Ctrl-C; Ctrl-D, or the input is at its end */
int cli_line_open(struct cli_line **out, const char *history); /* history: a file, mode 0600, one line each; NULL: none */
/* *text is borrowed until the next call, without its newline; NULL unless LINE_TEXT. *empty: Ctrl-C on an empty line. */
enum cli_line_end cli_line_read(struct cli_line *l, const char *prompt, const char **text, bool *empty);
void cli_line_remember(struct cli_line *l, const char *text); /* in the history, at once in its file */
void cli_line_close(struct cli_line *l); /* NULL ok */

/* ---- run.c ---- */
/* What there is to say after an answer: a full context, and with --verbose tokens and speed. */
void cli_tell_answer(const struct cli_options *o, const gllm_completion *c);
int cli_chat_fail(const gllm_error *err); /* cli_fail, with what helps a model that has no chat template */

/* ---- conversation.c: run on a terminal; commands.c: its /commands ---- */
struct talk_message {
    char *role, *content, *extra; /* owned; extra as gllm_message has it, or NULL */
    size_t len;
    bool partial; /* the answer was stopped */
};
struct talk {
    gllm_client *client;
    const char *model;
    FILE *out; /* where commands answer: the terminal */
    struct cli_options options; /* as /set left them */
    char **kept;                /* [n_kept] texts that options borrow, owned */
    size_t n_kept;
    struct talk_message *list; /* [count] the system message, if any, first */
    size_t count, room, from;  /* from: the first message after the system's that still fits the context */
    int32_t *seen;             /* [n_seen] tokens of the last prompt and answer */
    size_t n_seen;
    uint32_t n_ctx, used, tries; /* used: tokens of the context; tries: /retry since the last question */
};
int cli_conversation(gllm_client *client, const struct cli_options *o);
size_t talk_start(const struct talk *t); /* 1 with a system message, else 0 */
int talk_add(struct talk *t, const char *role, const char *content, size_t len, const char *extra);
void talk_cut(struct talk *t, size_t count);              /* forgets the messages from `count` on */
int talk_system(struct talk *t, const char *text);        /* sets it; "" takes it away */
int talk_answer(struct talk *t);                          /* the next message of the model; EXIT_OK also when it was stopped */
int talk_keep(struct talk *t, const char *text, const char **out); /* a copy that lives as long as the conversation */
void talk_command(struct talk *t, char *line, bool *leave); /* "/name rest"; *leave: the conversation is over */

/* ---- the verbs ---- */
int verb_embed(const struct cli_options *o);
int verb_rerank(const struct cli_options *o);
int verb_classify(const struct cli_options *o);
int verb_models(const struct cli_options *o);
int verb_pull(const struct cli_options *o);
int verb_rm(const struct cli_options *o);
int verb_similar(const struct cli_options *o);
int verb_tokenize(const struct cli_options *o);
int verb_info(const struct cli_options *o);
int verb_bench(const struct cli_options *o);
int verb_doctor(const struct cli_options *o);
int verb_run(const struct cli_options *o);
int verb_serve(const struct cli_options *o);
int verb_perplexity(const struct cli_options *o);
int cli_bench_generate(const struct cli_options *o, const gllm_model_info *info); /* bench of a generator */
int cli_parity(const struct cli_options *o); /* doctor --parity MODEL */
int cli_families(const struct cli_options *o); /* doctor --parity: the families of models and the values that they are held to */
#endif
