/* qpack.h - quantised weights as the int8 kernels read them.
 *
 * A panel is 16 outputs; it is stored as one stream of blocks of 32 inputs (k), so that a thread reads memory in one direction only. The
 * small integers keep the width of their file format: q = low 4 bits, and a plane for what is above. Of one block:
 *
 *   low    [4 or 8][16][4] bytes   group g = 4 inputs k = 4g..4g+3 of each output.  4, 5, 6 bits: byte (g % 4) holds group g % 4 in its
 *                                  low and group 4 + g % 4 in its high nibble;  8 bits: eight groups, a byte each
 *   high   5 bits: [16][4] bytes, bit g is bit 4 of group g      6 bits: [2][16][4], bits 2(g % 4)..+1 of plane g / 4 are bits 4-5 of group g
 *   scale  [16] f16, or [1 or 2][16] f32      min  [16] f16 or f32, where the format has one; or the zero point
 *
 *   weight = scale (q - zero) + min           scale and min are exactly those of the file format
 *
 * Formats: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K. Codes (backend/codes.h) become Q4_0 or Q8_0 where all zero points are 8 or 128 and scales are
 * numbers of f16; else Z4: 4 bits, scale and zero point in f16; or, with other scales, Q4_K; or U8: 8 bits, scale and min in f32. What does not fit
 * stays as its file has it and is widened panel by panel. */
#ifndef GLLM_BACKEND_CPU_QPACK_H
#define GLLM_BACKEND_CPU_QPACK_H
#include "backend/backend.h"

enum { QPANEL = 16, QBLOCK = 32, QPACK_MOST_BYTES = 640 /* of a panel's block */ };
enum qpack_kind { QPACK_Q4_0, QPACK_Q4_1, QPACK_Q5_0, QPACK_Q5_1, QPACK_Q8_0, QPACK_Q4_K, QPACK_Q5_K, QPACK_Q6_K, QPACK_Z4, QPACK_U8, QPACK_COUNT };
enum qpack_low { QPACK_NO_LOW, QPACK_MIN, QPACK_ZERO }; /* beside the scale: nothing, the min, or the zero point */
struct qpack_layout {
    enum dtype dtype; /* DTYPE_COUNT: of no file format */
    uint8_t bits, zero_log2; /* zero = 1 << zero_log2; 0: none */
    bool f16, halves;        /* scales are f16; two scales a block, of 16 inputs each */
    enum qpack_low low;
};
extern const struct qpack_layout QPACK_LAYOUTS[QPACK_COUNT];
bool qpack_find(enum dtype t, enum qpack_kind *out);
size_t qpack_block_bytes(enum qpack_kind k); /* of a panel's block */
/* Packs rows [0, 16) of `rows` (each NULL beyond the end: zeros) with `cols` inputs, a multiple of 32, to out. */
void qpack_panel(enum qpack_kind k, const uint8_t *const rows[QPANEL], uint32_t cols, uint8_t *out);
/* One column of a block that was zeros: 32 codes, their scale, and min or zero point where the kind has one. */
void qpack_column(enum qpack_kind k, const uint8_t q[QBLOCK], float scale, float low, unsigned col, uint8_t *block);

/* qcodes.c. The inputs [cols] in the order of their groups, and within one as they come. Owned; NULL: out of memory. */
uint32_t *qcodes_order(const struct weight_codes *w, uint32_t cols);
/* The kind that holds a part's codes, scales and zero points exactly. False: none does, because codes stand for a table's values or a block of 32
 * inputs, in `order` (NULL: as they come), spans groups. */
bool qcodes_find(const struct weight_part *p, uint32_t cols, const uint32_t *order, enum qpack_kind *out);
/* Packs rows [first, first + 16) of the part, zeros beyond its end. */
void qcodes_panel(enum qpack_kind k, const struct weight_part *p, uint32_t first, uint32_t cols, const uint32_t *order, uint8_t *out);
/* The same by shape alone: a kind that takes no less. Neither scales nor zero points nor groups are read. */
bool qcodes_most(const struct weight_codes *w, uint32_t cols, enum qpack_kind *out);
#endif
