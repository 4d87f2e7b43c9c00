/* jinja_value.c - values: made, compared, ordered, looked up, iterated; and the bounds of a run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/jinja_impl.h"

/* ---- bounds ---- */

gllm_status jinja_fail(struct jinja_run *r, const char *format, ...) {
    char what[480];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(r->err, GLLM_INVALID, "%s: line %u: %s", r->t->name, r->line, what);
}

gllm_status jinja_fail_undefined(struct jinja_run *r, const struct jinja_value *v) { return jinja_fail(r, "\"%.*s\" is undefined", JINJA_SHOWN(v->s)); }

gllm_status jinja_charge(struct jinja_run *r, size_t steps) {
    if (steps > r->max_steps - r->steps) {
        r->steps = r->max_steps;
        return jinja_fail(r, "takes more than %zu steps", r->max_steps);
    }
    r->steps += steps;
    return GLLM_OK;
}

/* The same where no error can be given: the next charge gives it. */
static void spend(struct jinja_run *r, size_t steps) {
    const size_t left = r->max_steps - r->steps;
    r->steps += steps < left ? steps : left;
}

gllm_status jinja_alloc(struct jinja_run *r, size_t size, void **out) {
    *out = NULL;
    if (size > r->max_memory - r->memory) return jinja_fail(r, "takes more than %zu bytes of memory", r->max_memory);
    r->memory += size + 16; /* and what the arena rounds up */
    if (r->memory > r->max_memory) r->memory = r->max_memory;
    TRY(jinja_charge(r, size / 128));
    *out = arena_alloc(&r->arena, size);
    return *out ? GLLM_OK : err_nomem(r->err, r->t->name);
}

/* Room for one more of `size` bytes behind `count` of them; what was there is copied. */
static gllm_status grow(struct jinja_run *r, void **items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return GLLM_OK;
    const size_t n = *capacity ? 2 * *capacity : 4;
    void *more;
    TRY(jinja_alloc(r, n * size, &more));
    if (count) memcpy(more, *items, count * size);
    *items = more;
    *capacity = n;
    return GLLM_OK;
}

/* ---- what a value is ---- */

const char *jinja_kind_name(const struct jinja_value *v) {
    static const char *const NAMES[] = {"undefined", "None", "bool", "int", "float", "str", "list", "dict", "namespace", "macro", "method", "function", "loop", "cycler", "joiner"};
    static const char *const LISTS[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
    return v->kind == JINJA_LIST ? LISTS[v->list->kind] : NAMES[v->kind];
}

bool jinja_caller(const struct jinja_value *v) {
    return v->kind == JINJA_STRING ? jinja_str_caller(v->s) : v->caller;
}

gllm_status jinja_length(struct jinja_run *r, const struct jinja_value *v, size_t *out) {
    switch (v->kind) {
    case JINJA_UNDEFINED: *out = 0; return GLLM_OK;
    case JINJA_STRING:
        *out = 0;
        for (size_t i = 0; i < v->s.len; i += jinja_char(v->s.p + i, v->s.len - i)) ++*out;
        return jinja_charge(r, v->s.len / 32);
    case JINJA_DICT: *out = v->dict->count; return GLLM_OK;
    case JINJA_LIST:
        if (v->list->kind == LIST_GENERATOR) break;
        *out = v->list->count;
        return GLLM_OK;
    case JINJA_LOOP: *out = v->loop->list->count; return GLLM_OK;
    default: break;
    }
    return jinja_fail(r, "a %s has no length", jinja_kind_name(v));
}

bool jinja_truth(const struct jinja_value *v) {
    switch (v->kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE: return false;
    case JINJA_BOOL: return v->b;
    case JINJA_INT: return v->i != 0;
    case JINJA_FLOAT: return v->f != 0;
    case JINJA_STRING: return v->s.len != 0;
    case JINJA_LIST: return v->list->kind == LIST_GENERATOR || v->list->count;
    case JINJA_DICT: return v->dict->count != 0;
    default: return true;
    }
}

static bool number_of(const struct jinja_value *v, double *f, int64_t *i, bool *whole) {
    *whole = v->kind == JINJA_INT || v->kind == JINJA_BOOL;
    if (*whole) *i = v->kind == JINJA_BOOL ? v->b : v->i, *f = (double)*i;
    else if (v->kind == JINJA_FLOAT) *f = v->f;
    return *whole || v->kind == JINJA_FLOAT;
}

/* -1, 0, 1 as a is below, equal to, above b; 2 when one is not a number (NaN). An int and a float compare exactly, as in Python. */
static int order_numbers(const struct jinja_value *a, const struct jinja_value *b) {
    double x = 0, y = 0;
    int64_t i = 0, j = 0;
    bool iw, jw;
    number_of(a, &x, &i, &iw);
    number_of(b, &y, &j, &jw);
    if (iw && jw) return (i > j) - (i < j);
    if (isnan(x) || isnan(y)) return 2;
    if (iw != jw && fabs(iw ? y : x) < 9.2e18) { /* the float's whole part is an int64: compare that, then the rest */
        const double f = iw ? y : x, whole = floor(f);
        const int64_t n = iw ? i : j, m = (int64_t)whole;
        const int c = n < m ? -1 : n > m ? 1 : f > whole ? -1 : 0;
        return iw ? c : -c;
    }
    return (x > y) - (x < y);
}

static bool is_number(const struct jinja_value *v) { return v->kind == JINJA_BOOL || v->kind == JINJA_INT || v->kind == JINJA_FLOAT; }

static gllm_status equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, unsigned depth, bool *out);

