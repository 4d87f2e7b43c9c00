/* jinja_impl.h - what the files of the template interpreter share: tokens, the tree, values, a run.
 *
 *   jinja_lex.c    source -> tokens            jinja_parse.c  tokens -> statements      jinja_expr.c  tokens -> expressions
 *   jinja_value.c  values, dicts, truth, order jinja_print.c  str(), repr(), tojson      jinja_string.c  strings and where their bytes come from
 *   jinja_eval.c   expressions                 jinja_ops.c    operators, subscripts      jinja_call.c  arguments, macros, global functions
 *   jinja_exec.c   statements, scopes, loops   jinja_methods.c  methods of str and dict  jinja_filters.c, jinja_seq.c filters  jinja_tests.c  tests
 *
 * Everything made while rendering lies in the run's arena and dies with it: no value is ever changed in place but namespaces, loops, and
 * generators that are read on. */
#ifndef GLLM_TEXT_JINJA_IMPL_H
#define GLLM_TEXT_JINJA_IMPL_H
#include <string.h>

#include "base/arena.h"
#include "text/jinja.h"

/* ---- tokens ---- */
enum jinja_token_kind { TOKEN_END, TOKEN_DATA, TOKEN_VAR_BEGIN, TOKEN_VAR_END, TOKEN_BLOCK_BEGIN, TOKEN_BLOCK_END, TOKEN_NAME, TOKEN_STRING, TOKEN_INT, TOKEN_FLOAT, TOKEN_OP };
#define JINJA_OP(a, b) ((a) | (b) << 8) /* an operator of one or two characters */
struct jinja_token {
    enum jinja_token_kind kind;
    uint32_t line;
    int op; /* TOKEN_OP */
    const char *text; /* DATA, NAME, STRING (unescaped) */
    size_t len;
    int64_t i;
    double f;
};
struct jinja_tokens { /* all-zero before jinja_lex */
    struct jinja_token *list; /* malloc; ends with TOKEN_END */
    size_t count, capacity;
};
/* `source` is UTF-8 whose line ends are all "\n"; token texts point into it or into the arena. */
gllm_status jinja_lex(const char *source, size_t len, struct arena *a, const char *name, struct jinja_tokens *out, gllm_error *err);

/* ---- values ---- */
struct jinja_str {
    const char *p;
    const uint8_t *from; /* [len] 1: the byte is the caller's; NULL: all are the template's */
    size_t len;
};
enum jinja_kind {
    JINJA_UNDEFINED, JINJA_NONE, JINJA_BOOL, JINJA_INT, JINJA_FLOAT, JINJA_STRING, JINJA_LIST, JINJA_DICT, JINJA_NAMESPACE,
    JINJA_MACRO, JINJA_METHOD, JINJA_GLOBAL, JINJA_LOOP, JINJA_CYCLER, JINJA_JOINER
};
struct jinja_value {
    uint8_t kind;   /* enum jinja_kind */
    bool caller;    /* a scalar or container that is, or was computed from, the caller's; strings know it for each byte */
    bool markup;    /* STRING: safe HTML, for `+` and the escape filter */
    union {
        bool b;
        int64_t i;
        double f;
        struct jinja_str s;         /* STRING; UNDEFINED: what is undefined, for messages */
        struct jinja_list *list;
        struct jinja_dict *dict;    /* DICT, NAMESPACE */
        struct jinja_macro *macro;
        struct jinja_method *method;
        const struct jinja_global *global;
        struct jinja_loop *loop;    /* LOOP */
        struct jinja_cycle *cycle;  /* CYCLER, JOINER */
    };
};
enum jinja_list_kind { LIST_PLAIN, LIST_TUPLE, LIST_RANGE /* see jinja_range */, LIST_KEYS, LIST_VALUES, LIST_ITEMS, LIST_GENERATOR /* no length, read once */ };
struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
    size_t at; /* GENERATOR: items before it were read */
    enum jinja_list_kind kind;
};
struct jinja_pair {
    struct jinja_value key, value;
};
struct jinja_dict { /* in order of insertion */
    struct jinja_pair *pairs;
    size_t count, capacity;
};

