/* grammar.h - a context-free grammar as data, and its compiled form.
 *
 * `struct rules` is a grammar while it is written: named rules whose bodies are trees of expressions. grammar_compile makes of it a recursive
 * transition network over bytes: each rule is a small nondeterministic automaton of "places", a place reads one character (by a byte automaton
 * shared by all uses of the same class), calls a rule, or branches. Counted repetitions are written out, so that a grammar's size is known
 * before anything runs. A grammar is read-only afterwards and may be used by any number of threads.
 *
 * Refused, by the rule's name: a rule that is called and not defined, one that begins with itself (left recursion, also behind what may be
 * empty), one that can never end, and a grammar that is too large. Rules that the root does not reach are left out and can be asked for. */
#ifndef GLLM_TEXT_GRAMMAR_H
#define GLLM_TEXT_GRAMMAR_H
#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"

enum {
    GRAMMAR_MAX_PLACES = 1 << 18, /* with repetitions written out */
    GRAMMAR_MAX_RULES = 1 << 15,
    GRAMMAR_MAX_EXPRS = 1 << 19,
    GRAMMAR_MAX_CHARS = 1 << 14   /* states of the byte automata of all character classes */
};
#define EXPR_FOREVER UINT32_MAX

struct char_range { /* Unicode scalar values, both ends included */
    uint32_t from, to;
};
enum expr_kind { EXPR_TEXT, EXPR_CHARS, EXPR_CALL, EXPR_SEQ, EXPR_ALT, EXPR_REPEAT };
struct expr { /* a node of one tree; lies in the arena of its rules */
    enum expr_kind kind;
    struct expr *parent, *before, *last; /* before: the sibling; last: of the children */
    uint32_t n;                 /* TEXT: bytes; CHARS: ranges; SEQ, ALT, REPEAT: children */
    uint32_t min, max;          /* REPEAT */
    uint32_t rule, owner;       /* CALL: the rule called; of a body: the rule that it defines */
    const char *text;           /* TEXT */
    struct char_range *ranges;  /* CHARS: sorted, apart from each other, without surrogates */
    struct expr *next_call;     /* CALL: the list of a rule's calls */
    uint32_t waiting;           /* used by grammar_compile */
    uint8_t known;
};
struct rule {
    const char *name;
    size_t name_len;
    struct expr *body, *calls; /* body NULL: not defined */
};
struct rules { /* all-zero at first; rules_free at last */
    struct arena arena;
    struct map names;
    struct rule *list;
    uint32_t n, room;
    uint32_t n_exprs;           /* and their texts and ranges, by 64 bytes */
    bool failed; /* memory ran out, or a limit is passed (too_large): what was built since is not whole */
    bool too_large;
};
gllm_status rules_check(const struct rules *r, gllm_error *err); /* what `failed` means */
uint32_t rules_name(struct rules *r, const char *name, size_t len); /* the rule of this name, made when there is none */
void rules_define(struct rules *r, uint32_t rule, struct expr *body); /* body moves into the rule */
void rules_free(struct rules *r);

/* Every expression has one place in one tree, which is walked by recursion: whoever builds it bounds its depth. NULL (memory ran out, `failed` is set) may be handed on. */
struct expr *expr_text(struct rules *r, const char *text, size_t len); /* exactly these bytes: whole UTF-8 characters */
struct expr *expr_chars(struct rules *r, const struct char_range *ranges, size_t n, bool negate); /* one character; n == 0 in the answer: none fits */
struct expr *expr_call(struct rules *r, uint32_t rule);
struct expr *expr_seq(struct rules *r); /* empty: the empty text */
struct expr *expr_alt(struct rules *r); /* empty: no text at all */
struct expr *expr_add(struct rules *r, struct expr *list, struct expr *item); /* appends to a SEQ or ALT, which it returns */
struct expr *expr_repeat(struct rules *r, struct expr *item, uint32_t min, uint32_t max); /* max EXPR_FOREVER: without end */

/* ---- compiled ---- */
enum place_kind { PLACE_CHAR, PLACE_CALL, PLACE_SPLIT, PLACE_END, PLACE_ACCEPT };
struct place {
    uint32_t kind : 3, arg : 29; /* CHAR: first state of its class; CALL: rank of the rule; SPLIT: the other way on */
    uint32_t next;
};
enum { CHARS_DEAD, CHARS_DONE }; /* states of the byte automata; others go on */
struct grammar {
    struct arena arena;
    struct place *places;
    uint32_t n_places, accept; /* accept: the place after the root */
    uint32_t n_rules;          /* by rank: a rule begins with calls of higher ranks only */
    uint32_t *starts;          /* [n_rules] */
    bool *nullable;            /* [n_rules] may be empty */
    uint32_t root;             /* its rank */
    uint8_t byte_class[256];   /* bytes that no class tells apart */
    uint32_t n_classes, n_chars;
    uint16_t *chars;           /* [n_chars, n_classes] next state */
    const char **unused;       /* [n_unused] names of rules that the root does not reach */
    uint32_t n_unused;
};
/* GLLM_INVALID names the rule and what is wrong; GLLM_NOMEM. `rules` is only read, but for marks; it may be freed afterwards. */
gllm_status grammar_compile(struct grammar **out, struct rules *rules, const char *root, gllm_error *err);
void grammar_close(struct grammar *g); /* NULL ok */

/* chars.c: the byte automata while they are built */
struct chars {
    uint16_t (*next)[256];
    uint32_t n, room;
    uint16_t any[4]; /* state before n continuation bytes of any value; 0: not made yet */
    uint16_t bytes[256]; /* first state of one byte alone; likewise */
    struct map classes; /* ranges -> first state */
};
gllm_status chars_byte(struct chars *c, unsigned char byte, uint32_t *state, gllm_error *err);
gllm_status chars_class(struct chars *c, const struct char_range *ranges, size_t n, uint32_t *state, gllm_error *err); /* ranges live as long as c */
gllm_status chars_finish(const struct chars *c, struct grammar *g, gllm_error *err); /* writes byte_class, chars and their sizes */
void chars_free(struct chars *c);
#endif
