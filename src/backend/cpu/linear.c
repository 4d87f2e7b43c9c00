/* linear.c - op_linear: pack the activations once, together; then claim blocks of row tiles by ranges of weight panels. */
#include "backend/cpu/cpu.h"

/* Rows are dealt evenly to tiles of at most mr, so that no tile is a sliver. */
static uint32_t tile_row(uint32_t rows, uint32_t n_tiles, uint32_t tile) { return (uint32_t)((uint64_t)rows * tile / n_tiles); }

enum { BLOCK_TILES = 8, CHUNKS_A_THREAD = 8 };

static void pack(const struct cpu_run *r, const struct view *x, uint32_t rows, uint32_t n_tiles, _Atomic uint32_t *claim) {
    for (uint32_t t; (t = atomic_fetch_add_explicit(claim, 1, memory_order_relaxed)) < n_tiles;) {
        uint32_t first = tile_row(rows, n_tiles, t), n = tile_row(rows, n_tiles, t + 1) - first;
        r->kernels->pack_rows(cpu_row(x, first), x->stride, n, x->cols, 1, r->packed + (size_t)first * x->cols, n);
    }
}

static uint32_t part(uint32_t n, uint32_t parts, uint32_t i) { return (uint32_t)((uint64_t)n * i / parts); }

void cpu_linear(const struct cpu_run *r, const struct op_linear *a, unsigned thread, _Atomic uint32_t *claims) {
    (void)thread;
    const struct cpu_kernels *k = r->kernels;
    const uint32_t rows = view_rows(&a->out, r->step), depth = a->x.cols, n = a->out.cols;
    const uint32_t n_tiles = (rows + k->mr - 1) / k->mr, n_panels = (n + k->nr - 1) / k->nr, threads = pool_size(r->pool);
    if (!rows) return;
    pack(r, &a->x, rows, n_tiles, &claims[0]);
    pool_barrier(r->pool);

    const uint32_t wanted = threads > 1 ? CHUNKS_A_THREAD * threads : 1;
    const uint32_t n_blocks = (n_tiles + BLOCK_TILES - 1) / BLOCK_TILES;
    const uint32_t widest = rows <= 2 ? (n_panels + CPU_MAX_PANELS - 1) / CPU_MAX_PANELS : n_panels; /* few rows: several panels a tile */
    uint32_t n_ranges = (wanted + n_blocks - 1) / n_blocks;
    if (n_ranges > widest) n_ranges = widest;

    const float *w = cpu_data(a->w), *bias = cpu_data(a->bias);
    for (uint32_t c; (c = atomic_fetch_add_explicit(&claims[1], 1, memory_order_relaxed)) < n_blocks * n_ranges;) {
        uint32_t block = c / n_ranges, range = c % n_ranges;
        uint32_t t0 = part(n_tiles, n_blocks, block), t1 = part(n_tiles, n_blocks, block + 1);
        uint32_t p0 = part(n_panels, n_ranges, range), p1 = part(n_panels, n_ranges, range + 1);
        uint32_t step = rows <= 2 ? CPU_MAX_PANELS : 1;
        for (uint32_t p = p0; p < p1; p += step) /* a panel stays in L1 while the block's tiles pass */
            for (uint32_t t = t0; t < t1; t++) {
                uint32_t first = tile_row(rows, n_tiles, t), m = tile_row(rows, n_tiles, t + 1) - first, col = p * k->nr;
                k->tile(&(struct cpu_tile){
                    .a = r->packed + (size_t)first * depth, .a_stride = m, .b = w + (size_t)p * depth * k->nr, .panel_stride = (size_t)depth * k->nr,
                    .bias = bias ? bias + col : NULL, .res = a->res.buf ? cpu_row(&a->res, first) + col : NULL, .res_stride = a->res.stride,
                    .out = cpu_row(&a->out, first) + col, .out_stride = a->out.stride, .k = depth, .mr = m,
                    .n_panels = p1 - p < step ? p1 - p : step, .n_cols = n - col, .act = a->act, .soft_cap = a->soft_cap});
            }
    }
}
