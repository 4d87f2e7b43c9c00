/* locate.h - from what a user calls a model to the directory or file that holds it. */
#ifndef GLLM_HUB_LOCATE_H
#define GLLM_HUB_LOCATE_H
#include "base/error.h"

/* `model`: a path that exists; ORG/NAME (HOME/models/ORG--NAME); or NAME alone when one model folder ends in --NAME, case ignored. A folder without
 * safetensors stands for the one GGUF file (or split set) in it; of several, and beside safetensors, MODEL:FILE or MODEL:QUANT chooses: QUANT is a
 * whole word of the file's name such as Q4_K_M, case ignored.
 * *out is owned by the caller (free). GLLM_NOT_FOUND says where was looked and what is there; GLLM_INVALID lists the files of which none was chosen. */
gllm_status hub_locate(const char *model, const char *home, char **out, gllm_error *err);
#endif
