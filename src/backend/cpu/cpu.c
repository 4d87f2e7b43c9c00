/* cpu.c - backend `cpu`: the device, and the walk over a tape in one parallel region with a barrier between operations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/clock.h"

struct plan { /* also the working memory of a run; grown between regions, never inside one */
    const struct tape *tape; /* borrowed */
    _Atomic uint32_t *claims; /* [2 * n_ops] */
    uint32_t *groups;         /* [cap_seq + 1] */
    void *packed;
    float **scratch; /* [n_threads] */
    size_t packed_room, scratch_room;
    unsigned n_threads;
    bool timed;
    double *us;
};

static gllm_status cpu_probe(uint32_t device, struct backend_caps *caps) {
    const struct cpu_kernels *k;
    *caps = (struct backend_caps){.threads = cpu_count()};
    cpu_brand(caps->device, sizeof caps->device);
    cpu_kernels_choose(NULL, &k, NULL);
    snprintf(caps->detail, sizeof caps->detail, "%s, %u threads", k->name, caps->threads);
    hostmem_info(&caps->mem_free, &caps->mem_total);
    return device == 0 ? GLLM_OK : GLLM_DEVICE;
}

static gllm_status open_with(struct backend **out, const struct cpu_backend *like, uint32_t threads, gllm_error *err) {
    struct cpu_backend *be = malloc(sizeof *be);
    if (!be) return err_nomem(err, "backend cpu");
    *be = *like;
    be->n_threads = threads;
    gllm_status status = pool_open(&be->pool, be->n_threads, err);
    if (status != GLLM_OK) free(be);
    else *out = &be->base;
    return status;
}

static gllm_status cpu_open(struct backend **out, const struct backend_options *opt, gllm_error *err) {
    *out = NULL;
    if (opt->device != 0) return err_set(err, GLLM_DEVICE, "backend cpu has one device, found device %u", opt->device);
    if (opt->precision == GLLM_PRECISION_BF16 || opt->precision == GLLM_PRECISION_INT8)
        return err_set(err, GLLM_UNSUPPORTED, "precision %s: backend cpu offers f32, and int8 activations for quantised weights by default", opt->precision == GLLM_PRECISION_BF16 ? "bf16" : "int8");
    const struct cpu_kernels *k;
    TRY(cpu_kernels_choose(opt->isa, &k, err));
    return open_with(out, &(struct cpu_backend){.base.ops = &backend_cpu, .kernels = k, .exact = opt->precision == GLLM_PRECISION_F32}, opt->threads ? opt->threads : cpu_count(), err);
}

static gllm_status cpu_share(struct backend *backend, uint32_t threads, struct backend **out, gllm_error *err) {
    struct cpu_backend like = *(const struct cpu_backend *)backend;
    *out = NULL;
    like.slabs = NULL; /* they stay be's */
    return open_with(out, &like, threads, err);
}

static void cpu_close(struct backend *backend) {
    struct cpu_backend *be = (struct cpu_backend *)backend;
    if (!be) return;
    pool_close(be->pool);
    cpu_slabs_free(be);
    free(be);
}

static void cpu_describe(struct backend *backend, struct backend_caps *caps) {
    struct cpu_backend *be = (struct cpu_backend *)backend;
    cpu_probe(0, caps);
    caps->threads = be->n_threads;
    caps->precision = be->quantises ? "int8" : "f32";
    snprintf(caps->detail, sizeof caps->detail, "%s, %u thread%s", be->kernels->name, be->n_threads, be->n_threads == 1 ? "" : "s");
}

static gllm_status cpu_mem_info(struct backend *be, uint64_t *free_bytes, uint64_t *total_bytes) {
    (void)be;
    hostmem_info(free_bytes, total_bytes);
    return GLLM_OK;
}
static void cpu_trim(struct backend *be) { (void)be; } /* it pools nothing between plans */

static void cpu_plan_free(struct backend *be, struct plan *p) {
    (void)be;
    if (!p) return;
    for (unsigned i = 0; p->scratch && i < p->n_threads; i++) free(p->scratch[i]);
    free(p->scratch);
    free(p->packed);
    free(p->groups);
    free(p->claims);
    free(p->us);
    free(p);
}

static gllm_status cpu_plan(struct backend *backend, const struct tape *t, struct plan **out, gllm_error *err) {
    struct cpu_backend *be = (struct cpu_backend *)backend;
    struct plan *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return err_nomem(err, "plan");
    p->tape = t;
    p->n_threads = be->n_threads;
    p->claims = calloc(2 * t->n_ops + 1, sizeof *p->claims);
    p->us = calloc(t->n_ops + 1, sizeof *p->us);
    p->groups = calloc((size_t)t->layout.cap_seq + 1, sizeof *p->groups);
    p->scratch = calloc(be->n_threads, sizeof *p->scratch);
    if (!p->claims || !p->us || !p->groups || !p->scratch) {
        cpu_plan_free(backend, p);
        return err_nomem(err, "plan");
    }
    *out = p;
    return GLLM_OK;
}

/* *at becomes `bytes` of fresh memory. */
static bool grow(void **at, size_t bytes) {
    free(*at);
    *at = hostmem_pages(bytes);
    return *at != NULL;
}

