/* jinja_string.c - strings as Python has them, and which of their bytes came from the caller. */
#include <stdio.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/number.h"
#include "base/utf8.h"
#include "text/jinja_impl.h"
#include "text/parts.h"

void jinja_str_part(struct jinja_str s, size_t at, size_t len, struct jinja_str *out) {
    *out = (struct jinja_str){s.p + at, s.from ? s.from + at : NULL, len};
}

bool jinja_str_caller(struct jinja_str s) { return s.from && s.len && memchr(s.from, 1, s.len); }

static gllm_status room(struct jinja_run *r, struct jinja_out *o, size_t n) {
    if (n <= o->capacity - o->len) return GLLM_OK;
    size_t capacity = o->capacity ? 2 * o->capacity : 64;
    if (n > r->max_memory) return jinja_fail(r, "takes more than %zu bytes of memory", r->max_memory);
    while (capacity - o->len < n) capacity *= 2;
    void *p;
    TRY(jinja_alloc(r, 2 * capacity, &p));
    if (o->len) {
        memcpy(p, o->p, o->len);
        memcpy((char *)p + capacity, o->from, o->len);
    }
    o->p = p;
    o->from = (uint8_t *)p + capacity;
    o->capacity = capacity;
    return GLLM_OK;
}

gllm_status jinja_out_add(struct jinja_run *r, struct jinja_out *o, struct jinja_str s) {
    TRY(room(r, o, s.len));
    if (!s.len) return GLLM_OK;
    memcpy(o->p + o->len, s.p, s.len);
    if (s.from) memcpy(o->from + o->len, s.from, s.len);
    else memset(o->from + o->len, 0, s.len);
    o->len += s.len;
    return jinja_charge(r, s.len / 32);
}

gllm_status jinja_out_put(struct jinja_run *r, struct jinja_out *o, const char *s, size_t len, bool caller) {
    const size_t at = o->len;
    TRY(jinja_out_add(r, o, (struct jinja_str){s, NULL, len}));
    if (len) memset(o->from + at, caller, len);
    return GLLM_OK;
}

struct jinja_str jinja_out_str(const struct jinja_out *o) { return (struct jinja_str){o->p ? o->p : "", o->from, o->len}; }

gllm_status jinja_concat(struct jinja_run *r, struct jinja_str a, struct jinja_str b, struct jinja_str *out) {
    struct jinja_out o = r->tail;
    if (!a.len || o.p != a.p || o.len != a.len) { /* not what was made last: a copy; else it grows where it lies, and a keeps its part */
        o = (struct jinja_out){0};
        TRY(room(r, &o, a.len + b.len));
        TRY(jinja_out_add(r, &o, a));
    }
    TRY(jinja_out_add(r, &o, b));
    r->tail = o;
    *out = jinja_out_str(&o);
    return GLLM_OK;
}

/* ---- characters ---- */

/* str.isspace(): White_Space and the four separators of ASCII */
static bool is_space(uint32_t cp) { return (cp >= 0x1C && cp <= 0x1F) || unicode_is_space(cp); }

size_t jinja_char(const char *s, size_t len) {
    uint32_t cp;
    const unsigned n = utf8_read(s, len, &cp);
    return n ? n : len ? 1 : 0;
}

size_t jinja_space(const char *s, size_t len) {
    uint32_t cp;
    const unsigned n = utf8_read(s, len, &cp);
    return n && is_space(cp) ? n : 0;
}

/* Where the last character of s begins. */
static size_t last_char(const char *s, size_t len) {
    size_t at = len - 1;
    while (at && ((unsigned char)s[at] & 0xC0) == 0x80) at--;
    return at;
}

size_t jinja_space_back(const char *s, size_t len) {
    if (!len) return 0;
    const size_t at = last_char(s, len);
    return jinja_space(s + at, len - at) ? len - at : 0;
}

static bool is_one_of(struct jinja_str set, const char *c, size_t n) {
    for (size_t i = 0, k; i < set.len; i += k) {
        k = jinja_char(set.p + i, set.len - i);
        if (k == n && !memcmp(set.p + i, c, n)) return true;
    }
    return false;
}

