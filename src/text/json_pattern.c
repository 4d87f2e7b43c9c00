/* json_pattern.c - regular expressions of JSON schemas, as the inside of a JSON string.
 *
 * ECMA 262 with the flag u, the regular part of it: characters, classes, groups, alternatives, repetitions (greedy or not is the same language).
 * ^ and $ at the ends of the pattern's alternatives; where one is missing anything may stand. Not regular or not here, and told: look-around,
 * back references, \b, \p, anchors elsewhere. */
#include <string.h>

#include "base/utf8.h"
#include "text/json_parts.h"

enum { MAX_GROUPS = 50, MAX_RANGES = 512 };

struct regex_parser {
    struct rules *rules;
    const char *text;
    size_t len, at;
    unsigned depth;
    const char *wrong; /* the first thing; static */
};
struct set { /* a class while it is read */
    struct char_range r[MAX_RANGES];
    size_t n;
};

static int peek(const struct regex_parser *p) { return p->at < p->len ? (unsigned char)p->text[p->at] : -1; }
static bool take(struct regex_parser *p, char c) {
    if (peek(p) != c) return false;
    p->at++;
    return true;
}
static void fail(struct regex_parser *p, const char *what) {
    if (!p->wrong) p->wrong = what;
}

static void add(struct regex_parser *p, struct set *s, uint32_t from, uint32_t to) {
    if (s->n == MAX_RANGES) fail(p, "a class of more than 512 ranges");
    else s->r[s->n++] = (struct char_range){from, to};
}

/* \d \w \s and their opposites. False: c is none of them. */
static bool add_shorthand(struct regex_parser *p, struct set *s, int c) {
    static const struct char_range DIGIT[] = {{'0', '9'}}, WORD[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                                   SPACE[] = {{9, 13}, {32, 32}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    const struct char_range *r = (c | 32) == 'd' ? DIGIT : (c | 32) == 'w' ? WORD : SPACE;
    const size_t n = (c | 32) == 'd' ? 1 : (c | 32) == 'w' ? 4 : 10;
    if (!strchr("dwsDWS", c)) return false;
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (c & 32) add(p, s, r[i].from, r[i].to);
        else if (r[i].from > at) add(p, s, at, r[i].from - 1);
        at = r[i].to + 1;
    }
    if (!(c & 32)) add(p, s, at, 0x10FFFF);
    return true;
}

static uint32_t read_hex(struct regex_parser *p, unsigned n) {
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++, p->at++) {
        const int c = peek(p), low = c | 32, digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (c < 0 || digit < 0) {
            fail(p, "an escape with too few hexadecimal digits");
            return 0;
        }
        v = v << 4 | (uint32_t)digit;
    }
    if (v >= 0xD800 && v <= 0xDFFF) fail(p, "half of a surrogate pair");
    return v;
}

/* What stands after a backslash, but for the shorthands. */
static uint32_t read_escape(struct regex_parser *p) {
    static const char FROM[] = "tnrfv", TO[] = "\t\n\r\f\v";
    uint32_t cp;
    const int c = peek(p);
    if (c < 0) {
        fail(p, "a backslash at the end");
        return 0;
    }
    p->at++;
    if (strchr(FROM, c)) return (unsigned char)TO[strchr(FROM, c) - FROM];
    if (c == 'x') return read_hex(p, 2);
    if (c == 'u' && peek(p) != '{') return read_hex(p, 4);
    if (c == '0' && !(peek(p) >= '0' && peek(p) <= '9')) return 0;
    if (c >= '0' && c <= '9') fail(p, "back references");
    if (c == 'b' || c == 'B') fail(p, "\\b");
    if ((c | 32) == 'p') fail(p, "\\p");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) fail(p, "an escape that is not known");
    p->at--;
    const unsigned n = utf8_read(p->text + p->at, p->len - p->at, &cp);
    p->at += n;
    return cp;
}

static uint32_t read_plain(struct regex_parser *p) {
    uint32_t cp = 0;
    const unsigned n = utf8_read(p->text + p->at, p->len - p->at, &cp);
    p->at += n;
    if (!n) fail(p, "a class that is not closed");
    return cp;
}

/* One end of a range, or a shorthand, which is none: false. */
static bool read_member(struct regex_parser *p, struct set *s, uint32_t *cp) {
    if (!take(p, '\\')) {
        *cp = read_plain(p);
        return true;
    }
    const int c = peek(p);
    if (c > 0 && add_shorthand(p, s, c)) {
        p->at++;
        return false;
    }
    if (take(p, 'b')) *cp = '\b';
    else *cp = read_escape(p);
    return true;
}

