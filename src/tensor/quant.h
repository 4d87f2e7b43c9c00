/* quant.h - the block formats of GGUF, one decoder each; layouts stand beside the decoders.
 *
 * A decoder turns one block (dtype_traits(t)->bytes bytes, any alignment, every bit pattern valid) into
 * dtype_traits(t)->block floats, rounded exactly as the format's Python package gguf rounds: each product and each
 * difference to f32. So that no compiler may fuse them, a product that is added to stands in a statement of its own. */
#ifndef GLLM_TENSOR_QUANT_H
#define GLLM_TENSOR_QUANT_H
#include "tensor/dtype.h"
#include "tensor/half.h"

typedef void quant_block(const uint8_t *block, float *out);
quant_block *quant_decoder(enum dtype t); /* NULL: t is plain, or not computed */

void quant_to_q8_0(const float *x, uint8_t *block); /* 32 values: d = max |x| / 127 rounded to f16, q = x / d to nearest, ties to even */

enum { QUANT_SUPER = 256 }; /* elements of a super-block: the K, IQ and TQ types */

/* Fields of a block, little-endian. */
static inline uint16_t quant_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t quant_u32(const uint8_t *p) { return quant_u16(p) | (uint32_t)quant_u16(p + 2) << 16; }
static inline float quant_f16(const uint8_t *p) { return f16_to_f32(quant_u16(p)); }

/* quant_k.c */
quant_block quant_q2_k, quant_q3_k, quant_q4_k, quant_q5_k, quant_q6_k;
/* quant_iq.c */
quant_block quant_iq1_s, quant_iq1_m, quant_iq2_xxs, quant_iq2_xs, quant_iq2_s, quant_iq3_xxs, quant_iq3_s, quant_iq4_nl, quant_iq4_xs;

/* quant_iq_tables.c. A grid is a codebook: row i holds 8 (4) small numbers of one byte each. */
extern const int8_t IQ1_GRID[2048][8];     /* -1, 0, 1 */
extern const uint8_t IQ2_XXS_GRID[256][8]; /* magnitudes 8, 25, 43 */
extern const uint8_t IQ2_XS_GRID[512][8];
extern const uint8_t IQ2_S_GRID[1024][8];
extern const uint8_t IQ3_XXS_GRID[256][4]; /* magnitudes 4, 12 to 62 */
extern const uint8_t IQ3_S_GRID[512][4];   /* odd magnitudes 1 to 15 */
#endif