static gllm_status equal_lists(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b, unsigned depth, bool *out) {
    *out = a == b;
    if (*out || a->kind != b->kind || a->count != b->count || a->kind == LIST_GENERATOR || a->kind == LIST_VALUES) return GLLM_OK;
    *out = true;
    for (size_t i = 0; *out && i < a->count; i++) TRY(equal(r, &a->items[i], &b->items[i], depth + 1, out));
    return GLLM_OK;
}

static gllm_status equal_dicts(struct jinja_run *r, const struct jinja_dict *a, const struct jinja_dict *b, unsigned depth, bool *out) {
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++) {
        struct jinja_value *other;
        TRY(jinja_dict_get(r, b, &a->pairs[i].key, &other));
        *out = other != NULL;
        if (other) TRY(equal(r, &a->pairs[i].value, other, depth + 1, out));
    }
    return GLLM_OK;
}

static gllm_status equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, unsigned depth, bool *out) {
    TRY(jinja_charge(r, 1));
    if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "values of more than %d levels are compared", JINJA_MAX_DEPTH);
    if (is_number(a) && is_number(b)) *out = order_numbers(a, b) == 0;
    else if (a->kind != b->kind) *out = false;
    else if (a->kind == JINJA_UNDEFINED || a->kind == JINJA_NONE) *out = true;
    else if (a->kind == JINJA_STRING) {
        *out = jinja_same_text(a->s, b->s);
        return a->s.len == b->s.len ? jinja_charge(r, a->s.len / 32) : GLLM_OK;
    } else if (a->kind == JINJA_LIST) return equal_lists(r, a->list, b->list, depth, out);
    else if (a->kind == JINJA_DICT) return equal_dicts(r, a->dict, b->dict, depth, out);
    else *out = a->dict == b->dict; /* the same object */
    return GLLM_OK;
}
gllm_status jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out) { return equal(r, a, b, 0, out); }

static gllm_status order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, const char *op, unsigned depth, int *out) {
    TRY(jinja_charge(r, 1));
    if (is_number(a) && is_number(b)) {
        *out = order_numbers(a, b);
        return GLLM_OK;
    }
    if (a->kind == JINJA_STRING && b->kind == JINJA_STRING) { /* UTF-8 in byte order is in the order of code points */
        const size_t n = a->s.len < b->s.len ? a->s.len : b->s.len;
        const int c = n ? memcmp(a->s.p, b->s.p, n) : 0;
        *out = c ? (c > 0) - (c < 0) : (a->s.len > b->s.len) - (a->s.len < b->s.len);
        return jinja_charge(r, n / 32);
    }
    if (a->kind == JINJA_LIST && b->kind == JINJA_LIST && a->list->kind == b->list->kind && a->list->kind <= LIST_TUPLE) {
        if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "values of more than %d levels are compared", JINJA_MAX_DEPTH);
        const struct jinja_list *x = a->list, *y = b->list;
        for (size_t i = 0; i < x->count && i < y->count; i++) {
            bool same;
            TRY(jinja_equal(r, &x->items[i], &y->items[i], &same));
            if (!same) return order(r, &x->items[i], &y->items[i], op, depth + 1, out);
        }
        *out = (x->count > y->count) - (x->count < y->count);
        return GLLM_OK;
    }
    if (a->kind == JINJA_UNDEFINED || b->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, a->kind == JINJA_UNDEFINED ? a : b);
    return jinja_fail(r, "%s is not supported between %s and %s", op, jinja_kind_name(a), jinja_kind_name(b));
}
gllm_status jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, const char *op, int *out) { return order(r, a, b, op, 0, out); }

