/* linear.c - op_linear: pack the activations once, together; then claim blocks of row tiles by ranges of weight panels.
 *
 * The form of the weight decides: f32 panels and f32 activations; int8 panels and activations rounded to 8 bits in blocks of 16; or rows as
 * the file has them, widened to an f32 panel once for all rows of the call. */
#include "backend/cpu/cpu.h"

enum { BLOCK_TILES = 8, CHUNKS_A_THREAD = 8 };

struct job {
    const struct cpu_run *r;
    const struct op_linear *a;
    const struct cpu_weight *w;
    uint32_t rows, depth, n, n_tiles;
};

/* Where the packed activations of a tile begin. */
static float *tile_f32(const struct job *j, uint32_t tile) { return (float *)j->r->packed + (size_t)cpu_tile_row(j->rows, j->n_tiles, tile) * j->depth; }
static struct cpu_qact *tile_int8(const struct job *j, uint32_t tile) { return (struct cpu_qact *)j->r->packed + (size_t)tile * (j->depth / QBLOCK); }

/* Rows of a tile at most. */
static uint32_t tile_rows(const struct cpu_kernels *k, const struct cpu_weight *w) { return w->form == CPU_QUANT ? k->qmr : k->mr; }

size_t cpu_linear_packed(const struct op_linear *a, uint32_t rows, const struct cpu_kernels *k) {
    const uint32_t most = tile_rows(k, cpu_weight(a->w));
    const size_t n_tiles = (rows + most - 1) / most;
    return cpu_weight(a->w)->form == CPU_QUANT ? n_tiles * (a->x.cols / QBLOCK) * sizeof(struct cpu_qact) : (size_t)rows * a->x.cols * sizeof(float);
}
size_t cpu_linear_scratch(const struct op_linear *a, const struct cpu_kernels *k) {
    const struct cpu_weight *w = cpu_weight(a->w);
    return w->form == CPU_NATIVE ? (size_t)a->x.cols * (k->nr + 4) : w->order ? a->x.cols : 0;
}

/* A row of activations in the order in which a weight's panels have the inputs: in place, or gathered into `room` [depth]. */
static const float *in_order(const struct job *j, const float *x, float *room) {
    if (!j->w->order) return x;
    for (uint32_t c = 0; c < j->depth; c++) room[c] = x[j->w->order[c]];
    return room;
}

static void pack(const struct job *j, float *room, _Atomic uint32_t *claim) {
    const struct cpu_kernels *k = j->r->kernels;
    const struct view *x = &j->a->x;
    for (uint32_t t; (t = atomic_fetch_add_explicit(claim, 1, memory_order_relaxed)) < j->n_tiles;) {
        const uint32_t first = cpu_tile_row(j->rows, j->n_tiles, t), n = cpu_tile_row(j->rows, j->n_tiles, t + 1) - first;
        if (j->w->form != CPU_QUANT) k->pack_rows(cpu_row(x, first), x->stride, n, x->cols, 1, tile_f32(j, t), n);
        for (uint32_t i = 0; j->w->form == CPU_QUANT && i < n; i++) k->quantise(in_order(j, cpu_row(x, first + i), room), x->cols, i, tile_int8(j, t));
    }
}

static uint32_t part(uint32_t n, uint32_t parts, uint32_t i) { return (uint32_t)((uint64_t)n * i / parts); }

/* What a tile of rows from `first` does with its sums, for outputs from `col`. */
static struct cpu_tile epilogue(const struct job *j, uint32_t tile, uint32_t col) {
    const struct op_linear *a = j->a;
    const uint32_t first = cpu_tile_row(j->rows, j->n_tiles, tile), m = cpu_tile_row(j->rows, j->n_tiles, tile + 1) - first;
    const float *bias = cpu_data(a->bias);
    return (struct cpu_tile){.bias = bias ? bias + col : NULL, .res = a->res.buf ? cpu_row(&a->res, first) + col : NULL, .res_stride = a->res.stride, .out = cpu_row(&a->out, first) + col,
                             .out_stride = a->out.stride, .k = j->depth, .mr = m, .n_panels = 1, .n_cols = j->n - col, .act = a->act, .soft_cap = a->soft_cap};
}

