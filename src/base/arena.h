/* arena.h - memory that is freed all at once.
 *
 * Blocks are zeroed and aligned to 64 bytes at most (arena_alloc: 16). An arena is not thread-safe. */
#ifndef GLLM_BASE_ARENA_H
#define GLLM_BASE_ARENA_H
#include <stddef.h>
#include <stdint.h>

struct arena_block;
struct arena { /* all-zero is an empty arena */
    struct arena_block *head;
    size_t used, block_size;
};
void *arena_alloc(struct arena *a, size_t size);                /* zeroed; NULL when memory is out; size 0 gives a unique pointer */
void *arena_array(struct arena *a, size_t count, size_t size);  /* NULL on overflow too */
char *arena_strndup(struct arena *a, const char *s, size_t len); /* NUL-terminated copy */
char *arena_strdup(struct arena *a, const char *s);
void arena_free(struct arena *a); /* frees everything and leaves an empty arena */
#endif
