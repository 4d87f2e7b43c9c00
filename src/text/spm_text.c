/* spm_text.c - SentencePiece's normaliser, as its library has it (normalizer.cc), which is not quite what HF's Precompiled does.
 *
 * The text is taken from left to right: a user-defined piece stays as it is, else the longest rule of the charsmap that fits is applied, else
 * one character is copied. Spaces are dropped, doubled and escaped in what comes out of that. */
#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"
#include "text/trie.h"

struct spm_text {
    struct charsmap *charsmap; /* NULL: nothing is rewritten */
    const struct trie *user;
    enum dummy_prefix prefix;
    bool suffix, remove_extra;
    const char *space; /* what a space becomes */
    size_t space_len;
    bool plain[256]; /* a byte that neither begins a rule or a user-defined piece nor is a space: copied as it is */
};

gllm_status spm_text_create(struct spm_text **out, struct arena *a, const struct sentencepiece_rules *r, const struct trie *user, const char *name, gllm_error *err) {
    struct spm_text *t = *out = arena_alloc(a, sizeof *t);
    if (!t) return err_nomem(err, name);
    *t = (struct spm_text){.user = user, .prefix = r->prefix, .suffix = r->suffix, .remove_extra = r->remove_extra_whitespaces, .space = r->escape_whitespaces ? "\xE2\x96\x81" : " "};
    t->space_len = strlen(t->space);
    if (r->charsmap && r->charsmap_len) TRY(charsmap_of(&t->charsmap, a, r->charsmap, r->charsmap_len, name, err));
    for (unsigned c = 0; c < 256; c++)
        t->plain[c] = c != ' ' && !(t->charsmap && charsmap_begins(t->charsmap, (unsigned char)c)) && !(user->size && trie_step(user, TRIE_ROOT, (char)c) != TRIE_NONE);
    return GLLM_OK;
}

/* What the next bytes of s become, and how many they are. A character that is not plain goes through here, a mark of it too. */
static size_t next(const struct spm_text *t, const char *s, size_t len, const char **text, size_t *n) {
    size_t used = t->user->size ? trie_longest(t->user, s, len, &(int32_t){0}) : 0;
    if (!used && t->charsmap && (used = charsmap_longest(t->charsmap, s, len, text, n))) return used;
    uint32_t cp;
    if (!used) used = utf8_read(s, len, &cp);
    *text = s;
    *n = used;
    return used;
}

static void add(const struct spm_text *t, const char *s, size_t n, struct textbuf *out) {
    for (size_t i = 0; i < n;) {
        const char *space = memchr(s + i, ' ', n - i);
        size_t k = space ? (size_t)(space - (s + i)) : n - i;
        textbuf_add(out, s + i, k);
        if (space) textbuf_add(out, t->space, t->space_len);
        i += k + 1;
    }
}

void spm_text_run(const struct spm_text *t, const char *s, size_t len, bool first, struct textbuf *out) {
    const size_t start = out->len;
    const bool dummy = t->prefix == PREFIX_ALWAYS || (t->prefix == PREFIX_FIRST && first);
    const char *text;
    size_t n, i = 0;
    while (t->remove_extra && i < len) { /* the leading spaces: what becomes exactly one */
        size_t used = next(t, s + i, len - i, &text, &n);
        if (n != 1 || *text != ' ') break;
        i += used;
    }
    if (i == len) return;
    if (dummy && !t->suffix) textbuf_add(out, t->space, t->space_len);
    bool after_space = t->remove_extra;
    while (i < len) {
        size_t from = i;
        while (i < len && t->plain[(unsigned char)s[i]]) i++;
        while (i > from && i < len && ((unsigned char)s[i] & 0xC0) == 0x80) i--; /* a character is copied whole or not at all */
        if (i > from) {
            textbuf_add(out, s + from, i - from);
            after_space = false;
            continue;
        }
        i += next(t, s + i, len - i, &text, &n);
        while (after_space && n && *text == ' ') text++, n--;
        if (!n) continue;
        add(t, text, n, out);
        after_space = t->remove_extra && text[n - 1] == ' ';
    }
    while (t->remove_extra && out->len - start >= t->space_len && !memcmp(out->data + out->len - t->space_len, t->space, t->space_len)) out->len -= t->space_len;
    if (dummy && t->suffix) textbuf_add(out, t->space, t->space_len);
}
