/* qcodes.c - codes (backend/codes.h) as the panels of qpack.h: which kind holds them exactly, and the packing. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/qpack.h"
#include "tensor/half.h"

static int by_key(const void *x, const void *y) {
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

uint32_t *qcodes_order(const struct weight_codes *w, uint32_t cols) {
    uint64_t *keys = malloc(cols * sizeof *keys); /* group, then input */
    uint32_t *order = malloc(cols * sizeof *order);
    for (uint32_t c = 0; keys && c < cols; c++) keys[c] = (uint64_t)codes_group(w, cols, 0, c) << 32 | c;
    if (keys) qsort(keys, cols, sizeof *keys, by_key);
    for (uint32_t c = 0; keys && order && c < cols; c++) order[c] = (uint32_t)keys[c];
    const bool ok = keys && order;
    free(keys);
    if (ok) return order;
    free(order);
    return NULL;
}

static uint32_t input_at(const uint32_t *order, uint32_t place) { return order ? order[place] : place; }

/* No block of 32 inputs spans groups. */
static bool whole_blocks(const struct weight_codes *w, uint32_t cols, const uint32_t *order) {
    if (cols % QBLOCK || w->table || w->flat) return false;
    if (!w->groups && !order) return w->group % QBLOCK == 0 || w->group >= cols;
    for (uint32_t c = 0; c < cols; c++)
        if (codes_group(w, cols, 0, input_at(order, c)) != codes_group(w, cols, 0, input_at(order, c / QBLOCK * QBLOCK))) return false;
    return true;
}

/* All scales are numbers of f16; all zero points are `middle`. */
static void scan(const struct weight_part *p, uint32_t cols, int middle, bool *f16, bool *centred) {
    const struct weight_codes *w = p->codes;
    const uint32_t n_groups = (cols - 1) / w->group + 1;
    *f16 = *centred = true;
    for (uint32_t r = 0; r < p->rows && (*f16 || *centred); r++)
        for (uint32_t g = 0; g < n_groups; g++) {
            const float scale = codes_scale(w, r, g);
            *f16 &= f16_to_f32(f16_from_f32(scale)) == scale;
            *centred &= codes_zero(w, r, g) == middle;
        }
}

bool qcodes_find(const struct weight_part *p, uint32_t cols, const uint32_t *order, enum qpack_kind *out) {
    const bool four = p->codes->codes.bits <= 4;
    bool f16, centred;
    if (!whole_blocks(p->codes, cols, order)) return false;
    scan(p, cols, four ? 8 : 128, &f16, &centred);
    if (f16 && centred) *out = four ? QPACK_Q4_0 : QPACK_Q8_0;
    else *out = !four ? QPACK_U8 : f16 ? QPACK_Z4 : QPACK_Q4_K;
    return true;
}

bool qcodes_most(const struct weight_codes *w, uint32_t cols, enum qpack_kind *out) {
    if (cols % QBLOCK || w->table || w->flat || (w->group % QBLOCK && w->group < cols)) return false;
    *out = w->codes.bits > 4 ? QPACK_U8 : w->scale_dtype == DTYPE_F16 ? QPACK_Z4 : QPACK_Q4_K;
    return true;
}

/* 32 codes of a row at places [first, first + 32). */
static void read_block(const struct weight_codes *w, uint32_t row, uint32_t first, const uint32_t *order, uint8_t q[QBLOCK]) {
    if (!order) codes_read(&w->codes, row, first, QBLOCK, q);
    else
        for (uint32_t i = 0; i < QBLOCK; i++) codes_read(&w->codes, row, order[first + i], 1, &q[i]);
}

void qcodes_panel(enum qpack_kind k, const struct weight_part *p, uint32_t first, uint32_t cols, const uint32_t *order, uint8_t *out) {
    const struct weight_codes *w = p->codes;
    const size_t bytes = qpack_block_bytes(k);
    const uint32_t n = p->rows - first < QPANEL ? p->rows - first : QPANEL;
    uint8_t block[QPACK_MOST_BYTES] = {0}, q[QBLOCK];
    for (uint32_t b = 0; b < cols / QBLOCK; b++, out += bytes) {
        const uint32_t group = codes_group(w, cols, 0, input_at(order, b * QBLOCK));
        for (uint32_t i = 0; i < n; i++) {
            const float scale = codes_scale(w, first + i, group), zero = (float)codes_zero(w, first + i, group);
            read_block(w, first + i, b * QBLOCK, order, q);
            qpack_column(k, q, scale, QPACK_LAYOUTS[k].low == QPACK_ZERO ? zero : -scale * zero, i, block);
        }
        memcpy(out, block, bytes);
    }
}