/* Panels [p0, p1) by tiles [t0, t1); a panel stays in L1 while the tiles pass. Few rows take several f32 panels at once. */
static void run_f32(const struct job *j, uint32_t t0, uint32_t t1, uint32_t p0, uint32_t p1) {
    const struct cpu_kernels *k = j->r->kernels;
    const uint32_t step = j->rows <= 2 ? CPU_MAX_PANELS : 1;
    for (uint32_t p = p0; p < p1; p += step)
        for (uint32_t t = t0; t < t1; t++) {
            struct cpu_tile e = epilogue(j, t, p * k->nr);
            e.a = tile_f32(j, t), e.a_stride = e.mr;
            e.b = j->w->data + (size_t)p * j->depth * k->nr, e.panel_stride = (size_t)j->depth * k->nr;
            e.n_panels = p1 - p < step ? p1 - p : step;
            k->tile(&e);
        }
}
static void run_int8(const struct job *j, uint32_t t0, uint32_t t1, uint32_t p0, uint32_t p1) {
    for (uint32_t p = p0; p < p1; p++)
        for (uint32_t t = t0; t < t1; t++)
            j->r->kernels->qtile(j->w->panels[p].kind, &(struct cpu_qtile){.a = tile_int8(j, t), .w = j->w->panels[p].data, .n_blocks = j->depth / QBLOCK, .epilogue = epilogue(j, t, p * QPANEL)});
}
static void run_native(const struct job *j, float *scratch, uint32_t t0, uint32_t t1, uint32_t p0, uint32_t p1) {
    const struct cpu_kernels *k = j->r->kernels;
    float *panel = scratch + 4 * (size_t)j->depth;
    for (uint32_t p = p0; p < p1; p++) {
        cpu_widen_panel(k, j->w, p, scratch, panel);
        for (uint32_t t = t0; t < t1; t++) {
            struct cpu_tile e = epilogue(j, t, p * k->nr);
            e.a = tile_f32(j, t), e.a_stride = e.mr, e.b = panel;
            k->tile(&e);
        }
    }
}

void cpu_linear(const struct cpu_run *r, const struct op_linear *a, unsigned thread, _Atomic uint32_t *claims) {
    const struct cpu_kernels *k = r->kernels;
    struct job j = {.r = r, .a = a, .w = cpu_weight(a->w), .rows = view_rows(&a->out, r->step), .depth = a->x.cols, .n = a->out.cols};
    if (!j.rows) return;
    j.n_tiles = (j.rows + tile_rows(k, j.w) - 1) / tile_rows(k, j.w);
    pack(&j, r->scratch[thread], &claims[0]);
    pool_barrier(r->pool);

    const enum cpu_form form = j.w->form;
    const uint32_t width = form == CPU_QUANT ? QPANEL : k->nr, n_panels = (j.n + width - 1) / width, threads = pool_size(r->pool), wanted = threads > 1 ? CHUNKS_A_THREAD * threads : 1;
    const uint32_t n_blocks = form == CPU_NATIVE ? 1 : (j.n_tiles + BLOCK_TILES - 1) / BLOCK_TILES; /* native: a panel is widened once */
    const uint32_t widest = form == CPU_F32 && j.rows <= 2 ? (n_panels + CPU_MAX_PANELS - 1) / CPU_MAX_PANELS : n_panels;
    uint32_t n_ranges = (wanted + n_blocks - 1) / n_blocks;
    if (n_ranges > widest) n_ranges = widest;
    for (uint32_t c; (c = atomic_fetch_add_explicit(&claims[1], 1, memory_order_relaxed)) < n_blocks * n_ranges;) {
        const uint32_t block = c / n_ranges, range = c % n_ranges;
        const uint32_t t0 = part(j.n_tiles, n_blocks, block), t1 = part(j.n_tiles, n_blocks, block + 1);
        const uint32_t p0 = part(n_panels, n_ranges, range), p1 = part(n_panels, n_ranges, range + 1);
        if (form == CPU_F32) run_f32(&j, t0, t1, p0, p1);
        else if (form == CPU_QUANT) run_int8(&j, t0, t1, p0, p1);
        else run_native(&j, r->scratch[thread], t0, t1, p0, p1);
    }
}
