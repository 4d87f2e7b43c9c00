/* unicode.c - character classes by generated tables; normalisation forms, lower case and grapheme clusters on utf8proc. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/parts.h"
#include "text/unicode_tables.h"

/* The last row whose code point is not above cp; NULL: none. */
static const uint32_t *row(const struct unicode_table *t, uint32_t cp) {
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->rows[mid][0] <= cp) low = mid + 1;
        else high = mid;
    }
    return low ? t->rows[low - 1] : NULL;
}

static bool within(const struct unicode_table *t, uint32_t cp) {
    const uint32_t *r = row(t, cp);
    return r && cp <= r[1];
}

bool unicode_is_space(uint32_t cp) {
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool unicode_is_dropped(uint32_t cp) { return within(&unicode_control, cp); }

bool unicode_is_punctuation(uint32_t cp) {
    if (cp < 0x80) return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    return within(&unicode_punctuation, cp);
}

bool unicode_is_chinese(uint32_t cp) {
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x20000 && cp <= 0x2A6DF) || (cp >= 0x2A700 && cp <= 0x2B73F) ||
           (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B920 && cp <= 0x2CEAF) || (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

bool unicode_is_nonspacing(uint32_t cp) { return cp >= 0x300 && within(&unicode_nonspacing, cp); }
bool unicode_is_mark(uint32_t cp) { return cp >= 0x300 && within(&unicode_mark, cp); }
bool unicode_is_numeric(uint32_t cp) { return cp < 0x80 ? cp >= '0' && cp <= '9' : within(&unicode_numeric, cp); }

bool unicode_is_word(uint32_t cp) {
    if (cp < 0x80) return (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') || cp == '_';
    return within(&unicode_word, cp);
}

unsigned unicode_script(uint32_t cp) {
    const uint32_t *r = row(&unicode_scripts, cp);
    return r ? r[1] : 0;
}

size_t unicode_cluster(const char *s, size_t len) {
    uint32_t cp, next;
    utf8proc_int32_t state = 0;
    size_t n = utf8_read(s, len, &cp);
    while (n < len) {
        unsigned char c = (unsigned char)s[n], b = (unsigned char)s[n - 1];
        if (c < 0x80 && b < 0x80 && !(b == '\r' && c == '\n')) break; /* two ASCII characters never cling, but for CR LF */
        unsigned k = utf8_read(s + n, len - n, &next);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next, &state)) break;
        n += k;
        cp = next;
    }
    return n;
}

void unicode_lower(uint32_t cp, struct textbuf *out) {
    if (cp == 0x130) { /* the one character whose lower case is two: i and a combining dot */
        textbuf_add(out, "i\xCC\x87", 3);
        return;
    }
    const uint32_t *young = cp < 0x80 ? NULL : row(&unicode_lower_young, cp);
    textbuf_add_cp(out, young && young[0] == cp ? young[1] : (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
}

static void normalize_known(enum unicode_form form, const char *s, size_t n, struct textbuf *out) {
    static const int OPTIONS[] = {
        [UNICODE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [UNICODE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [UNICODE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [UNICODE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *text = NULL;
    utf8proc_ssize_t len = n ? utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &text, (utf8proc_option_t)OPTIONS[form]) : 0;
    if (len < 0) out->failed = true; /* valid UTF-8 fails for want of memory only */
    else textbuf_add(out, (const char *)text, (size_t)len);
    free(text);
}

/* True for the characters that no form changes and nothing joins: kept as they are, and a border for what is around them. U+0300 begins the
 * marks; below it, decompositions begin at U+00A0 (NFC: singletons and compositions need a mark). Unified ideographs stand alone, too. */
static bool inert(enum unicode_form form, uint32_t cp) {
    if (cp < 0xA0) return true;
    return (cp >= 0x4E00 && cp <= 0x9FEF) || (form == UNICODE_NFC && cp < 0x300);
}

/* In stretches: what is inert is copied but for its last character, to which a mark may still cling; what HF's tables do not know stays. */
void unicode_normalize(enum unicode_form form, const char *s, size_t n, struct textbuf *out) {
    size_t from = 0, last = 0, i = 0; /* s[from, i) is not yet out; s[last, i) is its last character */
    bool plain = true;                /* s[from, i) is inert */
    while (i < n) {
        uint32_t cp = (unsigned char)s[i];
        unsigned k = cp < 0x80 ? 1 : utf8_read(s + i, n - i, &cp);
        bool calm = inert(form, cp);
        if (calm && !plain) { /* nothing before it can change any more */
            normalize_known(form, s + from, i - from, out);
            from = i;
            plain = true;
        } else if (!calm && plain) {
            textbuf_add(out, s + from, last - from);
            from = last;
            plain = false;
        }
        if (!calm && within(&unicode_formless, cp)) {
            normalize_known(form, s + from, i - from, out);
            textbuf_add(out, s + i, k);
            from = i + k;
            plain = true;
        }
        i += k;
        last = i - k < from ? from : i - k;
    }
    if (plain) textbuf_add(out, s + from, n - from);
    else normalize_known(form, s + from, n - from, out);
}
