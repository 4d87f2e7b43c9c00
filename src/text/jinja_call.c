/* jinja_call.c - arguments, macros, and the global functions that transformers gives to chat templates. */
#include <stdio.h>

#include "text/jinja_impl.h"

/* ---- arguments ---- */

static gllm_status name_argument(struct jinja_run *r, struct jinja_dict *named, const struct jinja_value *key, const struct jinja_value *v) {
    if (key->kind != JINJA_STRING) return jinja_fail(r, "an argument's name cannot be a %s", jinja_kind_name(key));
    if (jinja_dict_text(r, named, key->s)) return jinja_fail(r, "found the argument \"%.*s\" twice", JINJA_SHOWN(key->s));
    return jinja_dict_put(r, named, key, v);
}

gllm_status jinja_args_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_args *out) {
    struct jinja_list list = {0};
    struct jinja_dict named = {0};
    for (; n; n = n->next) {
        const bool wrapped = n->kind == NODE_KEYWORD || n->kind == NODE_STAR || n->kind == NODE_STARSTAR;
        struct jinja_value v;
        TRY(jinja_eval(r, wrapped ? n->a : n, &v));
        if (n->kind == NODE_KEYWORD) TRY(name_argument(r, &named, &n->v, &v));
        else if (n->kind == NODE_STAR) {
            struct jinja_list *more;
            TRY(jinja_iterate(r, &v, &more));
            for (size_t i = 0; i < more->count; i++) TRY(jinja_list_add(r, &list, &more->items[i]));
        } else if (n->kind == NODE_STARSTAR) {
            if (v.kind != JINJA_DICT) return jinja_fail(r, "** needs a dict, not %s", jinja_kind_name(&v));
            for (size_t i = 0; i < v.dict->count; i++) TRY(name_argument(r, &named, &v.dict->pairs[i].key, &v.dict->pairs[i].value));
        } else TRY(jinja_list_add(r, &list, &v));
    }
    *out = (struct jinja_args){list.items, list.count, named.pairs, named.count};
    return GLLM_OK;
}

const struct jinja_value *jinja_arg(const struct jinja_args *args, size_t i, const char *name) {
    if (i < args->count) return &args->list[i];
    for (size_t k = 0; name && k < args->n_named; k++)
        if (jinja_is(args->named[k].key.s, name)) return &args->named[k].value;
    return NULL;
}

bool jinja_arg_flag(const struct jinja_args *args, size_t i, const char *name) {
    const struct jinja_value *v = jinja_arg(args, i, name);
    return v && jinja_truth(v);
}

gllm_status jinja_args_check(struct jinja_run *r, const struct jinja_args *args, const char *what, size_t least, size_t most, const char *const *names) {
    if (args->count > most) return jinja_fail(r, "%s: found %zu arguments, expected at most %zu", what, args->count, most);
    for (size_t i = 0; i < args->n_named; i++) {
        const struct jinja_str name = args->named[i].key.s;
        size_t k = 0;
        while (names && names[k] && !jinja_is(name, names[k])) k++;
        if (!names || !names[k]) return jinja_fail(r, "%s: found the argument \"%.*s\", which it does not have", what, JINJA_SHOWN(name));
        if (k < args->count) return jinja_fail(r, "%s: found the argument \"%s\" twice", what, names[k]);
    }
    for (size_t i = args->count; i < least; i++)
        if (!names || !names[i] || !jinja_arg(args, i, names[i])) return jinja_fail(r, "%s: found %zu arguments, expected at least %zu", what, args->count, least);
    return GLLM_OK;
}

gllm_status jinja_arg_int(struct jinja_run *r, const struct jinja_value *v, const char *what, int64_t *out) {
    if (v->kind != JINJA_INT && v->kind != JINJA_BOOL) return jinja_fail(r, "%s: found %s, expected an integer", what, jinja_kind_name(v));
    *out = v->kind == JINJA_BOOL ? v->b : v->i;
    return GLLM_OK;
}

/* ---- macros ---- */

static const struct jinja_value *take_named(const struct jinja_args *args, struct jinja_str name) {
    for (size_t i = 0; i < args->n_named; i++)
        if (jinja_same_text(args->named[i].key.s, name)) return &args->named[i].value;
    return NULL;
}

static bool is_parameter(const struct jinja_node *macro, struct jinja_str name) {
    for (const struct jinja_node *i = macro->args; i; i = i->next)
        if (jinja_same_text(i->v.s, name)) return true;
    return false;
}

