/* jinja_seq.c - filters of sequences. What jinja2 gives as a generator is one here too: no length, no subscripts, read once. */
#include "text/jinja_impl.h"

static gllm_status length(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    size_t n;
    (void)args;
    TRY(jinja_length(r, v, &n));
    *out = jinja_int((int64_t)n, jinja_caller(v));
    return GLLM_OK;
}

static gllm_status first(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    (void)args;
    *out = jinja_undefined(jinja_text_of("the first item of nothing"));
    if (v->kind == JINJA_LIST && v->list->kind == LIST_GENERATOR) { /* the others are left in it */
        if (v->list->at < v->list->count) *out = v->list->items[v->list->at++];
        return GLLM_OK;
    }
    struct jinja_list *l;
    TRY(jinja_iterate(r, v, &l));
    if (l->count) *out = l->items[0];
    return GLLM_OK;
}

static gllm_status last(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_list *l;
    (void)args;
    *out = jinja_undefined(jinja_text_of("the last item of nothing"));
    if (v->kind == JINJA_LIST && v->list->kind == LIST_GENERATOR) return jinja_fail(r, "last: a generator cannot be read from its end");
    TRY(jinja_iterate(r, v, &l));
    if (l->count) *out = l->items[l->count - 1];
    return GLLM_OK;
}

static gllm_status as_list(struct jinja_run *r, const struct jinja_list *l, enum jinja_list_kind kind, bool caller, struct jinja_value *out) {
    TRY(jinja_list_new(r, kind, l->count, caller, out));
    for (size_t i = 0; i < l->count; i++) TRY(jinja_list_add(r, out->list, &l->items[i]));
    return jinja_charge(r, l->count);
}

static gllm_status list(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_list *l;
    (void)args;
    TRY(jinja_iterate(r, v, &l));
    return as_list(r, l, LIST_PLAIN, v->caller, out);
}

static gllm_status reverse(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value minus = jinja_int(-1, false);
    struct jinja_list *l;
    (void)args;
    if (v->kind == JINJA_STRING) return jinja_slice(r, v, NULL, NULL, &minus, out);
    TRY(jinja_iterate(r, v, &l));
    TRY(jinja_list_new(r, LIST_GENERATOR, l->count, v->caller, out));
    for (size_t i = l->count; i-- > 0;) TRY(jinja_list_add(r, out->list, &l->items[i]));
    return jinja_charge(r, l->count);
}

/* ---- attributes by name: "a.b.0" ---- */

static gllm_status attribute(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path, struct jinja_value *out) {
    *out = *v;
    if (!path || path->kind == JINJA_NONE) return GLLM_OK;
    if (path->kind != JINJA_STRING) return jinja_item(r, v, path, out);
    for (size_t at = 0; at <= path->s.len;) {
        const char *dot = memchr(path->s.p + at, '.', path->s.len - at);
        struct jinja_value key = jinja_string((struct jinja_str){0}), of = *out;
        jinja_str_part(path->s, at, dot ? (size_t)(dot - path->s.p) - at : path->s.len - at, &key.s);
        at += key.s.len + 1;
        int64_t i = 0;
        size_t digits = 0;
        while (digits < key.s.len && digits < 18 && key.s.p[digits] >= '0' && key.s.p[digits] <= '9') i = i * 10 + (key.s.p[digits++] - '0');
        if (digits && digits == key.s.len) key = jinja_int(i, false);
        TRY(jinja_item(r, &of, &key, out));
    }
    return GLLM_OK;
}

/* Strings in lower case, unless case counts: what values are compared by. */
static gllm_status fold(struct jinja_run *r, struct jinja_value *v, bool case_sensitive) {
    return v->kind == JINJA_STRING && !case_sensitive ? jinja_map_case(r, v->s, "lower", &v->s) : GLLM_OK;
}

/* ---- order ---- */

struct keyed {
    struct jinja_value key;
    const struct jinja_value *item;
};

