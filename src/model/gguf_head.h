/* gguf_head.h - what follows the body of a GGUF model, said as the modules of a sentence-transformers directory. */
#ifndef GLLM_MODEL_GGUF_HEAD_H
#define GLLM_MODEL_GGUF_HEAD_H
#include "base/log.h"
#include "format/hfdir.h"
#include "format/weights.h"

/* Reads `pooling_type` of d->config (gguf_config.h) into d->modules, in d's arena. Vectors are then scaled to length 1: no key says it, and
 * llama.cpp does it unless asked not to. Without a pooling it is the mean with assume_mean, told to `log`,
 * else there are no modules; dense layers among `w` stand between pooling and length 1; nor are there with a classification head. GLLM_UNSUPPORTED: another pooling; GLLM_FORMAT: a ranker without a head. */
gllm_status gguf_head(struct hfdir *d, const struct weights *w, bool assume_mean, const struct log *log, gllm_error *err);
#endif