/* Arguments that no parameter takes: varargs, kwargs and caller, where the body reads them. */
static gllm_status extra(struct jinja_run *r, const struct jinja_node *m, const struct jinja_args *args, size_t n_params) {
    struct jinja_value list, dict, caller = jinja_undefined(jinja_text_of("caller"));
    TRY(jinja_list_new(r, LIST_TUPLE, 0, false, &list));
    TRY(jinja_dict_new(r, false, &dict));
    for (size_t i = n_params; i < args->count; i++) TRY(jinja_list_add(r, list.list, &args->list[i]));
    for (size_t i = 0; i < args->n_named; i++) {
        const struct jinja_pair *p = &args->named[i];
        if (is_parameter(m, p->key.s)) continue;
        if ((m->op & USES_CALLER) && jinja_is(p->key.s, "caller")) caller = p->value;
        else TRY(jinja_dict_put(r, dict.dict, &p->key, &p->value));
    }
    const int length = (int)(m->v.s.len < 100 ? m->v.s.len : 100);
    if (list.list->count && !(m->op & USES_VARARGS)) return jinja_fail(r, "macro \"%.*s\": found %zu arguments, expected at most %zu", length, m->v.s.p, args->count, n_params);
    if (dict.dict->count && !(m->op & USES_KWARGS)) {
        const struct jinja_str name = dict.dict->pairs[0].key.s;
        return jinja_fail(r, "macro \"%.*s\": found the argument \"%.*s\", which it does not have", length, m->v.s.p, JINJA_SHOWN(name));
    }
    if (m->op & USES_VARARGS) TRY(jinja_set(r, jinja_text_of("varargs"), &list));
    if (m->op & USES_KWARGS) TRY(jinja_set(r, jinja_text_of("kwargs"), &dict));
    if ((m->op & USES_CALLER) && !is_parameter(m, jinja_text_of("caller"))) TRY(jinja_set(r, jinja_text_of("caller"), &caller));
    return GLLM_OK;
}

static gllm_status bind(struct jinja_run *r, const struct jinja_node *m, const struct jinja_args *args) {
    size_t n = 0;
    for (const struct jinja_node *i = m->args; i; i = i->next, n++) {
        const struct jinja_value *named = take_named(args, i->v.s);
        struct jinja_value v = jinja_undefined(i->v.s);
        if (named && n < args->count) return jinja_fail(r, "macro \"%.*s\": found the argument \"%.*s\" twice", JINJA_SHOWN(m->v.s), JINJA_SHOWN(i->v.s));
        if (n < args->count) v = args->list[n];
        else if (named) v = *named;
        else if (i->a) TRY(jinja_eval(r, i->a, &v));
        TRY(jinja_set(r, i->v.s, &v));
    }
    return extra(r, m, args, n);
}

static gllm_status call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_scope *scope = r->scope;
    const enum jinja_flow flow = r->flow;
    *out = jinja_string(jinja_text_of(""));
    TRY(jinja_scope_push(r, m->scope));
    gllm_status status = bind(r, m->node, args);
    if (status == GLLM_OK) status = jinja_capture(r, m->node->body, &out->s);
    r->scope = scope;
    r->flow = flow;
    return status;
}

/* ---- global functions ---- */

gllm_status jinja_range(struct jinja_run *r, int64_t from, int64_t to, int64_t step, size_t n, bool caller, struct jinja_value *out) {
    TRY(jinja_charge(r, n));
    TRY(jinja_list_new(r, LIST_RANGE, n + 3, caller, out));
    struct jinja_value *items = out->list->items;
    int64_t x = from;
    for (size_t i = 0; i < n; i++) {
        items[i] = jinja_int(x, caller);
        if (__builtin_add_overflow(x, step, &x)) break; /* behind the last one */
    }
    items[n] = jinja_int(from, caller), items[n + 1] = jinja_int(to, caller), items[n + 2] = jinja_int(step, caller);
    out->list->count = out->list->capacity = n;
    return GLLM_OK;
}

static gllm_status range(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    int64_t v[3] = {0, 0, 1};
    bool caller = false;
    TRY(jinja_args_check(r, args, "range", 1, 3, NULL));
    for (size_t i = 0; i < args->count; i++) {
        TRY(jinja_arg_int(r, &args->list[i], "range", &v[args->count == 1 ? 1 : i]));
        caller |= args->list[i].caller;
    }
    if (!v[2]) return jinja_fail(r, "range: found a step of 0");
    const double span = ((double)v[1] - (double)v[0]) / (double)v[2];
    if (span > JINJA_MAX_RANGE) return jinja_fail(r, "range: found about %.0f numbers, expected at most %d", span, JINJA_MAX_RANGE);
    size_t n = 0;
    for (int64_t i = v[0]; v[2] > 0 ? i < v[1] : i > v[1];) {
        n++;
        if (__builtin_add_overflow(i, v[2], &i)) break;
    }
    return jinja_range(r, v[0], v[1], v[2], n, caller, out);
}

