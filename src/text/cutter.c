/* cutter.c - running a pre-tokenizer: each cutter takes the pieces of a text and makes smaller ones, ByteLevel and Metaspace also a new text.
 *
 * A list of pieces and a text go from cutter to cutter through two buffers of each, so that nothing is allocated for a word. */
#include <string.h>

#include "base/utf8.h"
#include "text/pretok.h"

/* ---- what becomes of matches: spans come in order and cover the piece ---- */

struct joiner {
    struct pieces *out;
    enum behavior behavior;
    bool open, previous; /* a piece [at, at + len) is not yet out; the span before this one was a match */
    size_t at, len;
};

static void join_end(struct joiner *j) {
    if (j->open && j->len) pieces_add(j->out, j->at, j->len, -1);
    j->open = false;
}

static inline void join(struct joiner *j, size_t at, size_t len, bool match) {
    bool extend;
    switch (j->behavior) {
    case BEHAVIOR_REMOVED:
        if (!match && len) pieces_add(j->out, at, len, -1);
        return;
    case BEHAVIOR_ISOLATED:
        if (len) pieces_add(j->out, at, len, -1);
        return;
    case BEHAVIOR_CONTIGUOUS: extend = j->open && match == j->previous; break;
    case BEHAVIOR_MERGED_PREVIOUS: extend = j->open && match && !j->previous; break;
    default: extend = j->open && !match && j->previous; break;
    }
    j->previous = match;
    if (extend) {
        j->len += len;
        return;
    }
    join_end(j);
    j->open = true;
    j->at = at;
    j->len = len;
}

/* ---- the cutters ---- */

/* What a character is to a splitter: space ends a piece and is dropped; runs of one class stay together; a lone one stands alone. */
enum class { C_SPACE, C_WORD, C_OTHER, C_LONE };
static enum class class_slow(enum cut_kind kind, uint32_t cp) {
    if (unicode_is_space(cp)) return C_SPACE;
    if (kind == CUT_BERT) return unicode_is_punctuation(cp) ? C_LONE : C_WORD;
    if (kind == CUT_WORDS) return unicode_is_word(cp) ? C_WORD : C_OTHER;
    return C_WORD;
}
static inline enum class class_of(enum cut_kind kind, uint32_t cp) {
    if (cp < 0x80 && ((cp | 32) - 'a' < 26 || cp - '0' < 10)) return C_WORD;
    return cp == ' ' ? C_SPACE : class_slow(kind, cp);
}

static void cut_classes(enum cut_kind kind, const char *s, size_t at, size_t len, struct pieces *out) {
    size_t start = at, end = at + len;
    enum class running = C_SPACE;
    for (size_t i = at; i < end;) {
        uint32_t cp = (unsigned char)s[i];
        unsigned k = cp < 0x80 ? 1 : utf8_read(s + i, end - i, &cp);
        enum class c = class_of(kind, cp);
        if (c != running || c == C_LONE) {
            if (running != C_SPACE) pieces_add(out, start, i - start, -1);
            start = i;
            running = c;
        }
        i += k;
    }
    if (running != C_SPACE) pieces_add(out, start, end - start, -1);
}

static inline bool is_match(const struct cutter *c, uint32_t cp) {
    if (c->kind == CUT_DIGITS) return unicode_is_numeric(cp);
    if (c->kind == CUT_PUNCTUATION) return unicode_is_punctuation(cp);
    return cp == c->delimiter;
}

/* Each character that matches is a span of its own, and each run between. */
static void cut_chars(const struct cutter *c, const char *s, size_t at, size_t len, struct pieces *out) {
    struct joiner j = {.out = out, .behavior = c->behavior};
    size_t start = at, end = at + len;
    for (size_t i = at; i < end;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, end - i, &cp);
        if (is_match(c, cp)) {
            if (i > start) join(&j, start, i - start, false);
            join(&j, i, k, true);
            start = i + k;
        }
        i += k;
    }
    if (end > start) join(&j, start, end - start, false);
    join_end(&j);
}

static void cut_string(const struct cutter *c, const char *s, size_t at, size_t len, struct pieces *out) {
    struct joiner j = {.out = out, .behavior = c->behavior};
    size_t start = at, end = at + len;
    for (const char *hit; start < end && (hit = memmem(s + start, end - start, c->text, c->text_len)); start = (size_t)(hit - s) + c->text_len) {
        if (hit > s + start) join(&j, start, (size_t)(hit - s) - start, c->invert);
        join(&j, (size_t)(hit - s), c->text_len, !c->invert);
    }
    if (end > start) join(&j, start, end - start, c->invert);
    join_end(&j);
}

static void cut_regex(const struct cutter *c, const char *s, size_t at, size_t len, struct pretok_run *m, struct pieces *out) {
    struct joiner j = {.out = out, .behavior = c->behavior};
    struct regex_span span;
    regex_begin(&m->scan, c->regex, s + at, len); /* looking back ends at the piece's begin */
    while (regex_next(&m->scan, &span)) join(&j, at + span.from, span.to - span.from, span.match != c->invert);
    join_end(&j);
    m->gave_up |= m->scan.failed;
}

static void cut_fixed(const struct cutter *c, const char *s, size_t at, size_t len, struct pieces *out) {
    for (size_t i = at, end = at + len; i < end;) {
        size_t start = i;
        for (uint32_t n = 0; n < c->length && i < end; n++) {
            uint32_t cp;
            i += utf8_read(s + i, end - i, &cp);
        }
        pieces_add(out, start, i - start, -1);
    }
}

/* A piece begins where the script changes. A character of no script (0) goes with what is before it, and what leads a piece without
 * being given a script is lost, as in HF. */
