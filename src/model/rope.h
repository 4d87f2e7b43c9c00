/* rope.h - the frequencies of rotary positions, by the formulas of transformers' modeling_rope_utils and of the models that bring their own.
 *
 *   default   f_i = theta^(-2i / n_rot)                                   linear   f_i / factor
 *   dynamic   theta grows once the context is longer than trained: theta ((s n / n0) - (s - 1))^(n_rot / (n_rot - 2))
 *   ntk       (theta factor)^(-2i / n_rot) / factor^(2 / n_rot): GTE's own, at every length
 *   llama3    long wavelengths are divided by factor, short ones kept, those between blended
 *   yarn      the same between two dimensions found from beta_fast and beta_slow; cos and sin scaled by 0.1 ln(factor) + 1
 *   longrope  f_i / short_factor_i, or long_factor_i where the context is longer than trained; scaled by sqrt(1 + ln s / ln n0)
 *
 * What depends on the length of the context is decided once, for n_ctx, so that a sequence computes the same in one piece and in many. */
#ifndef GLLM_MODEL_ROPE_H
#define GLLM_MODEL_ROPE_H
#include "model/arch.h"

/* freq [n_rot / 2]; *scale multiplies cos and sin. n_pos: max_position_embeddings. */
void rope_frequencies(const struct rope_cfg *r, uint32_t n_rot, uint32_t n_pos, uint32_t n_ctx, float *freq, float *scale);
bool rope_used(const struct model_cfg *c, int k); /* ropes[k], by a layer */
#endif
