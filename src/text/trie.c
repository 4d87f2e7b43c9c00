#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TRIES = 32 }; /* places looked at for a node's children before the array grows: keeps building linear */
#define NO_PARENT UINT32_MAX
#define TAKEN (UINT32_MAX - 1) /* the root's own place */

/* The array while it is built. Free units form a ring by `next` and `prev`; `cursor` is where the last search ended. */
struct builder {
    struct trie_unit *units;
    uint32_t *next, *prev;
    uint32_t size, capacity, cursor, n_free;
};
struct range { /* keys [from, to) share `depth` bytes, which lead to `node` */
    size_t from, to;
    uint32_t depth, node;
};

static bool grow(struct builder *b, uint64_t size) {
    if (size > UINT32_MAX / 2) return false;
    if (size > b->capacity) {
        uint64_t capacity = b->capacity ? b->capacity : 1024;
        while (capacity < size) capacity *= 2;
        struct trie_unit *units = realloc(b->units, capacity * sizeof *units);
        if (units) b->units = units;
        uint32_t *next = realloc(b->next, capacity * sizeof *next);
        if (next) b->next = next;
        uint32_t *prev = realloc(b->prev, capacity * sizeof *prev);
        if (prev) b->prev = prev;
        if (!units || !next || !prev) return false;
        b->capacity = (uint32_t)capacity;
    }
    for (; b->size < size; b->size++, b->n_free++) {
        uint32_t i = b->size;
        b->units[i] = (struct trie_unit){.check = NO_PARENT, .id = -1};
        if (!b->n_free) b->cursor = b->next[i] = b->prev[i] = i;
        else { /* in front of the cursor: the ring's end */
            b->next[i] = b->cursor;
            b->prev[i] = b->prev[b->cursor];
            b->next[b->prev[i]] = b->prev[b->cursor] = i;
        }
    }
    return true;
}

static void take(struct builder *b, uint32_t i, uint32_t parent) {
    b->units[i].check = parent;
    b->next[b->prev[i]] = b->next[i];
    b->prev[b->next[i]] = b->prev[i];
    if (b->cursor == i) b->cursor = b->next[i];
    b->n_free--;
}

/* A base at which every one of the bytes c[0..n), ascending, has a free unit. It may wrap below zero: base + c[0] is in the array. */
static bool place(struct builder *b, const unsigned char *c, unsigned n, uint32_t *base) {
    for (uint32_t i = b->cursor, tries = b->n_free < MAX_TRIES ? b->n_free : MAX_TRIES; tries; tries--, i = b->next[i]) {
        unsigned k = 1;
        while (k < n && i + (c[k] - c[0]) < b->size && b->units[i + (c[k] - c[0])].check == NO_PARENT) k++;
        b->cursor = i;
        if (k < n) continue;
        *base = i - c[0];
        return true;
    }
    *base = b->size - c[0];
    return grow(b, (uint64_t)b->size + (c[n - 1] - c[0]) + 1);
}

static int by_bytes(const void *x, const void *y) {
    const struct trie_key *a = x, *b = y;
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    if (order) return order;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Gives the keys of `r` their children; what must go on below is pushed on `stack`, whose new height is returned. */
static bool expand(struct builder *b, const struct trie_key *keys, struct range r, struct range *stack, size_t *height) {
    unsigned char bytes[256];
    size_t starts[257];
    unsigned n = 0;
    size_t i = r.from;
    for (; i < r.to && keys[i].len == r.depth; i++) b->units[r.node].id = keys[i].id;
    for (; i < r.to; i++) {
        unsigned char c = (unsigned char)keys[i].text[r.depth];
        if (n && bytes[n - 1] == c) continue;
        bytes[n] = c;
        starts[n++] = i;
    }
    if (!n) return true;
    starts[n] = r.to;
    uint32_t base;
    if (!place(b, bytes, n, &base)) return false;
    b->units[r.node].base = base;
    for (unsigned k = 0; k < n; k++) take(b, base + bytes[k], r.node);
    for (unsigned k = n; k--;) stack[(*height)++] = (struct range){starts[k], starts[k + 1], r.depth + 1, base + bytes[k]};
    return true;
}

bool trie_build(struct trie *t, struct arena *a, struct trie_key *keys, size_t n) {
    *t = (struct trie){0};
    if (!n) return true;
    if (n > SIZE_MAX / sizeof(struct range) - 1) return false;
    qsort(keys, n, sizeof *keys, by_bytes);
    struct builder b = {0};
    struct range *stack = malloc((n + 1) * sizeof *stack); /* ranges on it are disjoint and none is empty: at most n */
    size_t height = 0;
    bool ok = stack && grow(&b, 1);
    if (ok) {
        take(&b, TRIE_ROOT, TAKEN);
        stack[height++] = (struct range){0, n, 0, TRIE_ROOT};
    }
    while (ok && height) {
        struct range r = stack[--height];
        ok = expand(&b, keys, r, stack, &height);
    }
    if (ok && (t->units = arena_array(a, b.size, sizeof *t->units))) {
        memcpy(t->units, b.units, b.size * sizeof *t->units);
        t->size = b.size;
    }
    free(stack);
    free(b.units);
    free(b.next);
    free(b.prev);
    return t->size != 0;
}
