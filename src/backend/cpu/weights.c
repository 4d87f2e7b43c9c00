#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

#define SLAB_BYTES ((uint64_t)16 << 20)
struct cpu_slab {
    struct cpu_slab *next;
    unsigned char *data;
    uint64_t size, used;
};

static void *slab_alloc(struct cpu_backend *be, uint64_t bytes) {
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
    void *p = s->data + s->used;
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
static const float *part_row(const struct cpu_kernels *k, const struct weight_desc *d, uint32_t row, float *wide) {
    uint32_t i = 0;
    while (row >= d->parts[i].rows) row -= d->parts[i++].rows;
    const struct weight_part *p = &d->parts[i];
    if (!p->data) return memset(wide, 0, d->cols * sizeof *wide);
    if (p->codes || p->delta) {
        weight_row(p, d->cols, row, wide);
        return wide;
    }
    const unsigned char *src = (const unsigned char *)p->data + row * dtype_row_bytes(p->dtype, d->cols);
    if (p->dtype == DTYPE_F32 && !p->scale.data && (uintptr_t)src % sizeof(float) == 0) return (const float *)(const void *)src;
    if (p->dtype == DTYPE_F8_E4M3 || p->dtype == DTYPE_F8_E5M2) {
        k->from_f8(p->dtype, src, d->cols, wide);
        weight_scale_row(p, d->cols, row, wide);
    } else weight_row(p, d->cols, row, wide);
    return wide;
}

struct packing {
    const struct weight_desc *desc;
    const struct cpu_kernels *kernels;
    uint32_t rows;
    float *out, *wide; /* wide [threads][4][cols] */
    _Atomic uint32_t next;
};

/* Panel `panel` as f32, four rows at a time, so that the kernel can transpose blocks of four by four. room [4][cols] */
static void pack_panel(const struct cpu_kernels *k, const struct weight_desc *d, uint32_t rows, uint32_t panel, float *room, float *out) {
    const uint32_t nr = k->nr, cols = d->cols, first = panel * nr, n = rows - first < nr ? rows - first : nr;
    if (n < nr) memset(out, 0, (size_t)cols * nr * sizeof *out);
    for (uint32_t m = 0; m < n; m += 4) {
        const uint32_t group = n - m < 4 ? n - m : 4;
        const float *row = part_row(k, d, first + m, room);
        bool adjacent = true;
        for (uint32_t i = 1; i < group; i++) adjacent &= part_row(k, d, first + m + i, room + (size_t)i * cols) == row + (size_t)i * cols;
        if (adjacent) k->pack_rows(row, cols, group, cols, 1, out + m, nr);
        else
            for (uint32_t i = 0; i < group; i++) k->pack_rows(part_row(k, d, first + m + i, room), cols, 1, cols, 1, out + m + i, nr);
    }
}

static void pack_panels(void *arg, unsigned thread, unsigned n_threads) {
    (void)n_threads;
    struct packing *p = arg;
    const uint32_t nr = p->kernels->nr, cols = p->desc->cols, n_panels = (p->rows + nr - 1) / nr;
    for (uint32_t panel; (panel = atomic_fetch_add(&p->next, 1)) < n_panels;)
        pack_panel(p->kernels, p->desc, p->rows, panel, p->wide + (size_t)thread * 4 * cols, p->out + (size_t)panel * cols * nr);
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

/* The part that holds row `row` of the stack; *row becomes its row there. */
static const struct weight_part *part_of(const struct weight_desc *d, uint32_t *row) {
    uint32_t i = 0;
    while (*row >= d->parts[i].rows) *row -= d->parts[i++].rows;
    return &d->parts[i];
}
static const uint8_t *raw_row(const struct weight_part *p, uint32_t row, uint32_t cols) {
    return p->data ? (const uint8_t *)p->data + (size_t)row * dtype_row_bytes(p->dtype, cols) : NULL;
}

const float *cpu_table_row(const struct cpu_kernels *k, const struct weight *weight, uint32_t row, float *wide) {
    const struct cpu_weight *w = cpu_weight(weight);
    return w->form == CPU_F32 ? w->data + (size_t)row * weight->cols : part_row(k, &w->desc, row, wide);
}

void cpu_widen_panel(const struct cpu_kernels *k, const struct cpu_weight *w, uint32_t panel, float *room, float *out) {
    pack_panel(k, &w->desc, w->base.rows, panel, room, out);
}

static bool find_kind(const struct weight_part *p, uint32_t cols, const uint32_t *order, enum qpack_kind *out) {
    if (p->delta) return false;
    if (p->codes) return qcodes_find(p, cols, order, out);
    return p->data && !p->scale.data && !order && qpack_find(p->dtype, out);
}

/* Every panel of 16 rows lies in one part of a format that the int8 kernels read. */
static bool can_quantise(const struct cpu_backend *be, const struct weight_desc *d, const uint32_t *order) {
    enum qpack_kind kind;
    if (!be->kernels->qtile || be->exact || d->cols % QBLOCK) return false;
    for (uint32_t i = 0; i < d->n_parts; i++)
        if ((i + 1 < d->n_parts && d->parts[i].rows % QPANEL) || !find_kind(&d->parts[i], d->cols, order, &kind)) return false;
    return true;
}

/* The order of inputs that brings those of a group together; NULL in *out where they follow each other. */
static gllm_status take_order(const struct weight_desc *d, uint32_t **out, gllm_error *err) {
    const struct weight_codes *w = d->parts[0].codes;
    *out = w && w->groups ? qcodes_order(w, d->cols) : NULL;
    return *out || !w || !w->groups ? GLLM_OK : err_nomem(err, d->name);
}

struct quantising {
    const struct weight_desc *desc;
    const uint32_t *order;
    struct cpu_qpanel *panels;
    uint32_t n_panels;
    _Atomic uint32_t next;
};
static void quantise_panels(void *arg, unsigned thread, unsigned n_threads) {
    (void)thread, (void)n_threads;
    struct quantising *q = arg;
    for (uint32_t p; (p = atomic_fetch_add(&q->next, 1)) < q->n_panels;) {
        uint32_t first = p * QPANEL;
        const struct weight_part *part = part_of(q->desc, &first);
        uint8_t *out = (uint8_t *)(uintptr_t)q->panels[p].data;
        const uint8_t *rows[QPANEL];
        if (part->codes) {
            qcodes_panel(q->panels[p].kind, part, first, q->desc->cols, q->order, out);
            continue;
        }
        for (uint32_t i = 0; i < QPANEL; i++) rows[i] = first + i < part->rows ? raw_row(part, first + i, q->desc->cols) : NULL;
        qpack_panel(q->panels[p].kind, rows, q->desc->cols, out);
    }
}

static gllm_status prepare_quantised(struct cpu_backend *be, const struct weight_desc *d, uint32_t rows, struct cpu_weight *w, gllm_error *err) {
    const uint32_t n_panels = (rows + QPANEL - 1) / QPANEL, n_blocks = d->cols / QBLOCK;
    uint64_t bytes = 0;
    struct quantising q = {.desc = d, .order = w->order, .n_panels = n_panels, .panels = calloc(n_panels, sizeof *q.panels)};
    w->form = CPU_QUANT;
    be->quantises = true;
    w->panels = q.panels;
    if (!q.panels) return err_nomem(err, d->name);
    for (uint32_t i = 0, p = 0, end = 0; i < d->n_parts; i++) { /* one kind for the panels of a part */
        enum qpack_kind kind = QPACK_COUNT;
        find_kind(&d->parts[i], d->cols, w->order, &kind);
        for (end += (d->parts[i].rows + QPANEL - 1) / QPANEL; p < end; p++) {
            q.panels[p].kind = kind;
            bytes += n_blocks * qpack_block_bytes(kind);
        }
    }
    const uint8_t *at = (const uint8_t *)slab_alloc(be, bytes);
    if (!at) return err_nomem(err, d->name);
    for (uint32_t p = 0; p < n_panels; p++) {
        q.panels[p].data = at;
        at += n_blocks * qpack_block_bytes(q.panels[p].kind);
    }
    pool_run(be->pool, quantise_panels, &q);
    return GLLM_OK;
}

/* A part takes less memory as the file has it than any f32 form: codes, quantised blocks, types of 8 bits. */
static bool any_narrow(const struct weight_desc *d) {
    for (uint32_t i = 0; i < d->n_parts; i++)
        if (d->parts[i].codes || (d->parts[i].data && dtype_traits(d->parts[i].dtype)->bits < 16)) return true;
    return false;
}

static gllm_status prepare_native(const struct weight_desc *d, struct cpu_weight *w) {
    w->form = CPU_NATIVE;
    w->borrowed = true;
    w->desc = *d;
    w->desc.name = NULL;
    return GLLM_OK;
}

static gllm_status prepare_rows(struct cpu_backend *be, const struct weight_desc *d, uint32_t rows, struct cpu_weight *w, gllm_error *err) {
    const struct weight_part *p = &d->parts[0];
    const bool table = d->role == WEIGHT_TABLE;
    if (table && d->n_parts == 1 && p->data && p->dtype == DTYPE_F32 && !p->scale.data && (uintptr_t)p->data % sizeof(float) == 0) {
        w->data = p->data;
        w->borrowed = true;
        return GLLM_OK;
    }
    if (table && any_narrow(d)) return prepare_native(d, w); /* few of its rows are ever read */
    uint64_t n = d->role == WEIGHT_VECTOR ? round_up(d->cols, CPU_MAX_NR) : (uint64_t)rows * d->cols;
    float *out = slab_alloc(be, n * sizeof *out);
    if (!out) return err_nomem(err, d->name);
    w->data = out;
    if (d->role == WEIGHT_VECTOR) memset(out, 0, n * sizeof *out);
    weight_values(d, out);
    return GLLM_OK;
}

static gllm_status prepare(struct cpu_backend *be, const struct weight_desc *d, uint32_t rows, struct cpu_weight *w, gllm_error *err) {
    if (d->role != WEIGHT_MATRIX) return prepare_rows(be, d, rows, w, err);
    if (!any_narrow(d)) return prepare_matrix(be, d, rows, w, err);
    TRY(take_order(d, &w->order, err));
    if (can_quantise(be, d, w->order)) return prepare_quantised(be, d, rows, w, err);
    free(w->order);
    w->order = NULL;
    return prepare_native(d, w);
}

gllm_status cpu_weight_prepare(struct backend *backend, const struct weight_desc *d, struct weight **out, gllm_error *err) {
    *out = NULL;
    uint32_t rows;
    TRY(weight_desc_check(d, &rows, err));
    struct cpu_weight *w = malloc(sizeof *w);
    if (!w) return err_nomem(err, d->name);
    *w = (struct cpu_weight){.base = {d->role, rows, d->cols}};
    gllm_status status = prepare((struct cpu_backend *)backend, d, rows, w, err);
    if (status != GLLM_OK) cpu_weight_free(backend, &w->base);
    else *out = &w->base;
    return status;
}

/* Packed data lies in the backend's slabs and goes with it. */
void cpu_weight_free(struct backend *be, struct weight *w) {
    (void)be;
    if (!w) return;
    free(((struct cpu_weight *)w)->panels);
    free(((struct cpu_weight *)w)->order);
    free(w);
}

/* Bytes of a part: packed, or as its file has it. */
static uint64_t narrow_bytes(const struct weight_part *p, uint32_t cols) {
    enum qpack_kind kind;
    if (!p->data) return 0;
    if (p->codes ? qcodes_most(p->codes, cols, &kind) : qpack_find(p->dtype, &kind)) return (uint64_t)(p->rows + QPANEL - 1) / QPANEL * (cols / QBLOCK) * qpack_block_bytes(kind);
    const uint64_t n = (uint64_t)p->rows * cols;
    return p->codes ? n * p->codes->codes.bits / 8 + n / p->codes->group * dtype_row_bytes(p->codes->scale_dtype, 1) : p->rows * (uint64_t)dtype_row_bytes(p->dtype, cols);
}

/* For the default precision: narrow parts keep about their file's size, whether packed or read in place. */
uint64_t cpu_weight_bytes(const struct weight_desc *d) {
    uint64_t rows = 0, narrow = 0;
    for (uint32_t i = 0; i < d->n_parts; i++) {
        rows += d->parts[i].rows;
        narrow += narrow_bytes(&d->parts[i], d->cols);
    }
    if (d->role == WEIGHT_VECTOR) return (uint64_t)round_up(d->cols, CPU_MAX_NR) * sizeof(float);
    if (any_narrow(d)) return d->role == WEIGHT_TABLE ? 0 : narrow;
    if (d->role == WEIGHT_TABLE) return rows * d->cols * sizeof(float);
    return (rows + CPU_MAX_NR - 1) / CPU_MAX_NR * CPU_MAX_NR * d->cols * sizeof(float);
}

bool cpu_weight_borrows(const struct weight *w) { return cpu_weight(w)->borrowed; }
