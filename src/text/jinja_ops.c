/* jinja_ops.c - operators, comparisons, attributes, subscripts and slices. */
#include <math.h>

#include "text/jinja_impl.h"

static bool whole(const struct jinja_value *v) { return v->kind == JINJA_INT || v->kind == JINJA_BOOL; }
static bool number(const struct jinja_value *v) { return whole(v) || v->kind == JINJA_FLOAT; }
static int64_t int_of(const struct jinja_value *v) { return v->kind == JINJA_BOOL ? v->b : v->i; }
static double float_of(const struct jinja_value *v) { return v->kind == JINJA_FLOAT ? v->f : (double)int_of(v); }

/* ---- arithmetic ---- */

static gllm_status int_power(struct jinja_run *r, int64_t base, int64_t n, bool caller, struct jinja_value *out) {
    int64_t v = 1;
    if (n < 0) {
        if (!base) return jinja_fail(r, "division by zero");
        *out = jinja_float(pow((double)base, (double)n), caller);
        return GLLM_OK;
    }
    while (n) {
        if ((n & 1) && __builtin_mul_overflow(v, base, &v)) return jinja_fail(r, "an integer exceeds 64 bits");
        n >>= 1;
        if (n && __builtin_mul_overflow(base, base, &base)) return jinja_fail(r, "an integer exceeds 64 bits");
    }
    *out = jinja_int(v, caller);
    return GLLM_OK;
}

static gllm_status int_op(struct jinja_run *r, int op, int64_t a, int64_t b, bool caller, struct jinja_value *out) {
    bool over = false;
    int64_t v = 0;
    if ((op == JINJA_OP('/', '/') || op == '%' || op == '/') && !b) return jinja_fail(r, "division by zero");
    switch (op) {
    case '+': over = __builtin_add_overflow(a, b, &v); break;
    case '-': over = __builtin_sub_overflow(a, b, &v); break;
    case '*': over = __builtin_mul_overflow(a, b, &v); break;
    case '%': v = b == -1 ? 0 : a % b; v += v && (v < 0) != (b < 0) ? b : 0; break;
    case JINJA_OP('/', '/'):
        over = a == INT64_MIN && b == -1;
        if (!over) v = a / b - (a % b && (a % b < 0) != (b < 0));
        break;
    case '/': *out = jinja_float((double)a / (double)b, caller); return GLLM_OK;
    default: return int_power(r, a, b, caller, out);
    }
    if (over) return jinja_fail(r, "an integer exceeds 64 bits");
    *out = jinja_int(v, caller);
    return GLLM_OK;
}

static gllm_status float_op(struct jinja_run *r, int op, double a, double b, bool caller, struct jinja_value *out) {
    double v;
    if ((op == '/' || op == '%' || op == JINJA_OP('/', '/')) && b == 0) return jinja_fail(r, "division by zero");
    double mod = fmod(a, b);
    if (mod != 0 ? (mod < 0) != (b < 0) : false) mod += b;
    if (mod == 0) mod = copysign(0.0, b);
    switch (op) {
    case '+': v = a + b; break;
    case '-': v = a - b; break;
    case '*': v = a * b; break;
    case '/': v = a / b; break;
    case '%': v = mod; break;
    case JINJA_OP('/', '/'): { /* as CPython: the quotient that goes with the remainder */
        const double div = (a - mod) / b, low = floor(div);
        v = div == 0 ? copysign(0.0, a / b) : div - low > 0.5 ? low + 1 : low;
        break;
    }
    default:
        if (a == 0 && b < 0) return jinja_fail(r, "division by zero");
        if (a < 0 && b != floor(b)) return jinja_fail(r, "a power is not a real number");
        v = pow(a, b);
        if (isinf(v) && isfinite(a) && isfinite(b)) return jinja_fail(r, "a power exceeds what a float can be");
    }
    *out = jinja_float(v, caller);
    return GLLM_OK;
}