/* ---- the tree ---- */
enum jinja_node_kind {
    NODE_LITERAL, NODE_NAME, NODE_LIST, NODE_TUPLE, NODE_DICT, NODE_ATTR, NODE_ITEM, NODE_SLICE, NODE_CALL, NODE_FILTER, NODE_TEST, NODE_NOT,
    NODE_NEG, NODE_POS, NODE_BINARY, NODE_AND, NODE_OR, NODE_COMPARE, NODE_CONCAT, NODE_COND, NODE_STAR, NODE_STARSTAR, NODE_KEYWORD,
    NODE_TEXT, NODE_PRINT, NODE_FOR, NODE_IF, NODE_SET, NODE_SET_BLOCK, NODE_MACRO, NODE_CALL_BLOCK, NODE_FILTER_BLOCK, NODE_WITH, NODE_SCOPE,
    NODE_BREAK, NODE_CONTINUE
};
struct jinja_node {
    uint8_t kind; /* enum jinja_node_kind */
    uint32_t line;
    int op;       /* BINARY; an operand of COMPARE ('i' in, 'n' not in); MACRO, CALL_BLOCK: USES_*; IF: IF_ELIF */
    struct jinja_node *next; /* in a list */
    struct jinja_node *a, *b, *c; /* operands; FOR target, iterable, condition; IF condition; SET target (tuple: its items in args), value */
    struct jinja_node *args; /* items, pairs (key, value, …), operands of COMPARE and CONCAT, arguments, parameters */
    struct jinja_node *body, *other; /* statements */
    struct jinja_value v; /* LITERAL; the name of NAME, ATTR, FILTER, TEST, KEYWORD, MACRO; TEXT */
};
struct jinja {
    struct arena arena;
    const char *name;
    struct jinja_node *body;
};
enum { IF_ELIF = 1 }; /* `other` is an IF that goes on with this one */
enum { USES_VARARGS = 1, USES_KWARGS = 2, USES_CALLER = 4 }; /* names that a macro's body reads */
struct jinja_parser {
    struct arena *arena;
    const char *name;
    struct jinja_token *t; /* the current token */
    unsigned depth, loops; /* loops: of the innermost function, around this statement */
    int uses;              /* USES_*, by the innermost function so far */
    gllm_status status;
    gllm_error *err;
};
/* Each gives NULL after an error, which p->status has. */
struct jinja_node *jinja_node_new(struct jinja_parser *p, enum jinja_node_kind kind, uint32_t line);
struct jinja_node *jinja_parse_statements(struct jinja_parser *p);
enum { TUPLE_NO_COND = 1, TUPLE_TARGET = 2, TUPLE_NAMESPACE = 4, TUPLE_PARENTHESES = 8 };
struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, unsigned flags); /* TARGET: names only, up to `in` */
struct jinja_node *jinja_parse_expression(struct jinja_parser *p);
struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *first, bool inline_name);
bool jinja_parse_args(struct jinja_parser *p, struct jinja_node **args); /* from "(" on */
void *jinja_parse_fail(struct jinja_parser *p, const char *format, ...) GLLM_PRINTF(2, 3);
bool jinja_at_op(const struct jinja_parser *p, int op);
bool jinja_at_name(const struct jinja_parser *p, const char *name);
bool jinja_skip_op(struct jinja_parser *p, int op);
bool jinja_skip_name(struct jinja_parser *p, const char *name);
bool jinja_expect_op(struct jinja_parser *p, int op);
struct jinja_token *jinja_expect_name(struct jinja_parser *p);
bool jinja_enter(struct jinja_parser *p); /* one level deeper; p->depth-- on the way out */
const char *jinja_describe(const struct jinja_token *t, char room[64]);

/* ---- a run ---- */
struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_dict vars; /* keys are strings */
};
struct jinja_out {
    char *p;
    uint8_t *from;
    size_t len, capacity;
};
enum jinja_flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
struct jinja_run {
    const struct jinja *t;
    const struct tm *now;
    jinja_trust_fn trust;
    struct arena arena;
    struct jinja_scope *scope;
    struct jinja_out *out;
    struct jinja_out tail; /* what jinja_concat made last */
    enum jinja_flow flow;
    uint32_t line;
    unsigned depth;
    size_t steps, max_steps, memory, max_memory;
    gllm_error *err;
};
enum { JINJA_ANY_NUMBER = 1000 }; /* of arguments */
struct jinja_args { /* of one call, evaluated */
    struct jinja_value *list;
    size_t count;
    struct jinja_pair *named; /* keys are strings */
    size_t n_named;
};
struct jinja_macro {
    const struct jinja_node *node; /* MACRO or CALL_BLOCK: parameters and body */
    struct jinja_scope *scope;     /* where it was defined */
};
struct jinja_method {
    struct jinja_value self;
    struct jinja_str name;
};
typedef gllm_status (*jinja_global_fn)(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out);
struct jinja_global {
    const char *name;
    jinja_global_fn fn;
};
struct jinja_loop {
    struct jinja_list *list;
    size_t index;
    int64_t depth;
    struct jinja_value last_changed; /* loop.changed's arguments, a tuple; UNDEFINED: never called */
};
struct jinja_cycle {
    struct jinja_value *items;
    size_t count, at;
};

