#include "text/gbnf.h"

#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum { MAX_GROUPS = 50, MAX_REPEATS = 8 };

struct parser {
    const char *text;
    size_t len, at;
    struct rules *rules;
    struct textbuf buffer; /* of the text being read */
    unsigned depth;        /* groups open */
};

/* Line and column of byte `at`. */
static gllm_status wrong_at(const struct parser *p, size_t at, gllm_error *err, const char *what, const char *detail) {
    unsigned line = 1;
    size_t start = 0;
    for (size_t i = 0; i < at; i++)
        if (p->text[i] == '\n') line++, start = i + 1;
    return err_set(err, GLLM_INVALID, "grammar %u:%zu: %s%s", line, utf8_count(p->text + start, at - start) + 1, what, detail);
}
static gllm_status wrong(const struct parser *p, gllm_error *err, const char *what) { return wrong_at(p, p->at, err, what, ""); }

static int peek(const struct parser *p) { return p->at < p->len ? (unsigned char)p->text[p->at] : -1; }
static bool take(struct parser *p, char c) {
    if (peek(p) != c) return false;
    p->at++;
    return true;
}

static void skip(struct parser *p, bool newlines) {
    for (;; p->at++) {
        const int c = peek(p);
        if (c == '#') {
            while (p->at < p->len && peek(p) != '\n' && peek(p) != '\r') p->at++;
            if (peek(p) < 0) return;
            p->at--; /* the newline decides */
        } else if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r'))) return;
    }
}

static bool is_name(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

static gllm_status read_name(struct parser *p, const char **name, size_t *len, gllm_error *err) {
    *name = p->text + p->at;
    *len = 0;
    while (is_name(peek(p))) p->at++, ++*len;
    return *len ? GLLM_OK : wrong(p, err, "expected a rule's name");
}

static gllm_status read_hex(struct parser *p, size_t from, unsigned n, uint32_t *cp, gllm_error *err) {
    *cp = 0;
    for (unsigned i = 0; i < n; i++, p->at++) {
        const int c = peek(p), low = c | 32, digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (c < 0 || digit < 0) return wrong(p, err, n == 2 ? "expected 2 hexadecimal digits" : n == 4 ? "expected 4 hexadecimal digits" : "expected 8 hexadecimal digits");
        *cp = *cp << 4 | (uint32_t)digit;
    }
    if (*cp > 0x10FFFF || (*cp >= 0xD800 && *cp <= 0xDFFF)) return wrong_at(p, from, err, "the escape is no Unicode character", "");
    return GLLM_OK;
}

/* One character of a text or class, which is not its end. */
static gllm_status read_char(struct parser *p, uint32_t *cp, gllm_error *err) {
    const size_t from = p->at;
    if (!take(p, '\\')) {
        const unsigned n = utf8_read(p->text + p->at, p->len - p->at, cp);
        p->at += n;
        return n ? GLLM_OK : wrong(p, err, "the grammar ends in the middle of a text or class");
    }
    const int c = peek(p);
    p->at += c >= 0;
    switch (c) {
    case 'x': return read_hex(p, from, 2, cp, err);
    case 'u': return read_hex(p, from, 4, cp, err);
    case 'U': return read_hex(p, from, 8, cp, err);
    case 't': *cp = '\t'; return GLLM_OK;
    case 'r': *cp = '\r'; return GLLM_OK;
    case 'n': *cp = '\n'; return GLLM_OK;
    case '\\':
    case '"':
    case '[':
    case ']': *cp = (uint32_t)c; return GLLM_OK;
    default: return wrong_at(p, from, err, "the escape is not known; expected one of \\n \\r \\t \\\\ \\\" \\[ \\] \\x \\u \\U", "");
    }
}

static gllm_status read_text(struct parser *p, struct expr **out, gllm_error *err) {
    p->buffer.len = 0;
    while (!take(p, '"')) {
        uint32_t cp;
        TRY(read_char(p, &cp, err));
        textbuf_add_cp(&p->buffer, cp);
    }
    *out = expr_text(p->rules, p->buffer.data ? p->buffer.data : "", p->buffer.len);
    return p->buffer.failed ? err_nomem(err, "grammar") : GLLM_OK;
}

static gllm_status read_class(struct parser *p, struct expr **out, gllm_error *err) {
    const size_t from = p->at - 1;
    const bool negate = take(p, '^');
    struct char_range *ranges = NULL;
    size_t n = 0, room = 0;
    while (!take(p, ']')) {
        struct char_range r;
        TRY(read_char(p, &r.from, err));
        r.to = r.from;
        if (peek(p) == '-' && p->at + 1 < p->len && p->text[p->at + 1] != ']') {
            const size_t dash = p->at++;
            TRY(read_char(p, &r.to, err));
            if (r.to < r.from) return wrong_at(p, dash, err, "the range ends before it begins", "");
        }
        if (n == room) {
            struct char_range *more = arena_array(&p->rules->arena, room = 2 * room + 8, sizeof *more);
            if (!more) return err_nomem(err, "grammar");
            if (n) memcpy(more, ranges, n * sizeof *more);
            ranges = more;
        }
        ranges[n++] = r;
    }
    *out = n ? expr_chars(p->rules, ranges, n, negate) : NULL;
    if (!n || (*out && !(*out)->n)) return wrong_at(p, from, err, "the class holds no character", "");
    return GLLM_OK;
}

static gllm_status read_count(struct parser *p, uint32_t *out, gllm_error *err) {
    const size_t from = p->at;
    uint64_t n = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) n = n > UINT32_MAX ? n : 10 * n + (uint64_t)(peek(p) - '0');
    if (p->at == from) return wrong(p, err, "expected a number of repetitions");
    if (n >= EXPR_FOREVER) return wrong_at(p, from, err, "the number of repetitions is too large", "");
    *out = (uint32_t)n;
    return GLLM_OK;
}

