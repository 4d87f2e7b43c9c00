#include "backend/codes.h"

#include "tensor/quant.h"

static uint32_t word_at(const struct code_grid *g, uint32_t line, size_t i) {
    const uint8_t *p = (const uint8_t *)g->data + ((size_t)line * g->line + i * g->step) * g->unit;
    return g->unit == 1 ? *p : quant_u32(p);
}

static uint32_t place_of(const struct code_grid *g, uint32_t i) {
    return g->order == CODES_AWQ ? (i & ~7u) + (i & 7) / 2 + 4 * (i & 1) : g->order == CODES_PAIRS_SWAPPED ? i ^ 1 : i;
}

/* The word of a line in which code i begins, and at which of its bits. */
static size_t begin_of(const struct code_grid *g, uint32_t i, unsigned *shift) {
    const unsigned width = 8u * g->unit, per = width / g->bits;
    const uint64_t place = place_of(g, i), bit = place * g->bits;
    *shift = (unsigned)(g->padded ? place % per * g->bits : bit % width);
    return (size_t)(g->padded ? place / per : bit / width);
}

/* Code i of a line. */
static uint8_t code_at(const struct code_grid *g, uint32_t line, uint32_t i) {
    const unsigned width = 8u * g->unit;
    unsigned shift;
    const size_t word = begin_of(g, i, &shift);
    uint32_t x = word_at(g, line, word) >> shift;
    if (shift + g->bits > width) x |= word_at(g, line, word + 1) << (width - shift);
    return (uint8_t)((x & ((1u << g->bits) - 1)) ^ g->flip);
}

/* Column `i` of lines [first, first + n): one shift for all. */
static void read_across(const struct code_grid *g, uint32_t i, uint32_t first, uint32_t n, uint8_t *out) {
    const unsigned width = 8u * g->unit, mask = (1u << g->bits) - 1;
    unsigned shift;
    const size_t word = begin_of(g, i, &shift);
    if (shift + g->bits > width || g->unit != 4) {
        for (uint32_t k = 0; k < n; k++) out[k] = code_at(g, first + k, i);
        return;
    }
    const uint8_t *p = (const uint8_t *)g->data + 4 * ((size_t)first * g->line + word * g->step);
    const size_t next = 4 * (size_t)g->line;
    for (uint32_t k = 0; k < n; k++) out[k] = (uint8_t)((quant_u32(p + k * next) >> shift & mask) ^ g->flip);
}

/* Whole words of codes that follow each other. */
static uint32_t read_words(const struct code_grid *g, uint32_t line, uint32_t first, uint32_t n, uint8_t *out) {
    const uint32_t per = 8u * g->unit / g->bits, mask = (1u << g->bits) - 1;
    uint32_t k = 0;
    for (; k + per <= n; k += per) {
        uint32_t x = word_at(g, line, (first + k) / per);
        for (uint32_t i = 0; i < per; i++, x >>= g->bits) out[k + i] = (uint8_t)((x & mask) ^ g->flip);
    }
    return k;
}

void codes_read(const struct code_grid *g, uint32_t row, uint32_t first, uint32_t n, uint8_t *out) {
    if (g->down) {
        read_across(g, row, first, n, out);
        return;
    }
    const uint32_t per = 8u * g->unit / g->bits;
    const bool whole = g->order == CODES_IN_ORDER && (g->padded || 8u * g->unit % g->bits == 0) && first % per == 0;
    for (uint32_t k = whole ? read_words(g, row, first, n, out) : 0; k < n; k++) out[k] = code_at(g, row, first + k);
}

uint32_t codes_group(const struct weight_codes *w, uint32_t cols, uint32_t row, uint32_t col) {
    if (w->groups) return quant_u32((const uint8_t *)w->groups + 4 * (size_t)col);
    return w->flat ? (uint32_t)(((uint64_t)row * cols + col) / w->group) : col / w->group;
}

/* The end of the run of inputs from `col` that share its group. */
static uint32_t run_end(const struct weight_codes *w, uint32_t cols, uint32_t row, uint32_t col) {
    if (w->groups) return col + 1;
    const uint64_t at = (w->flat ? (uint64_t)row * cols : 0) + col, end = col + (w->group - at % w->group);
    return end < cols ? (uint32_t)end : cols;
}

float codes_scale(const struct weight_codes *w, uint32_t row, uint32_t group) {
    float scale;
    const size_t i = row * w->scale_row + group * w->scale_group;
    dtype_to_f32(w->scale_dtype, (const uint8_t *)w->scales + dtype_row_bytes(w->scale_dtype, i), &scale, 1);
    return scale;
}

int codes_zero(const struct weight_codes *w, uint32_t row, uint32_t group) {
    uint8_t zero = 0;
    if (w->zeros.data) codes_read(&w->zeros, row, group, 1, &zero);
    return w->zero + zero;
}

void codes_row(const struct weight_codes *w, uint32_t cols, uint32_t row, float *out) {
    uint8_t q[256];
    for (uint32_t first = 0, n; first < cols; first += n) {
        n = cols - first < sizeof q ? cols - first : sizeof q;
        codes_read(&w->codes, row, first, n, q);
        for (uint32_t c = first, end; c < first + n; c = end) {
            const uint32_t group = codes_group(w, cols, row, c), stop = run_end(w, cols, row, c);
            const float scale = codes_scale(w, row, group);
            const int zero = codes_zero(w, row, group);
            end = stop < first + n ? stop : first + n;
            for (uint32_t i = c; i < end; i++) out[i] = (w->table ? w->table[q[i - first]] : (float)(q[i - first] - zero)) * scale;
        }
    }
}
