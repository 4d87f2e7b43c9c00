/* jinja_exec.c - statements, the scopes of names, and a run from begin to end. */
#include <stdlib.h>

#include "text/jinja_impl.h"

/* ---- names ---- */

gllm_status jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent) {
    void *s;
    TRY(jinja_alloc(r, sizeof(struct jinja_scope), &s));
    r->scope = s;
    r->scope->parent = parent;
    return GLLM_OK;
}

gllm_status jinja_set(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v) {
    const struct jinja_value key = jinja_string(name);
    return jinja_dict_put(r, &r->scope->vars, &key, v);
}

static gllm_status assign_attr(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v) {
    struct jinja_value ns;
    TRY(jinja_eval(r, target->a, &ns));
    if (ns.kind != JINJA_NAMESPACE) return jinja_fail(r, "cannot assign an attribute of a %s, only of a namespace", jinja_kind_name(&ns));
    if (target->v.s.p[0] == '_') return jinja_fail(r, "namespace: names cannot begin with an underscore");
    return jinja_dict_put(r, ns.dict, &target->v, v);
}

gllm_status jinja_assign(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v) {
    if (target->kind == NODE_NAME) return jinja_set(r, target->v.s, v);
    if (target->kind == NODE_ATTR) return assign_attr(r, target, v);
    struct jinja_list *l;
    size_t n = 0, i = 0;
    for (const struct jinja_node *t = target->args; t; t = t->next) n++;
    TRY(jinja_iterate(r, v, &l));
    if (l->count != n) return jinja_fail(r, "found %zu values, expected %zu to assign", l->count, n);
    for (const struct jinja_node *t = target->args; t; t = t->next) TRY(jinja_assign(r, t, &l->items[i++]));
    return GLLM_OK;
}

/* ---- statements ---- */

gllm_status jinja_capture(struct jinja_run *r, const struct jinja_node *body, struct jinja_str *out) {
    struct jinja_out o = {0}, *old = r->out;
    r->out = &o;
    gllm_status status = jinja_exec(r, body);
    r->out = old;
    *out = jinja_out_str(&o);
    return status;
}

/* A body in a scope of its own; out NULL: printed. */
static gllm_status in_scope(struct jinja_run *r, const struct jinja_node *body, struct jinja_str *out) {
    struct jinja_scope *scope = r->scope;
    TRY(jinja_scope_push(r, scope));
    gllm_status status = out ? jinja_capture(r, body, out) : jinja_exec(r, body);
    r->scope = scope;
    return status;
}

static gllm_status print_value(struct jinja_run *r, const struct jinja_value *v) { return jinja_print(r, v, false, 0, r->out); }

/* The items of a loop: those for which its condition holds. */
static gllm_status loop_items(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *v, struct jinja_list **out) {
    struct jinja_list *all;
    struct jinja_value kept;
    TRY(jinja_iterate(r, v, &all));
    *out = all;
    if (!n->c) return GLLM_OK;
    TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, &kept));
    for (size_t i = 0; i < all->count; i++) {
        struct jinja_value holds;
        bool truth;
        r->scope->vars.count = 0;
        TRY(jinja_assign(r, n->a, &all->items[i]));
        TRY(jinja_eval(r, n->c, &holds));
        truth = jinja_truth(&holds);
        if (truth) TRY(jinja_list_add(r, kept.list, &all->items[i]));
    }
    *out = kept.list;
    return GLLM_OK;
}

static gllm_status run_loop(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *over, bool *empty) {
    struct jinja_list *l;
    void *loop;
    TRY(loop_items(r, n, over, &l));
    TRY(jinja_alloc(r, sizeof(struct jinja_loop), &loop));
    const struct jinja_value v = {.kind = JINJA_LOOP, .caller = over->caller, .loop = loop};
    v.loop->list = l;
    *empty = true; /* until a round is gone through to its end, as in jinja2 */
    for (size_t i = 0; i < l->count && r->flow != FLOW_BREAK; i++) {
        r->flow = FLOW_NEXT;
        r->scope->vars.count = 0;
        v.loop->index = i;
        TRY(jinja_set(r, jinja_text_of("loop"), &v));
        TRY(jinja_assign(r, n->a, &l->items[i]));
        TRY(jinja_exec(r, n->body));
        if (r->flow == FLOW_NEXT) *empty = false;
    }
    r->flow = FLOW_NEXT;
    return GLLM_OK;
}