/* jinja_value.c */
gllm_status jinja_fail(struct jinja_run *r, const char *format, ...) GLLM_PRINTF(2, 3); /* GLLM_INVALID with name and line */
gllm_status jinja_fail_undefined(struct jinja_run *r, const struct jinja_value *v); /* '"NAME" is undefined' */
gllm_status jinja_alloc(struct jinja_run *r, size_t size, void **out); /* zeroed */
gllm_status jinja_charge(struct jinja_run *r, size_t steps);           /* the bound on time */
static inline struct jinja_value jinja_none(void) { return (struct jinja_value){.kind = JINJA_NONE}; }
static inline struct jinja_value jinja_bool(bool b, bool caller) { return (struct jinja_value){.kind = JINJA_BOOL, .caller = caller, .b = b}; }
static inline struct jinja_value jinja_int(int64_t i, bool caller) { return (struct jinja_value){.kind = JINJA_INT, .caller = caller, .i = i}; }
static inline struct jinja_value jinja_float(double f, bool caller) { return (struct jinja_value){.kind = JINJA_FLOAT, .caller = caller, .f = f}; }
static inline struct jinja_value jinja_string(struct jinja_str s) { return (struct jinja_value){.kind = JINJA_STRING, .s = s}; }
static inline struct jinja_str jinja_text_of(const char *s) { return (struct jinja_str){s, NULL, strlen(s)}; }
static inline struct jinja_value jinja_undefined(struct jinja_str what) { return (struct jinja_value){.kind = JINJA_UNDEFINED, .s = what}; }
static inline bool jinja_is(struct jinja_str s, const char *text) { return s.len == strlen(text) && !memcmp(s.p, text, s.len); }
static inline bool jinja_same_text(struct jinja_str a, struct jinja_str b) { return a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len)); }
#define JINJA_SHOWN(s) (int)((s).len < 300 ? (s).len : 300), (s).p /* for "%.*s" in a message */
const char *jinja_kind_name(const struct jinja_value *v); /* as Python calls the type; static */
bool jinja_caller(const struct jinja_value *v);           /* any part of it that shows is the caller's */
bool jinja_truth(const struct jinja_value *v);
gllm_status jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out);
gllm_status jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, const char *op, int *out); /* -1, 0, 1; 2: a NaN */
gllm_status jinja_length(struct jinja_run *r, const struct jinja_value *v, size_t *out);
gllm_status jinja_list_new(struct jinja_run *r, enum jinja_list_kind kind, size_t capacity, bool caller, struct jinja_value *out);
gllm_status jinja_list_add(struct jinja_run *r, struct jinja_list *l, const struct jinja_value *v);
gllm_status jinja_dict_new(struct jinja_run *r, bool caller, struct jinja_value *out);
gllm_status jinja_dict_get(struct jinja_run *r, const struct jinja_dict *d, const struct jinja_value *key, struct jinja_value **out); /* NULL: absent */
gllm_status jinja_dict_put(struct jinja_run *r, struct jinja_dict *d, const struct jinja_value *key, const struct jinja_value *v);
struct jinja_value *jinja_dict_text(struct jinja_run *r, const struct jinja_dict *d, struct jinja_str key); /* NULL: absent */
gllm_status jinja_from_json(struct jinja_run *r, const json_t *v, bool own, unsigned depth, struct jinja_value *out);
/* The items that iterating v gives: a list's own, a dict's keys, a string's characters. A generator is used up. */
gllm_status jinja_iterate(struct jinja_run *r, const struct jinja_value *v, struct jinja_list **out);

/* jinja_string.c */
void jinja_str_part(struct jinja_str s, size_t at, size_t len, struct jinja_str *out);
bool jinja_str_caller(struct jinja_str s);
gllm_status jinja_concat(struct jinja_run *r, struct jinja_str a, struct jinja_str b, struct jinja_str *out);
gllm_status jinja_out_add(struct jinja_run *r, struct jinja_out *o, struct jinja_str s);
gllm_status jinja_out_put(struct jinja_run *r, struct jinja_out *o, const char *s, size_t len, bool caller);
struct jinja_str jinja_out_str(const struct jinja_out *o);
size_t jinja_space(const char *s, size_t len);      /* bytes of the white space that s begins with: one character; 0: none */
size_t jinja_space_back(const char *s, size_t len); /* … that s ends with */
size_t jinja_char(const char *s, size_t len);       /* bytes of its first character; 1 at least unless len is 0 */
struct jinja_str jinja_strip(struct jinja_str s, const struct jinja_str *chars, bool left, bool right); /* chars NULL: white space */
size_t jinja_find(struct jinja_str s, struct jinja_str what, size_t at); /* SIZE_MAX: not there */
gllm_status jinja_replace(struct jinja_run *r, struct jinja_str s, struct jinja_str old, struct jinja_str to, int64_t count, struct jinja_str *out);
gllm_status jinja_map_case(struct jinja_run *r, struct jinja_str s, const char *how, struct jinja_str *out); /* "upper" "lower" "title" "capitalize" "swapcase" */
gllm_status jinja_escape(struct jinja_run *r, struct jinja_str s, struct jinja_str *out); /* for HTML */
gllm_status jinja_format(struct jinja_run *r, struct jinja_str format, const struct jinja_value *values, struct jinja_str *out); /* s % values */