/* ---- lists and dicts ---- */

gllm_status jinja_list_new(struct jinja_run *r, enum jinja_list_kind kind, size_t capacity, bool caller, struct jinja_value *out) {
    void *list, *items = NULL;
    TRY(jinja_alloc(r, sizeof(struct jinja_list), &list));
    if (capacity > JINJA_MAX_MEMORY / sizeof(struct jinja_value) + r->max_memory) return jinja_fail(r, "takes more than %zu bytes of memory", r->max_memory);
    if (capacity) TRY(jinja_alloc(r, capacity * sizeof(struct jinja_value), &items));
    *(struct jinja_list *)list = (struct jinja_list){.items = items, .capacity = capacity, .kind = kind};
    *out = (struct jinja_value){.kind = JINJA_LIST, .caller = caller, .list = list};
    return GLLM_OK;
}

gllm_status jinja_list_add(struct jinja_run *r, struct jinja_list *l, const struct jinja_value *v) {
    void *items = l->items;
    TRY(grow(r, &items, l->count, &l->capacity, sizeof *l->items));
    l->items = items;
    l->items[l->count++] = *v;
    return GLLM_OK;
}

gllm_status jinja_dict_new(struct jinja_run *r, bool caller, struct jinja_value *out) {
    void *dict;
    TRY(jinja_alloc(r, sizeof(struct jinja_dict), &dict));
    *out = (struct jinja_value){.kind = JINJA_DICT, .caller = caller, .dict = dict};
    return GLLM_OK;
}

struct jinja_value *jinja_dict_text(struct jinja_run *r, const struct jinja_dict *d, struct jinja_str key) {
    spend(r, d->count / 16);
    for (size_t i = 0; i < d->count; i++) {
        const struct jinja_value *k = &d->pairs[i].key;
        if (k->kind != JINJA_STRING || k->s.len != key.len) continue;
        spend(r, key.len / 32);
        if (jinja_same_text(k->s, key)) return &d->pairs[i].value;
    }
    return NULL;
}

/* Refuses what cannot be a key: what could change in Python. */
static gllm_status check_key(struct jinja_run *r, const struct jinja_value *v, unsigned depth) {
    const bool list = v->kind == JINJA_LIST, tuple = list && v->list->kind == LIST_TUPLE;
    TRY(jinja_charge(r, 1));
    if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "a key of more than %d levels", JINJA_MAX_DEPTH);
    if (v->kind == JINJA_DICT || v->kind == JINJA_NAMESPACE || (list && !tuple && v->list->kind != LIST_GENERATOR && v->list->kind != LIST_RANGE)) return jinja_fail(r, "a %s cannot be a key", jinja_kind_name(v));
    for (size_t i = 0; tuple && i < v->list->count; i++) TRY(check_key(r, &v->list->items[i], depth + 1));
    return GLLM_OK;
}

gllm_status jinja_dict_get(struct jinja_run *r, const struct jinja_dict *d, const struct jinja_value *key, struct jinja_value **out) {
    *out = NULL;
    if (key->kind == JINJA_STRING) {
        *out = jinja_dict_text(r, d, key->s);
        return GLLM_OK;
    }
    TRY(jinja_charge(r, d->count / 16));
    TRY(check_key(r, key, 0));
    for (size_t i = 0; i < d->count; i++) {
        bool same;
        TRY(jinja_equal(r, &d->pairs[i].key, key, &same));
        if (!same) continue;
        *out = &d->pairs[i].value;
        break;
    }
    return GLLM_OK;
}

static gllm_status append(struct jinja_run *r, struct jinja_dict *d, const struct jinja_value *key, const struct jinja_value *v) {
    void *pairs = d->pairs;
    TRY(grow(r, &pairs, d->count, &d->capacity, sizeof *d->pairs));
    d->pairs = pairs;
    d->pairs[d->count++] = (struct jinja_pair){*key, *v};
    return GLLM_OK;
}