/* Stable merge sort; spare has room for half of them. */
static gllm_status sort_keyed(struct jinja_run *r, struct keyed *list, struct keyed *spare, size_t n, bool down) {
    if (n < 2) return GLLM_OK;
    const size_t half = n / 2;
    TRY(sort_keyed(r, list, spare, half, down));
    TRY(sort_keyed(r, list + half, spare, n - half, down));
    memcpy(spare, list, half * sizeof *list);
    for (size_t i = 0, j = half, k = 0; i < half; k++) {
        int c = 0;
        if (j < n) TRY(jinja_order(r, &list[j].key, &spare[i].key, "<", &c));
        list[k] = j < n && (down ? c == 1 : c == -1) ? list[j++] : spare[i++];
    }
    return GLLM_OK;
}

/* The key of an item: the attributes that `paths` names, apart from each other by commas. */
static gllm_status sort_key(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *paths, bool case_sensitive, struct jinja_value *out) {
    struct jinja_value key;
    const bool text = paths && paths->kind == JINJA_STRING;
    TRY(jinja_list_new(r, LIST_PLAIN, 1, false, out));
    for (size_t at = 0;;) {
        struct jinja_value path = paths ? *paths : jinja_none();
        const char *comma = text ? memchr(paths->s.p + at, ',', paths->s.len - at) : NULL;
        if (text) jinja_str_part(paths->s, at, comma ? (size_t)(comma - paths->s.p) - at : paths->s.len - at, &path.s);
        TRY(attribute(r, v, &path, &key));
        TRY(fold(r, &key, case_sensitive));
        TRY(jinja_list_add(r, out->list, &key));
        if (!comma) return GLLM_OK;
        at = (size_t)(comma - paths->s.p) + 1;
    }
}

static gllm_status sorted(struct jinja_run *r, const struct jinja_list *l, const struct jinja_value *paths, bool case_sensitive, bool down, struct keyed **out) {
    void *memory;
    TRY(jinja_alloc(r, (l->count + l->count / 2 + 1) * sizeof(struct keyed), &memory));
    struct keyed *keys = *out = memory;
    for (size_t i = 0; i < l->count; i++) {
        keys[i].item = &l->items[i];
        TRY(sort_key(r, &l->items[i], paths, case_sensitive, &keys[i].key));
    }
    return sort_keyed(r, keys, keys + l->count, l->count, down);
}

static gllm_status sort_into(struct jinja_run *r, const struct jinja_list *l, const struct jinja_value *paths, bool case_sensitive, bool down, bool caller, struct jinja_value *out) {
    struct keyed *keys;
    TRY(sorted(r, l, paths, case_sensitive, down, &keys));
    TRY(jinja_list_new(r, LIST_PLAIN, l->count, caller, out));
    for (size_t i = 0; i < l->count; i++) TRY(jinja_list_add(r, out->list, keys[i].item));
    return GLLM_OK;
}

static gllm_status sort(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_list *l;
    const bool down = jinja_arg_flag(args, 0, "reverse"), case_sensitive = jinja_arg_flag(args, 1, "case_sensitive");
    TRY(jinja_iterate(r, v, &l));
    return sort_into(r, l, jinja_arg(args, 2, "attribute"), case_sensitive, down, v->caller, out);
}

static gllm_status pairs_of(struct jinja_run *r, const struct jinja_value *v, const char *what, struct jinja_value *out) {
    struct jinja_method m = {*v, jinja_text_of("items")};
    if (v->kind != JINJA_DICT) return jinja_fail(r, "%s: found %s, expected a dict", what, jinja_kind_name(v));
    return jinja_method_call(r, &m, &(struct jinja_args){0}, out);
}

