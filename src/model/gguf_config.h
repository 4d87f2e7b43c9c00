/* gguf_config.h - the metadata of a GGUF model said as its config.json would say it, so that one reader (config.h) serves both. */
#ifndef GLLM_MODEL_GGUF_CONFIG_H
#define GLLM_MODEL_GGUF_CONFIG_H
#include "base/json.h"
#include "format/gguf.h"
#include "format/weights.h"
#include "model/arch.h"

/* *config is owned (json_decref). *arch is the entry for general.architecture, with GGUF's tensor names and rotary pairing.
 * GLLM_UNSUPPORTED names an architecture that is not built; GLLM_FORMAT a key that is missing or out of range. */
gllm_status gguf_config(const struct weights *w, const char *name, struct arch *arch, json_t **config, gllm_error *err);
/* What only tensors hold: the divisors of rotary frequencies (rope_freqs, rope_factors_short, rope_factors_long). After config_read. */
gllm_status gguf_rope_factors(const struct weights *w, struct arena *a, struct model_cfg *cfg, gllm_error *err);
#endif
