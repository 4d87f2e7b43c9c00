/* bpe.c - byte-pair encoding: a word starts as characters, and the two neighbours of the lowest rank merge until none can.
 *
 * Merges lie in one open-addressing table keyed by (left id, right id). A short word is merged by scanning its few ranks; a
 * long one by a heap over a linked list, O(n log n). Both take the lowest rank first, and of equal pairs the leftmost. Before that a word is cut
 * where no merge can ever cross: between two characters that never meet in a merge. */
#include "text/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

enum { SHORT_WORD = 48 };  /* symbols; above it the heap is faster */
enum { DIRECT_CPS = 512 }; /* code points with a direct table: the byte-level alphabet ends at U+0143 */
#define NO_RANK UINT32_MAX
#define FROZEN (1 << 30) /* on a symbol's id: a user-defined piece, which no table entry can match */

struct merge {
    uint64_t key; /* (left + 1) << 32 | right; 0: free */
    uint32_t rank;
    int32_t id; /* of what the two become */
};
struct bpe {
    struct merge *merges; /* [mask + 1] */
    uint64_t mask, seed, count;
    struct model_options opt;
    bool ignore_merges;         /* a word that is an entry stays whole */
    const char *prefix, *suffix; /* on each character but the first; on the last one */
    size_t prefix_len, suffix_len;
    int32_t bytes[256];
    int32_t direct[DIRECT_CPS]; /* ids of single characters without prefix or suffix; -1: none */
    const uint8_t *types;       /* merges from scores: [vocab size]; NULL: every entry is text */
    const struct trie *user;    /* pieces found before anything else; NULL: none */
    uint32_t *unused;           /* [vocab size] one more than the number of an unused piece that merges make; 0: another; NULL: there is none */
    uint32_t n_unused;
    uint64_t *neighbours;       /* a bit for each pair of characters that some merge brings together, by hash; NULL: not known */
    uint64_t neighbours_mask;   /* of the bits' numbers */
};

static bool takes_part(const uint8_t *types, uint32_t id) {
    return !types || types[id] == PIECE_NORMAL || types[id] == PIECE_USER_DEFINED || types[id] == PIECE_UNUSED;
}

/* The entry that s is, unless it is a control piece or the like; -1: none. */
static int32_t entry(const struct bpe *m, const struct vocab *v, const char *s, size_t len) {
    uint32_t id;
    return map_get(&v->ids, s, len, &id) && takes_part(m->types, id) ? (int32_t)id : -1;
}

/* The same for one character. */
static int32_t char_entry(const struct bpe *m, const struct vocab *v, const char *s, unsigned n) {
    uint32_t cp;
    return n <= 2 && utf8_read(s, n, &cp) && cp < DIRECT_CPS ? m->direct[cp] : entry(m, v, s, n);
}

/* ---- the table ---- */

