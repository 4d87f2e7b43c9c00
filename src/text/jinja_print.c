/* jinja_print.c - values as text: str() and repr() as CPython prints them, and json.dumps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/number.h"
#include "base/utf8.h"
#include "text/jinja_impl.h"

/* The shortest digits that read back as f; an exponent below 1e-4 and from 1e16 on. */
void jinja_float_text(double f, char room[40]) {
    char digits[32];
    if (!isfinite(f)) {
        strcpy(room, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    const int precision = number_digits(f, digits) - 1;
    char *e = strchr(digits, 'e');
    const int exponent = atoi(e + 1);
    if (exponent < -4 || exponent >= 16) {
        *e = '\0';
        snprintf(room, 40, "%.24se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent) % 1000);
        return;
    }
    const int decimals = precision > exponent ? precision - exponent : 0;
    number_print(room, 40, "%.*f", decimals, f);
    if (!decimals) strcat(room, ".0");
}

static gllm_status put_text(struct jinja_run *r, struct jinja_out *o, const char *s, bool caller) { return jinja_out_put(r, o, s, strlen(s), caller); }

static bool printable(uint32_t cp) {
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    if (cp == ' ') return true;
    return c != UTF8PROC_CATEGORY_CN && c != UTF8PROC_CATEGORY_CC && c != UTF8PROC_CATEGORY_CF && c != UTF8PROC_CATEGORY_CS && c != UTF8PROC_CATEGORY_CO && c != UTF8PROC_CATEGORY_ZS &&
           c != UTF8PROC_CATEGORY_ZL && c != UTF8PROC_CATEGORY_ZP;
}

static gllm_status repr_string(struct jinja_run *r, struct jinja_str s, struct jinja_out *o) {
    const bool single = s.len && memchr(s.p, '\'', s.len), twice = s.len && memchr(s.p, '"', s.len);
    const char quote = single && !twice ? '"' : '\'';
    const bool caller = jinja_str_caller(s);
    TRY(jinja_out_put(r, o, &quote, 1, caller));
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t cp = 0;
        char text[16] = "";
        n = jinja_char(s.p + i, s.len - i);
        utf8_read(s.p + i, n, &cp);
        const bool from = s.from && s.from[i];
        if (cp == (uint32_t)quote || cp == '\\') snprintf(text, sizeof text, "\\%c", (char)cp);
        else if (cp == '\n' || cp == '\t' || cp == '\r') snprintf(text, sizeof text, "\\%c", cp == '\n' ? 'n' : cp == '\t' ? 't' : 'r');
        else if (!printable(cp)) snprintf(text, sizeof text, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
        if (*text) TRY(put_text(r, o, text, from));
        else TRY(jinja_out_put(r, o, s.p + i, n, from));
    }
    TRY(jinja_charge(r, s.len / 8));
    return jinja_out_put(r, o, &quote, 1, caller);
}

static gllm_status print_scalar(struct jinja_run *r, const struct jinja_value *v, struct jinja_out *o) {
    char text[64];
    if (v->kind == JINJA_INT) snprintf(text, sizeof text, "%lld", (long long)v->i);
    else if (v->kind == JINJA_FLOAT) jinja_float_text(v->f, text);
    else strcpy(text, v->kind == JINJA_NONE ? "None" : v->b ? "True" : "False");
    return put_text(r, o, text, v->caller);
}

static gllm_status print_items(struct jinja_run *r, const struct jinja_value *v, unsigned depth, struct jinja_out *o) {
    static const char *const OPEN[] = {"[", "(", "", "dict_keys([", "dict_values([", "dict_items([", ""}, *const CLOSE[] = {"]", ")", "", "])", "])", "])", ""};
    const struct jinja_list *l = v->list;
    TRY(put_text(r, o, OPEN[l->kind], v->caller));
    for (size_t i = 0; i < l->count; i++) {
        if (i) TRY(put_text(r, o, ", ", v->caller));
        TRY(jinja_print(r, &l->items[i], true, depth + 1, o));
    }
    return put_text(r, o, l->kind == LIST_TUPLE && l->count == 1 ? ",)" : CLOSE[l->kind], v->caller);
}

static gllm_status print_range(struct jinja_run *r, const struct jinja_value *v, struct jinja_out *o) {
    const struct jinja_value *bounds = v->list->items + v->list->capacity; /* from, to, step */
    char text[96];
    int n = snprintf(text, sizeof text, "range(%lld, %lld", (long long)bounds[0].i, (long long)bounds[1].i);
    if (bounds[2].i != 1) n += snprintf(text + n, sizeof text - (size_t)n, ", %lld", (long long)bounds[2].i);
    snprintf(text + n, sizeof text - (size_t)n, ")");
    return put_text(r, o, text, v->caller);
}

static gllm_status print_dict(struct jinja_run *r, const struct jinja_value *v, unsigned depth, struct jinja_out *o) {
    TRY(put_text(r, o, v->kind == JINJA_NAMESPACE ? "<Namespace {" : "{", v->caller));
    for (size_t i = 0; i < v->dict->count; i++) {
        if (i) TRY(put_text(r, o, ", ", v->caller));
        TRY(jinja_print(r, &v->dict->pairs[i].key, true, depth + 1, o));
        TRY(put_text(r, o, ": ", v->caller));
        TRY(jinja_print(r, &v->dict->pairs[i].value, true, depth + 1, o));
    }
    return put_text(r, o, v->kind == JINJA_NAMESPACE ? "}>" : "}", v->caller);
}

gllm_status jinja_print(struct jinja_run *r, const struct jinja_value *v, bool repr, unsigned depth, struct jinja_out *o) {
    TRY(jinja_charge(r, 1));
    if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "a value of more than %d levels is printed", JINJA_MAX_DEPTH);
    switch (v->kind) {
    case JINJA_UNDEFINED: return repr ? put_text(r, o, "Undefined", false) : GLLM_OK;
    case JINJA_NONE:
    case JINJA_BOOL:
    case JINJA_INT:
    case JINJA_FLOAT: return print_scalar(r, v, o);
    case JINJA_STRING: return repr ? repr_string(r, v->s, o) : jinja_out_add(r, o, v->s);
    case JINJA_LIST:
        if (v->list->kind == LIST_RANGE) return print_range(r, v, o);
        if (v->list->kind != LIST_GENERATOR) return print_items(r, v, depth, o);
        break;
    case JINJA_DICT:
    case JINJA_NAMESPACE: return print_dict(r, v, depth, o);
    default: break;
    }
    return jinja_fail(r, "a %s cannot be printed", jinja_kind_name(v));
}

gllm_status jinja_str_of(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out) {
    struct jinja_out o = {0};
    *out = v->s;
    if (v->kind == JINJA_STRING) return GLLM_OK;
    TRY(jinja_print(r, v, false, 0, &o));
    *out = jinja_out_str(&o);
    return GLLM_OK;
}

/* ---- JSON ---- */

static gllm_status json_string_(struct jinja_run *r, struct jinja_str s, const struct jinja_json_style *style, struct jinja_out *o) {
    const bool caller = jinja_str_caller(s);
    TRY(put_text(r, o, "\"", caller));
    for (size_t i = 0, n; i < s.len; i += n) {
        static const char FROM[] = "\"\\\n\r\t\b\f", TO[] = "\"\\nrtbf";
        uint32_t cp = 0;
        char text[16] = "";
        n = jinja_char(s.p + i, s.len - i);
        utf8_read(s.p + i, n, &cp);
        const char *simple = cp && cp < 0x80 ? strchr(FROM, (int)cp) : NULL;
        if (simple) snprintf(text, sizeof text, "\\%c", TO[simple - FROM]);
        else if (cp < 0x20 || (style->ascii && cp > 0x7E && cp < 0x10000)) snprintf(text, sizeof text, "\\u%04x", cp);
        else if (style->ascii && cp >= 0x10000) snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10), 0xDC00 + (cp & 0x3FF));
        const bool from = s.from && s.from[i];
        if (*text) TRY(put_text(r, o, text, from));
        else TRY(jinja_out_put(r, o, s.p + i, n, from));
    }
    TRY(jinja_charge(r, s.len / 8));
    return put_text(r, o, "\"", caller);
}