gllm_status jinja_dict_put(struct jinja_run *r, struct jinja_dict *d, const struct jinja_value *key, const struct jinja_value *v) {
    struct jinja_value *old;
    TRY(jinja_dict_get(r, d, key, &old));
    if (!old) return append(r, d, key, v);
    *old = *v;
    return GLLM_OK;
}

static gllm_status characters(struct jinja_run *r, struct jinja_str s, struct jinja_value *out) {
    TRY(jinja_list_new(r, LIST_PLAIN, 0, false, out));
    for (size_t i = 0, n; i < s.len; i += n) {
        struct jinja_value c = {.kind = JINJA_STRING};
        n = jinja_char(s.p + i, s.len - i);
        jinja_str_part(s, i, n, &c.s);
        TRY(jinja_list_add(r, out->list, &c));
    }
    return GLLM_OK;
}

gllm_status jinja_iterate(struct jinja_run *r, const struct jinja_value *v, struct jinja_list **out) {
    struct jinja_value list;
    if (v->kind == JINJA_LIST && v->list->kind != LIST_GENERATOR) {
        *out = v->list;
        return GLLM_OK;
    }
    switch (v->kind) {
    case JINJA_UNDEFINED: TRY(jinja_list_new(r, LIST_PLAIN, 0, false, &list)); break;
    case JINJA_STRING: TRY(characters(r, v->s, &list)); break;
    case JINJA_LIST: { /* what is left of a generator */
        struct jinja_list *g = v->list;
        TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, &list));
        list.list->items = g->items ? g->items + g->at : NULL;
        list.list->count = list.list->capacity = g->count - g->at;
        g->at = g->count;
        break;
    }
    case JINJA_DICT:
        TRY(jinja_list_new(r, LIST_PLAIN, v->dict->count, v->caller, &list));
        for (size_t i = 0; i < v->dict->count; i++) TRY(jinja_list_add(r, list.list, &v->dict->pairs[i].key));
        break;
    default: return jinja_fail(r, "a %s cannot be iterated", jinja_kind_name(v));
    }
    *out = list.list;
    return GLLM_OK;
}

/* ---- from JSON ---- */

/* A copy whose bytes are all the caller's, or all the template's. */
static gllm_status text_from(struct jinja_run *r, const char *s, size_t len, bool own, struct jinja_value *out) {
    void *p;
    TRY(jinja_alloc(r, own ? len + 1 : 2 * len + 1, &p));
    if (len) memcpy(p, s, len);
    if (!own) memset((char *)p + len, 1, len);
    *out = jinja_string((struct jinja_str){p, own ? NULL : (const uint8_t *)p + len, len});
    return GLLM_OK;
}

static gllm_status object_from(struct jinja_run *r, const json_t *v, bool own, unsigned depth, struct jinja_value *out) {
    const char *key;
    json_t *item;
    TRY(jinja_dict_new(r, !own, out));
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        struct jinja_value k, x;
        TRY(text_from(r, key, strlen(key), own, &k));
        const bool trusted = own || (json_is_string(item) && r->trust && r->trust(key, json_string_value(item), json_string_length(item)));
        TRY(jinja_from_json(r, item, trusted, depth + 1, &x));
        TRY(append(r, out->dict, &k, &x));
    }
    return GLLM_OK;
}

gllm_status jinja_from_json(struct jinja_run *r, const json_t *v, bool own, unsigned depth, struct jinja_value *out) {
    if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "the input has more than %d levels", JINJA_MAX_DEPTH);
    switch (json_typeof(v)) {
    case JSON_OBJECT: return object_from(r, v, own, depth, out);
    case JSON_ARRAY:
        TRY(jinja_list_new(r, LIST_PLAIN, json_array_size(v), !own, out));
        for (size_t i = 0; i < json_array_size(v); i++) {
            struct jinja_value x;
            TRY(jinja_from_json(r, json_array_get(v, i), own, depth + 1, &x));
            TRY(jinja_list_add(r, out->list, &x));
        }
        return GLLM_OK;
    case JSON_STRING: return text_from(r, json_string_value(v), json_string_length(v), own, out);
    case JSON_INTEGER: *out = jinja_int(json_integer_value(v), !own); return GLLM_OK;
    case JSON_REAL: *out = jinja_float(json_real_value(v), !own); return GLLM_OK;
    case JSON_TRUE:
    case JSON_FALSE: *out = jinja_bool(json_is_true(v), !own); return GLLM_OK;
    default: *out = (struct jinja_value){.kind = JINJA_NONE, .caller = !own}; return GLLM_OK;
    }
}
