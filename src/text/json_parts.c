#include "text/json_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"

struct expr *json_call(struct rules *r, enum json_rule rule) { return expr_call(r, (uint32_t)rule); }

static struct expr *text(struct rules *r, const char *s) { return expr_text(r, s, strlen(s)); }
static struct expr *optional(struct rules *r, struct expr *e) { return expr_repeat(r, e, 0, 1); }
static struct expr *one_of(struct rules *r, const char *set) { /* of ASCII characters */
    struct char_range ranges[32];
    size_t n = 0;
    for (; set[n]; n++) ranges[n] = (struct char_range){(unsigned char)set[n], (unsigned char)set[n]};
    return expr_chars(r, ranges, n, false);
}
static struct expr *between(struct rules *r, uint32_t from, uint32_t to) { return expr_chars(r, &(struct char_range){from, to}, 1, false); }

struct expr *json_pair(struct rules *r, struct expr *first, struct expr *second) { return expr_add(r, expr_add(r, expr_seq(r), first), second); }

struct expr *json_quoted(struct rules *r, struct expr *inside) { return expr_add(r, json_pair(r, text(r, "\""), inside), text(r, "\"")); }

/* ---- the fixed rules ---- */

static struct expr *digits(struct rules *r, uint32_t min, uint32_t max) { return expr_repeat(r, between(r, '0', '9'), min, max); }

static struct expr *integer(struct rules *r) {
    struct expr *whole = expr_alt(r);
    expr_add(r, whole, text(r, "0"));
    expr_add(r, whole, json_pair(r, between(r, '1', '9'), digits(r, 0, JSON_DIGITS - 1)));
    return json_pair(r, optional(r, text(r, "-")), whole);
}

static struct expr *number(struct rules *r) {
    struct expr *e = json_pair(r, json_call(r, JSON_INTEGER_ANY), optional(r, json_pair(r, text(r, "."), digits(r, 1, JSON_DIGITS))));
    struct expr *exponent = json_pair(r, one_of(r, "eE"), optional(r, one_of(r, "+-")));
    return expr_add(r, e, optional(r, expr_add(r, exponent, digits(r, 1, 2))));
}

