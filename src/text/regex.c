#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "text/unicode_tables.h"

struct regex {
    pcre2_code *code;
    bool jit;
};

enum {
    HEAP_FAILED = 121, /* pcre2_compile: out of memory */
    MAX_PATTERN = 1 << 16,
    MAX_NESTING = 100,
    STEPS = 10000,        /* a match may take STEPS + STEPS_PER_BYTE * length: a run is walked there and back a few times */
    STEPS_PER_BYTE = 16,
    HEAP_KIB = 64 << 10,
    JIT_STACK = 8 << 20,  /* for the rare pattern that needs more than PCRE2's own 32 KiB */
};

/* ---- Oniguruma's words where PCRE2 means something else by them ---- */

enum { MAX_REWRITTEN = 1 << 18 }; /* beyond, young characters are no longer spelled out: only a hostile pattern comes here */
struct rewrite {
    char *out; /* room for `room` bytes */
    size_t n, room;
    bool failed;
};
static void put(struct rewrite *w, const char *s, size_t n) {
    if (w->n + n > w->room) {
        char *more = realloc(w->out, 2 * (w->n + n));
        if (!more) w->failed = true;
        if (!more) return;
        w->out = more;
        w->room = 2 * (w->n + n);
    }
    memcpy(w->out + w->n, s, n);
    w->n += n;
}

/* \p{category} inside a class, and the ranges that this category has gained since Unicode 14, which PCRE2 may not know. */
static void put_category(struct rewrite *w, const char *category, size_t n) {
    char range[64];
    put(w, "\\p{", 3);
    put(w, category, n);
    put(w, "}", 1);
    for (size_t i = 0; i < unicode_young_count && w->n < MAX_REWRITTEN; i++) {
        const struct unicode_young *y = &unicode_young[i];
        if (!strncmp(y->category, category, n)) put(w, range, (size_t)snprintf(range, sizeof range, "\\x{%X}-\\x{%X}", (unsigned)y->first, (unsigned)y->last));
    }
}

/* \p{NAME}: PCRE2 takes a script's name for its extensions too (Han has the ideographic comma), and lacks the long names of categories. */
static size_t rewrite_property(struct rewrite *w, const char *s, size_t len, bool inside) {
    static const char HAN[] = "\\p{sc:Han}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"; /* extensions H and I are of Unicode 15 */
    static const char *const NAMES[][2] = {
        {"Letter", "L"}, {"Mark", "M"}, {"Number", "N"}, {"Punctuation", "P"}, {"Punct", "P"}, {"Symbol", "S"}, {"Separator", "Z"}, {"Other", "C"},
        {"Alpha", "Alphabetic"}, {"Alphabetic", "Alphabetic"}, {"Any", "Any"}, {"Digit", "Nd"}, {"Upper", "Uppercase"}, {"Uppercase", "Uppercase"},
        {"Lower", "Lowercase"}, {"Lowercase", "Lowercase"}, {"Space", "White_Space"}, {"White_Space", "White_Space"}, {"Emoji", "Emoji"},
        {"Extended_Pictographic", "Extended_Pictographic"}, {"Ideographic", "Ideographic"}, {"ASCII", "ASCII"},
    };
    const char *close = memchr(s, '}', len);
    size_t from = len > 3 && s[3] == '^' ? 4 : 3, end = len > 2 && s[2] == '{' && close ? (size_t)(close - s) : 0, n = end > from ? end - from : 0;
    bool negated = (s[1] == 'P') != (from == 4), han = n == 3 && !strncmp(s + from, "Han", 3);
    if ((n == 1 || n == 2 || han) && !(inside && negated)) {
        if (!inside) put(w, negated ? "[^" : "[", negated ? 2 : 1);
        if (han) put(w, HAN, sizeof HAN - 1);
        else put_category(w, s + from, n);
        if (!inside) put(w, "]", 1);
        return end + 1;
    }
    if (n < 3 || n > 40 || memchr(s + from, ':', n) || memchr(s + from, '=', n)) {
        put(w, s, 2);
        return 2;
    }
    put(w, s, from);
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strlen(NAMES[i][0]) == n && !strncasecmp(NAMES[i][0], s + from, n)) {
            put(w, NAMES[i][1], strlen(NAMES[i][1]));
            put(w, "}", 1);
            return end + 1;
        }
    put(w, "sc:", 3);
    put(w, s + from, n + 1);
    return end + 1;
}

