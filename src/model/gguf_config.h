/* gguf_config.h - the metadata of a GGUF model said as its config.json would say it, so that one reader (config.h) serves both. */
#ifndef GLLM_MODEL_GGUF_CONFIG_H
#define GLLM_MODEL_GGUF_CONFIG_H
#include "base/json.h"
#include "format/gguf.h"
#include "format/weights.h"
#include "model/arch.h"

/* ARCH.pooling_type, which stands in *config under that name: no key of a config.json. */
enum gguf_pooling { GGUF_POOL_NONE, GGUF_POOL_MEAN, GGUF_POOL_CLS, GGUF_POOL_LAST, GGUF_POOL_RANK };

/* *config is owned (json_decref). *arch is the entry for general.architecture, with GGUF's tensor names and rotary pairing. What the files
 * leave to the program that reads them (scale of Gemma's queries, windows, bases) is filled in as llama.cpp has it; factors of rotary positions,
 * which are tensors there, become lists. GLLM_UNSUPPORTED names an architecture that is not built, or a key of a variant that is not;
 * GLLM_FORMAT a key that is missing or out of range. */
gllm_status gguf_config(const struct weights *w, const char *name, struct arch *arch, json_t **config, gllm_error *err);
#endif
