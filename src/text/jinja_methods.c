/* jinja_methods.c - the methods of strings, dicts, lists, loops and cyclers. Those that change a list or dict do not exist here, as in jinja2's
 * immutable sandbox. */
#include <stdio.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "text/jinja_impl.h"
#include "text/parts.h"

typedef gllm_status (*method_fn)(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out);

static gllm_status text_arg(struct jinja_run *r, const struct jinja_value *v, const char *name, struct jinja_str *out) {
    if (v->kind != JINJA_STRING) return jinja_fail(r, "%s: found %s, expected a str", name, jinja_kind_name(v));
    *out = v->s;
    return GLLM_OK;
}

static void give_text(const struct jinja_value *self, struct jinja_str s, struct jinja_value *out) {
    *out = jinja_string(s);
    out->markup = self->kind == JINJA_STRING && self->markup;
}

/* ---- strings ---- */

static gllm_status strip(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *chars = jinja_arg(args, 0, NULL);
    struct jinja_str set = {0};
    if (chars && chars->kind == JINJA_NONE) chars = NULL;
    if (chars) TRY(text_arg(r, chars, name, &set));
    TRY(jinja_charge(r, self->s.len / 8 * (1 + set.len / 8)));
    give_text(self, jinja_strip(self->s, chars ? &set : NULL, name[0] != 'r', name[0] != 'l'), out);
    return GLLM_OK;
}

static gllm_status add_part(struct jinja_run *r, const struct jinja_value *self, size_t from, size_t to, struct jinja_list *l) {
    struct jinja_value v;
    struct jinja_str s;
    jinja_str_part(self->s, from, to - from, &s);
    give_text(self, s, &v);
    return jinja_list_add(r, l, &v);
}

static void turn_round(struct jinja_list *l) {
    for (size_t i = 0; i < l->count / 2; i++) {
        const struct jinja_value v = l->items[i];
        l->items[i] = l->items[l->count - 1 - i];
        l->items[l->count - 1 - i] = v;
    }
}

static gllm_status split_space(struct jinja_run *r, const struct jinja_value *self, int64_t most, struct jinja_list *l) {
    const struct jinja_str s = self->s;
    size_t at = 0, n;
    for (;;) {
        while ((n = jinja_space(s.p + at, s.len - at))) at += n;
        if (at == s.len) return GLLM_OK;
        if (!most--) return add_part(r, self, at, s.len, l);
        size_t end = at;
        while (end < s.len && !jinja_space(s.p + end, s.len - end)) end += jinja_char(s.p + end, s.len - end);
        TRY(add_part(r, self, at, end, l));
        at = end;
    }
}

static gllm_status rsplit_space(struct jinja_run *r, const struct jinja_value *self, int64_t most, struct jinja_list *l) {
    const char *p = self->s.p;
    size_t end = self->s.len, n;
    for (;;) {
        while ((n = jinja_space_back(p, end))) end -= n;
        if (!end) break;
        size_t at = most ? end : 0;
        while (at && !jinja_space_back(p, at)) at--;
        TRY(add_part(r, self, at, end, l));
        if (!most--) break;
        end = at;
    }
    turn_round(l);
    return GLLM_OK;
}

static gllm_status split_at(struct jinja_run *r, const struct jinja_value *self, struct jinja_str sep, int64_t most, struct jinja_list *l) {
    size_t at = 0, next;
    while (most-- && (next = jinja_find(self->s, sep, at)) != SIZE_MAX) {
        TRY(add_part(r, self, at, next, l));
        at = next + sep.len;
    }
    return add_part(r, self, at, self->s.len, l);
}

/* The last place of `what` that ends at `end` or before; SIZE_MAX: none. */
static gllm_status find_back(struct jinja_run *r, struct jinja_str s, struct jinja_str what, size_t end, size_t *at) {
    *at = SIZE_MAX;
    if (what.len > end) return GLLM_OK;
    for (size_t i = end - what.len + 1; i-- > 0;) {
        if (what.len && s.p[i] != what.p[0]) continue;
        TRY(jinja_charge(r, what.len / 32));
        if (what.len && memcmp(s.p + i, what.p, what.len)) continue;
        *at = i;
        break;
    }
    return GLLM_OK;
}

