/* jinja_eval.c - the value of an expression. */
#include "text/jinja_impl.h"

static gllm_status name(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    for (const struct jinja_scope *s = r->scope; s; s = s->parent) {
        const struct jinja_value *v = jinja_dict_text(r, &s->vars, n->v.s);
        if (!v) continue;
        *out = *v;
        return GLLM_OK;
    }
    const struct jinja_global *g = jinja_global_find(n->v.s);
    *out = g ? (struct jinja_value){.kind = JINJA_GLOBAL, .global = g} : jinja_undefined(n->v.s);
    return GLLM_OK;
}

static gllm_status items(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    TRY(jinja_list_new(r, n->kind == NODE_TUPLE ? LIST_TUPLE : LIST_PLAIN, 0, false, out));
    for (const struct jinja_node *i = n->args; i; i = i->next) {
        struct jinja_value v;
        TRY(jinja_eval(r, i, &v));
        TRY(jinja_list_add(r, out->list, &v));
    }
    return GLLM_OK;
}

static gllm_status dict(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    TRY(jinja_dict_new(r, false, out));
    for (const struct jinja_node *i = n->args; i; i = i->next->next) {
        struct jinja_value k, v;
        TRY(jinja_eval(r, i, &k));
        TRY(jinja_eval(r, i->next, &v));
        TRY(jinja_dict_put(r, out->dict, &k, &v));
    }
    return GLLM_OK;
}

static gllm_status item(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value of, part[3];
    const struct jinja_node *const nodes[] = {n->b->a, n->b->b, n->b->c};
    TRY(jinja_eval(r, n->a, &of));
    if (n->b->kind != NODE_SLICE) {
        TRY(jinja_eval(r, n->b, part));
        return jinja_item(r, &of, part, out);
    }
    for (unsigned i = 0; i < 3; i++)
        if (nodes[i]) TRY(jinja_eval(r, nodes[i], &part[i]));
    return jinja_slice(r, &of, nodes[0] ? &part[0] : NULL, nodes[1] ? &part[1] : NULL, nodes[2] ? &part[2] : NULL, out);
}

static gllm_status unary(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value v;
    TRY(jinja_eval(r, n->a, &v));
    if (n->kind == NODE_NOT) {
        bool truth;
        truth = jinja_truth(&v);
        *out = jinja_bool(!truth, v.caller);
        return GLLM_OK;
    }
    const struct jinja_value zero = jinja_int(0, false);
    if (v.kind == JINJA_FLOAT) {
        *out = jinja_float(n->kind == NODE_NEG ? -v.f : v.f, v.caller);
        return GLLM_OK;
    }
    if (v.kind != JINJA_INT && v.kind != JINJA_BOOL && v.kind != JINJA_UNDEFINED) return jinja_fail(r, "the sign of a %s", jinja_kind_name(&v));
    return jinja_binary(r, n->kind == NODE_NEG ? '-' : '+', &zero, &v, out);
}

static gllm_status compare(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value a, b;
    bool holds = true, caller;
    TRY(jinja_eval(r, n->a, &a));
    caller = a.caller;
    for (const struct jinja_node *i = n->args; i && holds; i = i->next) {
        TRY(jinja_eval(r, i->a, &b));
        TRY(jinja_compare(r, i->op, &a, &b, &holds));
        caller |= b.caller;
        a = b;
    }
    *out = jinja_bool(holds, caller);
    return GLLM_OK;
}

static gllm_status concat(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_out o = {0};
    for (const struct jinja_node *i = n->args; i; i = i->next) {
        struct jinja_value v;
        TRY(jinja_eval(r, i, &v));
        TRY(jinja_print(r, &v, false, 0, &o));
    }
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

static gllm_status choice(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value v;
    bool truth;
    TRY(jinja_eval(r, n->a, &v));
    truth = jinja_truth(&v);
    if (truth) return jinja_eval(r, n->b, out);
    if (n->c) return jinja_eval(r, n->c, out);
    *out = jinja_undefined(jinja_text_of("an \"if\" without \"else\" that does not hold"));
    return GLLM_OK;
}

static gllm_status and_or(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    bool truth;
    TRY(jinja_eval(r, n->a, out));
    truth = jinja_truth(out);
    return truth == (n->kind == NODE_AND) ? jinja_eval(r, n->b, out) : GLLM_OK;
}

static gllm_status call(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value f;
    struct jinja_args args;
    TRY(jinja_eval(r, n->a, &f));
    TRY(jinja_args_eval(r, n->args, &args));
    r->line = n->line;
    return jinja_call(r, &f, &args, out);
}

static gllm_status test(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value v;
    struct jinja_args args;
    bool holds;
    TRY(jinja_eval(r, n->a, &v));
    TRY(jinja_args_eval(r, n->args, &args));
    TRY(jinja_test_call(r, n->v.s, &v, &args, &holds));
    *out = jinja_bool(holds, v.caller);
    return GLLM_OK;
}

/* r->depth-- on the way out; a run that failed goes no further. */
static gllm_status deeper(struct jinja_run *r) {
    if (r->depth >= JINJA_MAX_CALLS) return jinja_fail(r, "more than %d evaluations stand within each other", JINJA_MAX_CALLS);
    r->depth++;
    return GLLM_OK;
}

gllm_status jinja_filters_run(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *input, struct jinja_value *out) {
    struct jinja_value v = {0};
    struct jinja_args args;
    TRY(deeper(r));
    if (!n->a) v = *input; /* a filter block's own text */
    else if (n->a->kind == NODE_FILTER) TRY(jinja_filters_run(r, n->a, input, &v));
    else TRY(jinja_eval(r, n->a, &v));
    TRY(jinja_args_eval(r, n->args, &args));
    r->depth--;
    r->line = n->line;
    return jinja_filter_call(r, n->v.s, &v, &args, out);
}

static gllm_status eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value a, b;
    switch (n->kind) {
    case NODE_LITERAL: *out = n->v; return GLLM_OK;
    case NODE_NAME: return name(r, n, out);
    case NODE_LIST:
    case NODE_TUPLE: return items(r, n, out);
    case NODE_DICT: return dict(r, n, out);
    case NODE_ATTR: TRY(jinja_eval(r, n->a, &a)); return jinja_attr(r, &a, n->v.s, out);
    case NODE_ITEM: return item(r, n, out);
    case NODE_CALL: return call(r, n, out);
    case NODE_FILTER: return jinja_filters_run(r, n, NULL, out);
    case NODE_TEST: return test(r, n, out);
    case NODE_NOT:
    case NODE_NEG:
    case NODE_POS: return unary(r, n, out);
    case NODE_BINARY:
        TRY(jinja_eval(r, n->a, &a));
        TRY(jinja_eval(r, n->b, &b));
        r->line = n->line;
        return jinja_binary(r, n->op, &a, &b, out);
    case NODE_AND:
    case NODE_OR: return and_or(r, n, out);
    case NODE_COMPARE: return compare(r, n, out);
    case NODE_CONCAT: return concat(r, n, out);
    case NODE_COND: return choice(r, n, out);
    default: return jinja_fail(r, "a slice stands where only a subscript may have one");
    }
}

gllm_status jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    r->line = n->line;
    TRY(jinja_charge(r, 1));
    TRY(deeper(r));
    gllm_status status = eval(r, n, out);
    r->depth--;
    return status;
}
