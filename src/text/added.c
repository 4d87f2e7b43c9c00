/* added.c - added tokens: matched leftmost-longest in the text, before the pipeline sees what lies between them. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

struct token {
    const char *text; /* as matched: normalised for those of the second pass */
    size_t len;
    int32_t id;
    bool special, single_word, lstrip, rstrip, normalized;
};
struct added {
    struct token *tokens; /* longest first within a first byte */
    size_t count;
    uint32_t first[257]; /* tokens[first[b] .. first[b + 1]) begin with byte b */
};

static int by_first_then_longest(const void *x, const void *y) {
    const struct token *a = x, *b = y;
    unsigned char ca = (unsigned char)a->text[0], cb = (unsigned char)b->text[0];
    if (ca != cb) return ca < cb ? -1 : 1;
    if (a->len != b->len) return a->len > b->len ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static gllm_status read_one(struct added *t, struct arena *a, const json_t *v, const struct normalizer *n, const char *name, gllm_error *err) {
    struct token k = {.normalized = true};
    const char *text = NULL;
    uint32_t id = UINT32_MAX;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: added_tokens: found %s, expected an object", name, json_kind(v));
    TRY(json_str(v, name, "content", &text, err));
    TRY(json_u32(v, name, "id", &id, err));
    TRY(json_flag(v, name, "special", &k.special, err));
    k.normalized = !k.special;
    TRY(json_flag(v, name, "single_word", &k.single_word, err));
    TRY(json_flag(v, name, "lstrip", &k.lstrip, err));
    TRY(json_flag(v, name, "rstrip", &k.rstrip, err));
    TRY(json_flag(v, name, "normalized", &k.normalized, err));
    if (!text || id > INT32_MAX) return err_set(err, GLLM_FORMAT, "%s: added_tokens: content and id are required", name);
    if (!*text) return GLLM_OK;
    k.id = (int32_t)id;
    struct textbuf form = {0};
    if (k.normalized) normalizer_run(n, text, strlen(text), &form);
    else textbuf_add(&form, text, strlen(text));
    k.len = form.len;
    k.text = form.failed ? NULL : arena_strndup(a, form.data, form.len);
    textbuf_free(&form);
    if (!k.text) return err_nomem(err, name);
    if (k.len) t->tokens[t->count++] = k;
    return GLLM_OK;
}

gllm_status added_read(struct added **out, struct arena *a, const json_t *list, const struct normalizer *n, const char *name, gllm_error *err) {
    struct added *t = arena_alloc(a, sizeof *t);
    *out = t;
    if (t) t->tokens = arena_array(a, json_array_size(list), sizeof *t->tokens);
    if (!t || !t->tokens) return err_nomem(err, name);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_one(t, a, json_array_get(list, i), n, name, err));
    qsort(t->tokens, t->count, sizeof *t->tokens, by_first_then_longest);
    for (unsigned b = 0, i = 0; b < 257; b++) {
        while (i < t->count && (unsigned char)t->tokens[i].text[0] < b) i++;
        t->first[b] = i;
    }
    return GLLM_OK;
}

bool added_special(const struct added *a, int32_t id) {
    for (size_t i = 0; i < a->count; i++)
        if (a->tokens[i].id == id && a->tokens[i].special) return true;
    return false;
}

/* The character that ends at `at`, or begins there; 0 at the border. */
static uint32_t before(const char *s, size_t from, size_t at) {
    size_t i = at;
    uint32_t cp = 0;
    if (at == from) return 0;
    do i--;
    while (i > from && ((unsigned char)s[i] & 0xC0) == 0x80);
    utf8_read(s + i, at - i, &cp);
    return cp;
}
static uint32_t after(const char *s, size_t at, size_t end) {
    uint32_t cp = 0;
    utf8_read(s + at, end - at, &cp);
    return cp;
}

static const struct token *match(const struct added *a, bool normalized, bool parse_special, const char *s, size_t from, size_t i, size_t end) {
    unsigned char b = (unsigned char)s[i];
    for (uint32_t k = a->first[b]; k < a->first[b + 1]; k++) {
        const struct token *t = &a->tokens[k];
        if (t->normalized != normalized || t->len > end - i || memcmp(s + i, t->text, t->len)) continue;
        if (t->special && !parse_special) return NULL;
        if (t->single_word && ((i > from && unicode_is_word(before(s, from, i))) || (i + t->len < end && unicode_is_word(after(s, i + t->len, end))))) return NULL;
        return t;
    }
    return NULL;
}

void added_split(const struct added *a, bool normalized, bool parse_special, const char *s, size_t at, size_t len, struct pieces *out) {
    size_t end = at + len, start = at;
    for (size_t i = at; i < end;) {
        const struct token *t = a->first[(unsigned char)s[i]] < a->first[(unsigned char)s[i] + 1] ? match(a, normalized, parse_special, s, at, i, end) : NULL;
        if (!t) {
            i++;
            continue;
        }
        size_t from = i, to = i + t->len;
        while (t->lstrip && from > start && unicode_is_space(before(s, start, from)))
            do from--;
            while (from > start && ((unsigned char)s[from] & 0xC0) == 0x80);
        while (t->rstrip && to < end && unicode_is_space(after(s, to, end)))
            do to++;
            while (to < end && ((unsigned char)s[to] & 0xC0) == 0x80);
        if (from > start) pieces_add(out, start, from - start, -1);
        pieces_add(out, from, to - from, t->id);
        i = start = to;
    }
    if (end > start) pieces_add(out, start, end - start, -1);
}