/* \s \w \d: PCRE2 counts U+180E as space, which lost White_Space long ago, and marks and joining punctuation not as \w. */
static void rewrite_class(struct rewrite *w, char which, bool inside) {
    static const char SPACE[] = "\\t-\\r\\x{85}\\p{Z}";
    static const char WORD[] = "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";
    bool negated = which == 'S' || which == 'W' || which == 'D';
    if (!inside) put(w, negated ? "[^" : "[", negated ? 2 : 1);
    if (which == 's' || which == 'S') put(w, SPACE, sizeof SPACE - 1);
    else if (which == 'd' || which == 'D') put_category(w, "Nd", 2);
    else {
        put_category(w, "L", 1);
        put_category(w, "M", 1);
        put_category(w, "Nd", 2);
        put_category(w, "Nl", 2);
        put_category(w, "Pc", 2);
        put(w, WORD, sizeof WORD - 1); /* circled and squared letters, and Oniguruma's Latin-1 digits */
    }
    if (!inside) put(w, "]", 1);
}

/* Copies the pattern with those words replaced. Inside a class the negated ones stay PCRE2's own. */
static void rewrite(struct rewrite *w, const char *s, size_t len) {
    bool inside = false;
    for (size_t i = 0; i < len;) {
        char c = s[i], next = i + 1 < len ? s[i + 1] : 0;
        if (c == '\\' && (next == 'p' || next == 'P')) i += rewrite_property(w, s + i, len - i, inside);
        else if (c == '\\' && next && (strchr("swd", next) || (strchr("SWD", next) && !inside))) {
            rewrite_class(w, next, inside);
            i += 2;
        } else if (c == '\\' && i + 1 < len) {
            put(w, s + i, 2);
            i += 2;
        } else {
            if (c == '[' && !inside) {
                inside = true;
                size_t n = next == '^' ? 2 : 1;
                if (i + n < len && s[i + n] == ']') n++; /* a bracket that leads a class is one of its characters */
                put(w, s + i, n);
                i += n;
                continue;
            }
            if (c == '[' && next == ':') { /* [:alpha:] inside a class */
                const char *close = memmem(s + i, len - i, ":]", 2);
                size_t n = close ? (size_t)(close - (s + i)) + 2 : 1;
                put(w, s + i, n);
                i += n;
                continue;
            }
            if (c == ']') inside = false;
            put(w, s + i++, 1);
        }
    }
}

static pcre2_code *compile(const char *pattern, size_t len, int *code, size_t *at) {
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    struct rewrite w = {0};
    pcre2_code *re = NULL;
    *code = PCRE2_ERROR_NOMEMORY;
    rewrite(&w, pattern, len);
    if (context && !w.failed) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        pcre2_set_parens_nest_limit(context, MAX_NESTING);
        re = pcre2_compile((PCRE2_SPTR)(w.out ? w.out : ""), w.n, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, code, at, context);
    }
    pcre2_compile_context_free(context);
    free(w.out);
    return re;
}

gllm_status regex_open(struct regex **out, const char *pattern, size_t len, const char *what, gllm_error *err) {
    *out = NULL;
    if (len > MAX_PATTERN) return err_set(err, GLLM_FORMAT, "%s: found a pattern of %zu bytes, expected at most %d", what, len, MAX_PATTERN);
    struct regex *r = calloc(1, sizeof *r);
    int code = PCRE2_ERROR_NOMEMORY;
    size_t at = 0;
    if (r) r->code = compile(pattern, len, &code, &at);
    if (r && r->code) {
        r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0; /* where there is no JIT, PCRE2 interprets */
        *out = r;
        return GLLM_OK;
    }
    free(r);
    if (code == PCRE2_ERROR_NOMEMORY || code == HEAP_FAILED) return err_nomem(err, what);
    PCRE2_UCHAR said[128] = "";
    pcre2_get_error_message(code, said, sizeof said);
    return err_set(err, GLLM_FORMAT, "%s: pattern \"%.80s\": at byte %zu of what PCRE2 is given: %s", what, pattern, at, (const char *)said);
}

