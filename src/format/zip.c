#include "format/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { END_BYTES = 22, LOCATOR_BYTES = 20, END64_BYTES = 56, RECORD_BYTES = 46, LOCAL_BYTES = 30, MAX_COMMENT = 65535, MAX_ENTRIES = 1 << 20 };
#define SIGN_LOCAL 0x04034b50u
#define SIGN_RECORD 0x02014b50u
#define SIGN_END 0x06054b50u
#define SIGN_END64 0x06064b50u
#define SIGN_LOCATOR 0x07064b50u
#define FULL32 0xffffffffu
#define FULL16 0xffffu

struct directory {
    uint64_t offset, size, count;
};

static uint32_t u32_at(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

bool zip_is(const void *data, uint64_t size) { return size >= 4 && u32_at(data) == SIGN_LOCAL; }

/* The zip64 end record, where the plain one has full fields: its locator stands right before the plain one. */
static gllm_status read_end64(struct directory *d, const uint8_t *data, uint64_t end, const char *name, gllm_error *err) {
    if (end < LOCATOR_BYTES || u32_at(data + end - LOCATOR_BYTES) != SIGN_LOCATOR) return err_set(err, GLLM_FORMAT, "%s: no zip64 locator at byte %llu", name, (unsigned long long)end - LOCATOR_BYTES);
    struct bytes locator = bytes_of(data + end - LOCATOR_BYTES, LOCATOR_BYTES);
    bytes_take(&locator, 8);
    const uint64_t at = bytes_u64(&locator);
    if (end < LOCATOR_BYTES + END64_BYTES || at > end - LOCATOR_BYTES - END64_BYTES || u32_at(data + at) != SIGN_END64)
        return err_set(err, GLLM_FORMAT, "%s: no zip64 end record at byte %llu", name, (unsigned long long)at);
    struct bytes b = bytes_of(data + at, END64_BYTES);
    bytes_take(&b, 32);
    d->count = bytes_u64(&b);
    d->size = bytes_u64(&b);
    d->offset = bytes_u64(&b);
    return GLLM_OK;
}

static gllm_status find_directory(struct directory *d, const uint8_t *data, uint64_t size, const char *name, gllm_error *err) {
    if (size < END_BYTES) return err_set(err, GLLM_FORMAT, "%s: %llu bytes, expected at least the %d of a zip archive's end record", name, (unsigned long long)size, END_BYTES);
    uint64_t end = size - END_BYTES;
    const uint64_t first = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
    while (end > first && u32_at(data + end) != SIGN_END) end--;
    if (u32_at(data + end) != SIGN_END) return err_set(err, GLLM_FORMAT, "%s: no end record of a zip archive: the file is cut short", name);
    struct bytes b = bytes_of(data + end + 4, END_BYTES - 4);
    const uint64_t disk = bytes_uint(&b, 2), directory_disk = bytes_uint(&b, 2);
    bytes_take(&b, 2);
    d->count = bytes_uint(&b, 2);
    d->size = bytes_u32(&b);
    d->offset = bytes_u32(&b);
    if (d->count == FULL16 || d->size == FULL32 || d->offset == FULL32) TRY(read_end64(d, data, end, name, err));
    else if (disk || directory_disk) return err_set(err, GLLM_UNSUPPORTED, "%s: a zip archive of several disks", name);
    if (d->offset > end || d->size > end - d->offset)
        return err_set(err, GLLM_FORMAT, "%s: zip directory at byte %llu of %llu bytes, expected inside the first %llu", name, (unsigned long long)d->offset, (unsigned long long)d->size,
                       (unsigned long long)end);
    if (d->count > MAX_ENTRIES || d->count > d->size / RECORD_BYTES)
        return err_set(err, GLLM_FORMAT, "%s: zip directory of %llu bytes: found %llu entries", name, (unsigned long long)d->size, (unsigned long long)d->count);
    return GLLM_OK;
}

/* The zip64 extra field holds those of the three values whose own fields are full, in this order. */
static bool read_extra(const uint8_t *extra, size_t n, uint64_t *plain, uint64_t *packed, uint64_t *header) {
    struct bytes b = bytes_of(extra, n);
    uint64_t *const values[] = {plain, packed, header};
    while (!b.bad && b.at < b.size) {
        const uint64_t id = bytes_uint(&b, 2), len = bytes_uint(&b, 2);
        const uint8_t *p = bytes_take(&b, (size_t)len);
        if (!p || id != 1) continue;
        struct bytes field = bytes_of(p, (size_t)len);
        for (int i = 0; i < 3; i++)
            if (*values[i] == FULL32) *values[i] = bytes_u64(&field);
        return !field.bad;
    }
    return *plain != FULL32 && *packed != FULL32 && *header != FULL32;
}

/* Where an entry's data lies: behind its local header, which must be of the same name, and before `end`. */
static gllm_status place(struct zip_entry *e, const uint8_t *data, uint64_t end, const char *name, gllm_error *err) {
    const size_t len = strlen(e->name);
    if (end < LOCAL_BYTES || e->header > end - LOCAL_BYTES || u32_at(data + e->header) != SIGN_LOCAL)
        return err_set(err, GLLM_FORMAT, "%s: %s: no local header at byte %llu", name, e->name, (unsigned long long)e->header);
    struct bytes b = bytes_of(data + e->header, (size_t)(end - e->header));
    bytes_take(&b, 26);
    const uint64_t n_name = bytes_uint(&b, 2), n_extra = bytes_uint(&b, 2);
    const uint8_t *local = bytes_take(&b, (size_t)n_name);
    if (!local || n_name != len || memcmp(local, e->name, len)) return err_set(err, GLLM_FORMAT, "%s: %s: the local header at byte %llu has another name", name, e->name, (unsigned long long)e->header);
    bytes_take(&b, (size_t)n_extra);
    e->data = bytes_take(&b, (size_t)e->size);
    return e->data ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: %s: %llu bytes do not fit before the directory at byte %llu", name, e->name, (unsigned long long)e->size, (unsigned long long)end);
}

static gllm_status read_record(struct zip_entry *e, struct arena *arena, struct bytes *b, const char *name, gllm_error *err) {
    const size_t at = b->at;
    if (bytes_u32(b) != SIGN_RECORD) return err_set(err, GLLM_FORMAT, "%s: no entry at byte %zu of the zip directory", name, at);
    bytes_take(b, 4);
    const uint64_t flags = bytes_uint(b, 2), method = bytes_uint(b, 2);
    bytes_take(b, 8); /* time, date, CRC */
    uint64_t packed = bytes_u32(b);
    e->size = bytes_u32(b);
    const uint64_t n_name = bytes_uint(b, 2), n_extra = bytes_uint(b, 2), n_comment = bytes_uint(b, 2);
    bytes_take(b, 8); /* disk, attributes */
    e->header = bytes_u32(b);
    const uint8_t *text = bytes_take(b, (size_t)n_name), *extra = bytes_take(b, (size_t)n_extra);
    bytes_take(b, (size_t)n_comment);
    if (b->bad) return err_set(err, GLLM_FORMAT, "%s: the zip directory is cut short at byte %zu", name, at);
    if (!n_name || memchr(text, '\0', (size_t)n_name)) return err_set(err, GLLM_FORMAT, "%s: entry at byte %zu of the zip directory: its name is empty or holds a NUL", name, at);
    e->name = arena_strndup(arena, (const char *)text, (size_t)n_name);
    if (!e->name) return err_nomem(err, name);
    if (!read_extra(extra, (size_t)n_extra, &e->size, &packed, &e->header)) return err_set(err, GLLM_FORMAT, "%s: %s: its zip64 field is cut short or missing", name, e->name);
    if (flags & 1) return err_set(err, GLLM_UNSUPPORTED, "%s: %s is encrypted", name, e->name);
    if (method) return err_set(err, GLLM_UNSUPPORTED, "%s: %s is compressed (method %llu), expected stored entries, as torch.save writes them", name, e->name, (unsigned long long)method);
    if (packed != e->size)
        return err_set(err, GLLM_FORMAT, "%s: %s: stored in %llu bytes, expected its %llu", name, e->name, (unsigned long long)packed, (unsigned long long)e->size);
    return GLLM_OK;
}

static int by_place(const void *a, const void *b) {
    const struct zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}
static int by_name(const void *a, const void *b) {
    const struct zip_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static gllm_status check_apart(const struct zip *z, const uint8_t *data, const char *name, gllm_error *err) {
    for (size_t i = 1; i < z->n_entries; i++) {
        const struct zip_entry *a = &z->entries[i - 1], *b = &z->entries[i];
        if ((uint64_t)(a->data - data) + a->size > b->header) return err_set(err, GLLM_FORMAT, "%s: entries %s and %s overlap", name, a->name, b->name);
        if (!strcmp(z->by_name[i - 1]->name, z->by_name[i]->name)) return err_set(err, GLLM_FORMAT, "%s: two entries are called %s", name, z->by_name[i]->name);
    }
    return GLLM_OK;
}

gllm_status zip_read(struct zip *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err) {
    *out = (struct zip){0};
    const uint8_t *p = data;
    struct directory d = {0};
    TRY(find_directory(&d, p, size, name, err));
    out->entries = arena_array(arena, (size_t)d.count, sizeof *out->entries);
    out->by_name = arena_array(arena, (size_t)d.count, sizeof *out->by_name);
    if (!out->entries || !out->by_name) return err_nomem(err, name);
    struct bytes b = bytes_of(p + d.offset, (size_t)d.size);
    for (; out->n_entries < d.count; out->n_entries++) {
        TRY(read_record(&out->entries[out->n_entries], arena, &b, name, err));
        TRY(place(&out->entries[out->n_entries], p, d.offset, name, err));
    }
    if (!out->n_entries) return GLLM_OK;
    qsort(out->entries, out->n_entries, sizeof *out->entries, by_place);
    for (size_t i = 0; i < out->n_entries; i++) out->by_name[i] = &out->entries[i];
    qsort(out->by_name, out->n_entries, sizeof *out->by_name, by_name);
    return check_apart(out, p, name, err);
}

const struct zip_entry *zip_find(const struct zip *z, const char *name) {
    const struct zip_entry wanted = {.name = name}, *key = &wanted;
    const struct zip_entry *const *found = z->n_entries ? bsearch(&key, z->by_name, z->n_entries, sizeof *z->by_name, by_name) : NULL;
    return found ? *found : NULL;
}
