/* jinja.h - the part of the Jinja language that chat templates use, as jinja2's sandbox runs it for transformers (trim_blocks, lstrip_blocks,
 * loop controls, {% generation %}, its tojson, raise_exception, strftime_now, namespace and dict).
 *
 * A template is code from a stranger: it has no access to anything but the values given to it, and its steps, memory, output and depth are
 * bounded (JINJA_MAX_*; the bounds grow with the size of the input). Every byte of the output knows whether it came from the template or
 * from the caller's values; what is computed from both counts as the caller's.
 * Refused by name: include, import, extends, block, autoescape, recursive loops.
 * Differences from jinja2: integers are 64 bits (an overflow is an error), filters that give generators compute them at once, an unknown
 * filter is an error only when it is reached. Reference: jinja2 3.1.6, CPython for strings, numbers and their printed forms. */
#ifndef GLLM_TEXT_JINJA_H
#define GLLM_TEXT_JINJA_H
#include <time.h>

#include "base/json.h"
#include "text/span.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum { JINJA_MAX_STEPS = 1 << 14 }; /* libFuzzer's builds: many short runs */
#else
enum { JINJA_MAX_STEPS = 4 << 20 }; /* evaluations and 32-byte stretches of text touched, plus JINJA_STEPS_PER_BYTE for each byte of input */
#endif
enum {
    JINJA_MAX_SOURCE = 256 << 10, /* bytes of a template */
    JINJA_MAX_DEPTH = 200,        /* of nested expressions, statements and values */
    JINJA_MAX_CALLS = 600,        /* of nested evaluations: macros that call themselves */
    JINJA_MAX_RANGE = 100000,     /* numbers of a range(), as jinja2's sandbox has it */
    JINJA_MAX_MEMORY = 32 << 20,  /* bytes of values made while rendering, plus JINJA_MEMORY_PER_BYTE for each byte of input */
    JINJA_STEPS_PER_BYTE = 8,
    JINJA_MEMORY_PER_BYTE = 24
};

struct jinja; /* a parsed template; rendering only reads it, so that any number of threads may */
/* `name` is how messages call it, copied. GLLM_FORMAT: "NAME: line N: …" for what is no template; GLLM_UNSUPPORTED for statements that are
 * refused by name. The source is copied. */
gllm_status jinja_open(struct jinja **out, const char *source, size_t len, const char *name, gllm_error *err);
void jinja_close(struct jinja *t); /* NULL ok */

struct jinja_var {
    const char *name;
    const json_t *value; /* borrowed; integers stay integers (JSON_INTEGER) */
    bool own;            /* the template's own (a token's spelling), not the caller's */
};
/* Strings inside the caller's objects that may count as the template's: the value of `key`, asked for each. */
typedef bool (*jinja_trust_fn)(const char *key, const char *text, size_t len);
struct jinja_input {
    const struct jinja_var *vars; /* [n_vars] a later one of the same name wins */
    size_t n_vars;
    jinja_trust_fn trust; /* NULL: none */
    struct tm now;        /* what strftime_now shows */
};
struct jinja_text { /* owned by the caller: jinja_text_free */
    char *data; /* NUL-terminated beyond len */
    size_t len;
    struct text_span *caller; /* [n_caller] the bytes that came from the caller, in order, apart from each other */
    size_t n_caller;
};
/* GLLM_INVALID: "NAME: line N: …" for what the template or its values do wrong, raise_exception's message among them, and for a bound
 * that is reached; GLLM_NOMEM. *out is all-zero after an error. */
gllm_status jinja_render(const struct jinja *t, const struct jinja_input *in, struct jinja_text *out, gllm_error *err);
void jinja_text_free(struct jinja_text *t);
#endif
