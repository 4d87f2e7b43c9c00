/* gguf_tokenizer.h - the tokenizer inside a GGUF file. */
#ifndef GLLM_MODEL_GGUF_TOKENIZER_H
#define GLLM_MODEL_GGUF_TOKENIZER_H
#include "format/weights.h"
#include "text/tokenizer.h"

/* GLLM_FORMAT names a list that is missing or of another length; GLLM_UNSUPPORTED a model or pre-tokeniser that is not built, by name. */
gllm_status gguf_tokenizer(struct tokenizer **out, const struct weights *w, const char *name, gllm_error *err);
#endif
