/* side_files.h - small JSON files that lie beside a model's weights. */
#ifndef GLLM_MODEL_SIDE_FILES_H
#define GLLM_MODEL_SIDE_FILES_H
#include "model/model.h"

/* f->dir.weights_dir/name; *out NULL where it is not there, else owned (json_decref). */
gllm_status side_json(const struct model_files *f, const char *name, json_t **out, gllm_error *err);
/* The token that tokenizer_config.json or special_tokens_map.json calls `role` ("mask_token"); *id -1: none is. */
gllm_status side_token(const struct model_files *f, const char *role, int32_t *id, gllm_error *err);
#endif