void regex_free(struct regex *r) {
    if (!r) return;
    pcre2_code_free(r->code);
    free(r);
}

struct scan_data {
    pcre2_match_data *match;
    pcre2_match_context *context;
};

static bool prepare(struct regex_scan *scan) {
    struct scan_data *d = scan->data = calloc(1, sizeof *d);
    if (!d) return false;
    d->match = pcre2_match_data_create(1, NULL); /* the whole match is all that is asked for */
    d->context = pcre2_match_context_create(NULL);
    return d->match && d->context;
}

void regex_begin(struct regex_scan *scan, const struct regex *r, const char *s, size_t len) {
    void *data = scan->data, *stack = scan->stack;
    *scan = (struct regex_scan){.re = r, .s = s, .len = len, .ended = !len, .data = data, .stack = stack};
    if (!data && !prepare(scan)) {
        scan->failed = scan->ended = true;
        return;
    }
    struct scan_data *d = scan->data;
    uint64_t steps = STEPS + (uint64_t)STEPS_PER_BYTE * len;
    pcre2_set_match_limit(d->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    pcre2_set_heap_limit(d->context, HEAP_KIB);
}

/* Searches from scan->search; a JIT that lacks stack is given more, once. */
static int search(struct regex_scan *scan) {
    struct scan_data *d = scan->data;
    for (;;) {
        int n = pcre2_match(scan->re->code, (PCRE2_SPTR)scan->s, scan->len, scan->search, PCRE2_NO_UTF_CHECK, d->match, d->context);
        if (n != PCRE2_ERROR_JIT_STACKLIMIT || scan->stack) return n;
        scan->stack = pcre2_jit_stack_create(64 << 10, JIT_STACK, NULL);
        if (!scan->stack) return PCRE2_ERROR_NOMEMORY;
        pcre2_jit_stack_assign(d->context, NULL, scan->stack);
    }
}

/* Finds the next match that counts, into next_from and next_to. */
static bool find(struct regex_scan *scan) {
    while (scan->search <= scan->len) {
        int n = search(scan);
        if (n < 0) {
            scan->failed = n != PCRE2_ERROR_NOMATCH;
            return false;
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(((struct scan_data *)scan->data)->match);
        size_t from = at[0], to = at[1];
        if (from > to || from < scan->at) from = to = to < scan->at ? scan->at : to; /* \K inside a lookaround can say such things */
        if (from == to && scan->any && to == scan->at) {
            uint32_t cp;
            unsigned k = utf8_read(scan->s + scan->search, scan->len - scan->search, &cp);
            scan->search += k ? k : 1;
            continue;
        }
        scan->next_from = from;
        scan->next_to = scan->search = to;
        scan->any = true;
        return true;
    }
    return false;
}

bool regex_next(struct regex_scan *scan, struct regex_span *out) {
    if (!scan->pending && !scan->ended) {
        scan->pending = find(scan);
        scan->ended = !scan->pending;
    }
    if (scan->failed) return false;
    size_t from = scan->at;
    if (scan->pending && scan->next_from == from) {
        *out = (struct regex_span){from, scan->next_to, true};
        scan->pending = false;
    } else {
        *out = (struct regex_span){from, scan->pending ? scan->next_from : scan->len, false};
        if (from >= out->to) return false;
    }
    scan->at = out->to;
    return true;
}

void regex_end(struct regex_scan *scan) {
    struct scan_data *d = scan->data;
    if (d) {
        pcre2_match_data_free(d->match);
        pcre2_match_context_free(d->context);
        free(d);
    }
    pcre2_jit_stack_free(scan->stack);
    *scan = (struct regex_scan){0};
}
