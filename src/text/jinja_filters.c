/* jinja_filters.c - filters of one value: text, numbers, JSON. Those of sequences are in jinja_seq.c. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"
#include "text/jinja_impl.h"
#include "text/parts.h"

/* ---- text ---- */

static gllm_status string(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    (void)args;
    *out = *v;
    if (v->kind == JINJA_STRING) return GLLM_OK;
    *out = jinja_string(jinja_text_of(""));
    return jinja_str_of(r, v, &out->s);
}

/* The method of that name of str(v). */
static gllm_status by_method(struct jinja_run *r, const char *name, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_method m = {.name = jinja_text_of(name)};
    TRY(string(r, v, &(struct jinja_args){0}, &m.self));
    return jinja_method_call(r, &m, args, out);
}
static gllm_status upper(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return by_method(r, "upper", v, args, out); }
static gllm_status lower(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return by_method(r, "lower", v, args, out); }
static gllm_status capitalize(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) { return by_method(r, "capitalize", v, args, out); }

static gllm_status trim(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *chars = jinja_arg(args, 0, "chars");
    struct jinja_value none = jinja_none();
    return by_method(r, "strip", v, &(struct jinja_args){chars ? (struct jinja_value *)(uintptr_t)chars : &none, 1, NULL, 0}, out);
}

static gllm_status center(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *width = jinja_arg(args, 0, "width");
    struct jinja_value n = width ? *width : jinja_int(80, false);
    return by_method(r, "center", v, &(struct jinja_args){&n, 1, NULL, 0}, out);
}

