/* file.h - reading files: whole ones mapped read-only, small ones into memory, and the few path questions we ask. */
#ifndef GLLM_BASE_FILE_H
#define GLLM_BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct file_map {
    const uint8_t *data; /* borrowed until file_map_close; NULL for an empty file */
    uint64_t size;
};
/* Maps `path` for reading. GLLM_IO names the path and the reason; a directory or a special file is refused. */
gllm_status file_map_open(struct file_map *m, const char *path, gllm_error *err);
void file_map_close(struct file_map *m); /* NULL ok, twice ok */
/* Tells the system that the pages wholly inside data[off, off+len) are not needed soon. They stay readable. */
void file_map_release(const void *address, uint64_t len);

/* Reads a whole file of at most `limit` bytes; *out is owned by the caller (free), NUL-terminated beyond *len.
 * GLLM_NOT_FOUND when there is none; GLLM_FORMAT above the limit; else GLLM_IO. */
gllm_status file_read(const char *path, uint64_t limit, char **out, size_t *len, gllm_error *err);
bool file_exists(const char *path); /* a regular file, links followed */
bool dir_exists(const char *path);
bool path_exists(const char *path); /* anything of that name, a link to nowhere too */
/* dir "/" name, owned by the caller; NULL when memory is out. */
char *path_join(const char *dir, const char *name);
const char *path_base(const char *path); /* the part after the last '/', trailing slashes ignored is the caller's business */
#endif
