/* safetensors.h - the safetensors container.
 *
 *   u64 LE n | n bytes of JSON, '{' first, padded with spaces | tensor data
 *   JSON: {"__metadata__": {string: string}, NAME: {"dtype": D, "shape": [..], "data_offsets": [begin, end)}, …}
 *
 * Refused, as the format's own reader does: n > 100,000,000; a header that is not UTF-8 JSON starting with '{'; duplicate
 * keys; offsets that overlap, leave holes, run past the end or do not cover the data whole; a size that is not shape x dtype. */
#ifndef GLLM_FORMAT_SAFETENSORS_H
#define GLLM_FORMAT_SAFETENSORS_H
#include "base/arena.h"
#include "base/error.h"
#include "tensor/tensor.h"

struct safetensors {
    struct tensor *tensors; /* [n_tensors] in order of their data; owned by the arena given */
    size_t n_tensors;
    const char *const *meta; /* [2 * n_meta] key, value */
    size_t n_meta;
};
/* Reads the header of a whole file in memory. `name` is how messages call the file. `data` stays borrowed by the tensors. */
gllm_status safetensors_read(struct safetensors *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err);
#endif