/* Words begin behind white space, hyphens and opening brackets. */
static gllm_status title(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value s;
    struct jinja_out o = {0};
    TRY(string(r, v, args, &s));
    bool inside = false;
    for (size_t i = 0, n; i < s.s.len; i += n) {
        struct jinja_str c, changed;
        n = jinja_char(s.s.p + i, s.s.len - i);
        jinja_str_part(s.s, i, n, &c);
        const bool border = jinja_space(c.p, n) || (n == 1 && strchr("-({[<", c.p[0]) && c.p[0]);
        TRY(jinja_map_case(r, c, inside ? "lower" : "upper", &changed));
        TRY(jinja_out_add(r, &o, changed));
        inside = !border;
        TRY(jinja_charge(r, 1));
    }
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

static gllm_status replace(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *count = jinja_arg(args, 2, "count");
    struct jinja_value s;
    struct jinja_str old, to;
    int64_t n = -1;
    TRY(jinja_args_check(r, args, "replace", 2, 3, (const char *const[]){"old", "new", "count", NULL}));
    TRY(string(r, v, args, &s));
    TRY(jinja_str_of(r, jinja_arg(args, 0, "old"), &old));
    TRY(jinja_str_of(r, jinja_arg(args, 1, "new"), &to));
    if (count && count->kind != JINJA_NONE) TRY(jinja_arg_int(r, count, "replace", &n));
    *out = s;
    return jinja_replace(r, s.s, old, to, n, &out->s);
}

static gllm_status indent(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *width = jinja_arg(args, 0, "width");
    struct jinja_value s, lines;
    struct jinja_str by = jinja_text_of("    ");
    struct jinja_out o = {0}, blanks = {0};
    const bool first = jinja_arg_flag(args, 1, "first"), blank = jinja_arg_flag(args, 2, "blank");
    if (width && width->kind == JINJA_STRING) by = width->s;
    else if (width) {
        int64_t n;
        TRY(jinja_arg_int(r, width, "indent", &n));
        for (int64_t i = 0; i < n; i++) TRY(jinja_out_put(r, &blanks, " ", 1, width->caller));
        by = jinja_out_str(&blanks);
    }
    TRY(string(r, v, args, &s));
    TRY(jinja_concat(r, s.s, jinja_text_of("\n"), &s.s)); /* so that a line end at the end is kept */
    TRY(by_method(r, "splitlines", &s, &(struct jinja_args){0}, &lines));
    for (size_t i = 0; i < lines.list->count; i++) {
        const struct jinja_str line = lines.list->items[i].s;
        if (i) TRY(jinja_out_put(r, &o, "\n", 1, false));
        if (i ? blank || line.len : first) TRY(jinja_out_add(r, &o, by));
        TRY(jinja_out_add(r, &o, line));
    }
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

static gllm_status escape(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    TRY(string(r, v, args, out));
    if (!out->markup) TRY(jinja_escape(r, out->s, &out->s));
    out->markup = true;
    return GLLM_OK;
}

static gllm_status forceescape(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value s;
    TRY(string(r, v, args, &s));
    s.markup = false;
    return escape(r, &s, args, out);
}

static gllm_status wordcount(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value s;
    int64_t count = 0;
    bool inside = false;
    TRY(string(r, v, args, &s));
    for (size_t i = 0, n; i < s.s.len; i += n) {
        uint32_t cp = 0;
        n = jinja_char(s.s.p + i, s.s.len - i);
        utf8_read(s.s.p + i, n, &cp);
        count += !inside && unicode_is_word(cp);
        inside = unicode_is_word(cp);
    }
    *out = jinja_int(count, jinja_caller(v));
    return jinja_charge(r, s.s.len / 8);
}

static gllm_status safe(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    TRY(string(r, v, args, out));
    out->markup = true;
    return GLLM_OK;
}

static gllm_status format(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value s, values;
    if (args->count && args->n_named) return jinja_fail(r, "format: found arguments with and without names");
    TRY(string(r, v, args, &s));
    if (args->n_named) {
        TRY(jinja_dict_new(r, false, &values));
        for (size_t i = 0; i < args->n_named; i++) TRY(jinja_dict_put(r, values.dict, &args->named[i].key, &args->named[i].value));
    } else {
        TRY(jinja_list_new(r, LIST_TUPLE, 0, false, &values));
        for (size_t i = 0; i < args->count; i++) TRY(jinja_list_add(r, values.list, &args->list[i]));
    }
    *out = jinja_string(s.s);
    return jinja_format(r, s.s, &values, &out->s);
}

/* ---- any value ---- */

static gllm_status default_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *other = jinja_arg(args, 0, "default_value");
    (void)r;
    const bool truth = !jinja_arg_flag(args, 1, "boolean") || jinja_truth(v);
    *out = v->kind != JINJA_UNDEFINED && truth ? *v : other ? *other : jinja_string(jinja_text_of(""));
    return GLLM_OK;
}

static gllm_status attr(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str name;
    TRY(jinja_args_check(r, args, "attr", 1, 1, (const char *const[]){"name", NULL}));
    TRY(jinja_str_of(r, jinja_arg(args, 0, "name"), &name));
    *out = jinja_undefined(name);
    if (v->kind == JINJA_DICT && !jinja_method_known(v, name)) return GLLM_OK; /* its keys are no attributes */
    return jinja_attr(r, v, name, out);
}

static gllm_status tojson(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *indent = jinja_arg(args, 1, "indent"), *separators = jinja_arg(args, 2, "separators");
    struct jinja_json_style style = {.ascii = jinja_arg_flag(args, 0, "ensure_ascii"), .sort = jinja_arg_flag(args, 3, "sort_keys"), .item = jinja_text_of(", "), .key = jinja_text_of(": ")};
    struct jinja_out o = {0}, blanks = {0};
    struct jinja_str by;
    if (indent && indent->kind == JINJA_NONE) indent = NULL;
    if (indent) {
        by = indent->s;
        if (indent->kind != JINJA_STRING) {
            int64_t n;
            TRY(jinja_arg_int(r, indent, "tojson", &n));
            for (int64_t i = 0; i < n; i++) TRY(jinja_out_put(r, &blanks, " ", 1, indent->caller));
            by = jinja_out_str(&blanks);
        }
        style.indent = &by;
        style.item = jinja_text_of(",");
    }
    if (separators && separators->kind != JINJA_NONE) {
        struct jinja_list *l;
        TRY(jinja_iterate(r, separators, &l));
        if (l->count != 2 || l->items[0].kind != JINJA_STRING || l->items[1].kind != JINJA_STRING) return jinja_fail(r, "tojson: separators: expected two strings");
        style.item = l->items[0].s, style.key = l->items[1].s;
    }
    TRY(jinja_json(r, v, &style, 0, &o));
    *out = jinja_string(jinja_out_str(&o));
    return GLLM_OK;
}

/* ---- numbers ---- */

/* What Python's int() and float() read: blanks around, underscores between digits. False: no number. */
static bool number_text(struct jinja_str s, char *room, size_t size) {
    size_t n = 0;
    s = jinja_strip(s, NULL, true, true);
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '_' && i && i + 1 < s.len && s.p[i - 1] != '_') continue;
        if (n + 1 == size || !s.p[i] || s.p[i] == '_' || (unsigned char)s.p[i] >= 0x80 || s.p[i] == ' ') return false;
        room[n++] = s.p[i];
    }
    room[n] = '\0';
    return n != 0 && !strpbrk(room, "xXpP");
}

