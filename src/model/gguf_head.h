/* gguf_head.h - what follows the body of a GGUF model, said as the modules of a sentence-transformers directory. */
#ifndef GLLM_MODEL_GGUF_HEAD_H
#define GLLM_MODEL_GGUF_HEAD_H
#include "base/log.h"
#include "format/hfdir.h"

/* Reads `pooling_type` of d->config (gguf_config.h) into d->modules, in d's arena. Vectors are then scaled to length 1: no key says it, and
 * llama.cpp does it unless asked not to. An encoder without a pooling takes the mean, told to `log`; with a classification head it has no modules,
 * nor has a causal model without one. GLLM_UNSUPPORTED: another pooling; GLLM_FORMAT: a ranker without a head. */
gllm_status gguf_head(struct hfdir *d, bool encoder, const struct log *log, gllm_error *err);
#endif