static gllm_status for_(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_scope *scope = r->scope;
    struct jinja_value over;
    bool empty = false;
    TRY(jinja_eval(r, n->b, &over));
    TRY(jinja_scope_push(r, scope));
    gllm_status status = run_loop(r, n, &over, &empty);
    r->scope = scope;
    return status == GLLM_OK && empty ? in_scope(r, n->other, NULL) : status;
}

static gllm_status if_(struct jinja_run *r, const struct jinja_node *n) {
    for (;;) {
        struct jinja_value v;
        bool truth;
        TRY(jinja_eval(r, n->a, &v));
        truth = jinja_truth(&v);
        if (truth) return jinja_exec(r, n->body);
        if (n->op != IF_ELIF) return jinja_exec(r, n->other);
        n = n->other;
    }
}

static gllm_status set_block(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value v = jinja_string(jinja_text_of("")), result;
    TRY(in_scope(r, n->body, &v.s));
    if (!n->c) return jinja_assign(r, n->a, &v);
    TRY(jinja_filters_run(r, n->c, &v, &result));
    return jinja_assign(r, n->a, &result);
}

static gllm_status filter_block(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value v = jinja_string(jinja_text_of("")), result;
    TRY(in_scope(r, n->body, &v.s));
    TRY(jinja_filters_run(r, n->c, &v, &result));
    return print_value(r, &result);
}

static gllm_status macro_value(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    void *m;
    TRY(jinja_alloc(r, sizeof(struct jinja_macro), &m));
    *(struct jinja_macro *)m = (struct jinja_macro){n, r->scope};
    *out = (struct jinja_value){.kind = JINJA_MACRO, .macro = m};
    return GLLM_OK;
}

static gllm_status call_block(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value f, caller, out;
    struct jinja_args args;
    struct jinja_dict named = {0};
    const struct jinja_value key = jinja_string(jinja_text_of("caller"));
    TRY(jinja_eval(r, n->a->a, &f));
    TRY(jinja_args_eval(r, n->a->args, &args));
    TRY(macro_value(r, n, &caller));
    for (size_t i = 0; i < args.n_named; i++) TRY(jinja_dict_put(r, &named, &args.named[i].key, &args.named[i].value));
    TRY(jinja_dict_put(r, &named, &key, &caller));
    args.named = named.pairs, args.n_named = named.count;
    r->line = n->line;
    TRY(jinja_call(r, &f, &args, &out));
    return print_value(r, &out);
}

static gllm_status assign_all(struct jinja_run *r, const struct jinja_node *pairs, const struct jinja_list *values) {
    size_t i = 0;
    for (; pairs; pairs = pairs->next->next) TRY(jinja_assign(r, pairs, &values->items[i++]));
    return GLLM_OK;
}

static gllm_status with(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_scope *scope = r->scope;
    struct jinja_list values = {0};
    for (const struct jinja_node *i = n->args; i; i = i->next->next) {
        struct jinja_value v;
        TRY(jinja_eval(r, i->next, &v));
        TRY(jinja_list_add(r, &values, &v));
    }
    TRY(jinja_scope_push(r, scope));
    gllm_status status = assign_all(r, n->args, &values);
    if (status == GLLM_OK) status = jinja_exec(r, n->body);
    r->scope = scope;
    return status;
}

static gllm_status exec_one(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value v;
    switch (n->kind) {
    case NODE_TEXT: return jinja_out_add(r, r->out, n->v.s);
    case NODE_PRINT: TRY(jinja_eval(r, n->a, &v)); return print_value(r, &v);
    case NODE_FOR: return for_(r, n);
    case NODE_IF: return if_(r, n);
    case NODE_SET: TRY(jinja_eval(r, n->b, &v)); return jinja_assign(r, n->a, &v);
    case NODE_SET_BLOCK: return set_block(r, n);
    case NODE_MACRO: TRY(macro_value(r, n, &v)); return jinja_set(r, n->v.s, &v);
    case NODE_CALL_BLOCK: return call_block(r, n);
    case NODE_FILTER_BLOCK: return filter_block(r, n);
    case NODE_WITH: return with(r, n);
    case NODE_SCOPE: return in_scope(r, n->body, NULL);
    default: r->flow = n->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE; return GLLM_OK;
    }
}