static bool float_text(struct jinja_str s, double *out) {
    char room[512], *end;
    if (!number_text(s, room, sizeof room)) return false;
    *out = number_parse(room, &end);
    return !*end && !strchr(room, '(');
}

static gllm_status whole_part(struct jinja_run *r, double f, bool caller, struct jinja_value *out) {
    if (!(f >= -0x1p63 && f < 0x1p63)) return jinja_fail(r, "int: a number exceeds 64 bits");
    *out = jinja_int((int64_t)f, caller);
    return GLLM_OK;
}

static gllm_status int_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *other = jinja_arg(args, 0, "default"), *base_arg = jinja_arg(args, 1, "base");
    int64_t base = 10;
    char room[128], *end;
    double f = NAN;
    if (base_arg) TRY(jinja_arg_int(r, base_arg, "int", &base));
    *out = other ? *other : jinja_int(0, false);
    if (v->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, v);
    if (v->kind == JINJA_INT || v->kind == JINJA_BOOL) *out = jinja_int(v->kind == JINJA_INT ? v->i : v->b, v->caller);
    if (v->kind == JINJA_FLOAT && isfinite(v->f)) return whole_part(r, v->f, v->caller, out);
    if (v->kind != JINJA_STRING) return GLLM_OK;
    if (base != 10 || number_text(v->s, room, sizeof room)) {
        const struct jinja_str s = jinja_strip(v->s, NULL, true, true);
        if (base != 10) snprintf(room, sizeof room, "%.*s", JINJA_SHOWN(s));
        if (base != 0 && (base < 2 || base > 36)) return GLLM_OK;
        const char *digits = room + ((base == 2 || base == 8) && room[0] == '0' && (room[1] | 32) == (base == 2 ? 'b' : 'o') ? 2 : 0);
        errno = 0;
        const long long i = strtoll(digits, &end, (int)base);
        if (!*end && *digits && errno) return jinja_fail(r, "int: a number exceeds 64 bits");
        if (!*end && *digits) {
            *out = jinja_int(i, jinja_caller(v));
            return GLLM_OK;
        }
    }
    return float_text(v->s, &f) && isfinite(f) ? whole_part(r, f, jinja_caller(v), out) : GLLM_OK;
}

static gllm_status float_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *other = jinja_arg(args, 0, "default");
    double f;
    *out = other ? *other : jinja_float(0, false);
    if (v->kind == JINJA_UNDEFINED) return jinja_fail_undefined(r, v);
    if (v->kind == JINJA_INT || v->kind == JINJA_BOOL) *out = jinja_float(v->kind == JINJA_INT ? (double)v->i : v->b, v->caller);
    if (v->kind == JINJA_FLOAT) *out = *v;
    if (v->kind == JINJA_STRING && float_text(v->s, &f)) *out = jinja_float(f, jinja_caller(v));
    return GLLM_OK;
}

static gllm_status abs_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value zero = jinja_int(0, false);
    bool negative;
    (void)args;
    if (v->kind == JINJA_FLOAT) {
        *out = jinja_float(fabs(v->f), v->caller);
        return GLLM_OK;
    }
    if (v->kind != JINJA_INT && v->kind != JINJA_BOOL) return jinja_fail(r, "abs: found %s, expected a number", jinja_kind_name(v));
    TRY(jinja_compare(r, '<', v, &zero, &negative));
    return jinja_binary(r, negative ? '-' : '+', &zero, v, out);
}