static uint64_t merge_key(int32_t left, int32_t right) { return ((uint64_t)(uint32_t)left + 1) << 32 | (uint32_t)right; }
static uint64_t merge_hash(const struct bpe *m, uint64_t key) {
    uint64_t h = (key ^ m->seed) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static struct merge *merge_slot(const struct bpe *m, uint64_t key) {
    for (uint64_t i = merge_hash(m, key) & m->mask;; i = (i + 1) & m->mask)
        if (m->merges[i].key == key || !m->merges[i].key) return &m->merges[i];
}

static const struct merge *merge_find(const struct bpe *m, int32_t left, int32_t right) {
    const struct merge *e = merge_slot(m, merge_key(left, right));
    return e->key ? e : NULL;
}

static bool merge_reserve(struct bpe *m, struct arena *a, size_t n) {
    uint64_t capacity = 16;
    while (capacity / 2 < n) capacity *= 2;
    m->merges = arena_array(a, capacity, sizeof *m->merges);
    m->mask = capacity - 1;
    return m->merges != NULL;
}

static void merge_put(struct bpe *m, int32_t left, int32_t right, uint32_t rank, int32_t id) {
    *merge_slot(m, merge_key(left, right)) = (struct merge){merge_key(left, right), rank, id};
}

/* True when every byte has its character of the byte-level alphabet: then no text is unknown. */
static bool is_byte_level(const struct bpe *m) {
    for (uint32_t cp = 0x21; cp < 0x144; cp++) {
        bool letter = cp < 0x7F || (cp > 0xA0 && cp != 0xAD);
        if (letter && m->direct[cp] < 0) return false;
    }
    return true;
}

/* ---- where a word may be cut: a merge joins the last character of its left entry to the first of its right one ---- */

/* "<0x0A>" */
static bool is_byte(const struct bpe *m, const struct vocab *v, int32_t id) {
    for (unsigned b = 0; b < 256 && v->piece_len[id] == 6 && v->piece[id][0] == '<'; b++)
        if (m->bytes[b] == id) return true;
    return false;
}

/* Not for entries with prefix or suffix, which are not made of characters; not where byte tokens merge; not where the order of all merges of a
 * word counts, as it does for unused pieces; and not for the byte-level alphabet, whose words are short: the table would take longer to make. */
static bool find_neighbours(struct bpe *m, const struct vocab *v, struct arena *a) {
    uint64_t bits = 1024;
    size_t n = 0;
    if (m->prefix_len || m->suffix_len || m->unused || is_byte_level(m)) return true;
    for (uint64_t i = 0; i <= m->mask; i++) n += m->merges[i].key != 0;
    while (bits / 16 < n) bits *= 2;
    uint64_t *table = arena_array(a, bits / 64, sizeof *table);
    if (!table) return false;
    m->neighbours_mask = bits - 1;
    for (uint64_t i = 0; i <= m->mask; i++) {
        const uint64_t key = m->merges[i].key;
        if (!key) continue;
        const int32_t left = (int32_t)((key >> 32) - 1), right = (int32_t)(uint32_t)key;
        const char *l = v->piece[left], *r = v->piece[right];
        uint32_t nl = v->piece_len[left], nr = v->piece_len[right], cp;
        if (!nl || !nr || is_byte(m, v, left) || is_byte(m, v, right) || left == m->opt.unk || right == m->opt.unk) return true;
        unsigned tail = 1;
        while (tail < nl && ((unsigned char)l[nl - tail] & 0xC0) == 0x80) tail++;
        const int32_t last = char_entry(m, v, l + nl - tail, tail), first = char_entry(m, v, r, utf8_read(r, nr, &cp));
        const uint64_t bit = merge_hash(m, merge_key(last, first)) & m->neighbours_mask;
        if (last >= 0 && first >= 0) table[bit / 64] |= 1ull << (bit & 63);
    }
    m->neighbours = table;
    return true;
}

static bool may_meet(const struct bpe *m, int32_t left, int32_t right) {
    const uint64_t bit = merge_hash(m, merge_key(left, right)) & m->neighbours_mask;
    return !m->neighbours || (m->neighbours[bit / 64] >> (bit & 63) & 1);
}

/* ---- reading ---- */

enum { MAX_AFFIX = 64 }; /* bytes of continuing_subword_prefix and of end_of_word_suffix */

static struct bpe *create(struct arena *a, const struct vocab *v, const struct model_options *opt, const uint8_t *types) {
    struct bpe *m = arena_alloc(a, sizeof *m);
    if (!m) return NULL;
    m->opt = *opt;
    m->prefix = m->suffix = "";
    m->seed = v->ids.seed;
    m->types = types;
    vocab_bytes(v, m->bytes);
    for (uint32_t cp = 0; cp < DIRECT_CPS; cp++) {
        char s[4];
        m->direct[cp] = entry(m, v, s, utf8_write(cp, s));
    }
    return m;
}

static gllm_status bad_merge(size_t i, const char *text, size_t len, const char *what, const char *name, gllm_error *err) {
    return err_set(err, GLLM_FORMAT, "%s: model.merges[%zu]: \"%.*s\" %s", name, i, (int)(len < 60 ? len : 60), text, what);
}

/* Merge i: left and right, and left + right without the latter's prefix, must be entries. */
static gllm_status add_merge(struct bpe *m, const struct vocab *v, size_t i, const char *l, size_t nl, const char *r, size_t nr, const char *name, gllm_error *err) {
    uint32_t left, right, id;
    if (!map_get(&v->ids, l, nl, &left)) return bad_merge(i, l, nl, "is not in the vocabulary", name, err);
    if (!map_get(&v->ids, r, nr, &right)) return bad_merge(i, r, nr, "is not in the vocabulary", name, err);
    if (nr < m->prefix_len) return bad_merge(i, r, nr, "is shorter than continuing_subword_prefix", name, err);
    size_t n = nl + nr - m->prefix_len;
    char local[256], *joined = n <= sizeof local ? local : malloc(n);
    if (!joined) return err_nomem(err, name);
    memcpy(joined, l, nl);
    memcpy(joined + nl, r + m->prefix_len, nr - m->prefix_len);
    bool known = map_get(&v->ids, joined, n, &id);
    gllm_status status = known ? GLLM_OK : bad_merge(i, joined, n, "is what a merge makes, but is not in the vocabulary", name, err);
    if (joined != local) free(joined);
    if (known) merge_put(m, (int32_t)left, (int32_t)right, (uint32_t)i, (int32_t)id);
    return status;
}

static gllm_status add_merge_text(struct bpe *m, const struct vocab *v, size_t i, const char *s, size_t len, const char *name, gllm_error *err) {
    const char *blank = memchr(s, ' ', len);
    size_t nl = blank ? (size_t)(blank - s) : 0;
    if (!blank || memchr(blank + 1, ' ', len - nl - 1)) return bad_merge(i, s, len, "is no merge, expected two entries with a blank between", name, err);
    return add_merge(m, v, i, s, nl, blank + 1, len - nl - 1, name, err);
}

static gllm_status read_merge(struct bpe *m, const struct vocab *v, size_t i, const json_t *e, const char *name, gllm_error *err) {
    if (json_is_string(e)) {
        const char *s = json_string_value(e);
        if (!strncmp(s, "#version", 8)) return GLLM_OK; /* the first line of merges.txt, which old converters kept */
        return add_merge_text(m, v, i, s, json_string_length(e), name, err);
    }
    const json_t *l = json_array_get(e, 0), *r = json_array_get(e, 1);
    if (json_array_size(e) != 2 || !json_is_string(l) || !json_is_string(r))
        return err_set(err, GLLM_FORMAT, "%s: model.merges[%zu]: found %s, expected \"left right\" or [\"left\", \"right\"]", name, i, json_kind(e));
    return add_merge(m, v, i, json_string_value(l), json_string_length(l), json_string_value(r), json_string_length(r), name, err);
}

static gllm_status read_options(struct bpe *m, const struct vocab *v, struct arena *a, const json_t *model, const char *name, gllm_error *err) {
    const char *unk = NULL, *prefix = "", *suffix = "";
    float dropout = 0;
    uint32_t id;
    TRY(json_f32(model, name, "dropout", &dropout, err));
    if (dropout != 0) return err_set(err, GLLM_UNSUPPORTED, "%s: model.dropout: found %g, expected none: encoding would be random", name, (double)dropout);
    TRY(json_str(model, name, "unk_token", &unk, err));
    TRY(json_str(model, name, "continuing_subword_prefix", &prefix, err));
    TRY(json_str(model, name, "end_of_word_suffix", &suffix, err));
    TRY(json_flag(model, name, "byte_fallback", &m->opt.byte_fallback, err));
    TRY(json_flag(model, name, "fuse_unk", &m->opt.fuse_unk, err));
    TRY(json_flag(model, name, "ignore_merges", &m->ignore_merges, err));
    if (strlen(prefix) > MAX_AFFIX || strlen(suffix) > MAX_AFFIX)
        return err_set(err, GLLM_FORMAT, "%s: model: continuing_subword_prefix and end_of_word_suffix have %zu and %zu bytes, expected at most %d", name, strlen(prefix), strlen(suffix), MAX_AFFIX);
    m->prefix = arena_strdup(a, prefix);
    m->suffix = arena_strdup(a, suffix);
    if (!m->prefix || !m->suffix) return err_nomem(err, name);
    m->prefix_len = strlen(prefix);
    m->suffix_len = strlen(suffix);
    if (!unk) return GLLM_OK;
    if (map_get(&v->ids, unk, strlen(unk), &id)) m->opt.unk = (int32_t)id;
    else if (!is_byte_level(m)) return err_set(err, GLLM_FORMAT, "%s: model.unk_token: found \"%.40s\", expected an entry of model.vocab", name, unk);
    return GLLM_OK;
}

gllm_status bpe_read(struct bpe **out, const struct vocab *v, struct arena *a, const json_t *model, const char *name, gllm_error *err) {
    json_t *merges, *e;
    size_t i;
    TRY(json_array_at(model, name, "merges", &merges, err));
    struct bpe *m = create(a, v, &(struct model_options){.unk = -1}, NULL);
    if (!m || !merge_reserve(m, a, json_array_size(merges))) return err_nomem(err, name);
    TRY(read_options(m, v, a, model, name, err));
    json_array_foreach(merges, i, e) TRY(read_merge(m, v, i, e, name, err));
    *out = m;
    return find_neighbours(m, v, a) ? GLLM_OK : err_nomem(err, name);
}

gllm_status bpe_from_merges(struct bpe **out, const struct vocab *v, struct arena *a, const struct merge_text *merges, size_t n, const struct model_options *opt, bool ignore_merges, const char *name, gllm_error *err) {
    struct bpe *m = create(a, v, opt, NULL);
    if (!m || n >= NO_RANK || !merge_reserve(m, a, n)) return err_nomem(err, name);
    m->ignore_merges = ignore_merges;
    for (size_t i = 0; i < n; i++) TRY(add_merge_text(m, v, i, merges[i].text, merges[i].len, name, err));
    *out = m;
    return find_neighbours(m, v, a) ? GLLM_OK : err_nomem(err, name);
}

/* ---- merges made from scores ---- */

struct scored {
    float score;
    uint32_t id;
};
static int best_first(const void *x, const void *y) {
    const struct scored *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* The merges that end in piece `id`: every cut of it into two pieces. put false: counts them. */
static size_t cut_piece(struct bpe *m, const struct vocab *v, uint32_t id, uint32_t rank, bool put) {
    const char *s = v->piece[id];
    size_t len = v->piece_len[id], n = 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xC0) == 0x80) continue;
        int32_t l = entry(m, v, s, i), r = l < 0 ? -1 : entry(m, v, s + i, len - i);
        if (r < 0) continue;
        if (put) merge_put(m, l, r, rank, (int32_t)id);
        n++;
    }
    return n;
}

