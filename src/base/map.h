/* map.h - a hash map from byte strings to 32-bit values, made for vocabularies: built once, read often.
 *
 * Keys are borrowed: their bytes must live as long as the map. The seed is drawn once per map, so that a hostile
 * vocabulary cannot choose its collisions. Reading is thread-safe once building has ended. */
#ifndef GLLM_BASE_MAP_H
#define GLLM_BASE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry;
struct map { /* all-zero is an empty map */
    struct map_entry *slots;
    size_t capacity, count;
    uint64_t seed;
};
bool map_reserve(struct map *m, size_t count); /* false: memory is out */
/* Adds or replaces; false: memory is out. */
bool map_put(struct map *m, const char *key, size_t len, uint32_t value);
bool map_get(const struct map *m, const char *key, size_t len, uint32_t *value); /* false: absent, *value untouched */
void map_free(struct map *m);
#endif
