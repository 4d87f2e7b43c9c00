#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(16) unsigned char data[];
};
enum { ARENA_ALIGN = 16, ARENA_FIRST = 4096, ARENA_MAX = 1 << 20 };

static struct arena_block *block_new(size_t size) {
    if (size > SIZE_MAX - sizeof(struct arena_block)) return NULL;
    struct arena_block *b = calloc(1, sizeof *b + size);
    if (b) b->size = size;
    return b;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > SIZE_MAX - ARENA_ALIGN) return NULL;
    size = size ? (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    if (a->head && size <= a->head->size - a->used) {
        void *p = a->head->data + a->used;
        a->used += size;
        return p;
    }
    if (!a->block_size) a->block_size = ARENA_FIRST;
    if (a->head && size > a->block_size) { /* a large block goes behind the head, which keeps its free space */
        struct arena_block *big = block_new(size);
        if (!big) return NULL;
        big->next = a->head->next;
        a->head->next = big;
        return big->data;
    }
    struct arena_block *b = block_new(size > a->block_size ? size : a->block_size);
    if (!b) return NULL;
    if (a->block_size < ARENA_MAX) a->block_size *= 2;
    b->next = a->head;
    a->head = b;
    a->used = size;
    return b->data;
}

void *arena_array(struct arena *a, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    return arena_alloc(a, count * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t len) {
    if (len == SIZE_MAX) return NULL;
    char *p = arena_alloc(a, len + 1);
    if (p && len) memcpy(p, s, len);
    return p;
}

char *arena_strdup(struct arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

void arena_free(struct arena *a) {
    for (struct arena_block *b = a->head; b;) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    *a = (struct arena){0};
}