static gllm_status rsplit_at(struct jinja_run *r, const struct jinja_value *self, struct jinja_str sep, int64_t most, struct jinja_list *l) {
    size_t end = self->s.len, at;
    while (most--) {
        TRY(find_back(r, self->s, sep, end, &at));
        if (at == SIZE_MAX) break;
        TRY(add_part(r, self, at + sep.len, end, l));
        end = at;
    }
    TRY(add_part(r, self, 0, end, l));
    turn_round(l);
    return GLLM_OK;
}

static gllm_status split(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *sep = jinja_arg(args, 0, "sep"), *most = jinja_arg(args, 1, "maxsplit");
    const bool back = name[0] == 'r';
    int64_t n = -1;
    struct jinja_str by;
    if (most) TRY(jinja_arg_int(r, most, name, &n));
    TRY(jinja_list_new(r, LIST_PLAIN, 0, false, out));
    TRY(jinja_charge(r, self->s.len / 4));
    if (n < 0) n = -1;
    if (!sep || sep->kind == JINJA_NONE) return back ? rsplit_space(r, self, n, out->list) : split_space(r, self, n, out->list);
    TRY(text_arg(r, sep, name, &by));
    if (!by.len) return jinja_fail(r, "%s: found an empty separator", name);
    return back ? rsplit_at(r, self, by, n, out->list) : split_at(r, self, by, n, out->list);
}

/* The bytes of the line end that s begins with. */
static size_t line_end(const char *s, size_t len) {
    uint32_t cp = 0;
    const unsigned n = utf8_read(s, len, &cp);
    if (cp == '\r' && len > 1 && s[1] == '\n') return 2;
    return n && (cp == '\n' || cp == '\r' || cp == 0x0B || cp == 0x0C || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029) ? n : 0;
}

static gllm_status splitlines(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *keep = jinja_arg(args, 0, "keepends");
    bool keeps = false;
    (void)name;
    if (keep) keeps = jinja_truth(keep);
    TRY(jinja_list_new(r, LIST_PLAIN, 0, false, out));
    TRY(jinja_charge(r, self->s.len / 4));
    for (size_t at = 0, i = 0; at < self->s.len; at = i) {
        size_t n = 0;
        while (i < self->s.len && !(n = line_end(self->s.p + i, self->s.len - i))) i += jinja_char(self->s.p + i, self->s.len - i);
        TRY(add_part(r, self, at, i + (keeps ? n : 0), out->list));
        i += n;
    }
    return GLLM_OK;
}

/* Byte offset of character i, counted as a slice's bound. */
static gllm_status offset(struct jinja_run *r, struct jinja_str s, const struct jinja_value *v, const char *name, size_t otherwise, size_t *out) {
    int64_t i;
    *out = otherwise;
    if (!v || v->kind == JINJA_NONE) return GLLM_OK;
    TRY(jinja_arg_int(r, v, name, &i));
    TRY(jinja_charge(r, s.len / 8));
    if (i < 0) {
        size_t at = s.len;
        while (i++ < 0 && at) do at--; while (at && ((unsigned char)s.p[at] & 0xC0) == 0x80);
        *out = at;
        return GLLM_OK;
    }
    size_t at = 0;
    while (i-- > 0 && at < s.len) at += jinja_char(s.p + at, s.len - at);
    *out = at;
    return GLLM_OK;
}

/* What a method with (what, start, end) looks at. *from: the byte where it begins. */
static gllm_status window(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_str *out, size_t *from) {
    size_t to;
    TRY(offset(r, self->s, jinja_arg(args, 1, NULL), name, 0, from));
    TRY(offset(r, self->s, jinja_arg(args, 2, NULL), name, self->s.len, &to));
    jinja_str_part(self->s, *from, to > *from ? to - *from : 0, out);
    return GLLM_OK;
}

static gllm_status ends(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_value *what = jinja_arg(args, 0, NULL);
    const bool tuple = what->kind == JINJA_LIST && what->list->kind == LIST_TUPLE;
    struct jinja_str s, part = {0};
    size_t from;
    bool found = false;
    TRY(window(r, self, name, args, &s, &from));
    for (size_t i = 0; i < (tuple ? what->list->count : 1); i++) {
        TRY(text_arg(r, tuple ? &what->list->items[i] : what, name, &part));
        TRY(jinja_charge(r, 1 + part.len / 32));
        if (part.len <= s.len && (!part.len || !memcmp(name[0] == 's' ? s.p : s.p + s.len - part.len, part.p, part.len))) found = true;
    }
    *out = jinja_bool(found, false);
    return GLLM_OK;
}