/* Those that no merge makes (a converter's padding) need no number. */
static bool number_unused(struct bpe *m, const struct vocab *v, struct arena *a) {
    for (uint32_t i = 0; i < v->size; i++) {
        if (m->types[i] != PIECE_UNUSED || !v->piece[i] || !cut_piece(m, v, i, 0, false)) continue;
        if (!m->unused && !(m->unused = arena_array(a, v->size, sizeof *m->unused))) return false;
        m->unused[i] = ++m->n_unused;
    }
    return true;
}

gllm_status bpe_from_scores(struct bpe **out, const struct vocab *v, struct arena *a, const float *scores, const uint8_t *types, const struct trie *user, const struct model_options *opt,
                            const char *name, gllm_error *err) {
    uint8_t *kept = arena_alloc(a, v->size);
    if (kept) memcpy(kept, types, v->size);
    struct bpe *m = kept ? create(a, v, opt, kept) : NULL;
    struct scored *list = calloc((size_t)v->size + 1, sizeof *list);
    size_t n = 0, pairs = 0;
    gllm_status status = m && list ? GLLM_OK : err_nomem(err, name);
    for (uint32_t i = 0; status == GLLM_OK && i < v->size; i++) {
        uint32_t id;
        if (!v->piece[i] || !takes_part(types, i) || !map_get(&v->ids, v->piece[i], v->piece_len[i], &id) || id != i) continue;
        if (!isfinite(scores[i])) status = err_set(err, GLLM_FORMAT, "%s: piece %u: found score %g, expected a finite number", name, i, (double)scores[i]);
        list[n++] = (struct scored){scores[i], i};
        pairs += cut_piece(m, v, i, 0, false);
    }
    if (status == GLLM_OK && (!merge_reserve(m, a, pairs) || !number_unused(m, v, a))) status = err_nomem(err, name);
    if (status == GLLM_OK) {
        m->user = user;
        qsort(list, n, sizeof *list, best_first);
        for (size_t i = 0, rank = 0; i < n; i++) {
            if (i && list[i].score != list[i - 1].score) rank++;
            cut_piece(m, v, list[i].id, (uint32_t)rank, true);
        }
        *out = m;
        if (!find_neighbours(m, v, a)) status = err_nomem(err, name);
    }
    free(list);
    return status;
}

