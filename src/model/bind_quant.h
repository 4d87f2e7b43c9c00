/* bind_quant.h - quantised modules of a safetensors file: what stands beside a weight, or in its place.
 *
 * `name` is always that of the plain weight, "layers.0.self_attn.q_proj.weight"; q is NULL where config.json has no quantization_config.
 * GLLM_FORMAT names a tensor that is missing, or whose shape or values contradict; GLLM_UNSUPPORTED one of another dtype. */
#ifndef GLLM_MODEL_BIND_QUANT_H
#define GLLM_MODEL_BIND_QUANT_H
#include "base/arena.h"
#include "format/weights.h"
#include "model/arch.h"

enum { QUANT_NAME_ROOM = 528 };
/* The scale beside an 8-bit float, or that there is rightly none. */
gllm_status quant_take_scale(const struct weights *w, const struct quant_cfg *q, struct weight_part *p, const char *name, uint32_t cols, gllm_error *err);
gllm_status quant_left_out(const struct quant_cfg *q, const char *name, bool *out, gllm_error *err); /* config.json names the module */
/* bind_codes.c: a plain weight has no codes beside it, unless its module is left out. */
gllm_status quant_check_plain(const struct weights *w, const struct quant_cfg *q, const char *name, gllm_error *err);
/* bind_codes.c: whether the weight is stored as codes, whatever config.json says of it. */
bool quant_has_codes(const struct weights *w, const char *name);
/* Fills in data, dtype and codes of a part of p->rows rows; *tensor becomes the one that holds the codes. What is computed lies in the arena. */
gllm_status quant_take_codes(const struct weights *w, const struct quant_cfg *q, struct arena *a, const char *name, uint32_t cols, struct weight_part *p, const struct tensor **tensor, gllm_error *err);
/* Parameters that a tensor stands for: those of its codes; none of scales and what else is beside codes. */
uint64_t quant_params(const struct quant_cfg *q, const struct tensor *t);
#endif