static gllm_status replace(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str old, to, s;
    int64_t n = -1;
    const struct jinja_value *count = jinja_arg(args, 2, "count");
    TRY(text_arg(r, &args->list[0], name, &old));
    TRY(text_arg(r, &args->list[1], name, &to));
    if (count) TRY(jinja_arg_int(r, count, name, &n));
    TRY(jinja_replace(r, self->s, old, to, n, &s));
    give_text(self, s, out);
    return GLLM_OK;
}

static gllm_status change_case(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str s;
    (void)args;
    TRY(jinja_map_case(r, self->s, !strcmp(name, "casefold") ? "lower" : name, &s));
    give_text(self, s, out);
    return GLLM_OK;
}

static gllm_status join(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_out o = {0};
    struct jinja_str s;
    TRY(jinja_iterate(r, &args->list[0], &l));
    for (size_t i = 0; i < l->count; i++) {
        if (i) TRY(jinja_out_add(r, &o, self->s));
        TRY(text_arg(r, &l->items[i], name, &s));
        TRY(jinja_out_add(r, &o, s));
        TRY(jinja_charge(r, 1));
    }
    give_text(self, jinja_out_str(&o), out);
    return GLLM_OK;
}

static int64_t characters(struct jinja_str s, size_t to) { return (int64_t)utf8_count(s.p, to); }

/* find, rfind, index, rindex */
static gllm_status find(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str s, what = {0};
    size_t from;
    const bool back = name[0] == 'r', strict = strstr(name, "index") != NULL;
    TRY(text_arg(r, &args->list[0], name, &what));
    TRY(window(r, self, name, args, &s, &from));
    TRY(jinja_charge(r, s.len / 8));
    size_t at = back ? 0 : jinja_find(s, what, 0);
    if (back) TRY(find_back(r, s, what, s.len, &at));
    if (at == SIZE_MAX && strict) return jinja_fail(r, "%s: the str does not hold what is looked for", name);
    *out = jinja_int(at == SIZE_MAX ? -1 : characters(self->s, from + at), jinja_caller(self));
    return GLLM_OK;
}

static gllm_status count(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str s, what = {0};
    size_t from, at = 0;
    int64_t n = 0;
    TRY(text_arg(r, &args->list[0], name, &what));
    TRY(window(r, self, name, args, &s, &from));
    TRY(jinja_charge(r, s.len / 8));
    if (!what.len) n = characters(s, s.len) + 1;
    else
        for (; (at = jinja_find(s, what, at)) != SIZE_MAX; at += what.len) n++;
    *out = jinja_int(n, jinja_caller(self));
    return GLLM_OK;
}

static bool is_class(uint32_t cp, const char *name) {
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    const bool alpha = c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO, decimal = c == UTF8PROC_CATEGORY_ND, numeric = unicode_is_numeric(cp);
    if (!strcmp(name, "isalpha")) return alpha;
    if (!strcmp(name, "isalnum")) return alpha || numeric;
    if (!strcmp(name, "isnumeric")) return numeric;
    if (!strcmp(name, "isdecimal")) return decimal;
    if (!strcmp(name, "isdigit")) return decimal || cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 || (cp >= 0x2074 && cp <= 0x2079) || (cp >= 0x2080 && cp <= 0x2089);
    char text[4];
    return jinja_space(text, utf8_write(cp, text)) != 0;
}

/* isalpha … isspace, and isupper, islower, which look at cased characters only */
static gllm_status is(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const bool upper = !strcmp(name, "isupper"), lower = !strcmp(name, "islower");
    bool all = true, any = false;
    (void)args;
    for (size_t i = 0, n; i < self->s.len && all; i += n) {
        uint32_t cp = 0;
        n = jinja_char(self->s.p + i, self->s.len - i);
        utf8_read(self->s.p + i, n, &cp);
        const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
        const bool cased = c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
        if (!upper && !lower) all = any = is_class(cp, name);
        else if (cased) all = c == (upper ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL), any = true;
    }
    TRY(jinja_charge(r, self->s.len / 8));
    *out = jinja_bool(all && any, false);
    return GLLM_OK;
}