static struct expr *hex(struct rules *r, uint32_t n) {
    static const struct char_range HEX[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
    return expr_repeat(r, expr_chars(r, HEX, 3, false), n, n);
}

/* \uXXXX: a character of its own, or both halves of a pair. */
static struct expr *unicode_escape(struct rules *r) {
    static const struct char_range NO_D[] = {{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}};
    struct expr *alone = json_pair(r, text(r, "u"), expr_chars(r, NO_D, 5, false));
    struct expr *low_d = expr_add(r, json_pair(r, text(r, "u"), one_of(r, "dD")), between(r, '0', '7'));
    struct expr *pair = expr_add(r, json_pair(r, text(r, "u"), one_of(r, "dD")), one_of(r, "89abAB"));
    expr_add(r, expr_add(r, pair, hex(r, 2)), text(r, "\\u"));
    expr_add(r, expr_add(r, expr_add(r, pair, one_of(r, "dD")), one_of(r, "cdefCDEF")), hex(r, 2));
    struct expr *e = expr_add(r, expr_alt(r), expr_add(r, alone, hex(r, 3)));
    return expr_add(r, expr_add(r, e, expr_add(r, low_d, hex(r, 2))), pair);
}

static const struct char_range ESCAPED[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}; /* never as they are in a string */

static struct expr *string_char(struct rules *r) {
    struct expr *escape = expr_add(r, expr_add(r, expr_alt(r), one_of(r, "\"\\/bfnrt")), unicode_escape(r));
    return expr_add(r, expr_add(r, expr_alt(r), expr_chars(r, ESCAPED, 3, true)), json_pair(r, text(r, "\\"), escape));
}

/* open ( item ( "," item )* )? close */
static struct expr *collection(struct rules *r, const char *open, struct expr *(*item)(struct rules *r), const char *close) {
    struct expr *items = json_pair(r, item(r), expr_repeat(r, json_pair(r, json_call(r, JSON_COMMA), item(r)), 0, EXPR_FOREVER));
    return expr_add(r, json_pair(r, text(r, open), optional(r, items)), text(r, close));
}
static struct expr *any_value(struct rules *r) { return json_call(r, JSON_VALUE); }
static struct expr *any_member(struct rules *r) { return expr_add(r, json_pair(r, json_call(r, JSON_STRING_ANY), json_call(r, JSON_COLON)), any_value(r)); }

void json_define(struct rules *r) {
    static const char *const NAMES[JSON_RULES] = {"value", "object", "array", "string", "number", "integer", "char", "comma", "colon"};
    static const char *const WORDS[] = {"true", "false", "null"};
    for (unsigned i = 0; i < JSON_RULES; i++) rules_name(r, NAMES[i], strlen(NAMES[i]));
    struct expr *value = expr_alt(r);
    for (unsigned i = JSON_OBJECT_ANY; i <= JSON_NUMBER; i++) expr_add(r, value, json_call(r, (enum json_rule)i));
    for (unsigned i = 0; i < 3; i++) expr_add(r, value, text(r, WORDS[i]));
    rules_define(r, JSON_VALUE, value);
    rules_define(r, JSON_OBJECT_ANY, collection(r, "{", any_member, "}"));
    rules_define(r, JSON_ARRAY_ANY, collection(r, "[", any_value, "]"));
    rules_define(r, JSON_STRING_ANY, json_quoted(r, expr_repeat(r, json_call(r, JSON_CHAR), 0, EXPR_FOREVER)));
    rules_define(r, JSON_NUMBER, number(r));
    rules_define(r, JSON_INTEGER_ANY, integer(r));
    rules_define(r, JSON_CHAR, string_char(r));
    rules_define(r, JSON_COMMA, json_pair(r, text(r, ","), optional(r, text(r, " "))));
    rules_define(r, JSON_COLON, json_pair(r, text(r, ":"), optional(r, text(r, " "))));
}

/* ---- given values ---- */

static void escape(struct textbuf *b, const char *s, size_t len) {
    static const char FROM[] = "\b\t\n\f\r\"\\", TO[] = "btnfr\"\\";
    for (size_t i = 0; i < len; i++) {
        const char *special = s[i] ? strchr(FROM, s[i]) : NULL;
        if (special) textbuf_add(b, (const char[]){'\\', TO[special - FROM]}, 2);
        else if ((unsigned char)s[i] < 0x20) {
            textbuf_add(b, "\\u00", 4);
            textbuf_add(b, (const char[]){s[i] & 0x10 ? '1' : '0', "0123456789abcdef"[s[i] & 0xF]}, 2);
        } else textbuf_add(b, s + i, 1);
    }
}

struct expr *json_string_text(struct rules *r, const char *s, size_t len) {
    struct textbuf b = {0};
    textbuf_add(&b, "\"", 1);
    escape(&b, s, len);
    textbuf_add(&b, "\"", 1);
    struct expr *e = b.failed ? NULL : expr_text(r, b.data, b.len);
    r->failed |= b.failed;
    textbuf_free(&b);
    return e;
}

bool json_exact(double v) { return v != floor(v) || fabs(v) < 9007199254740992.0; }

static struct expr *number_text(struct rules *r, double v) {
    char buf[40], exact[32];
    if (v == floor(v) && fabs(v) < 1e18) snprintf(buf, sizeof buf, "%.0f", v == 0 ? 0.0 : v);
    else number_print(buf, sizeof buf, "%.*g", number_digits(v, exact), v);
    return text(r, buf);
}

struct expr *json_value_text(struct rules *r, const json_t *v) {
    struct expr *e;
    const char *key;
    json_t *item, *object = (json_t *)(uintptr_t)v;
    size_t i = 0;
    switch (json_typeof(v)) {
    case JSON_TRUE: return text(r, "true");
    case JSON_FALSE: return text(r, "false");
    case JSON_NULL: return text(r, "null");
    case JSON_STRING: return json_string_text(r, json_string_value(v), json_string_length(v));
    case JSON_ARRAY:
        e = expr_add(r, expr_seq(r), text(r, "["));
        json_array_foreach(v, i, item) {
            if (i) expr_add(r, e, json_call(r, JSON_COMMA));
            expr_add(r, e, json_value_text(r, item));
        }
        return expr_add(r, e, text(r, "]"));
    case JSON_OBJECT:
        e = expr_add(r, expr_seq(r), text(r, "{"));
        json_object_foreach(object, key, item) {
            if (i++) expr_add(r, e, json_call(r, JSON_COMMA));
            expr_add(r, expr_add(r, e, json_string_text(r, key, strlen(key))), json_call(r, JSON_COLON));
            expr_add(r, e, json_value_text(r, item));
        }
        return expr_add(r, e, text(r, "}"));
    default: return number_text(r, json_number_value(v));
    }
}

/* ---- characters of strings ---- */

struct expr *json_chars(struct rules *r, const struct char_range *ranges, size_t n, bool negate) {
    struct expr *all = expr_chars(r, ranges, n, negate), *alt = expr_alt(r);
    struct char_range *raw = all ? arena_array(&r->arena, all->n + 4, sizeof *raw) : NULL;
    uint32_t n_raw = 0;
    if (!raw || !alt) {
        r->failed = true;
        return NULL;
    }
    for (uint32_t i = 0; i < all->n; i++) {
        struct char_range rest = all->ranges[i];
        for (uint32_t c = rest.from; c <= rest.to && c <= '\\'; c++) {
            if (c >= 0x20 && c != '"' && c != '\\') continue;
            struct textbuf b = {0};
            escape(&b, (const char[]){(char)c}, 1);
            expr_add(r, alt, b.failed ? NULL : expr_text(r, b.data, b.len));
            textbuf_free(&b);
        }
        static const struct char_range PLAIN[] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, 0x10FFFF}};
        for (unsigned k = 0; k < 3; k++) {
            const uint32_t from = rest.from > PLAIN[k].from ? rest.from : PLAIN[k].from, to = rest.to < PLAIN[k].to ? rest.to : PLAIN[k].to;
            if (from <= to && n_raw < all->n + 3) raw[n_raw++] = (struct char_range){from, to};
        }
    }
    if (n_raw) expr_add(r, alt, expr_chars(r, raw, n_raw, false));
    return alt->n ? alt : NULL;
}