/* jinja_print.c */
gllm_status jinja_str_of(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out);  /* str(v) */
gllm_status jinja_print(struct jinja_run *r, const struct jinja_value *v, bool repr, unsigned depth, struct jinja_out *out);
struct jinja_json_style {
    bool ascii, sort;
    const struct jinja_str *indent; /* NULL: one line */
    struct jinja_str item, key;     /* separators */
};
gllm_status jinja_json(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style, unsigned depth, struct jinja_out *out);
void jinja_float_text(double f, char room[40]); /* repr() */

/* jinja_eval.c, jinja_ops.c */
gllm_status jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out);
gllm_status jinja_binary(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b, struct jinja_value *out);
gllm_status jinja_compare(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b, bool *out);
gllm_status jinja_attr(struct jinja_run *r, const struct jinja_value *v, struct jinja_str name, struct jinja_value *out);
gllm_status jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key, struct jinja_value *out);
gllm_status jinja_slice(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *from, const struct jinja_value *to, const struct jinja_value *step, struct jinja_value *out);
gllm_status jinja_filters_run(struct jinja_run *r, const struct jinja_node *chain, const struct jinja_value *input, struct jinja_value *out);

/* jinja_call.c */
gllm_status jinja_args_eval(struct jinja_run *r, const struct jinja_node *list, struct jinja_args *out);
gllm_status jinja_call(struct jinja_run *r, const struct jinja_value *f, const struct jinja_args *args, struct jinja_value *out);
const struct jinja_global *jinja_global_find(struct jinja_str name);
/* Argument i by place or name; NULL: not given. */
const struct jinja_value *jinja_arg(const struct jinja_args *args, size_t i, const char *name);
bool jinja_arg_flag(const struct jinja_args *args, size_t i, const char *name); /* whether it is given and true */
/* Refuses more than `most` arguments and names that are not in the NULL-terminated list. */
gllm_status jinja_args_check(struct jinja_run *r, const struct jinja_args *args, const char *what, size_t least, size_t most, const char *const *names);
/* range(from, to, step) of n numbers; `from`, `to` and `step` lie behind the numbers, for repr. */
gllm_status jinja_range(struct jinja_run *r, int64_t from, int64_t to, int64_t step, size_t n, bool caller, struct jinja_value *out);
gllm_status jinja_arg_int(struct jinja_run *r, const struct jinja_value *v, const char *what, int64_t *out);

/* jinja_exec.c */
gllm_status jinja_exec(struct jinja_run *r, const struct jinja_node *list);
gllm_status jinja_assign(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v);
gllm_status jinja_set(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v); /* in the innermost scope */
gllm_status jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent);
/* Runs body in a scope of its own and gives what it printed. */
gllm_status jinja_capture(struct jinja_run *r, const struct jinja_node *body, struct jinja_str *out);

/* jinja_time.c */
gllm_status jinja_strftime(struct jinja_run *r, struct jinja_str format, struct jinja_out *out);

/* jinja_methods.c, jinja_filters.c, jinja_seq.c, jinja_tests.c */
bool jinja_method_known(const struct jinja_value *v, struct jinja_str name);
gllm_status jinja_method_call(struct jinja_run *r, const struct jinja_method *m, const struct jinja_args *args, struct jinja_value *out);
typedef gllm_status (*jinja_filter_fn)(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out);
struct jinja_filter {
    const char *name;
    jinja_filter_fn fn;
    size_t most;              /* arguments */
    const char *names[6];     /* of the arguments, in order, ended by NULL; none: they are the filter's business */
};
extern const struct jinja_filter JINJA_SEQ_FILTERS[]; /* ended by a NULL name */
bool jinja_filter_exists(struct jinja_str name);
gllm_status jinja_filter_call(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out);
gllm_status jinja_test_call(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v, const struct jinja_args *args, bool *out);
#endif
