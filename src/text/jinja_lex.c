/* jinja_lex.c - a template's source cut into tokens: text, the three kinds of tags with their white-space control, and what stands in them. */
#include <errno.h>
#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"
#include "text/jinja_impl.h"
#include "text/parts.h"

struct lexer {
    const char *s;
    size_t len, at;
    uint32_t line;
    struct arena *arena;
    const char *name;
    struct jinja_tokens *out;
    gllm_error *err;
};
enum { MAX_BRACKETS = 2 * JINJA_MAX_DEPTH };

static gllm_status fail(const struct lexer *l, const char *what) { return err_set(l->err, GLLM_FORMAT, "%s: line %u: %s", l->name, l->line, what); }

static gllm_status push(struct lexer *l, struct jinja_token t) {
    struct jinja_tokens *o = l->out;
    if (o->count == o->capacity) {
        size_t n = o->capacity ? 2 * o->capacity : 256;
        struct jinja_token *list = realloc(o->list, n * sizeof *list);
        if (!list) return err_nomem(l->err, l->name);
        o->list = list, o->capacity = n;
    }
    if (!t.line) t.line = l->line;
    o->list[o->count++] = t;
    return GLLM_OK;
}

static void advance(struct lexer *l, size_t to) {
    for (; l->at < to; l->at++) l->line += l->s[l->at] == '\n';
}
static bool at_text(const struct lexer *l, size_t at, const char *what) {
    size_t n = strlen(what);
    return at <= l->len && n <= l->len - at && !memcmp(l->s + at, what, n);
}
static size_t skip_space(const struct lexer *l, size_t at) {
    for (size_t n; (n = jinja_space(l->s + at, l->len - at));) at += n;
    return at;
}

/* Where a tag's end "CLOSE" that begins at `at` leaves off: "-CLOSE" takes the white space behind it, a plain one of `trim` a line end. 0: no end here. */
static size_t tag_end(const struct lexer *l, size_t at, const char *close, bool trim) {
    if (at_text(l, at, "-") && at_text(l, at + 1, close)) return skip_space(l, at + 1 + strlen(close));
    if (trim && at_text(l, at, "+") && at_text(l, at + 1, close)) return at + 1 + strlen(close);
    if (!at_text(l, at, close)) return 0;
    at += strlen(close);
    return trim && at_text(l, at, "\n") ? at + 1 : at;
}

/* The text [at, end) before a tag: cut by "-", or by lstrip_blocks when only blanks stand between it and the line's begin. */
static gllm_status push_text(struct lexer *l, size_t end, char sign, bool lstrip) {
    const char *s = l->s + l->at;
    size_t n = end - l->at;
    if (sign == '-') {
        for (size_t k; (k = jinja_space_back(s, n));) n -= k;
    } else if (sign != '+' && lstrip) {
        size_t from = n, last = n;
        while (from && s[from - 1] != '\n') from--;
        for (size_t k; last > from && (k = jinja_space_back(s + from, last - from));) last -= k;
        const bool line_start = from || !l->at || l->s[l->at - 1] == '\n';
        if (line_start && last == from) n = from;
    }
    gllm_status status = n ? push(l, (struct jinja_token){.kind = TOKEN_DATA, .text = s, .len = n}) : GLLM_OK;
    advance(l, end);
    return status;
}

static size_t find(const struct lexer *l, size_t at, const char *what) {
    const char *p = at < l->len ? memmem(l->s + at, l->len - at, what, strlen(what)) : NULL;
    return p ? (size_t)(p - l->s) : SIZE_MAX;
}

static char sign_at(const struct lexer *l, size_t at) { return at < l->len && (l->s[at] == '-' || l->s[at] == '+') ? l->s[at] : '\0'; }

/* "{% WORD %}" at `at`, with any signs and blanks; *end behind it, 0: it is not there. */
static size_t word_tag(const struct lexer *l, size_t at, const char *word, bool trim) {
    if (!at_text(l, at, "{%")) return 0;
    at = skip_space(l, at + 2 + (sign_at(l, at + 2) != '\0'));
    if (!at_text(l, at, word)) return 0;
    return tag_end(l, skip_space(l, at + strlen(word)), "%}", trim);
}

