#include "backend/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes from a view's first to its last element, for the rows that the step fills. */
static uint64_t view_span(const struct view *v, const uint32_t *header, uint32_t *rows) {
    *rows = v->extent == EXTENT_TOK ? header[STEP_N_TOK] : v->extent == EXTENT_SEQ ? header[STEP_N_SEQ] : v->rows;
    return *rows ? ((uint64_t)(*rows - 1) * v->stride + v->cols) * sizeof(float) : 0;
}

static void compare(const struct view *v, uint32_t rows, const float *a, const float *b, size_t stride_b, struct trace_drift *d) {
    double top = 1e-30, worst = 0;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < v->cols; c++) top = fmax(top, fabs((double)a[(size_t)r * v->stride + c]));
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < v->cols; c++) {
            float x = a[(size_t)r * v->stride + c], y = b[(size_t)r * stride_b + c];
            double e = fabs((double)x - (double)y) / top;
            if (isnan(x) != isnan(y)) e = INFINITY;
            if (e > worst) {
                worst = e;
                d->row = r, d->col = c, d->a = x, d->b = y;
            }
        }
    d->error = worst;
}

static gllm_status trace_op(struct backend *a, const struct tape *ta, struct backend *b, const struct tape *tb, size_t i, const uint32_t *header, struct trace_drift *d, gllm_error *err) {
    const struct view *va = op_out(&ta->ops[i]), *vb = op_out(&tb->ops[i]);
    uint32_t rows;
    uint64_t bytes = view_span(va, header, &rows), bytes_b = view_span(vb, header, &rows);
    float *ha = malloc(bytes + 1), *hb = malloc(bytes_b + 1);
    gllm_status status = ha && hb ? GLLM_OK : err_nomem(err, "trace");
    if (status != GLLM_OK) goto done;
    TRY_GO(a->ops->exec(a, ta, i, 1, err));
    TRY_GO(b->ops->exec(b, tb, i, 1, err));
    if (!rows) goto done;
    TRY_GO(a->ops->read(a, va->buf, va->offset, ha, bytes, err));
    TRY_GO(b->ops->read(b, vb->buf, vb->offset, hb, bytes_b, err));
    compare(va, rows, ha, hb, vb->stride, d);
    for (uint32_t r = 0; r < rows; r++) memcpy(hb + (size_t)r * vb->stride, ha + (size_t)r * va->stride, va->cols * sizeof *ha);
    TRY_GO(b->ops->write(b, vb->buf, vb->offset, hb, bytes_b, err));
done:
    free(ha);
    free(hb);
    return status;
}

gllm_status trace_compare(struct backend *a, const struct tape *ta, struct backend *b, const struct tape *tb, double tolerance, struct trace_drift *out, char *text, size_t text_size, gllm_error *err) {
    *out = (struct trace_drift){.op = SIZE_MAX};
    if (ta->n_ops != tb->n_ops) return err_set(err, GLLM_INVALID, "tapes of %zu and %zu operations", ta->n_ops, tb->n_ops);
    uint32_t header[STEP_HEADER_WORDS];
    TRY(a->ops->read(a, ta->step, 0, header, sizeof header, err));
    double worst = 0;
    for (size_t i = 0; i < ta->n_ops; i++) {
        const struct op *oa = &ta->ops[i], *ob = &tb->ops[i];
        if (oa->kind != ob->kind || op_out(oa)->cols != op_out(ob)->cols)
            return err_set(err, GLLM_INVALID, "operation %zu: %s and %s differ", i, op_name(oa->kind), op_name(ob->kind));
        struct trace_drift d = {.op = i};
        TRY(trace_op(a, ta, b, tb, i, header, &d, err));
        if (d.error > tolerance) {
            d.worst = worst;
            *out = d;
            if (text)
                snprintf(text, text_size, "operation %zu (%s, layer %d, %s) drifts: row %u column %u is %.9g on %s and %.9g on %s, error %.3g above %.3g", i, oa->label, oa->layer, op_name(oa->kind), d.row, d.col, (double)d.a, a->ops->name, (double)d.b, b->ops->name, d.error, tolerance);
            return GLLM_OK;
        }
        worst = fmax(worst, d.error);
    }
    out->worst = worst;
    if (text) snprintf(text, text_size, "no operation of %zu drifts beyond %.3g; worst %.3g", ta->n_ops, tolerance, worst);
    return GLLM_OK;
}