static int by_text(const void *x, const void *y) { return strcmp(*(const char *const *)x, *(const char *const *)y); }

/* What may follow `depth` bytes that names[0..n) share, up to the closing quote: not the rest of any of them. */
static struct expr *other_rest(struct rules *r, const char **names, size_t n, size_t depth) {
    struct expr *alt = expr_alt(r);
    struct char_range *taken = arena_array(&r->arena, n + 3, sizeof *taken);
    size_t n_taken = 0, i = 0;
    if (!taken) {
        r->failed = true;
        return NULL;
    }
    if (!names[0][depth]) i++; /* the name itself */
    else expr_add(r, alt, expr_seq(r));
    memcpy(taken, ESCAPED, sizeof ESCAPED);
    n_taken = 3;
    while (i < n) {
        uint32_t cp = 0;
        const unsigned len = utf8_read(names[i] + depth, strlen(names[i] + depth), &cp);
        size_t to = i + 1;
        while (to < n && !strncmp(names[i] + depth, names[to] + depth, len)) to++;
        taken[n_taken++] = (struct char_range){cp, cp};
        if (cp >= 0x20 && cp != '"' && cp != '\\') /* else no key without escapes begins so */
            expr_add(r, alt, json_pair(r, expr_text(r, names[i] + depth, len), other_rest(r, names + i, to - i, depth + len)));
        i = to;
    }
    struct expr *plain = expr_repeat(r, expr_chars(r, ESCAPED, 3, true), 0, EXPR_FOREVER);
    return expr_add(r, alt, json_pair(r, expr_chars(r, taken, n_taken, true), plain));
}

struct expr *json_other_key(struct rules *r, const char **names, size_t n) {
    qsort(names, n, sizeof *names, by_text);
    return json_quoted(r, n ? other_rest(r, names, n, 0) : expr_repeat(r, expr_chars(r, ESCAPED, 3, true), 0, EXPR_FOREVER));
}