static gllm_status repeat(struct jinja_run *r, const struct jinja_value *v, int64_t n, struct jinja_value *out) {
    if (n < 0) n = 0;
    if (v->kind == JINJA_STRING) {
        struct jinja_out o = {0};
        for (int64_t i = 0; v->s.len && i < n; i++) {
            TRY(jinja_out_add(r, &o, v->s));
            TRY(jinja_charge(r, 1));
        }
        *out = jinja_string(jinja_out_str(&o));
        out->markup = v->markup;
        return GLLM_OK;
    }
    TRY(jinja_list_new(r, v->list->kind, 0, v->caller, out));
    for (int64_t i = 0; v->list->count && i < n; i++)
        for (size_t k = 0; k < v->list->count; k++) {
            TRY(jinja_list_add(r, out->list, &v->list->items[k]));
            TRY(jinja_charge(r, 1));
        }
    return GLLM_OK;
}

static bool repeats(const struct jinja_value *v) { return v->kind == JINJA_STRING || (v->kind == JINJA_LIST && v->list->kind <= LIST_TUPLE); }

/* Strings; one that is markup has the other escaped. */
static gllm_status add_strings(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, struct jinja_value *out) {
    struct jinja_str x = a->s, y = b->s;
    if (b->markup && !a->markup) TRY(jinja_escape(r, x, &x));
    if (a->markup && !b->markup) TRY(jinja_escape(r, y, &y));
    *out = jinja_string(x);
    TRY(jinja_concat(r, x, y, &out->s));
    out->markup = a->markup || b->markup;
    return GLLM_OK;
}

static gllm_status add_lists(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, struct jinja_value *out) {
    TRY(jinja_list_new(r, a->list->kind, a->list->count + b->list->count, a->caller || b->caller, out));
    for (size_t i = 0; i < a->list->count; i++) TRY(jinja_list_add(r, out->list, &a->list->items[i]));
    for (size_t i = 0; i < b->list->count; i++) TRY(jinja_list_add(r, out->list, &b->list->items[i]));
    return jinja_charge(r, a->list->count + b->list->count);
}

static const char *op_name(int op, char room[3]) {
    room[0] = (char)(op & 255), room[1] = (char)(op >> 8), room[2] = '\0';
    return room;
}

gllm_status jinja_binary(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b, struct jinja_value *out) {
    char room[3];
    if (a->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, a);
    if (op == '%' && a->kind == JINJA_STRING) {
        *out = jinja_string(a->s);
        return jinja_format(r, a->s, b, &out->s);
    }
    if (b->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, b);
    if (whole(a) && whole(b)) return int_op(r, op, int_of(a), int_of(b), a->caller || b->caller, out);
    if (number(a) && number(b)) return float_op(r, op, float_of(a), float_of(b), a->caller || b->caller, out);
    if (op == '+' && a->kind == JINJA_STRING && b->kind == JINJA_STRING) return add_strings(r, a, b, out);
    if (op == '+' && a->kind == JINJA_LIST && b->kind == JINJA_LIST && a->list->kind == b->list->kind && a->list->kind <= LIST_TUPLE) return add_lists(r, a, b, out);
    if (op == '*' && whole(b) && repeats(a)) return repeat(r, a, int_of(b), out);
    if (op == '*' && whole(a) && repeats(b)) return repeat(r, b, int_of(a), out);
    return jinja_fail(r, "%s is not supported between %s and %s", op_name(op, room), jinja_kind_name(a), jinja_kind_name(b));
}

static gllm_status contains(struct jinja_run *r, const struct jinja_value *what, const struct jinja_value *in, bool *out) {
    struct jinja_value *found;
    struct jinja_list *l;
    *out = false;
    if (in->kind == JINJA_DICT) {
        TRY(jinja_dict_get(r, in->dict, what, &found));
        *out = found != NULL;
        return GLLM_OK;
    }
    if (in->kind == JINJA_STRING) {
        if (what->kind != JINJA_STRING) return jinja_fail(r, "\"in\" a str needs a str, not %s", jinja_kind_name(what));
        *out = jinja_find(in->s, what->s, 0) != SIZE_MAX;
        return jinja_charge(r, in->s.len / 32);
    }
    TRY(jinja_iterate(r, in, &l));
    for (size_t i = 0; !*out && i < l->count; i++) TRY(jinja_equal(r, &l->items[i], what, out));
    return GLLM_OK;
}

