/* config.h - config.json read into numbers: which architecture it names, and its model_cfg. */
#ifndef GLLM_MODEL_CONFIG_H
#define GLLM_MODEL_CONFIG_H
#include "base/arena.h"
#include "base/json.h"
#include "model/arch.h"

/* `name` is how messages call the file. GLLM_FORMAT: a key is missing, of another type or out of range; GLLM_UNSUPPORTED: an
 * architecture, activation or position scheme that is not built, by name. */
/* Tables of cfg (layers, LongRoPE factors) lie in the arena. */
gllm_status config_read(const json_t *config, const char *name, struct arena *a, const struct arch **arch, struct model_cfg *cfg, gllm_error *err);
/* config_decoder.c: what config_read does for a decoder, after the sizes. */
gllm_status config_read_decoder(const json_t *config, const char *name, struct arena *a, struct model_cfg *cfg, gllm_error *err);
/* config_encoder.c: struct arch's read_keys. */
gllm_status config_keys_jina(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_gte(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_nomic(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_modern(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
/* config_experts.c: likewise. */
gllm_status config_keys_qwen3_moe(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_mixtral(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_glm4_moe(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
gllm_status config_keys_deepseek(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
/* The activation that `key` names; left as it is where there is no such key. */
gllm_status config_read_act(const json_t *config, const char *name, const char *key, enum act_kind *out, gllm_error *err);
/* config_positions.c: windows, rotary positions where cfg's defaults have some (ropes[0].kind), and `layers`; heads and their width are set. */
gllm_status config_read_positions(const json_t *config, const char *name, struct arena *a, struct model_cfg *cfg, gllm_error *err);
/* config_quant.c: quantization_config, absent or one of the methods that stand there; another one is GLLM_UNSUPPORTED by name. */
gllm_status config_read_quant(const json_t *config, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err);
#endif
