/* zip.h - the directory of a zip archive whose entries are stored as they are, as torch writes them.
 *
 *   local header | name | extra | data | (descriptor)      one after the other
 *   central directory: a record an entry                    (zip64: end record, locator)
 *   end record: where the directory lies                    | comment, up to 65535 bytes
 *
 * Sizes and places come from the central directory; zip64 fields count where a 32-bit field is full. Refused by name: an entry that is compressed or
 * encrypted, an archive of several disks, a place outside the file, a local header of another name, entries that overlap, two of one name. */
#ifndef GLLM_FORMAT_ZIP_H
#define GLLM_FORMAT_ZIP_H
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

struct zip_entry {
    const char *name;      /* in the arena given to zip_read */
    const uint8_t *data;   /* borrowed from the archive */
    uint64_t size, header; /* header: offset of its local header */
};
struct zip {
    struct zip_entry *entries;         /* [n_entries] by place; in the arena */
    const struct zip_entry **by_name;  /* [n_entries] sorted; likewise */
    size_t n_entries;
};
bool zip_is(const void *data, uint64_t size); /* begins with a local header */
/* Reads the directory of a whole archive in memory. `name` is how messages call the file. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status zip_read(struct zip *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err);
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* NULL: none */
#endif