static gllm_status raw(struct lexer *l, size_t begin_end) {
    advance(l, begin_end);
    for (size_t at = l->at; (at = find(l, at, "{%")) != SIZE_MAX; at += 2) {
        size_t end = word_tag(l, at, "endraw", true);
        if (!end) continue;
        TRY(push_text(l, at, sign_at(l, at + 2), true));
        advance(l, end);
        return GLLM_OK;
    }
    return fail(l, "found {% raw %} without its {% endraw %}");
}

static gllm_status comment(struct lexer *l) {
    size_t at = l->at + 2 + (sign_at(l, l->at + 2) != '\0'), close = find(l, at, "#}");
    if (close == SIZE_MAX) return fail(l, "found {# without its #}");
    if (close > at && sign_at(l, close - 1)) close--;
    advance(l, tag_end(l, close, "#}", true));
    return GLLM_OK;
}

/* ---- inside a tag ---- */

static size_t digits(const struct lexer *l, size_t at) { /* (\d+_)*\d+ */
    size_t end = at;
    for (size_t i = at; i < l->len; i++) {
        if (l->s[i] >= '0' && l->s[i] <= '9') end = i + 1;
        else if (l->s[i] != '_' || i == at || l->s[i - 1] == '_') break;
    }
    return end;
}

static size_t float_end(const struct lexer *l, size_t at) { /* 0: no float here */
    if (at && l->s[at - 1] == '.') return 0;
    size_t end = digits(l, at), frac = end;
    if (end == at) return 0;
    if (at_text(l, end, ".") && digits(l, end + 1) > end + 1) frac = digits(l, end + 1);
    if (frac < l->len && (l->s[frac] | 32) == 'e') {
        size_t e = frac + 1 + (sign_at(l, frac + 1) != '\0'), last = digits(l, e);
        if (last > e) return last;
    }
    return frac > end ? frac : 0;
}

/* Copies [at, end) without underscores into room; false: too long for a number. */
static bool plain_number(const struct lexer *l, size_t at, size_t end, char *room, size_t size) {
    size_t n = 0;
    for (; at < end; at++) {
        if (l->s[at] == '_') continue;
        if (n + 1 == size) return false;
        room[n++] = l->s[at];
    }
    room[n] = '\0';
    return true;
}

static bool digit_of(char c, int base) {
    int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
    return v < base;
}

static size_t int_end(const struct lexer *l, size_t at, int *base) {
    static const struct {
        char letter;
        int base;
    } PREFIX[] = {{'b', 2}, {'o', 8}, {'x', 16}};
    *base = 10;
    for (unsigned i = 0; i < 3; i++) {
        if (l->s[at] != '0' || at + 1 >= l->len || (l->s[at + 1] | 32) != PREFIX[i].letter) continue;
        size_t end = at + 2;
        for (;;) {
            size_t next = end + at_text(l, end, "_");
            if (next >= l->len || !digit_of(l->s[next], PREFIX[i].base)) break;
            end = next + 1;
        }
        if (end == at + 2) break;
        *base = PREFIX[i].base;
        return end;
    }
    if (l->s[at] != '0') return digits(l, at);
    size_t end = at + 1;
    while (at_text(l, end, "0") || at_text(l, end, "_0")) end += at_text(l, end, "_") ? 2 : 1;
    return end;
}

static gllm_status number(struct lexer *l) {
    char room[512];
    struct jinja_token t = {.kind = TOKEN_FLOAT};
    size_t end = float_end(l, l->at);
    int base = 10;
    if (!end) t.kind = TOKEN_INT, end = int_end(l, l->at, &base);
    if (!plain_number(l, l->at, end, room, sizeof room)) return fail(l, "found a number of more than 500 digits");
    errno = 0;
    if (t.kind == TOKEN_FLOAT) t.f = number_parse(room, NULL);
    else t.i = strtoll(room + (base == 10 ? 0 : 2), NULL, base);
    if (t.kind == TOKEN_INT && errno) return fail(l, "found an integer of more than 64 bits");
    l->at = end;
    return push(l, t);
}