static gllm_status remove_end(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str s = self->s, what = {0};
    TRY(text_arg(r, &args->list[0], name, &what));
    const bool front = !strcmp(name, "removeprefix");
    TRY(jinja_charge(r, what.len / 32));
    if (what.len && what.len <= s.len && !memcmp(front ? s.p : s.p + s.len - what.len, what.p, what.len)) jinja_str_part(s, front ? what.len : 0, s.len - what.len, &s);
    give_text(self, s, out);
    return GLLM_OK;
}

static gllm_status partition(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_str sep;
    const bool back = name[0] == 'r';
    TRY(text_arg(r, &args->list[0], name, &sep));
    if (!sep.len) return jinja_fail(r, "%s: found an empty separator", name);
    TRY(jinja_charge(r, self->s.len / 8));
    const size_t n = self->s.len;
    size_t at = back ? 0 : jinja_find(self->s, sep, 0);
    if (back) TRY(find_back(r, self->s, sep, n, &at));
    TRY(jinja_list_new(r, LIST_TUPLE, 3, false, out));
    TRY(add_part(r, self, 0, at != SIZE_MAX ? at : back ? 0 : n, out->list));
    TRY(add_part(r, self, at != SIZE_MAX ? at : 0, at != SIZE_MAX ? at + sep.len : 0, out->list));
    return add_part(r, self, at != SIZE_MAX ? at + sep.len : back ? 0 : n, n, out->list);
}

/* ljust, rjust, center, zfill */
static gllm_status justify(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_out o = {0};
    struct jinja_str fill = jinja_text_of(name[0] == 'z' ? "0" : " "), s = self->s;
    int64_t width;
    TRY(jinja_arg_int(r, &args->list[0], name, &width));
    if (args->count > 1) TRY(text_arg(r, &args->list[1], name, &fill));
    if (utf8_count(fill.p, fill.len) != 1) return jinja_fail(r, "%s: expected one character to fill with", name);
    const int64_t n = characters(s, s.len), pad = width > n ? width - n : 0;
    const int64_t left = name[0] == 'l' ? 0 : name[0] == 'c' ? pad / 2 + (pad & width & 1) : pad;
    if (name[0] == 'z' && pad && s.len && (s.p[0] == '-' || s.p[0] == '+')) {
        struct jinja_str sign;
        jinja_str_part(s, 0, 1, &sign);
        TRY(jinja_out_add(r, &o, sign));
        jinja_str_part(s, 1, s.len - 1, &s);
    }
    for (int64_t i = 0; i <= pad; i++) {
        if (i == left) TRY(jinja_out_add(r, &o, s));
        if (i < pad) TRY(jinja_out_add(r, &o, fill));
        TRY(jinja_charge(r, 1));
    }
    give_text(self, jinja_out_str(&o), out);
    return GLLM_OK;
}

/* One replacement field "NAME" or "NAME!r" of str.format; `next` counts the unnamed ones. */
static gllm_status field(struct jinja_run *r, struct jinja_str s, const struct jinja_args *args, size_t *next, struct jinja_out *o) {
    const struct jinja_value *v = NULL;
    bool repr = false;
    if (s.len >= 2 && s.p[s.len - 2] == '!' && (s.p[s.len - 1] == 'r' || s.p[s.len - 1] == 's')) {
        repr = s.p[s.len - 1] == 'r';
        s.len -= 2;
    }
    if (s.len && memchr(s.p, ':', s.len)) return jinja_fail(r, "format: found a field with a format behind \":\", expected {}, {0} or {name}");
    if (!s.len) v = jinja_arg(args, (*next)++, NULL);
    else if (s.p[0] >= '0' && s.p[0] <= '9') {
        size_t i = 0;
        for (size_t k = 0; k < s.len && i < 1 << 20; k++) i = i * 10 + (size_t)(s.p[k] - '0');
        v = jinja_arg(args, i, NULL);
    } else
        for (size_t i = 0; i < args->n_named; i++)
            if (jinja_same_text(args->named[i].key.s, s)) v = &args->named[i].value;
    if (!v) return jinja_fail(r, "format: found no argument for the field \"%.*s\"", JINJA_SHOWN(s));
    return jinja_print(r, v, repr, 0, o);
}