/* dict(pairs or a dict, name=value …), also for namespace(…). */
static gllm_status fill_dict(struct jinja_run *r, const struct jinja_args *args, const char *what, struct jinja_value *out) {
    if (args->count > 1) return jinja_fail(r, "%s: found %zu arguments, expected at most 1", what, args->count);
    TRY(jinja_dict_new(r, false, out));
    if (args->count && args->list[0].kind == JINJA_DICT) {
        const struct jinja_dict *d = args->list[0].dict;
        out->caller = args->list[0].caller;
        for (size_t i = 0; i < d->count; i++) TRY(jinja_dict_put(r, out->dict, &d->pairs[i].key, &d->pairs[i].value));
    } else if (args->count) {
        struct jinja_list *pairs, *pair;
        TRY(jinja_iterate(r, &args->list[0], &pairs));
        for (size_t i = 0; i < pairs->count; i++) {
            TRY(jinja_iterate(r, &pairs->items[i], &pair));
            if (pair->count != 2) return jinja_fail(r, "%s: found %zu items, expected pairs", what, pair->count);
            TRY(jinja_dict_put(r, out->dict, &pair->items[0], &pair->items[1]));
        }
    }
    for (size_t i = 0; i < args->n_named; i++) TRY(jinja_dict_put(r, out->dict, &args->named[i].key, &args->named[i].value));
    return GLLM_OK;
}

static gllm_status dict(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) { return fill_dict(r, args, "dict", out); }

static gllm_status namespace_(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    TRY(fill_dict(r, args, "namespace", out));
    out->kind = JINJA_NAMESPACE;
    for (size_t i = 0; i < out->dict->count; i++) {
        const struct jinja_value *k = &out->dict->pairs[i].key;
        if (k->kind == JINJA_STRING && k->s.len && k->s.p[0] == '_') return jinja_fail(r, "namespace: names cannot begin with an underscore");
    }
    return GLLM_OK;
}

static gllm_status raise_exception(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    static const char *const NAMES[] = {"message", NULL};
    struct jinja_str s;
    (void)out;
    TRY(jinja_args_check(r, args, "raise_exception", 1, 1, NAMES));
    TRY(jinja_str_of(r, jinja_arg(args, 0, "message"), &s));
    return jinja_fail(r, "%.*s", JINJA_SHOWN(s));
}

static gllm_status strftime_now(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    static const char *const NAMES[] = {"format", NULL};
    struct jinja_out o = {0};
    TRY(jinja_args_check(r, args, "strftime_now", 1, 1, NAMES));
    const struct jinja_value *format = jinja_arg(args, 0, "format");
    if (format->kind != JINJA_STRING) return jinja_fail(r, "strftime_now: found %s, expected a str", jinja_kind_name(format));
    TRY(jinja_strftime(r, format->s, &o));
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

static gllm_status cycle_new(struct jinja_run *r, uint8_t kind, const struct jinja_args *args, struct jinja_value *out) {
    void *c;
    TRY(jinja_alloc(r, sizeof(struct jinja_cycle), &c));
    *(struct jinja_cycle *)c = (struct jinja_cycle){args->list, args->count, 0};
    *out = (struct jinja_value){.kind = kind, .cycle = c};
    return GLLM_OK;
}
static gllm_status cycler(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    if (!args->count || args->n_named) return jinja_fail(r, "cycler: expected items");
    return cycle_new(r, JINJA_CYCLER, args, out);
}
static gllm_status joiner(struct jinja_run *r, const struct jinja_args *args, struct jinja_value *out) {
    static const char *const NAMES[] = {"sep", NULL};
    TRY(jinja_args_check(r, args, "joiner", 0, 1, NAMES));
    const struct jinja_value *given = jinja_arg(args, 0, "sep");
    struct jinja_value sep = given ? *given : jinja_string(jinja_text_of(", "));
    struct jinja_value list;
    TRY(jinja_list_new(r, LIST_PLAIN, 1, false, &list));
    TRY(jinja_list_add(r, list.list, &sep));
    return cycle_new(r, JINJA_JOINER, &(struct jinja_args){list.list->items, 1, NULL, 0}, out);
}

const struct jinja_global *jinja_global_find(struct jinja_str name) {
    static const struct jinja_global GLOBALS[] = {{"range", range}, {"dict", dict}, {"namespace", namespace_}, {"raise_exception", raise_exception}, {"strftime_now", strftime_now},
                                                  {"cycler", cycler}, {"joiner", joiner}};
    for (unsigned i = 0; i < sizeof GLOBALS / sizeof *GLOBALS; i++)
        if (jinja_is(name, GLOBALS[i].name)) return &GLOBALS[i];
    return NULL;
}

gllm_status jinja_call(struct jinja_run *r, const struct jinja_value *f, const struct jinja_args *args, struct jinja_value *out) {
    switch (f->kind) {
    case JINJA_MACRO: return call_macro(r, f->macro, args, out);
    case JINJA_METHOD: return jinja_method_call(r, f->method, args, out);
    case JINJA_GLOBAL: return f->global->fn(r, args, out);
    case JINJA_JOINER:
        *out = f->cycle->at++ ? f->cycle->items[0] : jinja_string(jinja_text_of(""));
        return GLLM_OK;
    case JINJA_UNDEFINED: return jinja_fail_undefined(r, f);
    default: return jinja_fail(r, "a %s cannot be called", jinja_kind_name(f));
    }
}