/* ---- a word's first symbols ---- */

/* The entry of one character with what is put around it; -1: none. */
static int32_t symbol_id(const struct bpe *m, const struct vocab *v, const char *s, unsigned n, bool first, bool last) {
    const size_t skip = first ? 0 : m->prefix_len, tail = last ? m->suffix_len : 0;
    if (!skip && !tail) return char_entry(m, v, s, n);
    char local[2 * MAX_AFFIX + 4];
    memcpy(local, m->prefix, skip);
    memcpy(local + skip, s, n);
    memcpy(local + skip + n, m->suffix, tail);
    return entry(m, v, local, skip + n + tail);
}

/* Bytes of one character and what is put around it, as byte tokens; 0: one of them has no token. */
static size_t byte_symbols(const struct bpe *m, const char *s, unsigned n, bool first, bool last, int32_t *ids) {
    const char *parts[3] = {m->prefix, s, m->suffix};
    const size_t lens[3] = {first ? 0 : m->prefix_len, n, last ? m->suffix_len : 0};
    size_t count = 0;
    for (unsigned p = 0; p < 3; p++)
        for (size_t i = 0; i < lens[p]; i++) {
            ids[count] = m->bytes[(unsigned char)parts[p][i]];
            if (ids[count++] < 0) return 0;
        }
    return count;
}

