/* bytes.h - a bounds-checked cursor over little-endian bytes, and overflow-checked sizes.
 *
 * A read past the end sets `bad` and yields zeros; the caller checks `bad` once at a natural border. */
#ifndef GLLM_BASE_BYTES_H
#define GLLM_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data; /* borrowed */
    size_t size, at;
    bool bad;
};
static inline struct bytes bytes_of(const void *data, size_t size) {
    return (struct bytes){.data = (const uint8_t *)data, .size = size};
}
static inline const uint8_t *bytes_take(struct bytes *b, size_t n) { /* NULL and bad when fewer than n are left */
    if (b->bad || n > b->size - b->at) {
        b->bad = true;
        return NULL;
    }
    const uint8_t *p = b->data + b->at;
    b->at += n;
    return p;
}
static inline uint64_t bytes_uint(struct bytes *b, unsigned n) {
    const uint8_t *p = bytes_take(b, n);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}
static inline uint8_t bytes_u8(struct bytes *b) { return (uint8_t)bytes_uint(b, 1); }
static inline uint32_t bytes_u32(struct bytes *b) { return (uint32_t)bytes_uint(b, 4); }
static inline uint64_t bytes_u64(struct bytes *b) { return bytes_uint(b, 8); }

/* *out = a * b (a + b); false on overflow, *out untouched. */
static inline bool size_mul(uint64_t a, uint64_t b, uint64_t *out) {
    if (a && b > UINT64_MAX / a) return false;
    *out = a * b;
    return true;
}
static inline bool size_add(uint64_t a, uint64_t b, uint64_t *out) {
    if (b > UINT64_MAX - a) return false;
    *out = a + b;
    return true;
}
#endif