gllm_status jinja_compare(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b, bool *out) {
    char room[3];
    int c;
    switch (op) {
    case JINJA_OP('=', '='): return jinja_equal(r, a, b, out);
    case JINJA_OP('!', '='):
        TRY(jinja_equal(r, a, b, out));
        *out = !*out;
        return GLLM_OK;
    case 'i': return contains(r, a, b, out);
    case 'n':
        TRY(contains(r, a, b, out));
        *out = !*out;
        return GLLM_OK;
    default: break;
    }
    TRY(jinja_order(r, a, b, op_name(op, room), &c));
    *out = c != 2 && (op == '<' ? c < 0 : op == '>' ? c > 0 : op == JINJA_OP('<', '=') ? c <= 0 : c >= 0);
    return GLLM_OK;
}

/* ---- attributes and subscripts ---- */

static gllm_status loop_attr(const struct jinja_loop *l, bool caller, struct jinja_str name, struct jinja_value *out) {
    const int64_t i = (int64_t)l->index, n = (int64_t)l->list->count;
    const struct {
        const char *name;
        int64_t value;
    } NUMBERS[] = {{"index", i + 1}, {"index0", i}, {"revindex", n - i}, {"revindex0", n - i - 1}, {"length", n}, {"depth", l->depth + 1}, {"depth0", l->depth}};
    for (unsigned k = 0; k < sizeof NUMBERS / sizeof *NUMBERS; k++)
        if (jinja_is(name, NUMBERS[k].name)) *out = jinja_int(NUMBERS[k].value, caller);
    if (jinja_is(name, "first")) *out = jinja_bool(i == 0, caller);
    if (jinja_is(name, "last")) *out = jinja_bool(i + 1 == n, caller);
    if (jinja_is(name, "previtem") && i > 0) *out = l->list->items[i - 1];
    if (jinja_is(name, "nextitem") && i + 1 < n) *out = l->list->items[i + 1];
    return GLLM_OK;
}

gllm_status jinja_attr(struct jinja_run *r, const struct jinja_value *v, struct jinja_str name, struct jinja_value *out) {
    *out = jinja_undefined(name);
    if (v->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, v);
    if (jinja_method_known(v, name)) {
        void *m;
        TRY(jinja_alloc(r, sizeof(struct jinja_method), &m));
        *(struct jinja_method *)m = (struct jinja_method){*v, name};
        *out = (struct jinja_value){.kind = JINJA_METHOD, .caller = v->caller, .method = m};
        return GLLM_OK;
    }
    if (v->kind == JINJA_LOOP) return loop_attr(v->loop, v->caller, name, out);
    if (v->kind == JINJA_CYCLER && jinja_is(name, "current")) *out = v->cycle->items[v->cycle->at];
    if (v->kind == JINJA_MACRO && jinja_is(name, "name")) *out = v->macro->node->v;
    if (v->kind == JINJA_DICT || v->kind == JINJA_NAMESPACE) {
        const struct jinja_value *x = jinja_dict_text(r, v->dict, name);
        if (x) *out = *x;
    }
    return GLLM_OK;
}

/* Where character i of s begins; s.len behind the last. */
static size_t char_at(struct jinja_str s, int64_t i) {
    size_t at = 0;
    while (i-- > 0 && at < s.len) at += jinja_char(s.p + at, s.len - at);
    return at;
}

static gllm_status element(struct jinja_run *r, const struct jinja_value *v, int64_t i, struct jinja_value *out) {
    size_t n;
    if (v->kind != JINJA_STRING && (v->kind != JINJA_LIST || v->list->kind > LIST_RANGE)) return GLLM_OK;
    TRY(jinja_length(r, v, &n));
    if (i < 0) i += (int64_t)n;
    if (i < 0 || i >= (int64_t)n) return GLLM_OK;
    if (v->kind == JINJA_LIST) *out = v->list->items[i];
    else {
        const size_t at = char_at(v->s, i);
        *out = *v;
        jinja_str_part(v->s, at, jinja_char(v->s.p + at, v->s.len - at), &out->s);
    }
    return GLLM_OK;
}

