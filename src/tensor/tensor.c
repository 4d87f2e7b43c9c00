#include "tensor/tensor.h"

#include <stdio.h>

uint64_t tensor_count(const struct tensor *t) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

const char *tensor_shape_text(const uint64_t *shape, uint32_t rank, char *buf, size_t size) {
    size_t at = 0;
    for (uint32_t i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%llu", i ? "," : "[", (unsigned long long)shape[i]);
    if (at < size) snprintf(buf + at, size - at, rank ? "]" : "[]");
    return buf;
}
