/* ref.c - backend `ref`: one thread, plain C, double accumulation. It defines what is correct and is never fast. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/ref_ops.h"
#include "base/clock.h"

struct plan {
    const struct tape *tape; /* borrowed */
    bool timed;
    double *us;
};

static gllm_status ref_probe(uint32_t device, struct backend_caps *caps) {
    *caps = (struct backend_caps){.device = "reference", .threads = 1};
    snprintf(caps->detail, sizeof caps->detail, "plain C, double accumulation, one thread");
    hostmem_info(&caps->mem_free, &caps->mem_total);
    return device == 0 ? GLLM_OK : GLLM_DEVICE;
}

static gllm_status ref_open(struct backend **out, const struct backend_options *opt, gllm_error *err) {
    *out = NULL;
    if (opt->device != 0) return err_set(err, GLLM_DEVICE, "backend ref has one device, found device %u", opt->device);
    if (opt->precision != GLLM_PRECISION_AUTO && opt->precision != GLLM_PRECISION_F32)
        return err_set(err, GLLM_UNSUPPORTED, "backend ref computes in f32 only");
    if (opt->isa) return err_set(err, GLLM_UNSUPPORTED, "backend ref has no instruction levels (found \"%.40s\")", opt->isa);
    struct backend *be = malloc(sizeof *be);
    if (!be) return err_nomem(err, "backend ref");
    be->ops = &backend_ref;
    *out = be;
    return GLLM_OK;
}

static gllm_status ref_share(struct backend *be, uint32_t threads, struct backend **out, gllm_error *err) {
    (void)threads; /* it has one */
    *out = malloc(sizeof **out);
    if (!*out) return err_nomem(err, "backend ref");
    **out = *be;
    return GLLM_OK;
}

static void ref_close(struct backend *be) { free(be); }
static void ref_describe(struct backend *be, struct backend_caps *caps) {
    (void)be;
    ref_probe(0, caps);
    caps->precision = "f32";
}
static gllm_status ref_mem_info(struct backend *be, uint64_t *free_bytes, uint64_t *total_bytes) {
    (void)be;
    hostmem_info(free_bytes, total_bytes);
    return GLLM_OK;
}
static void ref_trim(struct backend *be) { (void)be; } /* it pools nothing */

static uint64_t ref_weight_bytes(const struct weight_desc *d) {
    uint64_t rows = 0;
    for (uint32_t i = 0; i < d->n_parts; i++) rows += d->parts[i].rows;
    return (d->role == WEIGHT_VECTOR ? 1 : d->cols) * rows * sizeof(float);
}

static gllm_status ref_weight_prepare(struct backend *be, const struct weight_desc *d, struct weight **out, gllm_error *err) {
    (void)be;
    *out = NULL;
    uint32_t rows;
    TRY(weight_desc_check(d, &rows, err));
    struct ref_weight *w = malloc(sizeof *w);
    if (w) *w = (struct ref_weight){.base = {d->role, rows, d->cols}, .data = malloc(ref_weight_bytes(d))};
    if (!w || !w->data) {
        free(w);
        return err_nomem(err, d->name);
    }
    weight_values(d, w->data);
    *out = &w->base;
    return GLLM_OK;
}

static void ref_weight_free(struct backend *be, struct weight *w) {
    (void)be;
    if (w) free(((struct ref_weight *)w)->data);
    free(w);
}
static bool ref_weight_borrows(const struct weight *w) {
    (void)w;
    return false;
}

static gllm_status ref_exec(struct backend *be, const struct tape *t, size_t first, size_t count, gllm_error *err) {
    (void)be;
    TRY(step_check(t, err));
    if (first > t->n_ops || count > t->n_ops - first) return err_set(err, GLLM_INVALID, "operations %zu + %zu of %zu", first, count, t->n_ops);
    for (size_t i = first; i < first + count; i++) TRY(ref_op(&t->ops[i], step_ptr(t), &t->layout, err));
    return GLLM_OK;
}

static gllm_status ref_plan(struct backend *be, const struct tape *t, struct plan **out, gllm_error *err) {
    (void)be;
    struct plan *p = calloc(1, sizeof *p);
    double *us = calloc(t->n_ops + 1, sizeof *us);
    *out = NULL;
    if (!p || !us) {
        free(p);
        free(us);
        return err_nomem(err, "plan");
    }
    *p = (struct plan){.tape = t, .us = us};
    *out = p;
    return GLLM_OK;
}

static gllm_status ref_run(struct backend *be, struct plan *p, gllm_error *err) {
    for (size_t i = 0; i < p->tape->n_ops; i++) {
        double start = p->timed ? 1e3 * clock_ms() : 0;
        TRY(ref_exec(be, p->tape, i, 1, err));
        if (p->timed) p->us[i] += 1e3 * clock_ms() - start;
    }
    return GLLM_OK;
}

static void ref_plan_free(struct backend *be, struct plan *p) {
    (void)be;
    if (p) free(p->us);
    free(p);
}
static gllm_status ref_wait(struct backend *be, gllm_error *err) { /* every run is complete when it returns */
    (void)be, (void)err;
    return GLLM_OK;
}
static gllm_status ref_prof(struct backend *be, struct plan *p, bool on, double *us, size_t n, gllm_error *err) {
    (void)be;
    if (n > p->tape->n_ops) return err_set(err, GLLM_INVALID, "times of %zu operations asked, the plan has %zu", n, p->tape->n_ops);
    if (on) memset(p->us, 0, p->tape->n_ops * sizeof *p->us);
    else if (n) memcpy(us, p->us, n * sizeof *us);
    p->timed = on;
    return GLLM_OK;
}

const struct backend_ops backend_ref = {
    .name = "ref", .probe = ref_probe, .open = ref_open, .share = ref_share, .close = ref_close, .describe = ref_describe, .mem_info = ref_mem_info,
    .trim = ref_trim, .alloc = hostmem_alloc, .buffer_free = hostmem_free, .write = hostmem_write, .read = hostmem_read,
    .copy = hostmem_copy, .fill = hostmem_fill, .weight_prepare = ref_weight_prepare, .weight_free = ref_weight_free,
    .weight_bytes = ref_weight_bytes, .weight_borrows = ref_weight_borrows, .exec = ref_exec, .plan = ref_plan, .run = ref_run,
    .plan_free = ref_plan_free, .wait = ref_wait, .prof = ref_prof,
};
