/* codes.h - weights stored as small whole numbers, packed as quantisation libraries pack them, with scales and zero points beside them.
 *
 *   weight[r][c] = scale[r][g] (code[r][c] - zero[r][g])      or scale[r][g] table[code[r][c]]      g the group of input c
 *
 * the difference exact, the product rounded to f32, whatever the scale's own dtype: what dequantising in f32 gives. All is a view: nothing is
 * copied, any alignment. The one who fills it in has checked that the data reach as far as rows, cols and groups ask, and that `groups` are in range. */
#ifndef GLLM_BACKEND_CODES_H
#define GLLM_BACKEND_CODES_H
#include "tensor/dtype.h"

/* Code j of eight stands at place j / 2 + 4 (j % 2) of AWQ's order: from the lowest bits on they are 0 2 4 6 1 3 5 7. */
enum code_order { CODES_IN_ORDER, CODES_AWQ, CODES_PAIRS_SWAPPED };
/* A matrix of codes. Those of a line (a row; a column where `down`) are one stream of bits, the lowest of a word first; or, where `padded`, each word
 * holds as many whole ones as it can, and its highest bits are left over. */
struct code_grid {
    const void *data;
    uint8_t bits, unit;   /* of a code, 2 to 8; bytes of a word, little-endian: 4; or 1, then bits is 4 or 8 */
    uint8_t flip;         /* xor to each code: 0x80 makes 128 + x of a two's complement x */
    bool down;            /* a line is a column */
    bool padded;          /* no code spans two words */
    enum code_order order;
    uint32_t line, step;  /* words between lines, and between the words of a line */
};
struct weight_codes {
    struct code_grid codes;      /* [rows, cols] */
    struct code_grid zeros;      /* [rows, groups]; its data NULL: none */
    int32_t zero;                /* added to each of zeros; the zero of all where there are none */
    const float *table;          /* [1 << bits], in place of code - zero; NULL: none */
    const void *scales;
    enum dtype scale_dtype;      /* F32, F16 or BF16 */
    size_t scale_row, scale_group; /* elements between the scales of neighbouring rows, and groups */
    uint32_t group;              /* inputs of a group, the last may be shorter */
    bool flat;                   /* groups run on from row to row: g = (r cols + c) / group, and scale_row is 0 */
    const void *groups;          /* [cols] I32, the group of each input; NULL: they follow each other */
};

void codes_read(const struct code_grid *g, uint32_t row, uint32_t first, uint32_t n, uint8_t *out); /* codes [first, first + n) of a row */
void codes_row(const struct weight_codes *w, uint32_t cols, uint32_t row, float *out);              /* weights of a row */
uint32_t codes_group(const struct weight_codes *w, uint32_t cols, uint32_t row, uint32_t col);
float codes_scale(const struct weight_codes *w, uint32_t row, uint32_t group);
int codes_zero(const struct weight_codes *w, uint32_t row, uint32_t group);
#endif
