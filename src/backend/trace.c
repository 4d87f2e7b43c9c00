#include "backend/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes from a view's first to its last element, for the rows that the step fills. */
static uint64_t view_span(const struct view *v, const uint32_t *header, uint32_t *rows) {
    *rows = view_rows(v, header);
    return *rows ? ((uint64_t)(*rows - 1) * v->stride + v->cols) * sizeof(float) : 0;
}

/* |x - y| in parts of `top`. What is not finite agrees with its like only: NaN with NaN, an infinity with itself. */
static double error_of(float x, float y, double top) {
    if (isfinite(x) && isfinite(y)) return fabs((double)x - (double)y) / (1e-30 + top);
    return (isnan(x) && isnan(y)) || x == y ? 0 : INFINITY;
}

/* a [rows, cols] is stride_a wide, b stride_b. */
static void compare(uint32_t rows, uint32_t cols, const float *a, size_t stride_a, const float *b, size_t stride_b,
                    struct trace_drift *d) {
    double top = 0;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) {
            double x = fabs((double)a[r * stride_a + c]);
            if (isfinite(x) && x > top) top = x;
        }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) {
            float x = a[r * stride_a + c], y = b[r * stride_b + c];
            double e = error_of(x, y, top);
            if (e > d->error) d->error = e, d->row = r, d->col = c, d->a = x, d->b = y;
        }
}

static gllm_status trace_op(struct backend *a, const struct tape *ta, struct backend *b, const struct tape *tb,
                            size_t i, const uint32_t *header, struct trace_drift *d, gllm_error *err) {
    const struct view *va = op_out(&ta->ops[i]), *vb = op_out(&tb->ops[i]);
    uint32_t rows;
    uint64_t bytes_a = view_span(va, header, &rows), bytes_b = view_span(vb, header, &rows);
    float *ha = malloc(bytes_a + 1), *hb = malloc(bytes_b + 1);
    gllm_status status = ha && hb ? GLLM_OK : err_nomem(err, "trace");
    if (status != GLLM_OK) goto done;
    TRY_GO(a->ops->exec(a, ta, i, 1, err));
    TRY_GO(b->ops->exec(b, tb, i, 1, err));
    if (!rows) goto done;
    TRY_GO(a->ops->read(a, va->buf, va->offset, ha, bytes_a, err));
    TRY_GO(b->ops->read(b, vb->buf, vb->offset, hb, bytes_b, err));
    compare(rows, va->cols, ha, va->stride, hb, vb->stride, d);
    for (uint32_t r = 0; r < rows; r++)
        memcpy(hb + (size_t)r * vb->stride, ha + (size_t)r * va->stride, va->cols * sizeof *ha);
    TRY_GO(b->ops->write(b, vb->buf, vb->offset, hb, bytes_b, err));
done:
    free(ha);
    free(hb);
    return status;
}

/* The tapes say the same operations: kinds, shapes of their outputs, capacities. */
static gllm_status same_tapes(const struct tape *ta, const struct tape *tb, gllm_error *err) {
    if (ta->n_ops != tb->n_ops)
        return err_set(err, GLLM_INVALID, "tapes of %zu and %zu operations", ta->n_ops, tb->n_ops);
    if (ta->layout.cap_tok != tb->layout.cap_tok || ta->layout.cap_seq != tb->layout.cap_seq)
        return err_set(err, GLLM_INVALID, "tapes for %u and %u tokens, %u and %u sequences", ta->layout.cap_tok,
                       tb->layout.cap_tok, ta->layout.cap_seq, tb->layout.cap_seq);
    for (size_t i = 0; i < ta->n_ops; i++) {
        const struct op *a = &ta->ops[i], *b = &tb->ops[i];
        const struct view *va = op_out(a), *vb = op_out(b);
        if (a->kind != b->kind || va->rows != vb->rows || va->cols != vb->cols || va->extent != vb->extent)
            return err_set(err, GLLM_INVALID,
                           "operation %zu is %s to [%u,%u] (%s) on one tape and %s to [%u,%u] (%s) on the other", i,
                           op_name(a->kind), va->rows, va->cols, a->label, op_name(b->kind), vb->rows, vb->cols,
                           b->label);
    }
    return GLLM_OK;
}

gllm_status trace_compare(struct backend *a, const struct tape *ta, struct backend *b, const struct tape *tb,
                          double tolerance, struct trace_drift *out, char *text, size_t text_size, gllm_error *err) {
    *out = (struct trace_drift){.op = SIZE_MAX};
    uint32_t header[STEP_HEADER_WORDS], header_b[STEP_HEADER_WORDS];
    TRY(same_tapes(ta, tb, err));
    TRY(a->ops->read(a, ta->step, 0, header, sizeof header, err));
    TRY(b->ops->read(b, tb->step, 0, header_b, sizeof header_b, err));
    if (memcmp(header, header_b, sizeof header) != 0)
        return err_set(err, GLLM_INVALID, "steps of %u tokens in %u sequences and of %u in %u", header[STEP_N_TOK],
                       header[STEP_N_SEQ], header_b[STEP_N_TOK], header_b[STEP_N_SEQ]);
    double worst = 0;
    for (size_t i = 0; i < ta->n_ops; i++) {
        const struct op *op = &ta->ops[i];
        struct trace_drift d = {.op = i};
        TRY(trace_op(a, ta, b, tb, i, header, &d, err));
        if (d.error > tolerance) {
            d.worst = worst;
            *out = d;
            if (text)
                snprintf(
                    text, text_size,
                    "operation %zu (%s, layer %d, %s) drifts: row %u column %u is %.9g on %s and %.9g on %s, error %.3g above %.3g",
                    i, op->label, op->layer, op_name(op->kind), d.row, d.col, (double)d.a, a->ops->name, (double)d.b,
                    b->ops->name, d.error, tolerance);
            return GLLM_OK;
        }
        worst = fmax(worst, d.error);
    }
    out->worst = worst;
    if (text)
        snprintf(text, text_size, "no operation of %zu drifts beyond %.3g; worst %.3g", ta->n_ops, tolerance, worst);
    return GLLM_OK;
}