/* Most symbols that a word of len bytes can start with. */
static bool symbol_bound(const struct bpe *m, size_t len, uint64_t *out) {
    if (!m->opt.byte_fallback) *out = len;
    else if (!size_mul(len, 1 + m->prefix_len, out) || !size_add(*out, m->suffix_len, out)) return false;
    return *out < INT32_MAX / 4;
}

/* Writes them; as HF `tokenizers` does, an unknown run is written when the next known character or the word's end comes. */
static size_t first_symbols(const struct bpe *m, const struct vocab *v, const char *word, size_t len, int32_t *ids) {
    size_t count = 0;
    bool unknown = false;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int32_t id;
        size_t user = m->user ? trie_longest(m->user, word + i, len - i, &id) : 0;
        unsigned n = user ? 0 : utf8_read(word + i, len - i, &cp);
        bool first = i == 0, last = i + n == len;
        const char *s = word + i;
        i += user ? user : n;
        if (user) id |= FROZEN;
        else id = symbol_id(m, v, s, n, first, last);
        if (id >= 0) {
            if (unknown) ids[count++] = m->opt.unk;
            unknown = false;
            ids[count++] = id;
            continue;
        }
        size_t k = m->opt.byte_fallback ? byte_symbols(m, s, n, first, last, ids + count) : 0;
        count += k;
        if (k || m->opt.unk < 0) continue;
        if (unknown && !m->opt.fuse_unk) ids[count++] = m->opt.unk;
        unknown = true;
    }
    if (unknown) ids[count++] = m->opt.unk;
    return count;
}

/* ---- merging ---- */

struct halves { /* what an unused piece was last seen to be made of, ids + 1; 0: not seen */
    int32_t left, right;
};

static const struct merge *pair_find(const struct bpe *m, struct halves *unused, int32_t left, int32_t right) {
    const struct merge *e = merge_find(m, left, right);
    if (e && unused && m->unused[e->id]) unused[m->unused[e->id] - 1] = (struct halves){left + 1, right + 1};
    return e;
}

static void look(const struct bpe *m, struct halves *unused, int32_t left, int32_t right, uint32_t *rank, int32_t *to) {
    const struct merge *e = pair_find(m, unused, left, right);
    *rank = e ? e->rank : NO_RANK;
    *to = e ? e->id : -1;
}

static size_t merge_short(const struct bpe *m, struct halves *unused, int32_t *ids, size_t n) {
    uint32_t rank[SHORT_WORD]; /* of the pair (i, i + 1) */
    int32_t to[SHORT_WORD];
    for (size_t i = 0; i + 1 < n; i++) look(m, unused, ids[i], ids[i + 1], &rank[i], &to[i]);
    while (n > 1) {
        size_t at = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[at]) at = i;
        if (rank[at] == NO_RANK) break;
        ids[at] = to[at];
        n--;
        for (size_t i = at + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
            to[i - 1] = to[i];
        }
        if (at) look(m, unused, ids[at - 1], ids[at], &rank[at - 1], &to[at - 1]);
        if (at + 1 < n) look(m, unused, ids[at], ids[at + 1], &rank[at], &to[at]);
    }
    return n;
}

