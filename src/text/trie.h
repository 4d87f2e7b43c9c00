/* trie.h - byte strings by their prefixes: a double array, built once, read by any number of threads.
 *
 *   child of `node` at byte c:  to = units[node].base + c,  valid when units[to].check == node
 * One memory access a byte. The root is node 0. */
#ifndef GLLM_TEXT_TRIE_H
#define GLLM_TEXT_TRIE_H
#include "base/arena.h"

#include <stdbool.h>

struct trie_unit {
    uint32_t base, check;
    int32_t id; /* of the key that ends here; -1: none */
};
struct trie {
    struct trie_unit *units; /* in the arena; [size], size 0: no keys */
    uint32_t size;
};
struct trie_key {
    const char *text; /* read while building only */
    uint32_t len;     /* > 0 */
    int32_t id;
};
/* Sorts keys. Of equal keys the one with the highest id stays. Time and memory linear in their bytes. False: memory is out. */
bool trie_build(struct trie *t, struct arena *a, struct trie_key *keys, size_t n);

enum { TRIE_ROOT = 0, TRIE_NONE = 0 }; /* no edge leads to the root */
static inline uint32_t trie_step(const struct trie *t, uint32_t node, char byte) {
    uint32_t to = t->units[node].base + (unsigned char)byte;
    return to < t->size && t->units[to].check == node ? to : TRIE_NONE;
}
/* The longest key that s begins with: its bytes, and in *id its id; 0: none (and in an empty trie). */
static inline size_t trie_longest(const struct trie *t, const char *s, size_t len, int32_t *id) {
    size_t best = 0;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; t->size && i < len && (node = trie_step(t, node, s[i])) != TRIE_NONE; i++)
        if (t->units[node].id >= 0) *id = t->units[node].id, best = i + 1;
    return best;
}
#endif
