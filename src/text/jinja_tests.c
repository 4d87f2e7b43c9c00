/* jinja_tests.c - what stands behind "is". */
#include "text/jinja_impl.h"

typedef gllm_status (*test_fn)(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out);

enum kind_test { IS_DEFINED, IS_UNDEFINED, IS_NONE, IS_BOOLEAN, IS_TRUE, IS_FALSE, IS_INTEGER, IS_FLOAT, IS_NUMBER, IS_STRING, IS_MAPPING, IS_SEQUENCE, IS_ITERABLE, IS_CALLABLE, IS_ESCAPED };

static gllm_status of_kind(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    const bool list = v->kind == JINJA_LIST, indexed = list && v->list->kind <= LIST_RANGE;
    (void)r, (void)args;
    switch ((enum kind_test)op) {
    case IS_DEFINED: *out = v->kind != JINJA_UNDEFINED; break;
    case IS_UNDEFINED: *out = v->kind == JINJA_UNDEFINED; break;
    case IS_NONE: *out = v->kind == JINJA_NONE; break;
    case IS_BOOLEAN: *out = v->kind == JINJA_BOOL; break;
    case IS_TRUE: *out = v->kind == JINJA_BOOL && v->b; break;
    case IS_FALSE: *out = v->kind == JINJA_BOOL && !v->b; break;
    case IS_INTEGER: *out = v->kind == JINJA_INT; break;
    case IS_FLOAT: *out = v->kind == JINJA_FLOAT; break;
    case IS_NUMBER: *out = v->kind == JINJA_INT || v->kind == JINJA_FLOAT || v->kind == JINJA_BOOL; break;
    case IS_STRING: *out = v->kind == JINJA_STRING; break;
    case IS_MAPPING: *out = v->kind == JINJA_DICT; break;
    case IS_SEQUENCE: *out = v->kind == JINJA_STRING || v->kind == JINJA_DICT || v->kind == JINJA_UNDEFINED || indexed; break;
    case IS_ITERABLE: *out = v->kind == JINJA_STRING || v->kind == JINJA_DICT || v->kind == JINJA_UNDEFINED || list || v->kind == JINJA_LOOP; break;
    case IS_CALLABLE: *out = v->kind == JINJA_MACRO || v->kind == JINJA_METHOD || v->kind == JINJA_GLOBAL || v->kind == JINJA_JOINER || v->kind == JINJA_LOOP || v->kind == JINJA_UNDEFINED; break;
    case IS_ESCAPED: *out = v->kind == JINJA_STRING && v->markup; break;
    }
    return GLLM_OK;
}

static gllm_status compared(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    return jinja_compare(r, op, v, &args->list[0], out);
}

/* even, odd, divisibleby: v % n == op */
static gllm_status divided(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    const struct jinja_value two = jinja_int(2, false), rest = jinja_int(op, false);
    struct jinja_value mod;
    TRY(jinja_binary(r, '%', v, args->count ? &args->list[0] : &two, &mod));
    return jinja_equal(r, &mod, &rest, out);
}

static gllm_status cased(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    struct jinja_method m = {jinja_string(jinja_text_of("")), jinja_text_of(op ? "isupper" : "islower")};
    struct jinja_value is;
    (void)args;
    TRY(jinja_str_of(r, v, &m.self.s));
    TRY(jinja_method_call(r, &m, &(struct jinja_args){0}, &is));
    *out = is.b;
    return GLLM_OK;
}

static gllm_status same(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    const struct jinja_value *w = &args->list[0];
    (void)op;
    *out = false;
    if (v->kind != w->kind) return GLLM_OK;
    if (v->kind == JINJA_LIST || v->kind == JINJA_DICT) {
        *out = v->list == w->list;
        return GLLM_OK;
    }
    return jinja_equal(r, v, w, out);
}

/* filter (op 0), test: whether there is one of that name */
static gllm_status named(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out);

static const struct test {
    const char *name;
    test_fn fn;
    int op;
    unsigned n_args;
} TESTS[] = {
    {"defined", of_kind, IS_DEFINED, 0}, {"undefined", of_kind, IS_UNDEFINED, 0}, {"none", of_kind, IS_NONE, 0}, {"boolean", of_kind, IS_BOOLEAN, 0}, {"true", of_kind, IS_TRUE, 0},
    {"false", of_kind, IS_FALSE, 0}, {"integer", of_kind, IS_INTEGER, 0}, {"float", of_kind, IS_FLOAT, 0}, {"number", of_kind, IS_NUMBER, 0}, {"string", of_kind, IS_STRING, 0},
    {"mapping", of_kind, IS_MAPPING, 0}, {"sequence", of_kind, IS_SEQUENCE, 0}, {"iterable", of_kind, IS_ITERABLE, 0}, {"callable", of_kind, IS_CALLABLE, 0}, {"escaped", of_kind, IS_ESCAPED, 0},
    {"eq", compared, JINJA_OP('=', '='), 1}, {"equalto", compared, JINJA_OP('=', '='), 1}, {"==", compared, JINJA_OP('=', '='), 1}, {"ne", compared, JINJA_OP('!', '='), 1},
    {"!=", compared, JINJA_OP('!', '='), 1}, {"gt", compared, '>', 1}, {"greaterthan", compared, '>', 1}, {">", compared, '>', 1}, {"ge", compared, JINJA_OP('>', '='), 1},
    {">=", compared, JINJA_OP('>', '='), 1}, {"lt", compared, '<', 1}, {"lessthan", compared, '<', 1}, {"<", compared, '<', 1}, {"le", compared, JINJA_OP('<', '='), 1},
    {"<=", compared, JINJA_OP('<', '='), 1}, {"in", compared, 'i', 1}, {"even", divided, 0, 0}, {"odd", divided, 1, 0}, {"divisibleby", divided, 0, 1}, {"upper", cased, 1, 0},
    {"lower", cased, 0, 0}, {"sameas", same, 0, 1}, {"filter", named, 0, 0}, {"test", named, 1, 0},
};
enum { N_TESTS = sizeof TESTS / sizeof *TESTS };

static const struct test *find_test(struct jinja_str name) {
    for (unsigned i = 0; i < N_TESTS; i++)
        if (jinja_is(name, TESTS[i].name)) return &TESTS[i];
    return NULL;
}

static gllm_status named(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, int op, bool *out) {
    (void)args;
    if (v->kind == JINJA_LIST || v->kind == JINJA_DICT) return jinja_fail(r, "%s: found %s, expected a name", op ? "test" : "filter", jinja_kind_name(v));
    *out = v->kind == JINJA_STRING && (op ? find_test(v->s) != NULL : jinja_filter_exists(v->s));
    return GLLM_OK;
}

gllm_status jinja_test_call(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v, const struct jinja_args *args, bool *out) {
    const struct test *t = find_test(name);
    if (!t) return jinja_fail(r, "found the test \"%.*s\", which does not exist", JINJA_SHOWN(name));
    TRY(jinja_args_check(r, args, t->name, t->n_args, t->n_args, NULL));
    return t->fn(r, v, args, t->op, out);
}
