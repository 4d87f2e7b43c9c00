#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

#define SLAB_BYTES ((uint64_t)16 << 20)
struct cpu_slab {
    struct cpu_slab *next;
    unsigned char *data;
    uint64_t size, used;
};

static float *slab_alloc(struct cpu_backend *be, uint64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    struct cpu_slab *s = be->slabs;
    if (!s || s->size - s->used < bytes) {
        s = calloc(1, sizeof *s);
        if (!s) return NULL;
        s->size = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
        s->data = hostmem_pages(s->size);
        if (!s->data) {
            free(s);
            return NULL;
        }
        s->next = be->slabs;
        be->slabs = s;
    }
    float *p = (float *)(void *)(s->data + s->used);
    s->used += bytes;
    return p;
}

void cpu_slabs_free(struct cpu_backend *be) {
    for (struct cpu_slab *s = be->slabs; s;) {
        struct cpu_slab *next = s->next;
        free(s->data);
        free(s);
        s = next;
    }
    be->slabs = NULL;
}

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

/* Row `row` of the stacked parts as f32: in place when it is, else widened into `wide`. */
static const float *part_row(const struct weight_desc *d, uint32_t row, float *wide) {
    uint32_t i = 0;
    while (row >= d->parts[i].rows) row -= d->parts[i++].rows;
    const struct weight_part *p = &d->parts[i];
    if (!p->data) return memset(wide, 0, d->cols * sizeof *wide);
    const unsigned char *src = (const unsigned char *)p->data + row * dtype_row_bytes(p->dtype, d->cols);
    if (p->dtype == DTYPE_F32 && (uintptr_t)src % sizeof(float) == 0) return (const float *)(const void *)src;
    dtype_to_f32(p->dtype, src, wide, d->cols);
    return wide;
}

struct packing {
    const struct weight_desc *desc;
    const struct cpu_kernels *kernels;
    uint32_t rows;
    float *out, *wide; /* wide [threads][4][cols] */
    _Atomic uint32_t next;
};

/* Four rows at a time, so that the kernel can transpose blocks of four by four. */
static void pack_panels(void *arg, unsigned thread, unsigned n_threads) {
    (void)n_threads;
    struct packing *p = arg;
    const uint32_t nr = p->kernels->nr, cols = p->desc->cols, n_panels = (p->rows + nr - 1) / nr;
    float *wide = p->wide + (size_t)thread * 4 * cols;
    for (uint32_t panel; (panel = atomic_fetch_add(&p->next, 1)) < n_panels;) {
        float *out = p->out + (size_t)panel * cols * nr;
        uint32_t first = panel * nr, n = p->rows - first < nr ? p->rows - first : nr;
        if (n < nr) memset(out, 0, (size_t)cols * nr * sizeof *out);
        for (uint32_t m = 0; m < n; m += 4) {
            uint32_t group = n - m < 4 ? n - m : 4;
            const float *row = part_row(p->desc, first + m, wide);
            bool adjacent = true;
            for (uint32_t i = 1; i < group; i++) adjacent &= part_row(p->desc, first + m + i, wide + (size_t)i * cols) == row + (size_t)i * cols;
            if (adjacent) p->kernels->pack_rows(row, cols, group, cols, 1, out + m, nr);
            else
                for (uint32_t i = 0; i < group; i++) p->kernels->pack_rows(part_row(p->desc, first + m + i, wide), cols, 1, cols, 1, out + m + i, nr);
        }
    }
}

static gllm_status prepare_matrix(struct cpu_backend *be, const struct weight_desc *d, uint32_t rows, struct cpu_weight *w, gllm_error *err) {
    uint64_t n = (uint64_t)round_up(rows, be->kernels->nr) * d->cols;
    struct packing p = {.desc = d, .kernels = be->kernels, .rows = rows, .out = slab_alloc(be, n * sizeof(float))};
    p.wide = malloc((size_t)be->n_threads * 4 * d->cols * sizeof *p.wide);
    w->data = p.out;
    if (!p.out || !p.wide) {
        free(p.wide);
        return err_nomem(err, d->name);
    }
    pool_run(be->pool, pack_panels, &p);
    free(p.wide);
    return GLLM_OK;
}

static gllm_status prepare_rows(struct cpu_backend *be, const struct weight_desc *d, uint32_t rows, struct cpu_weight *w, gllm_error *err) {
    const struct weight_part *p = &d->parts[0];
    if (d->role == WEIGHT_TABLE && d->n_parts == 1 && p->data && p->dtype == DTYPE_F32 && (uintptr_t)p->data % sizeof(float) == 0) {
        w->data = p->data;
        w->borrowed = true;
        return GLLM_OK;
    }
    uint64_t n = d->role == WEIGHT_VECTOR ? round_up(d->cols, CPU_MAX_NR) : (uint64_t)rows * d->cols;
    float *out = slab_alloc(be, n * sizeof *out);
    if (!out) return err_nomem(err, d->name);
    w->data = out;
    if (d->role == WEIGHT_VECTOR) memset(out, 0, n * sizeof *out);
    for (uint32_t i = 0; i < d->n_parts; i++) {
        size_t count = (size_t)d->parts[i].rows * (d->role == WEIGHT_VECTOR ? 1 : d->cols);
        if (d->parts[i].data) dtype_to_f32(d->parts[i].dtype, d->parts[i].data, out, count);
        else memset(out, 0, count * sizeof *out);
        out += count;
    }
    return GLLM_OK;
}

gllm_status cpu_weight_prepare(struct backend *backend, const struct weight_desc *d, struct weight **out, gllm_error *err) {
    struct cpu_backend *be = (struct cpu_backend *)backend;
    *out = NULL;
    uint32_t rows;
    TRY(weight_desc_check(d, &rows, err));
    struct cpu_weight *w = malloc(sizeof *w);
    if (!w) return err_nomem(err, d->name);
    *w = (struct cpu_weight){.base = {d->role, rows, d->cols}};
    gllm_status status = d->role == WEIGHT_MATRIX ? prepare_matrix(be, d, rows, w, err) : prepare_rows(be, d, rows, w, err);
    if (status != GLLM_OK) free(w);
    else *out = &w->base;
    return status;
}

/* Packed data lies in the backend's slabs and goes with it. */
void cpu_weight_free(struct backend *be, struct weight *w) {
    (void)be;
    free(w);
}

uint64_t cpu_weight_bytes(const struct weight_desc *d) {
    uint64_t rows = 0;
    for (uint32_t i = 0; i < d->n_parts; i++) rows += d->parts[i].rows;
    if (d->role == WEIGHT_VECTOR) return (uint64_t)round_up(d->cols, CPU_MAX_NR) * sizeof(float);
    if (d->role == WEIGHT_TABLE) return rows * d->cols * sizeof(float);
    return (rows + CPU_MAX_NR - 1) / CPU_MAX_NR * CPU_MAX_NR * d->cols * sizeof(float);
}

bool cpu_weight_borrows(const struct weight *w) { return ((const struct cpu_weight *)w)->borrowed; }