gllm_status jinja_exec(struct jinja_run *r, const struct jinja_node *n) {
    gllm_status status = GLLM_OK;
    if (r->depth >= JINJA_MAX_CALLS) return jinja_fail(r, "more than %d evaluations stand within each other", JINJA_MAX_CALLS);
    r->depth++;
    for (; n && status == GLLM_OK && r->flow == FLOW_NEXT; n = n->next) {
        r->line = n->line;
        status = jinja_charge(r, 1);
        if (status == GLLM_OK) status = exec_one(r, n);
    }
    r->depth--;
    return status;
}

/* ---- a run ---- */

/* Bytes of text in the input, and some for each value: what the bounds grow with. */
static size_t weigh(const json_t *v, unsigned depth) {
    size_t sum = 16;
    const char *key;
    json_t *item;
    if (depth > JINJA_MAX_DEPTH) return sum;
    if (json_is_object(v)) json_object_foreach((json_t *)(uintptr_t)v, key, item) sum += strlen(key) + weigh(item, depth + 1);
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) sum += weigh(json_array_get(v, i), depth + 1);
    return json_is_string(v) ? sum + json_string_length(v) : sum;
}

static gllm_status run(struct jinja_run *r, const struct jinja_input *in, struct jinja_out *out) {
    TRY(jinja_scope_push(r, NULL));
    for (size_t i = 0; i < in->n_vars; i++) {
        struct jinja_value v;
        TRY(jinja_from_json(r, in->vars[i].value, in->vars[i].own, 0, &v));
        TRY(jinja_set(r, jinja_text_of(in->vars[i].name), &v));
    }
    r->out = out;
    return jinja_exec(r, r->t->body);
}

/* Moves what was printed out of the run, its caller's bytes as stretches. */
static bool finish(const struct jinja_out *o, struct jinja_text *out) {
    size_t n = 0;
    for (size_t i = 0; i < o->len; i++) n += o->from[i] && (!i || !o->from[i - 1]);
    out->data = malloc(o->len + 1);
    out->caller = malloc((n + 1) * sizeof *out->caller);
    if (!out->data || !out->caller) return false;
    if (o->len) memcpy(out->data, o->p, o->len);
    out->data[o->len] = '\0';
    out->len = o->len;
    for (size_t i = 0; i < o->len; i++) {
        if (!o->from[i]) continue;
        if (!i || !o->from[i - 1]) out->caller[out->n_caller++] = (struct text_span){i, 0};
        out->caller[out->n_caller - 1].len++;
    }
    return true;
}

gllm_status jinja_render(const struct jinja *t, const struct jinja_input *in, struct jinja_text *out, gllm_error *err) {
    struct jinja_run r = {.t = t, .now = &in->now, .trust = in->trust, .line = 1, .err = err};
    struct jinja_out o = {0};
    size_t weight = 0;
    for (size_t i = 0; i < in->n_vars; i++) weight += weigh(in->vars[i].value, 0);
    if (weight > SIZE_MAX / 64) weight = SIZE_MAX / 64;
    r.max_steps = JINJA_MAX_STEPS + JINJA_STEPS_PER_BYTE * weight;
    r.max_memory = JINJA_MAX_MEMORY + JINJA_MEMORY_PER_BYTE * weight;
    *out = (struct jinja_text){0};
    gllm_status status = run(&r, in, &o);
    if (status == GLLM_OK && !finish(&o, out)) status = err_nomem(err, t->name);
    arena_free(&r.arena);
    if (status != GLLM_OK) jinja_text_free(out);
    return status;
}

void jinja_text_free(struct jinja_text *t) {
    free(t->data);
    free(t->caller);
    *t = (struct jinja_text){0};
}