static gllm_status format(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_str s = self->s;
    struct jinja_out o = {0};
    size_t next = 0;
    (void)name;
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.p[i];
        struct jinja_str part;
        if ((c == '{' || c == '}') && i + 1 < s.len && s.p[i + 1] == c) i++;
        else if (c == '}') return jinja_fail(r, "format: found a single }");
        else if (c == '{') {
            const char *close = memchr(s.p + i, '}', s.len - i);
            if (!close) return jinja_fail(r, "format: found a { without its }");
            jinja_str_part(s, i + 1, (size_t)(close - s.p) - i - 1, &part);
            TRY(field(r, part, args, &next, &o));
            i = (size_t)(close - s.p);
            continue;
        }
        jinja_str_part(s, i, 1, &part);
        TRY(jinja_out_add(r, &o, part));
    }
    TRY(jinja_charge(r, s.len / 4));
    give_text(self, jinja_out_str(&o), out);
    return GLLM_OK;
}

/* ---- dicts and lists ---- */

static gllm_status views(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    const struct jinja_dict *d = self->dict;
    (void)args;
    TRY(jinja_list_new(r, name[0] == 'k' ? LIST_KEYS : name[0] == 'v' ? LIST_VALUES : LIST_ITEMS, d->count, self->caller, out));
    for (size_t i = 0; i < d->count; i++) {
        struct jinja_value pair;
        if (name[0] != 'i') {
            TRY(jinja_list_add(r, out->list, name[0] == 'k' ? &d->pairs[i].key : &d->pairs[i].value));
            continue;
        }
        TRY(jinja_list_new(r, LIST_TUPLE, 2, self->caller, &pair));
        TRY(jinja_list_add(r, pair.list, &d->pairs[i].key));
        TRY(jinja_list_add(r, pair.list, &d->pairs[i].value));
        TRY(jinja_list_add(r, out->list, &pair));
    }
    return jinja_charge(r, d->count);
}

static gllm_status get(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value *v;
    const struct jinja_value *otherwise = jinja_arg(args, 1, NULL);
    (void)name;
    TRY(jinja_dict_get(r, self->dict, &args->list[0], &v));
    *out = v ? *v : otherwise ? *otherwise : jinja_none();
    return GLLM_OK;
}

static gllm_status copy(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    (void)r, (void)name, (void)args;
    *out = *self; /* values never change */
    return GLLM_OK;
}

static gllm_status list_find(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    int64_t n = 0, at = -1;
    for (size_t i = 0; i < self->list->count; i++) {
        bool same;
        TRY(jinja_equal(r, &self->list->items[i], &args->list[0], &same));
        if (same && n++ == 0) at = (int64_t)i;
    }
    if (name[0] == 'i' && at < 0) return jinja_fail(r, "index: the list does not hold what is looked for");
    *out = jinja_int(name[0] == 'i' ? at : n, self->caller);
    return GLLM_OK;
}

/* ---- loops and cyclers ---- */

static gllm_status cycle(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    if (!args->count) return jinja_fail(r, "%s: expected items", name);
    *out = args->list[self->loop->index % args->count];
    return GLLM_OK;
}

static gllm_status changed(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_value now;
    bool same;
    (void)name;
    TRY(jinja_list_new(r, LIST_TUPLE, args->count, false, &now));
    for (size_t i = 0; i < args->count; i++) TRY(jinja_list_add(r, now.list, &args->list[i]));
    TRY(jinja_equal(r, &now, &self->loop->last_changed, &same));
    self->loop->last_changed = now;
    *out = jinja_bool(!same, false);
    return GLLM_OK;
}

static gllm_status cycler(struct jinja_run *r, const struct jinja_value *self, const char *name, const struct jinja_args *args, struct jinja_value *out) {
    struct jinja_cycle *c = self->cycle;
    (void)r, (void)args;
    *out = name[0] == 'n' ? c->items[c->at] : jinja_none();
    c->at = name[0] == 'n' ? (c->at + 1) % c->count : 0;
    return GLLM_OK;
}

/* ---- the table ---- */