struct heap { /* of rank << 32 | position of the left symbol: smallest on top */
    uint64_t *items;
    size_t count;
};
static void heap_push(struct heap *h, uint64_t v) {
    size_t i = h->count++;
    for (; i && h->items[(i - 1) / 2] > v; i = (i - 1) / 2) h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = v;
}
static uint64_t heap_pop(struct heap *h) {
    uint64_t top = h->items[0], v = h->items[--h->count];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < h->count; i = k) {
        if (k + 1 < h->count && h->items[k + 1] < h->items[k]) k++;
        if (h->items[k] >= v) break;
        h->items[i] = h->items[k];
    }
    h->items[i] = v;
    return top;
}

struct symbol {
    int32_t id; /* -1: merged away */
    int32_t prev, next; /* -1: none */
};
static void push_pair(const struct bpe *m, struct halves *unused, struct heap *h, const struct symbol *s, int32_t left) {
    if (left < 0 || s[left].next < 0) return;
    const struct merge *e = pair_find(m, unused, s[left].id, s[s[left].next].id);
    if (e) heap_push(h, (uint64_t)e->rank << 32 | (uint32_t)left);
}

/* n < INT32_MAX. Each merge adds at most two pairs, so 3n heap items are enough. */
static bool merge_long(const struct bpe *m, struct halves *unused, int32_t *ids, size_t *n) {
    struct symbol *s = malloc(*n * sizeof *s);
    struct heap h = {malloc(3 * *n * sizeof *h.items), 0};
    bool ok = s && h.items;
    for (size_t i = 0; ok && i < *n; i++) s[i] = (struct symbol){ids[i], (int32_t)i - 1, i + 1 < *n ? (int32_t)i + 1 : -1};
    for (size_t i = 0; ok && i < *n; i++) push_pair(m, unused, &h, s, (int32_t)i);
    while (ok && h.count) {
        uint64_t top = heap_pop(&h);
        int32_t at = (int32_t)(uint32_t)top, next = s[at].next;
        if (s[at].id < 0 || next < 0) continue;
        const struct merge *e = merge_find(m, s[at].id, s[next].id);
        if (!e || e->rank != top >> 32) continue; /* one of the two has changed since */
        s[at].id = e->id;
        s[at].next = s[next].next;
        s[next].id = -1;
        if (s[at].next >= 0) s[s[at].next].prev = at;
        push_pair(m, unused, &h, s, s[at].prev);
        push_pair(m, unused, &h, s, at);
    }
    size_t count = 0;
    for (int32_t i = 0; ok && i >= 0; i = s[i].next) ids[count++] = s[i].id;
    *n = count;
    free(h.items);
    free(s);
    return ok;
}

/* An unused piece is what it was merged from. Recursion: each left half is shorter. */
static bool push_parts(const struct bpe *m, const struct halves *unused, int32_t id, struct encoding *out) {
    for (const struct halves *h; unused && m->unused[id] && (h = &unused[m->unused[id] - 1])->right; id = h->right - 1)
        if (!push_parts(m, unused, h->left - 1, out)) return false;
    return encoding_push(out, id, 0, false);
}

bool bpe_run(const struct bpe *m, const struct vocab *v, const char *word, size_t len, struct encoding *out) {
    uint32_t whole;
    uint64_t bound;
    int32_t local[SHORT_WORD], *ids = local;
    struct halves *unused = NULL; /* [n_unused] */
    if (!len) return true;
    if (m->ignore_merges && map_get(&v->ids, word, len, &whole)) return encoding_push(out, (int32_t)whole, 0, false);
    if (!symbol_bound(m, len, &bound)) return false;
    if (m->unused && !(unused = calloc(m->n_unused, sizeof *unused))) return false;
    bool ok = bound <= SHORT_WORD || (ids = malloc(bound * sizeof *ids));
    size_t n = ok ? first_symbols(m, v, word, len, ids) : 0;
    for (size_t from = 0, to; ok && from < n; from = to) {
        for (to = from + 1; to < n && may_meet(m, ids[to - 1], ids[to]);) to++;
        size_t left = to - from;
        if (left > SHORT_WORD) ok = merge_long(m, unused, ids + from, &left);
        else left = merge_short(m, unused, ids + from, left);
        for (size_t i = from; ok && i < from + left; i++) ok = push_parts(m, unused, ids[i] & ~FROZEN, out);
    }
    if (ids != local) free(ids);
    free(unused);
    return ok;
}
