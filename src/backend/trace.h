/* trace.h - one tape on two backends: run both op by op, compare what each op wrote, name the first that drifts. */
#ifndef GLLM_BACKEND_TRACE_H
#define GLLM_BACKEND_TRACE_H
#include "backend/tape.h"

struct trace_drift {
    size_t op;    /* index in the tape; SIZE_MAX: none drifted */
    uint32_t row, col; /* where the difference is largest */
    float a, b;
    double error; /* |a - b| / (1e-30 + largest finite |a| of the op's output); infinite where one side alone is not finite */
    double worst; /* largest error of any op that did not drift */
};
/* ta and tb were recorded alike, for a and b, and both step buffers hold the same words. After each op b's output is replaced by a's, so that
 * an op answers for itself alone. GLLM_INVALID when the tapes differ in their ops or the steps in their counts. `text` (may be NULL) gets the sentence for a human. */
gllm_status trace_compare(struct backend *a, const struct tape *ta, struct backend *b, const struct tape *tb, double tolerance, struct trace_drift *out, char *text, size_t text_size, gllm_error *err);
#endif
