/* gguf.h - the GGUF container, versions 2 and 3, little-endian.
 *
 *   "GGUF" | u32 version | u64 n_tensors | u64 n_entries | entries | tensor infos | padding to `alignment` | tensor data
 *   string   u64 length | bytes
 *   entry    string key | u32 type | value;  an array is u32 element type | u64 count | elements
 *   tensor   string name | u32 rank | u64 dims[rank], innermost first | u32 type | u64 offset into the tensor data
 *
 * Only the header is read; keys and values stay in the file and are borrowed from it. Refused: counts that the file is too
 * short for (before anything is allocated), keys or tensors that stand twice, data that overlaps, is misaligned or runs past
 * the end, arrays of arrays, and by name version 1, big-endian files and tensor types that are not in the dtype table. */
#ifndef GLLM_FORMAT_GGUF_H
#define GLLM_FORMAT_GGUF_H
#include "base/arena.h"
#include "base/error.h"
#include "tensor/tensor.h"

enum gguf_type { /* as numbered in the file */
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
    GGUF_TYPE_COUNT
};
struct gguf_str { /* borrowed from the file; not NUL-terminated, and of unchecked encoding when it is a value */
    const char *data;
    size_t len;
};
struct gguf_array { /* elements as they stand in the file */
    enum gguf_type type; /* never GGUF_ARRAY */
    uint64_t count;
    const uint8_t *data;
    size_t bytes;
};
struct gguf_entry {
    struct gguf_str key; /* UTF-8 */
    enum gguf_type type;
    struct gguf_array value; /* a scalar is an array of one */
};
struct gguf {
    const char *name; /* how messages call the file */
    uint32_t version, alignment;
    struct gguf_entry *entries; /* [n_entries] sorted by key */
    size_t n_entries;
    struct tensor *tensors; /* [n_tensors] in the order of their infos; shapes outermost first */
    size_t n_tensors;
};
/* Reads the header of a whole file in memory, which stays borrowed; what *out points to is owned by the arena.
 * GLLM_FORMAT or GLLM_UNSUPPORTED, the message being "NAME: FIELD: found X, expected Y"; *out is then not to be used. */
gllm_status gguf_read(struct gguf *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err);
bool gguf_is(const void *data, uint64_t size); /* begins with "GGUF" */
const char *gguf_type_name(enum gguf_type t);  /* "u8" … "f64"; static */

/* Each reads the value of `key`. Absent: GLLM_OK, *found false and *out untouched. Of another type or out of range:
 * GLLM_FORMAT. `found` may be NULL. Thread-safe. */
gllm_status gguf_u64(const struct gguf *g, const char *key, uint64_t *out, bool *found, gllm_error *err); /* any integer type, >= 0 */
gllm_status gguf_f64(const struct gguf *g, const char *key, double *out, bool *found, gllm_error *err);   /* any number */
gllm_status gguf_bool(const struct gguf *g, const char *key, bool *out, bool *found, gllm_error *err);
gllm_status gguf_str(const struct gguf *g, const char *key, struct gguf_str *out, bool *found, gllm_error *err);
gllm_status gguf_array(const struct gguf *g, const char *key, struct gguf_array *out, bool *found, gllm_error *err);
const struct gguf_entry *gguf_find(const struct gguf *g, const char *key); /* NULL: absent */

/* Elements of an array. Numbers: i < count; false when the element is no number (is no integer, or exceeds an i64). */
bool gguf_at_f64(const struct gguf_array *a, uint64_t i, double *out);
bool gguf_at_i64(const struct gguf_array *a, uint64_t i, int64_t *out);
/* Strings, from the first: struct gguf_array rest = a; while (gguf_next_str(&rest, &s)) … False at the end or when they are none. */
bool gguf_next_str(struct gguf_array *rest, struct gguf_str *out);
#endif