/* {m} {m,} {m,n} after the brace. */
static gllm_status read_bounds(struct parser *p, uint32_t *min, uint32_t *max, gllm_error *err) {
    skip(p, false);
    TRY(read_count(p, min, err));
    *max = *min;
    skip(p, false);
    if (take(p, ',')) {
        skip(p, false);
        *max = EXPR_FOREVER;
        const size_t at = p->at;
        if (peek(p) != '}') TRY(read_count(p, max, err));
        if (*max < *min) return wrong_at(p, at, err, "the most repetitions are fewer than the least", "");
        skip(p, false);
    }
    return take(p, '}') ? GLLM_OK : wrong(p, err, "expected }");
}

static gllm_status read_repeats(struct parser *p, struct expr **item, gllm_error *err) {
    for (unsigned n = 0;; n++) {
        uint32_t min, max = EXPR_FOREVER;
        if (n > MAX_REPEATS) return wrong(p, err, "too many repetitions of repetitions");
        if (take(p, '*')) min = 0;
        else if (take(p, '+')) min = 1;
        else if (take(p, '?')) min = 0, max = 1;
        else if (take(p, '{')) TRY(read_bounds(p, &min, &max, err));
        else return GLLM_OK;
        *item = expr_repeat(p->rules, *item, min, max);
        skip(p, p->depth > 0);
    }
}

static gllm_status read_alternatives(struct parser *p, struct expr **out, gllm_error *err);

static gllm_status read_group(struct parser *p, struct expr **out, gllm_error *err) {
    const size_t from = p->at - 1;
    if (++p->depth > MAX_GROUPS) return wrong_at(p, from, err, "groups are nested too deep", "");
    skip(p, true);
    TRY(read_alternatives(p, out, err));
    p->depth--;
    return take(p, ')') ? GLLM_OK : wrong(p, err, peek(p) < 0 ? "a group is not closed: expected )" : "expected an item, | or )");
}

