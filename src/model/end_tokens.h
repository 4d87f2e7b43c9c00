/* end_tokens.h - fills eos of an open model's files. */
#ifndef GLLM_MODEL_END_TOKENS_H
#define GLLM_MODEL_END_TOKENS_H
#include "model/model.h"

gllm_status end_tokens_read(struct model_files *f, gllm_error *err);
#endif