static gllm_status dictsort(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *by = jinja_arg(args, 1, "by");
    struct jinja_value pairs, place = jinja_int(0, false);
    const bool case_sensitive = jinja_arg_flag(args, 0, "case_sensitive"), down = jinja_arg_flag(args, 2, "reverse");
    if (by && by->kind == JINJA_STRING && jinja_is(by->s, "value")) place.i = 1;
    else if (by && !(by->kind == JINJA_STRING && jinja_is(by->s, "key"))) return jinja_fail(r, "dictsort: by: expected \"key\" or \"value\"");
    TRY(pairs_of(r, v, "dictsort", &pairs));
    return sort_into(r, pairs.list, &place, case_sensitive, down, v->caller, out);
}

static gllm_status items(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    (void)args;
    if (v->kind == JINJA_UNDEFINED) return jinja_list_new(r, LIST_GENERATOR, 0, false, out);
    TRY(pairs_of(r, v, "items", out));
    out->list->kind = LIST_GENERATOR;
    return GLLM_OK;
}

static gllm_status extreme(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, bool most, struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_value best, key;
    const bool case_sensitive = jinja_arg_flag(args, 0, "case_sensitive");
    TRY(jinja_iterate(r, v, &l));
    *out = jinja_undefined(jinja_text_of("the extreme of nothing"));
    for (size_t i = 0; i < l->count; i++) {
        int c = 0;
        TRY(attribute(r, &l->items[i], jinja_arg(args, 1, "attribute"), &key));
        TRY(fold(r, &key, case_sensitive));
        if (i) TRY(jinja_order(r, &key, &best, "<", &c));
        if (i && (most ? c != 1 : c != -1)) continue;
        best = key;
        *out = l->items[i];
    }
    return GLLM_OK;
}
static gllm_status min_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return extreme(r, v, args, false, out); }
static gllm_status max_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return extreme(r, v, args, true, out); }

/* ---- all together ---- */

static gllm_status join(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *between = jinja_arg(args, 0, "d"), *path = jinja_arg(args, 1, "attribute");
    struct jinja_list *l;
    struct jinja_out o = {0};
    struct jinja_str d = jinja_text_of("");
    if (between) TRY(jinja_str_of(r, between, &d));
    TRY(jinja_iterate(r, v, &l));
    for (size_t i = 0; i < l->count; i++) {
        struct jinja_value x;
        if (i) TRY(jinja_out_add(r, &o, d));
        TRY(attribute(r, &l->items[i], path, &x));
        TRY(jinja_print(r, &x, false, 0, &o));
    }
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

static gllm_status sum(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *start = jinja_arg(args, 1, "start");
    struct jinja_list *l;
    *out = start ? *start : jinja_int(0, false);
    TRY(jinja_iterate(r, v, &l));
    for (size_t i = 0; i < l->count; i++) {
        struct jinja_value x, before = *out;
        TRY(attribute(r, &l->items[i], jinja_arg(args, 0, "attribute"), &x));
        if (before.kind == JINJA_STRING) return jinja_fail(r, "sum: found str, expected numbers");
        TRY(jinja_binary(r, '+', &before, &x, out));
    }
    return GLLM_OK;
}

static gllm_status unique(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_value seen;
    const bool case_sensitive = jinja_arg_flag(args, 0, "case_sensitive");
    TRY(jinja_iterate(r, v, &l));
    TRY(jinja_dict_new(r, false, &seen));
    TRY(jinja_list_new(r, LIST_GENERATOR, 0, v->caller, out));
    for (size_t i = 0; i < l->count; i++) {
        struct jinja_value key, *old;
        TRY(attribute(r, &l->items[i], jinja_arg(args, 1, "attribute"), &key));
        TRY(fold(r, &key, case_sensitive));
        TRY(jinja_dict_get(r, seen.dict, &key, &old));
        if (old) continue;
        TRY(jinja_dict_put(r, seen.dict, &key, &key));
        TRY(jinja_list_add(r, out->list, &l->items[i]));
    }
    return GLLM_OK;
}

static gllm_status groupby(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *path = jinja_arg(args, 0, "attribute");
    struct jinja_value group, pair, key;
    struct jinja_list *l;
    struct keyed *keys;
    const bool case_sensitive = jinja_arg_flag(args, 2, "case_sensitive");
    bool same = false;
    TRY(jinja_args_check(r, args, "groupby", 1, 3, (const char *const[]){"attribute", "default", "case_sensitive", NULL}));
    TRY(jinja_iterate(r, v, &l));
    TRY(sorted(r, l, path, case_sensitive, false, &keys));
    TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, out));
    for (size_t i = 0; i < l->count; i++) {
        if (i) TRY(jinja_equal(r, &keys[i].key, &keys[i - 1].key, &same));
        if (!same) {
            TRY(attribute(r, keys[i].item, path, &key));
            TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, &group));
            TRY(jinja_list_new(r, LIST_TUPLE, 2, v->caller, &pair));
            TRY(jinja_list_add(r, pair.list, &key));
            TRY(jinja_list_add(r, pair.list, &group));
            TRY(jinja_list_add(r, out->list, &pair));
        }
        TRY(jinja_list_add(r, group.list, keys[i].item));
    }
    return GLLM_OK;
}

