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
    bool skip; /* special by the name that decoding gives it */
};
enum { PASSES = 2, BYTES = 256 };
struct pass { /* the tokens of one pass over the text: on the raw text, then on the normalised one */
    struct map tokens;         /* text -> index */
    uint32_t *lengths[BYTES];  /* the lengths of those that begin with a byte, longest first, ended by 0; NULL: none */
    size_t count;
};
struct added {
    struct token *tokens; /* by id */
    size_t count;
    struct pass passes[PASSES]; /* [normalized] */
};

static int by_id(const void *x, const void *y) {
    const struct token *a = x, *b = y;
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
    if (k.normalized) normalizer_run(n, text, strlen(text), false, &form);
    else textbuf_add(&form, text, strlen(text));
    k.len = form.len;
    k.text = form.failed ? NULL : arena_strndup(a, form.data ? form.data : "", form.len);
    textbuf_free(&form);
    if (!k.text) return err_nomem(err, name);
    k.skip = k.special && k.len == strlen(text) && !memcmp(k.text, text, k.len);
    t->tokens[t->count++] = k;
    return GLLM_OK;
}

/* Puts n in its place among the lengths of a first byte. */
static bool add_length(struct pass *p, struct arena *a, unsigned char first, uint32_t n) {
    uint32_t *old = p->lengths[first], count = 0, at = 0;
    while (old && old[count]) count++;
    while (at < count && old[at] > n) at++;
    if (at < count && old[at] == n) return true;
    if (!old || (count & (count + 1)) == 0) { /* full: 1, 3, 7 … lengths and the 0 */
        p->lengths[first] = arena_array(a, 2 * (size_t)(count + 1), sizeof *old);
        if (!p->lengths[first]) return false;
        if (old) memcpy(p->lengths[first], old, count * sizeof *old);
    }
    memmove(p->lengths[first] + at + 1, p->lengths[first] + at, (count - at) * sizeof *old);
    p->lengths[first][at] = n;
    return true;
}

static bool index_tokens(struct added *t, struct arena *a) {
    for (size_t i = 0; i < t->count; i++) {
        const struct token *k = &t->tokens[i];
        struct pass *p = &t->passes[k->normalized];
        uint32_t other;
        if (!k->len || k->len > UINT32_MAX || map_get(&p->tokens, k->text, k->len, &other)) continue;
        if (!map_put(&p->tokens, k->text, k->len, (uint32_t)i) || !add_length(p, a, (unsigned char)k->text[0], (uint32_t)k->len)) return false;
        p->count++;
    }
    return true;
}

gllm_status added_read(struct added **out, struct arena *a, const json_t *list, const struct normalizer *n, const char *name, gllm_error *err) {
    struct added *t = arena_alloc(a, sizeof *t);
    *out = t;
    if (t) t->tokens = arena_array(a, json_array_size(list), sizeof *t->tokens);
    if (!t || !t->tokens) return err_nomem(err, name);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_one(t, a, json_array_get(list, i), n, name, err));
    qsort(t->tokens, t->count, sizeof *t->tokens, by_id);
    return index_tokens(t, a) ? GLLM_OK : err_nomem(err, name);
}

void added_free(struct added *a) {
    for (unsigned i = 0; a && i < PASSES; i++) map_free(&a->passes[i].tokens);
}

static const struct token *by_its_id(const struct added *a, int32_t id) {
    const struct token key = {.id = id};
    return a->count ? bsearch(&key, a->tokens, a->count, sizeof *a->tokens, by_id) : NULL;
}

bool added_special(const struct added *a, int32_t id) {
    const struct token *t = by_its_id(a, id);
    return t && t->special;
}

bool added_form(const struct added *a, int32_t id, bool *special, const char **text, size_t *len) {
    const struct token *t = by_its_id(a, id);
    if (!t) return false;
    *special = t->skip;
    *text = t->text;
    *len = t->len;
    return true;
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

static bool overlaps(struct plain_spans plain, size_t at, size_t len) {
    size_t low = 0, high = plain.count; /* the first stretch that ends behind `at` */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (plain.list[mid].at + plain.list[mid].len > at) high = mid;
        else low = mid + 1;
    }
    return low < plain.count && plain.list[low].at < at + len;
}

/* The longest token that the text holds at i; whether it counts there is asked afterwards. A special one in a plain stretch is no token at all:
 * it hides nothing. */
static const struct token *longest(const struct added *a, const struct pass *p, struct plain_spans plain, const char *s, size_t i, size_t end) {
    for (const uint32_t *n = p->lengths[(unsigned char)s[i]]; n && *n; n++) {
        uint32_t k;
        if (*n > end - i || !map_get(&p->tokens, s + i, *n, &k)) continue;
        if (!plain.count || !a->tokens[k].special || !overlaps(plain, i, *n)) return &a->tokens[k];
    }
    return NULL;
}

bool added_has_special(const struct added *a, bool normalized) {
    for (size_t i = 0; i < a->count; i++)
        if (a->tokens[i].special && a->tokens[i].normalized == normalized) return true;
    return false;
}

static bool counts(const struct token *t, bool parse_special, const char *s, size_t from, size_t i, size_t end) {
    if (t->special && !parse_special) return false;
    if (!t->single_word) return true;
    return !(i > from && unicode_is_word(before(s, from, i))) && !(i + t->len < end && unicode_is_word(after(s, i + t->len, end)));
}

/* As HF: matches do not overlap, and one that does not count still hides what lies inside it; lstrip and rstrip widen a match, but the search
 * goes on at the match's own end. */
void added_split(const struct added *a, bool normalized, bool parse_special, struct plain_spans plain, const char *s, size_t at, size_t len, struct pieces *out) {
    const struct pass *p = &a->passes[normalized];
    size_t end = at + len, start = at;
    for (size_t i = at; p->count && i < end;) {
        if (!p->lengths[(unsigned char)s[i]]) {
            i++;
            continue;
        }
        const struct token *t = longest(a, p, plain, s, i, end);
        if (!t || !counts(t, parse_special, s, at, i, end)) {
            i += t ? t->len : 1;
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
        i += t->len;
        start = to;
    }
    if (end > start) pieces_add(out, start, end - start, -1);
}