static gllm_status json_scalar(struct jinja_run *r, const struct jinja_value *v, struct jinja_out *o) {
    if (v->kind == JINJA_NONE) return put_text(r, o, "null", v->caller);
    if (v->kind == JINJA_BOOL) return put_text(r, o, v->b ? "true" : "false", v->caller);
    if (v->kind == JINJA_FLOAT && !isfinite(v->f)) return put_text(r, o, isnan(v->f) ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity", v->caller);
    return print_scalar(r, v, o);
}

/* A new line, indented for `depth`, when the style has lines. */
static gllm_status json_line(struct jinja_run *r, const struct jinja_json_style *style, unsigned depth, bool caller, struct jinja_out *o) {
    if (!style->indent) return GLLM_OK;
    TRY(put_text(r, o, "\n", caller));
    for (unsigned i = 0; i < depth; i++) TRY(jinja_out_put(r, o, style->indent->p, style->indent->len, caller || jinja_str_caller(*style->indent)));
    return GLLM_OK;
}

static gllm_status json_key(struct jinja_run *r, const struct jinja_value *k, const struct jinja_json_style *style, struct jinja_out *o) {
    if (k->kind == JINJA_STRING) return json_string_(r, k->s, style, o);
    if (k->kind > JINJA_FLOAT || k->kind == JINJA_UNDEFINED) return jinja_fail(r, "a key of JSON cannot be a %s", jinja_kind_name(k));
    TRY(put_text(r, o, "\"", k->caller));
    TRY(json_scalar(r, k, o));
    return put_text(r, o, "\"", k->caller);
}

/* Insertion sort would be quadratic: merge sort of pointers, by key. */
static gllm_status sort_pairs(struct jinja_run *r, const struct jinja_pair **list, const struct jinja_pair **spare, size_t n) {
    if (n < 2) return GLLM_OK;
    const size_t half = n / 2;
    TRY(sort_pairs(r, list, spare, half));
    TRY(sort_pairs(r, list + half, spare, n - half));
    memcpy(spare, list, half * sizeof *list);
    for (size_t i = 0, j = half, k = 0; i < half; k++) {
        int c = -1;
        if (j < n) TRY(jinja_order(r, &list[j]->key, &spare[i]->key, "<", &c));
        list[k] = j < n && c < 0 ? list[j++] : spare[i++];
    }
    return GLLM_OK;
}

static gllm_status json_dict(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style, unsigned depth, struct jinja_out *o) {
    const size_t n = v->dict->count;
    void *list;
    TRY(jinja_alloc(r, 2 * n * sizeof(struct jinja_pair *), &list));
    const struct jinja_pair **pairs = list;
    for (size_t i = 0; i < n; i++) pairs[i] = &v->dict->pairs[i];
    if (style->sort) TRY(sort_pairs(r, pairs, pairs + n, n));
    TRY(put_text(r, o, "{", v->caller));
    for (size_t i = 0; i < n; i++) {
        if (i) TRY(jinja_out_put(r, o, style->item.p, style->item.len, v->caller || jinja_str_caller(style->item)));
        TRY(json_line(r, style, depth + 1, v->caller, o));
        TRY(json_key(r, &pairs[i]->key, style, o));
        TRY(jinja_out_put(r, o, style->key.p, style->key.len, v->caller || jinja_str_caller(style->key)));
        TRY(jinja_json(r, &pairs[i]->value, style, depth + 1, o));
    }
    if (n) TRY(json_line(r, style, depth, v->caller, o));
    return put_text(r, o, "}", v->caller);
}

static gllm_status json_list(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style, unsigned depth, struct jinja_out *o) {
    TRY(put_text(r, o, "[", v->caller));
    for (size_t i = 0; i < v->list->count; i++) {
        if (i) TRY(jinja_out_put(r, o, style->item.p, style->item.len, v->caller || jinja_str_caller(style->item)));
        TRY(json_line(r, style, depth + 1, v->caller, o));
        TRY(jinja_json(r, &v->list->items[i], style, depth + 1, o));
    }
    if (v->list->count) TRY(json_line(r, style, depth, v->caller, o));
    return put_text(r, o, "]", v->caller);
}

gllm_status jinja_json(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style, unsigned depth, struct jinja_out *o) {
    TRY(jinja_charge(r, 1));
    if (depth > JINJA_MAX_DEPTH) return jinja_fail(r, "tojson of a value of more than %d levels", JINJA_MAX_DEPTH);
    switch (v->kind) {
    case JINJA_NONE:
    case JINJA_BOOL:
    case JINJA_INT:
    case JINJA_FLOAT: return json_scalar(r, v, o);
    case JINJA_STRING: return json_string_(r, v->s, style, o);
    case JINJA_DICT: return json_dict(r, v, style, depth, o);
    case JINJA_LIST:
        if (v->list->kind <= LIST_TUPLE) return json_list(r, v, style, depth, o);
        break;
    default: break;
    }
    return jinja_fail(r, "tojson: a %s cannot be written as JSON", jinja_kind_name(v));
}
