/* charsmap.c - SentencePiece's precompiled_charsmap: rules "these bytes become that text", as a double-array trie.
 *
 *   u32 size | size bytes: trie units, u32 each | the texts, each ended by NUL          (all little-endian; base64 in JSON)
 *
 *   unit   31        9  8    7 … 0       child of node n by byte c: n ^ offset ^ c, when its label is c
 *          offset | ext | leaf | label   offset = bits 10…31, shifted left by 8 when ext is set; a leaf's value (bits 0…30 of the
 *                                        unit at n ^ offset) is where its text begins
 *
 * Indexes come from the file and are checked at each step: a unit that points outside is a rule that is not there. Units may point in circles, so no
 * rule is for more than RULE_BYTES; the longest of SentencePiece's own is for 12. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "text/parts.h"

enum { RULE_BYTES = 256 };

struct charsmap {
    uint32_t *units;
    const char *texts;
    size_t n_units, n_texts;
};

static int base64_digit(unsigned char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes written to out (room for len / 4 * 3), or -1: not base64 with its padding. */
static ptrdiff_t base64_read(const char *s, size_t len, unsigned char *out) {
    size_t pad = len && s[len - 1] == '=' ? 1 + (len > 1 && s[len - 2] == '=') : 0, n = 0;
    if (len % 4) return -1;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t word = 0;
        for (size_t k = i; k < i + 4; k++) {
            int digit = k >= len - pad ? 0 : base64_digit((unsigned char)s[k]);
            if (digit < 0) return -1;
            word = word << 6 | (uint32_t)digit;
        }
        for (unsigned k = 0; k < 3; k++) out[n++] = (unsigned char)(word >> (16 - 8 * k));
    }
    return (ptrdiff_t)(n - pad);
}

gllm_status charsmap_of(struct charsmap **out, struct arena *a, const void *data, size_t len, const char *name, gllm_error *err) {
    struct charsmap *c = *out = arena_alloc(a, sizeof *c);
    struct bytes b = bytes_of(data, len);
    uint32_t size = bytes_u32(&b);
    if (!c) return err_nomem(err, name);
    c->n_units = size / 4;
    if (b.bad || !c->n_units || c->n_units * 4 > b.size - b.at)
        return err_set(err, GLLM_FORMAT, "%s: normalizer Precompiled: a charsmap of %zu bytes has a trie of %u, expected 4 to what is there", name, len, size);
    c->units = arena_array(a, c->n_units, sizeof *c->units);
    if (!c->units) return err_nomem(err, name);
    for (size_t i = 0; i < c->n_units; i++) c->units[i] = bytes_u32(&b);
    c->n_texts = b.size - b.at;
    c->texts = arena_strndup(a, (const char *)b.data + b.at, c->n_texts);
    if (!c->texts) return err_nomem(err, name);
    size_t bad;
    if (!utf8_valid(c->texts, c->n_texts, &bad)) return err_set(err, GLLM_FORMAT, "%s: normalizer Precompiled: byte %zu of the charsmap's texts is not UTF-8", name, bad);
    return GLLM_OK;
}

gllm_status charsmap_read(struct charsmap **out, struct arena *a, const char *base64, size_t len, const char *name, gllm_error *err) {
    unsigned char *data = malloc(len / 4 * 3 + 1);
    if (!data) return err_nomem(err, name);
    ptrdiff_t n = base64_read(base64, len, data);
    gllm_status status = n < 0 ? err_set(err, GLLM_FORMAT, "%s: normalizer Precompiled: precompiled_charsmap is not base64", name) : charsmap_of(out, a, data, (size_t)n, name, err);
    free(data);
    return status;
}

static size_t offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6); }

/* The text of a rule that s begins with, and in *used how many bytes of s it is for: the shortest rule, or the longest. False: no rule. */
static bool rule(const struct charsmap *c, const char *s, size_t len, bool longest, const char **text, size_t *n, size_t *used) {
    size_t at = offset(c->units[0]);
    bool found = false;
    for (size_t i = 0; i < len && i < RULE_BYTES && s[i]; i++) {
        unsigned char byte = (unsigned char)s[i];
        at ^= byte;
        if (at >= c->n_units || (c->units[at] & (1u << 31 | 0xFF)) != byte) return found;
        uint32_t unit = c->units[at];
        at ^= offset(unit);
        if (!(unit >> 8 & 1) || (longest && i + 1 < len && ((unsigned char)s[i + 1] & 0xC0) == 0x80)) continue; /* ends within a character */
        size_t from = at < c->n_units ? c->units[at] & 0x7FFFFFFF : SIZE_MAX;
        if (from >= c->n_texts || ((unsigned char)c->texts[from] & 0xC0) == 0x80) return found;
        *text = c->texts + from;
        *n = strnlen(*text, c->n_texts - from);
        *used = i + 1;
        found = true;
        if (!longest) return true;
    }
    return found;
}

size_t charsmap_longest(const struct charsmap *c, const char *s, size_t len, const char **text, size_t *n) {
    size_t used;
    return rule(c, s, len, true, text, n, &used) ? used : 0;
}

bool charsmap_begins(const struct charsmap *c, unsigned char byte) {
    size_t at = offset(c->units[0]) ^ byte;
    return at < c->n_units && (c->units[at] & (1u << 31 | 0xFF)) == byte;
}

/* HF's way: a short grapheme cluster as a whole where a rule begins it (the shortest one), else each of its characters. */
void charsmap_run(const struct charsmap *c, const char *s, size_t len, struct textbuf *out) {
    const char *text;
    size_t n, used;
    for (size_t i = 0; i < len;) {
        size_t cluster = unicode_cluster(s + i, len - i), end = i + cluster;
        if (cluster < 6 && rule(c, s + i, cluster, false, &text, &n, &used)) {
            textbuf_add(out, text, n);
            i = end;
        }
        while (i < end) {
            uint32_t cp;
            unsigned k = utf8_read(s + i, end - i, &cp);
            if (rule(c, s + i, k, false, &text, &n, &used)) textbuf_add(out, text, n);
            else textbuf_add(out, s + i, k);
            i += k;
        }
    }
}