gllm_status jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key, struct jinja_value *out) {
    struct jinja_value *found = NULL;
    *out = jinja_undefined(key->kind == JINJA_STRING ? key->s : jinja_text_of("the item asked for"));
    if (v->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, v);
    if (v->kind == JINJA_DICT) {
        TRY(jinja_dict_get(r, v->dict, key, &found));
        if (found) *out = *found;
        if (found || key->kind != JINJA_STRING) return GLLM_OK;
    }
    if (key->kind == JINJA_STRING) return jinja_attr(r, v, key->s, out);
    return whole(key) ? element(r, v, int_of(key), out) : GLLM_OK;
}

/* A bound of a slice as Python clips it for a length of n. */
static gllm_status bound(struct jinja_run *r, const struct jinja_value *v, int64_t n, int64_t step, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    if (!v || v->kind == JINJA_NONE) return GLLM_OK;
    if (!whole(v)) return jinja_fail(r, "a slice needs integers, not %s", jinja_kind_name(v));
    int64_t i = int_of(v);
    if (i < 0) i = i < -n ? (step < 0 ? -1 : 0) : i + n;
    else if (i >= n) i = step < 0 ? n - 1 : n;
    *out = i;
    return GLLM_OK;
}

static gllm_status slice_string(struct jinja_run *r, const struct jinja_value *v, int64_t from, int64_t to, int64_t step, struct jinja_value *out) {
    *out = *v;
    if (step == 1) {
        const size_t a = char_at(v->s, from), b = to > from ? a + char_at((struct jinja_str){v->s.p + a, NULL, v->s.len - a}, to - from) : a;
        jinja_str_part(v->s, a, b - a, &out->s);
        return GLLM_OK;
    }
    struct jinja_list *chars;
    struct jinja_out o = {0};
    TRY(jinja_iterate(r, v, &chars));
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        TRY(jinja_out_add(r, &o, chars->items[i].s));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    out->s = jinja_out_str(&o);
    return GLLM_OK;
}

/* A slice of a range is a range: its bounds are numbers of the first one, or the number that would follow. */
static gllm_status slice_range(struct jinja_run *r, const struct jinja_value *v, int64_t from, int64_t to, int64_t step, struct jinja_value *out) {
    const struct jinja_value *bounds = v->list->items + v->list->count;
    const int64_t count = step > 0 ? (to > from ? (to - from - 1) / step + 1 : 0) : (from > to ? (from - to - 1) / -step + 1 : 0);
    int64_t by, first, last;
    if (__builtin_mul_overflow(bounds[2].i, step, &by) || __builtin_mul_overflow(bounds[2].i, from, &first) || __builtin_add_overflow(bounds[0].i, first, &first) ||
        __builtin_mul_overflow(bounds[2].i, to, &last) || __builtin_add_overflow(bounds[0].i, last, &last))
        return jinja_fail(r, "an integer exceeds 64 bits");
    return jinja_range(r, first, last, by, (size_t)count, v->caller, out);
}

gllm_status jinja_slice(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *first, const struct jinja_value *last, const struct jinja_value *by, struct jinja_value *out) {
    size_t length;
    int64_t step = 1, from, to;
    if (v->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, v);
    *out = jinja_undefined(jinja_text_of("the slice of what has none"));
    if (v->kind != JINJA_STRING && (v->kind != JINJA_LIST || v->list->kind > LIST_RANGE)) return GLLM_OK;
    TRY(jinja_length(r, v, &length));
    const int64_t n = (int64_t)length;
    if (by && by->kind != JINJA_NONE) {
        if (!whole(by)) return jinja_fail(r, "a slice needs integers, not %s", jinja_kind_name(by));
        step = int_of(by);
    }
    if (!step) return jinja_fail(r, "a slice's step cannot be 0");
    if (step == INT64_MIN) step++; /* so that it has a negative; as far */
    TRY(bound(r, first, n, step, step < 0 ? n - 1 : 0, &from));
    TRY(bound(r, last, n, step, step < 0 ? -1 : n, &to));
    if (v->kind == JINJA_STRING) return slice_string(r, v, from, to, step, out);
    if (v->list->kind == LIST_RANGE) return slice_range(r, v, from, to, step, out);
    TRY(jinja_list_new(r, v->list->kind, 0, v->caller, out));
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        TRY(jinja_list_add(r, out->list, &v->list->items[i]));
        TRY(jinja_charge(r, 1));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return GLLM_OK;
}