struct jinja_str jinja_strip(struct jinja_str s, const struct jinja_str *chars, bool left, bool right) {
    size_t from = 0, to = s.len, n;
    while (left && from < to) {
        n = jinja_char(s.p + from, to - from);
        if (!(chars ? is_one_of(*chars, s.p + from, n) : jinja_space(s.p + from, n) != 0)) break;
        from += n;
    }
    while (right && to > from) {
        n = to - (from + last_char(s.p + from, to - from));
        if (!(chars ? is_one_of(*chars, s.p + to - n, n) : jinja_space(s.p + to - n, n) != 0)) break;
        to -= n;
    }
    jinja_str_part(s, from, to - from, &s);
    return s;
}

size_t jinja_find(struct jinja_str s, struct jinja_str what, size_t at) {
    if (at > s.len || what.len > s.len - at) return SIZE_MAX;
    if (!what.len) return at;
    const char *p = memmem(s.p + at, s.len - at, what.p, what.len);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

/* Puts `to` between all characters and at both ends, at most count times. */
static gllm_status replace_nothing(struct jinja_run *r, struct jinja_str s, struct jinja_str to, int64_t count, struct jinja_out *o) {
    for (size_t i = 0, n;; i += n) {
        struct jinja_str c;
        if (count-- > 0) TRY(jinja_out_add(r, o, to));
        if (i >= s.len) return GLLM_OK;
        n = jinja_char(s.p + i, s.len - i);
        jinja_str_part(s, i, n, &c);
        TRY(jinja_out_add(r, o, c));
        TRY(jinja_charge(r, 1));
    }
}

gllm_status jinja_replace(struct jinja_run *r, struct jinja_str s, struct jinja_str old, struct jinja_str to, int64_t count, struct jinja_str *out) {
    struct jinja_out o = {0};
    struct jinja_str part;
    size_t at = 0;
    TRY(jinja_charge(r, s.len / 32));
    if (count < 0) count = INT64_MAX;
    *out = s;
    if (!count || (old.len && jinja_find(s, old, 0) == SIZE_MAX)) return GLLM_OK;
    if (!old.len) TRY(replace_nothing(r, s, to, count, &o));
    else {
        for (size_t next; count-- > 0 && (next = jinja_find(s, old, at)) != SIZE_MAX; at = next + old.len) {
            jinja_str_part(s, at, next - at, &part);
            TRY(jinja_out_add(r, &o, part));
            TRY(jinja_out_add(r, &o, to));
            TRY(jinja_charge(r, 1));
        }
        jinja_str_part(s, at, s.len - at, &part);
        TRY(jinja_out_add(r, &o, part));
    }
    *out = jinja_out_str(&o);
    return GLLM_OK;
}

/* ---- upper and lower case ---- */

static bool is_cased(uint32_t cp) {
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

static unsigned write_case(uint32_t cp, char how, char to[12]) {
    if (how == 'u' && cp == 0xDF) return (unsigned)(memcpy(to, "SS", 2), 2);
    if (how == 't' && cp == 0xDF) return (unsigned)(memcpy(to, "Ss", 2), 2);
    if (how == 'l' && cp == 0x130) return (unsigned)(memcpy(to, "i\xCC\x87", 3), 3);
    const utf8proc_int32_t c = (utf8proc_int32_t)cp;
    return utf8_write((uint32_t)(how == 'u' ? utf8proc_toupper(c) : how == 't' ? utf8proc_totitle(c) : utf8proc_tolower(c)), to);
}

/* A capital sigma at a word's end becomes the final one. */
static bool final_sigma(struct jinja_str s, size_t at, size_t n) {
    uint32_t cp;
    if (!at) return false;
    const size_t before = last_char(s.p, at);
    if (!utf8_read(s.p + before, at - before, &cp) || !is_cased(cp)) return false;
    return at + n >= s.len || !utf8_read(s.p + at + n, s.len - at - n, &cp) || !is_cased(cp);
}

gllm_status jinja_map_case(struct jinja_run *r, struct jinja_str s, const char *how, struct jinja_str *out) {
    struct jinja_out o = {0};
    bool inside = false; /* of a word, for title; behind the first character, for capitalize */
    TRY(room(r, &o, s.len));
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t cp = 0;
        char to[12];
        n = jinja_char(s.p + i, s.len - i);
        utf8_read(s.p + i, n, &cp);
        char mode = how[0] == 'u' || how[0] == 'l' ? how[0] : inside ? 'l' : 't';
        if (how[0] == 's') mode = utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_LU ? 'l' : 'u';
        inside = how[0] == 't' ? is_cased(cp) : true;
        unsigned k = mode == 'l' && cp == 0x3A3 && final_sigma(s, i, n) ? utf8_write(0x3C2, to) : write_case(cp, mode, to);
        TRY(jinja_out_put(r, &o, to, k, s.from && s.from[i]));
    }
    TRY(jinja_charge(r, s.len / 8));
    *out = jinja_out_str(&o);
    return GLLM_OK;
}

gllm_status jinja_escape(struct jinja_run *r, struct jinja_str s, struct jinja_str *out) {
    static const char FROM[] = "&<>'\"";
    static const char *const TO[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct jinja_out o = {0};
    for (size_t i = 0; i < s.len; i++) {
        const char *c = s.p[i] ? strchr(FROM, s.p[i]) : NULL;
        const bool caller = s.from && s.from[i];
        if (c) TRY(jinja_out_put(r, &o, TO[c - FROM], strlen(TO[c - FROM]), caller));
        else TRY(jinja_out_put(r, &o, s.p + i, 1, caller));
    }
    TRY(jinja_charge(r, s.len / 4));
    *out = jinja_out_str(&o);
    return GLLM_OK;
}

/* ---- s % values ---- */

struct spec {
    bool minus, zero, plus, space, alt;
    int64_t width, precision; /* -1: none */
    char type;
};

static gllm_status pad(struct jinja_run *r, struct jinja_out *o, struct jinja_str s, const struct spec *f) {
    struct jinja_value v = jinja_string(s);
    size_t n;
    TRY(jinja_length(r, &v, &n));
    const size_t fill = f->width > (int64_t)n ? (size_t)f->width - n : 0;
    for (size_t i = 0; !f->minus && i < fill; i++) TRY(jinja_out_put(r, o, " ", 1, false));
    TRY(jinja_out_add(r, o, s));
    for (size_t i = 0; f->minus && i < fill; i++) TRY(jinja_out_put(r, o, " ", 1, false));
    return GLLM_OK;
}

static gllm_status format_number(struct jinja_run *r, const struct spec *f, const struct jinja_value *v, struct jinja_out *o) {
    char text[400], how[32];
    const bool whole = strchr("diuxXo", f->type) != NULL;
    if (v->kind != JINJA_INT && v->kind != JINJA_FLOAT && v->kind != JINJA_BOOL) return jinja_fail(r, "%%%c format: a number is required, not %s", f->type, jinja_kind_name(v));
    if (f->width > 300 || f->precision > 60) return jinja_fail(r, "%%%c format: found a width above 300 or a precision above 60", f->type);
    const double d = v->kind == JINJA_FLOAT ? v->f : v->kind == JINJA_INT ? (double)v->i : v->b;
    int n = snprintf(how, sizeof how, "%%%s%s%s%s%s%lld", f->minus ? "-" : "", f->zero ? "0" : "", f->plus ? "+" : "", f->space ? " " : "", f->alt ? "#" : "", (long long)(f->width > 0 ? f->width : 0));
    if (f->width <= 0) how[--n] = '\0';
    if (whole) {
        if (v->kind == JINJA_FLOAT && strchr("xXo", f->type)) return jinja_fail(r, "%%%c format: an integer is required, not float", f->type);
        if (v->kind == JINJA_FLOAT && !(d >= -0x1p63 && d < 0x1p63)) return jinja_fail(r, "%%%c format: found a number of more than 64 bits", f->type);
        const int64_t i = v->kind == JINJA_INT ? v->i : v->kind == JINJA_BOOL ? v->b : (int64_t)d;
        if (strchr("xXo", f->type) && i < 0) return jinja_fail(r, "%%%c format: found a negative number", f->type);
        const char type = f->type == 'u' || f->type == 'i' ? 'd' : f->type;
        if (f->precision >= 0) n += snprintf(how + n, sizeof how - (size_t)n, ".%lld", (long long)f->precision);
        snprintf(how + n, sizeof how - (size_t)n, "ll%c", type);
        snprintf(text, sizeof text, how, (long long)i);
    } else {
        snprintf(how + n, sizeof how - (size_t)n, ".%lld%c", f->precision >= 0 ? (long long)f->precision : 6LL, f->type);
        number_print(text, sizeof text, how, d);
    }
    return jinja_out_put(r, o, text, strlen(text), v->caller);
}

static gllm_status format_one(struct jinja_run *r, const struct spec *f, const struct jinja_value *v, struct jinja_out *o) {
    struct jinja_str s;
    if (f->type == 's' || f->type == 'r') {
        struct jinja_out text = {0};
        if (f->type == 's') TRY(jinja_str_of(r, v, &s));
        else {
            TRY(jinja_print(r, v, true, 0, &text));
            s = jinja_out_str(&text);
        }
        if (f->precision >= 0) {
            size_t n = 0;
            for (int64_t k = 0; k < f->precision && n < s.len; k++) n += jinja_char(s.p + n, s.len - n);
            s.len = n;
        }
        return pad(r, o, s, f);
    }
    if (f->type && strchr("diuxXoeEfFgG", f->type)) return format_number(r, f, v, o);
    return jinja_fail(r, "found the format %%%c, expected one of s r d i u x X o e E f F g G %%", f->type);
}

/* Reads what stands behind a "%", without a mapping key. Returns the bytes taken; 0: it ends too early. */
static size_t read_spec(const char *s, size_t len, struct spec *f) {
    size_t i = 0;
    *f = (struct spec){.width = -1, .precision = -1};
    for (; i < len && strchr("-0+ #", s[i]) && s[i]; i++) {
        if (s[i] == '-') f->minus = true;
        if (s[i] == '0') f->zero = true;
        if (s[i] == '+') f->plus = true;
        if (s[i] == ' ') f->space = true;
        if (s[i] == '#') f->alt = true;
    }
    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) f->width = f->width > 1 << 20 ? f->width : (f->width < 0 ? 0 : f->width) * 10 + (s[i] - '0');
    if (i < len && s[i] == '.')
        for (f->precision = 0, i++; i < len && s[i] >= '0' && s[i] <= '9'; i++) f->precision = f->precision > 1 << 20 ? f->precision : f->precision * 10 + (s[i] - '0');
    if (i >= len) return 0;
    f->type = s[i];
    return i + 1;
}

gllm_status jinja_format(struct jinja_run *r, struct jinja_str s, const struct jinja_value *values, struct jinja_str *out) {
    const bool tuple = values->kind == JINJA_LIST && values->list->kind == LIST_TUPLE;
    const struct jinja_value *list = tuple ? values->list->items : values;
    const size_t n = tuple ? values->list->count : 1;
    struct jinja_out o = {0};
    size_t used = 0;
    bool mapped = values->kind == JINJA_DICT || (values->kind == JINJA_LIST && !tuple);
    for (size_t i = 0; i < s.len;) {
        struct jinja_str part;
        const char *percent = memchr(s.p + i, '%', s.len - i);
        const size_t to = percent ? (size_t)(percent - s.p) : s.len;
        jinja_str_part(s, i, to - i, &part);
        TRY(jinja_out_add(r, &o, part));
        if (!percent) break;
        i = to + 1;
        const struct jinja_value *v = NULL;
        if (i < s.len && s.p[i] == '(') { /* %(key)s */
            const char *close = memchr(s.p + i, ')', s.len - i);
            if (!close || values->kind != JINJA_DICT) return jinja_fail(r, "a format with %%(name) needs a dict");
            jinja_str_part(s, i + 1, (size_t)(close - s.p) - i - 1, &part);
            if (!(v = jinja_dict_text(r, values->dict, part))) return jinja_fail(r, "a format names \"%.*s\", which the dict lacks", JINJA_SHOWN(part));
            i = (size_t)(close - s.p) + 1;
        }
        struct spec f;
        const size_t k = read_spec(s.p + i, s.len - i, &f);
        if (!k) return jinja_fail(r, "a format ends behind its %%");
        i += k;
        if (f.type == '%') {
            TRY(jinja_out_put(r, &o, "%", 1, s.from && s.from[to]));
            continue;
        }
        if (!v && used == n) return jinja_fail(r, "not enough arguments for a format");
        TRY(format_one(r, &f, v ? v : &list[used++], &o));
        TRY(jinja_charge(r, 1));
    }
    if (used < n && !mapped) return jinja_fail(r, "not all arguments are used by a format");
    *out = jinja_out_str(&o);
    return GLLM_OK;
}
