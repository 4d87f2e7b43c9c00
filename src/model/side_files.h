/* side_files.h - small JSON files that lie beside a model's weights. */
#ifndef GLLM_MODEL_SIDE_FILES_H
#define GLLM_MODEL_SIDE_FILES_H
#include "model/model.h"

/* f->dir.weights_dir/name; *out NULL where it is not there, else owned (json_decref). */
gllm_status side_json(const struct model_files *f, const char *name, json_t **out, gllm_error *err);
/* The tokens that tokenizer_config.json, else special_tokens_map.json calls by these roles ("mask_token"): ids [n], -1 where none is. */
gllm_status side_tokens(const struct model_files *f, const char *const *roles, unsigned n, int32_t *ids, gllm_error *err);
#endif