/* Sizes the working memory for the operations [first, first + count) of this step. */
static gllm_status make_room(struct cpu_backend *be, struct plan *p, size_t first, size_t count, gllm_error *err) {
    const uint32_t *step = step_ptr(p->tape);
    size_t packed = 0, scratch = 0;
    for (size_t i = first; i < first + count; i++) {
        const struct op *op = &p->tape->ops[i];
        size_t n = 0;
        if (op->kind == OP_LINEAR && (n = cpu_linear_packed(&op->linear, view_rows(&op->linear.out, step), be->kernels)) > packed) packed = n;
        if (op->kind == OP_LINEAR && (n = cpu_linear_scratch(&op->linear, be->kernels)) > scratch) scratch = n;
        if (op->kind == OP_EMBED && op->embed.out.cols > scratch) scratch = op->embed.out.cols;
        if (op->kind == OP_ATTENTION && (n = cpu_attention_scratch(&op->attention, step[STEP_MAX_LEN], be->kernels)) > scratch) scratch = n;
        if (op->kind == OP_ATTEND && (n = cpu_attend_parts(&op->attend, step, &p->tape->layout, be->kernels)) > packed) packed = n;
        if (op->kind == OP_ATTEND && (n = cpu_attend_scratch(&op->attend, be->kernels)) > scratch) scratch = n;
    }
    if (packed > p->packed_room) {
        p->packed_room = 0;
        if (!grow(&p->packed, packed)) return err_nomem(err, "packed activations");
        p->packed_room = packed;
    }
    if (scratch > p->scratch_room) {
        p->scratch_room = 0;
        for (unsigned i = 0; i < p->n_threads; i++) {
            void *at = p->scratch[i];
            bool done = grow(&at, scratch * sizeof(float));
            p->scratch[i] = at;
            if (!done) return err_nomem(err, "scratch");
        }
        p->scratch_room = scratch;
    }
    return GLLM_OK;
}

struct walk {
    struct cpu_run run;
    struct plan *plan;
    size_t first, count;
};

static void walk_tape(void *arg, unsigned thread, unsigned n_threads) {
    (void)n_threads;
    const struct walk *w = arg;
    struct plan *p = w->plan;
    double start = p->timed && thread == 0 ? 1e3 * clock_ms() : 0;
    for (size_t i = w->first; i < w->first + w->count; i++) {
        const struct op *op = &p->tape->ops[i];
        switch (op->kind) {
#define OP(KIND, member) \
    case OP_##KIND: cpu_##member(&w->run, &op->member, thread, &p->claims[2 * i]); break;
#include "backend/ops.def"
#undef OP
        default: break;
        }
        pool_barrier(w->run.pool);
        if (p->timed && thread == 0) {
            double end = 1e3 * clock_ms();
            p->us[i] += end - start;
            start = end;
        }
    }
}

static gllm_status walk(struct cpu_backend *be, struct plan *p, size_t first, size_t count, gllm_error *err) {
    const struct tape *t = p->tape;
    TRY(step_check(t, err));
    if (first > t->n_ops || count > t->n_ops - first) return err_set(err, GLLM_INVALID, "operations %zu + %zu of %zu", first, count, t->n_ops);
    TRY(make_room(be, p, first, count, err));
    const uint32_t *step = step_ptr(t), *starts = step + t->layout.starts, width = be->kernels->nr * CPU_QUERY_BLOCKS;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) p->groups[s + 1] = p->groups[s] + (starts[s + 1] - starts[s] + width - 1) / width;
    for (size_t i = 2 * first; i < 2 * (first + count); i++) atomic_store_explicit(&p->claims[i], 0, memory_order_relaxed);
    struct walk w = {.run = {.kernels = be->kernels, .pool = be->pool, .step = step, .layout = &t->layout, .packed = p->packed,
                             .scratch = p->scratch, .groups = p->groups},
                     .plan = p, .first = first, .count = count};
    pool_run(be->pool, walk_tape, &w);
    return GLLM_OK;
}

static gllm_status cpu_run(struct backend *be, struct plan *p, gllm_error *err) { return walk((struct cpu_backend *)be, p, 0, p->tape->n_ops, err); }

static gllm_status cpu_exec(struct backend *be, const struct tape *t, size_t first, size_t count, gllm_error *err) {
    struct plan *p;
    TRY(cpu_plan(be, t, &p, err));
    gllm_status status = walk((struct cpu_backend *)be, p, first, count, err);
    cpu_plan_free(be, p);
    return status;
}

static gllm_status cpu_wait(struct backend *be, gllm_error *err) { /* every run is complete when it returns */
    (void)be, (void)err;
    return GLLM_OK;
}

static gllm_status cpu_prof(struct backend *be, struct plan *p, bool on, double *us, size_t n, gllm_error *err) {
    (void)be;
    if (n > p->tape->n_ops) return err_set(err, GLLM_INVALID, "times of %zu operations asked, the plan has %zu", n, p->tape->n_ops);
    if (on) memset(p->us, 0, p->tape->n_ops * sizeof *p->us);
    else if (n) memcpy(us, p->us, n * sizeof *us);
    p->timed = on;
    return GLLM_OK;
}

const struct backend_ops backend_cpu = {
    .name = "cpu", .probe = cpu_probe, .open = cpu_open, .share = cpu_share, .close = cpu_close, .describe = cpu_describe, .mem_info = cpu_mem_info,
    .trim = cpu_trim, .alloc = hostmem_alloc, .buffer_free = hostmem_free, .write = hostmem_write, .read = hostmem_read,
    .copy = hostmem_copy, .fill = hostmem_fill, .weight_prepare = cpu_weight_prepare, .weight_free = cpu_weight_free,
    .weight_bytes = cpu_weight_bytes, .weight_borrows = cpu_weight_borrows, .exec = cpu_exec, .plan = cpu_plan, .run = cpu_run,
    .plan_free = cpu_plan_free, .wait = cpu_wait, .prof = cpu_prof,
};
