#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct map_entry {
    const char *key; /* NULL: free */
    uint32_t len, value;
    uint64_t hash;
};

static uint64_t mix(uint64_t h) { /* the finaliser of SplitMix64 */
    h ^= h >> 30;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 27;
    h *= 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

static uint64_t hash_bytes(const char *key, size_t len, uint64_t seed) {
    uint64_t h = seed ^ len;
    for (; len >= 8; key += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, key, 8);
        h = mix(h ^ w);
    }
    uint64_t w = 0;
    if (len) memcpy(&w, key, len);
    return mix(h ^ w);
}

/* The slot of `key`, or the free slot where it belongs. capacity > count. */
static struct map_entry *slot_of(const struct map *m, const char *key, size_t len, uint64_t hash) {
    size_t mask = m->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct map_entry *e = &m->slots[i];
        if (!e->key || (e->hash == hash && e->len == len && !memcmp(e->key, key, len))) return e;
    }
}

static bool grow(struct map *m, size_t capacity) {
    struct map_entry *slots = calloc(capacity, sizeof *slots);
    if (!slots) return false;
    if (!m->seed) m->seed = mix((uint64_t)(uintptr_t)slots ^ (uint64_t)clock() << 32 ^ (uint64_t)time(NULL)) | 1;
    struct map old = *m;
    m->slots = slots;
    m->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        struct map_entry *e = &old.slots[i];
        if (e->key) *slot_of(m, e->key, e->len, e->hash) = *e;
    }
    free(old.slots);
    return true;
}

bool map_reserve(struct map *m, size_t count) {
    size_t capacity = 16;
    while (capacity / 2 < count) {
        if (capacity > SIZE_MAX / 2 / sizeof(struct map_entry)) return false;
        capacity *= 2;
    }
    return capacity <= m->capacity || grow(m, capacity);
}

bool map_put(struct map *m, const char *key, size_t len, uint32_t value) {
    if (len > UINT32_MAX || !map_reserve(m, m->count + 1)) return false;
    uint64_t hash = hash_bytes(key, len, m->seed);
    struct map_entry *e = slot_of(m, key, len, hash);
    if (!e->key) m->count++;
    *e = (struct map_entry){.key = key, .len = (uint32_t)len, .value = value, .hash = hash};
    return true;
}

bool map_get(const struct map *m, const char *key, size_t len, uint32_t *value) {
    if (!m->count) return false;
    const struct map_entry *e = slot_of(m, key, len, hash_bytes(key, len, m->seed));
    if (!e->key) return false;
    *value = e->value;
    return true;
}

void map_free(struct map *m) {
    free(m->slots);
    *m = (struct map){0};
}
