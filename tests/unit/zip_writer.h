/* zip_writer.h - zip archives of stored entries for tests, with every field of an entry within reach. */
#ifndef GLLM_TESTS_ZIP_WRITER_H
#define GLLM_TESTS_ZIP_WRITER_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct zip_record {
    char name[64];
    uint32_t size, packed, header;
    uint16_t flags, method;
};
struct zip_writer { /* all-zero at first; data is owned (free) */
    uint8_t *data;
    size_t size;
    struct zip_record records[16];
    unsigned count;
    bool zip64; /* the directory's fields are full, and zip64 records hold the values */
};

static inline void zip_put(struct zip_writer *w, const void *p, size_t n) {
    uint8_t *data = realloc(w->data, w->size + n + 1);
    if (!data) abort();
    w->data = data;
    if (n) memcpy(w->data + w->size, p, n);
    w->size += n;
}
static inline void zip_int(struct zip_writer *w, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++) zip_put(w, &(uint8_t){(uint8_t)(i < 8 ? v >> (8 * i) : 0)}, 1);
}
static inline struct zip_record *zip_add(struct zip_writer *w, const char *name, const void *data, size_t n) {
    struct zip_record *r = &w->records[w->count++];
    *r = (struct zip_record){.size = (uint32_t)n, .packed = (uint32_t)n, .header = (uint32_t)w->size};
    strcpy(r->name, name);
    zip_int(w, 0x04034b50, 4);
    zip_int(w, 0, 22); /* what stands in the directory as well: not read here */
    zip_int(w, strlen(name), 2);
    zip_int(w, 3, 2);
    zip_put(w, name, strlen(name));
    zip_put(w, "pad", 3);
    zip_put(w, data, n);
    return r;
}
static inline void zip_end(struct zip_writer *w) {
    const size_t at = w->size;
    for (unsigned i = 0; i < w->count; i++) {
        const struct zip_record *r = &w->records[i];
        zip_int(w, 0x02014b50, 4);
        zip_int(w, 0, 4);
        zip_int(w, r->flags, 2);
        zip_int(w, r->method, 2);
        zip_int(w, 0, 8);
        zip_int(w, w->zip64 ? 0xffffffff : r->packed, 4);
        zip_int(w, w->zip64 ? 0xffffffff : r->size, 4);
        zip_int(w, strlen(r->name), 2);
        zip_int(w, w->zip64 ? 28 : 0, 2);
        zip_int(w, 0, 10);
        zip_int(w, w->zip64 ? 0xffffffff : r->header, 4);
        zip_put(w, r->name, strlen(r->name));
        if (!w->zip64) continue;
        zip_int(w, 1, 2);
        zip_int(w, 24, 2);
        zip_int(w, r->size, 8);
        zip_int(w, r->packed, 8);
        zip_int(w, r->header, 8);
    }
    const size_t n = w->size - at, end64 = w->size;
    if (w->zip64) {
        zip_int(w, 0x06064b50, 4);
        zip_int(w, 44, 8);
        zip_int(w, 0, 20);
        zip_int(w, w->count, 8);
        zip_int(w, n, 8);
        zip_int(w, at, 8);
        zip_int(w, 0x07064b50, 4);
        zip_int(w, 0, 4);
        zip_int(w, end64, 8);
        zip_int(w, 1, 4);
    }
    zip_int(w, 0x06054b50, 4);
    zip_int(w, 0, 6);
    zip_int(w, w->zip64 ? 0xffff : w->count, 2);
    zip_int(w, w->zip64 ? 0xffffffff : n, 4);
    zip_int(w, w->zip64 ? 0xffffffff : at, 4);
    zip_int(w, 0, 2);
}
#endif