/* Rows of n items, the last one filled up. */
static gllm_status batch(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *fill = jinja_arg(args, 1, "fill_with");
    struct jinja_value row = jinja_none();
    struct jinja_list *l;
    int64_t n;
    TRY(jinja_args_check(r, args, "batch", 1, 2, (const char *const[]){"linecount", "fill_with", NULL}));
    TRY(jinja_arg_int(r, jinja_arg(args, 0, "linecount"), "batch", &n));
    if (n < 1) return jinja_fail(r, "batch: found rows of %lld, expected at least 1", (long long)n);
    TRY(jinja_iterate(r, v, &l));
    TRY(jinja_list_new(r, LIST_GENERATOR, 0, v->caller, out));
    for (size_t i = 0; i < l->count; i++) {
        if (i % (size_t)n == 0) {
            TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, &row));
            TRY(jinja_list_add(r, out->list, &row));
        }
        TRY(jinja_list_add(r, row.list, &l->items[i]));
    }
    while (fill && fill->kind != JINJA_NONE && l->count && row.list->count < (size_t)n) TRY(jinja_list_add(r, row.list, fill));
    return GLLM_OK;
}

/* n columns, the first ones longer by one. */
static gllm_status slice(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *fill = jinja_arg(args, 1, "fill_with");
    struct jinja_list *l;
    int64_t n;
    size_t at = 0;
    TRY(jinja_args_check(r, args, "slice", 1, 2, (const char *const[]){"slices", "fill_with", NULL}));
    TRY(jinja_arg_int(r, jinja_arg(args, 0, "slices"), "slice", &n));
    if (n < 1) return jinja_fail(r, "slice: found %lld columns, expected at least 1", (long long)n);
    TRY(jinja_iterate(r, v, &l));
    TRY(jinja_list_new(r, LIST_GENERATOR, 0, v->caller, out));
    for (size_t i = 0; i < (size_t)n; i++) {
        struct jinja_value row;
        const bool longer = i < l->count % (size_t)n;
        TRY(jinja_list_new(r, LIST_PLAIN, 0, v->caller, &row));
        for (size_t k = l->count / (size_t)n + longer; k-- > 0;) TRY(jinja_list_add(r, row.list, &l->items[at++]));
        if (fill && fill->kind != JINJA_NONE && !longer) TRY(jinja_list_add(r, row.list, fill));
        TRY(jinja_list_add(r, out->list, &row));
    }
    return GLLM_OK;
}

/* ---- each item ---- */

static struct jinja_args rest_of(const struct jinja_args *args, size_t n) {
    return (struct jinja_args){args->count > n ? args->list + n : NULL, args->count > n ? args->count - n : 0, args->named, args->n_named};
}

static gllm_status map_attribute(struct jinja_run *r, const struct jinja_value *item, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *otherwise = jinja_arg(args, SIZE_MAX, "default");
    TRY(attribute(r, item, jinja_arg(args, SIZE_MAX, "attribute"), out));
    if (out->kind == JINJA_UNDEFINED && otherwise && otherwise->kind != JINJA_NONE) *out = *otherwise;
    return GLLM_OK;
}

