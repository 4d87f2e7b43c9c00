/* head.h - reading a head: which pooling, which dense layers, normalised or not. */
#ifndef GLLM_MODEL_HEAD_H
#define GLLM_MODEL_HEAD_H
#include "model/model.h"

/* No pooling in the files: mean, told to `log`, as sentence-transformers does. */
gllm_status head_read(struct head *h, struct arena *arena, const struct hfdir *d, uint32_t d_model, const struct log *log, gllm_error *err);
/* The width of what the head gives; GLLM_INVALID when a dense layer does not fit what comes before it. */
gllm_status head_dim(const struct head *h, uint32_t d_model, uint32_t *dim, gllm_error *err);
#endif