static struct expr *read_class(struct regex_parser *p) {
    struct set s = {.n = 0};
    const bool negate = take(p, '^');
    while (!p->wrong && !take(p, ']')) {
        uint32_t from, to;
        const bool single = read_member(p, &s, &from);
        to = from;
        if (single && peek(p) == '-' && p->at + 1 < p->len && p->text[p->at + 1] != ']') {
            p->at++;
            if (!read_member(p, &s, &to)) fail(p, "a range that ends in a class");
            if (to < from) fail(p, "a range that ends before it begins");
        }
        if (single) add(p, &s, from, to);
    }
    struct expr *e = p->wrong ? NULL : json_chars(p->rules, s.r, s.n, negate);
    if (!e && !p->rules->failed) fail(p, "a class without a character");
    return e;
}

static struct expr *one_char(struct regex_parser *p, uint32_t cp) { return json_chars(p->rules, &(struct char_range){cp, cp}, 1, false); }

static struct expr *read_alternatives(struct regex_parser *p, bool top);

static struct expr *read_group(struct regex_parser *p) {
    if (++p->depth > MAX_GROUPS) fail(p, "groups nested too deep");
    if (take(p, '?')) {
        if (take(p, '<') && peek(p) != '=' && peek(p) != '!') {
            while (peek(p) >= 0 && peek(p) != '>') p->at++;
            if (!take(p, '>')) fail(p, "a name that is not closed");
        } else if (!take(p, ':')) fail(p, "look-around");
    }
    struct expr *e = p->wrong ? NULL : read_alternatives(p, false);
    if (!take(p, ')')) fail(p, "a group that is not closed");
    p->depth--;
    return e;
}

static struct expr *read_atom(struct regex_parser *p) {
    static const struct char_range NO_DOT[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
    const int c = peek(p);
    if (take(p, '(')) return read_group(p);
    if (take(p, '[')) return read_class(p);
    if (take(p, '.')) return json_chars(p->rules, NO_DOT, 3, true);
    if (take(p, '\\')) {
        struct set s = {.n = 0};
        if (peek(p) > 0 && add_shorthand(p, &s, peek(p))) {
            p->at++;
            return json_chars(p->rules, s.r, s.n, false);
        }
        return one_char(p, read_escape(p));
    }
    if (c == '^' || c == '$') fail(p, "an anchor inside the pattern");
    else if (c == '*' || c == '+' || c == '?') fail(p, "a repetition of nothing");
    else if (c == '{' || c == '}' || c == ']') fail(p, "a bare bracket");
    return p->wrong ? NULL : one_char(p, read_plain(p));
}

static uint32_t read_count(struct regex_parser *p) {
    uint64_t n = 0;
    if (!(peek(p) >= '0' && peek(p) <= '9')) fail(p, "a repetition without a number");
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) n = n > UINT32_MAX ? n : 10 * n + (uint64_t)(peek(p) - '0');
    if (n >= EXPR_FOREVER) fail(p, "too many repetitions");
    return (uint32_t)n;
}

static struct expr *read_repeat(struct regex_parser *p, struct expr *atom) {
    uint32_t min, max = EXPR_FOREVER;
    if (take(p, '*')) min = 0;
    else if (take(p, '+')) min = 1;
    else if (take(p, '?')) min = 0, max = 1;
    else if (take(p, '{')) {
        min = max = read_count(p);
        if (take(p, ',')) max = peek(p) == '}' ? EXPR_FOREVER : read_count(p);
        if (!take(p, '}') || max < min) fail(p, "a repetition that is not {m}, {m,} or {m,n}");
    } else return atom;
    take(p, '?'); /* as few as possible: the same texts */
    return p->wrong ? NULL : expr_repeat(p->rules, atom, min, max);
}

static struct expr *anything(struct regex_parser *p) { return expr_repeat(p->rules, json_call(p->rules, JSON_CHAR), 0, EXPR_FOREVER); }

static struct expr *read_sequence(struct regex_parser *p, bool top) {
    struct expr *e = expr_seq(p->rules);
    bool closed = false;
    if (top && !take(p, '^')) expr_add(p->rules, e, anything(p));
    while (!p->wrong && !closed && peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        closed = top && peek(p) == '$' && (p->at + 1 == p->len || p->text[p->at + 1] == '|');
        if (closed) p->at++;
        else expr_add(p->rules, e, read_repeat(p, read_atom(p)));
    }
    if (top && !closed) expr_add(p->rules, e, anything(p));
    return e;
}

static struct expr *read_alternatives(struct regex_parser *p, bool top) {
    struct expr *e = expr_alt(p->rules);
    do expr_add(p->rules, e, read_sequence(p, top));
    while (!p->wrong && take(p, '|'));
    if (top && !p->wrong && peek(p) == ')') fail(p, "a bracket that was not opened");
    return e;
}

struct expr *json_pattern(struct rules *r, const char *pattern, size_t len, const char **wrong) {
    struct regex_parser p = {.rules = r, .text = pattern, .len = len};
    struct expr *e = read_alternatives(&p, true);
    *wrong = p.wrong;
    return p.wrong ? NULL : e;
}