static const struct method {
    const char *name;
    uint8_t kind; /* enum jinja_kind */
    uint16_t least, most;
    method_fn fn;
    const char *names[4]; /* of the arguments that may be named */
} METHODS[] = {
    {"strip", JINJA_STRING, 0, 1, strip, {0}}, {"lstrip", JINJA_STRING, 0, 1, strip, {0}}, {"rstrip", JINJA_STRING, 0, 1, strip, {0}},
    {"split", JINJA_STRING, 0, 2, split, {"sep", "maxsplit"}}, {"rsplit", JINJA_STRING, 0, 2, split, {"sep", "maxsplit"}}, {"splitlines", JINJA_STRING, 0, 1, splitlines, {"keepends"}},
    {"startswith", JINJA_STRING, 1, 3, ends, {0}}, {"endswith", JINJA_STRING, 1, 3, ends, {0}}, {"replace", JINJA_STRING, 2, 3, replace, {"", "", "count"}},
    {"upper", JINJA_STRING, 0, 0, change_case, {0}}, {"lower", JINJA_STRING, 0, 0, change_case, {0}}, {"title", JINJA_STRING, 0, 0, change_case, {0}},
    {"capitalize", JINJA_STRING, 0, 0, change_case, {0}}, {"swapcase", JINJA_STRING, 0, 0, change_case, {0}}, {"casefold", JINJA_STRING, 0, 0, change_case, {0}},
    {"join", JINJA_STRING, 1, 1, join, {0}}, {"find", JINJA_STRING, 1, 3, find, {0}}, {"rfind", JINJA_STRING, 1, 3, find, {0}}, {"index", JINJA_STRING, 1, 3, find, {0}},
    {"rindex", JINJA_STRING, 1, 3, find, {0}}, {"count", JINJA_STRING, 1, 3, count, {0}}, {"isalpha", JINJA_STRING, 0, 0, is, {0}}, {"isalnum", JINJA_STRING, 0, 0, is, {0}},
    {"isdigit", JINJA_STRING, 0, 0, is, {0}}, {"isdecimal", JINJA_STRING, 0, 0, is, {0}}, {"isnumeric", JINJA_STRING, 0, 0, is, {0}}, {"isspace", JINJA_STRING, 0, 0, is, {0}},
    {"isupper", JINJA_STRING, 0, 0, is, {0}}, {"islower", JINJA_STRING, 0, 0, is, {0}}, {"removeprefix", JINJA_STRING, 1, 1, remove_end, {0}}, {"removesuffix", JINJA_STRING, 1, 1, remove_end, {0}},
    {"partition", JINJA_STRING, 1, 1, partition, {0}}, {"rpartition", JINJA_STRING, 1, 1, partition, {0}}, {"ljust", JINJA_STRING, 1, 2, justify, {0}}, {"rjust", JINJA_STRING, 1, 2, justify, {0}},
    {"center", JINJA_STRING, 1, 2, justify, {0}}, {"zfill", JINJA_STRING, 1, 1, justify, {0}}, {"format", JINJA_STRING, 0, JINJA_ANY_NUMBER, format, {0}},
    {"keys", JINJA_DICT, 0, 0, views, {0}}, {"values", JINJA_DICT, 0, 0, views, {0}}, {"items", JINJA_DICT, 0, 0, views, {0}}, {"get", JINJA_DICT, 1, 2, get, {0}},
    {"copy", JINJA_DICT, 0, 0, copy, {0}}, {"copy", JINJA_LIST, 0, 0, copy, {0}}, {"count", JINJA_LIST, 1, 1, list_find, {0}}, {"index", JINJA_LIST, 1, 1, list_find, {0}},
    {"cycle", JINJA_LOOP, 0, JINJA_ANY_NUMBER, cycle, {0}}, {"changed", JINJA_LOOP, 0, JINJA_ANY_NUMBER, changed, {0}}, {"next", JINJA_CYCLER, 0, 0, cycler, {0}}, {"reset", JINJA_CYCLER, 0, 0, cycler, {0}},
};

static const struct method *find_method(const struct jinja_value *v, struct jinja_str name) {
    if (v->kind == JINJA_LIST && v->list->kind > LIST_RANGE) return NULL;
    for (unsigned i = 0; i < sizeof METHODS / sizeof *METHODS; i++)
        if (METHODS[i].kind == v->kind && jinja_is(name, METHODS[i].name)) return &METHODS[i];
    return NULL;
}

bool jinja_method_known(const struct jinja_value *v, struct jinja_str name) { return find_method(v, name) != NULL; }

gllm_status jinja_method_call(struct jinja_run *r, const struct jinja_method *m, const struct jinja_args *args, struct jinja_value *out) {
    const struct method *f = find_method(&m->self, m->name);
    if (f->most != JINJA_ANY_NUMBER) TRY(jinja_args_check(r, args, f->name, 0, f->most, f->names));
    if (args->count < f->least) return jinja_fail(r, "%s: found %zu arguments, expected at least %u", f->name, args->count, f->least);
    return f->fn(r, &m->self, f->name, args, out);
}
