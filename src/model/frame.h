/* frame.h - what stands around a text in a model's input, where its tokenizer's files do not say it (StarEncoder, UniXcoder). */
#ifndef GLLM_MODEL_FRAME_H
#define GLLM_MODEL_FRAME_H
#include "model/model.h"

/* Fills f->frame from f->hints. GLLM_FORMAT: a special token that the tokenizer lacks. */
gllm_status frame_read(struct model_files *f, gllm_error *err);
#endif
