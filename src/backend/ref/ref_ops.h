/* ref_ops.h - the reference operations: plain C, double accumulation. What they compute is what is correct.
 *
 * Every f32 operand is widened, every result is rounded to f32 once; erf, tanh and exp are libm's in double. A NaN or an infinity in an
 * operand makes what depends on it unspecified (its row; in attention and pool its sequence) and changes nothing else. */
#ifndef GLLM_BACKEND_REF_OPS_H
#define GLLM_BACKEND_REF_OPS_H
#include "backend/hostmem.h"

struct ref_weight {
    struct weight base;
    float *data; /* owned, row-major f32 */
};
/* Runs `op` on host buffers. The step passed step_check. GLLM_NOMEM */
gllm_status ref_op(const struct op *op, const uint32_t *step, const struct step_layout *layout, gllm_error *err);
#endif