/* Python's round(): to the nearest decimal of the exact value, halves to even. */
static double nearest(double f, int64_t precision) {
    char room[400];
    if (!isfinite(f) || precision > 300) return f;
    if (precision < 0) {
        const double unit = pow(10, (double)-precision);
        return precision < -300 ? 0.0 * f : rint(f / unit) * unit;
    }
    number_print(room, sizeof room, "%.*f", (int)precision, f); /* exact, and halves to even, in every libc with correct rounding */
    return number_parse(room, NULL);
}

static gllm_status round_(struct jinja_run *r, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *places = jinja_arg(args, 0, "precision"), *method = jinja_arg(args, 1, "method");
    int64_t precision = 0;
    struct jinja_str how = jinja_text_of("common");
    if (places) TRY(jinja_arg_int(r, places, "round", &precision));
    if (method && method->kind == JINJA_STRING) how = method->s;
    if (v->kind != JINJA_INT && v->kind != JINJA_BOOL && v->kind != JINJA_FLOAT) return jinja_fail(r, "round: found %s, expected a number", jinja_kind_name(v));
    const double f = v->kind == JINJA_FLOAT ? v->f : v->kind == JINJA_INT ? (double)v->i : v->b;
    if (jinja_is(how, "common")) {
        if (v->kind != JINJA_FLOAT && precision >= 0) *out = jinja_int(v->kind == JINJA_INT ? v->i : v->b, v->caller);
        else if (v->kind != JINJA_FLOAT) return whole_part(r, nearest(f, precision), v->caller, out);
        else *out = jinja_float(nearest(f, precision), v->caller);
        return GLLM_OK;
    }
    if (!jinja_is(how, "ceil") && !jinja_is(how, "floor")) return jinja_fail(r, "round: found the method \"%.*s\", expected common, ceil or floor", JINJA_SHOWN(how));
    const double scale = pow(10, (double)precision);
    *out = jinja_float((jinja_is(how, "ceil") ? ceil(f * scale) : floor(f * scale)) / scale, v->caller);
    return GLLM_OK;
}

/* ---- the table ---- */

static const struct jinja_filter FILTERS[] = {
    {"tojson", tojson, 4, {"ensure_ascii", "indent", "separators", "sort_keys"}}, {"trim", trim, 1, {"chars"}}, {"default", default_, 2, {"default_value", "boolean"}},
    {"d", default_, 2, {"default_value", "boolean"}}, {"string", string, 0, {0}}, {"upper", upper, 0, {0}}, {"lower", lower, 0, {0}}, {"capitalize", capitalize, 0, {0}}, {"title", title, 0, {0}},
    {"replace", replace, 3, {"old", "new", "count"}}, {"indent", indent, 3, {"width", "first", "blank"}}, {"escape", escape, 0, {0}}, {"e", escape, 0, {0}}, {"safe", safe, 0, {0}}, {"forceescape", forceescape, 0, {0}}, {"wordcount", wordcount, 0, {0}},
    {"format", format, JINJA_ANY_NUMBER, {0}}, {"center", center, 1, {"width"}}, {"attr", attr, 1, {"name"}}, {"int", int_, 2, {"default", "base"}}, {"float", float_, 1, {"default"}}, {"abs", abs_, 0, {0}},
    {"round", round_, 2, {"precision", "method"}}, {NULL, NULL, 0, {0}},
};

static const struct jinja_filter *find_filter(struct jinja_str name) {
    const struct jinja_filter *const tables[] = {FILTERS, JINJA_SEQ_FILTERS};
    for (unsigned k = 0; k < 2; k++)
        for (const struct jinja_filter *f = tables[k]; f->name; f++)
            if (jinja_is(name, f->name)) return f;
    return NULL;
}

bool jinja_filter_exists(struct jinja_str name) { return find_filter(name) != NULL; }

gllm_status jinja_filter_call(struct jinja_run *r, struct jinja_str name, const struct jinja_value *v, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_filter *f = find_filter(name);
    if (!f) return jinja_fail(r, "found the filter \"%.*s\", which does not exist", JINJA_SHOWN(name));
    if (f->most != JINJA_ANY_NUMBER) TRY(jinja_args_check(r, args, f->name, 0, f->most, f->names));
    return f->fn(r, v, args, out);
}