/* Ends before what is no item. *out NULL: there was none. */
static gllm_status read_item(struct parser *p, struct expr **out, gllm_error *err) {
    static const struct char_range ANY = {0, 0x10FFFF};
    *out = NULL;
    if (take(p, '"')) return read_text(p, out, err);
    if (take(p, '[')) return read_class(p, out, err);
    if (take(p, '(')) return read_group(p, out, err);
    if (take(p, '.')) {
        *out = expr_chars(p->rules, &ANY, 1, false);
        return GLLM_OK;
    }
    if (is_name(peek(p))) {
        const char *name;
        size_t len;
        TRY(read_name(p, &name, &len, err));
        *out = expr_call(p->rules, rules_name(p->rules, name, len));
        return GLLM_OK;
    }
    const int c = peek(p);
    if (c == '*' || c == '+' || c == '?' || c == '{') return wrong(p, err, "nothing before it to repeat");
    if (c == '<' || c == '!') return wrong(p, err, "token ids in a grammar are not supported");
    return GLLM_OK;
}

static bool begins_item(int c) { return c == '"' || c == '[' || c == '(' || c == '.' || is_name(c); }

static gllm_status read_sequence(struct parser *p, struct expr **out, gllm_error *err) {
    *out = expr_seq(p->rules);
    for (;;) {
        struct expr *item;
        const bool some = begins_item(peek(p));
        TRY(read_item(p, &item, err));
        if (!some) return GLLM_OK;
        skip(p, p->depth > 0);
        TRY(read_repeats(p, &item, err));
        expr_add(p->rules, *out, item);
        TRY(rules_check(p->rules, err));
    }
}

static gllm_status read_alternatives(struct parser *p, struct expr **out, gllm_error *err) {
    *out = expr_alt(p->rules);
    do {
        struct expr *one;
        skip(p, true);
        TRY(read_sequence(p, &one, err));
        expr_add(p->rules, *out, one);
    } while (take(p, '|'));
    return GLLM_OK;
}

static gllm_status read_rule(struct parser *p, gllm_error *err) {
    const char *name;
    size_t len;
    const size_t from = p->at;
    struct expr *body;
    TRY(read_name(p, &name, &len, err));
    skip(p, false);
    if (!take(p, ':') || !take(p, ':') || !take(p, '=')) return wrong(p, err, "expected ::=");
    const uint32_t rule = rules_name(p->rules, name, len);
    if (!p->rules->failed && p->rules->list[rule].body) return wrong_at(p, from, err, "the rule is defined twice: ", p->rules->list[rule].name);
    TRY(read_alternatives(p, &body, err));
    rules_define(p->rules, rule, body);
    if (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r') return wrong(p, err, "expected an item, | or the end of the line");
    skip(p, true);
    return rules_check(p->rules, err);
}

static gllm_status read_rules(struct parser *p, gllm_error *err) {
    size_t bad;
    if (p->len > GBNF_MAX_BYTES) return err_set(err, GLLM_INVALID, "the grammar has %zu bytes, expected at most %d", p->len, GBNF_MAX_BYTES);
    if (!utf8_valid(p->text, p->len, &bad)) return err_set(err, GLLM_INVALID, "grammar: byte %zu is not UTF-8 (0x%02x)", bad, (unsigned char)p->text[bad]);
    skip(p, true);
    while (p->at < p->len) TRY(read_rule(p, err));
    return GLLM_OK;
}

gllm_status gbnf_read(struct grammar **out, const char *text, size_t len, gllm_error *err) {
    struct rules rules = {0};
    struct parser p = {.text = text, .len = len, .rules = &rules};
    *out = NULL;
    gllm_status status = read_rules(&p, err);
    if (status == GLLM_OK) status = grammar_compile(out, &rules, "root", err);
    textbuf_free(&p.buffer);
    rules_free(&rules);
    return status;
}