static size_t name_end(const struct lexer *l, size_t at) {
    uint32_t cp;
    for (unsigned n; at < l->len && (n = utf8_read(l->s + at, l->len - at, &cp)) && unicode_is_word(cp);) at += n;
    return at;
}

static int hex_value(const char *s, unsigned n, uint32_t *out) {
    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!digit_of(s[i], 16)) return 0;
        *out = *out << 4 | (uint32_t)(s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
    }
    return 1;
}

/* One escape at s, which stands behind its backslash: its character, or 0 and *keep for what Python leaves as it is. Returns the bytes taken; 0: malformed. */
static size_t escape(const char *s, size_t n, uint32_t *cp, bool *none, bool *keep) {
    static const char FROM[] = "\\'\"abfnrtv", TO[] = "\\'\"\a\b\f\n\r\t\v";
    const char *simple = strchr(FROM, s[0]);
    *none = *keep = false;
    *cp = 0;
    if (s[0] == '\n') {
        *none = true;
        return 1;
    }
    if (simple && s[0]) {
        *cp = (uint32_t)TO[simple - FROM];
        return 1;
    }
    const unsigned hex = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : s[0] == 'U' ? 8 : 0;
    if (hex) return n > hex && hex_value(s + 1, hex, cp) ? 1 + hex : 0;
    if (s[0] >= '0' && s[0] <= '7') {
        size_t k = 0;
        for (; k < 3 && k < n && s[k] >= '0' && s[k] <= '7'; k++) *cp = *cp * 8 + (uint32_t)(s[k] - '0');
        return k;
    }
    *keep = true;
    return s[0] == 'N' ? 0 : 1;
}

static gllm_status unescape(struct lexer *l, const char *s, size_t n, struct jinja_token *t) {
    char *to = arena_alloc(l->arena, n + 1), *p = to; /* an escape is never shorter than its character */
    if (!to) return err_nomem(l->err, l->name);
    for (size_t i = 0; i < n;) {
        if (s[i] != '\\' || i + 1 == n) {
            *p++ = s[i++];
            continue;
        }
        uint32_t cp, low;
        bool none, keep;
        size_t k = escape(s + i + 1, n - i - 1, &cp, &none, &keep);
        if (k == 5 && cp >= 0xD800 && cp < 0xDC00 && n - i > 11 && s[i + 6] == '\\' && s[i + 7] == 'u' && hex_value(s + i + 8, 4, &low) && low >= 0xDC00 && low < 0xE000)
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00), k = 11; /* a pair of surrogates */
        if (!k || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) return fail(l, "found a string with a malformed \\ escape");
        if (keep) *p++ = '\\', *p++ = s[i + 1];
        else if (!none) p += utf8_write(cp, p);
        i += 1 + k;
    }
    t->text = to, t->len = (size_t)(p - to);
    return GLLM_OK;
}

static gllm_status string(struct lexer *l) {
    struct jinja_token t = {.kind = TOKEN_STRING, .line = l->line};
    const char quote = l->s[l->at];
    size_t end = l->at + 1;
    bool escaped = false;
    for (; end < l->len && l->s[end] != quote; end++) {
        if (l->s[end] != '\\') continue;
        escaped = true;
        end++;
    }
    if (end >= l->len) return fail(l, "found a string without its closing quote");
    t.text = l->s + l->at + 1;
    t.len = end - l->at - 1;
    if (escaped) TRY(unescape(l, t.text, t.len, &t));
    advance(l, end + 1);
    return push(l, t);
}