static void cut_scripts(const char *s, size_t at, size_t len, struct pieces *out) {
    size_t start = 0, end = at + len;
    unsigned last = UINT32_MAX;
    bool open = false;
    for (size_t i = at; i < end;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, end - i, &cp), script = unicode_script(cp);
        if (script && script != last) {
            if (open) pieces_add(out, start, i - start, -1);
            open = true;
            start = i;
        }
        if (script) last = script;
        i += k;
    }
    if (open) pieces_add(out, start, end - start, -1);
}

static void cut_byte_level(const struct cutter *c, const char *s, size_t at, size_t len, struct pretok_run *m, struct textbuf *text, struct pieces *out) {
    const char *from = s + at;
    if (c->prefix_space && *from != ' ') {
        m->spare.len = 0;
        textbuf_add(&m->spare, " ", 1);
        textbuf_add(&m->spare, from, len);
        if (m->spare.failed) return;
        from = m->spare.data, len = m->spare.len;
    }
    struct regex_span span = {0, len, true};
    bool more = true;
    if (c->regex) {
        regex_begin(&m->scan, c->regex, from, len);
        more = regex_next(&m->scan, &span);
    }
    while (more) {
        size_t start = text->len;
        byte_level_add(from + span.from, span.to - span.from, text);
        pieces_add(out, start, text->len - start, -1);
        more = c->regex && regex_next(&m->scan, &span);
    }
    if (c->regex) m->gave_up |= m->scan.failed;
}

static void cut_metaspace(const struct cutter *c, const char *s, size_t at, size_t len, bool first, struct textbuf *text, struct pieces *out) {
    size_t start = text->len, end = at + len;
    bool marked = s[at] == ' ' || (len >= c->mark_len && !memcmp(s + at, c->mark, c->mark_len));
    if (!marked && (c->prepend == PREPEND_ALWAYS || (c->prepend == PREPEND_FIRST && first))) textbuf_add(text, c->mark, c->mark_len);
    for (size_t i = at; i < end;) {
        bool mark = s[i] == ' ' || (s[i] == c->mark[0] && end - i >= c->mark_len && !memcmp(s + i, c->mark, c->mark_len));
        if (mark) {
            if (c->split && text->len > start) {
                pieces_add(out, start, text->len - start, -1);
                start = text->len;
            }
            textbuf_add(text, c->mark, c->mark_len);
            i += s[i] == ' ' ? 1 : c->mark_len;
        } else {
            size_t from = i++;
            while (i < end && s[i] != ' ' && s[i] != c->mark[0]) i++;
            textbuf_add(text, s + from, i - from);
        }
    }
    if (text->len > start) pieces_add(out, start, text->len - start, -1);
}

/* ---- from cutter to cutter ---- */

static void cut(const struct cutter *c, const char *s, const struct piece *p, bool first, struct pretok_run *m, struct textbuf *text, struct pieces *out) {
    switch (c->kind) {
    case CUT_BERT:
    case CUT_WORDS:
    case CUT_WHITESPACE: cut_classes(c->kind, s, p->at, p->len, out); break;
    case CUT_DIGITS:
    case CUT_PUNCTUATION:
    case CUT_DELIMITER: cut_chars(c, s, p->at, p->len, out); break;
    case CUT_REGEX: cut_regex(c, s, p->at, p->len, m, out); break;
    case CUT_STRING: cut_string(c, s, p->at, p->len, out); break;
    case CUT_SCRIPTS: cut_scripts(s, p->at, p->len, out); break;
    case CUT_FIXED: cut_fixed(c, s, p->at, p->len, out); break;
    case CUT_BYTE_LEVEL: cut_byte_level(c, s, p->at, p->len, m, text, out); break;
    case CUT_METASPACE: cut_metaspace(c, s, p->at, p->len, first, text, out); break;
    }
}

bool pretok_minds_first(const struct pretok *p) {
    for (size_t i = 0; p && i < p->count; i++)
        if (p->cutters[i].kind == CUT_METASPACE && p->cutters[i].prepend == PREPEND_FIRST) return true;
    return false;
}

static bool rewrites(const struct cutter *c) { return c->kind == CUT_BYTE_LEVEL || c->kind == CUT_METASPACE; }

void pretok_run(const struct pretok *p, const char *s, size_t at, size_t len, bool first, struct pretok_run *m) {
    unsigned side = 0;
    m->words = &m->lists[0];
    m->text = s;
    m->words->count = 0;
    if (len) pieces_add(m->words, at, len, -1);
    for (size_t i = 0; p && i < p->count; i++) {
        const struct cutter *c = &p->cutters[i];
        const struct pieces *in = &m->lists[side];
        struct pieces *out = &m->lists[side ^= 1];
        struct textbuf *text = &m->texts[m->text == m->texts[0].data];
        out->count = text->len = 0;
        for (size_t k = 0; k < in->count; k++) cut(c, m->text, &in->list[k], first && k == 0, m, text, out);
        if (rewrites(c)) m->text = text->data ? text->data : "";
        else first = first && in->count && out->count && out->list[0].at == in->list[0].at; /* the first piece still begins the input */
        m->words = out;
    }
    m->failed |= m->lists[0].failed || m->lists[1].failed || m->texts[0].failed || m->texts[1].failed || m->spare.failed;
}

void pretok_run_free(struct pretok_run *m) {
    for (unsigned i = 0; i < 2; i++) {
        textbuf_free(&m->texts[i]);
        pieces_free(&m->lists[i]);
    }
    textbuf_free(&m->spare);
    regex_end(&m->scan);
    *m = (struct pretok_run){0};
}
