/* ref_ops.h - the reference operations: plain C, double accumulation. What they compute is what is correct. */
#ifndef GLLM_BACKEND_REF_OPS_H
#define GLLM_BACKEND_REF_OPS_H
#include "backend/hostmem.h"

struct ref_weight {
    struct weight base;
    float *data; /* owned, row-major f32 */
};
gllm_status ref_op(const struct op *op, const uint32_t *step, const struct step_layout *layout, gllm_error *err);
#endif