static gllm_status map(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_args rest = rest_of(args, 1);
    struct jinja_list *l;
    TRY(jinja_iterate(r, v, &l));
    if (!args->count && !jinja_arg(args, SIZE_MAX, "attribute")) return jinja_fail(r, "map: expected the name of a filter, or attribute=");
    if (args->count && args->list[0].kind != JINJA_STRING) return jinja_fail(r, "map: found %s, expected the name of a filter", jinja_kind_name(&args->list[0]));
    TRY(jinja_list_new(r, LIST_GENERATOR, 0, v->caller, out));
    for (size_t i = 0; i < l->count; i++) {
        struct jinja_value x;
        if (args->count) TRY(jinja_filter_call(r, args->list[0].s, &l->items[i], &rest, &x));
        else TRY(map_attribute(r, &l->items[i], args, &x));
        TRY(jinja_list_add(r, out->list, &x));
    }
    return jinja_charge(r, l->count);
}

/* select, reject, selectattr, rejectattr: items whose value, or attribute, passes a test (is true). */
static gllm_status choose(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, bool keep, bool attr, struct jinja_value *out) {
    const size_t n = attr ? 1 : 0;
    const struct jinja_args rest = rest_of(args, n + 1);
    struct jinja_list *l;
    TRY(jinja_iterate(r, v, &l));
    if (args->count < n) return jinja_fail(r, "expected the name of an attribute");
    if (args->count > n && args->list[n].kind != JINJA_STRING) return jinja_fail(r, "found %s, expected the name of a test", jinja_kind_name(&args->list[n]));
    TRY(jinja_list_new(r, LIST_GENERATOR, 0, v->caller, out));
    for (size_t i = 0; i < l->count; i++) {
        struct jinja_value x;
        bool holds;
        TRY(attribute(r, &l->items[i], attr ? &args->list[0] : NULL, &x));
        if (args->count > n) TRY(jinja_test_call(r, args->list[n].s, &x, &rest, &holds));
        else holds = jinja_truth(&x);
        if (holds == keep) TRY(jinja_list_add(r, out->list, &l->items[i]));
    }
    return jinja_charge(r, l->count);
}
static gllm_status select_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return choose(r, v, args, true, false, out); }
static gllm_status reject(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return choose(r, v, args, false, false, out); }
static gllm_status selectattr(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return choose(r, v, args, true, true, out); }
static gllm_status rejectattr(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return choose(r, v, args, false, true, out); }

const struct jinja_filter JINJA_SEQ_FILTERS[] = {
    {"length", length, 0, {0}}, {"count", length, 0, {0}}, {"first", first, 0, {0}}, {"last", last, 0, {0}}, {"list", list, 0, {0}}, {"reverse", reverse, 0, {0}},
    {"join", join, 2, {"d", "attribute"}}, {"sort", sort, 3, {"reverse", "case_sensitive", "attribute"}}, {"dictsort", dictsort, 3, {"case_sensitive", "by", "reverse"}}, {"items", items, 0, {0}},
    {"min", min_, 2, {"case_sensitive", "attribute"}}, {"max", max_, 2, {"case_sensitive", "attribute"}}, {"sum", sum, 2, {"attribute", "start"}},
    {"unique", unique, 2, {"case_sensitive", "attribute"}}, {"groupby", groupby, 3, {"attribute", "default", "case_sensitive"}}, {"batch", batch, 2, {"linecount", "fill_with"}},
    {"slice", slice, 2, {"slices", "fill_with"}}, {"map", map, JINJA_ANY_NUMBER, {0}}, {"select", select_, JINJA_ANY_NUMBER, {0}}, {"reject", reject, JINJA_ANY_NUMBER, {0}},
    {"selectattr", selectattr, JINJA_ANY_NUMBER, {0}}, {"rejectattr", rejectattr, JINJA_ANY_NUMBER, {0}}, {NULL, NULL, 0, {0}},
};