static gllm_status operator_(struct lexer *l, char *stack, size_t *depth) {
    static const char TWO[][3] = {"//", "**", "==", "!=", ">=", "<="};
    static const char ONE[] = "+-/*%~[](){}><=.:|,;";
    const char c = l->s[l->at];
    int op = 0;
    for (unsigned i = 0; i < sizeof TWO / sizeof *TWO; i++)
        if (at_text(l, l->at, TWO[i])) op = JINJA_OP(TWO[i][0], TWO[i][1]);
    if (!op && c && strchr(ONE, c)) op = c;
    if (!op) return err_set(l->err, GLLM_FORMAT, "%s: line %u: unexpected character \"%.*s\"", l->name, l->line, (int)jinja_char(l->s + l->at, l->len - l->at), l->s + l->at);
    if (op == '(' || op == '[' || op == '{') {
        if (*depth == MAX_BRACKETS) return fail(l, "too many brackets stand within each other");
        stack[(*depth)++] = (char)(op == '(' ? ')' : op == '[' ? ']' : '}');
    } else if (op == ')' || op == ']' || op == '}') {
        if (!*depth || stack[*depth - 1] != op) return err_set(l->err, GLLM_FORMAT, "%s: line %u: unexpected \"%c\"", l->name, l->line, c);
        --*depth;
    }
    l->at += op > 255 ? 2 : 1;
    return push(l, (struct jinja_token){.kind = TOKEN_OP, .op = op});
}

/* From behind "{{" or "{%" to behind its end. */
static gllm_status tag(struct lexer *l, bool block) {
    char stack[MAX_BRACKETS];
    size_t depth = 0;
    const uint32_t first = l->line;
    while (l->at < l->len) {
        size_t end = depth ? 0 : tag_end(l, l->at, block ? "%}" : "}}", block);
        if (end) {
            gllm_status status = push(l, (struct jinja_token){.kind = block ? TOKEN_BLOCK_END : TOKEN_VAR_END});
            advance(l, end);
            return status;
        }
        const char c = l->s[l->at];
        size_t name;
        if (jinja_space(l->s + l->at, l->len - l->at)) advance(l, skip_space(l, l->at));
        else if (c >= '0' && c <= '9') TRY(number(l));
        else if (c == '\'' || c == '"') TRY(string(l));
        else if ((name = name_end(l, l->at)) > l->at) {
            TRY(push(l, (struct jinja_token){.kind = TOKEN_NAME, .text = l->s + l->at, .len = name - l->at}));
            l->at = name;
        } else TRY(operator_(l, stack, &depth));
    }
    return err_set(l->err, GLLM_FORMAT, "%s: line %u: found %s without its %s", l->name, first, block ? "{%" : "{{", block ? "%}" : "}}");
}

static gllm_status one_tag(struct lexer *l) {
    const char c = l->s[l->at + 1];
    if (c == '#') return comment(l);
    size_t raw_end = word_tag(l, l->at, "raw", false);
    if (raw_end) return raw(l, raw_end);
    TRY(push(l, (struct jinja_token){.kind = c == '%' ? TOKEN_BLOCK_BEGIN : TOKEN_VAR_BEGIN}));
    l->at += 2 + (sign_at(l, l->at + 2) != '\0');
    return tag(l, c == '%');
}

static size_t next_tag(const struct lexer *l) {
    for (size_t at = l->at; (at = find(l, at, "{")) != SIZE_MAX; at++)
        if (at + 1 < l->len && memchr("%{#", l->s[at + 1], 3)) return at;
    return l->len;
}

gllm_status jinja_lex(const char *source, size_t len, struct arena *a, const char *name, struct jinja_tokens *out, gllm_error *err) {
    struct lexer l = {.s = source, .len = len, .line = 1, .arena = a, .name = name, .out = out, .err = err};
    while (l.at < len) {
        size_t at = next_tag(&l);
        if (at == len) TRY(push_text(&l, len, '+', false));
        else {
            TRY(push_text(&l, at, sign_at(&l, at + 2), l.s[at + 1] != '{'));
            TRY(one_tag(&l));
        }
    }
    return push(&l, (struct jinja_token){.kind = TOKEN_END});
}
