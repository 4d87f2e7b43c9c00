/* tensor.h - a named array in a weight file: a view, no memory of its own. */
#ifndef GLLM_TENSOR_TENSOR_H
#define GLLM_TENSOR_TENSOR_H
#include "tensor/dtype.h"

enum { TENSOR_MAX_RANK = 8 };
struct tensor {
    const char *name;      /* borrowed from its file */
    const void *data;      /* borrowed from the mapping, row-major, little-endian; may be misaligned */
    uint64_t bytes;
    uint64_t shape[TENSOR_MAX_RANK]; /* outermost first */
    enum dtype dtype;
    uint32_t rank;
    uint32_t shard;        /* index of its file */
};
uint64_t tensor_count(const struct tensor *t); /* elements; shapes were checked against overflow when read */
/* "[384,1536]" in buf, for messages. Returns buf. */
const char *tensor_shape_text(const uint64_t *shape, uint32_t rank, char *buf, size_t size);
#endif
